"""Edit."""

from __future__ import annotations

from torch import Tensor

from energylang import results
from energylang.landscape import edits
from energylang.landscape.edits import RELATED, WANTED_RADIUS
from energylang.landscape.layer import Landscape
from energylang.landscape.proposal import Proposal
from energylang.looking.basins import basin_near
from energylang.signature.values import BasinRef, ConceptName, Seed
from energylang.trial import asked
from energylang.trial.draft import REMOVING, Plan
from energylang.trial.staging import carry_out
from energylang.workspace.named import state_of
from energylang.workspace.workspace import Workspace

from . import moving, redirecting


def as_number(strength: float | str) -> float | None:
    """``None`` for auto."""
    return None if isinstance(strength, str) else float(strength)


def inject(
    ws: Workspace,
    layer: int,
    target: BasinRef | ConceptName | Seed,
    strength: float | str,
    noise: float | None,
    radius: bool,
    force: bool,
    reason: str,
) -> results.Edit:
    number = as_number(strength) if noise is None else None
    return inject_direction(ws, layer, target, number, noise=noise, radius=radius, force=force, reason=reason)


def remove(
    ws: Workspace,
    layer: int,
    target: BasinRef | ConceptName | Seed,
    strength: float | str,
    force: bool,
    reason: str,
) -> results.Edit:
    return remove_basin(ws, layer, target, as_number(strength), force=force, reason=reason)


def move(
    ws: Workspace,
    layer: int,
    target: BasinRef | ConceptName | Seed,
    to: BasinRef | ConceptName | Seed | None,
    strength: float | str,
    force: bool,
    reason: str,
) -> results.Edit:
    return moving.move_basin(ws, layer, target, to, as_number(strength), force=force, reason=reason)


def strengthen(
    ws: Workspace,
    layer: int,
    target: BasinRef | ConceptName | Seed,
    factor: float,
    force: bool,
    reason: str,
) -> results.Edit:
    return moving.scale_basin(ws, layer, target, factor, "strengthen", force=force, reason=reason)


def weaken(
    ws: Workspace,
    layer: int,
    target: BasinRef | ConceptName | Seed,
    factor: float,
    force: bool,
    reason: str,
) -> results.Edit:
    return moving.scale_basin(ws, layer, target, factor, "weaken", force=force, reason=reason)


def redirect(
    ws: Workspace,
    layer: int,
    basin: BasinRef,
    to: BasinRef | ConceptName | Seed,
    strength: float | str,
    damage: float,
    dose: float | None,
    force: bool,
    reason: str,
) -> results.Edit:
    number = as_number(strength) if dose is None else None
    return redirecting.redirect_basin(
        ws, layer, basin, to, number, damage=damage, dose=dose, force=force, reason=reason
    )


def inject_direction(
    ws: Workspace,
    layer: int,
    target: BasinRef | ConceptName | Seed,
    strength: float | None,
    *,
    noise: float | None = None,
    radius: bool = False,
    force: bool,
    reason: str,
) -> results.Edit:
    direction = state_of(ws, layer, target)
    wanted = WANTED_RADIUS if noise is None else noise
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


def remove_basin(
    ws: Workspace,
    layer: int,
    target: BasinRef | ConceptName | Seed,
    strength: float | None,
    *,
    force: bool,
    reason: str,
) -> results.Edit:
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
