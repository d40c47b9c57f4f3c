"""How far apart are the changes of two sessions on two machines, when only a few numbers of each were kept?

A hash says that weights are equal to the last bit or not. Edits that were calculated on another processor differ in the
last bits, so a record keeps a sketch of every layer's change as well: ``sₖ = uₖᵀ ΔW vₖ`` for K pairs of random signs
(the same in every process), u as long as the weight is high and v as it is wide. Sketches are linear, and
``E s² = ‖ΔW‖²_F`` (Hutchinson's estimator for ΔWᵀΔW), so the root mean square of ``s − s′`` over that of ``s′``
estimates ``‖ΔW − ΔW′‖_F / ‖ΔW′‖_F``, within a third or so for K = 16.

A sketch costs ``K·(m + n)·r`` operations per edit of rank r, and is remembered by the version that the edit made.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from energylang.landscape.draws import stable_generator

if TYPE_CHECKING:
    from .history import State
    from .versions import Version

PAIRS = 16
TOLERANCE = 1e-4
"""Relative: changes closer than this are the same, calculated with another rounding."""

_KNOWN: WeakKeyDictionary[Version, Tensor] = WeakKeyDictionary()


def sketch(version: Version) -> Tensor:
    """The sketch (K,), float64, of a version's change against the original."""
    missing = []
    current: Version | None = version
    while current is not None and current not in _KNOWN and current.parent is not None:
        missing.append(current)
        current = current.parent
    found = _KNOWN.get(current) if current is not None else None
    total = torch.zeros(PAIRS, dtype=torch.float64) if found is None else found
    for step in reversed(missing):
        assert step.factors is not None
        left, right = (side.detach().cpu().double() for side in (step.factors.left, step.factors.right))
        first, second = _signs(left.shape[0])[0], _signs(right.shape[0])[1]
        total = total + ((first @ left) * (second @ right)).sum(1)
        _KNOWN[step] = total
    return total


@functools.lru_cache(maxsize=16)
def _signs(dim: int) -> tuple[Tensor, Tensor]:
    drawn = torch.randint(0, 2, (2, PAIRS, dim), generator=stable_generator("sketch", dim))
    first, second = (2 * drawn - 1).double()
    return first, second


def changes(state: State) -> list[dict[str, Any]]:
    """The sketches of all layers whose staged or live weight is not the original, as a record keeps them: that of an
    original is empty."""
    weights = [
        {"layer": number, "staged": _plain(layer.staged), "live": _plain(layer.live)}
        for number, layer in enumerate(state.layers)
        if layer.staged.depth or layer.live.depth
    ]
    fitted = [
        {"layer": number, "of": "landscape", "staged": _plain(fit.staged), "live": _plain(fit.live)}
        for number, layer in enumerate(state.layers)
        if (fit := layer.fit) is not None and (fit.staged.depth or fit.live.depth)
    ]
    return weights + fitted


def _plain(version: Version) -> list[float]:
    numbers: list[float] = sketch(version).tolist() if version.depth else []
    return numbers


def apart(then: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> float:
    """The largest relative distance of two sessions' changes, over layers and over staged and live weights; infinite
    where only one of them has a change."""
    ours, theirs = (
        {(entry["layer"], entry.get("of", "weight")): entry for entry in side} for side in (now, then)
    )
    if ours.keys() != theirs.keys():
        return math.inf
    return max(
        (
            _distance(theirs[layer][which], ours[layer][which])
            for layer in ours
            for which in ("staged", "live")
        ),
        default=0.0,
    )


def _distance(then: Sequence[float], now: Sequence[float]) -> float:
    if len(then) != len(now):
        return math.inf
    difference = math.sqrt(sum((a - b) ** 2 for a, b in zip(then, now, strict=True)))
    size = math.sqrt(max(sum(a * a for a in then), sum(b * b for b in now)))
    return difference / size if size else 0.0
