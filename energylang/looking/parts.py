"""Parts of a model that can be silenced: neurons, heads, directions of concepts; and random ones to set beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from energylang.errors import ElError
from energylang.models.header import ModelHeader
from energylang.signature.values import ConceptName, PartName
from energylang.workspace.workspace import Workspace, check_layer


@dataclass(frozen=True, eq=False)
class Parts:
    """By layer: numbers of neurons and of heads, and directions (k, d), orthonormal rows, in its state."""

    neurons: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    heads: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    directions: Mapping[int, Tensor] = field(default_factory=dict)

    @property
    def lowest(self) -> int:
        """The lowest layer that any of them is in."""
        return min((*self.neurons, *self.heads, *self.directions))


def parts_of(
    ws: Workspace, named: Sequence[PartName | ConceptName], directions: Mapping[str, tuple[int, Tensor]]
) -> Parts:
    """The parts that were named, each of which must be there (EL302, EL308). ``directions`` gives the layer and the
    direction (d,) of every concept among them."""
    found: dict[str, dict[int, list[int]]] = {"N": {}, "H": {}}
    rows: dict[int, list[Tensor]] = {}
    for part in named:
        if isinstance(part, ConceptName):
            layer, direction = directions[part.name]
            rows.setdefault(layer, []).append(direction)
            continue
        check_layer(ws.model, part.layer)
        check_part(ws.model.header, part)
        numbers = found[part.kind].setdefault(part.layer, [])
        if part.index not in numbers:
            numbers.append(part.index)
    return Parts(
        {layer: tuple(sorted(numbers)) for layer, numbers in found["N"].items()},
        {layer: tuple(sorted(numbers)) for layer, numbers in found["H"].items()},
        {layer: spanned(torch.stack(each)) for layer, each in rows.items()},
    )


def check_part(header: ModelHeader, part: PartName) -> None:
    """Raise ``ElError`` (EL308) for a neuron or a head that the layer does not have."""
    what, count = header.parts(part.kind, part.layer)
    if part.index >= count:
        has = f"{count:,} {what}" if count else f"no {what}"
        raise ElError(f"there is no {part}: L{part.layer} of {header.spec} has {has}", code="EL308")


def spanned(rows: Tensor) -> Tensor:
    """(r, d), orthonormal rows that span those of (k, d)."""
    _, sizes, basis = torch.linalg.svd(rows.double(), full_matrices=False)
    kept: Tensor = basis[sizes > 1e-6 * sizes.max().clamp_min(1e-300)].to(rows)
    return kept


def random_parts(ws: Workspace, parts: Parts, generator: torch.Generator) -> Parts:
    """As many random neurons, heads (others than these) and directions in the same layers.

    Raises ``ElError`` EL510 where a layer has too few others."""

    def others(numbers: tuple[int, ...], count: int, layer: int, what: str) -> tuple[int, ...]:
        rest = [k for k in range(count) if k not in set(numbers)]
        if len(rest) < len(numbers):
            raise ElError(
                f"L{layer} has {len(rest)} other {what}: too few to compare {len(numbers)} with",
                code="EL510",
                hint="take fewer at a time",
            )
        order = torch.randperm(len(rest), generator=generator)[: len(numbers)].tolist()
        return tuple(sorted(rest[k] for k in order))

    header = ws.model.header
    return Parts(
        {
            layer: others(numbers, header.neurons[layer], layer, "neurons")
            for layer, numbers in parts.neurons.items()
        },
        {
            layer: others(numbers, header.heads[layer], layer, "heads")
            for layer, numbers in parts.heads.items()
        },
        {
            layer: spanned(torch.randn(rows.shape, generator=generator).to(rows))
            for layer, rows in parts.directions.items()
        },
    )
