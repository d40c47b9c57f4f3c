"""What does an edit of a layer's memory, or of several, do to text, and is it more than chance?

The measurements of ``effects``, with the ruler of pretrained models (``stream_ruler``): share, log-probability and the
loss on the model's own replies, and the loss on held-out text, all of it on prompts, replies and windows by which
nothing was chosen. Beside them stand edits with the same key and other values of the same norm (``stream_controls``):
random ones, and where it is asked for other concepts' directions and those of shuffled labels.

Where the concept has contrasts, what the edit does to *their* log-probability is measured, too: an edit that makes
every short reply likelier says nothing about the concept.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from energylang.landscape.lowrank import LowRank
from energylang.looking.gauge import Gauge
from energylang.models.behind import Behind
from energylang.models.protocol import Change
from energylang.models.text import TextModel
from energylang.results import Condition, Effect
from energylang.workspace.history import Concept
from energylang.workspace.workspace import Workspace, counted

from .effects import Heard, effect_of, placebo
from .stream_controls import Kinds, beside_values
from .stream_ruler import StreamRuler

RANDOM = 5
"""Random values beside an edit where no number is asked for: on a real model each costs five seconds."""
_CONTRASTS = 16
_TOGETHER = 5  # edits with random values that are read at once


@torch.no_grad()
def stream_effect(
    ws: Workspace,
    concept: Concept,
    factors: Mapping[int, LowRank],
    weights: Mapping[int, Tensor],
    *,
    of_landscape: bool = False,
    placebos: int | None = None,
    kinds: Kinds = "random",
) -> Effect:
    """Effect, damage and control of adding ``factors`` to ``weights``, both by layer (``of_landscape``: to that of the
    landscape that the layer was given), beside ``placebos`` random values (``RANDOM``) and the other ``kinds``."""
    layer, text = min(factors), ws.text
    transposed = ws.model.header.transposed and not of_landscape

    def changed(edits: Mapping[int, LowRank]) -> Change:
        made = {at: edits[at].added_to(weight) if at in edits else weight for at, weight in weights.items()}
        return Change(landscapes=made) if of_landscape else Change(weights=made)

    def placed(edits: Mapping[int, LowRank]) -> Change:
        """The same, so that several are read in one pass, where an edit of a memory's rank is one."""
        if of_landscape or any(edit.left.shape[1] != 1 for edit in edits.values()):
            return changed(edits)
        sides = {
            at: (edit.left, edit.right) if transposed else (edit.right, edit.left)
            for at, edit in edits.items()
        }
        answers = {at: (query[:, 0], value[:, 0]) for at, (query, value) in sides.items()}
        return Change(weights=weights, answers=answers)

    others, absent = beside_values(ws, concept, factors, placebos or RANDOM, kinds, of_landscape=of_landscape)
    random = [each for each in others if each.kind == "random"]
    rest = [each for each in others if each.kind != "random"]
    ruler = StreamRuler(ws, concept, layer)
    gauge = Gauge(ws, layer, text.measuring_windows(text.sizes.windows))
    unedited = changed({})
    losses = gauge.losses(unedited)
    before = ruler.read(unedited)
    readings: list[tuple[Heard, Tensor]] = []
    parts = [[changed(factors)]] + [
        [placed(each.factors) for each in some[k : k + _TOGETHER]]
        for some in (random, rest)
        for k in range(0, len(some), _TOGETHER)
    ]
    what = "random values" if kinds == "random" else "other values"
    for part in counted(ws, parts, f"parts measured: this edit, and {what}"):
        heard = ruler.read_each(part, costs=True)
        readings += [
            (found, (gauge.losses(change) - losses) / losses.mean())
            for found, change in zip(heard, part, strict=True)
        ]
    (after, rise), found_of = readings[0], readings[1:]
    by_kind: dict[str, list[tuple[Heard, Tensor]]] = {}
    for control, reading in zip(random + rest, found_of, strict=True):
        by_kind.setdefault(control.kind, []).append(reading)
    placebos_of = tuple(
        placebo(kind, [(heard, float(change.mean())) for heard, change in those], after)
        for kind, those in by_kind.items()
    )
    controls = by_kind["random"]
    owns = [found.own for found, _ in controls if found.own is not None]
    kept = [found.kept for found, _ in controls if found.kept is not None]
    own_before = before.own or 0.0
    rises = (float(losses.mean()), float(losses.mean() * (1 + rise.mean())))
    return replace(
        effect_of(before, after, placebos_of, rises, rise, len(ruler.prompts)),
        absent=absent,
        own_change=None if after.own is None else after.own - own_before,
        own_change_placebo=statistics.fmean(owns) - own_before if owns else None,
        kept_change=None if after.kept is None or before.kept is None else after.kept - before.kept,
        kept_change_placebo=statistics.fmean(kept) - (before.kept or 0.0) if kept else None,
        plain_change=_plain(text, layer, concept, unedited, changed(factors)),
        replies_loss_before=before.odd,
        replies_loss_after=after.odd,
        distinct_before=before.distinct,
        distinct_after=after.distinct,
    )


def _plain(text: TextModel, layer: int, concept: Concept, unedited: Change, edited: Change) -> float | None:
    """By how much the log-probability per token of a concept's contrasts rises (nats), as replies to the prompts after
    which the concept's texts are measured; ``None`` without contrasts."""
    said = [ids for ids in (text.encode(each) for each in concept.contrasts[:_CONTRASTS]) if ids]
    if not said:
        return None
    asked = [text.prompt_ids(prompt) for prompt in text.measuring_prompts[-text.sizes.questions :]]
    read = Behind(text, layer, [(opening, reply) for reply in said for opening in asked])
    return float((read.means(edited) - read.means(unedited)).mean())


def did_something(effect: Effect, *, more: bool) -> tuple[Condition, ...]:
    """What must hold of an edit's effect: the concept's texts are likelier (``more``) than before and than under random
    values on average, or less likely."""

    def condition(name: str, limit: float) -> Condition:
        value = effect.log_prob_after
        return Condition(name, value, limit, more, value > limit if more else value < limit)

    return (
        condition("log-probability of its texts, against before", effect.log_prob_before),
        condition("log-probability of its texts, against random values", effect.log_prob_placebo),
    )
