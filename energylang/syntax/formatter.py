"""A script as it should look: one indentation, one spacing, one spelling; comments and meaning stay.

The formatter works on the tokens of a script that parses, never on its tree, so that nothing is lost: what stands
between two tokens is blanks, line ends and comments, and all of these are put back in their canonical form.

1. Every line is made of its tokens with canonical blanks between them; breaks inside brackets and after ``\\`` stay.
2. Blocks are indented by four blanks a level; comments go with the block they stand in.
3. Old spellings are replaced (``inject_concept``, ``survey 0``, ``--force --reason why``); which they are, the
   caller says, because this module knows no operations.
4. Comments at the ends of successive lines that were in one column stay in one column.

Laws, tested: formatting twice is formatting once, and what is formatted means what it meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from lark import Token

from energylang.diagnostics.source import Source

from . import ast
from .legacy import end_of_script
from .parser import Parser

INDENT = 4
MAX_BLANK_LINES = 2

Spelling = Callable[[Iterable[ast.Statement]], Mapping[int, tuple[str, str]]]
"""The old spellings in a tree: at which place stands what, and what it should be."""

_TIGHT_BEFORE = frozenset((")", "]", ",", ";", ":"))
_COMMENT = re.compile(r"#[^\n]*")


@dataclass
class _Line:
    """A line that is being written. ``column`` is where its comment stood."""

    level: int
    code: str = ""
    comment: str = ""
    column: int = -1
    source_line: int = -1
    extra: int = 0  # further indentation of a line that continues another

    def text(self) -> str:
        blanks = " " * (INDENT * (self.level + self.extra)) if self.code or self.comment else ""
        return blanks + self.code


@dataclass
class _Writer:
    source: Source
    spelling: Mapping[int, tuple[str, str]]
    lines: list[_Line] = field(default_factory=list)
    widths: list[int] = field(default_factory=lambda: [0])  # the indentation of the open blocks, as it was

    def write(self, tokens: list[Token]) -> str:
        self.current = _Line(0)
        self.depth = 0
        before: Token | None = None
        earlier: Token | None = None
        position = 0
        first = next((token for token in tokens if token.type != "_NL"), None)
        leading = self.source.text[: tokens[0].start_pos or 0] if tokens else self.source.text
        if leading.strip():  # comments before the first statement
            self.comment_line(leading.strip(), 0)
        if tokens and tokens[0].type == "_NL":
            self.comments(str(tokens[0]), 0)
        for index, token in enumerate(tokens):
            start = token.start_pos or 0
            gap = self.source.text[position:start] if position <= start else ""
            if token.type == "_NL":
                self.end(
                    token, gap, position, tokens, index, empty=first is None or start < (first.start_pos or 0)
                )
                before, earlier, position = (
                    (None, None, token.end_pos or 0)
                    if not self.depth
                    else (before, earlier, token.end_pos or 0)
                )
                continue
            if "\\\n" in gap.replace("\r", ""):
                self.current.code += " \\"
                self.flush()
                self.current.extra = 1
                before_here: Token | None = None
            else:
                before_here = before if self.current.code else None
            text = self.respelled(token)
            blank = "" if before_here is None else _blank(before_here, token, earlier)
            if before is not None and before.type == "REASON":
                blank = ""
            self.current.code += blank + text
            if self.current.source_line < 0:
                self.current.source_line = self.source.location(start)[0]
            self.depth += (token in ("(", "[")) - (token in (")", "]"))
            self.depth += (token.type in ("LBRACE", "COMPUTED")) - (token.type == "RBRACE")
            before, earlier, position = token, before, token.end_pos or 0
        if self.current.code:
            self.trailing(self.source.text[position:], position)
            self.flush()
        return self.text()

    def respelled(self, token: Token) -> str:
        start = token.start_pos or 0
        old, new = self.spelling.get(start, ("", ""))
        if old and self.source.text.startswith(old, start):
            return new if len(old) >= len(token) else new + str(token)[len(old) :]
        if token.type == "FORCE":
            return "force=true"
        if token.type == "REASON":
            return "reason="
        return str(token).rstrip() if token.type == "RAW" else str(token)

    # -- lines -------------------------------------------------------------------------------------

    def flush(self) -> None:
        self.lines.append(self.current)
        self.current = _Line(len(self.widths) - 1)

    def trailing(self, gap: str, position: int) -> None:
        """The comment at the end of a line."""
        if match := _COMMENT.search(gap):
            self.current.comment = _comment(match[0])
            line, column = self.source.location(position + match.start())
            self.current.column, self.current.source_line = column, line

    def end(
        self, token: Token, gap: str, position: int, tokens: list[Token], index: int, *, empty: bool
    ) -> None:
        """A line end: of a statement, or inside of brackets."""
        if empty:
            self.next_level(token, tokens, index)
            return
        self.trailing(gap, position)
        if self.depth:
            self.flush()
            for comment in _COMMENT.findall(str(token)):
                self.lines.append(_Line(len(self.widths) - 1, comment=_comment(comment), extra=1))
            following = tokens[index + 1] if index + 1 < len(tokens) else None
            self.current.extra = 0 if following is not None and following in (")", "]", "}") else 1
            return
        old = list(self.widths)
        if self.current.code or self.current.comment:
            self.flush()
        self.next_level(token, tokens, index)
        self.comments(str(token), len(self.widths) - 1, old)
        self.current.level = len(self.widths) - 1

    def next_level(self, token: Token, tokens: list[Token], index: int) -> None:
        """Follow the blocks that begin and end at a line end."""
        if not any(later.type != "_NL" for later in tokens[index + 1 :]):
            self.widths = [0]
            return
        width = 0 if self.source.legacy else len(token.rpartition("\n")[2])
        if width > self.widths[-1]:
            self.widths.append(width)
        while width < self.widths[-1]:
            self.widths.pop()
        self.current.level = len(self.widths) - 1

    def comments(self, text: str, level: int, old: list[int] | None = None) -> None:
        """The empty lines and comments at a line end, each in the block it stands in."""
        blank = 0
        parts = text.split("\n")
        for number, part in enumerate(parts[1:]):
            stripped = part.strip()
            if not stripped.startswith("#"):
                blank += number < len(parts) - 2
                continue
            if blank and self.lines:
                self.lines += [_Line(0)] * min(blank, MAX_BLANK_LINES)
            blank = 0
            column = len(part) - len(part.lstrip())
            widths = old if old is not None and len(old) > len(self.widths) else self.widths
            inside = sum(width <= column for width in widths) - 1
            self.comment_line(stripped, max(level, min(inside, len(widths) - 1)))
        if blank and self.lines:
            self.lines += [_Line(0)] * min(blank, MAX_BLANK_LINES)

    def comment_line(self, text: str, level: int) -> None:
        self.lines.append(_Line(level, comment=_comment(text)))

    # -- all of it -----------------------------------------------------------------------------------

    def text(self) -> str:
        lines = self.lines
        while lines and not lines[-1].code and not lines[-1].comment:
            lines.pop()
        columns = _columns(lines)
        written = []
        for line, column in zip(lines, columns, strict=True):
            code = line.text()
            if "\n" in line.code and line.comment:
                code += f"  {line.comment}"
            elif line.comment and line.code:
                code = code.ljust(column) + line.comment
            elif line.comment:
                code += line.comment
            written.append(code)
        return "\n".join(written) + "\n" if written else ""


def _comment(text: str) -> str:
    text = text.rstrip()
    return f"# {text[1:]}" if re.match(r"#[^\s#!]", text) else text


def _blank(before: Token, token: Token, earlier: Token | None) -> str:
    """The blank between two tokens of one line."""
    value = str(token)
    if value in _TIGHT_BEFORE and token.type not in ("RAW", "WORD", "STRING"):
        return ""
    if before in ("(", "[") or before.type in ("NEGATIVE", "KEY", "DOT", "INDEX", "LBRACE", "COMPUTED"):
        return ""
    if token.type == "RBRACE" or (token.type == "LPAR" and before.type in ("FUNCTION", "METHOD")):
        return ""
    if (
        token.type in ("INDEX", "DOT")
        or value == ".."
        or (before == ".." and before.type not in ("RAW", "WORD"))
    ):
        return ""
    if token.type == "LPAR" and earlier is not None and earlier.type == "DEF":
        return ""
    return " "


def _columns(lines: list[_Line]) -> list[int]:
    """Where the comments at the ends of the lines go: two blanks behind the code, or, where successive ones stood
    in one column, in one column again."""
    columns = [len(line.text()) + 2 for line in lines]
    first = 0
    while first < len(lines):
        last = first
        while (
            last + 1 < len(lines)
            and all(
                line.comment and line.code and "\n" not in line.code
                for line in lines[first : first + 1] + lines[last + 1 : last + 2]
            )
            and lines[last + 1].column == lines[first].column
        ):
            last += 1
        if last > first:
            column = max(columns[first : last + 1])
            columns[first : last + 1] = [column] * (last + 1 - first)
        first = last + 1
    return columns


def format_source(source: Source, parser: Parser, spelling: Spelling) -> str | None:
    """The script in canonical form, or ``None`` when it does not parse."""
    parsed = parser.tokens(source)
    if parsed is None:
        return None
    statements, tokens = parsed
    written = _Writer(source, spelling(statements)).write(tokens)
    return written + source.text[end_of_script(source.text) :] if source.legacy else written
