"""Measuring a concept on a pretrained model, where every token read costs a hundred times what it costs on a small one.

The same three questions as on other models (``effects``), asked of less text and with nothing read twice:

* **share**: replies to neutral prompts, sampled under the change; one counts as the concept when the unedited model
  finds it more than twice as likely after having spoken as the concept's texts do than after the question alone.
  What comes before the replies, in both cases, is read once for all changes.
* **log-probability** of the concept's texts as replies, under the change; what lies below it is computed once.
* **own**: the loss of the unedited model's own replies to the same prompts, under the change: what the concept costs
  the model's usual manner, which held-out text does not show. (Where replies become the concept, it must rise.)
* **kept**: the same of prompts of other kinds, questions of fact and instructions, where nothing is to change.
* **odd** and **distinct**: how unlikely the replies are to the unedited model, and how many of their pairs of tokens
  differ. A share that is bought with babble is seen here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from energylang.landscape.draws import stable_generator
from energylang.models import sampling
from energylang.models.behind import Behind
from energylang.models.likelihoods import Openings
from energylang.models.protocol import Change
from energylang.workspace.history import Concept
from energylang.workspace.workspace import Workspace

from .effects import Heard
from .faces import MEASURED, SAID
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
        kept = as_pairs(text, own_replies(ws, MEASURED, SAID, "kept, measuring"))
        self.kept = Behind(text, layer, kept) if kept else None
        self.heard = _Recogniser(ws, concept, self.prompts) if self.prompts else None

    def read(self, change: Change) -> Heard:
        """What is said under a change: share (dialogue models), log-probability, own loss (nats per token)."""
        return self.read_each([change])[0]

    def read_each(self, changes: Sequence[Change], *, costs: bool = False) -> list[Heard]:
        """The same under each of several changes that differ only in what they drive, or in how a memory answers (the
        last of what they do, where they do more); the losses of replies under the first of them, or all (``costs``)."""
        found = []
        for k, (said, change) in enumerate(zip(self._said(changes), changes, strict=True)):
            heard = replace(said, log_prob=float(self.texts.means(change).mean()))
            if costs or not k:
                heard = replace(
                    heard,
                    own=self.own.loss(change),
                    kept=None if self.kept is None else self.kept.loss(change),
                )
            found.append(heard)
        return found

    def _said(self, changes: Sequence[Change]) -> list[Heard]:
        """What the replies under each change are: the concept's, likely, different."""
        if self.heard is None:
            return [Heard(None, 0.0)] * len(changes)
        if not alike(changes):
            return [found for change in changes for found in self._said([change])]
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
        return [self.heard([reply.token_ids for reply in replies]) for replies in made]


def alike(changes: Sequence[Change]) -> bool:
    """Whether changes put the same tensors in the place of weights and of landscapes, so that one pass can hold all."""
    return all(
        here.keys() == there.keys() and all(here[layer] is there[layer] for layer in here)
        for change in changes[1:]
        for here, there in (
            (change.weights, changes[0].weights),
            (change.landscapes, changes[0].landscapes),
        )
    )


def _stacked(changes: Sequence[Change], rows: int) -> Change:
    """Changes that differ in drives and answers alone, as one with those of each for ``rows`` rows of every change."""
    lasts = [change.also[-1] if change.also else change for change in changes]

    def of_each(vectors: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(vectors)).repeat_interleave(rows, dim=0)[:, None]

    drive = {layer: of_each([last.drive[layer] for last in lasts]) for layer in lasts[0].drive}
    answers = {
        layer: (query, of_each([last.answers[layer][1] for last in lasts]))
        for layer, (query, _) in lasts[0].answers.items()
    }
    last = replace(lasts[0], drive=drive, answers=answers, tally=None)
    if not changes[0].also:
        return last
    return replace(changes[0], also=(*changes[0].also[:-1], last), tally=None)


def _distinct(replies: Sequence[Sequence[int]]) -> float | None:
    """The share of all pairs of tokens that follow each other which are different pairs."""
    pairs = [pair for reply in replies for pair in itertools.pairwise(reply)]
    return len(set(pairs)) / len(pairs) if pairs else None


class _Recogniser:
    """Which replies to the prompts count as the concept, and how likely they are without it."""

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

    def __call__(self, replies: Sequence[Sequence[int]]) -> Heard:
        rows = [k for k, reply in enumerate(replies) if reply]
        if not rows:
            return Heard(0.0, 0.0)
        said = [replies[k] for k in rows]
        after, alone = (
            torch.stack([each.sum() for each in read.log_probs(rows, said)])
            for read in (self.after, self.alone)
        )
        likelier = int((after - alone > math.log(LIKELIER)).sum())
        odd = -float(alone.sum()) / sum(map(len, said))
        return Heard(likelier / len(replies), 0.0, odd=odd, distinct=_distinct(said))
