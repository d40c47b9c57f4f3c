"""What was read, compared with what the checker saw in the file."""

from __future__ import annotations

from typing import Any

from energylang.checker.scope import type_of_value
from energylang.errors import ElError
from energylang.results import Table
from energylang.signature import types as t
from energylang.signature.coerce import describe


def as_checked(table: Table, shape: t.Type) -> Table:
    """The table with cells of the types that the checker counts on. Raises ``ElError`` EL503 where there are others."""
    if not isinstance(shape, t.TableOf) or not shape.columns:
        return table
    known = dict(shape.columns)
    for name, kind in known.items():
        if name not in table.columns and not isinstance(kind, t.Maybe) and table.rows:
            raise _changed(f"the column `{name}` is gone")
    cells = [
        [_fitting(item, known[name], name) for item in table.column(name)]
        if name in known
        else table.column(name)
        for name in table.columns
    ]
    return Table(table.columns, tuple(zip(*cells, strict=True)))


def _fitting(item: Any, kind: t.Type, name: str) -> Any:
    held = t.present(kind)
    if isinstance(kind, t.Maybe) and (item is None or (item == "" and held != t.TEXT)):
        return None
    if held == t.TEXT and isinstance(item, int | float):
        return ("true" if item else "false") if isinstance(item, bool) else str(item)
    if held == t.TEXT and item is None:
        return ""
    if not t.fits(type_of_value(item), held):
        raise _changed(f"`{name}` holds {describe(item)}, where it held {kind}")
    return item


def _changed(what: str) -> ElError:
    return ElError(f"the file is not what it was when the script was checked: {what}", code="EL503",
                   hint="run the script again: it is checked anew")  # fmt: skip
