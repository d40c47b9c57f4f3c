"""Tables and records: what a script puts together itself, and every result as a table.

A table is a list of rows that have the same columns; it never changes, adding a row makes another one. A cell holds a
number, a text, a boolean, a reference (``L3``, ``L3.B7``, a concept), a list or a record, or nothing (``None``).
"""

from __future__ import annotations

import types as pytypes
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from .base import Result
from .data import Line

_SCALARS = (bool, int, float, str)
_ONE_ROW = frozenset(
    "Edit Basin ConceptInfo Diff CausalEffect CounterfactualEffect Effect Probe Generation Intervened".split()
)
"""Results whose own numbers are of more use in a table than the records that they hold."""
_SHOWN = 50


class Record(Mapping[str, Any]):
    """Values under names, ``{a: 1, b: 2}``; it never changes."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, Any]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(tuple(self._items))

    def __repr__(self) -> str:
        return f"Record({self._items!r})"

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {name: cell(value) for name, value in self._items.items()}


@dataclass(frozen=True, eq=False)
class Table(Result):
    """Rows that have the same columns. ``rows[i][j]`` is the cell of column ``j``, ``None`` where there is none."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()

    @property
    def table(self) -> Table:
        return self

    @property
    def records(self) -> list[Record]:
        """The rows, each as a record."""
        return [Record(dict(zip(self.columns, row, strict=True))) for row in self.rows]

    def column(self, name: str) -> list[Any]:
        """The cells of a column; a table without it has nothing there."""
        if name not in self.columns:
            return [None] * len(self.rows)
        place = self.columns.index(name)
        return [row[place] for row in self.rows]

    def with_row(self, values: Mapping[str, Any]) -> Table:
        """The table with a row more; columns that are new are empty in the rows before."""
        new = tuple(name for name in values if name not in self.columns)
        columns = self.columns + new
        rows = tuple((*row, *(None for _ in new)) for row in self.rows) if new else self.rows
        return Table(columns, (*rows, tuple(values.get(name) for name in columns)))

    def to_dict(self, *, volatile: bool = True) -> dict[str, Any]:
        """Plain data: the columns, and the rows as lists."""
        return {"columns": list(self.columns), "rows": [[cell(item) for item in row] for row in self.rows]}

    def __str__(self) -> str:
        """The table in columns, as ``print`` shows it."""
        lines = [list(self.columns), *([said(item) for item in row] for row in self.rows[:_SHOWN])]
        widths = [max(len(line[place]) for line in lines) for place in range(len(self.columns))]
        numeric = [all(_is_number(row[place]) for row in self.rows) for place in range(len(self.columns))]
        written = [
            "  ".join(
                text.rjust(width) if right else text.ljust(width)
                for text, width, right in zip(line, widths, numeric, strict=True)
            ).rstrip()
            for line in lines
        ]
        if len(self.rows) > _SHOWN:
            written.append(f"… {len(self.rows) - _SHOWN:,} rows more")
        return "\n".join(written) if self.columns else "an empty table"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and (self.columns, self.rows) == (other.columns, other.rows)

    def __hash__(self) -> int:
        return hash((self.columns, len(self.rows)))


def table_of(rows: Iterable[Mapping[str, Any]]) -> Table:
    """A table of records; its columns are their fields, in the order in which they come up."""
    found = list(rows)
    columns = tuple(dict.fromkeys(name for row in found for name in row))
    return Table(columns, tuple(tuple(row.get(name) for name in columns) for row in found))


def cell(value: Any) -> Any:
    """A cell as plain data: references as texts."""
    if isinstance(value, Record | Result):
        return value.to_dict()
    if isinstance(value, list | tuple):
        return [cell(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def said(value: Any) -> str:
    """A cell in a line of text."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(said, value))}]"
    if isinstance(value, Record):
        return "{" + ", ".join(f"{name}: {said(item)}" for name, item in value.items()) + "}"
    return " ".join(str(value).split())


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


@cache
def table_fields(cls: type[Result]) -> tuple[str, tuple[str, ...]]:
    """How a kind of result is laid out as a table: the field whose records are the rows (empty: the result is the one
    row), and the fields that are its columns, those that hold one number, text or boolean."""
    hints = typing.get_type_hints(cls)
    for item in () if cls.__name__ in _ONE_ROW else fields(cls):
        held = typing.get_args(hints[item.name])
        rows = typing.get_origin(hints[item.name]) is tuple and isinstance(held[0], type)
        if rows and issubclass(held[0], Result) and (columns := _columns(held[0])):
            return item.name, columns
    return "", _columns(cls)


def _columns(cls: type[Result]) -> tuple[str, ...]:
    hints = typing.get_type_hints(cls)
    return tuple(item.name for item in fields(cls) if _is_scalar(hints[item.name]))


def _is_scalar(hint: Any) -> bool:
    if typing.get_origin(hint) in (typing.Union, pytypes.UnionType):
        held = [item for item in typing.get_args(hint) if item is not type(None)]
        return len(held) == 1 and held[0] in _SCALARS
    return hint in _SCALARS


def as_table(result: Result) -> Table:
    """A result as a table: a survey's basins, a history's entries …, or its own numbers in one row."""
    if isinstance(result, Table):
        return result
    name, columns = table_fields(type(result))
    rows = getattr(result, name) if name else (result,)
    return Table(columns, tuple(tuple(getattr(row, column) for column in columns) for row in rows))


def lines_of(data: Table, x: str, y: str, by: str | None) -> tuple[tuple[Line, ...], int]:
    """The lines of a plot of two columns, one for each value of a third, and how many rows have no number there."""
    rows = [row for row in data.records if row[x] is not None and isinstance(row[y], int | float)]
    numbers = all(_is_number(row[x]) for row in rows)
    names = [] if numbers else list(dict.fromkeys(said(row[x]) for row in rows))
    groups: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        place = float(row[x]) if numbers else float(names.index(said(row[x])))
        groups.setdefault(said(row[by]) if by is not None else y, []).append((place, float(row[y])))
    lines = tuple(
        Line(name, tuple(a for a, _ in points), tuple(b for _, b in points), tuple(names))
        for name, points in (
            (name, sorted(points, key=lambda point: point[0])) for name, points in groups.items()
        )
    )
    return lines, len(data.rows) - len(rows)
