"""Edits of a whole script: its canonical form, and another name for something."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from lsprotocol import types as lsp

from energylang.checker import parser
from energylang.ops.spelling import operation_named, respellings
from energylang.repl.suggest import KEYWORDS
from energylang.syntax.formatter import format_source

from .findings import range_of
from .names import Names
from .positions import UTF16, width
from .script import Script

_NAME = re.compile(r"[^\W\d]\w*(?:-\w+)*")
_RESERVED = re.compile(r"L\d+")


class Refused(Exception):
    """An edit that would not do; the text says why."""


def formatting(script: Script, encoding: str = UTF16) -> list[lsp.TextEdit]:
    """What to change for the canonical form, line by line; nothing where the script does not parse."""
    text = format_source(script.source, parser(), respellings)
    if text is None:
        return []
    end = "\r\n" if "\r\n" in script.raw else "\n"
    old, new = script.source.text.split("\n"), text.split("\n")
    edits = []
    for what, first, last, from_, to in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what != "equal":
            edits.append(_lines(old, first, last, end, new[from_:to], encoding))
    return edits


def _lines(old: list[str], first: int, last: int, end: str, new: list[str], encoding: str) -> lsp.TextEdit:
    """Other lines in the place of some. Behind the last line there is no line end, so the one before them goes."""

    def end_of(line: int) -> lsp.Position:
        return lsp.Position(line, width(old[line], encoding))

    text = end.join(new)
    if last < len(old):
        start, stop = lsp.Position(first, 0), lsp.Position(last, 0)
        text += end if new else ""
    elif first > 0:
        start, stop = end_of(first - 1), end_of(last - 1)
        text = end + text if new else ""
    else:
        start, stop = lsp.Position(0, 0), end_of(last - 1)
    return lsp.TextEdit(lsp.Range(start, stop), text)


def rename_range(script: Script, offset: int, encoding: str = UTF16) -> tuple[lsp.Range, str] | None:
    """The name at a place, if it can be given another one."""
    found = Names(script).at(offset)
    if found is None or any(span.source is not script.source for span in found[0].places):
        return None
    return range_of(found[1], encoding), found[0].name


def rename(script: Script, offset: int, name: str, encoding: str = UTF16) -> lsp.WorkspaceEdit:
    """Another name for a variable, a parameter or a procedure, everywhere in the script.

    Raises ``Refused``.
    """
    names = Names(script)
    found = names.at(offset)
    if found is None:
        raise Refused("only variables, parameters and procedures of the script can be renamed")
    meaning, _ = found
    foreign = next((span for span in meaning.places if span.source is not script.source), None)
    if foreign is not None:
        raise Refused(f"`{meaning.name}` is defined in {foreign.source.name}: rename it there")
    if not _NAME.fullmatch(name) or _RESERVED.fullmatch(name):
        raise Refused(f"`{name}` is no name: letters, digits, `_` and `-`, beginning with a letter")
    if name in KEYWORDS or name == "layers" or operation_named(name) is not None:
        raise Refused(f"`{name}` is a word of the language")
    if any(other.name == name and other is not meaning for other in names.meanings):
        raise Refused(f"there is a `{name}` in this script already")
    spans = sorted({(span.start, span.end): span for span in meaning.places}.items())
    edits = [lsp.TextEdit(range_of(span, encoding), name) for _, span in spans]
    return lsp.WorkspaceEdit(changes={script.uri: edits})
