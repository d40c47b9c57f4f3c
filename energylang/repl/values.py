"""The values of variables as plain data, and back: numbers, texts, lists, records, tables, results, references.

Only what the language has is written, and only records of ``results`` are made again; nothing in a file is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from energylang import results
from energylang.results import Record, Result
from energylang.signature.values import BasinRef, ConceptName, Layer, PartName, Seed, parse_reference


def as_plain(value: Any) -> Any:
    """A value as JSON has it; what is no number, text or list says its kind. Raises ``TypeError`` for what is no value
    of the language."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [as_plain(part) for part in value]
    if isinstance(value, tuple):
        return {"tuple": [as_plain(part) for part in value]}
    if isinstance(value, Layer | BasinRef | PartName):
        return {"reference": str(value)}
    if isinstance(value, ConceptName):
        return {"concept": value.name}
    if isinstance(value, Seed):
        return {"seed": value.seed}
    if isinstance(value, Record):
        return {"record": {name: as_plain(part) for name, part in value.items()}}
    if isinstance(value, Result) and vars(results).get(type(value).__name__) is type(value):
        given = {item.name: as_plain(getattr(value, item.name)) for item in fields(value)}
        return {"result": type(value).__name__, "fields": given}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"mapping": {key: as_plain(part) for key, part in value.items()}}
    raise TypeError(f"{type(value).__name__} is no value that can be kept")


def from_plain(data: Any) -> Any:
    """What ``as_plain`` made plain. Raises ``ValueError`` or ``KeyError`` for anything else."""
    if isinstance(data, list):
        return [from_plain(part) for part in data]
    if not isinstance(data, dict):
        return data
    if "result" in data:
        return _result(str(data["result"]), data["fields"])
    ((kind, inside),) = data.items()
    if kind == "tuple":
        return tuple(from_plain(part) for part in inside)
    if kind == "reference":
        found = parse_reference(inside)
        if found is None:
            raise ValueError(f"{inside} refers to nothing")
        return found
    if kind == "concept":
        return ConceptName(str(inside))
    if kind == "seed":
        return Seed(int(inside))
    if kind == "record":
        return Record({name: from_plain(part) for name, part in inside.items()})
    if kind == "mapping":
        return {name: from_plain(part) for name, part in inside.items()}
    raise ValueError(f"there are no values of the kind {kind}")


def _result(name: str, given: Mapping[str, Any]) -> Result:
    kind = vars(results).get(name)
    if not (isinstance(kind, type) and issubclass(kind, Result)):
        raise ValueError(f"there is no result {name}")
    made: Result = object.__new__(kind)
    for item in fields(kind):
        if item.name in given:
            value = from_plain(given[item.name])
        elif item.default is not MISSING:
            value = item.default  # the file is older than the field
        else:
            raise ValueError(f"{name} has no {item.name}")
        object.__setattr__(made, item.name, value)
    return made
