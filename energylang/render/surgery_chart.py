"""Dose and share as an SVG picture: one panel per concept, on the scale of 0 to 100 %.

Plain shapes and text, no fonts or scripts from elsewhere; the same study gives the same bytes.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from energylang.diagnostics.visible import in_line

from .palette import BLUE, FAINT, GREY, GRID, INK, ORANGE, PALE_BLUE, PALE_GREY, PAPER

WIDTH = 1100
COLUMNS = 5
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 64, 44
GAP, TITLE, AXIS = 22, 22, 36  # between panels; above a panel; below it
HEIGHT = 230

MEAN, ONE, RANDOM, RANDOM_MEAN, CHOSEN = BLUE, PALE_BLUE, PALE_GREY, GREY, ORANGE

Point = tuple[float, float]


def svg(study: Mapping[str, Any]) -> str:
    """The picture of a study (see ``energylang.render.surgery``)."""
    models: Sequence[Mapping[str, Any]] = study["models"]
    names = list(models[0]["concepts"]) if models else []
    columns = max(1, min(COLUMNS, len(names)))
    rows = max(1, -(-len(names) // columns))
    wide = (WIDTH - LEFT - RIGHT - GAP * (columns - 1)) / columns
    tall = TITLE + HEIGHT + AXIS
    height = TOP + rows * tall + BOTTOM
    title = f"Installing a concept: dose and share of replies ({_models(models)})"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12" fill="{INK}" role="img" '
        f"aria-label={quoteattr(_printable(title))}>",
        f"<title>{escape(_printable(title))}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>',
        _words(LEFT, 30, title, size=16, weight="bold"),
    ]
    for index, name in enumerate(names):
        row, column = divmod(index, columns)
        box = Panel(LEFT + column * (wide + GAP), TOP + row * tall + TITLE, wide, _farthest(models))
        parts += box.draw(name, [model["concepts"][name]["install"] for model in models], first=column == 0)
    parts += _legend(height - 16, len(models))
    return "\n".join([*parts, "</svg>"]) + "\n"


class Panel:
    """One pair of axes; ``at`` turns a dose and a share into a place."""

    def __init__(self, left: float, top: float, width: float, farthest: float) -> None:
        self.left, self.top, self.width, self.farthest = left, top, width, farthest

    def at(self, point: Point) -> str:
        dose, share = point
        x = self.left + self.width * dose / self.farthest
        y = self.top + HEIGHT * (1 - min(1.0, max(0.0, share)))
        return f"{x:.1f},{y:.1f}"

    def draw(self, name: str, installs: Sequence[Mapping[str, Any]], *, first: bool) -> Iterable[str]:
        """The panel of one concept, one installation per model."""
        yield f'<g class="panel" data-concept={quoteattr(_printable(name))}>'
        yield from self._axes(name, first)
        curves = [curve(install) for install in installs]
        lower, middle, upper = band(installs)
        around = " ".join(map(self.at, [*upper, *reversed(lower)]))
        yield f'<polygon class="random" points="{around}" fill="{RANDOM}"/>'
        yield self._line("random-mean", middle, RANDOM_MEAN, 1)
        base = statistics.fmean(install["share_before"] for install in installs)
        yield self._line("baseline", [(0.0, base), (self.farthest, base)], INK, 1, 'stroke-dasharray="5 4"')
        if len(curves) > 1:
            for one in curves:
                yield self._line("model", one, ONE, 1.2)
        yield self._line("mean", average(curves), MEAN, 3)
        for install in installs:
            if install["within_budget"] and install["dose"] is not None:
                x, y = self.at((install["dose"], install["share_after"])).split(",")
                yield f'<circle class="chosen" cx="{x}" cy="{y}" r="4" fill="{PAPER}" {_stroke(CHOSEN, 1.6)}/>'
        yield "</g>"

    def _axes(self, name: str, first: bool) -> Iterable[str]:
        bottom = self.top + HEIGHT
        shown = name if len(name) * 7.5 <= self.width else name[: int(self.width / 7.5) - 1] + "…"
        yield _words(self.left + self.width / 2, self.top - 8, shown, size=13, weight="bold", anchor="middle")
        for share in (0, 25, 50, 75, 100):
            y = self.top + HEIGHT * (1 - share / 100)
            yield f'<path d="M{self.left:.1f} {y:.1f}h{self.width:.1f}" {_stroke(GRID, 1)}/>'
            if first:
                yield _words(self.left - 6, y + 4, f"{share} %", anchor="end", color=FAINT)
        for dose in ticks(self.farthest):
            x, _ = self.at((dose, 0)).split(",")
            yield f'<path d="M{x} {bottom:.1f}v4" {_stroke(FAINT, 1)}/>'
            yield _words(float(x), bottom + 17, f"{dose:g}", anchor="middle", color=FAINT)
        yield f'<path d="M{self.left:.1f} {bottom:.1f}h{self.width:.1f}" {_stroke(FAINT, 1)}/>'
        yield _words(self.left + self.width / 2, bottom + 32, "dose", anchor="middle", color=FAINT)
        if first:
            y = self.top + HEIGHT / 2
            turned = f'transform="rotate(-90 16 {y:.1f})"'
            yield _words(16, y, "share of replies", anchor="middle", color=FAINT, more=turned)

    def _line(self, kind: str, points: Sequence[Point], color: str, width: float, more: str = "") -> str:
        places = " ".join(map(self.at, points))
        return f'<polyline class="{kind}" points="{places}" fill="none" {_stroke(color, width)} {more}/>'


# ---------------------------------------------------------------------------------------------- numbers


def curve(install: Mapping[str, Any]) -> list[Point]:
    """(dose, share) of one installation, from the share before it at dose 0."""
    return [(0.0, install["share_before"]), *((step["dose"], step["share"]) for step in install["doses"])]


def average(curves: Sequence[Sequence[Point]]) -> list[Point]:
    """The mean of curves over the same doses."""
    return [(rank[0][0], statistics.fmean(share for _, share in rank)) for rank in zip(*curves, strict=True)]


def band(installs: Sequence[Mapping[str, Any]]) -> tuple[list[Point], list[Point], list[Point]]:
    """Mean − std, mean and mean + std of the random edits over dose: means over the models, where the spread is the
    root of the mean variance within a model."""
    base = statistics.fmean(install["share_before"] for install in installs)
    lower, middle, upper = [(0.0, base)], [(0.0, base)], [(0.0, base)]
    for steps in zip(*(install["doses"] for install in installs), strict=True):
        dose = steps[0]["dose"]
        mean = statistics.fmean(step["placebo_mean"] for step in steps)
        spread = statistics.fmean(step["placebo_std"] ** 2 for step in steps) ** 0.5
        lower.append((dose, mean - spread))
        middle.append((dose, mean))
        upper.append((dose, mean + spread))
    return lower, middle, upper


def ticks(farthest: float) -> list[float]:
    """At most five round doses from 0 on."""
    step = next((s for s in (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0) if farthest / s <= 4), farthest)
    return [k * step for k in range(int(farthest / step + 1e-9) + 1)]


def _farthest(models: Sequence[Mapping[str, Any]]) -> float:
    found = [install for model in models for install in (c["install"] for c in model["concepts"].values())]
    doses = [step["dose"] for install in found for step in install["doses"]]
    return max([*doses, *(install["dose"] or 0.0 for install in found)], default=1.0) or 1.0


# ----------------------------------------------------------------------------------------------- pieces


def _models(models: Sequence[Mapping[str, Any]]) -> str:
    return str(models[0]["model"]) if len(models) == 1 else f"{len(models)} models"


def _legend(y: float, models: int) -> Iterable[str]:
    entries = [
        ("mean", "installed" if models == 1 else f"installed, mean over {models} models"),
        *([("one", "one model")] if models > 1 else []),
        ("random", "random edits of the same norm (mean ± std)"),
        ("base", "before any edit"),
        ("chosen", "largest dose within the loss budget"),
    ]
    x = float(LEFT)
    for kind, text in entries:
        if kind == "random":
            yield f'<rect x="{x:.1f}" y="{y - 10:.1f}" width="22" height="12" fill="{RANDOM}"/>'
            yield f'<path d="M{x:.1f} {y - 4:.1f}h22" {_stroke(RANDOM_MEAN, 1)}/>'
        elif kind == "chosen":
            yield (
                f'<circle cx="{x + 16:.1f}" cy="{y - 4:.1f}" r="4" fill="{PAPER}" {_stroke(CHOSEN, 1.6)}/>'
            )
        else:
            color, width = {"mean": (MEAN, 3.0), "one": (ONE, 1.2), "base": (INK, 1.0)}[kind]
            dashes = ' stroke-dasharray="5 4"' if kind == "base" else ""
            yield f'<path d="M{x:.1f} {y - 4:.1f}h22" {_stroke(color, width)}{dashes}/>'
        yield _words(x + 28, y, text)
        x += 28 + 6.3 * len(text) + 18


def _stroke(color: str, width: float) -> str:
    return f'stroke="{color}" stroke-width="{width:g}"'


def _words(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 12,
    weight: str = "normal",
    anchor: str = "start",
    color: str = INK,
    more: str = "",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{color}" {more}>{escape(_printable(text))}</text>'
    )


def _printable(text: str) -> str:
    """What XML does not allow, and what a reader would obey, is shown escaped."""
    return in_line(text)
