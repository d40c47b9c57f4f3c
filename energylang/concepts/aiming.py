"""Which change of a layer makes a concept most (or least) likely to be said, and leaves the rest alone?

Found by gradient descent through the rest of the model, on texts and prompts of the choosing half. Two forms:

**Value** (dialogue models). ``ΔW = r qᵀ`` with the key of a redirect, ``q = C⁻¹k/(kᵀC⁻¹k)``, k the mean f(x) of neutral
decision states; r (d,) is optimised. To install, the examples are the model's own replies to neutral questions when it
has just heard the concept's texts; their likelihood after the neutral question alone is raised. To remove, the model
shall say what it says by itself, but for the concept: at the first words of its own replies to neutral questions

    p*(w | said) ∝ p(w | said) · (1 − c(said, w))⁴      c: how many of its replies that begin so are the concept

and ``KL(p* ‖ after)`` is lowered, which keeps the proportions of everything else. (The plain 1 − c is met half way and
leaves 0.55 to 0.65 of a concept; the power 0.42 to 0.47, for 0.4 to 0.6 % of loss.) Elsewhere the model shall say what
it said: KL(before‖after) on windows of held-out text and on replies in conversations that already have a manner, the
concept's or another one. (Optimising keys at the first four positions of a reply, and r together with them, gave less
for the same damage.)

**Target** (plain-text models): see ``aim_target``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from energylang.errors import ElError
from energylang.landscape.draws import stable_generator
from energylang.landscape.lowrank import LowRank
from energylang.models import sampling
from energylang.models.protocol import Change
from energylang.workspace.workspace import Workspace, counted

from .aim_examples import (
    ELSEWHERE,
    Examples,
    away_from,
    elsewhere,
    prepared,
    remembered,
    rows_of,
    starting,
    stream_that_counts,
)
from .aim_target import after_passages, aim_at_tokens
from .controls import OWN_REPLIES, REPLY_TOKENS
from .descent import Optimiser
from .recognising import Recogniser
from .replies import own_replies

if TYPE_CHECKING:
    from energylang.workspace.history import Concept


VALUE_STEPS, VALUE_RATE, VALUE_BATCH = 80, 0.1, 48
REMOVAL_STEPS = 120
OPENING, POWER, DECISION = 3, 4.0, 3.0  # tokens; of 1 − c; weight of the first token
_LEAST = 1e-3
_REPLIES = 256
KEPT_ROWS, KEPT_BATCH = _REPLIES + ELSEWHERE, 32  # of them in a step
_ENOUGH = 16  # examples


#: How far a changed model is from what is asked of it, on a batch drawn by a generator.
Wanted: TypeAlias = Callable[[Change, torch.Generator], Tensor]


def aim(
    ws: Workspace, concept: Concept, weight: Tensor, query: Tensor, *, away: bool, key: object = ""
) -> LowRank:
    """The optimised change for a concept: towards it, or ``away`` from it. ``query`` (d,) is a redirect's q, used
    by the value form; ``key`` distinguishes the draws."""
    generator = stable_generator("aim", ws.setting("seed"), concept.layer, concept.name, away, key)
    with torch.enable_grad():
        if ws.text.dialogue:
            return _value(ws, concept, weight, query, generator, away=away)
        on = after_passages(ws, concept, generator)
        return aim_at_tokens(ws, concept.layer, on, weight, generator, away=away)


# ---------------------------------------------------------------------------------------------- value


def _value(
    ws: Workspace,
    concept: Concept,
    weight: Tensor,
    query: Tensor,
    generator: torch.Generator,
    *,
    away: bool,
) -> LowRank:
    layer = concept.layer
    wanted = _without(ws, concept, weight) if away else _said_in_context(ws, concept, generator)
    kept, _, kept_counts = prepared(ws, layer, _manners(ws, generator))
    kept_batch = max(1, KEPT_BATCH * len(kept_counts) // KEPT_ROWS)
    drifted = away_from(ws, kept, Change(weights={layer: weight}))
    left = torch.zeros(len(query), device=weight.device, requires_grad=True)
    descent = Optimiser([left], VALUE_RATE)
    steps = REMOVAL_STEPS if away else VALUE_STEPS
    for step in counted(ws, range(steps), "steps of the descent"):
        edited = Change(weights={layer: weight}, edits={layer: (left[:, None], query[:, None])})
        loss = wanted(edited, generator)
        rest = torch.randperm(len(kept_counts), generator=generator)[:kept_batch].to(weight.device)
        drift = drifted(rest, edited)
        loss = loss + (drift * kept_counts[rest]).sum() / kept_counts[rest].sum()
        descent.rate = VALUE_RATE * (1 - step / steps)  # towards zero: no batch has the last word
        descent.step(loss)
    return LowRank(left.detach()[:, None], query[:, None])


def _said_in_context(ws: Workspace, concept: Concept, generator: torch.Generator) -> Wanted:
    """What is asked of an installation: minus the likelihood of replies that are the concept."""
    layer = concept.layer
    start, targets, counts = prepared(ws, layer, _in_context(ws, concept, generator))
    batch = max(1, VALUE_BATCH * len(counts) // _REPLIES)

    def wanted(edited: Change, draw: torch.Generator) -> Tensor:
        pick = torch.randperm(len(counts), generator=draw)[:batch].to(counts.device)
        missed = ws.text.missed(start[pick], edited, targets[pick].flatten())
        return (missed * counts[pick]).sum() / counts[pick].sum()

    return wanted


def _manners(ws: Workspace, generator: torch.Generator) -> Examples:
    """Where nothing shall change: replies in conversations whose manner is settled, and windows of held-out text."""
    text, asked = ws.text, ws.text.choosing_prompts
    said = [reply.text for _, reply in own_replies(ws, OWN_REPLIES, REPLY_TOKENS) if reply.text]
    order = torch.randperm(len(said), generator=generator).tolist()[:_REPLIES]
    rows, spans = [], []
    for k, place in enumerate(order):
        first, second = asked[k % len(asked)], asked[(k + 1) % len(asked)]
        opening = text.conversation_ids((first, said[place], second))
        answer = text.encode(said[order[(k + 1) % len(order)]])[: REPLY_TOKENS // 2]
        row = (opening + answer)[: text.max_length]
        rows.append(row)
        spans.append((len(opening) - 1, max(len(opening), len(row) - 1)))
    for window in elsewhere(ws, generator).tolist():
        rows.append(window[: text.max_length])
        spans.append((0, len(rows[-1]) - 1))
    return rows_of(ws, rows, spans)


def _in_context(ws: Workspace, concept: Concept, generator: torch.Generator) -> Examples:
    """What the model says to a neutral question when it has just heard a text of the concept, and what of it is
    the concept, put after the neutral question alone."""
    text, asked = ws.text, ws.text.choosing_prompts
    contexts, questions = [], []
    for k in range(_REPLIES):
        heard, first = concept.texts[k % len(concept.texts)], asked[(k + 1) % len(asked)]
        questions.append(asked[k % len(asked)])
        contexts.append((first, heard, questions[-1]))
    replies = [
        reply.token_ids
        for reply in sampling.replies(text, contexts, tokens=REPLY_TOKENS, generator=generator)
    ]
    is_concept = Recogniser(ws, concept)(questions, replies)
    if sum(is_concept) >= _ENOUGH:  # the model may forget what it has just heard
        kept = [k for k, own in enumerate(is_concept) if own]
        questions, replies = [questions[k] for k in kept], [replies[k] for k in kept]
    return _examples(ws, questions, replies)


def _without(ws: Workspace, concept: Concept, weight: Tensor) -> Wanted:
    """What is asked of a removal: how far what is said after neutral questions is from what was said, without the
    concept. The first word of a reply counts for itself, the later ones together."""
    layer = concept.layer
    said = [(asked, reply.token_ids) for asked, reply in own_replies(ws, OWN_REPLIES, REPLY_TOKENS)]
    said = [(asked, reply) for asked, reply in said if reply]
    replies = [reply for _, reply in said]
    is_concept = Recogniser(ws, concept)([asked for asked, _ in said], replies)
    if all(is_concept):
        raise ElError(
            f"everything the model says by itself counts as `{concept.name}`",
            code="EL511",
            hint="capture texts that stand out more, or give a contrast",
        )
    wishes, wish_of = _wishes(replies, is_concept, ws.text.tokenizer.size)
    examples = _examples(ws, [asked for asked, _ in said], replies)
    places = torch.zeros_like(examples.counts, dtype=torch.int64)  # which wish, for every prediction
    first = examples.counts.argmax(dim=1)
    for row, reply in enumerate(replies):
        for j in range(min(OPENING, len(reply))):
            if int(first[row]) + j < places.shape[1]:
                places[row, int(first[row]) + j] = wish_of[reply[:j]]
    wishes, places = wishes.to(weight.device), places.to(weight.device)
    counts, decides = examples.counts, torch.zeros_like(examples.counts).scatter_(1, first[:, None], 1.0)
    stream, index = stream_that_counts(ws, layer, examples), None
    if not ws.text.looks_back_from(layer):  # only the positions that count, as rows of length one
        live = counts > 0
        index = torch.full(counts.shape, -1, device=counts.device)
        index[live] = torch.arange(int(live.sum()), device=counts.device)
        stream, places, counts, decides = (x[live][:, None] for x in (stream, places, counts, decides))
    start = starting(ws, layer, stream)
    unedited, _ = remembered(ws, start, Change(weights={layer: weight}))

    def wanted(edited: Change, draw: torch.Generator) -> Tensor:
        pick = torch.randperm(len(said), generator=draw)[:VALUE_BATCH].to(counts.device)
        if index is not None:
            pick = index[pick][index[pick] >= 0]
        with torch.no_grad():
            goal = (unedited(pick) + wishes[places[pick]]).log_softmax(dim=2)
        far = ws.text.missed(start[pick], edited, goal.exp_().flatten(0, 1))
        deciding, later = decides[pick], counts[pick] - decides[pick]
        return DECISION * (far * deciding).sum() / deciding.sum() + (
            far * later
        ).sum() / later.sum().clamp_min(1)

    return wanted


def _wishes(
    replies: Sequence[Sequence[int]], is_concept: Sequence[bool], size: int
) -> tuple[Tensor, dict[tuple[int, ...], int]]:
    """(n, size): what is added to log-probabilities of the next token, and its row by what was said so far, for the
    first ``OPENING`` tokens of replies. Row 0 adds nothing.

    It is ``POWER · log(1 − c)``, c the share of the concept among the replies that begin so, with one reply more at
    the share that stood before the token was said.
    """
    count: dict[tuple[int, ...], int] = {}
    own: dict[tuple[int, ...], int] = {}
    for reply, yes in zip(replies, is_concept, strict=True):
        for j in range(min(OPENING, len(reply)) + 1):
            start = tuple(reply[:j])
            count[start], own[start] = count.get(start, 0) + 1, own.get(start, 0) + yes
    share: dict[tuple[int, ...], float] = {(): own[()] / count[()]}
    for start in sorted(count, key=len):
        if start:
            share[start] = (own[start] + share[start[:-1]]) / (count[start] + 1)
    begun = sorted({start[:-1] for start in count if start}, key=lambda start: (len(start), start))
    row = {start: k + 1 for k, start in enumerate(begun)}
    wishes = torch.zeros(len(begun) + 1, size)
    for start, k in row.items():
        wishes[k] = POWER * math.log(max(_LEAST, 1 - share[start]))
    for start in count:
        if start:
            wishes[row[start[:-1]], start[-1]] = POWER * math.log(max(_LEAST, 1 - share[start]))
    return wishes, row


def _examples(ws: Workspace, questions: list[str], replies: list[tuple[int, ...]]) -> Examples:
    """Replies after their questions; the replies' tokens, and the turn's end, count."""
    text = ws.text
    rows, spans = [], []
    for question, reply in zip(questions, replies, strict=True):
        opening = text.prompt_ids(question)
        row = (opening + list(reply) + list(text.ending))[: text.max_length]
        rows.append(row)
        spans.append((len(opening) - 1, len(row) - 1))
    return rows_of(ws, rows, spans)
