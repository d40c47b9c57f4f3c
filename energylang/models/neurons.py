"""What do a layer's neurons answer? The activations that enter an MLP's down-projection, read in passes.

They are what the layer's memory is asked with (``energylang.landscape.memory``). The first token of a row is left out
of a second moment: what it stands for is the beginning, and many models keep huge numbers there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from energylang.models.protocol import Change
from energylang.models.text import TextModel


@torch.no_grad()
def mean_activation(
    model: TextModel, layer: int, rows: Sequence[list[int]], spans: Sequence[tuple[int, int]]
) -> Tensor:
    """(m,): the mean over all places in the rows (token ids) that lie in each row's span, from one place up to
    another."""
    found = []
    for activations, _, first in _read(model, layer, rows):
        for k, here in enumerate(activations):
            low, high = spans[first + k]
            found.append(here[low:high])
    return torch.cat(found).mean(dim=0)


@torch.no_grad()
def mean_along(model: TextModel, layer: int, rows: Sequence[list[int]], length: int) -> Tensor:
    """(length, m): the means over the rows (token ids) of the activations at each of their last ``length`` places."""
    total = 0
    for activations, lengths, _ in _read(model, layer, rows):
        total = total + sum(here[end - length : end] for here, end in zip(activations, lengths, strict=True))
    assert isinstance(total, Tensor)  # callers have rows
    return total / len(rows)


@torch.no_grad()
def last_activations(model: TextModel, layer: int, rows: Sequence[list[int]]) -> Tensor:
    """(n, m): the activations at the last place of each of the rows (token ids)."""
    found = []
    for activations, lengths, _ in _read(model, layer, rows):
        found += [here[end - 1] for here, end in zip(activations, lengths, strict=True)]
    return torch.stack(found)


@torch.no_grad()
def second_moments(model: TextModel, layers: Sequence[int], rows: Sequence[list[int]]) -> dict[int, Tensor]:
    """By layer (m, m) float64: the mean of a·aᵀ over all places of the rows (token ids) but the first of each. All
    layers are read in one pass."""
    totals: dict[int, Tensor] = {}
    count = 0
    for found, lengths, _ in _passes(model, layers, rows):
        for layer, activations in found.items():
            inside = torch.cat(
                [here[min(1, end - 1) : end] for here, end in zip(activations, lengths, strict=True)]
            )
            product = (inside.T @ inside).double()
            totals[layer] = product if layer not in totals else totals[layer] + product
        count += sum(end - min(1, end - 1) for end in lengths)
    return {layer: total / count for layer, total in totals.items()}


def _read(model: TextModel, layer: int, rows: Sequence[list[int]]) -> Iterator[tuple[Tensor, list[int], int]]:
    """(activations (b, t, m), lengths, number of the first row), pass by pass."""
    for found, lengths, first in _passes(model, (layer,), rows):
        yield found[layer], lengths, first


def _passes(
    model: TextModel, layers: Sequence[int], rows: Sequence[list[int]]
) -> Iterator[tuple[dict[int, Tensor], list[int], int]]:
    """(activations (b, t, m) by layer, lengths, number of the first row), pass by pass."""
    kept: dict[int, Tensor] = {}

    def keeper(layer: int) -> Callable[[Tensor], Tensor]:
        def keep(activations: Tensor) -> Tensor:
            kept[layer] = activations.float()
            return activations

        return keep

    change = Change(neurons={layer: keeper(layer) for layer in layers})
    for padded, lengths, first in model.padded(list(rows)):
        nowhere = torch.zeros_like(padded, dtype=torch.bool)
        model.run(padded, change, wanted=nowhere, read=tuple(layers))
        yield dict(kept), lengths, first
