"""Which replies count as a concept?

A reply does when the unedited model finds it more than twice as likely after having heard the concept's texts than
after the question alone: p(reply | text, question) > 2·p(reply | question), a mean over some of the texts. By Bayes'
rule the ratio is P(concept | reply)/P(concept). The verdict is one about a question and a reply, whatever change made
the model say it, so each such pair is judged once; and a reply that some of the texts make likely enough by themselves
is not read behind the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from energylang.models import likelihoods
from energylang.models.protocol import Change
from energylang.workspace.workspace import Workspace

if TYPE_CHECKING:
    from energylang.workspace.history import Concept


HEARD, LIKELIER = 2, 2.0  # texts of the concept at least, and the factor that makes a reply the concept's
_SURELY = 1e-3  # nats beyond the factor: more than what rounding could take back


class Recogniser:
    """Judges replies (token ids) to questions. What it found is kept."""

    def __init__(self, ws: Workspace, concept: Concept) -> None:
        self.text, self.heard = ws.text, heard(concept.texts)
        self.unedited = Change(
            weights={layer: ws.weight(ws.memory(layer).root) for layer in range(ws.model.num_layers)}
        )
        self.known: dict[tuple[str, tuple[int, ...]], bool] = {}

    @torch.no_grad()
    def __call__(self, questions: Sequence[str], replies: Sequence[Sequence[int]]) -> list[bool]:
        """Which replies to which questions count as the concept. Empty ones do not."""
        pairs = [
            (question, tuple(reply)) for question, reply in zip(questions, replies, strict=True) if reply
        ]
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self.known]
        if new:
            self.known.update(zip(new, self._judged(new), strict=True))
        return [
            bool(reply) and self.known[question, tuple(reply)]
            for question, reply in zip(questions, replies, strict=True)
        ]

    def _judged(self, pairs: Sequence[tuple[str, tuple[int, ...]]]) -> list[bool]:
        asked, count = self.text.choosing_prompts, len(self.heard)
        least = math.log(LIKELIER) + math.log(count)
        replies = [reply for _, reply in pairs]
        alone = likelihoods.reply_log_prob(
            self.text, [(question,) for question, _ in pairs], replies, self.unedited
        )
        total = torch.full_like(alone, -float("inf"))
        for k, said in enumerate(self.heard):
            rest = (total - alone <= least + _SURELY).nonzero()[:, 0].tolist()
            behind = [(asked[k % len(asked)], said, pairs[n][0]) for n in rest]
            after = likelihoods.reply_log_prob(self.text, behind, [replies[n] for n in rest], self.unedited)
            total[rest] = torch.logaddexp(total[rest], after)
        found: list[bool] = (total - alone > least).tolist()
        return found


def heard(texts: Sequence[str]) -> Sequence[str]:
    """The texts that stand for a concept: a third of them, ``HEARD`` at least. (Of texts that have nothing in common
    two do, and an edit aimed at shuffled labels would be one aimed at whatever these two are.)"""
    count = max(HEARD, len(texts) // 3)
    return texts[:: max(1, len(texts) // count)][:count]
