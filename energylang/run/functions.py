"""What the functions of the language calculate. Types were checked; what only the values show is an ``ElError``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from energylang.errors import ElError
from energylang.results import Record, Result, Table, as_table, table_of
from energylang.signature.coerce import type_name
from energylang.signature.functions import FUNCTIONS, PAIRED

from .arithmetic import MAX_ITEMS, MAX_TEXT, bounded, is_number

MOST_DIGITS = 300


def calculated(name: str, arguments: Sequence[Any], named: Mapping[str, Any] | None = None) -> Any:
    """The value of a function. Raises ``ElError``."""
    function = FUNCTIONS.get(name)
    if function is None or len(arguments) < function.least:
        raise ElError(f"there is no function `{name}`", code="EL101")
    try:
        return _CALCULATED[name](*arguments, **(named or {}))
    except OverflowError:
        raise ElError(f"`{name}` of this is too large a number", code="EL521") from None


def items_of(value: Any) -> list[Any]:
    """The items of a list, the rows of a table. Raises ``ElError`` EL210 for anything else."""
    if isinstance(value, Table):
        return list(value.records)
    if isinstance(value, list | tuple):
        return list(value)
    raise ElError(f"{type_name(value)} is no list", code="EL210")


def _fail(message: str, hint: str = "") -> ElError:
    return ElError(message, code="EL521", hint=hint)


def _numbers(name: str, value: Any, *, some: bool) -> list[Any]:
    found = items_of(value)
    for item in found:
        if not is_number(item):
            raise ElError(f"`{name}` is not defined for {type_name(item)}", code="EL210")
    if some and not found:
        raise _fail(f"`{name}` of an empty list", f"ask before: `if len(xs) > 0: print {name}(xs)`")
    return found


def _number(name: str, value: Any) -> Any:
    if not is_number(value):
        raise ElError(f"`{name}` is not defined for {type_name(value)}", code="EL210")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ElError(f"`{name}` is not defined for {type_name(value)}", code="EL210")
    return value


def _length(value: Any) -> int:
    if isinstance(value, str | Record):
        return len(value)
    return len(value.rows) if isinstance(value, Table) else len(items_of(value))


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise OverflowError
    return value


def _sum(value: Any) -> Any:
    found = _numbers("sum", value, some=False)
    if all(isinstance(item, int) for item in found):
        total = sum(found)
        if total.bit_length() > 4096:
            raise OverflowError
        return total
    return _finite(math.fsum(found))


def _mean(value: Any) -> float:
    found = _numbers("mean", value, some=True)
    return _finite(math.fsum(found) / len(found))


def _std(value: Any) -> float | None:
    found = _numbers("std", value, some=False)
    if len(found) < 2:
        return None
    middle = math.fsum(found) / len(found)
    return _finite(math.sqrt(math.fsum((item - middle) ** 2 for item in found) / (len(found) - 1)))


def _extreme(name: str, choose: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    def found(*values: Any) -> Any:
        if len(values) > 1:
            return choose([_number(name, value) for value in values])
        items = items_of(values[0])
        if items and all(isinstance(item, str) for item in items):
            return choose(items)
        return choose(_numbers(name, items, some=True))

    return found


def _root(value: Any) -> float:
    if _number("sqrt", value) < 0:
        raise _fail("a negative number has no square root", "`abs(x)` takes the sign away")
    return math.sqrt(value)


def _log(value: Any, base: Any = None) -> float:
    if _number("log", value) <= 0:
        raise _fail("only numbers above 0 have a logarithm", "`max(x, 1e-9)` keeps away from 0")
    if base is None:
        return math.log(value)
    if _number("log", base) <= 0 or base == 1:
        raise _fail("the base of a logarithm is a number above 0 other than 1")
    return math.log(value) / math.log(base)


def _round(value: Any, digits: Any = None) -> Any:
    if not math.isfinite(_number("round", value)):
        raise _fail("only finite numbers can be rounded")
    if digits is None:
        return round(value)
    if not -MOST_DIGITS <= _number("round", digits) <= MOST_DIGITS:
        raise _fail(f"`round` takes -{MOST_DIGITS} to {MOST_DIGITS} digits")
    return round(value, digits)


def _sorted(value: Any, by: Any = None, reverse: Any = False) -> Any:
    found = items_of(value)
    keys: list[Any] = found if by is None else [item.get(by) for item in found if isinstance(item, Record)]
    there = [key for key in keys if key is not None]
    if not all(isinstance(key, str) for key in there):
        _numbers("sorted", there, some=False)
    full = [place for place, key in enumerate(keys) if key is not None]
    empty = [place for place, key in enumerate(keys) if key is None]  # at the end, either way
    order = sorted(full, key=keys.__getitem__, reverse=bool(reverse)) + empty
    if isinstance(value, Table):
        return Table(value.columns, tuple(value.rows[place] for place in order))
    return [found[place] for place in order]


def _of_record(name: str) -> Callable[[Any], list[Any]]:
    def found(value: Any) -> list[Any]:
        if not isinstance(value, Record):
            raise ElError(f"`{name}` is not defined for {type_name(value)}", code="EL210")
        if name == "items":
            return [Record(dict(zip(PAIRED, item, strict=False))) for item in value.items()]
        return list(value) if name == "keys" else list(value.values())

    return found


def _zip(*lists: Any) -> list[Any]:
    found = [items_of(each) for each in lists]
    sizes = sorted({len(each) for each in found})
    if len(sizes) > 1:
        raise _fail(f"`zip` takes lists of one length, not of {sizes[0]} and {sizes[-1]}")
    return [Record(dict(zip(PAIRED, row, strict=False))) for row in zip(*found, strict=True)]


def _table(value: Any) -> Table:
    if isinstance(value, Result):
        return as_table(value)
    if isinstance(value, Record):
        return table_of([value])
    return table_of([item for item in items_of(value) if isinstance(item, Record)])


def _split(text: Any, between: Any = None) -> list[str]:
    if between is not None and not _text("split", between):
        raise _fail("a text is split at a text that holds something", "`text.split()` splits at blanks")
    if len(text) > MAX_ITEMS and text.count(between or " ") >= MAX_ITEMS:
        raise _fail(f"a list holds at most {MAX_ITEMS:,} items")
    return bounded(_text("split", text).split(between))


def _join(between: Any, texts: Any) -> str:
    found = [_text("join", item) for item in items_of(texts)]
    if sum(map(len, found)) + len(_text("join", between)) * len(found) > MAX_TEXT:
        raise _fail(f"a text holds at most {MAX_TEXT:,} characters")
    return str(between.join(found))


def _replace(text: Any, old: Any, new: Any) -> str:
    text, old, new = _text("replace", text), _text("replace", old), _text("replace", new)
    if not old:
        raise _fail("an empty text cannot be replaced")
    if len(text) + text.count(old) * (len(new) - len(old)) > MAX_TEXT:
        raise _fail(f"a text holds at most {MAX_TEXT:,} characters")
    return str(text.replace(old, new))


def _case(name: str) -> Callable[[Any], str]:
    def found(text: Any) -> str:
        changed: str = getattr(_text(name, text), name)()
        if len(changed) > MAX_TEXT:
            raise _fail(f"a text holds at most {MAX_TEXT:,} characters")
        return changed

    return found


_CALCULATED: Mapping[str, Callable[..., Any]] = {
    "len": _length,
    "sum": _sum,
    "mean": _mean,
    "std": _std,
    "min": _extreme("min", min),
    "max": _extreme("max", max),
    "abs": lambda value: abs(_number("abs", value)),
    "sqrt": _root,
    "log": _log,
    "exp": lambda value: math.exp(_number("exp", value)),
    "round": _round,
    "sorted": _sorted,
    "zip": _zip,
    "table": _table,
    "upper": _case("upper"),
    "lower": _case("lower"),
    "strip": _case("strip"),
    "split": _split,
    "join": _join,
    "replace": _replace,
    **{name: _of_record(name) for name in ("keys", "values", "items")},
}
