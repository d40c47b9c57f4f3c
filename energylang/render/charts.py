"""Plots of tables: dots in a terminal, a picture (matplotlib), or an interactive page (plotly)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from rich.text import Text

from energylang import results
from energylang.diagnostics.visible import in_line

from .page import page as page_of
from .palette import KINDS
from .plots import SYMBOLS, empty
from .still import still

if TYPE_CHECKING:
    import plotly.graph_objects as go

SHADES = ("cyan", "yellow", "green", "magenta", "blue", "red", "white")
WIDTH, HEIGHT = 60, 14
WIDE = 720  # pixels of a still picture
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


def terminal(found: results.Plot) -> Text:
    """The lines as dots (2 × 4 to a character), with the numbers at the ends of the axes and the lines' names."""
    low, high = _range([y for line in found.lines for y in line.y])
    left, right = _range([x for line in found.lines for x in line.x])
    dots = [[0] * WIDTH for _ in range(HEIGHT)]
    shade = [[""] * WIDTH for _ in range(HEIGHT)]
    for number, line in enumerate(found.lines):
        places = [
            (
                round((x - left) / (right - left) * (2 * WIDTH - 1)),
                round((high - y) / (high - low) * (4 * HEIGHT - 1)),
            )
            for x, y in zip(line.x, line.y, strict=True)
        ]
        for column, row in _joined(places):
            dots[row // 4][column // 2] |= _DOTS[row % 4][column % 2]
            shade[row // 4][column // 2] = SHADES[number % len(SHADES)]
    top, bottom = f"{high:.4g}", f"{low:.4g}"
    margin = max(len(top), len(bottom))
    text = Text(f"{found.y}\n", style="dim")
    for row in range(HEIGHT):
        label = top if row == 0 else bottom if row == HEIGHT - 1 else ""
        text.append(f"{label.rjust(margin)} │", style="dim")
        for column in range(WIDTH):
            here = dots[row][column]
            text.append(chr(0x2800 + here) if here else " ", style=shade[row][column])
        text.append("\n")
    text.append(" " * margin + " └" + "─" * WIDTH + "\n", style="dim")
    names = found.lines[0].at
    ends = (names[0], names[-1]) if names else (f"{left:.4g}", f"{right:.4g}")
    middle = found.x.center(max(0, WIDTH - len(ends[0]) - len(ends[1])))
    text.append(" " * (margin + 2) + ends[0] + middle + ends[1], style="dim")
    if found.by is not None:
        text.append(f"\n{found.by}: ", style="dim")
        for number, line in enumerate(found.lines):
            text.append(f"⠿ {line.name}  ", style=SHADES[number % len(SHADES)])
    return text


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if not (math.isfinite(low) and math.isfinite(high)):
        finite = [value for value in values if math.isfinite(value)] or [0.0]
        low, high = min(finite), max(finite)
    return (low, high) if high > low else (low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2)


def _joined(places: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """The dots of a line through these places."""
    found = {(column, min(max(row, 0), 4 * HEIGHT - 1)) for column, row in places}
    for (x, y), (to_x, to_y) in pairwise(places):
        steps = max(abs(to_x - x), abs(to_y - y), 1)
        for step in range(0, steps + 1, 2 if steps > 8 else 1):
            row = min(max(round(y + (to_y - y) * step / steps), 0), 4 * HEIGHT - 1)
            found.add((round(x + (to_x - x) * step / steps), row))
    return {(min(max(column, 0), 2 * WIDTH - 1), row) for column, row in found}


def figure(found: results.Plot) -> go.Figure:
    """A line, a marker and a colour for each value of ``by``; needs plotly."""
    made = empty(
        f"{in_line(found.y)} over {in_line(found.x)}", in_line(found.x), in_line(found.y), height=460
    )
    for number, line in enumerate(found.lines):
        colour = KINDS[number % len(KINDS)]
        made.add_scatter(
            x=[line.at[int(x)] for x in line.x] if line.at else line.x,
            y=line.y,
            name=line.name if found.by is None else f"{found.by} {line.name}",
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker={"color": colour, "symbol": SYMBOLS[number % len(SYMBOLS)], "size": 7},
        )
    made.update_layout(showlegend=found.by is not None)
    return made


def image(found: results.Plot, suffix: str) -> bytes:
    """A picture as .svg, .png or .pdf; needs plotly and matplotlib."""
    return still(figure(found), suffix.removeprefix("."), width=WIDE)


def page(found: results.Plot) -> bytes:
    """An interactive plot that needs no network, as HTML; needs plotly."""
    return page_of(figure(found), name="plot")
