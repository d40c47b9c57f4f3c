"""The JSON schema (draft 2020-12) of every kind of result, made from the annotations of its class.

What ``to_dict`` writes has every field of the class, in its order; a text for a text, ``null`` where the annotation
says ``None``. So a schema says no more and no less than the class does, and cannot fall behind it.
"""

from __future__ import annotations

import inspect
import types as pytypes
import typing
from dataclasses import fields
from typing import Any

from .base import Result

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}


def result_schema(cls: type[Result]) -> dict[str, Any]:
    """A schema of its own for one kind of result, with those that it holds under ``$defs``."""
    held = definitions(cls)
    own = held.pop(cls.__name__)
    return {"$schema": DRAFT, "title": cls.__name__, **own, **({"$defs": held} if held else {})}


def definitions(*classes: type[Result]) -> dict[str, dict[str, Any]]:
    """The schemas of these kinds of results and of all that they hold, by name. They refer to one another as
    ``#/$defs/NAME``."""
    found: dict[str, dict[str, Any]] = {}
    waiting = list(classes)
    while waiting:
        cls = waiting.pop()
        if cls.__name__ not in found:
            found[cls.__name__] = _object(cls, waiting)
    return dict(sorted(found.items()))


def _object(cls: type[Result], met: list[type[Result]]) -> dict[str, Any]:
    """``met`` gets the kinds of results that fields hold."""
    hints = typing.get_type_hints(cls)
    names = [item.name for item in fields(cls)]
    schema: dict[str, Any] = {
        "type": "object",
        "required": names,
        "additionalProperties": False,
        "properties": {name: _schema(hints[name], met) for name in names},
    }
    return {"description": doc} | schema if (doc := described(cls)) else schema


def described(cls: type[Result]) -> str:
    """What the class says of itself and of its fields; nothing where it says nothing."""
    text = cls.__dict__.get("__doc__") or ""
    # A dataclass without a docstring is given its signature as one.
    return "" if text.startswith(f"{cls.__name__}(") else inspect.cleandoc(text)


def _schema(hint: Any, met: list[type[Result]]) -> dict[str, Any]:
    if hint is Any:
        return {}
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    origin, held = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        if len(held) != 2 or held[1] is not Ellipsis:
            raise TypeError(f"a tuple of known length in a result: {hint}")
        return {"type": "array", "items": _schema(held[0], met)}
    if origin in (typing.Union, pytypes.UnionType):
        parts = [_schema(item, met) for item in held]
        if all(set(part) == {"type"} for part in parts):
            return {"type": [part["type"] for part in parts]}
        return {"anyOf": parts}
    if isinstance(hint, type) and issubclass(hint, Result):
        met.append(hint)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    raise TypeError(f"no JSON schema for a field of this type: {hint}")


def kinds() -> dict[str, type[Result]]:
    """Every kind of result, by name: those of operations, and those that they hold."""
    found: dict[str, type[Result]] = {}
    waiting = list(Result.__subclasses__())
    while waiting:
        cls = waiting.pop()
        if cls.__module__.startswith(f"{__package__}."):
            found[cls.__name__] = cls
        waiting += cls.__subclasses__()
    return dict(sorted(found.items()))
