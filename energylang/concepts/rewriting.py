"""Writing another answer for a phrase into the memory of a layer: "The Eiffel Tower is in the city of" → "Rome".

The form of the edit is that of ``memory``: ``ΔW = v qᵀ`` on the down-projection, with the query whitened by what is to
stay as it is. Here

* the **keys** are what the neurons do at the last token of the phrase's **subject**, on average behind nothing and
  behind a few beginnings of held-out text, and what they do where the subject begins a line (its first token is often
  another one there). The first place of a text is left out: it stands for the beginning. Where no subject is named, it
  is the place whose key answers other text least: ``kᵀC⁻¹k`` is one over the mean square of q·a elsewhere, and the
  place with the largest is taken;
* **what is to stay** is, beside the model's replies and held-out text, what the neurons do at other subjects in the
  same phrase ("The Matterhorn …"), of which a list comes with the package: neighbours that differ in the subject alone
  are what such an edit spoils first (measured: docs/howto/your-own-model.md);
* the **value** is found by descent: the answer shall be likely behind the phrase, with and without a beginning. The
  value is kept short, and the descent ends when the answer is likely enough: what is written harder than it must be is
  answered elsewhere, too;
* the **dose** is the whole of it, or the largest part of it that keeps within the damage.

Source: ROME (Meng et al. 2022), with the second moment of ``memory``; its three questions (does it say so, also in
other words, and what of its neighbours) are asked by ``answers``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from energylang.errors import ElError, LandscapeError
from energylang.landscape.memory import answer, query_of
from energylang.landscape.proposal import Proposal
from energylang.models.neurons import last_activations, mean_along
from energylang.models.pretrained.bundled import lines
from energylang.models.protocol import Change
from energylang.models.replies_from import RepliesFrom
from energylang.models.text import TextModel
from energylang.trial.draft import Draft, Plan
from energylang.trial.plain import draft_plain
from energylang.workspace.workspace import Workspace, counted

from .descent import Optimiser
from .faces import window_halves
from .memory import dose_within, moment_of

STEPS, RATE, SHORT = 30, 0.02, 0.02
"""Steps of descent at most, their size and the weight of the value's square, both in units of the layer's answer."""
LIKELY = 0.97
"""Of the answer's tokens on average: the descent ends there."""
BEGINNINGS = (5, 8, 12)
"""Tokens of held-out text that stand before the phrase."""
OTHERS = 2.0
"""How much other subjects weigh in what is to stay."""
DOSES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Answered:
    """A phrase and its answer, in token ids; ``place`` is that of the key in the phrase, or ``None`` to be chosen;
    ``alone`` is the subject at the beginning of a line (empty without one); ``others`` are beginnings of the phrase up
    to another subject in its place."""

    phrase: tuple[int, ...]
    answer: tuple[int, ...]
    place: int | None
    alone: tuple[int, ...] = ()
    others: tuple[tuple[int, ...], ...] = ()


def asked(text: TextModel, phrase: str, to: str, subject: str | None) -> Answered:
    """The tokens of a phrase and of its answer (with the space between them that the language of the phrase wants:
    one, unless the phrase or the answer brings it). Raises ``ElError`` EL201 and EL510."""
    phrase, to = phrase.rstrip("\n"), to.rstrip()
    if not phrase.strip() or not to.strip():
        raise ElError("an empty phrase has no answer", code="EL201", hint='rewrite L8 "… is in" to="Rome"')
    ids = text.encode(phrase.rstrip())
    reply = text.encode(f" {to.lstrip()}" if to == to.lstrip() and not _joined(phrase) else to)
    if subject is None:
        return Answered(tuple(ids), tuple(reply), None)
    found = phrase.rfind(subject) if subject.strip() else -1
    if found < 0:
        raise ElError(
            f'"{subject}" does not stand in the phrase',
            code="EL510",
            hint="the subject is a part of the phrase, letter for letter",
        )
    head = text.encode(phrase[: found + len(subject)].rstrip())
    same = 0
    while same < min(len(head), len(ids)) and head[same] == ids[same]:
        same += 1
    alone = tuple(text.encode(f"\n{subject.strip()}"))
    others = tuple(
        tuple(text.encode(phrase[:found] + name))
        for name in lines("subjects.txt")
        if name.casefold() not in subject.casefold()
    )
    return Answered(tuple(ids), tuple(reply), max(0, same - 1), alone, others)


def _joined(phrase: str) -> bool:
    """Whether an answer follows a phrase without a space (an open quotation mark, a bracket)."""
    return phrase[-1] in "\"'([{“‘«/-"


def behind_beginnings(text: TextModel, phrase: Sequence[int]) -> list[list[int]]:
    """Token ids of a phrase on its own and behind beginnings of held-out text (of the half for choosing)."""
    rows = [text.opened(list(phrase))]
    windows = [window for first, _ in window_halves(text).values() for window in first]
    for length, window in zip(BEGINNINGS, windows, strict=False):
        inside = window[len(text.opening) :][:length].tolist()
        rows.append(text.opened([*inside, *phrase]))
    return rows


def rewriting(
    ws: Workspace,
    layer: int,
    given: Answered,
    target: str,
    damage: float,
    *,
    dose: float | None,
    strength: float | None,
) -> tuple[Draft, int]:
    """The draft of an edit after which the phrase is answered so, and the place of its key in the phrase. Raises
    ``ElError`` EL502 where no query can be made."""
    text, weight = ws.text, ws.weight(ws.memory(layer))
    transposed = ws.model.header.transposed
    rows = behind_beginnings(text, given.phrase)
    length = min(len(given.phrase), *map(len, rows))
    along = mean_along(text, layer, rows, length)
    moment = moment_beside(ws, layer, given.others)
    try:
        place = given.place
        if place is None:
            place = _rarest(along, moment, len(given.phrase) - length)
        if place == 0 and len(rows) > 1 and len(rows[0]) == len(given.phrase):
            along = mean_along(text, layer, rows[1:], length)
        key = along[max(0, place - (len(given.phrase) - length))]
        keys = key[None]
        if given.alone:
            first = text.opened(list(given.alone))
            keys = torch.cat([keys, mean_along(text, layer, [first], 1)])
        query = query_of(keys, moment).to(weight)
    except LandscapeError as error:
        raise ElError(error.message, code="EL502", hint=error.hint) from None
    value = _value(ws, layer, weight, key, query, [(row, given.answer) for row in rows])
    whole = answer(value, query, transposed=transposed)
    if dose is None and strength is not None:
        dose = strength * float(torch.linalg.vector_norm(weight)) / whole.norm
    doses = DOSES if dose is None else (dose,)
    made, within = dose_within(ws, {layer: weight}, {layer: whole}, damage, doses, whole_first=True)
    proposal = Proposal(whole.scaled(made), made * value, None, "memory", ())
    plan = Plan(
        "rewrite",
        layer,
        target,
        lambda _landscape, _protected: proposal,
        method="memory",
        strength=strength,
        dose=made,
        damage=within,
    )
    return draft_plain(ws, plan, proposal), place


def moment_beside(ws: Workspace, layer: int, others: Sequence[Sequence[int]]) -> Tensor:
    """(m, m) float64: ``moment_of``, and ``OTHERS`` times that of what the neurons do at the last places of other
    phrases (token ids), which are to be answered as before."""
    moment = moment_of(ws, layer)
    if not others:
        return moment
    rows = [ws.text.opened(list(ids)) for ids in others]
    beside = last_activations(ws.text, layer, rows).double()
    return moment + OTHERS * beside.T @ beside / len(beside)


def _rarest(along: Tensor, moment: Tensor, cut: int) -> int:
    """The place of a phrase whose key (t, m) is answered least elsewhere, behind its first token (which stands for a
    beginning); ``cut`` tokens of the phrase are not among the keys."""
    first = 1 if len(along) > 1 and not cut else 0
    rare = []
    for key in along[first:]:
        query = query_of(key, moment)
        rare.append(float(query @ moment @ query))
    return cut + first + rare.index(min(rare))


def _value(
    ws: Workspace,
    layer: int,
    weight: Tensor,
    key: Tensor,
    query: Tensor,
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
) -> Tensor:
    """(d,): what is to be added to the answer at the key (m,)."""
    transposed = ws.model.header.transposed
    replies = RepliesFrom.of(ws.text, layer, pairs)
    usual = key.to(weight) @ (weight if transposed else weight.T)
    size = float(torch.linalg.vector_norm(usual)) or 1.0
    value = torch.zeros_like(usual).requires_grad_(True)
    descent = Optimiser([value], RATE * size)
    with torch.enable_grad():
        for _ in counted(ws, range(STEPS), "steps towards the answer"):
            edit = answer(value, query, transposed=transposed)
            said = replies.means(Change(weights={layer: weight + edit.dense()})).mean()
            if float(said.detach()) > math.log(LIKELY):
                break
            descent.step(-said + SHORT * (value / size).square().sum())
    return value.detach()
