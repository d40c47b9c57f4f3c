"""A drafted edit of a layer that is no landscape: it has no basins to follow, and its damage on text judges it."""

from __future__ import annotations

import torch

from energylang.errors import ElError, LandscapeError
from energylang.landscape.proposal import Proposal
from energylang.results import Edit
from energylang.trial.draft import Draft, Plan
from energylang.workspace.named import fresh_registry
from energylang.workspace.workspace import Workspace


def draft_plain(ws: Workspace, plan: Plan, proposal: Proposal) -> Draft:
    """The draft of a proposal, judged by the plan's damage; nothing is staged. Raises ``ElError`` EL502 where the
    weight would hold numbers that are none."""
    before = ws.staged(plan.layer)
    weight = ws.weight(before)
    factors = proposal.factors
    try:
        version = before.after(
            type(factors)(factors.left.to(weight), factors.right.to(weight)), ws.timeline.next_id()
        )
        if not bool(torch.isfinite(ws.weight(version)).all()):
            raise LandscapeError("the weight is no longer finite")
    except LandscapeError as error:
        raise ElError(
            f"{plan.operation} of {plan.target} leaves numbers that cannot be calculated with: {error.message}",
            code="EL502",
            hint="nothing was changed; try a smaller dose",
        ) from None
    size, norm = float(torch.linalg.vector_norm(weight)), factors.norm
    allowed, why = plan.damage or (True, "")
    edit = Edit(
        operation=plan.operation,
        layer=plan.layer,
        target=plan.target,
        applied=allowed,
        reason=why,
        forced=False,
        basin=None,
        strength=norm / size if size else None,
        norm=norm,
        relative_norm=norm / size if size else 0.0,
        rank=factors.true_rank,
        kept=0,
        protected=0,
        changed_fraction=0.0,
        lost=(),
        notes=proposal.notes,
        method=plan.method,
        effect=None,
        arrived=None,
        judged_by="damage",
        dose=plan.dose,
    )
    return Draft(plan, proposal, edit, version, fresh_registry(ws, before))
