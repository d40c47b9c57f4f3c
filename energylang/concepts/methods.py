"""Writing a concept into its layer, three ways, and choosing among them.

**Attractor.** The concept's state becomes a basin of its own (``energylang.concepts.landing``). Very local; whether it
is heard in what the model says is another question, and the effect answers it.

**Redirect** (MODEL §3). The key is the mean f(x) of neutral decision states, the value the concept's settled
state, the whitening the second moment of f(x) over real tokens: neutral prompts then flow into the concept's
basin. It has a dose: below 1 that share of the change, above 1 the whole change with a value as much
longer.

**Aimed.** The change is optimised for what is said (``energylang.concepts.aiming``).

Doses of the last two are the largest on a grid that keep within the damage budget, found by bisection. ``auto``
drafts all three and takes the one after which most replies (plain text: tokens of its texts) are the concept's, on
prompts by which the effect is not measured. What was chosen is measured in ``energylang.concepts.effects``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from energylang.landscape.attractors import polish
from energylang.landscape.clusters import SAME, cosine_rows
from energylang.landscape.dynamics import settle
from energylang.landscape.layer import Landscape, interaction
from energylang.landscape.lowrank import LowRank
from energylang.landscape.proposal import Proposal, resting
from energylang.landscape.redirect import redirect
from energylang.looking.gauge import Gauge
from energylang.models.states import decision_samples, token_states
from energylang.trial.draft import Draft, Plan
from energylang.trial.staging import draft
from energylang.workspace.history import Concept
from energylang.workspace.workspace import Workspace, counted, remembered

from .aiming import aim
from .captured import opposite
from .controls import OWN_REPLIES, REPLY_TOKENS, Imitate
from .doses import dose_of
from .landing import imitated, landed
from .replies import own_replies

METHODS = ("redirect", "aimed", "attractor")
DOSES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5)
OVER = (
    1.7,
    1.9,
    2.1,
    2.4,
    2.7,
    3.0,
    3.5,
    4.0,
)  # further ones of a change that was optimised, which may stop short of its budget
MOMENT_TOKENS = 4096


@dataclass(frozen=True)
class Candidate:
    """One way to write a concept down: the draft, and how the same would be done with another concept."""

    draft: Draft
    imitate: Imitate


# ------------------------------------------------------------------------------------------ attractor


def attractor(ws: Workspace, concept: Concept, strength: float | None, damage: float) -> Candidate:
    """The concept's state as a basin of its own (``concepts.landing``), judged by the gate."""
    made = landed(ws, concept, strength, damage)
    return Candidate(made, lambda other: imitated(ws, concept.layer, other))


# ------------------------------------------------------------------------------------------- redirect


def redirected(
    ws: Workspace,
    concept: Concept,
    strength: float | None,
    damage: float,
    operation: str = "inject-concept",
    *,
    dose: float | None = None,
) -> Candidate:
    """Neutral states flow into the concept's basin, judged by the damage budget. The dose is the one given, or the one
    with this strength, or the largest within the budget."""
    landscape = ws.landscape_of(concept.layer)
    key = interaction(opposite(ws, concept).to(landscape.weight), landscape.degree).mean(dim=0)
    moment = second_moment(ws, concept.layer, landscape)
    value = resting_state(ws, landscape, concept.centroid)

    def dosed(dose: float, towards: Tensor = value) -> Proposal:
        made = redirect(landscape, key, towards, second_moment=moment, gain=max(1.0, dose))
        if dose >= 1:
            return made
        factors = made.factors.scaled(dose)
        return replace(made, factors=factors, target=resting(landscape, factors, towards))

    if dose is None and strength is not None:
        dose = dose_of(dosed(1.0).factors, strength * landscape.frobenius, value)
    dose, proposal, within = within_budget(ws, concept.layer, dosed, damage, dose)
    plan = Plan(
        operation,
        concept.layer,
        concept.name,
        lambda _landscape, _protected: proposal,
        installs=True,
        own=value[None],
        method="redirect",
        strength=strength,
        dose=dose,
        damage=within,
    )

    def imitate(other: Concept) -> LowRank:
        return dosed(dose, resting_state(ws, landscape, other.centroid)).factors

    return Candidate(draft(ws, plan), imitate)


def resting_state(ws: Workspace, landscape: Landscape, state: Tensor) -> Tensor:
    """(d,): where a state settles in a landscape."""
    run = settle(landscape, state[None].to(landscape.weight), eps=float(ws.setting("eps")))
    rest: Tensor = polish(landscape, run.states)[0][0]
    return rest


def second_moment(ws: Workspace, layer: int, landscape: Landscape) -> Tensor:
    """(d, d): the mean of f(x)f(x)ᵀ over the states that a change should leave alone.

    One half are states of real tokens. In a dialogue model the other half are decision states in conversations
    in which the model has already spoken, in whatever manner: they lie closest to the neutral decision states
    that are to be diverted, and are few among tokens. Worked out once for every state of the live weights.
    """
    weight = landscape.weight
    return remembered(
        ws,
        lambda: _second_moment(ws, layer, landscape),
        *("second moment", layer, landscape.degree, weight.dtype, weight.device),
    )


def _second_moment(ws: Workspace, layer: int, landscape: Landscape) -> Tensor:
    generator = ws.generator("second moment", layer)
    text = ws.text
    groups = [token_states(text, layer, MOMENT_TOKENS, generator)]
    if text.dialogue:
        said = [reply.text for _, reply in own_replies(ws, OWN_REPLIES, REPLY_TOKENS)]
        groups.append(decision_samples(text, said[::4], layer, pairs=2))
    moments = []
    for states in groups:
        field = interaction(states.to(landscape.weight), landscape.degree)
        moments.append(field.T @ field / len(field))
    return torch.stack(moments).mean(dim=0)


# ---------------------------------------------------------------------------------------------- aimed


def aimed(
    ws: Workspace, concept: Concept, strength: float | None, damage: float, *, dose: float | None = None
) -> Candidate:
    """A change optimised for what is said, judged by the damage budget. The dose as in ``redirected``."""
    layer = concept.layer
    landscape = ws.landscape_of(layer)
    weight = ws.weight(ws.staged(layer))
    query = whitened_key(ws, concept, landscape)

    def dosed(dose: float, full: LowRank) -> Proposal:
        factors = full.scaled(dose)
        target = resting(landscape, factors, concept.centroid.to(landscape.weight))
        return Proposal(factors, target, None, "aimed", one_sided(landscape, factors))

    full = aim(ws, concept, weight, query, away=False)
    if dose is None and strength is not None:
        dose = dose_of(full, strength * landscape.frobenius)
    dose, proposal, within = within_budget(
        ws, layer, lambda dose: dosed(dose, full), damage, dose, (*DOSES, *OVER)
    )
    plan = Plan(
        "inject-concept",
        layer,
        concept.name,
        lambda _landscape, _protected: proposal,
        installs=True,
        own=concept.centroid[None],
        method="aimed",
        strength=strength,
        dose=dose,
        damage=within,
    )
    return Candidate(draft(ws, plan), lambda other: aim(ws, other, weight, query, away=False))


def whitened_key(ws: Workspace, concept: Concept, landscape: Landscape) -> Tensor:
    """(d,): q = C⁻¹k/(kᵀC⁻¹k) of a redirect, k the mean f(x) of the states that are to be diverted."""
    states = opposite(ws, concept).to(landscape.weight)
    key = interaction(states, landscape.degree).mean(dim=0)
    moment = second_moment(ws, concept.layer, landscape)
    made = redirect(landscape, key, states.mean(dim=0), second_moment=moment)
    query: Tensor = made.factors.right[:, 0]
    return query


def one_sided(landscape: Landscape, factors: LowRank) -> tuple[str, ...]:
    """What to note about a change that does not keep a symmetric layer symmetric."""
    if not landscape.symmetric or factors.mirrored:
        return ()
    return ("the layer is no longer symmetric; energies use its symmetric part",)


# --------------------------------------------------------------------------------------------- budget


def within_budget(
    ws: Workspace,
    layer: int,
    dosed: Callable[[float], Proposal],
    damage: float,
    only: float | None,
    doses: Sequence[float] = DOSES,
) -> tuple[float, Proposal, tuple[bool, str]]:
    """The largest dose whose rise of the loss, and a standard error of it, keep within the damage, by bisection (harm
    grows with the dose); the smallest dose, and a refusal, when none does. ``only`` is the
    one dose to be tried, where one is given."""
    weight = ws.weight(ws.staged(layer))
    gauge, base = _judged(ws, layer)

    def rise(proposal: Proposal) -> float:
        return gauge.rise_at_most(ws.weighing(layer, proposal.factors.added_to(weight)), base)

    if only is not None:
        doses = (only,)
    best, chosen, rises = None, doses[0], dict[float, float]()
    low, high = -1, len(doses)
    for _ in counted(ws, range(len(doses).bit_length()), "doses tried"):
        if high - low <= 1:  # doses[low] keeps within, doses[high] does not
            break
        middle = (low + high) // 2
        proposal = dosed(doses[middle])
        rises[doses[middle]] = rise(proposal)
        if rises[doses[middle]] <= damage:
            best, chosen, low = proposal, doses[middle], middle
        else:
            high = middle
    if best is not None:
        return chosen, best, (True, "within the damage budget")
    over = f"the loss may rise by {rises[chosen]:.1%}, more than the budget of {damage:.1%}"
    return chosen, dosed(chosen), (False, over)


def _judged(ws: Workspace, layer: int) -> tuple[Gauge, Tensor]:
    """What judges doses of a change of a layer, and the losses (n,) before it: read once for every weight of the
    layer, since several edits of one layer are tried in a row."""
    version, count = ws.staged(layer), ws.text.sizes.judged

    def read() -> tuple[Gauge, Tensor]:
        gauge = Gauge(ws, layer, ws.text.choosing_windows(count))
        return gauge, gauge.losses(ws.weighing(layer, ws.weight(version)))

    return remembered(ws, read, "losses before", layer, version, count)


def removal(
    ws: Workspace, concept: Concept, strength: float | None, damage: float, *, dose: float | None = None
) -> Candidate:
    """The aimed change away from a concept, at the largest dose up to 1 within the damage budget."""
    layer = concept.layer
    landscape = ws.landscape_of(layer)
    weight = ws.weight(ws.staged(layer))
    query = whitened_key(ws, concept, landscape)
    centre = resting_state(ws, landscape, concept.centroid)
    full = aim(ws, concept, weight, query, away=True)

    def dosed(dose: float) -> Proposal:
        factors = full.scaled(dose)
        return Proposal(
            factors, resting(landscape, factors, centre), None, "aimed", one_sided(landscape, factors)
        )

    whole = [dose for dose in DOSES if dose <= 1]  # more would push the rest out of proportion
    if dose is None and strength is not None:
        dose = dose_of(full, strength * landscape.frobenius)
    dose, proposal, within = within_budget(ws, layer, dosed, damage, dose, whole)
    stays = float(cosine_rows(proposal.target[None], centre)) > SAME
    told = f"the basin in which the concept settles {'stays' if stays else 'goes'}"
    plan = Plan(
        "remove-concept",
        layer,
        concept.name,
        lambda _landscape, _protected: replace(proposal, notes=(*proposal.notes, told)),
        own=centre[None],
        method="aimed",
        strength=strength,
        dose=dose,
        damage=within,
    )
    return Candidate(draft(ws, plan), lambda other: aim(ws, other, weight, query, away=True))
