"""From a value in a script, or an argument in Python, to what an operation's parameter asks for.

One place decides what fits: the interpreter and the Python methods both come through here, so that the same
command means the same at the prompt and in a notebook.
"""

from __future__ import annotations

import difflib
import math
import numbers
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from energylang import results
from energylang.errors import ElError
from energylang.signature import types as t
from energylang.signature.values import BasinRef, ConceptName, Layer, PartName, Seed, parse_reference

from .declaration import Op, Param

_AT_LAYER = re.compile(r"(.+)@L(\d{1,9})")
_DEEPEST = 8  # lists in lists
_TOO_LARGE = 2**63
_WRITTEN = (numbers.Number, Layer, BasinRef, PartName, ConceptName, Seed, results.Result, os.PathLike)
_NAME = re.compile(r"[^\W\d]\w*(-\w+)*")
RESERVED = frozenset(
    "let print require assert attempt with return import pass if elif else for in def and or not "
    "true false layers".split()
)
"""The words that the grammar takes for itself: no concept is called so."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """``did you mean …?`` when something known looks like ``word``, else an empty text."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else ""


def type_name(value: Any) -> str:
    """The language's name for the type of a value."""
    if isinstance(value, bool):
        return "Bool"
    if isinstance(value, numbers.Integral):
        return "Int"
    if isinstance(value, numbers.Real):
        return "Float"
    if isinstance(value, str):
        return "Text"
    if isinstance(value, BasinRef | results.Basin):
        return "Basin"
    if isinstance(value, results.Record):
        return "Record"
    if isinstance(value, PartName):
        return "Neuron" if value.kind == "N" else "Head"
    if isinstance(value, list | tuple):
        return "List"
    if value is None:
        return "Nothing"
    return type(value).__name__


def describe(value: Any, depth: int = 0) -> str:
    """A value as it would be written; what the language cannot write (an object of Python's) by its type."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 40 else f'"{value[:37]}…"'
    if isinstance(value, list | tuple):
        if depth > _DEEPEST:
            return "[…]"
        items = (
            f"@{item.name}" if isinstance(item, ConceptName) else describe(item, depth + 1) for item in value
        )
        return f"[{', '.join(items)}]"
    if isinstance(value, results.Record):
        if depth > _DEEPEST:
            return "{…}"
        return "{" + ", ".join(f"{name}: {describe(item, depth + 1)}" for name, item in value.items()) + "}"
    if isinstance(value, results.Result) and not isinstance(value, results.Basin):
        return type(value).__name__.lower()
    if isinstance(value, int) and abs(value) >= _TOO_LARGE:
        return "a whole number of more than 19 digits"
    if isinstance(value, _WRITTEN):
        return str(value)
    return f"a value of Python's type {type(value).__name__}"


def as_statement(op: Op, values: Mapping[str, Any]) -> str:
    """An operation with these values, written as the statement it stands for."""
    words = [op.name]
    for param in op.params:
        value = values.get(param.name)
        if value is None or (
            param.name == "layer" and op.takes_layer_and_target and _is_basin(values.get("target"))
        ):
            continue
        if param.type in (t.LAYER, t.LAYERS) and isinstance(value, int):
            shown = f"L{value}"
        elif param.type == t.LAYERS and isinstance(value, list | tuple):
            shown = _shown_layers(value)
        elif isinstance(value, str) and param.type == t.LABEL and not _NAME.fullmatch(value):
            shown = describe(value)
        elif isinstance(value, str) and param.type not in (t.TEXT, t.PATH, t.MODEL):
            shown = value
        else:
            shown = describe(value)
        words.append(shown if param.required and not param.keyword_only else f"{param.name}={shown}")
    return " ".join(words)


def _shown_layers(value: list[Any] | tuple[Any, ...]) -> str:
    """Layers as they would be written: those without gaps as a range."""
    indices = [_layer(item, None) for item in value]
    first = indices[0] if indices else None
    if first is not None and len(indices) > 1 and indices == list(range(first, first + len(indices))):
        return f"L{first}..L{first + len(indices) - 1}"
    return f"[{', '.join(f'L{index}' for index in indices)}]"


def _is_basin(value: Any) -> bool:
    return isinstance(value, BasinRef | results.Basin | PartName)


def coerce(param: Param, value: Any, *, layer: int | None = None) -> Any:
    """``value`` as ``param`` wants it. ``layer`` is the operation's layer, for a bare basin number.

    Raises ``ElError`` with EL201 (type), EL206 (range) or EL208 (choice).
    """
    _check_size(param, value)
    if value is None and param.default is None:
        return None
    if param.type == t.CHOICE:
        return _choice(param, value)
    converted = _converter(param.type)(value, layer)
    if param.choices and isinstance(value, str) and (value in param.choices or converted is None):
        return _choice(param, value)
    if converted is None:
        raise _wrong_type(param, value)
    for number in converted if isinstance(converted, tuple) else (converted,):
        if not isinstance(number, int | float) or isinstance(number, bool):
            continue
        if not param.allows(number) or math.isinf(number):
            raise ElError(
                f"`{param.name}` is {number:g}, but must be {param.range_text()}"
                if param.range_text()
                else f"`{param.name}` is {number:g}, which is not a usable number",
                code="EL206",
                hint=param.help,
            )
    return converted


def _check_size(param: Param, value: Any, depth: int = 0) -> None:
    """Refuse what no calculation can take: lists in lists without end, and whole numbers of more than 64 bits."""
    if isinstance(value, list | tuple):
        if depth > _DEEPEST:
            raise ElError(
                f"`{param.name}` is a list that is nested too deeply", code="EL201", hint=param.help
            )
        for item in value:
            _check_size(param, item, depth + 1)
    large = isinstance(value, numbers.Integral) and not -_TOO_LARGE <= int(value) < _TOO_LARGE
    if large or (isinstance(value, Seed) and not 0 <= value.seed < _TOO_LARGE):
        raise ElError(
            f"`{param.name}` is a whole number beyond what can be calculated with",
            code="EL206",
            hint=param.range_text() or f"at most {_TOO_LARGE - 1:,}",
        )


def _wrong_type(param: Param, value: Any) -> ElError:
    named = describe(value)
    kind = "" if named.startswith("a value of Python's") else f" ({type_name(value)})"
    return ElError(
        f"`{param.name}` must be {article(param.type)}, not {_shortened(named)}{kind}",
        code="EL201",
        hint=param.help,
    )


def article(type: t.Type) -> str:
    """The type in a sentence: "an Int", "a layer such as L0"."""
    return {
        t.INT: "a whole number",
        t.FLOAT: "a number",
        t.BOOL: "true or false",
        t.TEXT: "a text",
        t.PATH: "a path",
        t.MODEL: "a model",
        t.LAYER: "a layer such as L0",
        t.LAYERS: "a layer such as L0, or layers",
        t.BASIN: "a basin such as L0.B3",
        t.CONCEPT: "a concept",
        t.DIRECTION: "a basin, a concept or a seed",
        t.KEY: "a basin, a concept, a seed, a neuron or a phrase",
        t.SOURCE: "a basin, a neuron, a concept or a phrase",
        t.STRENGTH: "a number or auto",
        t.NUMBERS: "a list of numbers, such as [0.1, 0.2]",
        t.VALUE: "a number or a word",
        t.STEPS: "a number of changes, or a layer",
        t.BASINS: "a basin, or a list of basins such as [L0.B3, L0.B5]",
        t.PARTS: "a neuron such as L0.N3, a head such as L0.H1, a basin, a concept, or a list of them",
        t.AT: 'all, reply, last, a "word", or places such as 3..7',
        t.CONCEPTS: "a concept, or a list of concepts such as [@polite, @formal]",
        t.LABEL: "a name",
        t.RECORD: "a record such as {a: 1}",
        t.TABLE: "a table",
        t.DATA: "a table, a list of records, a result or a text",
    }.get(type, str(type))


def _choice(param: Param, value: Any) -> Any:
    if isinstance(value, str) and value in param.choices:
        return value
    word = value if isinstance(value, str) else describe(value)
    raise ElError(
        f"`{param.name}` cannot be `{word}`",
        code="EL208",
        hint=suggestion(word, param.choices) or f"it is {param.range_text()}",
    )


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"


def _as_is(value: Any, layer: int | None) -> Any:
    return value


def _value(value: Any, layer: int | None) -> Any:
    """A number or a word, as the setting or the guard that it is meant for will judge it."""
    if isinstance(value, bool | str):
        return value
    return _int(value, layer) if isinstance(value, numbers.Integral) else _float(value, layer)


def _int(value: Any, layer: int | None) -> int | None:
    return int(value) if isinstance(value, numbers.Integral) and not isinstance(value, bool) else None


def _float(value: Any, layer: int | None) -> float | int | None:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    try:
        return float(value)
    except OverflowError:  # a fraction beyond all numbers of 64 bits
        return math.inf


def _numbers(value: Any, layer: int | None) -> tuple[float, ...] | None:
    items = value if isinstance(value, list | tuple) else [value]
    found = [_float(item, layer) for item in items]
    return None if not found or any(n is None for n in found) else tuple(n for n in found if n is not None)


def _basins(value: Any, layer: int | None) -> tuple[BasinRef, ...] | None:
    items = value if isinstance(value, list | tuple) else [value]
    found = [as_basin(item, layer) for item in items]
    return None if not found or any(b is None for b in found) else tuple(b for b in found if b is not None)


def _parts(value: Any, layer: int | None) -> tuple[Any, ...] | None:
    items = value if isinstance(value, list | tuple) else [value]
    found = [_part(item, layer) for item in items]
    return None if not found or any(p is None for p in found) else tuple(found)


def _part(value: Any, layer: int | None) -> PartName | BasinRef | ConceptName | None:
    reference = parse_reference(value) if isinstance(value, str) else value
    if isinstance(reference, PartName):
        return reference
    return as_basin(value, layer) or _concept(value, layer)


def _at(value: Any, layer: int | None) -> str | None:
    """Positions as they are written: ``3..7`` of a list of numbers without gaps."""
    if isinstance(value, list | tuple):
        numbers = [_int(item, layer) for item in value]
        if not numbers or any(n is None or n < 0 for n in numbers):
            return None
        first = numbers[0] or 0
        return (
            f"{first}..{first + len(numbers) - 1}"
            if numbers == list(range(first, first + len(numbers)))
            else None
        )
    return _text(value, layer)


def _concepts(value: Any, layer: int | None) -> tuple[ConceptName, ...] | None:
    items = value if isinstance(value, list | tuple) else [value]
    found = [_concept(item, layer) for item in items]
    return None if not found or any(c is None for c in found) else tuple(c for c in found if c is not None)


def _steps(value: Any, layer: int | None) -> int | Layer | None:
    if isinstance(value, str):
        reference = parse_reference(value)
        return reference if isinstance(reference, Layer) else None
    return value if isinstance(value, Layer) else _int(value, layer)


def _bool(value: Any, layer: int | None) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(value: Any, layer: int | None) -> str | None:
    return os.fspath(value) if isinstance(value, str | os.PathLike) else None


def _layer(value: Any, layer: int | None) -> int | None:
    if isinstance(value, str):
        value = parse_reference(value)
    if isinstance(value, Layer):
        return value.index
    return _int(value, layer)


def _layers(value: Any, layer: int | None) -> tuple[int, ...] | None:
    if isinstance(value, str) and value == "layers":
        return ()
    items = value if isinstance(value, list | tuple) else [value]
    if items == []:  # not all of them, as the empty tuple of `layers`
        return None
    indices = [_layer(item, layer) for item in items]
    return None if any(index is None for index in indices) else tuple(i for i in indices if i is not None)


def as_basin(value: Any, layer: int | None) -> BasinRef | None:
    if isinstance(value, results.Basin):
        return BasinRef(value.layer, value.id)
    if isinstance(value, BasinRef):
        return value
    if isinstance(value, str):
        reference = parse_reference(value)
        return reference if isinstance(reference, BasinRef) else None
    number = _int(value, layer)
    return BasinRef(layer, number) if number is not None and number >= 0 and layer is not None else None


def neuron_of(value: Any) -> PartName | None:
    """A neuron, or what names one."""
    reference = parse_reference(value) if isinstance(value, str) else value
    return reference if isinstance(reference, PartName) and reference.kind == "N" else None


def _concept(value: Any, layer: int | None) -> ConceptName | None:
    if isinstance(value, results.ConceptInfo):
        return ConceptName(value.name)
    if isinstance(value, str):
        value = ConceptName(value.removeprefix("@"))
    if isinstance(value, ConceptName):
        check_name(value.name)
        return value
    return None


def at_layer(name: str) -> tuple[str, int | None]:
    """``polite@L2`` as the concept's name and the layer of its state; without one, ``None``."""
    match = _AT_LAYER.fullmatch(name)
    return (match[1], int(match[2])) if match else (name, None)


def is_name(name: str) -> bool:
    """Can a concept be called so?"""
    plain = at_layer(name)[0]
    return bool(_NAME.fullmatch(plain)) and plain not in RESERVED and parse_reference(plain) is None


def check_name(name: str, code: str = "EL201") -> None:
    """Raise ``ElError`` (EL201, or ``code``) for a concept's name that no script can write: what Python may
    call something, every door must be able to call so."""
    if is_name(name):
        return
    why = (
        "it is empty"
        if not name
        else "it is a reference"
        if parse_reference(name)
        else "it is a word of the language"
    )
    if name and not _NAME.fullmatch(name):
        why = "a name is a letter, and then letters, digits, _ and single hyphens"
    raise ElError(
        f"a concept cannot be called {describe(name)}: {why}",
        code=code,
        hint="polite, very-polite and polite_2 are names",
    )


def _direction(value: Any, layer: int | None) -> BasinRef | ConceptName | Seed | None:
    if isinstance(value, ConceptName | Seed):
        return value
    number = _int(value, layer)
    if number is not None:
        if number < 0:
            raise ElError(f"a seed must be 0 or more, not {number}", code="EL206")
        return Seed(number)
    return as_basin(value, layer) or _concept(value, layer)


def _key(value: Any, layer: int | None) -> PartName | BasinRef | ConceptName | Seed | str | None:
    """What a memory is asked with, or a direction; a text that is no reference is a concept's name or a phrase, which
    only the session knows."""
    reference = parse_reference(value) if isinstance(value, str) else value
    if isinstance(reference, PartName):
        return neuron_of(reference)
    if isinstance(value, str) and reference is None and not value.startswith("@"):
        return value
    return None if isinstance(reference, Layer) else _direction(value, layer)


def _source(value: Any, layer: int | None) -> PartName | BasinRef | ConceptName | str | None:
    found = as_basin(value, layer) or _key(value, layer)
    return None if isinstance(found, Seed) else found


def _converter(wanted: t.Type) -> Callable[[Any, int | None], Any]:
    """The conversion for a type; lists and results are judged by what they hold."""
    if isinstance(wanted, t.ListOf) and wanted not in _CONVERTERS:
        return lambda value, layer: _list(wanted, value, layer)
    if isinstance(wanted, t.RecordOf):
        return lambda value, layer: value if isinstance(value, results.Record) else None
    if isinstance(wanted, t.TableOf):
        return lambda value, layer: value if isinstance(value, results.Table) else None
    if isinstance(wanted, t.Record):
        return lambda value, layer: value if type(value).__name__ == wanted.name else None
    return _CONVERTERS.get(wanted, _as_is)


def _list(wanted: t.ListOf, value: Any, layer: int | None) -> list[Any] | None:
    if not isinstance(value, list | tuple):
        return None
    items = [_converter(wanted.item)(item, layer) for item in value]
    if any(item is None for item in items):
        return None
    return [Layer(item) for item in items] if wanted.item == t.LAYER else items


def _data(value: Any, layer: int | None) -> results.Table | str | None:
    """A table of what can be one, also of what a record of a session or Python has for it; a text as it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, results.Result):
        return value.table  # type: ignore[no-any-return]
    if hasattr(value, "to_dict") and hasattr(value, "columns"):  # pandas
        value = value.to_dict("records")
    if (
        isinstance(value, Mapping)
        and set(value) == {"columns", "rows"}
        and not isinstance(value, results.Record)
    ):
        return results.Table(tuple(value["columns"]), tuple(map(tuple, value["rows"])))
    rows = [value] if isinstance(value, Mapping) else value
    if not isinstance(rows, list | tuple) or not all(isinstance(row, Mapping) for row in rows):
        return None
    return results.table_of(
        [row.table.records[0] if isinstance(row, results.Result) else row for row in rows]
    )


_CONVERTERS: Mapping[t.Type, Callable[[Any, int | None], Any]] = {
    t.INT: _int,
    t.FLOAT: _float,
    t.STRENGTH: _float,
    t.NUMBERS: _numbers,
    t.BOOL: _bool,
    t.TEXT: _text,
    t.PATH: _text,
    t.MODEL: _text,
    t.LAYER: _layer,
    t.LAYERS: _layers,
    t.BASIN: as_basin,
    t.CONCEPT: _concept,
    t.DIRECTION: _direction,
    t.KEY: _key,
    t.SOURCE: _source,
    t.STEPS: _steps,
    t.VALUE: _value,
    t.BASINS: _basins,
    t.CONCEPTS: _concepts,
    t.PARTS: _parts,
    t.AT: _at,
    t.LABEL: _text,
    t.DATA: _data,
}
