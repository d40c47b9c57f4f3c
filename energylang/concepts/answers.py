"""Does a model say what was written into it, also in other words, and what has it not to do with?

CounterFact's three questions (Meng et al. 2022), asked of every prompt in the same way: how likely is the answer, and
which token is said first, before an edit and after. Of the phrase itself and of other words for it the answer is
wanted; of neighbours (prompts that have another answer) it is not, and what they say first shall stay. Beside the
phrase stand edits with the same key and random values of the same norm.

What the edit costs the model is measured on its own replies and on held-out text, of the measuring halves.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from energylang.landscape.draws import stable_generator
from energylang.landscape.lowrank import LowRank
from energylang.landscape.memory import other_values
from energylang.looking.gauge import Gauge, standard_error
from energylang.models.behind import Behind
from energylang.models.protocol import Change
from energylang.models.replies_from import RepliesFrom
from energylang.results import Asked, Rewritten
from energylang.workspace.workspace import Workspace, counted

from .controls import RANDOM
from .replies import as_pairs, own_replies
from .rewriting import Answered, asked

_OWN = 16


@torch.no_grad()
def rewritten(
    ws: Workspace,
    layer: int,
    factors: LowRank,
    phrase: str,
    to: str,
    given: Answered,
    place: int,
    same: Sequence[str],
    near: Sequence[str],
    placebos: int | None = None,
) -> Rewritten:
    """What adding ``factors`` to the staged weight of a layer does to the answers, beside ``placebos`` random values
    (ten), and what it costs."""
    text, weight = ws.text, ws.weight(ws.memory(layer))
    prompts = [phrase, *same, *near]
    pairs = [
        (text.opened(list(each.phrase)), each.answer) for each in (asked(text, p, to, None) for p in prompts)
    ]
    said = RepliesFrom.of(text, layer, pairs)
    before, after = (Change(weights={layer: each}) for each in (weight, factors.added_to(weight)))
    first, last = _likely(said, before), _likely(said, after)
    answers = tuple(
        Asked(prompt, one, two, text.token(said_one), text.token(said_two))
        for prompt, one, two, said_one, said_two in zip(
            prompts, *first[:1], *last[:1], *first[1:], *last[1:], strict=True
        )
    )
    alone = RepliesFrom.of(text, layer, pairs[:1])
    generator = stable_generator("placebo", ws.setting("seed"), layer, phrase, to)
    transposed = ws.model.header.transposed
    random = [
        _likely(
            alone,
            Change(weights={layer: other_values(factors, generator, transposed=transposed).added_to(weight)}),
        )[0][0]
        for _ in counted(ws, range(placebos or RANDOM), "edits with random values")
    ]
    end = 1 + len(same)
    cost = costs(ws, layer, before, after)
    kept = [one.first_before == one.first_after for one in answers[end:]]
    return Rewritten(
        answer=to,
        place=text.token(given.phrase[place]),
        asked=answers[0],
        random=statistics.fmean(random),
        random_max=max(random),
        same=answers[1:end],
        near=answers[end:],
        same_after=statistics.fmean(one.after for one in answers[1:end]) if same else None,
        near_kept=sum(kept) / len(kept) if kept else None,
        own_change=cost.own_change,
        own_change_error=cost.own_change_error,
        loss_change=cost.loss_change,
        loss_change_error=cost.loss_change_error,
    )


def _likely(said: RepliesFrom, change: Change) -> tuple[list[float], list[int]]:
    """The probability of each reply, and the token that is likeliest in its first place."""
    chances, firsts = [], []
    wanted = torch.split(said.targets, said.counts)
    for logits, ids in zip(said.logits(change), wanted, strict=True):
        each = logits.gather(1, ids[:, None])[:, 0] - logits.logsumexp(dim=1)
        chances.append(float(each.sum().exp()))
        firsts.append(int(logits[0].argmax()))
    return chances, firsts


@dataclass(frozen=True)
class Costs:
    """Rises of losses in nats a token, with their standard errors."""

    own_change: float | None
    own_change_error: float | None
    loss_change: float
    loss_change_error: float | None


def costs(ws: Workspace, layer: int, before: Change, after: Change) -> Costs:
    """The rises of the losses on own replies and on held-out text, in nats a token, each with its standard error."""
    text = ws.text
    pairs = as_pairs(text, own_replies(ws, _OWN, text.sizes.reply, "measuring"))
    gauge = Gauge(ws, layer, text.measuring_windows(text.sizes.windows))
    held = gauge.losses(after) - gauge.losses(before)
    rise: Tensor | None = None
    if pairs:
        read = Behind(text, layer, pairs)
        rise = read.means(before) - read.means(after)
    return Costs(
        own_change=None if rise is None else float(rise.mean()),
        own_change_error=None if rise is None else standard_error(rise),
        loss_change=float(held.mean()),
        loss_change_error=standard_error(held),
    )
