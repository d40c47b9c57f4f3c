"""The server: the protocol's requests, each answered from the ``Script`` that is open under its address.

Every change is checked as soon as the typing pauses, in a thread, one check at a time; what is out of date by then is
dropped. Requests are answered from the newest text, which is checked first where that was not done yet.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer
from pygls.workspace import TextDocument

from energylang.checker import parser
from energylang.diagnostics.source import Span
from energylang.repl.suggest import hint
from energylang.signature.declaration import Op
from energylang.syntax import ast
from energylang.version import __version__

from . import colours, edits, findings
from .completion import Offer, complete
from .hover import hover, operation_help, parameter_help
from .names import Names
from .outline import outline
from .positions import UTF16, to_offset, to_place
from .script import Script, nodes

PAUSE = 0.015
"""Seconds without a change before a script is checked."""

_KINDS = {
    "operation": lsp.CompletionItemKind.Function,
    "keyword": lsp.CompletionItemKind.Keyword,
    "procedure": lsp.CompletionItemKind.Method,
    "variable": lsp.CompletionItemKind.Variable,
    "field": lsp.CompletionItemKind.Field,
    "parameter": lsp.CompletionItemKind.Property,
    "layer": lsp.CompletionItemKind.Class,
    "concept": lsp.CompletionItemKind.Reference,
    "value": lsp.CompletionItemKind.Value,
    "module": lsp.CompletionItemKind.Module,
}


class Server(LanguageServer):
    """``docs``: the address of the documentation as a site; empty: the pages of this package."""

    def __init__(self) -> None:
        super().__init__("el", __version__, text_document_sync_kind=lsp.TextDocumentSyncKind.Full)
        self.scripts: dict[str, Script] = {}
        self.docs = ""
        self._checking = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def encoding(self) -> str:
        """How the editor counts columns."""
        found = self.workspace.position_encoding
        return str(getattr(found, "value", found) or UTF16)

    def script(self, uri: str) -> Script:
        """The script under an address, as it is in the editor now."""
        document: TextDocument = self.workspace.get_text_document(uri)
        try:
            text = document.source
        except (OSError, UnicodeDecodeError):  # it was never opened, and its file is gone or no text
            text = ""
        script = self.scripts.get(uri)
        if script is None or script.version != document.version or script.raw != text:
            script = self.scripts[uri] = Script(uri, text, document.version, self._folder())
        return script

    def _folder(self) -> Path | None:
        root = self.workspace.root_path
        return Path(root) if root else None

    def check_soon(self, uri: str, pause: float = PAUSE) -> None:
        """Check a script after a pause, and send what was found."""
        task = asyncio.get_running_loop().create_task(self._check(uri, pause))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _check(self, uri: str, pause: float) -> None:
        script = self.script(uri)
        await asyncio.sleep(pause)
        if not self._is_new(script):
            return
        async with self._checking:
            if not self._is_new(script):
                return
            found = await asyncio.to_thread(findings.diagnostics, script, self.encoding, self.docs)
        if self._is_new(script):
            self.text_document_publish_diagnostics(
                lsp.PublishDiagnosticsParams(uri, diagnostics=found, version=script.version)
            )

    def _is_new(self, script: Script) -> bool:
        return self.scripts.get(script.uri) is script

    def check_all(self) -> None:
        """Check all open scripts anew: a file beside them has changed."""
        for uri in list(self.scripts):
            del self.scripts[uri]
            if uri in self.workspace.text_documents:
                self.check_soon(uri)

    def report_server_error(self, error: Exception, source: Any) -> None:
        """A defect, in one sentence."""
        if os.environ.get("EL_DEBUG"):
            logging.getLogger("energylang.lsp").error("defect", exc_info=error)
        said = f"EL599: {type(error).__name__}: {error}; please report this"
        self.window_log_message(lsp.LogMessageParams(lsp.MessageType.Error, said))


def offset_of(server: Server, script: Script, position: lsp.Position) -> int:
    return to_offset(script.source, position.line, position.character, server.encoding)


# ------------------------------------------------------------------------------------- documents


def initialized(server: Server, params: lsp.InitializeParams) -> None:
    options = params.initialization_options
    docs = options.get("docs") if isinstance(options, dict) else getattr(options, "docs", None)
    server.docs = docs if isinstance(docs, str) else ""


def opened(server: Server, params: lsp.DidOpenTextDocumentParams) -> None:
    server.check_soon(params.text_document.uri, 0.0)


def changed(server: Server, params: lsp.DidChangeTextDocumentParams) -> None:
    server.script(params.text_document.uri)  # what is under way is out of date from here on
    server.check_soon(params.text_document.uri)


def saved(server: Server, params: lsp.DidSaveTextDocumentParams) -> None:
    server.check_all()


def watched(server: Server, params: lsp.DidChangeWatchedFilesParams) -> None:
    server.check_all()


def closed(server: Server, params: lsp.DidCloseTextDocumentParams) -> None:
    uri = params.text_document.uri
    server.scripts.pop(uri, None)
    server.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, diagnostics=[]))


# ------------------------------------------------------------------------------------ at the cursor


def completion(server: Server, params: lsp.CompletionParams) -> lsp.CompletionList:
    script = server.script(params.text_document.uri)
    offset = offset_of(server, script, params.position)
    items = [
        _item(offer, place, script, offset, server) for place, offer in enumerate(complete(script, offset))
    ]
    return lsp.CompletionList(is_incomplete=False, items=items)


def _item(offer: Offer, place: int, script: Script, offset: int, server: Server) -> lsp.CompletionItem:
    start = lsp.Position(*to_place(script.source, offset - offer.length, server.encoding))
    end = lsp.Position(*to_place(script.source, offset, server.encoding))
    page = operation_help(offer.op, server.docs) if offer.op is not None else ""
    return lsp.CompletionItem(
        label=offer.text,
        kind=_KINDS[offer.what],
        detail=offer.note or None,
        documentation=lsp.MarkupContent(lsp.MarkupKind.Markdown, page) if page else None,
        sort_text=f"{place:05}",
        filter_text=offer.text,
        text_edit=lsp.TextEdit(lsp.Range(start, end), offer.text),
    )


def signature_help(server: Server, params: lsp.SignatureHelpParams) -> lsp.SignatureHelp | None:
    script = server.script(params.text_document.uri)
    offset = offset_of(server, script, params.position)
    line = script.source.text[:offset].rpartition("\n")[2]
    found = hint(line)
    if found is None:
        return None
    op: Op = found.op
    parameters = [
        lsp.ParameterInformation(
            param.name, lsp.MarkupContent(lsp.MarkupKind.Markdown, parameter_help(param))
        )
        for param in op.params
    ]
    active = op.params.index(found.param) if found.param is not None else None
    signature = lsp.SignatureInformation(op.usage(), op.summary, parameters, active)
    return lsp.SignatureHelp([signature], 0, active)


def hovered(server: Server, params: lsp.HoverParams) -> lsp.Hover | None:
    script = server.script(params.text_document.uri)
    found = hover(script, offset_of(server, script, params.position), server.docs)
    if found is None:
        return None
    text, span = found
    place = findings.range_of(span, server.encoding)
    return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, text), place)


def definition(server: Server, params: lsp.DefinitionParams) -> list[lsp.Location]:
    script = server.script(params.text_document.uri)
    spans = _made(script, offset_of(server, script, params.position))
    places = [findings.location_of(span, script, server.encoding) for span in spans]
    return [place for place in places if place is not None]


def _made(script: Script, offset: int) -> list[Span]:
    """Where the name at a place is made: the last ``let`` before it, a ``def``, a capture."""
    found = Names(script).at(offset)
    if found is not None:
        meaning, here = found
        made = [span for _, span in meaning.made]
        own = [span for span in made if span.source is script.source and span.start <= here.start]
        return own[-1:] or made[:1]
    concepts = script.state(offset).facts.now.concepts
    for node in nodes(script.program.statements):
        if isinstance(node, ast.ConceptName | ast.Name) and node.span.start <= offset <= node.span.end:
            concept = concepts.get(node.name)
            return [concept.span] if concept is not None and concept.span is not None else []
    return []


def references(server: Server, params: lsp.ReferenceParams) -> list[lsp.Location]:
    script = server.script(params.text_document.uri)
    found = Names(script).at(offset_of(server, script, params.position))
    if found is None:
        return []
    spans = found[0].places if params.context.include_declaration else found[0].used
    places = [findings.location_of(span, script, server.encoding) for span in spans]
    return [place for place in places if place is not None]


# ----------------------------------------------------------------------------------------- edits


def prepare_rename(server: Server, params: lsp.PrepareRenameParams) -> lsp.PrepareRenamePlaceholder | None:
    script = server.script(params.text_document.uri)
    found = edits.rename_range(script, offset_of(server, script, params.position), server.encoding)
    return lsp.PrepareRenamePlaceholder(*found) if found is not None else None


def rename(server: Server, params: lsp.RenameParams) -> lsp.WorkspaceEdit:
    script = server.script(params.text_document.uri)
    try:
        offset = offset_of(server, script, params.position)
        return edits.rename(script, offset, params.new_name, server.encoding)
    except edits.Refused as error:
        raise JsonRpcInvalidParams(str(error)) from None


def formatting(server: Server, params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit]:
    return edits.formatting(server.script(params.text_document.uri), server.encoding)


def code_action(server: Server, params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
    only: Sequence[lsp.CodeActionKind | str] | None = params.context.only
    wanted = [str(getattr(kind, "value", kind)) for kind in only or ()]
    if wanted and not any(kind in ("", "quickfix") for kind in wanted):
        return []
    script = server.script(params.text_document.uri)
    return findings.code_actions(script, params.range, server.encoding, server.docs)


# ------------------------------------------------------------------------------------ the whole script


def document_symbol(server: Server, params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
    return outline(server.script(params.text_document.uri), server.encoding)


def semantic_tokens(server: Server, params: lsp.SemanticTokensParams) -> lsp.SemanticTokens:
    return lsp.SemanticTokens(colours.encoded(server.script(params.text_document.uri), server.encoding))


def make_server() -> Server:
    """A server with all it can do."""
    server = Server()
    legend = lsp.SemanticTokensLegend(colours.TYPES, colours.MODIFIERS)
    for method, handler, options in (
        (lsp.INITIALIZE, initialized, None),
        (lsp.TEXT_DOCUMENT_DID_OPEN, opened, None),
        (lsp.TEXT_DOCUMENT_DID_CHANGE, changed, None),
        (lsp.TEXT_DOCUMENT_DID_SAVE, saved, None),
        (lsp.TEXT_DOCUMENT_DID_CLOSE, closed, None),
        (lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES, watched, None),
        (lsp.TEXT_DOCUMENT_COMPLETION, completion, lsp.CompletionOptions(trigger_characters=list('. =@"/{'))),
        (lsp.TEXT_DOCUMENT_SIGNATURE_HELP, signature_help, lsp.SignatureHelpOptions(list(" ="))),
        (lsp.TEXT_DOCUMENT_HOVER, hovered, None),
        (lsp.TEXT_DOCUMENT_DEFINITION, definition, None),
        (lsp.TEXT_DOCUMENT_REFERENCES, references, None),
        (lsp.TEXT_DOCUMENT_PREPARE_RENAME, prepare_rename, None),
        (lsp.TEXT_DOCUMENT_RENAME, rename, lsp.RenameOptions(prepare_provider=True)),
        (lsp.TEXT_DOCUMENT_FORMATTING, formatting, None),
        (lsp.TEXT_DOCUMENT_CODE_ACTION, code_action, lsp.CodeActionOptions([lsp.CodeActionKind.QuickFix])),
        (lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL, document_symbol, None),
        (lsp.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL, semantic_tokens, legend),
    ):
        server.feature(method, options)(handler)
    return server


def serve() -> int:
    """Serve one editor over standard input and output, until it says good-bye."""
    if not os.environ.get("EL_DEBUG"):  # the library's log is of no use to a person
        logging.getLogger("pygls").addHandler(logging.NullHandler())
        logging.getLogger("pygls").propagate = False
    parser()  # built while the editor says hello
    gc.freeze()  # what is there now stays; and a check makes many things that live until the next one
    gc.set_threshold(50_000, 20, 50)
    make_server().start_io()
    return 0
