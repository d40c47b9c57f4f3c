"""What every conversation begins with, read once for all of them.

A chat template puts the same tokens (often a system prompt of dozens) in front of every question: half of what would
be read of a short one. They are read in a row of their own, and what they leave behind is handed to every row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from energylang.models.attention import Cache
from energylang.models.protocol import Change, Start
from energylang.models.text import TextModel

LATER = 2**30
"""Where a reply begins that does not begin within what is read."""


@dataclass(frozen=True, eq=False)
class Beginning:
    """Tokens (1, t) that stand in front of all rows, the stream (1, t, m) that they make enter a ``layer``, and what
    they leave behind below it."""

    layer: int
    tokens: Tensor
    stream: Tensor
    cache: Cache

    @classmethod
    @torch.no_grad()
    def of(cls, text: TextModel, layer: int, ids: Sequence[int]) -> Beginning:
        """For token ``ids``, read by the model as it is."""
        tokens = torch.tensor([list(ids)], device=text.device)
        cache = Cache.empty(1, len(ids), text.device)
        stream = text.entering(tokens, layer, cache)
        cache.lengths = torch.tensor([len(ids)], device=text.device)
        return cls(layer, tokens, stream, cache)

    def below(self, size: int, rows: int) -> Cache:
        """What lies below the layer, in a cache of ``rows`` rows with room for ``size`` tokens."""
        cache = _wider(self.cache, size)
        cache.keep(torch.zeros(rows, dtype=torch.int64, device=self.tokens.device))
        return cache

    def read(self, text: TextModel, change: Change, size: int, variants: int = 1) -> Cache:
        """What the tokens leave behind from the layer on under a change, once for each of ``variants`` that it holds:
        a cache of as many rows, with room for ``size`` tokens."""
        rows = torch.zeros(variants, dtype=torch.int64, device=self.tokens.device)
        cache = Cache.empty(variants, size, text.device)
        tokens = self.tokens[rows]
        lengths = torch.full_like(rows, tokens.shape[1])
        text.run(
            tokens,
            change,
            start=Start(self.layer, self.stream[rows]),
            cache=cache,
            wanted=torch.zeros_like(tokens, dtype=torch.bool),
            read=(),  # all layers keep something
            begins=torch.full_like(lengths, LATER),
            lengths=lengths,
        )
        cache.lengths = lengths
        return cache


def _wider(cache: Cache, size: int) -> Cache:
    """The same with room for ``size`` tokens."""

    def wide(values: Tensor, dim: int) -> Tensor:
        shape = list(values.shape)
        shape[dim] = size - shape[dim]
        return torch.cat([values, values.new_zeros(shape)], dim=dim)

    return Cache(
        cache.lengths,
        size,
        {block: wide(pair, 3) for block, pair in cache.store.items()},
        {block: wide(keys, 2) for block, keys in cache.own.items()},
    )
