"""The toy at work: h ← mean of the embeddings so far, then h ← h + tanh(M h) in every layer; tied head."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from energylang.models.protocol import NOTHING, Change, Pass, Start, only


@dataclass(frozen=True, slots=True)
class BagConfig:
    vocabulary: int
    context: int = 32
    layers: int = 2
    width: int = 8

    def problem(self) -> str | None:
        return None if self.width > 0 else "no width"


def shapes(config: BagConfig) -> dict[str, tuple[int, ...]]:
    found = {f"mix.{i}": (config.width, config.width) for i in range(config.layers)}
    return {"embed.weight": (config.vocabulary, config.width), **found}


def run(
    tensors: Mapping[str, Tensor],
    config: BagConfig,
    tokens: Tensor | None,
    change: Change = NOTHING,
    *,
    start: Start | None = None,
    cache: Any = None,
    wanted: Tensor | None = None,
    read: Collection[int] | None = None,
) -> Pass:
    if start is not None:
        first, stream = start.layer, start.stream
    else:
        assert tokens is not None
        first, stream = 0, _begin(tensors, tokens, cache is None)
    states = {}
    for i in range(first, config.layers):
        stream = stream + torch.tanh(functional.linear(stream, change.weights.get(i, tensors[f"mix.{i}"])))
        stream = stream + change.drive[i] if i in change.drive else stream
        stream = states[i] = change.state[i](stream) if i in change.state else stream
    return Pass(said_by(tensors, config, 0, stream if wanted is None else stream[wanted]), only(states, read))


def _begin(tensors: Mapping[str, Tensor], tokens: Tensor, whole: bool) -> Tensor:
    found = functional.embedding(tokens, tensors["embed.weight"])
    counts = torch.arange(1, tokens.shape[1] + 1)[:, None]
    return found.cumsum(1) / counts if whole else found  # behind a cache it forgets: it is a toy


def entering(
    tensors: Mapping[str, Tensor], config: BagConfig, tokens: Tensor, layer: int, cache: Any = None
) -> Tensor:
    stream = _begin(tensors, tokens, True)
    for i in range(layer):
        stream = stream + torch.tanh(functional.linear(stream, tensors[f"mix.{i}"]))
    return stream


def looks_back_from(config: BagConfig, layer: int) -> bool:
    return False


def said_by(tensors: Mapping[str, Tensor], config: BagConfig, layer: int, state: Tensor) -> Tensor:
    return functional.linear(state, tensors["embed.weight"])
