"""The colours of a script: the tokens of the prompt's lexer, as the protocol's semantic tokens.

What a lexer cannot know, the tree adds: unquoted text is text, and a procedure's name is none of a variable.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from pygments.token import Comment, Keyword, Name, Number, Operator, String

from energylang.repl.lexer import EnergyLexer
from energylang.syntax import ast

from .positions import UTF16, to_place, width
from .script import Script, nodes

KINDS = {
    Comment.Single: "comment",
    String: "string",
    Keyword: "keyword",
    Keyword.Pseudo: "keyword",
    Name.Builtin: "function",
    Name.Class: "class",
    Name.Constant: "enumMember",
    Name.Variable: "property",
    Name.Attribute: "parameter",
    Name: "variable",
    Number: "number",
    Operator: "operator",
}
"""What the protocol calls the lexer's tokens."""

TYPES = list(dict.fromkeys(KINDS.values()))
LIBRARY = "defaultLibrary"
MODIFIERS = [LIBRARY]


def tokens(script: Script) -> Iterator[tuple[int, int, str, bool]]:
    """Start, end and kind of each token, and whether the language itself has it."""
    raw = [node.span for node in nodes(script.program.statements) if isinstance(node, ast.Text) and node.raw]
    starts = [span.start for span in raw]
    procedures = script.checked.procedures
    written = -1
    for start, token, text in EnergyLexer().get_tokens_unprocessed(script.source.text):
        text = text.rstrip("\n")
        kind = KINDS.get(token)
        if not text or start < written:
            continue
        inside = bisect_right(starts, start) - 1
        if inside >= 0 and start < raw[inside].end and text.strip():
            written = raw[inside].end
            yield start, written, "string", False
        elif kind == "parameter":
            yield start, start + len(text) - 1, kind, False  # without the `=`
        elif kind == "variable" and text in procedures:
            yield start, start + len(text), "function", False
        elif kind is not None:
            yield start, start + len(text), kind, token is Name.Builtin


def encoded(script: Script, encoding: str = UTF16) -> list[int]:
    """The tokens as the protocol wants them: five numbers each, the places relative to the token before."""
    numbers: list[int] = []
    last_line = last_column = 0
    for start, end, kind, library in tokens(script):
        line, column = to_place(script.source, start, encoding)
        length = width(script.source.text[start:end], encoding)
        ahead = column - last_column if line == last_line else column
        numbers += [line - last_line, ahead, length, TYPES.index(kind), int(library)]
        last_line, last_column = line, column
    return numbers
