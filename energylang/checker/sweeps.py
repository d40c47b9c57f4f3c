"""What the cells of a sweep give, as columns of its table.

A sweep is checked as loops within each other whose innermost block is walked from the state before the sweep every
time (``program``). Its columns are its variables, and those of its ``row``s, or of the value that a cell ends with.
"""

from __future__ import annotations

from energylang.diagnostics.source import Span
from energylang.signature import types as t
from energylang.syntax import ast

from .tables import table_type
from .walk import Swept, Walk

VALUE = "value"


def axis_columns(walk: Walk, axis: ast.Axis, item: t.Type) -> tuple[tuple[str, t.Type], ...]:
    """The columns of a variable of a sweep: its own, or the fields of a record."""
    if isinstance(item, t.RecordOf):
        return item.entries or ()
    if isinstance(t.present(item), t.Record | t.TableOf) and t.present(item) != t.SURVEYED:
        walk.problems.add("EL201", f"a cell of a table holds one value, and `{axis.name}` is {item}", axis.items.span,
                          help="go through numbers, layers, texts or records")  # fmt: skip
    return ((axis.name, item),)


def ends_with(walk: Walk, swept: Swept, kind: t.Type | None, span: Span) -> None:
    """A cell without a ``row`` ends with a value of this type (``None``: with none)."""
    if kind is None or isinstance(kind, t.Perhaps) or kind in (t.NOTHING, t.NONE):
        walk.problems.add(
            "EL217", "the cells of this sweep give nothing for its table", span,
            help="end the block with a value (`verify l seed seed`), or with `row cosine=v.cosine kept=e.applied`",
        )  # fmt: skip
        return
    if t.unknown(kind):
        swept.kind = t.TABLE
        return
    table = table_type(kind) or t.table_of(((VALUE, kind),))
    row = t.record_of(table.columns)
    grown = t.with_row(swept.kind, row) if isinstance(row, t.RecordOf) else t.TABLE
    swept.kind = t.TABLE if isinstance(grown, str) else grown


def table_of_sweep(swept: Swept) -> t.TableOf:
    """The type of the whole table: the variables' columns first."""
    if swept.kind.columns is None:
        return t.TABLE
    first = dict(swept.columns)
    return t.table_of((*first.items(), *(item for item in swept.kind.columns if item[0] not in first)))
