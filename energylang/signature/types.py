"""The static types of the language.

Simple types stand for themselves. A record type is named after a class of ``energylang.results`` and has
that class's fields, with types derived from the annotations; a field that may be missing is ``Maybe``. ``ANY`` is the
type of what is not known before the script runs (after an error, or in a procedure that nobody calls); it fits
everywhere and is checked when it runs. ``NEVER`` is the type of the items of ``[]``, which become what is put in.
"""

from __future__ import annotations

import types as pytypes
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache

from energylang import results


@dataclass(frozen=True)
class Type:
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class ListOf(Type):
    """A list; its items have the type ``item``."""

    item: Type


@dataclass(frozen=True)
class Maybe(Type):
    """A value of the type ``item``, or none: what was not measured, or is not there."""

    item: Type


@dataclass(frozen=True)
class Perhaps(Type):
    """What a procedure gives that returns a value on some of its ways only."""

    item: Type


@dataclass(frozen=True)
class Record(Type):
    """The record type of a result class."""

    @property
    def fields(self) -> Mapping[str, Type]:
        return record_fields(self.name)


@dataclass(frozen=True)
class RecordOf(Type):
    """A record that a script puts together; ``None``: which fields it has is not known (in a procedure that nobody
    calls)."""

    entries: tuple[tuple[str, Type], ...] | None

    @property
    def fields(self) -> Mapping[str, Type]:
        return dict(self.entries or ())


@dataclass(frozen=True)
class TableOf(Type):
    """A table with these columns at most; ``None``: they are not known. Without any column it is empty."""

    columns: tuple[tuple[str, Type], ...] | None

    @property
    def rows(self) -> Type:
        """The type of a row."""
        return record_of(self.columns)


INT = Type("Int")
FLOAT = Type("Float")
BOOL = Type("Bool")
TEXT = Type("Text")
PATH = Type("Path")
MODEL = Type("Model")
LAYER = Type("Layer")
LAYERS = Type("Layers")  # a layer, or all of them
BASIN = Type("Basin")
NEURON = Type("Neuron")
HEAD = Type("Head")
PART = Type("Part")  # a basin, a neuron, a head, or a concept's direction
AT = Type("Positions")  # a word, or a range of places
CONCEPT = Type("Concept")
DIRECTION = Type("Direction")  # Basin | Concept | Seed
KEY = Type("Key")  # Basin | Concept | Seed | Neuron | a phrase
SOURCE = Type("Source")  # the same without a seed: a number is a basin's
AIMED = (DIRECTION, KEY)  # where a number is a seed
SEED = Type("Seed")
STRENGTH = Type("Strength")  # a positive number, or auto
CHOICE = Type("Choice")  # one of a parameter's words
VALUE = Type("Value")  # a number or a word, judged by the operation (set)
STEPS = Type("Steps")  # how many changes, or a layer (undo)
LABEL = Type("Label")  # a name that is no variable and no concept (checkpoint)
NOTHING = Type("Nothing")
NONE = Type("none")  # of a field that was not measured
NEVER = Type("Never")  # the items of `[]`: no value has this type, so it stands for every other
ANY = Type("Any")
RECORD = RecordOf("Record", None)
TABLE = TableOf("Table", None)
EMPTY_TABLE = TableOf("Table", ())
DATA = Type("Data")  # what can be written into a file: a table, a result, records, or a text

ANNOTATIONS: Mapping[str, Type] = {
    type.name: type
    for type in (
        INT,
        FLOAT,
        BOOL,
        TEXT,
        PATH,
        LAYER,
        BASIN,
        NEURON,
        HEAD,
        CONCEPT,
        DIRECTION,
        STRENGTH,
        MODEL,
        RECORD,
        TABLE,
    )
}
"""The types that a procedure's parameters can be declared with."""


def record_names() -> list[str]:
    """The kinds of results, as types of parameters."""
    return [
        name
        for name, cls in vars(results).items()
        if isinstance(cls, type)
        and issubclass(cls, results.Result)
        and name not in ("Result", "Basin", "Table")
    ]


def annotation(name: str) -> Type | None:
    """The type that a procedure's parameter is declared with, such as ``Layer``, ``List[Basin]`` or ``Survey``."""
    if name.startswith("List[") and name.endswith("]"):
        item = annotation(name[5:-1])
        return list_of(item) if item is not None else None
    return ANNOTATIONS.get(name) or (Record(name) if name in record_names() else None)


SURVEYED = Record("Basin")
"""A basin out of a survey: it stands wherever a basin can, and has been measured, so it has more fields."""

_ACCEPTS: Mapping[Type, tuple[Type, ...]] = {
    BASIN: (SURVEYED,),
    FLOAT: (INT,),
    STRENGTH: (INT, FLOAT),
    LAYER: (INT,),
    LAYERS: (LAYER, INT),
    DIRECTION: (BASIN, SURVEYED, CONCEPT, SEED, INT),
    KEY: (DIRECTION, BASIN, SURVEYED, CONCEPT, SEED, INT, NEURON, TEXT),
    SOURCE: (BASIN, SURVEYED, CONCEPT, INT, NEURON, TEXT),
    PATH: (TEXT,),
    MODEL: (TEXT, PATH),
    TEXT: (PATH,),
    VALUE: (INT, FLOAT, TEXT),
    STEPS: (INT, LAYER),
    LABEL: (TEXT,),
    PART: (BASIN, SURVEYED, NEURON, HEAD, CONCEPT),
    AT: (TEXT, ListOf("List[Int]", INT)),
}


def list_of(item: Type) -> ListOf:
    return ListOf(f"List[{item}]", item)


def record_of(entries: tuple[tuple[str, Type], ...] | None) -> Type:
    """The type of a record with these fields."""
    if entries is None:
        return RECORD
    named = ", ".join(f"{name}: {kind}" for name, kind in entries[:4])
    return RecordOf("{" + named + (", …" if len(entries) > 4 else "") + "}", entries)


def table_of(columns: tuple[tuple[str, Type], ...] | None) -> TableOf:
    """The type of a table with these columns."""
    return TableOf("Table", columns)


def item_of(type: Type) -> Type | None:
    """The type of the items of a list, of the rows of a table; ``None`` for what has none."""
    if isinstance(type, ListOf):
        return type.item
    return type.rows if isinstance(type, TableOf) else None


def generic(type: Type) -> bool:
    """Is this a parameter's type of which the argument in the call says more?"""
    return type in (ANY, RECORD, TABLE, list_of(RECORD))


def present(type: Type) -> Type:
    """The type of a value that may be none, where it is there."""
    return type.item if isinstance(type, Maybe) else type


def unknown(type: Type) -> bool:
    """Can nothing be said about values of this type?"""
    return type in (ANY, NEVER)


def maybe(item: Type) -> Type:
    """The type of a value that may be none."""
    return item if isinstance(item, Maybe) or item in (ANY, NONE) else Maybe(f"{item} or none", item)


NUMBERS = list_of(FLOAT)
PARTS = list_of(PART)
BASINS = list_of(BASIN)
CONCEPTS = list_of(CONCEPT)


def record(result: type[results.Result]) -> Type:
    """The type of a result."""
    return Record(result.__name__)


def fits(value: Type, wanted: Type) -> bool:
    """May a value of type ``value`` stand where ``wanted`` is asked for?"""
    if value in (wanted, NEVER) or ANY in (value, wanted):
        return True
    if wanted == DATA:
        return isinstance(value, Record | RecordOf | TableOf) or value == TEXT or (
            isinstance(value, ListOf) and (isinstance(value.item, Record | RecordOf) or value.item == NEVER)
        )  # fmt: skip
    if isinstance(value, RecordOf | TableOf) and isinstance(wanted, RecordOf | TableOf):
        return wanted in (RECORD, TABLE) and type(value) is type(wanted)
    if isinstance(value, Maybe):
        return isinstance(wanted, Maybe) and fits(value.item, wanted.item)
    if isinstance(value, ListOf) and isinstance(wanted, ListOf):
        return fits(value.item, wanted.item)
    if isinstance(wanted, ListOf) and not isinstance(value, ListOf):
        return fits(value, wanted.item)  # one stands for a list of one
    if wanted == LAYERS and isinstance(value, ListOf):
        return fits(value.item, LAYER)
    return value in _ACCEPTS.get(wanted, ())


def join(left: Type, right: Type) -> Type | None:
    """The type of a value that is one or the other; ``None`` where nothing fits both."""
    if left == right:
        return left
    if NEVER in (left, right):
        return right if left == NEVER else left
    if ANY in (left, right):
        return ANY
    if NONE in (left, right):
        return maybe(right if left == NONE else left)
    if isinstance(left, Maybe) or isinstance(right, Maybe):
        held = join(present(left), present(right))
        return maybe(held) if held else None
    if isinstance(left, RecordOf) and isinstance(right, RecordOf):
        entries = _joined(left.entries, right.entries)
        return record_of(entries) if entries is not None else None
    if isinstance(left, TableOf) and isinstance(right, TableOf):
        if () in (left.columns, right.columns):
            return right if left.columns == () else left
        columns = _joined(left.columns, right.columns)
        return table_of(columns) if columns is not None else None
    if {left, right} <= {NEURON, HEAD, PART, CONCEPT, BASIN}:
        return PART
    if {left, right} == {INT, FLOAT}:
        return FLOAT
    if {left, right} == {BASIN, SURVEYED}:
        return BASIN
    if isinstance(left, ListOf) and isinstance(right, ListOf):
        item = join(left.item, right.item)
        return list_of(item) if item else None
    return None


def _joined(
    left: tuple[tuple[str, Type], ...] | None, right: tuple[tuple[str, Type], ...] | None
) -> tuple[tuple[str, Type], ...] | None:
    """The fields of what is one record or the other: one that only one of them has may be missing."""
    if left is None or right is None:
        return None
    known, other = dict(left), dict(right)
    found: dict[str, Type] = {}
    for name in {**known, **other}:
        if name not in known or name not in other:
            found[name] = maybe(known.get(name) or other[name])
            continue
        kind = join(known[name], other[name])
        if kind is None:
            return None
        found[name] = kind
    return tuple(found.items())


def with_row(table: TableOf, row: RecordOf) -> TableOf | str:
    """The type of a table with such a row more, or the name of a column that cannot hold what the row has there."""
    if table.columns is None or row.entries is None:
        return TABLE
    if not table.columns:
        return table_of(row.entries)
    columns = _joined(table.columns, row.entries)
    if columns is not None:
        return table_of(columns)
    held = dict(table.columns)
    return next(name for name, kind in row.entries if name in held and join(held[name], kind) is None)


@cache
def table_of_result(name: str) -> TableOf:
    """The type of the table of a kind of result."""
    cls = getattr(results, name)
    field, columns = results.table_fields(cls)
    kinds = record_fields(name)
    if field:
        kind = kinds[field]
        kinds = record_fields(kind.item.name) if isinstance(kind, ListOf) else kinds
    return table_of(tuple((column, kinds[column]) for column in columns))


@cache
def record_fields(name: str) -> Mapping[str, Type]:
    """Field names and types of a result class (``Basin`` for a basin)."""
    cls = getattr(results, name)
    hints = typing.get_type_hints(cls)
    return {item.name: _from_annotation(hints[item.name]) for item in fields(cls)}


def fields_of(type: Type) -> Mapping[str, Type] | None:
    """The fields of a value of this type, or ``None`` if it is not a record."""
    if type == BASIN:
        return {"layer": INT, "id": INT}
    if type == LAYER:
        return {"index": INT}
    if type in (NEURON, HEAD):
        return {"layer": INT, "index": INT}
    if isinstance(type, TableOf):
        known = dict(type.columns or ())
        return {name: list_of(kind) for name, kind in known.items()} | {
            "count": INT, "columns": list_of(TEXT), "rows": list_of(type.rows), "table": type,
        }  # fmt: skip
    if isinstance(type, Record):
        return {"table": table_of_result(type.name), **type.fields}
    return type.fields if isinstance(type, RecordOf) else None


def _from_annotation(hint: object) -> Type:
    if hint is bool:
        return BOOL
    if hint is int:
        return INT
    if hint is float:
        return FLOAT
    if hint is str:
        return TEXT
    if hint is typing.Any:  # a cell of a table, whose type is that of its column (`TableOf`)
        return ANY
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is None and isinstance(hint, type) and issubclass(hint, results.Result):
        return record(hint)
    if origin is tuple:
        return list_of(_from_annotation(arguments[0]))
    if origin in (typing.Union, pytypes.UnionType):
        held = [_from_annotation(item) for item in arguments if item is not type(None)]
        return maybe(held[0]) if len(held) == 1 else ANY
    raise TypeError(f"no type of the language for {hint!r}")
