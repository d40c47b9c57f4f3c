"""The references a script can hold as values: a layer, a basin, a concept, a seeded direction.

They are names, not things: what they refer to is looked up in the session when an operation runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    index: int

    def __str__(self) -> str:
        return f"L{self.index}"


@dataclass(frozen=True)
class BasinRef:
    layer: int
    basin: int

    def __str__(self) -> str:
        return f"L{self.layer}.B{self.basin}"


@dataclass(frozen=True)
class PartName:
    """A part of a block: an MLP neuron (``N``) or an attention head (``H``)."""

    layer: int
    kind: str
    index: int

    def __str__(self) -> str:
        return f"L{self.layer}.{self.kind}{self.index}"


@dataclass(frozen=True)
class ConceptName:
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Seed:
    """A random direction, drawn from a generator with this seed."""

    seed: int

    def __str__(self) -> str:
        return f"seed {self.seed}"


Direction = BasinRef | ConceptName | Seed

_LAYER = re.compile(r"L(\d{1,9})\Z")
_PART = re.compile(r"L(\d{1,9})\.([NH])(\d{1,9})\Z")
_BASIN = re.compile(r"L(\d{1,9})\.B(\d{1,9})\Z")


def parse_reference(text: str) -> Layer | BasinRef | PartName | None:
    """``"L3"``, ``"L3.B7"``, ``"L3.N12"`` and ``"L3.H2"`` as values; ``None`` for any other text."""
    if match := _PART.match(text):
        return PartName(int(match[1]), match[2], int(match[3]))
    if match := _BASIN.match(text):
        return BasinRef(int(match[1]), int(match[2]))
    if match := _LAYER.match(text):
        return Layer(int(match[1]))
    return None
