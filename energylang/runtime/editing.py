"""From a proposed edit to a staged one, or to a refusal.

1. The layer's basins are known (a layer that was never surveyed is surveyed first).
2. A proposal is made: a low-rank change of the weight, leaving the protected basins' fields alone.
3. The gate judges it: every basin stays, and at most ``max_changed`` of the noisy decisions change.
4. Guards and protected basins may still block it (``energylang.runtime.guarding``).
5. If it passes (or is forced, with a reason), the change becomes a new version of the staged weight; the
   basins are settled again under it, so that each keeps its number or is marked lost.

A refusal changes nothing and is a result, not an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from energylang.errors import ElError, LandscapeError
from energylang.landscape.clusters import gram
from energylang.landscape.gate import judge
from energylang.landscape.layer import Landscape
from energylang.landscape.lineage import Basin
from energylang.landscape.proposal import Proposal
from energylang.landscape.survey import survey
from energylang.results import Edit, Effect

from . import guarding
from .observing import SAME

if TYPE_CHECKING:
    from .workbench import Workbench

INSTALLING, REMOVING = 0.5, 0.8
"""At most this share of the dimension is spent on leaving fields exactly as they are; the most visited basins
come first, the gate judges all of them. Measured on the bundled model's last layer: removals pass the gate 9
times of 10 at 0.8, 5 at 0.5 and never at 0.3; an injection needs the room that is left."""


@dataclass(frozen=True)
class Plan:
    """What an operation wants done: how to propose it, and what belongs to it.

    ``own`` (t, d) are states the edit is about (the basin to remove): they, and basins with a cosine above
    ``related`` to them, are neither protected nor judged. ``exactly`` is the share of the dimension spent on
    protecting fields exactly. ``decided`` is the verdict and its reason where a damage budget on text stands in
    for the gate: a redirect moves basins on purpose.
    ``installs`` says that the proposal's target must be a basin afterwards, ``ends`` that ``own`` shall be none.
    """

    operation: str
    layer: int
    target: str
    propose: Callable[[Landscape, Tensor], Proposal]
    own: Tensor | None = None
    related: float = SAME
    exactly: float = INSTALLING
    installs: bool = False
    basin: int | None = None
    method: str | None = None
    strength: float | None = None
    decided: tuple[bool, str] | None = None
    ends: bool = False


@dataclass(frozen=True)
class Draft:
    """A proposed edit and what the gate says of it, before anything is staged. ``proposal`` is None where there
    was no room for one."""

    plan: Plan
    proposal: Proposal | None
    edit: Edit


def carry_out(session: Workbench, plan: Plan, *, force: bool, reason: str) -> Edit:
    """Propose, judge, and stage or refuse. Raises ``ElError`` when forced without a reason."""
    check_force(force, reason)
    return commit(session, draft(session, plan), force=force, reason=reason)


def check_force(force: bool, reason: str) -> None:
    """Raise ``ElError`` where force and reason do not come together."""
    if force and not reason.strip():
        raise ElError(
            "a forced edit needs a reason", code="EL202", hint='add reason="…"; it goes into the history'
        )
    if reason.strip() and not force:
        raise ElError("a reason without force", code="EL202", hint="add force=true, or leave the reason out")


def draft(session: Workbench, plan: Plan) -> Draft:
    """Propose and judge; nothing is staged."""
    landscape = session.landscape_of(plan.layer)
    basins = session.known_basins(plan.layer).main()
    protected = _protected(basins, plan, landscape)
    room = max(1, int(plan.exactly * landscape.dim))
    pinned = guarding.pinned_centres(session, plan.layer)
    first = [any(torch.equal(centre, pin.to(centre)) for pin in pinned) for centre, _ in protected]
    by_use = sorted(range(len(protected)), key=lambda i: (not first[i], *protected[i][1]))[:room]
    centres = (
        torch.stack([centre for centre, _ in protected])
        if protected
        else landscape.weight.new_zeros(0, landscape.dim)
    )
    try:
        proposal = plan.propose(landscape, centres[sorted(by_use)])
    except LandscapeError as error:
        if error.code != "EL502":
            raise
        why = f"{error.message}; {error.hint}" if error.hint else error.message
        return Draft(plan, None, _refusal(plan, why, len(protected)))

    own = [proposal.target[None], -proposal.target[None]]
    if plan.own is not None:
        own += [plan.own, -plan.own]
    verdict = judge(
        landscape,
        proposal.factors,
        centres,
        on_target=torch.cat([state.to(landscape.weight) for state in own]),
        generator=session.generator("gate", plan.operation, plan.layer),
        max_changed=float(session.setting("max_changed")),
    )
    accepted, why = plan.decided or (verdict.applied, verdict.reason)
    if plan.installs and accepted and any(note.startswith("no margin") for note in proposal.notes):
        accepted, why = False, "no strength installs a basin there without harm"
    edit = Edit(
        operation=plan.operation,
        layer=plan.layer,
        target=plan.target,
        applied=accepted,
        reason=why,
        forced=False,
        basin=plan.basin,
        strength=plan.strength if plan.strength is not None else proposal.margin,
        norm=proposal.factors.norm,
        relative_norm=proposal.factors.norm / landscape.frobenius if landscape.frobenius else 0.0,
        rank=proposal.factors.rank,
        kept=verdict.kept,
        protected=verdict.protected,
        changed_fraction=verdict.changed_fraction,
        lost=(),
        notes=proposal.notes,
        method=plan.method,
        effect=None,
        arrived=None,
    )
    return Draft(plan, proposal, edit)


def commit(
    session: Workbench, made: Draft, *, force: bool, reason: str, effect: Effect | None = None
) -> Edit:
    """Stage a draft that the gate accepts or that is forced; a refusal otherwise."""
    edit = replace(made.edit, effect=effect)
    if made.proposal is None:
        return edit
    if edit.applied or force:
        objection = guarding.before_staging(session, made)
        if objection:
            return replace(edit, applied=False, reason=objection, blocked=True)
    if force and not edit.applied:
        edit = replace(
            edit, applied=True, forced=True, reason=f"forced: {reason} (the gate said: {edit.reason})"
        )
    if not edit.applied:
        return edit
    before, known = session.state, len(session.registry(made.plan.layer).alive())
    staged = _stage(session, made.plan, made.proposal, edit)
    objection = guarding.after_staging(session, staged, known)
    if objection:
        session.restore_state(before)
        return replace(
            edit, applied=False, forced=False, reason=objection, blocked=True, basin=made.plan.basin
        )
    return staged


def _protected(
    basins: Sequence[Basin], plan: Plan, landscape: Landscape
) -> list[tuple[Tensor, tuple[int, int]]]:
    """Centres of the basins an edit must keep, all but its own and their mirrors, and what to sort them by: the most
    used first, by tokens, then by starts."""
    if not basins:
        return []
    centres = torch.stack([basin.centre for basin in basins]).to(landscape.weight)
    keep = torch.ones(len(basins), dtype=torch.bool, device=centres.device)
    if plan.own is not None:
        keep = (gram(centres, plan.own.to(centres)).abs() < plan.related).all(dim=1)
    return [
        (centres[i], (-basin.tokens, -basin.population)) for i, basin in enumerate(basins) if bool(keep[i])
    ]


def _refusal(plan: Plan, why: str, protected: int) -> Edit:
    return Edit(
        operation=plan.operation,
        layer=plan.layer,
        target=plan.target,
        applied=False,
        reason=why,
        forced=False,
        basin=plan.basin,
        strength=plan.strength,
        norm=0.0,
        relative_norm=0.0,
        rank=0,
        kept=protected,
        protected=protected,
        changed_fraction=0.0,
        lost=(),
        notes=(),
        method=plan.method,
        effect=None,
        arrived=None,
    )


def _stage(session: Workbench, plan: Plan, proposal: Proposal, edit: Edit) -> Edit:
    """Make the proposal the layer's new staged version and follow its basins."""
    number = session.timeline.next_id()
    before = session.state.layers[plan.layer]
    factors = proposal.factors
    weight = session.weight(before.staged)
    try:
        version = before.staged.after(
            type(factors)(factors.left.to(weight), factors.right.to(weight)), number
        )
        session.set_layer(plan.layer, replace(before, staged=version))
        landscape = session.landscape_of(plan.layer, version)
    except LandscapeError as error:
        size = "" if plan.strength is None else f" with strength {plan.strength:g}"
        raise ElError(
            f"{plan.operation} of {plan.target}{size} leaves numbers that cannot be calculated with: {error.message}",
            code="EL502",
            hint="nothing was changed; try a smaller strength",
        ) from None
    registry, lineage = session.fresh_registry(before.staged).after_edit(landscape, number)
    version.surveyed = before.staged.surveyed
    basin = plan.basin
    if plan.installs:
        found = survey(landscape, proposal.target[None].to(landscape.weight))
        if len(found) and float(gram(found.centres[:1], proposal.target[None].to(landscape.weight))) > SAME:
            registry, (basin,) = registry.observe(found)
            version.own = (*version.own, basin)
    session.keep_registry(version, registry, surveyed=False)
    return replace(edit, basin=basin, lost=lineage.lost)
