"""A drafted edit of a layer that is no landscape: it has no basins to follow, and its damage on text judges it."""

from __future__ import annotations

import torch

from energylang.errors import LandscapeError
from energylang.landscape.proposal import Proposal
from energylang.results import Edit
from energylang.trial.draft import Draft, Plan
from energylang.trial.staging import made_of
from energylang.workspace.named import fresh_registry
from energylang.workspace.versions import Version
from energylang.workspace.workspace import Workspace


def draft_plain(ws: Workspace, plan: Plan, proposal: Proposal) -> Draft:
    """The draft of a proposal, judged by the plan's damage; nothing is staged. Raises ``ElError`` EL502 where the
    weight would hold numbers that are none."""
    before = ws.memory(plan.layer)
    weight, factors = ws.weight(before), proposal.factors

    def check(made: Version) -> None:
        if not bool(torch.isfinite(ws.weight(made)).all()):
            raise LandscapeError("the weight is no longer finite")

    version, _ = made_of(ws, plan, proposal, check, "dose")
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
