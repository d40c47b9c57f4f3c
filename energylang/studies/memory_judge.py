"""Everything that is read of one change of a pretrained model, for one concept.

Replies to prompts by which nothing was chosen are judged twice: by the unedited model, as in ``effect``, and by a list
of words. Beside them stand the log-probabilities of the concept's texts and of its contrasts as replies (in nats per
token), and what the change costs: the loss on the model's own replies to questions of fact and instructions, which are
to stay, on those to the prompts that are judged, and on texts.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from energylang.concepts.captured import pushes
from energylang.concepts.stream_ruler import StreamRuler
from energylang.landscape.draws import stable_generator
from energylang.looking.gauge import Gauge
from energylang.looking.held import pushing
from energylang.models import sampling
from energylang.models.behind import Behind
from energylang.models.protocol import NOTHING, Change
from energylang.workspace.history import Concept
from energylang.workspace.workspace import Workspace

WINDOWS = 8
_HALVINGS = 6
_WEAKEST, _STRONGEST = 0.005, 2.0


class Judge:
    """Reads changes of ``layers`` and later ones for one concept: the half of its texts by which nothing was written.
    ``words`` is a regular expression, or empty; ``windows`` are further texts, (n, t) tokens by name."""

    def __init__(
        self,
        ws: Workspace,
        concept: Concept,
        layers: Sequence[int],
        *,
        words: str = "",
        replies: int = 64,
        windows: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.ws, self.layers, text = ws, tuple(layers), ws.text
        layer = min(layers)
        self.words = re.compile(words, re.IGNORECASE | re.DOTALL) if words else None
        usual, text.sizes = text.sizes, replace(text.sizes, prompts=replies)
        try:
            self.ruler = StreamRuler(ws, concept, layer)
        finally:
            text.sizes = usual
        asked = [text.prompt_ids(prompt) for prompt in text.measuring_prompts[-usual.questions :]]
        plain = [(opening, text.encode(each)) for each in concept.contrasts for opening in asked]
        self.plain = Behind(text, layer, plain) if plain else None
        own = {"held-out": text.measuring_windows(WINDOWS)}
        self.gauges = {name: Gauge(ws, layer, part) for name, part in (own | dict(windows or {})).items()}
        self.usual = self.read(NOTHING)

    def said(self, change: Change) -> dict[str, float]:
        """What is said under a change, as numbers by name."""
        text, ruler = self.ws.text, self.ruler
        assert ruler.heard is not None  # a dialogue model: callers have checked
        made = sampling.generate_batch(
            text,
            ruler.prompts,
            tokens=text.sizes.reply,
            generator=stable_generator("study", self.ws.setting("seed"), ruler.concept.name),
            change=change,
        )
        heard = ruler.heard([reply.token_ids for reply in made])
        found = {"texts": float(ruler.texts.means(change).mean()), "share": heard.share or 0.0}
        if self.plain is not None:
            found["contrasts"] = float(self.plain.means(change).mean())
        if self.words is not None:
            found["words"] = statistics.fmean(bool(self.words.search(reply.text)) for reply in made)
        return found | {"unlikely": heard.odd or 0.0, "distinct": heard.distinct or 0.0}

    def read(self, change: Change) -> dict[str, float]:
        """The same, and the losses in nats per token: ``kept``, ``own`` and that of each text."""
        ruler = self.ruler
        losses = {
            "kept": ruler.kept.loss(change) if ruler.kept is not None else 0.0,
            "own": ruler.own.loss(change),
        }
        losses |= {name: float(gauge.losses(change).mean()) for name, gauge in self.gauges.items()}
        return self.said(change) | losses

    def rises(self, found: Mapping[str, float]) -> dict[str, float]:
        """By how much everything that was found has risen, and ``contrast``: how much more the concept's texts than its
        contrasts."""
        rises = {name: value - self.usual[name] for name, value in found.items()}
        if "contrasts" in rises:
            rises["contrast"] = rises["texts"] - rises["contrasts"]
        return rises


@torch.no_grad()
def steered_as_dearly(judge: Judge, written: Concept, cost: float) -> tuple[float, Change]:
    """The push of the judged layers towards a concept whose rise of the loss on kept replies is at most ``cost`` (the
    strongest, found by halving), with its strength."""
    push = pushes(judge.ws, written, judge.layers)
    kept, usual = judge.ruler.kept, judge.usual["kept"]
    low, high = _WEAKEST, _STRONGEST
    for _ in range(_HALVINGS if kept is not None else 0):
        assert kept is not None
        middle = (low * high) ** 0.5
        rise = kept.loss(pushing(judge.ws, push, middle, "all")) - usual
        low, high = (middle, high) if rise <= cost else (low, middle)
    return low, pushing(judge.ws, push, low, "all")
