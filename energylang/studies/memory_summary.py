"""What a study of memory edits amounts to: means and spreads, and which bars are met.  (PURE: no torch.)

Every bar is judged on the mean over all concepts, layers and seeds, and shown for each concept. A figure that is not
there (no contrasts, no list of words) is no bar met.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]

SHOWN = ("share", "words", "texts", "contrast", "kept", "own", "unlikely", "distinct", "held-out")


@dataclass(frozen=True)
class Bar:
    """``figure`` of a row, against a ``limit`` that it reaches or (``most``) does not exceed."""

    name: str
    figure: Callable[[Row], float | None]
    limit: float
    most: bool = False

    def met(self, value: float | None) -> bool:
        return value is not None and (value <= self.limit if self.most else value >= self.limit)


def _edit(name: str) -> Callable[[Row], float | None]:
    return lambda row: row["edit"].get(name)


def over_random(row: Row) -> float | None:
    """By how much the share rises above that of random values."""
    if not row["random"]:
        return None
    value: float = row["edit"]["share"] - statistics.fmean(each["share"] for each in row["random"])
    return value


def _over_steering(row: Row) -> float | None:
    value: float = row["edit"]["share"] - row["steering"]["share"]
    return value


BARS = (
    Bar("the concept's texts are likelier, nats per token", _edit("texts"), 0.6),
    Bar("… than its contrasts", _edit("contrast"), 0.6),
    Bar("replies that are the concept", _edit("share"), 0.25),
    Bar("… above random values", over_random, 0.15),
    Bar("… above steering of equal cost", _over_steering, 0.15),
    Bar("cost on replies that are to stay, nats per token", _edit("kept"), 0.03, most=True),
    Bar("cost on held-out text, nats per token", _edit("held-out"), 0.02, most=True),
)


def summarise(cells: Sequence[Row]) -> dict[str, Any]:
    """By concept, by layer and over all: of every figure the mean and the standard deviation (``None`` of one)."""
    return {
        "concepts": {name: _means(rows) for name, rows in grouped(cells, "concept").items()},
        "layers": {name: _means(rows) for name, rows in grouped(cells, "layers").items()},
        "all": _means(cells) if cells else None,
        "bars": [_judged(bar, cells) for bar in BARS],
        "undone": sum(bool(row["undone"]) for row in cells),
        "cells": len(cells),
    }


def grouped(cells: Sequence[Row], by: str) -> dict[Any, list[Row]]:
    """The cells by their concept or layers, in the order in which these come first."""
    found: dict[Any, list[Row]] = {}
    for row in cells:
        found.setdefault(row[by], []).append(row)
    return found


def figures(cells: Sequence[Row]) -> list[str]:
    """The names of what is shown of every edit: those that there always are, and the losses of further texts."""
    more = [name for row in cells for name in row["before"] if name not in (*SHOWN, "contrasts")]
    return [*SHOWN, *dict.fromkeys(more)]


def _means(rows: Sequence[Row]) -> dict[str, Any]:
    found: dict[str, Any] = {"n": len(rows), "before": spread([row["before"]["share"] for row in rows])}
    for kind in ("edit", "steering"):
        found[kind] = {name: spread([row[kind].get(name) for row in rows]) for name in figures(rows)}
    found["random"] = {
        name: spread([each.get(name) for row in rows for each in row["random"]])
        for name in ("share", "words", "texts", "contrast")
    }
    found["within"] = sum(bool(row["within"]) for row in rows)
    return found


def spread(values: Sequence[float | None]) -> tuple[float, float | None] | None:
    """Mean and standard deviation of those that are there."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None


def _judged(bar: Bar, cells: Sequence[Row]) -> dict[str, Any]:
    mean = spread([bar.figure(row) for row in cells])
    value = None if mean is None else mean[0]
    by_concept = {}
    for name, rows in grouped(cells, "concept").items():
        here = spread([bar.figure(row) for row in rows])
        by_concept[name] = None if here is None else here[0]
    missed = [name for name, each in by_concept.items() if not bar.met(each)]
    return {"name": bar.name, "limit": bar.limit, "most": bar.most, "value": value, "met": bar.met(value),
            "missed": missed}  # fmt: skip
