"""Results of the family data: what was written into a file, and pictures of tables."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result


@dataclass(frozen=True, eq=False)
class Written(Result):
    """A file that was written: how many ``rows`` and ``columns`` (of a text: lines and none), how many ``bytes``."""

    path: str
    rows: int
    columns: int
    bytes: int


@dataclass(frozen=True, eq=False)
class Line(Result):
    """One line of a plot: what it is called, and its points. ``at`` are the names of the places on the horizontal axis
    where these are no numbers (``x`` is 0, 1, 2 … then)."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    at: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Plot(Result):
    """A picture of two columns of a table, a line for each value of the column ``by``. ``left_out`` rows have no number
    there. ``path`` is the file that was drawn into."""

    x: str
    y: str
    by: str | None
    lines: tuple[Line, ...]
    left_out: int
    path: str | None
