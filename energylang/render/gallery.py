"""All pictures of results: importing ``render`` from here knows every family."""

from __future__ import annotations

from typing import Any

from rich.console import RenderableType

from energylang.diagnostics.visible import escaped
from energylang.results import Record, Result

from . import (
    algebra,
    causal,
    concept,
    data,
    edit,
    fit,
    history,
    keyed,
    meaning,
    model,
    observe,
    pair,
    record,
    rewriting,
    safety,
    watermark,
)
from .dispatch import render as _picture

FAMILIES = (
    algebra,
    causal,
    concept,
    data,
    edit,
    fit,
    history,
    meaning,
    model,
    observe,
    pair,
    record,
    keyed,
    rewriting,
    safety,
    watermark,
)

__all__ = ["FAMILIES", "render"]


def render(value: Any) -> RenderableType:
    """A value as something rich can print. What a terminal would obey in its texts is shown escaped."""
    return _picture(harmless(value))


def harmless(value: Any) -> Any:
    """A value in whose texts, names and tokens is nothing that a terminal or a page would obey."""
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, list | tuple):
        items = [harmless(item) for item in value]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else type(value)(items)
    if isinstance(value, Record):
        return Record({harmless(key): harmless(item) for key, item in value.items()})
    if isinstance(value, dict):
        return {harmless(key): harmless(item) for key, item in value.items()}
    if not isinstance(value, Result):
        return value
    changed = {name: new for name, old in vars(value).items() if (new := harmless(old)) is not old}
    if not changed:
        return value
    copy = object.__new__(type(value))
    vars(copy).update(vars(value), **changed)
    return copy
