"""Modify: propose an edit of a layer's landscape. Every edit goes through the gate and can be undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energylang import results
from energylang import types as t
from energylang.values import BasinRef

from .declaration import FORCE, Effect, Example, Flow, FromSetting, Param, operation
from .observe import LAYER, TARGET

if TYPE_CHECKING:
    from energylang.runtime.session import Session
    from energylang.values import Concept, Seed

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
    "the field of the protected basins alone. Kept only if the gate finds every other basin in place.",
    params=(LAYER, TARGET, STRENGTH, *FORCE),
    effects=Effect.EDITS,
    result=results.Edit,
    examples=(
        Example("inject L0 42", "it.applied and (verify L0 42).is_basin"),
        Example("inject L0 seed 42 strength=0.01", "it.relative_norm < 0.0101"),
    ),
)
def inject(
    session: Session,
    layer: int,
    target: BasinRef | Concept | Seed,
    strength: float | str,
    force: bool,
    reason: str,
) -> results.Edit:
    return session.inject_direction(layer, target, as_number(strength), force=force, reason=reason)


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
