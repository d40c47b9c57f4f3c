"""What is an edit compared with?  Placebos: edits of equal norm, made in the same way, that mean nothing or
something else.

* ``random``: the same right factors (the same key), random left ones (a random value);
* ``other``: the same method aimed at another captured concept of the layer. What it does to *this* concept
  tells a specific edit from one that merely pushes hard in some direction that words care about;
* ``shuffled``: the same method aimed at a concept whose label is shuffled: as many texts as the concept has
  (24 at least, or a few may happen to be the concept), drawn from what the unedited model says by
  itself (its replies to neutral prompts; passages of the held-out text in a plain-text model).

The last two are the hard ones: they are optimised in the same way, so they profit from whatever the method
gains by fitting. Every control is scaled to the norm of the edit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from energylang.landscape.draws import stable_generator
from energylang.landscape.lowrank import LowRank
from energylang.models.states import text_states
from energylang.workspace.history import Concept
from energylang.workspace.workspace import Workspace, counted

from .replies import own_replies

RANDOM, OTHER, SHUFFLED = 10, 3, 3
REPLY_TOKENS = 24
OWN_REPLIES = 512
_PASSAGE = 12  # tokens
_MANY = 24

Imitate = Callable[[Concept], LowRank]
"""The same method, aimed at another concept."""


@dataclass(frozen=True)
class Control:
    kind: str  # random, other, shuffled
    factors: LowRank


def controls(
    ws: Workspace, concept: Concept, factors: LowRank, imitate: Imitate | None, random: int | None = None
) -> list[Control]:
    """The placebos of an edit (``random`` ones: ten); without ``imitate`` the random ones alone."""
    found = [Control("random", edit) for edit in random_values(ws, concept, factors, random)]
    if imitate is not None:
        aims = [("other", other) for other in others(ws, concept)]
        aims += [("shuffled", shuffled(ws, concept, k)) for k in range(SHUFFLED)]
        made = counted(ws, aims, lambda pair: f"controls made; aiming at {pair[1].name}")
        found += [Control(kind, imitate(aim)) for kind, aim in made]
    norm = factors.norm
    return [Control(c.kind, c.factors.scaled(norm / c.factors.norm)) for c in found if c.factors.norm > 0]


def random_values(
    ws: Workspace, concept: Concept, factors: LowRank, count: int | None = None
) -> list[LowRank]:
    """``count`` edits (ten) with the same right factors and random left ones."""
    generator = stable_generator("placebo", ws.setting("seed"), concept.layer, concept.name)
    return [
        LowRank(torch.randn(factors.left.shape, generator=generator).to(factors.left), factors.right)
        for _ in range(count or RANDOM)
    ]


def others(ws: Workspace, concept: Concept) -> list[Concept]:
    """Up to ``OTHER`` other concepts of the same layer, in the order in which they were captured."""
    return [
        known
        for known in ws.state.concepts.values()
        if known.layer == concept.layer and known.name != concept.name
    ][:OTHER]


def shuffled(ws: Workspace, concept: Concept, k: int) -> Concept:
    """The ``k``-th concept with a shuffled label, seeded."""
    generator = stable_generator("shuffled", ws.setting("seed"), concept.layer, concept.name, k)
    texts = _said(ws, max(_MANY, len(concept.texts)), generator)
    states = text_states(ws.text, texts, concept.layer, "decision")
    return Concept(f"shuffled {k}", concept.layer, tuple(texts), states)


def _said(ws: Workspace, count: int, generator: torch.Generator) -> list[str]:
    """``count`` texts in the manner of the model as it is: replies, or passages of the held-out text."""
    text = ws.text
    if text.dialogue:
        said = [reply.text for _, reply in own_replies(ws, OWN_REPLIES, REPLY_TOKENS) if reply.text]
        order = torch.randperm(len(said), generator=generator).tolist()
        return [said[i] for i in order[:count]] or ["well"]
    windows = text.choosing_windows()
    passages = []
    for _ in range(count):
        row = int(torch.randint(len(windows), (1,), generator=generator))
        start = int(torch.randint(max(1, windows.shape[1] - _PASSAGE), (1,), generator=generator))
        passages.append(text.decode(windows[row, start : start + _PASSAGE].tolist()))
    return passages
