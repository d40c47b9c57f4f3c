"""What does an edit of a layer's memory do to text, and is it more than chance?

The measurements of ``effects``, with the ruler of pretrained models (``stream_ruler``): share, log-probability and the
loss on the model's own replies, and the loss on held-out text, all of it on prompts, replies and windows by which
nothing was chosen. Beside them stand edits with the same key and random values of the same norm.

Where the concept has contrasts, what the edit does to *their* log-probability is measured, too: an edit that makes
every short reply likelier says nothing about the concept.
"""

from __future__ import annotations

import statistics

import torch
from torch import Tensor

from energylang.landscape.draws import stable_generator
from energylang.landscape.lowrank import LowRank
from energylang.landscape.memory import other_values
from energylang.looking.gauge import Gauge, standard_error
from energylang.models.behind import Behind
from energylang.models.protocol import Change
from energylang.models.text import TextModel
from energylang.results import Condition, Effect, Placebo
from energylang.workspace.history import Concept
from energylang.workspace.workspace import Workspace, counted

from .controls import RANDOM
from .effects import MEASURING_WINDOWS, Heard, against
from .stream_ruler import StreamRuler

_CONTRASTS = 16


@torch.no_grad()
def stream_effect(ws: Workspace, concept: Concept, factors: LowRank, weight: Tensor) -> Effect:
    """Effect, damage and control of adding ``factors`` to the ``weight`` of the concept's layer."""
    layer, text = concept.layer, ws.text

    def changed(edit: LowRank | None) -> Change:
        return Change(weights={layer: weight if edit is None else edit.added_to(weight)})

    generator = stable_generator("placebo", ws.setting("seed"), layer, concept.name)
    random = [other_values(factors, generator, transposed=ws.model.header.transposed) for _ in range(RANDOM)]
    ruler = StreamRuler(ws, concept, layer)
    gauge = Gauge(ws, layer, text.measuring_windows(min(MEASURING_WINDOWS, text.sizes.windows)))
    unedited = changed(None)
    losses = gauge.losses(unedited)
    before = ruler.read(unedited)
    readings: list[tuple[Heard, Tensor]] = []
    for edit in counted(ws, [factors, *random], "edits measured: this one, and random values"):
        change = changed(edit)
        readings.append((ruler.read(change), (gauge.losses(change) - losses) / losses.mean()))
    (after, rise), controls = readings[0], readings[1:]
    placebo = _summed_up(controls, after)
    owns = [found.own for found, _ in controls if found.own is not None]
    own_before = before.own or 0.0
    return Effect(
        share_before=before.share,
        share_after=after.share,
        share_placebo=placebo.share,
        share_placebo_std=placebo.share_std,
        share_z=placebo.share_z,
        log_prob_before=before.log_prob,
        log_prob_after=after.log_prob,
        log_prob_placebo=placebo.log_prob,
        log_prob_placebo_std=placebo.log_prob_std,
        log_prob_z=placebo.log_prob_z,
        placebos=placebo.count,
        loss_before=float(losses.mean()),
        loss_after=float(losses.mean() * (1 + rise.mean())),
        loss_change=float(rise.mean()),
        loss_change_error=standard_error(rise),
        controls=(placebo,),
        prompts=len(ruler.prompts),
        own_change=None if after.own is None else after.own - own_before,
        own_change_placebo=statistics.fmean(owns) - own_before if owns else None,
        plain_change=_plain(text, concept, unedited, changed(factors)),
    )


def _summed_up(controls: list[tuple[Heard, Tensor]], after: Heard) -> Placebo:
    shares = [found.share for found, _ in controls if found.share is not None]
    share = share_std = share_z = None
    if shares and after.share is not None:
        share, share_std, share_z = against(shares, after.share)
    log_prob, log_prob_std, log_prob_z = against([found.log_prob for found, _ in controls], after.log_prob)
    return Placebo(
        kind="random",
        count=len(controls),
        share=share,
        share_std=share_std,
        share_max=max(shares, default=None),
        share_z=share_z,
        log_prob=log_prob,
        log_prob_std=log_prob_std,
        log_prob_z=log_prob_z,
        loss_change=statistics.fmean(float(rise.mean()) for _, rise in controls),
    )


def _plain(text: TextModel, concept: Concept, unedited: Change, edited: Change) -> float | None:
    """By how much the log-probability per token of a concept's contrasts rises (nats), as replies to the prompts after
    which the concept's texts are measured; ``None`` without contrasts."""
    said = [ids for ids in (text.encode(each) for each in concept.contrasts[:_CONTRASTS]) if ids]
    if not said:
        return None
    asked = [text.prompt_ids(prompt) for prompt in text.measuring_prompts[-text.sizes.questions :]]
    read = Behind(
        text,
        concept.layer,
        asked,
        [reply for reply in said for _ in asked],
        [number for _ in said for number in range(len(asked))],
    )
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
