"""What do a layer's neurons answer? The activations that enter an MLP's down-projection, read in passes.

They are what the layer's memory is asked with (``energylang.landscape.memory``). The first token of a row is left out
of a second moment: what it stands for is the beginning, and many models keep huge numbers there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
def second_moment(model: TextModel, layer: int, rows: Sequence[list[int]]) -> Tensor:
    """(m, m) float64: the mean of a·aᵀ over all places of the rows (token ids) but the first of each."""
    total: Tensor | None = None
    count = 0
    for activations, lengths, _ in _read(model, layer, rows):
        inside = torch.cat(
            [here[min(1, end - 1) : end] for here, end in zip(activations, lengths, strict=True)]
        )
        product = (inside.T @ inside).double()
        total = product if total is None else total + product
        count += len(inside)
    assert total is not None  # callers have rows
    return total / count


def _read(model: TextModel, layer: int, rows: Sequence[list[int]]) -> Iterator[tuple[Tensor, list[int], int]]:
    """(activations (b, t, m), lengths, number of the first row), pass by pass."""
    kept: list[Tensor] = []

    def keep(activations: Tensor) -> Tensor:
        kept.append(activations)
        return activations

    for padded, lengths, first in model.padded(list(rows)):
        nowhere = torch.zeros_like(padded, dtype=torch.bool)
        model.run(padded, Change(neurons={layer: keep}), wanted=nowhere, read=(layer,))
        yield kept.pop().float(), lengths, first
