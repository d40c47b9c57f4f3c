"""Writing a concept into the memory of a layer whose states are a stream.

An MLP is an associative memory: its neurons address it, its down-projection W (d, m) answers into the stream. The edit
is of rank one, ``ΔW = v qᵀ`` (``energylang.landscape.memory``), in one layer or in several at once:

* the **key** k is the mean activation at the places from which the concept's texts are said, as replies to neutral
  prompts;
* the **second moment** C is made half of the model's own neutral replies and half of held-out text: what is to stay as
  it is. (Of held-out text alone it protects that and nothing else: own replies then suffer dozens of times more.)
* the **value** v begins as the direction of the concept in the stream (its opposite, where the concept is to be
  removed) and, unless that difference of means is to be the value itself, is made better in a few steps (``value``);
* the **dose** (one for all layers) is the one of those whose damage, from its worst side (``faces``), keeps within the
  budget, at which the concept's texts (of the half for writing) are likeliest: the largest, as a rule.

The concept is written by every other text and measured by the rest (``halves``). Source: ROME (Meng et al. 2022) for
the form of the edit; what C is made of was measured here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from energylang.errors import ElError, LandscapeError
from energylang.landscape.lowrank import LowRank
from energylang.landscape.memory import answer, query_of
from energylang.landscape.proposal import Proposal
from energylang.models.behind import Behind
from energylang.models.neurons import mean_activation, second_moments
from energylang.models.protocol import Change
from energylang.models.text import TextModel
from energylang.trial.draft import Draft, Plan
from energylang.trial.plain import draft_plain
from energylang.workspace.history import Concept
from energylang.workspace.workspace import Workspace, remembered

from .captured import pushes
from .faces import Faces, Kept, finite, own_halves, rows_of, window_halves
from .halves import halves
from .replies import as_replies
from .value import best_values

Value = Literal["best", "mean"]
_MEAN = "the value is the difference of means, as it was captured"
DOSES = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.5, 8.0)


@dataclass(frozen=True)
class Written:
    """The drafts of a memory edit, one for every layer, and the concept (the half of its texts) by which it is to be
    measured."""

    drafts: tuple[Draft, ...]
    measured_by: Concept

    @property
    def factors(self) -> dict[int, LowRank]:
        """By layer, what is added to its weight."""
        return {each.plan.layer: each.proposal.factors for each in self.drafts if each.proposal is not None}


def memory_edit(
    ws: Workspace,
    concept: Concept,
    strength: float | None,
    damage: float,
    *,
    layers: Sequence[int] = (),
    dose: float | None = None,
    away: bool = False,
    value_is: Value = "best",
) -> Written:
    """A memory edit towards a concept, or ``away`` from it, of its own layer or of other ``layers`` together. The dose
    is the one given, or the one with this strength (‖ΔW‖/‖W‖), or the largest within the damage. ``value_is`` the best
    that is found, or the direction. Raises ``ElError`` EL511 for a concept without texts."""
    chosen_by, measured_by = halves(concept)
    if not as_replies(ws.text, chosen_by.texts):
        raise ElError(
            f"`{concept.name}` has no texts: there is no key to write it at",
            code="EL511",
            hint="`capture` it from texts; `push` works with the direction alone",
        )
    chosen = tuple(sorted(layers)) or (concept.layer,)
    name = "remove-concept" if away else "inject-concept"
    weights = {layer: ws.weight(ws.memory(layer)) for layer in chosen}
    directions = {layer: push.to(weights[layer]) for layer, push in pushes(ws, chosen_by, chosen).items()}
    queries = {
        layer: _query(ws, replace(chosen_by, layer=layer), moment).to(weights[layer])
        for layer, moment in moments_of(ws, chosen, "kept").items()
    }
    if value_is == "best":
        values = best_values(ws, chosen_by, weights, queries, directions, away=away)
    else:
        part = (-1.0 if away else 1.0) / len(chosen)
        values = {layer: part * direction for layer, direction in directions.items()}
    transposed = ws.model.header.transposed
    whole = {
        layer: answer(values[layer].to(weight), queries[layer], transposed=transposed)
        for layer, weight in weights.items()
    }
    if dose is None and strength is not None:
        dose = strength * norm_of(weights.values()) / math.hypot(*(each.norm for each in whole.values()))
    doses = DOSES if dose is None else (dose,)
    largest, within = dose_within(ws, weights, whole, damage, doses, kept="kept")
    if dose is None and within[0]:
        allowed = [each for each in doses if each <= largest]
        largest = _clearest(ws, chosen_by, weights, whole, allowed, away=away)
    made, notes = largest, () if value_is == "best" else (_MEAN,)

    def drafted(layer: int) -> Draft:
        proposal = Proposal(whole[layer].scaled(made), made * values[layer], None, "memory", notes)
        plan = Plan(
            name,
            layer,
            concept.name,
            lambda _landscape, _protected: proposal,
            method="memory",
            strength=strength,
            dose=made,
            damage=within,
        )
        return draft_plain(ws, plan, proposal)

    return Written(tuple(drafted(layer) for layer in chosen), measured_by)


def _query(ws: Workspace, concept: Concept, moment: Tensor) -> Tensor:
    """(m,): the query at a concept's layer."""
    try:
        return query_of(key_of(ws.text, concept), moment)
    except LandscapeError as error:
        raise ElError(error.message, code="EL502", hint=error.hint) from None


def norm_of(weights: Iterable[Tensor]) -> float:
    """The norm of several weights together."""
    return math.hypot(*(float(torch.linalg.vector_norm(each)) for each in weights))


def changed(weights: Mapping[int, Tensor], edits: Mapping[int, LowRank], dose: float = 1.0) -> Change:
    """The change that adds to weights their edits, as often as ``dose`` says."""
    return Change(
        weights={layer: edits[layer].scaled(dose).added_to(weight) for layer, weight in weights.items()}
    )


def _clearest(
    ws: Workspace,
    concept: Concept,
    weights: Mapping[int, Tensor],
    whole: Mapping[int, LowRank],
    doses: Sequence[float],
    *,
    away: bool,
) -> float:
    """Of the doses (rising, all within the damage) the one after which the concept's texts are likeliest (``away``:
    least likely), looked for from the largest down. (A key that little else answers may be answered far too loudly at
    no cost: the texts then grow less likely again.)"""
    texts = Behind(ws.text, min(weights), as_replies(ws.text, concept.texts))

    def heard(dose: float) -> float:
        found = float(texts.means(changed(weights, whole, dose)).mean())
        return -found if away else found

    best, value = doses[-1], heard(doses[-1])
    for dose in doses[-2::-1]:
        now = heard(dose)
        if now <= value:
            break
        best, value = dose, now
    return best


def key_of(text: TextModel, concept: Concept) -> Tensor:
    """(m,): the mean activation at the places from which a concept's texts are said as replies (in a plain-text model:
    on their own)."""
    rows, spans = [], []
    for opening, inside in as_replies(text, concept.texts):
        row = [*opening, *inside][-text.max_length :]
        rows.append(row)
        spans.append((max(0, len(row) - len(inside) - 1), max(1, len(row) - 1)))
    return mean_activation(text, concept.layer, rows, spans)


def moment_of(ws: Workspace, layer: int, kept: Kept = "several kinds") -> Tensor:
    """(m, m) float64: the second moment of the activations that an edit of a layer is to leave alone, half of own
    replies (to prompts of these kinds) and half of held-out text. Worked out once for every state of the live
    weights."""
    return moments_of(ws, (layer,), kept)[layer]


def moments_of(ws: Workspace, layers: Sequence[int], kept: Kept = "several kinds") -> dict[int, Tensor]:
    """The same by layer, of several."""
    return remembered(ws, lambda: _moments(ws, layers, kept), "neurons' second moments", tuple(layers), kept)


def _moments(ws: Workspace, layers: Sequence[int], kept: Kept) -> dict[int, Tensor]:
    text = ws.text
    own, _ = own_halves(ws, kept)
    halves_: list[dict[int, Tensor]] = []
    if own:
        halves_.append(second_moments(text, layers, rows_of(text, own)))
    corpora = [
        second_moments(text, layers, windows[:, :-1].tolist()) for windows, _ in window_halves(text).values()
    ]
    if corpora:
        halves_.append(_mean(corpora, layers))
    return _mean(halves_, layers)


def _mean(moments: Sequence[Mapping[int, Tensor]], layers: Sequence[int]) -> dict[int, Tensor]:
    return {layer: torch.stack([each[layer] for each in moments]).mean(dim=0) for layer in layers}


def dose_within(
    ws: Workspace,
    weights: Mapping[int, Tensor],
    whole: Mapping[int, LowRank],
    damage: float,
    doses: Sequence[float],
    *,
    whole_first: bool = False,
    kept: Kept = "several kinds",
) -> tuple[float, tuple[bool, str]]:
    """The largest dose of edits, ``whole`` by layer, that keeps within the damage, by bisection (harm grows with the
    dose; ``whole_first`` tries the largest before), and the verdict; the smallest one, and why not, where none does."""
    faces = Faces(ws, weights, kept)
    low, high = -1, len(doses)
    middle = high - 1 if whole_first else (low + high) // 2
    while high - low > 1:  # doses[low] keeps within, doses[high] does not
        edited = changed(weights, whole, doses[middle])
        good = _finite(edited) and faces.worst(edited, damage)[1] <= damage
        low, high = (middle, high) if good else (low, middle)
        middle = (low + high) // 2
    if low >= 0:
        return doses[low], (True, "within the damage budget")
    edited = changed(weights, whole, doses[0])
    if not _finite(edited):
        raise ElError(
            f"a dose of {doses[0]:g} leaves numbers that cannot be calculated with",
            code="EL502",
            hint="nothing was changed; try a smaller one",
        )
    name, rise = faces.worst(edited)
    over = f"the loss on {name} may rise by {rise:.1%}, more than the budget of {damage:.1%}"
    return doses[0], (False, over)


def _finite(change: Change) -> bool:
    return all(finite(weight) for weight in change.weights.values())
