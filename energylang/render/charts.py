"""Plots of tables: dots in a terminal, a picture (matplotlib), or an interactive page (plotly)."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from rich.text import Text

from energylang import results

from .plots import BLUE, GREEN, GREY, ORANGE, SKY, _figure

COLOURS = (BLUE, ORANGE, GREEN, SKY, "#CC79A7", "#E69F00", GREY, "#000000")
SHADES = ("cyan", "yellow", "green", "magenta", "blue", "red", "white")
MARKS = ("o", "s", "D", "^", "v", "P", "X", "*")
WIDTH, HEIGHT = 60, 14
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


def image(found: results.Plot, suffix: str) -> bytes:
    """A picture as .svg, .png or .pdf; needs matplotlib."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    settings: Any = {"svg.hashsalt": "energylang", "svg.fonttype": "none", "font.size": 11,
                "axes.spines.top": False, "axes.spines.right": False}  # fmt: skip
    with plt.rc_context(settings):
        figure, axes = plt.subplots(figsize=(6.4, 4.0), dpi=150, layout="constrained")
        for number, line in enumerate(found.lines):
            axes.plot(line.x, line.y, color=COLOURS[number % len(COLOURS)], marker=MARKS[number % len(MARKS)],
                      markersize=4.5, linewidth=1.6, label=line.name)  # fmt: skip
        names = found.lines[0].at
        if names:
            every = max(1, math.ceil(len(names) / 16))
            axes.set_xticks(range(0, len(names), every), names[::every])
        axes.set_xlabel(found.x)
        axes.set_ylabel(found.y)
        axes.grid(visible=True, color="#ECECEC", linewidth=0.8)
        axes.set_axisbelow(True)
        if found.by is not None:
            axes.legend(title=found.by, frameon=False, fontsize=9, title_fontsize=9)
        target = io.BytesIO()
        fixed = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        figure.savefig(target, format=suffix.removeprefix("."), metadata=fixed.get(suffix))
        plt.close(figure)
    return target.getvalue()


def page(found: results.Plot) -> bytes:
    """An interactive plot that needs no network, as HTML; needs plotly."""
    figure = _figure(f"{found.y} over {found.x}", found.x, found.y)
    for number, line in enumerate(found.lines):
        figure.add_scatter(
            x=[line.at[int(x)] for x in line.x] if line.at else line.x, y=line.y, name=line.name,
            mode="lines+markers", line={"color": COLOURS[number % len(COLOURS)]},
        )  # fmt: skip
    text: str = figure.to_html(include_plotlyjs=True)
    return text.encode()
