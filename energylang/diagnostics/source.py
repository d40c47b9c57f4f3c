"""Where a piece of a script is: the text it came from and the place in it.

A ``Source`` is one file (or one line typed at a prompt). A ``Span`` is a half-open range of its
characters. Every node of the syntax tree and every diagnostic carries a span, so that whoever reports
something can point at it. Offsets count characters from 0; lines and columns, for people, count from 1.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path


def decode(data: bytes) -> str:
    """The text of a file: UTF-8, with or without a byte order mark, whatever its line ends.

    Raises ``UnicodeDecodeError``.
    """
    return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


@dataclass(frozen=True, eq=False)
class Source:
    """The text of a script and the name to show for it.

    ``base`` is the folder against which relative paths in the script are resolved
    (``None``: the working directory).
    """

    text: str
    name: str = "<input>"
    base: Path | None = None

    @property
    def legacy(self) -> bool:
        """Is this a command script of the published tool? Its lines are stripped, and its commands may be
        written in capitals."""
        return self.name.endswith(".hlm")

    @cached_property
    def line_starts(self) -> list[int]:
        starts = [0]
        starts.extend(i + 1 for i, char in enumerate(self.text) if char == "\n")
        return starts

    def location(self, offset: int) -> tuple[int, int]:
        """Line and column, both from 1, of a character offset."""
        line = bisect_right(self.line_starts, offset) - 1
        return line + 1, offset - self.line_starts[line] + 1

    def line(self, number: int) -> str:
        """The text of a line (from 1) without its end."""
        start = self.line_starts[number - 1]
        end = self.line_starts[number] - 1 if number < len(self.line_starts) else len(self.text)
        return self.text[start:end].rstrip("\r")


@dataclass(frozen=True)
class Span:
    """The characters ``start`` to ``end`` (exclusive) of a source."""

    start: int
    end: int
    source: Source = field(repr=False, compare=False)

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of another."""
        return Span(self.start, max(self.end, other.end), self.source)

    def start_location(self) -> tuple[int, int]:
        return self.source.location(self.start)

    def end_location(self) -> tuple[int, int]:
        return self.source.location(self.end)
