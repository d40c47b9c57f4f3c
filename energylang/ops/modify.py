"""Modify: propose an edit of a layer's landscape. Every edit goes through the gate and can be undone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import (
    FORCE,
    Clash,
    Effect,
    Example,
    Flow,
    FromSetting,
    Param,
    operation,
)
from energylang.signature.values import BasinRef

from .observe import LAYER, TARGET

if TYPE_CHECKING:
    from energylang.session import Session
    from energylang.signature.values import Concept, Seed

STRENGTH = Param(
    "strength",
    t.STRENGTH,
    "‖ΔW‖ relative to ‖W‖; auto: the smallest edit that does it",
    FromSetting("strength"),
    above=0,
    maximum=1e6,
    choices=("auto",),
)


def as_number(strength: float | str) -> float | None:
    """``None`` for auto."""
    return None if isinstance(strength, str) else float(strength)


@operation(
    "inject",
    category="Modify",
    summary="Install an attractor.",
    details="The smallest change of the weight that makes the signs of the direction an attractor and leaves "
    "the field of the protected basins alone. Kept only if a basin is there afterwards (as `verify` looks for it), "
    "every other known basin stays, and at most 2 % of noisy decisions change. A larger noise= "
    "asks for a wider basin, which takes a larger change and costs more decisions.",
    params=(
        LAYER,
        TARGET,
        STRENGTH,
        Param(
            "noise",
            t.FLOAT,
            "with strength=auto: the noise, relative to the state's norm, from which the attractor shall return (30%)",
            None,
            above=0,
            maximum=2,
            keyword_only=True,
        ),
        Param(
            "radius",
            t.BOOL,
            "also measure how far the new basin reaches, and its neighbours before and after",
            False,
            keyword_only=True,
        ),
        *FORCE,
    ),
    effects=Effect.EDITS,
    result=results.Edit,
    examples=(
        Example("inject L0 42", "it.applied and (verify L0 42).is_basin"),
        Example(
            "set max_changed 100%\nlet wide = inject L0 42 noise=80%\nundo\ninject L0 42 noise=20%",
            "it.norm < wide.norm",
        ),
        Example("inject L0 seed 42 strength=0.01", "it.relative_norm < 0.0101"),
        Example(
            "set max_changed 100%\ninject L0 42 radius=true",
            "it.reach.radius > 0 and it.neighbours.count > 0 and it.neighbours[0].before.radius_low > 0",
        ),
    ),
    clashes=(
        Clash(
            "noise",
            "strength",
            "the strength is given: there is none to be found for a noise",
            "leave the strength or the noise out",
        ),
    ),
)
def inject(
    session: Session,
    layer: int,
    target: BasinRef | Concept | Seed,
    strength: float | str,
    noise: float | None,
    radius: bool,
    force: bool,
    reason: str,
) -> results.Edit:
    number = as_number(strength) if noise is None else None
    return session.inject_direction(
        layer, target, number, noise=noise, radius=radius, force=force, reason=reason
    )


@operation(
    "remove",
    category="Modify",
    summary="Remove a basin: the one named, or the one a direction settles in.",
    details="Drives the field at the basin to zero. The mirror basin shares its weights and goes too.",
    params=(LAYER, TARGET, STRENGTH, *FORCE),
    effects=Effect.EDITS,
    flow=Flow(ends="target"),
    result=results.Edit,
    examples=(
        Example("survey L0\nset max_changed 10%\nremove L0.B0", "it.applied and it.lost[0] == 0"),
        Example("inject L0 42\nremove L0 42", "it.applied and not (verify L0 42).is_basin"),
    ),
)
def remove(
    session: Session,
    layer: int,
    target: BasinRef | Concept | Seed,
    strength: float | str,
    force: bool,
    reason: str,
) -> results.Edit:
    return session.remove_basin(layer, target, as_number(strength), force=force, reason=reason)


@operation(
    "move",
    category="Modify",
    summary="Relocate a basin: remove it and install one elsewhere, as one edit.",
    details="Without a destination it is drawn from the basin's number.",
    params=(
        LAYER,
        TARGET,
        Param("to", t.DIRECTION, "where to; a seeded direction without it", None, keyword_only=True),
        STRENGTH,
        *FORCE,
    ),
    effects=Effect.EDITS,
    flow=Flow(ends="target", said="moved"),
    result=results.Edit,
    examples=(
        Example(
            "survey L0\nset max_changed 20%\nmove L0.B0 to=77",
            "it.applied and it.lost[0] == 0 and (verify L0 77).is_basin",
        ),
        Example("inject L0 42\nset max_changed 20%\nmove L0 42 to=43", "not (verify L0 42).is_basin"),
    ),
)
def move(
    session: Session,
    layer: int,
    target: BasinRef | Concept | Seed,
    to: BasinRef | Concept | Seed | None,
    strength: float | str,
    force: bool,
    reason: str,
) -> results.Edit:
    return session.move_basin(layer, target, to, as_number(strength), force=force, reason=reason)


FACTOR = Param("factor", t.FLOAT, "what the field at the basin is multiplied by", 2.0, above=0, maximum=1000)


@operation(
    "strengthen",
    category="Modify",
    summary="Make a basin deeper: multiply the field at it.",
    params=(LAYER, TARGET, FACTOR, *FORCE),
    effects=Effect.EDITS,
    result=results.Edit,
    examples=(
        Example(
            "survey L0\nset max_changed 20%\nlet before = (energy L0.B0).energy\nstrengthen L0.B0 1.2",
            "it.applied and (energy L0.B0).energy < before",
        ),
    ),
)
def strengthen(
    session: Session,
    layer: int,
    target: BasinRef | Concept | Seed,
    factor: float,
    force: bool,
    reason: str,
) -> results.Edit:
    return session.scale_basin(layer, target, factor, "strengthen", force=force, reason=reason)


@operation(
    "weaken",
    category="Modify",
    summary="Make a basin shallower: multiply the field at it by less than one.",
    params=(LAYER, TARGET, replace(FACTOR, default=0.5), *FORCE),
    effects=Effect.EDITS,
    result=results.Edit,
    examples=(
        Example(
            "survey L0\nset max_changed 20%\nlet before = (energy L0.B0).energy\nweaken L0.B0 0.8",
            "it.applied and (energy L0.B0).energy > before",
        ),
    ),
)
def weaken(
    session: Session,
    layer: int,
    target: BasinRef | Concept | Seed,
    factor: float,
    force: bool,
    reason: str,
) -> results.Edit:
    return session.scale_basin(layer, target, factor, "weaken", force=force, reason=reason)
