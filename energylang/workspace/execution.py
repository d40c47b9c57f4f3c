"""Around one operation: its threads, which task may change the workspace, and whether a result is in numbers."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from energylang.errors import ElError
from energylang.results import CausalEffect, Edit, Result
from energylang.signature.values import Layer

from .history import State

#: What numbers raise that have no answer, or one beyond all numbers of 64 bits.
NO_SOLUTION: tuple[type[Exception], ...] = (
    torch.linalg.LinAlgError,  # type: ignore[attr-defined]  # it is documented
    ArithmeticError,
)


def current_task() -> Any:
    """The asyncio task that runs, if one does; asyncio is not imported for it."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop runs in this thread
        return None


def with_layer_of(before: State, layer: Any, now: State) -> State:
    """``now`` with a layer (one, several, or none) as it was before."""
    if len(before.layers) != len(now.layers):  # of another model
        return now
    named = layer if isinstance(layer, list | tuple) else (layer,)
    indices = {item.index if isinstance(item, Layer) else item for item in named}
    layers = tuple(
        was if index in indices and state != was else state
        for index, (was, state) in enumerate(zip(before.layers, now.layers, strict=True))
    )
    return now if layers == now.layers else replace(now, layers=layers)


@contextmanager
def with_threads(count: int) -> Iterator[None]:
    """Run torch with ``count`` threads, whatever the caller's setting: same count, same bits. (The setting belongs to
    the process, so sessions of several threads that want different counts get one of them.)"""
    before = torch.get_num_threads()
    if before == count:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_numbers(result: Any, statement: str) -> None:
    """Raise ``ElError`` for a result that holds NaN."""
    wrong = _no_number(result.to_dict()) if isinstance(result, Result) else None
    if wrong is not None:
        raise ElError(
            f"`{statement}` calculated something that is no number: {wrong}",
            code="EL502",
            hint="nothing was changed; a weight, or a parameter, is too extreme to calculate with",
        )


def _no_number(value: Any, where: str = "") -> str | None:
    """The first place in plain data that holds NaN, if there is one."""
    if isinstance(value, float):
        return where if math.isnan(value) else None
    if isinstance(value, Mapping):
        parts: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, list | tuple):
        parts = enumerate(value)
    else:
        return None
    for name, item in parts:
        found = _no_number(item, f"{where}.{name}" if where else str(name))
        if found is not None:
            return found
    return None


def outcome(result: Any) -> tuple[str, str]:
    """What the history says of an operation: the status, and for everything that can be refused the reason."""
    if isinstance(result, Edit | CausalEffect):
        if result.forced:
            return "FORCED", result.reason
        if result.blocked:
            return "BLOCKED", result.reason
        return ("OK", "") if result.applied else ("REFUSED", result.reason)
    return "OK", ""
