"""Which change of the weight installs, removes, scales or moves a basin?

Every function here returns a ``Proposal`` and writes nothing; ``gate.judge`` and the caller decide.

1. Choose the state and the field it shall have: ``m·p*`` with ``p* = 0.9·sign(direction)`` to install, ``0``
   (or slightly against it) to remove, ``factor·Wf(b)`` to scale. At margin m the field at p* is m·p*.
2. Solve for the smallest change that does this and leaves the fields of all protected basins alone
   (``solve.field_edit``); on a symmetric layer the symmetric one.
3. Where a strength has to be found, a grid of candidates, with all noisy copies of all targets, is settled in
   low-rank batches and the smallest sufficient one is taken (``margins`` for an attractor to install).
4. Settle the target under the change and report the attractor that is really there.

``redirect`` (its own module) is the exception: hetero-associative, and one-sided on every layer.
Source: NUMERICS §4.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.landscape.attractors import polish
from energylang.landscape.clusters import NEAR, SAME, cosine_rows
from energylang.landscape.draws import relative_noise, stable_generator
from energylang.landscape.dynamics import Landscape, settle_each, settle_variants
from energylang.landscape.lowrank import LowRank
from energylang.landscape.margins import LEAST_MARGIN, MarginSearch
from energylang.landscape.proposal import (
    RETURNED,
    Proposal,
    installed,
    protected_states,
    vector,
    without_related,
)
from energylang.landscape.redirect import redirect
from energylang.landscape.solve import NormLine, field_edit, field_grid, norm_line
from energylang.landscape.unrecorded import unrecorded

__all__ = ["Proposal", "inject", "move", "move_line", "redirect", "remove", "scale_field"]

AMPLITUDE = 0.9
MARGINS = (
    1.6,
    2.0,
    2.5,
    3.2,
    4.0,
    5.0,
    6.5,
    8.0,
)  # times 1/β: those that are tried for a state that is to hold
_MOVE_NOISE, _MOVE_TRIALS = 0.2, 16
_ROUNDING = 1e-6

RELATED = 0.4
WANTED_RADIUS = 0.3
"""Wider basins (up to 1.6) return from larger noise, but take a larger change and alter more decisions: measured in
the benchmarks."""
_PUSH_BACK = (0.0, -0.02, -0.05, -0.1, -0.2, -0.35, -0.5, -0.75, -1.0)
_REMOVAL_NOISE = 0.1
_ROUNDING = 1e-6


@unrecorded
def inject(
    landscape: Landscape,
    direction: Tensor,
    protected: Tensor | None,
    *,
    strength: float | None = None,
    generator: torch.Generator,
    wanted_radius: float = WANTED_RADIUS,
    trials: int = 16,
) -> Proposal:
    """Install an attractor at ``p* = 0.9·sign(direction)``, ``direction`` (d,), ``protected`` (k, d).

    ``strength`` None searches the smallest margin whose attractor returns from ``wanted_radius`` relative
    noise in all ``trials``; a number s > 0 takes the margin at which ``‖ΔW‖ = s·‖W‖``, so that the strength of an
    edit that was searched gives the same edit. Where s is too small for any margin of the search, the change of
    that norm along ``p* rᵀ`` is taken (on a zero weight always, and ‖W‖ is √d, the norm of the identity). Raises
    ``LandscapeError`` for a wrong dimension, a zero or non-finite direction, or no room.
    """
    direction = vector(landscape, direction, "direction")
    safe = protected_states(landscape, protected)
    pattern = AMPLITUDE * torch.sign(direction)
    if strength is not None:
        return _inject_by_norm(landscape, pattern, safe, strength)
    return _inject_by_margin(landscape, pattern, safe, generator, wanted_radius, trials)


def _inject_by_margin(
    landscape: Landscape,
    pattern: Tensor,
    safe: Tensor,
    generator: torch.Generator,
    wanted_radius: float,
    trials: int,
) -> Proposal:
    if trials < 1 or not math.isfinite(wanted_radius) or wanted_radius < 0:
        raise LandscapeError(
            f"cannot test a radius of {wanted_radius} with {trials} trials",
            hint="the radius is a fraction of the state's norm, for example 0.3, with at least one trial",
        )
    search = MarginSearch(landscape, pattern, safe, generator, wanted_radius, trials)
    best = search.smallest()
    notes = []
    if not bool(search.fresh[best]):
        notes.append("no margin on the grid installs an attractor near the direction")
    elif float(search.rate[best]) < 1.0:
        returned = f"{float(search.rate[best]):.0%} of {trials} trials"
        notes.append(f"the attractor returns from {wanted_radius:.0%} noise in {returned}")
    factors, margin = search.edit(best), float(search.margins[best])
    return installed(landscape, factors, pattern, margin, "inject", notes, settled=search.ends[best])


def _inject_by_norm(landscape: Landscape, pattern: Tensor, safe: Tensor, strength: float) -> Proposal:
    if not math.isfinite(strength) or strength <= 0:
        raise LandscapeError(
            f"the strength must be positive and finite, got {strength}",
            hint="0.1 writes an edit of a tenth of the weight's norm; leave it out to search for a margin",
        )
    size = landscape.frobenius
    line = norm_line(landscape, pattern[None], torch.zeros_like(pattern[None]), pattern[None], safe)
    margin = line.at_norm(strength * size)
    if size and margin is not None and margin >= (1 - _ROUNDING) * LEAST_MARGIN / landscape.beta:
        factors = field_edit(landscape, pattern[None], margin * pattern[None], safe)
        return installed(landscape, factors, pattern, margin, "inject", [])
    # Too little for the field to become m·p*. From a zero weight, the field p* at p* is ΔW = p*rᵀ/(rᵀy): the
    # direction, then rescaled.
    blank = landscape.with_weight(torch.zeros_like(landscape.weight))
    pull = field_edit(blank, pattern[None], pattern[None], safe, symmetric=landscape.symmetric)
    notes = [
        "the strength is too small to turn the whole field towards the pattern: it is added to the field"
    ]
    if size == 0.0:
        size = math.sqrt(landscape.dim)
        notes = ["the weight is zero: the strength is relative to the norm of the identity"]
    return installed(landscape, pull.scaled(strength * size / pull.norm), pattern, None, "inject", notes)


@unrecorded
def remove(
    landscape: Landscape,
    centre: Tensor,
    protected: Tensor | None,
    *,
    strength: float | None = None,
    generator: torch.Generator,
    trials: int = 16,
) -> Proposal:
    """Drive the field at the basin ``centre`` (d,) to zero, or as far against it as needed until no noisy
    copy (10 % of the norm) of it returns. Its mirror at −x goes too.

    Protected basins (k, d) with |cos| ≥ 0.4 to the centre are built from it and are not protected.
    ``strength`` s > 0 takes ``‖ΔW‖ = s·‖W‖`` instead: a part of the removal where that is less than the field at
    the centre takes, a push against it where it is more; the strength of a removal that was searched gives the same
    removal. Raises ``LandscapeError`` for a wrong dimension, a zero or non-finite centre, or no room.
    """
    centre = vector(landscape, centre, "centre")
    safe = protected_states(landscape, protected)
    notes = ["the mirror basin at −x shares these weights and goes too"]
    safe = without_related(safe, centre, RELATED, notes)
    if trials < 1:
        raise LandscapeError(f"a removal needs at least one trial, got {trials}", hint="16 is the default")
    field = landscape.field(centre[None])
    if strength is not None:
        if not math.isfinite(strength) or strength <= 0:
            raise LandscapeError(
                f"the strength must be positive and finite, got {strength}",
                hint="leave the strength out to remove the basin completely",
            )
        line = field_edit(landscape, centre[None], torch.zeros_like(field), safe)
        if line.norm == 0.0 or landscape.frobenius == 0.0:
            return Proposal(
                LowRank.zero(landscape.weight), centre, None, "remove", ("there is no field here",)
            )
        norm = strength * landscape.frobenius
        if norm <= line.norm:
            return Proposal(line.scaled(norm / line.norm), centre, None, "remove", tuple(notes))
        sizes = norm_line(landscape, centre[None], torch.zeros_like(field), centre[None], safe)
        margin = min(0.0, sizes.at_norm(norm, rising=False) or 0.0)
        factors = field_edit(landscape, centre[None], margin * centre[None], safe)
        return Proposal(factors, centre, margin, "remove", tuple(notes))
    along = float((centre * field[0]).sum() / (centre * centre).sum())
    margins = abs(along) * torch.tensor(_PUSH_BACK, dtype=torch.float64)
    grid = field_grid(landscape, centre, margins.to(centre)[:, None] * centre, safe)
    copies = centre + relative_noise(centre[None], trials, generator, _REMOVAL_NOISE)[0]
    copies = torch.cat((centre[None], copies))
    ends = settle_variants(landscape, copies, grid).states
    stay = (cosine_rows(ends, centre) > RETURNED).double().mean(1)
    best = int(torch.argmin(stay))  # the first minimum: the gentlest push
    slow = ends[best][cosine_rows(ends[best], centre) > RETURNED]
    if len(slow):  # at rest, or passing the ghost of the basin slowly enough to look like it
        rest, _ = polish(landscape.tried(grid[best]), slow)
        back = int((cosine_rows(rest, centre) > RETURNED).sum()) / len(copies)
        if back > 0:
            notes.append(f"{back:.0%} of the noisy copies still come to rest here")
    return Proposal(grid[best], centre, float(margins[best]), "remove", tuple(notes))


@unrecorded
def scale_field(landscape: Landscape, centre: Tensor, factor: float, protected: Tensor | None) -> Proposal:
    """Strengthen (factor > 1) or weaken (factor < 1) a basin: the field at ``centre`` (d,) becomes
    ``factor·Wf(centre)``. Protected basins equal to the centre or its mirror (|cos| > 0.95) are left out."""
    centre = vector(landscape, centre, "centre")
    if not math.isfinite(factor):
        raise LandscapeError(f"the factor must be finite, got {factor}", hint="2 doubles the field")
    notes: list[str] = []
    safe = without_related(protected_states(landscape, protected), centre, RETURNED, [])
    field = landscape.field(centre[None])
    factors = field_edit(landscape, centre[None], factor * field, safe)
    return installed(landscape, factors, centre, None, "strengthen" if factor >= 1 else "weaken", notes)


@unrecorded
def move(
    landscape: Landscape,
    centre: Tensor,
    direction: Tensor,
    protected: Tensor | None,
    *,
    margin: float | None = None,
) -> Proposal:
    """Remove the basin at ``centre`` (d,) and install one at ``0.9·sign(direction)`` as one edit of rank two
    (one solve for both fields). ``margin`` defaults to ``4/β``, deep enough for a strong attractor."""
    centre = vector(landscape, centre, "centre")
    pattern = AMPLITUDE * torch.sign(vector(landscape, direction, "direction"))
    margin = 4.0 / landscape.beta if margin is None else margin
    if not math.isfinite(margin):
        raise LandscapeError(f"the margin must be finite, got {margin}", hint="leave it out for the default")
    notes = ["the mirror basins move as well"]
    safe = without_related(protected_states(landscape, protected), centre, RELATED, notes)
    wanted = torch.stack((torch.zeros_like(pattern), margin * pattern))
    factors = field_edit(landscape, torch.stack((centre, pattern)), wanted, safe)
    return installed(landscape, factors, pattern, margin, "move", notes)


def move_line(landscape: Landscape, centre: Tensor, direction: Tensor, protected: Tensor | None) -> NormLine:
    """How large ``move`` is as a function of its margin."""
    centre = vector(landscape, centre, "centre")
    pattern = AMPLITUDE * torch.sign(vector(landscape, direction, "direction"))
    safe = without_related(protected_states(landscape, protected), centre, RELATED, [])
    nothing = torch.zeros_like(pattern)
    states = torch.stack((centre, pattern))
    return norm_line(landscape, states, torch.zeros_like(states), torch.stack((nothing, pattern)), safe)


def smallest_move(
    landscape: Landscape, centre: Tensor, direction: Tensor, protected: Tensor, strength: float | None
) -> Proposal:
    """The smallest margin whose new basin holds against noise; with a strength, the margin whose change is that share
    of the weight."""
    line = move_line(landscape, centre, direction, protected)
    least = max(line.lowest, MARGINS[0] / landscape.beta)
    if strength is not None:
        margin = line.at_norm(strength * landscape.frobenius)
        if margin is None or margin < least * (1 - _ROUNDING):
            takes = line.norm(least) / landscape.frobenius
            raise LandscapeError(
                f"a move takes a change of {takes:.1%} of the weight, more than the strength of {strength:.1%}"
            )
        return move(landscape, centre, direction, protected, margin=margin)
    margins = [max(least, m / landscape.beta) for m in MARGINS]
    made = [move(landscape, centre, direction, protected, margin=margin) for margin in margins]
    pattern = AMPLITUDE * torch.sign(direction).to(centre)
    noise = relative_noise(pattern[None], _MOVE_TRIALS, stable_generator("move", landscape.dim), _MOVE_NOISE)[
        0
    ]
    copies = (pattern + noise).expand(len(made), -1, -1).contiguous()
    ends = settle_each(landscape, copies, [proposal.factors for proposal in made]).states
    targets = torch.stack([proposal.target for proposal in made])
    near = cosine_rows(targets, pattern) > NEAR
    rate = (cosine_rows(ends, targets[:, None]) > SAME).double().mean(dim=1)
    best = int(torch.argmax(torch.where(near, rate, rate - 2.0)))
    return made[best]
