"""The parts that the open model and its transformer baseline share, as functions of tensors.

``tensors`` is always a dictionary of canonical names; ``prefix`` selects a block. Shapes: b batch,
t tokens of this pass, s tokens before it (cached), m width of the stream, v vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

#: Keys and values of earlier tokens: block number -> (2, b, heads, s, m / heads).
Cache = dict[int, Tensor]


def embed(tensors: Mapping[str, Tensor], tokens: Tensor, offset: int) -> Tensor:
    """(b, t) token ids at positions offset, offset + 1, … -> (b, t, m)."""
    positions = tensors["position.weight"][offset : offset + tokens.shape[1]]
    return functional.embedding(tokens, tensors["embed.weight"]) + positions


def norm(tensors: Mapping[str, Tensor], prefix: str, stream: Tensor) -> Tensor:
    """Layer norm with gain and shift, (…, m) -> (…, m)."""
    return functional.layer_norm(
        stream, stream.shape[-1:], tensors[f"{prefix}.weight"], tensors[f"{prefix}.bias"]
    )


def attention(
    tensors: Mapping[str, Tensor], block: int, stream: Tensor, heads: int, cache: Cache | None
) -> Tensor:
    """Causal self-attention, (b, t, m) -> (b, t, m). With a cache t is 1, or the cache is empty."""
    prefix = f"blocks.{block}.attention"
    batch, length, width = stream.shape
    mixed = functional.linear(stream, tensors[f"{prefix}.qkv.weight"])
    query, key, value = mixed.view(batch, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    if cache is not None:
        pair = torch.stack((key, value))
        if block in cache:
            pair = torch.cat((cache[block], pair), dim=3)
        cache[block] = pair
        key, value = pair[0], pair[1]
    read = functional.scaled_dot_product_attention(query, key, value, is_causal=key.shape[2] == length)
    return functional.linear(
        read.transpose(1, 2).reshape(batch, length, width), tensors[f"{prefix}.out.weight"]
    )


def head(tensors: Mapping[str, Tensor], stream: Tensor) -> Tensor:
    """Final norm and tied output head, (b, t, m) -> (b, t, v)."""
    return functional.linear(norm(tensors, "norm", stream), tensors["embed.weight"])
