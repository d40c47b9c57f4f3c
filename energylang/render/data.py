"""Pictures: tables, records, what was written, plots."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from energylang import results
from energylang.results.table import said

from .charts import terminal
from .dispatch import render

SHOWN = 60
LONG = 60


@render.register
def table(found: results.Table) -> RenderableType:
    if not found.columns:
        return Text("an empty table", style="dim")
    grid = Table(box=None, pad_edge=False, header_style="dim", show_edge=False)
    for name in found.columns:
        numbers = all(item is None or _is_number(item) for item in found.column(name))
        grid.add_column(Text(name), justify="right" if numbers else "left", no_wrap=numbers)
    for row in found.rows[:SHOWN]:
        grid.add_row(*(Text(_short(said(item))) for item in row))
    if len(found.rows) <= SHOWN:
        return grid
    more = f'… {len(found.rows) - SHOWN:,} rows more; `write t "all.csv"` writes them all'
    return Group(grid, Text(more, style="dim"))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(text: str) -> str:
    return text if len(text) <= LONG else f"{text[: LONG - 1]}…"


@render.register
def record(value: results.Record) -> RenderableType:
    return table(results.table_of([value]))


@render.register
def written(made: results.Written) -> RenderableType:
    what = (
        f"{made.rows:,} rows of {made.columns} columns"
        if made.columns
        else f"{made.rows:,} line{'' if made.rows == 1 else 's'}"
    )
    return Text.assemble(("✓ ", "green"), f"{made.path}   {what}, {made.bytes:,} bytes")


@render.register
def plot(found: results.Plot) -> RenderableType:
    left = (
        Text(f"{found.left_out} rows without a number are left out", style="dim") if found.left_out else None
    )
    points = sum(len(line.x) for line in found.lines)
    if found.path is not None:
        lines = f"{len(found.lines)} line{'' if len(found.lines) == 1 else 's'}"
        head = Text.assemble(("✓ ", "green"), f"{found.path}   {lines}, {points} points")
    else:
        head = terminal(found)
    return Group(head, left) if left else head
