"""Measuring a concept on a pretrained model, where every token read costs a hundred times what it costs on a small one.

The same three questions as on other models (``effects``), asked of less text and with nothing read twice:

* **share**: replies to neutral prompts, sampled under the change; one counts as the concept when the unedited model
  finds it more than twice as likely after having spoken as the concept's texts do than after the question alone.
  What comes before the replies, in both cases, is read once for all changes.
* **log-probability** of the concept's texts as replies, under the change; what lies below it is computed once.
* **own**: the loss of the unedited model's own replies to neutral prompts, under the change: what the concept costs the
  model's usual manner, which held-out text does not show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from energylang.landscape.draws import stable_generator
from energylang.models import sampling
from energylang.models.behind import Behind
from energylang.models.likelihoods import Openings
from energylang.models.protocol import Change
from energylang.workspace.history import Concept
from energylang.workspace.workspace import Workspace

from .effects import Heard
from .recognising import LIKELIER
from .replies import as_pairs, own_replies

_TEXTS = 16  # of a concept, whose probability is read; as many own replies
_TURNS = 3  # texts of a concept that the model is made to have said


class StreamRuler:
    """Share, log-probability and own loss of one concept, under any change from ``layer`` on. (Own replies are those to
    measuring prompts.)"""

    def __init__(self, ws: Workspace, concept: Concept, layer: int) -> None:
        self.ws, self.concept, self.layer = ws, concept, layer
        text = ws.text
        sizes = text.sizes
        self.prompts = list(text.measuring_prompts[: sizes.prompts]) if text.dialogue else []
        asked = [text.prompt_ids(prompt) for prompt in text.measuring_prompts[-sizes.questions :]]
        said = [text.encode(each) for each in concept.texts[:_TEXTS]]
        self.texts = Behind(text, layer, [(opening, reply) for reply in said for opening in asked])
        own = own_replies(ws, _TEXTS, sizes.reply, "measuring")
        self.own = Behind(text, layer, as_pairs(text, own))
        self.heard = _Recogniser(ws, concept, self.prompts) if self.prompts else None

    def read(self, change: Change) -> Heard:
        """What is said under a change: share (dialogue models), log-probability, own loss (nats per token)."""
        return self.read_each([change])[0]

    def read_each(self, changes: Sequence[Change]) -> list[Heard]:
        """The same under each of several changes that differ in what they drive alone (the last of what they do, where
        they do more); the own loss under the first of them only."""
        shares = self._shares(changes)
        own = -float(torch.cat(self.own.log_probs(changes[0])).mean())
        return [
            Heard(share, float(self.texts.means(change).mean()), None if k else own)
            for k, (share, change) in enumerate(zip(shares, changes, strict=True))
        ]

    def _shares(self, changes: Sequence[Change]) -> list[float | None]:
        if self.heard is None:
            return [None] * len(changes)
        if len(changes) > 1 and any(change.weights for change in changes):
            return [share for change in changes for share in self._shares([change])]
        text = self.ws.text
        made = sampling.generate_each(
            text,
            self.prompts,
            _stacked(changes, len(self.prompts)),
            len(changes),
            self.layer,
            tokens=text.sizes.reply,
            generators=[
                stable_generator("replies", self.ws.setting("seed"), self.concept.name) for _ in changes
            ],
        )
        found: list[float | None] = []
        for replies in made:
            counted = self.heard([reply.token_ids for reply in replies])
            found.append(sum(counted) / len(counted))
        return found


def _stacked(changes: Sequence[Change], rows: int) -> Change:
    """Changes that differ in their drives alone, as one with a drive for each of ``rows`` rows of every change."""
    lasts = [change.also[-1] if change.also else change for change in changes]
    drive = {
        layer: torch.stack([last.drive[layer] for last in lasts]).repeat_interleave(rows, dim=0)[:, None]
        for layer in lasts[0].drive
    }
    last = replace(lasts[0], drive=drive, tally=None)
    if not changes[0].also:
        return last
    return replace(changes[0], also=(*changes[0].also[:-1], last), tally=None)


class _Recogniser:
    """Which replies to the prompts count as the concept."""

    def __init__(self, ws: Workspace, concept: Concept, prompts: Sequence[str]) -> None:
        text = ws.text
        asked = text.choosing_prompts
        before: list[str] = []
        for k, said in enumerate(concept.texts[:: max(1, len(concept.texts) // _TURNS)][:_TURNS]):
            before += [asked[k % len(asked)], said]
        unedited = ws.running(
            {layer: at.as_loaded for layer, at in enumerate(ws.state.layers) if at.live_depth}
        )
        contexts = (
            [text.prompt_ids(prompt) for prompt in prompts],
            [text.conversation_ids([*before, prompt]) for prompt in prompts],
        )
        room = text.sizes.reply + 1
        self.alone, self.after = (Openings(text, openings, room, unedited) for openings in contexts)

    def __call__(self, replies: Sequence[Sequence[int]]) -> list[bool]:
        rows = [k for k, reply in enumerate(replies) if reply]
        if not rows:
            return [False] * len(replies)
        said = [replies[k] for k in rows]
        after, alone = (
            torch.stack([each.sum() for each in read.log_probs(rows, said)])
            for read in (self.after, self.alone)
        )
        likelier = dict(zip(rows, (after - alone > math.log(LIKELIER)).tolist(), strict=True))
        return [likelier.get(k, False) for k in range(len(replies))]
