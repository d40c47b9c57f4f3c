"""The baseline: the same decoder with a GELU layer where the open model has its landscape.

It says what the landscape costs in loss, and it is the house's own model whose layers are a residual stream. ``hidden``
is chosen so that it holds as many parameters as the model it is compared with.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from energylang.models.attention import Cache, attention, begin_repeating, embed, head, norm
from energylang.models.hopfield.config import HLMConfig
from energylang.models.hopfield.network import shapes as hlm_shapes
from energylang.models.protocol import NOTHING, Change, Pass, Start, answered, changed, only, written


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """The numbers of a baseline; ``problem()`` says what is wrong with them, if anything."""

    vocabulary: int
    context: int = 96
    layers: int = 4
    width: int = 128
    hidden: int = 512
    heads: int = 4
    smeared: int = 0  # heads whose keys are half the previous token's

    def problem(self) -> str | None:
        """What makes these numbers impossible, in a few words; None when they are sound."""
        for name in ("vocabulary", "context", "layers", "width", "hidden", "heads"):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= 2**20:
                return f"{name} is {value!r}, not a whole number from 1 to {2**20}"
        if type(self.smeared) is not int or not 0 <= self.smeared <= self.heads:
            return f"smeared is {self.smeared!r}, not a whole number from 0 to {self.heads}"
        if self.width % self.heads:
            return f"width {self.width} is not a multiple of heads {self.heads}"
        return None


def equal_budget(config: HLMConfig) -> TransformerConfig:
    """The baseline with the same layers and width and, to within one hidden unit per layer, the same
    number of parameters."""
    base = {
        "vocabulary": config.vocabulary,
        "context": config.context,
        "layers": config.layers,
        "width": config.width,
        "heads": config.heads,
        "smeared": config.smeared,
    }
    budget = sum(math.prod(s) for s in hlm_shapes(config).values())
    fixed = sum(math.prod(s) for s in shapes(TransformerConfig(**base, hidden=1)).values())
    per_unit = config.layers * (2 * config.width + 1)
    return TransformerConfig(**base, hidden=max(1, 1 + (budget - fixed) // per_unit))


def shapes(config: TransformerConfig) -> dict[str, tuple[int, ...]]:
    """The tensors that such a model has, all of them, by canonical name."""
    m = config.width
    found: dict[str, tuple[int, ...]] = {
        "embed.weight": (config.vocabulary, m),
        "position.weight": (config.context, m),
        "norm.weight": (m,),
        "norm.bias": (m,),
    }
    for i in range(config.layers):
        block = f"blocks.{i}"
        found |= {f"{block}.norm1.weight": (m,), f"{block}.norm1.bias": (m,)}
        found |= {f"{block}.attention.qkv.weight": (3 * m, m), f"{block}.attention.out.weight": (m, m)}
        found |= {f"{block}.norm2.weight": (m,), f"{block}.norm2.bias": (m,)}
        found |= {
            f"{block}.mlp.input.weight": (config.hidden, m),
            f"{block}.mlp.input.bias": (config.hidden,),
        }
        found |= {f"{block}.mlp.output.weight": (m, config.hidden)}
    return found


def initial(config: TransformerConfig, generator: torch.Generator) -> dict[str, Tensor]:
    """Fresh float32 tensors: standard deviation 0.02, less where the result is added to the stream."""
    small = 0.02 / math.sqrt(2 * config.layers)
    tensors = {}
    for name, shape in shapes(config).items():
        if len(shape) == 1:
            tensors[name] = torch.ones(shape) if "norm" in name and "weight" in name else torch.zeros(shape)
        else:
            scale = small if name.endswith(("attention.out.weight", "mlp.output.weight")) else 0.02
            tensors[name] = scale * torch.randn(shape, generator=generator)
    for i in range(config.layers if config.smeared else 0):
        begin_repeating(tensors, i, config.heads, config.smeared)
    return tensors


def run(
    tensors: Mapping[str, Tensor],
    config: TransformerConfig,
    tokens: Tensor | None,
    change: Change = NOTHING,
    *,
    start: Start | None = None,
    cache: Cache | None = None,
    wanted: Tensor | None = None,
    read: Collection[int] | None = None,
) -> Pass:
    """``protocol.Network.run``. A layer's state is the stream behind its block; a pass that starts at a layer begins
    before its MLP."""
    if start is not None:
        first, stream = start.layer, start.stream
    else:
        assert tokens is not None
        first, stream = 0, _attended(tensors, config, 0, embed(tensors, tokens, cache), cache, change)
    states = {}
    for i in range(first, config.layers):
        if i > first:
            stream = _attended(tensors, config, i, stream, cache, change)
        stream = states[i] = _written(tensors, i, stream, change)
    return Pass(head(tensors, stream, wanted), only(states, read))


def entering(
    tensors: Mapping[str, Tensor],
    config: TransformerConfig,
    tokens: Tensor,
    layer: int,
    cache: Cache | None = None,
    change: Change = NOTHING,
) -> Tensor:
    """(b, t, m): the stream that enters a block's MLP, for whole sequences (b, t)."""
    stream = _attended(tensors, config, 0, embed(tensors, tokens, cache), cache)
    for i in range(layer):
        stream = _attended(tensors, config, i + 1, _written(tensors, i, stream, change), cache)
    return stream


def looks_back_from(config: TransformerConfig, layer: int) -> bool:
    """Whether any attention comes after a layer."""
    return layer < config.layers - 1


def said_by(tensors: Mapping[str, Tensor], config: TransformerConfig, layer: int, state: Tensor) -> Tensor:
    """(…, v): the logits that a stream (…, m) gives through the head alone."""
    return head(tensors, state.to(tensors["embed.weight"]))


def _attended(
    tensors: Mapping[str, Tensor],
    config: TransformerConfig,
    i: int,
    stream: Tensor,
    cache: Cache | None,
    change: Change = NOTHING,
) -> Tensor:
    """The stream (b, t, m) between block i's attention and its MLP."""
    normed = norm(tensors, f"blocks.{i}.norm1", stream)
    return stream + attention(tensors, i, normed, config.heads, cache, config.smeared, change)


def _written(tensors: Mapping[str, Tensor], i: int, stream: Tensor, change: Change) -> Tensor:
    """The stream (b, t, m) behind block i's MLP."""
    normed = norm(tensors, f"blocks.{i}.norm2", stream)
    name = f"blocks.{i}.mlp"
    inner = functional.linear(normed, tensors[f"{name}.input.weight"], tensors[f"{name}.input.bias"])
    output = change.weights.get(i, tensors[f"{name}.output.weight"])
    inner = changed(change, "neurons", i, functional.gelu(inner))
    said = written(change, i, inner, functional.linear(inner, output))
    said = answered(change, i, normed, said)
    stream = changed(change, "drive", i, stream + said)
    return changed(change, "state", i, stream)
