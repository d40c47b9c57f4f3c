"""From a value to its picture: one function, chosen by the value's type."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from energylang import results

from .marks import table


@singledispatch
def render(value: Any) -> RenderableType:
    """A value as something rich can print."""
    if isinstance(value, list | tuple):
        if value and all(isinstance(item, results.Record) for item in value):
            return render(results.table_of(value))
        from energylang.run.arithmetic import shown

        return Text(shown(value))
    if isinstance(value, bool):
        return Text("true" if value else "false")
    if isinstance(value, float):
        return Text(f"{value:.6g}")
    return Text(str(value))


@render.register
def _(value: results.Result) -> RenderableType:
    rows = table("", "")
    for name, item in value.items():
        rows.add_row(Text(name, style="dim"), Text(str(item)))
    return rows
