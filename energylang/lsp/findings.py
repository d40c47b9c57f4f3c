"""The checker's findings as the protocol's diagnostics, and "did you mean" as an edit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lsprotocol import types as lsp

from energylang.diagnostics import Diagnostic
from energylang.diagnostics.source import Span
from energylang.syntax import ast
from energylang.syntax.grammar import folder

from .positions import UTF16, to_place
from .reference import code_link
from .script import Script

SOURCE = "el"
UNUSED = "EL403"

_MEANT = re.compile(r"did you mean [`']([^`']+)[`']")
_WORD = re.compile(r"@?[\w.:-]+")


def range_of(span: Span, encoding: str = UTF16) -> lsp.Range:
    """Where a span is."""
    start, end = (to_place(span.source, offset, encoding) for offset in (span.start, span.end))
    return lsp.Range(lsp.Position(*start), lsp.Position(*end))


def location_of(span: Span, script: Script, encoding: str = UTF16) -> lsp.Location | None:
    """Where a span is, in whatever file; ``None`` where that is no file on this disk."""
    if span.source is script.source:
        return lsp.Location(script.uri, range_of(span, encoding))
    path = Path(span.source.name)
    if not path.is_file():
        shipped = folder("stdlib").joinpath(path.name)
        if not isinstance(shipped, Path) or not shipped.is_file():
            return None
        path = shipped
    return lsp.Location(path.resolve().as_uri(), range_of(span, encoding))


def diagnostics(script: Script, encoding: str = UTF16, docs: str = "") -> list[lsp.Diagnostic]:
    """All that was found, as the editor shows it."""
    return [_diagnostic(item, script, encoding, docs) for item in script.checked.diagnostics]


def _diagnostic(item: Diagnostic, script: Script, encoding: str, docs: str) -> lsp.Diagnostic:
    own = _own_place(item, script)
    here = lsp.Location(script.uri, range_of(own, encoding))
    related = []
    if item.span is not None and item.span.source is not script.source:
        place = location_of(item.span, script, encoding)
        related.append(lsp.DiagnosticRelatedInformation(place or here, f"in {item.span.source.name}"))
    for note in item.notes:
        noted = location_of(note.span, script, encoding) if note.span is not None else None
        related.append(lsp.DiagnosticRelatedInformation(noted or here, note.message))
    if item.help:
        related.append(lsp.DiagnosticRelatedInformation(here, f"help: {item.help}"))
    link = code_link(item.code, docs)
    return lsp.Diagnostic(
        range=here.range,
        message=item.message,
        severity=lsp.DiagnosticSeverity.Error if item.is_error else lsp.DiagnosticSeverity.Warning,
        code=item.code,
        code_description=lsp.CodeDescription(link) if link else None,
        source=SOURCE,
        tags=[lsp.DiagnosticTag.Unnecessary] if item.code == UNUSED else None,
        related_information=related or None,
    )


def _own_place(item: Diagnostic, script: Script) -> Span:
    """Where in this script a finding is shown: what is wrong in a module, at its import."""
    span = item.span
    if span is not None and span.source is script.source:
        return span
    imports = [node for node in script.program.statements if isinstance(node, ast.Import)]
    if span is not None and imports:
        module = Path(span.source.name).stem
        return next((node.name_span for node in imports if node.name == module), imports[0].name_span)
    return Span(0, 0, script.source)


@dataclass(frozen=True)
class Repair:
    """What a finding proposes to write in the place of ``span``."""

    item: Diagnostic
    span: Span
    text: str


def repairs(script: Script) -> list[Repair]:
    """The findings that know what was meant, and what to write for it."""
    found = []
    for item in script.checked.diagnostics:
        meant = _MEANT.search(item.help)
        if meant and item.span is not None and item.span.source is script.source:
            span = _written(item.span)
            if span is not None:
                found.append(Repair(item, span, meant[1]))
    return found


def _written(span: Span) -> Span | None:
    """The word that a finding is about: its whole place, what stands in its quotes, or the name before its ``=``."""
    text = span.text
    if _WORD.fullmatch(text):
        return span
    if len(text) > 2 and text[0] == text[-1] == '"':
        return Span(span.start + 1, span.end - 1, span.source)
    before, equals, _ = text.partition("=")
    if equals and _WORD.fullmatch(before):
        return Span(span.start, span.start + len(before), span.source)
    return None


def code_actions(
    script: Script, wanted: lsp.Range, encoding: str = UTF16, docs: str = ""
) -> list[lsp.CodeAction]:
    """The repairs in a range."""
    first, last = ((place.line, place.character) for place in (wanted.start, wanted.end))
    actions = []
    for repair in repairs(script):
        shown = range_of(_own_place(repair.item, script), encoding)
        if (shown.end.line, shown.end.character) < first or (shown.start.line, shown.start.character) > last:
            continue
        edit = lsp.TextEdit(range_of(repair.span, encoding), repair.text)
        actions.append(
            lsp.CodeAction(
                title=f"Write `{repair.text}`",
                kind=lsp.CodeActionKind.QuickFix,
                diagnostics=[_diagnostic(repair.item, script, encoding, docs)],
                is_preferred=True,
                edit=lsp.WorkspaceEdit(changes={script.uri: [edit]}),
            )
        )
    return actions
