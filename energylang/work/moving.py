"""Relocating a basin, and making it deeper or shallower."""

from __future__ import annotations

import torch
from torch import Tensor

from energylang.errors import ElError, LandscapeError
from energylang.landscape.clusters import cosine_rows
from energylang.landscape.draws import relative_noise, stable_generator
from energylang.landscape.dynamics import settle_each
from energylang.landscape.edits import AMPLITUDE, RELATED, move, move_line, scale_field
from energylang.landscape.layer import Landscape
from energylang.landscape.proposal import Proposal
from energylang.looking import basins as observing
from energylang.looking.basins import NEAR, SAME
from energylang.results import Edit
from energylang.signature.values import BasinRef, ConceptName, Seed
from energylang.trial import asked
from energylang.trial.draft import REMOVING, Plan
from energylang.trial.staging import carry_out
from energylang.workspace.named import state_of
from energylang.workspace.workspace import Workspace

_MARGINS = (1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.5, 8.0)  # times 1/β
_NOISE, _TRIALS = 0.2, 16
_ROUNDING = 1e-6


def move_basin(
    ws: Workspace,
    layer: int,
    target: BasinRef | ConceptName | Seed,
    to: BasinRef | ConceptName | Seed | None,
    strength: float | None,
    *,
    force: bool,
    reason: str,
) -> Edit:
    """Remove a basin and install one elsewhere, as one edit. Without a destination it is drawn from the basin's
    number."""
    centre, basin = observing.basin_near(ws, layer, target)
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
        return _smallest(landscape, centre.to(landscape.weight), direction, protected, strength)

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


def _smallest(
    landscape: Landscape, centre: Tensor, direction: Tensor, protected: Tensor, strength: float | None
) -> Proposal:
    """The smallest margin whose new basin holds against noise; with a strength, the margin whose change is that share
    of the weight."""
    line = move_line(landscape, centre, direction, protected)
    least = max(line.lowest, _MARGINS[0] / landscape.beta)
    if strength is not None:
        margin = line.at_norm(strength * landscape.frobenius)
        if margin is None or margin < least * (1 - _ROUNDING):
            takes = line.norm(least) / landscape.frobenius
            raise LandscapeError(
                f"a move takes a change of {takes:.1%} of the weight, more than the strength of {strength:.1%}"
            )
        return move(landscape, centre, direction, protected, margin=margin)
    margins = [max(least, m / landscape.beta) for m in _MARGINS]
    made = [move(landscape, centre, direction, protected, margin=margin) for margin in margins]
    pattern = AMPLITUDE * torch.sign(direction).to(centre)
    noise = relative_noise(pattern[None], _TRIALS, stable_generator("move", landscape.dim), _NOISE)[0]
    copies = (pattern + noise).expand(len(made), -1, -1).contiguous()
    ends = settle_each(landscape, copies, [proposal.factors for proposal in made]).states
    targets = torch.stack([proposal.target for proposal in made])
    near = cosine_rows(targets, pattern) > NEAR
    rate = (cosine_rows(ends, targets[:, None]) > SAME).double().mean(dim=1)
    best = int(torch.argmax(torch.where(near, rate, rate - 2.0)))
    return made[best]


def scale_basin(
    ws: Workspace,
    layer: int,
    target: BasinRef | ConceptName | Seed,
    factor: float,
    operation: str,
    *,
    force: bool,
    reason: str,
) -> Edit:
    """Multiply the field at a basin: above 1 it gets deeper, below 1 shallower."""
    centre, basin = observing.basin_near(ws, layer, target)

    def propose(landscape: Landscape, protected: Tensor) -> Proposal:
        return scale_field(landscape, centre.to(landscape.weight), factor, protected)

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
