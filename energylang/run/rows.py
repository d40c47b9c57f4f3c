"""What a cell of a sweep gives: rows of its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from energylang.results import Record, Result, Table

VALUE = "value"
"""The column of what is no record."""
ERROR = "error"
"""The column that says why a cell failed."""


def rows_of(value: Any) -> list[Record]:
    """A value as rows: those of a table, of a result as a table or of a list of records; any other in a column of its
    own."""
    if isinstance(value, Result):
        return list(value.table.records)
    if isinstance(value, Record):
        return [value]
    if isinstance(value, list | tuple) and value and all(isinstance(item, Record | Result) for item in value):
        return [row for item in value for row in rows_of(item)]
    return [Record({VALUE: value})]


def in_cell(values: Mapping[str, Any], row: Mapping[str, Any]) -> Record:
    """A row with the values of the cell before it; what is a record there gives its fields."""
    columns: dict[str, Any] = {}
    for name, value in values.items():
        columns |= dict(value) if isinstance(value, Record) else {name: value}
    return Record({**columns, **{name: item for name, item in row.items() if name not in columns}})


def with_errors_last(rows: Sequence[Record]) -> Table:
    """The table of cells of which some may have failed: what is wrong with them stands in the last column."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = tuple(name for name in names if name != ERROR) + ((ERROR,) if ERROR in names else ())
    return Table(columns, tuple(tuple(row.get(name) for name in columns) for row in rows))
