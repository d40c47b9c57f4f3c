"""From finished cells to tables: one row for each that they gave, and the mean and spread over seeds.

The rows of a sweep are grouped by its parameters (but for the one that is averaged over, ``seed``) and by columns of
texts, such as layers; numbers are averaged, and yes and no as shares. The spread is the standard deviation of a
sample, as the language's ``std`` gives it; there is none for one. Cells that failed are in the first table with what
was wrong, and counted in the second.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from energylang import results
from energylang.errors import ElError
from energylang.run.functions import calculated
from energylang.run.rows import ERROR, in_cell, with_errors_last
from energylang.signature.coerce import suggestion

N, FAILED = "n", "failed"


@dataclass(frozen=True)
class Summary:
    """``table`` has a row for each condition: ``keys``, ``n``, and for each of the ``measures`` its mean and spread."""

    keys: tuple[str, ...]
    measures: tuple[str, ...]
    table: results.Table

    @property
    def shown(self) -> results.Table:
        """The same for people: ``0.93 ± 0.02``."""
        columns = (*self.keys, N, *self.measures, *((FAILED,) if FAILED in self.table.columns else ()))
        rows = []
        for row in self.table.records:
            pairs = [_with_spread(row[f"{name}_mean"], row[f"{name}_std"]) for name in self.measures]
            rows.append(
                (*(row[name] for name in (*self.keys, N)), *pairs, *([row[FAILED]] if FAILED in row else []))
            )
        return results.Table(columns, tuple(rows))


def _with_spread(mean: float | None, spread: float | None) -> str:
    if mean is None:
        return "–"
    return f"{mean:.4g}" if spread is None else f"{mean:.4g} ± {spread:.2g}"


def all_rows(cells: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> results.Table:
    """The rows of all cells (their values, and what is written of them), in the order of the sweep."""
    rows: list[results.Record] = []
    for values, found in cells:
        if found["error"]:
            rows.append(in_cell(values, {ERROR: found["error"]}))
        else:
            rows += [in_cell(values, row) for row in found["rows"]]
    return with_errors_last(rows)


def summarised(
    table: results.Table, parameters: Sequence[str], over: Sequence[str], by: Sequence[str] = ()
) -> Summary:
    """The means over all rows that agree in their conditions: the parameters but for ``over``, columns of texts, and
    those of ``by``. Raises ``ElError`` for a column that is not there."""
    for name in by:
        if name not in table.columns:
            known = ", ".join(table.columns)
            raise ElError(
                f"the table has no column `{name}`",
                code="EL205",
                hint=suggestion(name, table.columns) or f"its columns: {known}",
            )
    others = [name for name in table.columns if name not in parameters and name != ERROR]
    measures = tuple(name for name in others if name not in by and _measured(table.column(name)))
    texts = [
        name for name in others if name in by or any(isinstance(item, str) for item in table.column(name))
    ]
    keys = (*(name for name in parameters if name not in over), *texts)
    conditions = [name for name in parameters if name not in over]
    groups = _grouped(table, keys, conditions)
    rows = []
    for key, (good, failed) in groups.items():
        numbers = [item for name in measures for item in _mean_and_spread([row[name] for row in good])]
        rows.append((*key, len(good), *numbers, *([failed] if ERROR in table.columns else [])))
    columns = (*keys, N, *(f"{name}_{what}" for name in measures for what in ("mean", "std")))
    last = (FAILED,) if ERROR in table.columns else ()
    return Summary(keys, measures, results.Table((*columns, *last), tuple(rows)))


def _grouped(
    table: results.Table, keys: Sequence[str], conditions: Sequence[str]
) -> dict[tuple[Any, ...], tuple[list[results.Record], int]]:
    """The rows that agree in the keys, and how many cells failed there, in the order of the sweep. A cell that failed
    has no texts: it counts wherever its parameters are those of the others."""
    order: dict[tuple[Any, ...], int] = {}
    found: dict[tuple[Any, ...], tuple[list[results.Record], int]] = {}
    failed: list[results.Record] = []
    for row in table.records:
        order.setdefault(tuple(row[name] for name in conditions), len(order))
        if row.get(ERROR) is None:
            found.setdefault(tuple(row[name] for name in keys), ([], 0))[0].append(row)
        else:
            failed.append(row)
    for row in failed:
        place = tuple(row[name] for name in conditions)
        alike = [key for key in found if key[: len(place)] == place] or [tuple(row[name] for name in keys)]
        for key in alike:
            good, count = found.get(key, ([], 0))
            found[key] = good, count + 1
    return dict(sorted(found.items(), key=lambda item: order[item[0][: len(conditions)]]))


def _measured(column: Sequence[Any]) -> bool:
    full = [item for item in column if item is not None]
    return bool(full) and all(isinstance(item, bool | int | float) for item in full)


def _mean_and_spread(column: Sequence[Any]) -> tuple[float | None, float | None]:
    full = [float(item) for item in column if item is not None]
    if not full or not all(map(math.isfinite, full)):
        return None, None
    return calculated("mean", [full]), calculated("std", [full])


def picture(summary: Summary, x: str | None, y: str | None) -> results.Plot | None:
    """The mean of a measure over a condition, with a line for each value of another; ``None`` where there is nothing to
    draw. Raises ``ElError`` for a name that is none of theirs."""
    for name, known, what in ((x, summary.keys, "--x"), (y, summary.measures, "--y")):
        if name is not None and name not in known:
            raise ElError(f"{what} {name} is not in the table", code="EL205",
                          hint=suggestion(name, known) or f"there is {', '.join(known) or 'nothing'}")  # fmt: skip
    if not summary.keys or not summary.measures:
        return None
    across, measure = x or summary.keys[0], y or summary.measures[0]
    by = next((name for name in summary.keys if name != across), None)
    named = results.Table(
        tuple(
            name.removesuffix("_mean") if name == f"{measure}_mean" else name
            for name in summary.table.columns
        ),
        summary.table.rows,
    )
    lines, left_out = results.lines_of(named, across, measure, by)
    return results.Plot(across, measure, by, lines, left_out, None) if lines else None
