"""How likely are fixed replies behind fixed openings, under many changes from one layer on?

What lies below the layer is computed once, for the openings and for the replies; an opening that several replies
have is read once in every reading, and so is what every conversation begins with. So a reading costs the layers from
this one on, for every token once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from energylang.models.attention import Cache
from energylang.models.protocol import NOTHING, Change, Start
from energylang.models.text import TextModel

from .beginning import LATER, Beginning


@dataclass(frozen=True, eq=False)
class _Part:
    """Replies that share a pass: the openings (their numbers), tokens (b, t), what enters the layer (b, t, m), how many
    tokens count, and what they are."""

    places: Tensor
    tokens: Tensor
    stream: Tensor
    lengths: Tensor
    wanted: Tensor
    targets: Tensor
    rows: tuple[int, ...]


class Behind:
    """Log-probabilities of replies behind openings, ``pairs`` of (opening, reply) in token ids, under changes of
    ``layer`` and later ones. (Of a reply behind nothing the first token is the opening.)"""

    @torch.no_grad()
    def __init__(
        self,
        text: TextModel,
        layer: int,
        pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
    ) -> None:
        pairs = [(opening, reply) if len(opening) else (reply[:1], reply[1:]) for opening, reply in pairs]
        openings = list(dict.fromkeys(tuple(opening) for opening, _ in pairs))
        place = {opening: number for number, opening in enumerate(openings)}
        numbers = [place[tuple(opening)] for opening, _ in pairs]
        replies = [reply for _, reply in pairs]
        self.text, self.layer, self.count = text, layer, len(replies)
        room = max(len(reply) for reply in replies)
        known = [list(opening[:-1]) for opening in openings]
        self.size = max(len(opening) for opening in openings) + room
        shared = text.shared(known)
        self.tokens, lengths, _ = next(text.padded([row[shared:] for row in known], len(known)))
        self.lengths = torch.tensor(lengths, device=text.device) + shared
        self.beginning: Beginning | None = None
        if shared:
            self.beginning = Beginning.of(text, layer, known[0][:shared])
            cache = self.beginning.below(self.size, len(known))
        else:
            cache = Cache.empty(len(known), self.size, text.device)
        self.stream = text.entering(self.tokens, layer, cache) if self.tokens.numel() else None
        cache.lengths = self.lengths.clone()
        order = sorted(range(len(replies)), key=lambda n: len(replies[n]))
        self.parts = []
        for first in range(0, len(order), text.batch):
            rows = order[first : first + text.batch]
            texts = [[openings[numbers[n]][-1], *replies[n]] for n in rows]
            padded, ends, _ = next(text.padded([each[:-1] for each in texts], len(texts)))
            places = torch.tensor([numbers[n] for n in rows], device=text.device)
            here = Cache(cache.lengths, cache.size, dict(cache.store), dict(cache.own))
            here.keep(places)
            wanted = torch.arange(padded.shape[1]) < torch.tensor(ends)[:, None]
            targets = torch.tensor([id for each in texts for id in each[1:]], device=text.device)
            stream = text.entering(padded, layer, here)
            total = self.lengths[places] + torch.tensor(ends, device=text.device)
            self.parts.append(
                _Part(places, padded, stream, total, wanted.to(text.device), targets, tuple(rows))
            )

    @torch.no_grad()
    def opened(self, change: Change = NOTHING) -> Cache:
        """What the openings leave behind under a change, ready for ``replies``."""
        text = self.text
        if self.beginning is None:
            cache = Cache.empty(len(self.tokens), self.size, text.device)
        else:
            cache = self.beginning.read(text, change, self.size)
            cache.keep(torch.zeros(len(self.tokens), dtype=torch.int64, device=text.device))
        if self.stream is None:  # every opening is of one token, which comes with the reply
            return cache
        nothing = torch.zeros_like(self.tokens, dtype=torch.bool)
        text.run(
            self.tokens,
            change,
            start=Start(self.layer, self.stream),
            cache=cache,
            wanted=nothing,
            read=(),  # all layers keep something
            begins=torch.full_like(self.lengths, LATER),
            lengths=self.lengths,
        )
        cache.lengths = self.lengths.clone()
        return cache

    def replies(self, change: Change, opened: Cache) -> list[Tensor]:
        """Of each reply (n,): the log-probabilities of its tokens, in nats, where the openings were read before, under
        this change or another. Gradients flow to the change."""
        found: dict[int, Tensor] = {}
        for part in self.parts:
            here = Cache(opened.lengths, opened.size, dict(opened.store), dict(opened.own))
            here.keep(part.places)
            chosen = -self.text.missed(
                Start(self.layer, part.stream),
                change,
                part.targets,
                tokens=part.tokens,
                cache=here,
                wanted=part.wanted,
                begins=here.lengths + 1,
                lengths=part.lengths,
            )
            for n, each in zip(part.rows, torch.split(chosen, part.wanted.sum(dim=1).tolist()), strict=True):
                found[n] = each
        return [found[n] for n in range(self.count)]

    @torch.no_grad()
    def log_probs(self, change: Change = NOTHING) -> list[Tensor]:
        """Of each reply (n,): the log-probabilities of its tokens, in nats."""
        return self.replies(change, self.opened(change))

    def loss(self, change: Change = NOTHING) -> float:
        """The mean loss of all tokens of all replies, in nats."""
        return -float(torch.cat(self.log_probs(change)).mean())

    def means(self, change: Change = NOTHING) -> Tensor:
        """(n,): the mean log-probability per token of each reply, in nats."""
        return torch.stack([each.mean() for each in self.log_probs(change)])
