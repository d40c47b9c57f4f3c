"""Places in a text as the protocol counts them, and as this package does.

The protocol counts lines from 0 and columns in units of an encoding: UTF-16 unless the editor asks for another, so an
emoji is two columns wide. This package counts characters from the start of the text.
"""

from __future__ import annotations

from energylang.diagnostics.source import Source

UTF8, UTF16, UTF32 = "utf-8", "utf-16", "utf-32"


def same_lines(text: str) -> str:
    """The text with one kind of line end. Lines and columns stay what they were."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def width(text: str, encoding: str = UTF16) -> int:
    """How many units a piece of a line takes."""
    if encoding == UTF32 or text.isascii():
        return len(text)
    if encoding == UTF8:
        return len(text.encode("utf-8", "surrogatepass"))
    return len(text) + sum(char > "\uffff" for char in text)


def characters(line: str, units: int, encoding: str = UTF16) -> int:
    """How many characters of a line the first ``units`` are; what ends inside of a character ends before it."""
    if encoding == UTF32 or line.isascii():
        return min(max(units, 0), len(line))
    taken = 0
    for index, char in enumerate(line):
        taken += width(char, encoding)
        if taken > units:
            return index
    return len(line)


def to_place(source: Source, offset: int, encoding: str = UTF16) -> tuple[int, int]:
    """Line and column, as the protocol counts them, of a character."""
    offset = min(max(offset, 0), len(source.text))
    line, column = source.location(offset)
    return line - 1, width(source.line(line)[: column - 1], encoding)


def to_offset(source: Source, line: int, column: int, encoding: str = UTF16) -> int:
    """The character at a line and column; the nearest one where there are none."""
    if line < 0:
        return 0
    if line >= len(source.line_starts):
        return len(source.text)
    return source.line_starts[line] + characters(source.line(line + 1), column, encoding)
