"""From a proposed edit to a staged one, or to a refusal.

1. The layer's basins are known (a layer that was never surveyed is surveyed first).
2. A proposal is made: a low-rank change of the weight, leaving the protected basins' fields alone.
3. It is tried: all known basins are followed through the change, once, for everything that follows.
4. Was what was asked for done? Each operation says what that is, and it is measured (``energylang.trial.asked``).
5. One judge decides what else may happen. An edit of the landscape is judged by the **gate**: every protected basin
   stays, and at most ``max_changed`` of the noisy decisions change. *Protected* are all main basins (that starts have
   reached, edits have installed, or 0.5 % of the tokens lie in) but the edit's own (its target and the mirror) and,
   where a basin is removed, scaled or moved, those built from it (|cos| ≥ 0.4): they share its weights and cannot be
   kept. An edit of what is said moves basins on purpose; it is judged by its **damage** on held-out text.
6. Guards and pinned basins may still block it (``energylang.trial.guards``). Where an edit's effect on text is
   measured, they are asked before that: a blocked edit has no effect to tell of.
7. If it passes (or is forced, with a reason), the change becomes a new version of the staged weight, with the basins
   as they were followed: each keeps its number or is marked lost.

A refusal changes nothing and is a result, not an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import torch

from energylang.errors import ElError, LandscapeError
from energylang.landscape.clusters import SAME, gram
from energylang.landscape.gate import Judgement, judge
from energylang.landscape.layer import Landscape
from energylang.landscape.lineage import KnownBasin, Lineage, Registry
from energylang.landscape.proposal import Proposal
from energylang.landscape.survey import survey
from energylang.looking.basins import known_basins
from energylang.results import Condition, Edit, Effect
from energylang.trial.draft import Draft, Plan
from energylang.trial.guards import after_staging, before_staging, pinned_centres
from energylang.workspace.named import fresh_registry, keep_registry
from energylang.workspace.workspace import Workspace

from .asked import Tried
from .neighbourhood import beside, reach_at

if TYPE_CHECKING:
    from energylang.workspace.versions import Version

T = TypeVar("T")


def carry_out(ws: Workspace, plan: Plan, *, force: bool, reason: str) -> Edit:
    """Propose, judge, and stage or refuse. Raises ``ElError`` when forced without a reason."""
    check_force(force, reason)
    return commit(ws, draft(ws, plan), force=force, reason=reason)


def check_force(force: bool, reason: str) -> None:
    """Raise ``ElError`` for force without a reason. (A reason without force stands in the history and does nothing.)"""
    if force and not reason.strip():
        raise ElError(
            "a forced edit needs a reason", code="EL202", hint='add reason="…"; it goes into the history'
        )


def draft(ws: Workspace, plan: Plan) -> Draft:
    """Propose, try and judge; nothing is staged."""
    landscape = ws.landscape_of(plan.layer)
    registry = known_basins(ws, plan.layer)
    basins, main = registry.alive(), {basin.id for basin in registry.main()}
    protected, own_ids = _protected(basins, plan, landscape)
    protected = [basin for basin in protected if basin.id in main]
    room = max(1, int(plan.exactly * landscape.dim))
    pinned = pinned_centres(ws, plan.layer)
    first = [any(torch.equal(basin.centre, pin.to(basin.centre)) for pin in pinned) for basin in protected]
    used = [(not pin, -basin.tokens, -basin.population) for pin, basin in zip(first, protected, strict=True)]
    by_use = sorted(range(len(protected)), key=lambda i: used[i])[:room]
    centres = (
        torch.stack([basin.centre for basin in protected]).to(landscape.weight)
        if protected
        else landscape.weight.new_zeros(0, landscape.dim)
    )
    try:
        proposal = plan.propose(landscape, centres[sorted(by_use)])
    except LandscapeError as error:
        if error.code != "EL502":
            raise
        why = f"{error.message}; {error.hint}" if error.hint else error.message
        return Draft(plan, None, _refusal(plan, why, len(protected), len(basins)))

    version, registry, lineage = _tried(ws, plan, proposal)
    after = ws.landscape_of(plan.layer, version)
    lost = set(lineage.lost)
    answer = plan.asked(Tried(ws, plan.layer, proposal, landscape, after))
    own = [] if plan.own is None else [plan.own, -plan.own]
    if plan.installs and not answer.failed:  # what was installed is the edit's own; what it fell into is not
        own += [proposal.target[None], -proposal.target[None]]
    verdict = judge(
        landscape,
        proposal.factors,
        centres,
        on_target=torch.cat([state.to(landscape.weight) for state in own]) if own else None,
        stays=torch.tensor(
            [basin.id not in lost for basin in protected], dtype=torch.bool, device=centres.device
        ),
        generator=ws.generator("gate", plan.operation, plan.layer),
        max_changed=float(ws.setting("max_changed")),
    )
    allowed, why = plan.damage or (verdict.applied, verdict.reason)
    on_purpose = tuple(id for id in lineage.lost if plan.ends and id in own_ids)
    edit = Edit(
        operation=plan.operation,
        layer=plan.layer,
        target=plan.target,
        applied=allowed and not answer.failed,
        reason=answer.failed or why,
        forced=False,
        basin=plan.basin,
        strength=strength_of(proposal.factors.norm, landscape),
        norm=proposal.factors.norm,
        relative_norm=proposal.factors.norm / landscape.frobenius if landscape.frobenius else 0.0,
        rank=proposal.factors.true_rank,
        kept=verdict.kept,
        protected=verdict.protected,
        changed_fraction=verdict.changed_fraction,
        lost=lineage.lost,
        notes=(*proposal.notes, *answer.notes),
        method=plan.method,
        effect=None,
        arrived=None,
        judged_by="gate" if plan.damage is None else "damage",
        known=len(basins),
        minor=len(basins) - len(main),
        lost_main=len(lost & main),
        lost_on_purpose=on_purpose,
        lost_beside=tuple(id for id in lineage.lost if id not in on_purpose),
        conditions=(*answer.conditions, *_limits(ws, plan, verdict)),
        merged=answer.merged,
        cosine=answer.cosine,
        returned=answer.returned,
        field_before=answer.field_before,
        field_after=answer.field_after,
        energy_before=answer.energy_before,
        energy_after=answer.energy_after,
        margin=proposal.margin if plan.dose is None else None,
        factor=plan.factor,
        dose=plan.dose,
    )
    return Draft(plan, proposal, edit, version, registry, answer.rest)


def _limits(ws: Workspace, plan: Plan, verdict: Judgement) -> tuple[Condition, ...]:
    """The two questions of the gate as conditions; none where damage on text judges."""
    if plan.damage is not None:
        return ()
    most = float(ws.setting("max_changed"))
    stay = Condition("protected basins that stay", verdict.kept, verdict.protected, True, not verdict.lost)
    changed = verdict.changed_fraction
    return stay, Condition("share of noisy decisions that change", changed, most, False, changed <= most)


def made_of(
    ws: Workspace, plan: Plan, proposal: Proposal, look: Callable[[Version], T], smaller: str
) -> tuple[Version, T]:
    """The version that a proposal makes of a layer's staged weight, and what ``look`` sees in it: the one door to
    edited weights. Raises ``ElError`` EL502 where ``look`` says that they cannot be calculated with."""
    before = ws.memory(plan.layer) if plan.method == "memory" else ws.staged(plan.layer)
    factors, weight = proposal.factors, ws.weight(before)
    try:
        changed = type(factors)(factors.left.to(weight), factors.right.to(weight))
        version = before.after(changed, ws.timeline.next_id())
        return version, look(version)
    except LandscapeError as error:
        size = "" if plan.strength is None or smaller != "strength" else f" with strength {plan.strength:g}"
        raise ElError(
            f"{plan.operation} of {plan.target}{size} leaves numbers that cannot be calculated with: {error.message}",
            code="EL502",
            hint=f"nothing was changed; try a smaller {smaller}",
        ) from None


def _tried(ws: Workspace, plan: Plan, proposal: Proposal) -> tuple[Version, Registry, Lineage]:
    """The weight that a proposal makes, and what becomes of the layer's basins under it."""
    number, before = ws.timeline.next_id(), ws.staged(plan.layer)
    version, landscape = made_of(
        ws, plan, proposal, lambda made: ws.landscape_of(plan.layer, made), "strength"
    )
    registry, lineage = fresh_registry(ws, before).after_edit(landscape, number)
    return version, registry, lineage


def strength_of(norm: float, landscape: Landscape) -> float:
    """``‖ΔW‖/‖W‖`` of a change of this norm; where the weight is zero, ‖W‖ is that of the identity."""
    return norm / (landscape.frobenius or landscape.dim**0.5)


def blocked(ws: Workspace, *drafts: Draft, force: bool) -> Edit | None:
    """The refusal of an edit (a draft for each of its layers) to which a guard objects, or that loses a protected
    basin: asked before what the edit does to text is measured, which takes long and would change nothing. ``None``
    where nothing objects."""
    if any(made.proposal is None or not (made.edit.applied or force) for made in drafts):
        return None
    objection = before_staging(ws, *drafts)
    for made in drafts:
        known = len(ws.staged(made.plan.layer).registry.main())
        objection = objection or after_staging(ws, made.edit, known)
    return _refused(drafts[0].edit, objection, blocked=True) if objection else None


def commit(
    ws: Workspace,
    made: Draft,
    *,
    force: bool,
    reason: str,
    effect: Effect | None = None,
    guarded: bool = False,
) -> Edit:
    """Stage a draft that its judge accepts or that is forced; a refusal otherwise. A refusal loses nothing. Guards that
    were asked already (``guarded``, see ``blocked``) are not asked again."""
    edit = replace(made.edit, effect=effect)
    if made.proposal is None:
        return edit
    if (edit.applied or force) and not guarded:
        objection = before_staging(ws, made)
        if objection:
            return _refused(edit, objection, blocked=True)
    if force and not edit.applied:
        said = "the gate" if edit.judged_by == "gate" else "the check"
        edit = replace(
            edit, applied=True, forced=True, reason=f"forced: {reason} ({said} said: {edit.reason})"
        )
    if not edit.applied:
        return _refused(edit, edit.reason)
    before, known = ws.state, len(ws.staged(made.plan.layer).registry.main())
    staged = _stage(ws, made, edit)
    objection = after_staging(ws, staged, known)
    if objection:
        ws.restore_state(before)
        return _refused(replace(staged, basin=made.plan.basin), objection, blocked=True)
    return staged


def heard(made: Draft, effect: Effect, *, more: bool) -> Draft:
    """A draft of an edit of what is said, with what was measured: the concept must be said ``more`` than before, or
    less. Its share of the replies decides; in a plain-text model the log-probability of its texts."""
    if effect.share_before is not None and effect.share_after is not None:
        name, before, after = "share of replies that are the concept", effect.share_before, effect.share_after
        told = f"the share of its replies went from {before:.1%} to {after:.1%}"
    else:
        name, before, after = "log-probability of its texts", effect.log_prob_before, effect.log_prob_after
        told = f"the log-probability of its texts went from {before:.3f} to {after:.3f}"
    ok = after > before if more else after < before
    edit = replace(made.edit, conditions=(*made.edit.conditions, Condition(name, after, before, more, ok)))
    if edit.applied and not ok:
        wanted = "more" if more else "less"
        edit = replace(edit, applied=False, reason=f"{made.plan.target} is not said {wanted}: {told}")
    return replace(made, edit=edit)


def _refused(edit: Edit, why: str, *, blocked: bool = False) -> Edit:
    """The result of an edit that is not kept: what it would have lost is not lost."""
    return replace(
        edit,
        applied=False,
        forced=False,
        reason=why,
        blocked=blocked,
        lost=(),
        lost_on_purpose=(),
        lost_beside=(),
        lost_main=0,
        would_lose=len(edit.lost),
    )


def _protected(
    basins: Sequence[KnownBasin], plan: Plan, landscape: Landscape
) -> tuple[list[KnownBasin], set[int]]:
    """The basins that an edit must keep (all but its own, their mirrors and what is built from them), and the ids of
    its own."""
    if not basins or plan.own is None:
        return list(basins), set()
    centres = torch.stack([basin.centre for basin in basins]).to(landscape.weight)
    closeness = gram(centres, plan.own.to(centres)).abs().amax(dim=1)
    protected = [basin for basin, near in zip(basins, closeness.tolist(), strict=True) if near < plan.related]
    own = {basin.id for basin, near in zip(basins, closeness.tolist(), strict=True) if near > SAME}
    return protected, own


def _refusal(plan: Plan, why: str, protected: int, known: int) -> Edit:
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
        judged_by="gate" if plan.damage is None else "damage",
        known=known,
        factor=plan.factor,
        dose=plan.dose,
    )


def _stage(ws: Workspace, made: Draft, edit: Edit) -> Edit:
    """Make a draft the layer's new staged version, with its basins; an installed one gets its number."""
    plan, version, registry = made.plan, made.version, made.registry
    assert version is not None  # a draft with a proposal has all three
    assert registry is not None
    assert made.proposal is not None
    before = ws.state.layers[plan.layer]
    was = version.parent
    assert was is not None  # an edit is one of something
    ws.set_layer(plan.layer, before.with_staged(version))
    version.surveyed = was.surveyed
    basin = plan.basin
    if plan.installs:
        landscape = ws.landscape_of(plan.layer, version)
        rest = (made.rest if made.rest is not None else made.proposal.target)[None].to(landscape.weight)
        found = survey(landscape, rest)
        if len(found) and float(gram(found.centres[:1], rest)) > SAME:
            registry, basin = registry.installed(found)
            version.own = (*version.own, basin)
    version.begun(registry)
    keep_registry(ws, version, registry, surveyed=False)
    edit = replace(edit, basin=basin)
    if not (plan.radii and plan.installs):
        return edit
    return replace(
        edit,
        reach=reach_at(ws, plan.layer, rest[0], version),
        neighbours=beside(ws, plan.layer, rest[0], (was, version), registry),
    )
