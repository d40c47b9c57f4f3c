"""The parts that the open model and its transformer baseline share, as functions of tensors.

``tensors`` is always a dictionary of canonical names; ``prefix`` selects a block. Shapes: b batch,
t tokens of this pass, m width of the stream, v vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from energylang.models.protocol import NOTHING, Change, changed

_FOUND = 1.28  # at the beginning, attention's logit for the place behind a token that is the one which looks
_REPEATING = 0.5  # and how much of what is found there the stream gains
_AT_ONCE = 64  # rows of logits: they stay in a core's cache while they are written (measured)


@dataclass
class Cache:
    """Keys and values of the tokens that rows of unequal length have behind them.

    ``lengths`` (b,) is how many tokens of each row are known; ``store`` has, per block, a tensor
    (2, b, heads, size, m / heads), and ``own`` one (b, smeared, size, m / heads) with the keys of smeared heads before
    they were smeared. A pass writes its tokens behind each row's last one and sees nothing beyond.
    Whoever passes a prompt that is padded on the right sets ``lengths`` to the true lengths afterwards: what the
    padding left behind is overwritten before it could be seen.
    """

    lengths: Tensor
    size: int
    store: dict[int, Tensor] = field(default_factory=dict)
    own: dict[int, Tensor] = field(default_factory=dict)

    @classmethod
    def empty(cls, rows: int, size: int, device: torch.device) -> Cache:
        """For ``rows`` rows of at most ``size`` tokens."""
        return cls(torch.zeros(rows, dtype=torch.int64, device=device), size)

    def keep(self, rows: Tensor) -> None:
        """Forget all rows but these, (k,) indices."""
        self.lengths = self.lengths[rows]
        self.store = {block: pair.index_select(1, rows) for block, pair in self.store.items()}
        self.own = {block: keys.index_select(0, rows) for block, keys in self.own.items()}

    def places(self, count: int) -> Tensor:
        """(b, count): the positions of the next tokens."""
        return self.lengths[:, None] + torch.arange(count, device=self.lengths.device)

    def before(self, block: int, key: Tensor) -> Tensor:
        """(b, h, 1, m / heads): the own key of the token before the next ones, zeros where there is none; then keep
        the own keys (b, h, t, m / heads) of the next ones."""
        rows, heads, count, width = key.shape
        if block not in self.own:
            self.own[block] = key.new_zeros(rows, heads, self.size, width)
        last = (self.lengths - 1).clamp(min=0)[:, None, None, None].expand(rows, heads, 1, width)
        found = self.own[block].gather(2, last) * (self.lengths > 0)[:, None, None, None]
        row = torch.arange(rows, device=key.device)[:, None]
        self.own[block][row, :, self.places(count)] = key.transpose(1, 2)
        return found

    def extend(self, block: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write keys and values (b, heads, t, m / heads) of the next tokens; all of the block's, and what each of the t
        may see, (b, 1, t, size)."""
        rows, heads, count, width = key.shape
        if block not in self.store:
            self.store[block] = key.new_zeros(2, rows, heads, self.size, width)
        places = self.places(count)
        row = torch.arange(rows, device=key.device)[:, None]
        for which, given in enumerate((key, value)):
            self.store[block][which][row, :, places] = given.transpose(1, 2)
        seen = torch.arange(self.size, device=places.device) <= places[..., None]
        return self.store[block], seen[:, None]


def embed(tensors: Mapping[str, Tensor], tokens: Tensor, cache: Cache | None = None) -> Tensor:
    """(b, t) token ids at positions 0, 1, …, or behind those of the cache -> (b, t, m)."""
    table = tensors["position.weight"]
    if cache is None:
        positions = table[: tokens.shape[1]]
    else:  # what pads a row may lie beyond the last position
        positions = table[cache.places(tokens.shape[1]).clamp(max=len(table) - 1)]
    return functional.embedding(tokens, tensors["embed.weight"]) + positions


def norm(tensors: Mapping[str, Tensor], prefix: str, stream: Tensor) -> Tensor:
    """Layer norm with gain and shift, (…, m) -> (…, m)."""
    return functional.layer_norm(
        stream, stream.shape[-1:], tensors[f"{prefix}.weight"], tensors[f"{prefix}.bias"]
    )


def begin_repeating(tensors: Mapping[str, Tensor], block: int, heads: int, smeared: int) -> None:
    """Let a block's smeared heads begin as ones that say again what followed a word before, in place.

    Their queries are their keys, so a token looks for places behind itself; what they write is the transpose of what
    they read, so it is the token found there that the stream gains. (Trockman and Kolter, Mimetic initialization of
    self-attention layers, 2023, begin all heads so, without the pairs.)
    """
    qkv, out = (
        tensors[f"blocks.{block}.attention.qkv.weight"],
        tensors[f"blocks.{block}.attention.out.weight"],
    )
    width, each = qkv.shape[1], qkv.shape[1] // heads
    rows = slice(width - smeared * each, width)
    query, key, value = qkv.view(3, width, width)[:, rows]
    query *= math.sqrt(_FOUND * math.sqrt(2 / each) / width) / query.std()  # for a stream of size 1
    key.copy_(query)
    value *= 1 / (math.sqrt(width) * value.std())
    out[:, rows] = _REPEATING * value.T


def smear(key: Tensor, before: Tensor | None, smeared: int) -> Tensor:
    """Keys (b, heads, t, ·) of which the last ``smeared`` heads' are half the token's and half the previous one's.

    "What came after this word?" is then asked by one layer, where two had to find each other before (Olsson et al.,
    In-context learning and induction heads, 2022, there with a learnt share). ``before`` (b, smeared, 1, ·) are the own
    keys of the token before the first; without it the first has none.
    """
    own = key[:, -smeared:]
    earlier = own[:, :, :-1]
    earlier = functional.pad(earlier, (0, 0, 1, 0)) if before is None else torch.cat([before, earlier], dim=2)
    return torch.cat([key[:, :-smeared], (own + earlier) * math.sqrt(0.5)], dim=1)


def attention(
    tensors: Mapping[str, Tensor],
    block: int,
    stream: Tensor,
    heads: int,
    cache: Cache | None,
    smeared: int = 0,
    change: Change = NOTHING,
) -> Tensor:
    """Causal self-attention, (b, t, m) -> (b, t, m); with a cache also to the tokens before these. The last ``smeared``
    heads look for pairs of tokens. A ``change`` of heads is one of what they read, before it is written."""
    prefix = f"blocks.{block}.attention"
    batch, length, width = stream.shape
    mixed = functional.linear(stream, tensors[f"{prefix}.qkv.weight"])
    query, key, value = mixed.view(batch, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    if smeared:
        key = smear(key, cache.before(block, key[:, -smeared:]) if cache is not None else None, smeared)
    if cache is None:
        if (
            mixed.dtype == torch.bfloat16 and mixed.device.type == "cpu"
        ):  # backwards, bfloat16 is 4 times slower
            query, key, value = query.float(), key.float(), value.float()
        with torch.autocast(mixed.device.type, enabled=False):
            read = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    else:
        (keys, values), seen = cache.extend(block, key, value)
        read = functional.scaled_dot_product_attention(query, keys, values, attn_mask=seen)
    read = read.transpose(1, 2)
    read = changed(change, "heads", block, read)
    return functional.linear(read.reshape(batch, length, width), tensors[f"{prefix}.out.weight"])


def head(tensors: Mapping[str, Tensor], stream: Tensor, wanted: Tensor | None = None) -> Tensor:
    """Final norm and tied output head, (b, t, m) -> (b, t, v); (n, v) for the n places that are ``wanted`` (b, t)."""
    if wanted is not None:
        stream = stream[wanted]
    normed, table = norm(tensors, "norm", stream), tensors["embed.weight"]
    rows = normed.numel() // normed.shape[-1]
    if torch.is_grad_enabled() or rows <= _AT_ONCE or normed.dtype != table.dtype or normed.is_cuda:
        return functional.linear(normed, table)
    logits, given = normed.new_empty(rows, len(table)), normed.reshape(rows, -1)
    for begin in range(0, rows, _AT_ONCE):
        torch.mm(given[begin : begin + _AT_ONCE], table.T, out=logits[begin : begin + _AT_ONCE])
    return logits.view(*normed.shape[:-1], -1)
