"""The functions of the language: what each takes, and what it gives.  (What it calculates is in ``run.functions``.)

``sqrt(x)`` and ``text.upper()`` are written alike: the value before the point is the first argument of a method. A
function never fails for a type that was accepted here; what numbers alone decide (the root of a negative number) is an
error of the run that says so, or ``none``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from energylang.syntax.build import FUNCTIONS as NAMES

from . import types as t

NUMBERS = (t.INT, t.FLOAT)
PAIRED = ("first", "second", "third", "fourth")
"""The fields of what ``zip`` puts together."""


@dataclass(frozen=True)
class Misfit:
    """The argument at this place is not what the function takes."""

    place: int
    wanted: str


Rule = Callable[[Sequence[t.Type]], "t.Type | Misfit"]


@dataclass(frozen=True)
class Function:
    """A function, or (``method``) what is written behind a value and a point. ``most`` None: as many as you like."""

    name: str
    usage: str
    help: str
    least: int
    most: int | None
    rule: Rule
    method: bool = False


def _number(kind: t.Type) -> bool:
    return kind in NUMBERS or t.unknown(kind)


def _items(kind: t.Type) -> t.Type | None:
    return kind if t.unknown(kind) else t.item_of(kind)


def _length(kinds: Sequence[t.Type]) -> t.Type | Misfit:
    kind = kinds[0]
    has = t.item_of(kind) is not None or kind == t.TEXT or isinstance(kind, t.RecordOf) or t.unknown(kind)
    return t.INT if has else Misfit(0, "a list, a table, a record or a text")


def _of_numbers(gives: Callable[[t.Type], t.Type]) -> Rule:
    def rule(kinds: Sequence[t.Type]) -> t.Type | Misfit:
        item = _items(kinds[0])
        return gives(item) if item is not None and _number(item) else Misfit(0, "a list of numbers")

    return rule


def _extreme(kinds: Sequence[t.Type]) -> t.Type | Misfit:
    if len(kinds) == 1:
        item = _items(kinds[0])
        if item is None or not (_number(item) or item == t.TEXT):
            return Misfit(0, "a list of numbers or of texts, or two numbers")
        return t.ANY if item == t.ANY else item
    for place, kind in enumerate(kinds):
        if not _number(kind):
            return Misfit(place, "a number")
    return t.ANY if any(map(t.unknown, kinds)) else t.FLOAT if t.FLOAT in kinds else t.INT


def _of_number(kinds: Sequence[t.Type]) -> t.Type | Misfit:
    wrong = next((place for place, kind in enumerate(kinds) if not _number(kind)), None)
    return t.FLOAT if wrong is None else Misfit(wrong, "a number")


def _absolute(kinds: Sequence[t.Type]) -> t.Type | Misfit:
    return kinds[0] if _number(kinds[0]) else Misfit(0, "a number")


def _rounded(kinds: Sequence[t.Type]) -> t.Type | Misfit:
    if not _number(kinds[0]):
        return Misfit(0, "a number")
    if len(kinds) == 1:
        return t.INT
    return t.FLOAT if kinds[1] == t.INT or t.unknown(kinds[1]) else Misfit(1, "a number of digits")


def _ordered(kinds: Sequence[t.Type]) -> t.Type | Misfit:
    item = _items(kinds[0])
    if item is None or not (_number(item) or item == t.TEXT):
        return Misfit(0, "a list of numbers or of texts")
    return kinds[0] if t.unknown(kinds[0]) else t.list_of(item)


def _paired(kinds: Sequence[t.Type]) -> t.Type | Misfit:
    items = [_items(kind) for kind in kinds]
    entries = []
    for place, item in enumerate(items):
        if item is None:
            return Misfit(place, "a list")
        entries.append((PAIRED[place], item))
    return t.list_of(t.record_of(tuple(entries)))


def _tabled(kinds: Sequence[t.Type]) -> t.Type | Misfit:
    kind = kinds[0]
    if isinstance(kind, t.TableOf):
        return kind
    if t.unknown(kind):
        return t.EMPTY_TABLE if kind == t.NEVER else t.TABLE
    item = kind.item if isinstance(kind, t.ListOf) else kind
    if isinstance(item, t.RecordOf):
        return t.table_of(item.entries)
    if isinstance(item, t.Record) and item is kind:
        return t.table_of_result(kind.name)
    return t.EMPTY_TABLE if item == t.NEVER else t.TABLE if item == t.ANY else Misfit(0, "a list of records")


def _texts(gives: t.Type) -> Rule:
    def rule(kinds: Sequence[t.Type]) -> t.Type | Misfit:
        wrong = next((i for i, kind in enumerate(kinds) if kind != t.TEXT and not t.unknown(kind)), None)
        return gives if wrong is None else Misfit(wrong, "a text")

    return rule


def _glued(kinds: Sequence[t.Type]) -> t.Type | Misfit:
    if kinds[0] != t.TEXT and not t.unknown(kinds[0]):
        return Misfit(0, "a text")
    item = _items(kinds[1])
    fits = item is not None and (item == t.TEXT or t.unknown(item))
    return t.TEXT if fits else Misfit(1, 'a list of texts; `["{x}" for x in xs]` makes texts of values')


def _of_record(gives: Callable[[t.Type], t.Type]) -> Rule:
    def rule(kinds: Sequence[t.Type]) -> t.Type | Misfit:
        kind = kinds[0]
        if t.unknown(kind) or kind == t.RECORD:
            return t.ANY
        if not isinstance(kind, t.RecordOf):
            return Misfit(0, "a record")
        held: t.Type | None = t.NEVER
        for _, of in kind.entries or ():
            held = t.join(held, of) if held is not None else None
        return (
            t.list_of(gives(held)) if held is not None else Misfit(0, "a record whose fields are of one type")
        )

    return rule


def _float(_: t.Type) -> t.Type:
    return t.FLOAT


_ALL = (
    Function("len", "len(xs)", "how many items, rows, fields or characters", 1, 1, _length),
    Function("sum", "sum(xs)", "the sum of numbers", 1, 1,
             _of_numbers(lambda item: t.INT if item == t.NEVER else item)),
    Function("mean", "mean(xs)", "the mean of numbers", 1, 1, _of_numbers(_float)),
    Function("std", "std(xs)", "the standard deviation of a sample; none for fewer than two numbers", 1, 1,
             _of_numbers(lambda item: t.maybe(t.FLOAT))),
    Function("min", "min(xs), min(a, b)", "the smallest", 1, None, _extreme),
    Function("max", "max(xs), max(a, b)", "the largest", 1, None, _extreme),
    Function("abs", "abs(x)", "the size of a number, without its sign", 1, 1, _absolute),
    Function("sqrt", "sqrt(x)", "the square root", 1, 1, _of_number),
    Function("log", "log(x), log(x, base)", "the natural logarithm, or that of a base", 1, 2, _of_number),
    Function("exp", "exp(x)", "e to the power of x", 1, 1, _of_number),
    Function("round", "round(x), round(x, digits)", "the nearest whole number, or with so many digits", 1, 2, _rounded),
    Function("sorted", 'sorted(xs), sorted(t, by="share", reverse=true)',
             "numbers or texts in order, smallest first; rows by a column", 1, 1, _ordered),
    Function("zip", "zip(xs, ys)", "items of lists side by side: `for x, y in zip(xs, ys):`", 2, 4, _paired),
    Function("table", "table(records)", "a table of records, or of a result", 1, 1, _tabled),
    Function("upper", "text.upper()", "in capital letters", 1, 1, _texts(t.TEXT), method=True),
    Function("lower", "text.lower()", "in small letters", 1, 1, _texts(t.TEXT), method=True),
    Function("strip", "text.strip()", "without blanks at both ends", 1, 1, _texts(t.TEXT), method=True),
    Function("split", 'text.split(), text.split(",")', "the parts between blanks, or between other texts", 1, 2,
             _texts(t.list_of(t.TEXT)), method=True),
    Function("join", '", ".join(texts)', "texts with this one between them", 2, 2, _glued, method=True),
    Function("replace", "text.replace(old, new)", "with another text in place of one", 3, 3, _texts(t.TEXT),
             method=True),
    Function("keys", "record.keys()", "the names of a record's fields", 1, 1,
             lambda kinds: t.list_of(t.TEXT) if isinstance(kinds[0], t.RecordOf) or t.unknown(kinds[0]) else
             Misfit(0, "a record"), method=True),
    Function("values", "record.values()", "what a record's fields hold", 1, 1, _of_record(lambda held: held),
             method=True),
    Function("items", "record.items()", "names and values side by side: `for name, x in record.items():`", 1, 1,
             _of_record(lambda held: t.record_of((("first", t.TEXT), ("second", held)))), method=True),
)  # fmt: skip

FUNCTIONS: Mapping[str, Function] = {function.name: function for function in _ALL}

if {name for name, function in FUNCTIONS.items() if not function.method} != NAMES:
    raise TypeError("the parser and the table of functions disagree")
