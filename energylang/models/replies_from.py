"""Fixed replies behind fixed openings in one pass from a layer on, through which gradients flow.

What enters the layer is computed once. ``Behind`` reads the same without gradients, in parts, and openings once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from energylang.models.protocol import Change, Start
from energylang.models.text import TextModel


@dataclass(frozen=True, eq=False)
class RepliesFrom:
    """n replies: what enters the layer (b, t, d), which places are asked for the next token (b, t), what these tokens
    are (all replies' tokens in a row), and of how many places each reply is."""

    text: TextModel
    start: Start
    tokens: Tensor
    wanted: Tensor
    targets: Tensor
    counts: list[int]

    @classmethod
    @torch.no_grad()
    def of(
        cls, text: TextModel, layer: int, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]
    ) -> RepliesFrom:
        """``pairs`` of (opening, reply) in token ids; no reply is empty."""
        rows = [[*opening, *reply][-text.max_length :] for opening, reply in pairs]
        counts = [min(len(reply), len(row) - 1) for (_, reply), row in zip(pairs, rows, strict=True)]
        tokens, lengths, _ = next(text.padded([row[:-1] for row in rows], len(rows)))
        wanted = torch.zeros(tokens.shape, dtype=torch.bool)
        for k, (end, count) in enumerate(zip(lengths, counts, strict=True)):
            wanted[k, end - count : end] = True
        targets = torch.tensor([id for row, count in zip(rows, counts, strict=True) for id in row[-count:]])
        start = Start(layer, text.entering(tokens, layer))
        return cls(text, start, tokens, wanted.to(text.device), targets.to(text.device), counts)

    def logits(self, change: Change) -> tuple[Tensor, ...]:
        """Of each reply (c, v): the logits at the places from which its c tokens are chosen."""
        found = self.text.run(
            self.tokens, change, start=self.start, wanted=self.wanted, read=()
        ).logits.float()
        return torch.split(found, self.counts)

    def log_probs(self, change: Change) -> list[Tensor]:
        """Of each reply (c,): the log-probabilities of its tokens, in nats."""
        wanted = torch.split(self.targets, self.counts)
        return [
            logits.gather(1, ids[:, None])[:, 0] - logits.logsumexp(dim=1)
            for logits, ids in zip(self.logits(change), wanted, strict=True)
        ]

    def means(self, change: Change) -> Tensor:
        """(n,): the mean log-probability per token of each reply, in nats. Gradients flow to the change."""
        return torch.stack([each.mean() for each in self.log_probs(change)])
