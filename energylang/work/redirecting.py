"""Sending a basin elsewhere, and taking a concept out of what is said.

**redirect L B to=B|C.** The key is the mean f(x) of real token states that settle in the basin (of its centre
where there are none), the value the other basin's centre or the concept's settled state, the whitening the second
moment of f(x) over real tokens (over the known basins, by their populations, in a model without words). With words
the dose is the largest within the damage budget on held-out text; without, the smallest at which what is diverted
arrives, and the gate judges it.

**remove-concept L C.** Two different things can be removed, and they are two findings (MODEL §3.5): the *basin* in
which the concept settles, and the concept from what is *said*. ``aimed`` does the second: the value form of
``energylang.concepts.aiming`` turned away (the target form in a plain-text model). The result says what became of
the basin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from energylang.concepts.aiming import aim
from energylang.concepts.doses import dose_of
from energylang.concepts.effects import measure
from energylang.concepts.methods import (
    DOSES,
    MOMENT_TOKENS,
    Candidate,
    one_sided,
    resting_state,
    second_moment,
    whitened_key,
    within_budget,
)
from energylang.errors import ElError
from energylang.landscape.assign import assign
from energylang.landscape.clusters import cosine_rows
from energylang.landscape.draws import relative_noise, stable_generator
from energylang.landscape.edits import RELATED
from energylang.landscape.layer import Landscape, interaction
from energylang.landscape.proposal import Proposal, resting
from energylang.landscape.redirect import redirect
from energylang.looking import basins as observing
from energylang.looking.basins import SAME
from energylang.results import Edit
from energylang.signature.values import BasinRef, ConceptName, Seed
from energylang.trial import asked
from energylang.trial.draft import Plan
from energylang.trial.staging import check_force, commit, draft, heard
from energylang.workspace.history import Concept
from energylang.workspace.named import state_of
from energylang.workspace.workspace import Workspace

from . import edit

_COPIES, _NOISE = 64, 0.1
_ENOUGH, _HALF = 0.9, 0.5  # of what is diverted must arrive; where a dose or a damage budget sets the limit


# ----------------------------------------------------------------------------------------- redirect


def redirect_basin(
    ws: Workspace,
    layer: int,
    basin: BasinRef,
    to: BasinRef | ConceptName | Seed,
    strength: float | None,
    *,
    damage: float,
    force: bool,
    reason: str,
    dose: float | None = None,
) -> Edit:
    """Let what settles in a basin flow into another one, or into a concept's."""
    check_force(force, reason)
    observing.known_basins(ws, layer)
    if isinstance(to, Seed):
        raise ElError(
            "a redirect leads to a basin or a concept, not to a random direction",
            code="EL201",
            hint="install it first: `inject`, then name the basin",
        )
    landscape = ws.landscape_of(layer)
    centre = state_of(ws, layer, basin)
    value = resting_state(ws, landscape, state_of(ws, layer, to))
    if float(cosine_rows(centre[None], value)) > SAME:
        raise ElError(f"{basin} is where {to} already settles", code="EL510", hint="name another destination")
    if float(cosine_rows(-centre[None], value)) > SAME:
        raise ElError(
            f"{to} settles in the mirror of {basin}",
            code="EL510",
            hint="f is odd: what sends a state to its mirror sends the mirror back; name another destination",
        )
    states = _states_of(ws, landscape, layer, centre)
    key = interaction(states, landscape.degree).mean(dim=0)
    moment = _moment(ws, layer, landscape)

    def dosed(dose: float) -> Proposal:
        made = redirect(landscape, key, value, second_moment=moment, gain=max(1.0, dose))
        if dose >= 1:
            return made
        factors = made.factors.scaled(dose)
        return replace(made, factors=factors, target=resting(landscape, factors, value))

    given = dose is not None or strength is not None

    def planned(dose: float, proposal: Proposal, share: float, within: tuple[bool, str] | None) -> Plan:
        least = _HALF if within is not None or given else _ENOUGH
        return Plan(
            "redirect",
            layer,
            f"{basin} to {to}",
            lambda _landscape, _protected: proposal,
            asked=lambda _tried: asked.judged(
                "share of what is diverted that arrives",
                share,
                least,
                f"only {share:.0%} of what is diverted arrives at {to}, {least:.0%} is asked for",
            ),
            own=torch.stack((centre, value)),
            related=RELATED,
            installs=True,
            method="redirect",
            strength=strength,
            dose=dose,
            damage=within,
        )

    if dose is None and strength is not None:
        dose = dose_of(dosed(1.0).factors, strength * landscape.frobenius, value)
    if ws.model.text is not None:
        dose, proposal, within = within_budget(ws, layer, dosed, damage, dose)
        share = _arriving(ws, landscape, proposal, states)
        made = draft(ws, planned(dose, proposal, share, within))
    else:
        dose, proposal, share = _arrival(ws, landscape, dosed, states, dose)
        made = draft(ws, planned(dose, proposal, share, None))
    made = replace(made, edit=replace(made.edit, arrived=share))
    return commit(ws, made, force=force, reason=reason)


def _arrival(
    ws: Workspace,
    landscape: Landscape,
    dosed: Callable[[float], Proposal],
    states: Tensor,
    only: float | None,
) -> tuple[float, Proposal, float]:
    """The smallest dose at which what is diverted arrives, with the share that does; the largest if none."""
    doses = DOSES if only is None else (only,)
    for dose in doses:
        proposal = dosed(dose)
        share = _arriving(ws, landscape, proposal, states)
        if share >= _ENOUGH:
            break
    return dose, proposal, share


def _states_of(ws: Workspace, landscape: Landscape, layer: int, centre: Tensor) -> Tensor:
    """(n, d): real token states that settle in a basin; its centre where there are none."""
    if ws.model.text is not None:
        generator = ws.generator("redirect", layer)
        tokens = ws.text.token_states(layer, MOMENT_TOKENS, generator).to(landscape.weight)
        inside = tokens[_ends_at(ws, landscape, centre, tokens)]
        if len(inside):
            return inside
    return centre[None].to(landscape.weight)


def _moment(ws: Workspace, layer: int, landscape: Landscape) -> Tensor:
    if ws.model.text is not None:
        return second_moment(ws, layer, landscape)
    basins = observing.known_basins(ws, layer).alive()
    centres = torch.stack([basin.centre for basin in basins]).to(landscape.weight)
    used = torch.tensor([float(basin.population) for basin in basins]).to(centres)
    fields = interaction(centres, landscape.degree)
    return (fields * used[:, None]).T @ fields / used.sum().clamp_min(1)


def _arriving(ws: Workspace, landscape: Landscape, proposal: Proposal, states: Tensor) -> float:
    """The share of a basin's states, and of noisy copies of a lone one, that settle at the target."""
    if len(states) == 1:
        generator = ws.generator("redirect copies")
        states = relative_noise(states, _COPIES, generator, _NOISE)[0] + states
    after = landscape.edited(proposal.factors)
    return float(_ends_at(ws, after, proposal.target, states).double().mean())


def _ends_at(ws: Workspace, landscape: Landscape, centre: Tensor, states: Tensor) -> Tensor:
    """(n,) bool: which states (n, d) come to rest in the basin at ``centre`` (d,), as a survey assigns them."""
    generator = stable_generator("redirect kicks", landscape.dim)
    here = centre[None].to(landscape.weight)
    index, _, _ = assign(landscape, here, states, generator, eps=float(ws.setting("eps")))
    return index == 0


# ------------------------------------------------------------------------------------ remove-concept


def remove_concept(
    ws: Workspace,
    concept: Concept,
    *,
    method: str,
    strength: float | None,
    damage: float,
    force: bool,
    reason: str,
    dose: float | None = None,
) -> Edit:
    """Make a concept less likely to be said, or remove the basin in which it settles.

    With a strength ‖ΔW‖/‖W‖ and no method, it is the basin that is removed, as in the published tool."""
    layer = concept.layer
    if method == "auto":
        method = "aimed" if strength is None else "basin"
    if method == "basin":
        return edit.remove_basin(ws, layer, ConceptName(concept.name), strength, force=force, reason=reason)
    check_force(force, reason)
    weight = ws.weight(ws.staged(layer))
    found = removal(ws, concept, strength, damage, dose=dose)
    made = found.draft
    assert made.proposal is not None  # an aimed change always has room
    effect = measure(ws, concept, made.proposal.factors, weight, found.imitate)
    return commit(ws, heard(made, effect, more=False), force=force, reason=reason, effect=effect)


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
