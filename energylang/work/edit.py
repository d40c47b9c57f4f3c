"""Edits of basins: install, remove, move, scale, redirect. Each is a plan, tried and staged or refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from energylang.concepts.doses import dose_of
from energylang.concepts.keys import meant
from energylang.concepts.landing import MOMENT_TOKENS
from energylang.concepts.methods import DOSES, resting_state, second_moment, within_budget
from energylang.errors import ElError
from energylang.landscape import edits
from energylang.landscape import redirect as hetero
from energylang.landscape.assign import assign
from energylang.landscape.clusters import SAME, cosine_rows
from energylang.landscape.draws import relative_noise, stable_generator
from energylang.landscape.edits import AMPLITUDE, RELATED, WANTED_RADIUS
from energylang.landscape.layer import Landscape, interaction
from energylang.landscape.proposal import Proposal, resting
from energylang.looking.basins import basin_near, known_basins
from energylang.looking.tokens import heldout, staged_states
from energylang.models.states import token_states
from energylang.results import Edit
from energylang.signature.values import BasinRef, ConceptName, PartName, Seed
from energylang.trial import asked
from energylang.trial.draft import REMOVING, Plan
from energylang.trial.staging import carry_out, check_force, commit, draft
from energylang.workspace.named import state_of
from energylang.workspace.workspace import Workspace

from . import keyed

Target = BasinRef | ConceptName | Seed | PartName | str
"""What an edit may be aimed at; a text is a concept's name or a phrase."""

_COPIES, _NOISE = 64, 0.1
_ENOUGH, _HALF = 0.9, 0.5  # of what is diverted must arrive; where a dose or a damage budget sets the limit


def inject(
    ws: Workspace,
    layer: int,
    target: BasinRef | ConceptName | Seed,
    strength: float | None,
    noise: float | None,
    radius: bool,
    force: bool,
    reason: str,
) -> Edit:
    """Install an attractor at the signs of a direction."""
    direction = state_of(ws, layer, target)
    wanted = WANTED_RADIUS if noise is None else noise
    strength = strength if noise is None else None
    generator = ws.generator("inject", layer, str(target))

    def propose(landscape: Landscape, protected: Tensor) -> Proposal:
        return edits.inject(
            landscape,
            direction,
            protected,
            strength=strength,
            generator=generator,
            wanted_radius=wanted,
        )

    plan = Plan(
        "inject",
        layer,
        str(target),
        propose,
        asked=asked.installed(target, direction),
        installs=True,
        strength=strength,
        radii=radius,
    )
    return carry_out(ws, plan, force=force, reason=reason)


def remove(
    ws: Workspace,
    layer: int,
    target: BasinRef | ConceptName | Seed,
    strength: float | None,
    force: bool,
    reason: str,
) -> Edit:
    """End the basin that a direction names or settles in."""
    centre, basin = basin_near(ws, layer, target)
    generator = ws.generator("remove", layer, str(target))

    def propose(landscape: Landscape, protected: Tensor) -> Proposal:
        return edits.remove(
            landscape, centre.to(landscape.weight), protected, strength=strength, generator=generator
        )

    plan = Plan(
        "remove",
        layer,
        str(target),
        propose,
        asked=asked.ended(target, centre),
        own=centre[None],
        related=RELATED,
        exactly=REMOVING,
        basin=basin,
        strength=strength,
        ends=True,
    )
    return carry_out(ws, plan, force=force, reason=reason)


def move(
    ws: Workspace,
    layer: int,
    target: BasinRef | ConceptName | Seed,
    to: BasinRef | ConceptName | Seed | None,
    strength: float | None,
    force: bool,
    reason: str,
) -> Edit:
    """Remove a basin and install one elsewhere, as one edit. Without a destination it is drawn from the basin's
    number."""
    centre, basin = basin_near(ws, layer, target)
    goal = to if to is not None else Seed(basin if basin is not None else 0)
    direction = state_of(ws, layer, goal)
    pattern = AMPLITUDE * torch.sign(direction)
    if abs(float(cosine_rows(pattern, centre.to(pattern)))) > SAME:
        raise ElError(
            f"{target} already lies at {goal} (or at its mirror)",
            code="EL510",
            hint="name another destination",
        )

    def propose(landscape: Landscape, protected: Tensor) -> Proposal:
        return edits.smallest_move(landscape, centre.to(landscape.weight), direction, protected, strength)

    plan = Plan(
        "move",
        layer,
        f"{target} to {goal}",
        propose,
        asked=asked.both(asked.installed(goal, direction), asked.ended(target, centre)),
        own=torch.stack((centre.to(pattern), pattern)),
        related=RELATED,
        installs=True,
        basin=basin,
        strength=strength,
        ends=True,
    )
    return carry_out(ws, plan, force=force, reason=reason)


def strengthen(
    ws: Workspace,
    layer: int,
    target: Target,
    factor: float,
    method: str,
    damage: float,
    placebos: int | None,
    force: bool,
    reason: str,
) -> Edit:
    """Multiply the field at a basin, so that it gets deeper, or what a memory answers at a key."""
    return _scaled(ws, "strengthen", layer, target, factor, method, damage, placebos, force, reason)


def weaken(
    ws: Workspace,
    layer: int,
    target: Target,
    factor: float,
    method: str,
    damage: float,
    placebos: int | None,
    force: bool,
    reason: str,
) -> Edit:
    """Multiply the field at a basin, or what a memory answers at a key, by less than one."""
    return _scaled(ws, "weaken", layer, target, factor, method, damage, placebos, force, reason)


def _scaled(
    ws: Workspace,
    operation: str,
    layer: int,
    target: Target,
    factor: float,
    method: str,
    damage: float,
    placebos: int | None,
    force: bool,
    reason: str,
) -> Edit:
    known = meant(ws, layer, target)
    if keyed.by_key(ws, known, method):
        return keyed.scaled(ws, operation, layer, known, factor, damage, placebos, force, reason)
    target = _direction(known)
    centre, basin = basin_near(ws, layer, target)

    def propose(landscape: Landscape, protected: Tensor) -> Proposal:
        return edits.scale_field(landscape, centre.to(landscape.weight), factor, protected)

    plan = Plan(
        operation,
        layer,
        str(target),
        propose,
        asked=asked.scaled(target, centre, factor),
        own=centre[None],
        related=RELATED,
        exactly=REMOVING,
        basin=basin,
        factor=factor,
    )
    return carry_out(ws, plan, force=force, reason=reason)


def redirect(
    ws: Workspace,
    layer: int,
    basin: BasinRef | ConceptName | PartName | str,
    to: Target,
    strength: float | None,
    damage: float,
    dose: float | None,
    method: str,
    placebos: int | None,
    force: bool,
    reason: str,
) -> Edit:
    """Let what settles in a basin flow into another one, or into a concept's; or let a memory answer a key as it
    answers another."""
    if dose is not None:
        strength = None
    known, other = meant(ws, layer, basin), meant(ws, layer, to)
    if any(keyed.by_key(ws, each, method) for each in (known, other)):
        return keyed.redirected(ws, layer, known, other, strength, damage, dose, placebos, force, reason)
    if not isinstance(known, BasinRef):
        raise ElError(
            f"{known} is no basin: only what settles in one is diverted",
            code="EL201",
            hint="name a basin, such as L0.B3",
        )
    return _diverted(ws, layer, known, _direction(other), strength, damage, dose, force, reason)


def _diverted(
    ws: Workspace,
    layer: int,
    basin: BasinRef,
    to: BasinRef | ConceptName | Seed,
    strength: float | None,
    damage: float,
    dose: float | None,
    force: bool,
    reason: str,
) -> Edit:
    """Let what settles in a basin flow into another one, or into a concept's.

    The key is the mean f(x) of real token states that settle in the basin (of its centre where there are none), the
    value the other basin's centre or the concept's settled state, the whitening the second moment of f(x) over real
    tokens (over the known basins, by their populations, in a model without words). With words the dose is the largest
    within the damage budget on held-out text; without, the smallest at which what is diverted arrives, and the gate
    judges it.
    """
    check_force(force, reason)
    known_basins(ws, layer)
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
    if ws.fitted(layer) is None:
        states = _states_of(ws, landscape, layer, centre)
        moment = _moment(ws, layer, landscape)
    else:  # read once, for both
        tokens = _settled(ws, layer, landscape)
        inside = tokens[_ends_at(ws, landscape, centre, tokens)]
        states = inside if len(inside) else centre[None].to(landscape.weight)
        fields = interaction(tokens, landscape.degree)
        moment = fields.T @ fields / len(fields)
    key = interaction(states, landscape.degree).mean(dim=0)

    def dosed(dose: float) -> Proposal:
        made = hetero.redirect(landscape, key, value, second_moment=moment, gain=max(1.0, dose))
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
    if dose is None and ws.fitted(layer) is not None:
        dose = 1.0  # there the field of what is diverted is the target's: more moves others, too
    if ws.model.text is not None:
        dose, proposal, within = within_budget(ws, layer, dosed, damage, dose)
        share = _arriving(ws, landscape, proposal, states)
        made = draft(ws, planned(dose, proposal, share, within))
    else:
        dose, proposal, share = _arrival(ws, landscape, dosed, states, dose)
        made = draft(ws, planned(dose, proposal, share, None))
    made = replace(made, edit=replace(made.edit, arrived=share))
    return commit(ws, made, force=force, reason=reason)


def _direction(target: object) -> BasinRef | ConceptName | Seed:
    """What is no key of a memory."""
    assert isinstance(target, BasinRef | ConceptName | Seed)
    return target


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


def _settled(ws: Workspace, layer: int, landscape: Landscape) -> Tensor:
    """(n, d): where the tokens by which basins are read lead in the landscape that a layer was given, with everything
    that is staged. (A survey has just read them, as a rule.)"""
    return staged_states(ws, heldout(ws), layer).to(landscape.weight)


def _states_of(ws: Workspace, landscape: Landscape, layer: int, centre: Tensor) -> Tensor:
    """(n, d): real token states that settle in a basin; its centre where there are none."""
    if ws.model.text is not None:
        generator = ws.generator("redirect", layer)
        tokens = token_states(ws.text, layer, MOMENT_TOKENS, generator).to(landscape.weight)
        inside = tokens[_ends_at(ws, landscape, centre, tokens)]
        if len(inside):
            return inside
    return centre[None].to(landscape.weight)


def _moment(ws: Workspace, layer: int, landscape: Landscape) -> Tensor:
    if ws.model.text is not None:
        return second_moment(ws, layer, landscape)
    basins = known_basins(ws, layer).alive()
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
