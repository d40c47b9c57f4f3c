"""Which basins does a layer have, and what does each look like?

1. Settle all starting states in one batch. Rows that still move after ``max_iter`` are counted
   (``num_unsettled``) and set aside; rows that decayed to the origin are counted apart
   (``origin_population``): for p ≥ 3 the origin attracts in every landscape and stores nothing.
2. Cluster the settled states by cosine (one Gram matrix) and polish one state per cluster.
3. A cluster is *restless* when polishing moved its state out of the cluster or the polished state does not
   attract under damped steps (a saddle). All its members are kicked by a relative 1e-2 and polished one by
   one, so each is counted where it really ends. A state that polishing leaves with a residual above 10·eps
   (what ``settle`` accepts at its smallest step) passed for settled on the way through: it is unsettled.
4. Merge once more (two clusters may polish to one point), count, sort by population (ties: first start).

Invariants: every start is counted exactly once in ``population``, ``origin_population`` or
``num_unsettled``; the same starts and generator give the same bits; a basin's centre is one of the polished
states, not a mean. What could not be resolved is reported, not hidden: ``is_fixed_point`` and ``attracts``
say whether a listed basin is what its name promises. Source: NUMERICS §3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.landscape.attractors import FIXED_POINT, escaped, polish_near
from energylang.landscape.clusters import gram, leaders
from energylang.landscape.draws import stable_generator
from energylang.landscape.dynamics import EPS, MAX_ITER, TAU, Landscape, residual, settle
from energylang.landscape.energy import both
from energylang.landscape.probes import return_rate
from energylang.landscape.radius import Radii, radii
from energylang.landscape.stability import spectrum, stability
from energylang.landscape.unrecorded import unrecorded

__all__ = ["BasinSet", "Radii", "mirrors", "radii", "return_rate", "stability", "survey"]

_ONE_POINT = 1.0 - 1e-6  # cosine of polished states from which they are one fixed point


@dataclass(frozen=True, eq=False)
class BasinSet:
    """The basins that one survey found, most populated first (ties: the one reached first).

    ``centres`` (k, d); ``population`` (k,) starts per basin; ``assignment`` (n,) basin of every start, −1 for
    a start that did not settle or went to the origin; ``energy``, ``energy_reference`` (k,) float64;
    ``residual``, ``stability`` (k,); ``attracts`` (k,) bool, see ``attractors``; ``mirror`` (k,) index of the
    basin at −x or −1; ``radii`` None when they were not asked for.
    ``origin_population`` starts went to the zero state, which is not listed.
    ``usage_entropy`` is the entropy of the population over the listed basins, in nats.
    """

    centres: Tensor
    population: Tensor
    assignment: Tensor
    energy: Tensor
    energy_reference: Tensor
    residual: Tensor
    stability: Tensor
    attracts: Tensor
    mirror: Tensor
    radii: Radii | None
    mean_iterations: float
    usage_entropy: float
    num_starts: int
    num_unsettled: int
    origin_population: int

    def __len__(self) -> int:
        return int(self.centres.shape[0])

    @property
    def radius(self) -> Tensor | None:
        """(k,) r50, see ``Radii``, or None when it was not asked for."""
        return None if self.radii is None else self.radii.r50

    @property
    def is_fixed_point(self) -> Tensor:
        """(k,) bool: residual below 1e-3."""
        return self.residual < FIXED_POINT


@unrecorded
def survey(
    landscape: Landscape,
    start_states: Tensor,
    *,
    eps: float = EPS,
    max_iter: int = MAX_ITER,
    radius: bool = False,
    generator: torch.Generator | None = None,
    merge_cosine: float = 0.95,
    polish_iter: int = 500,
    radius_generator: torch.Generator | None = None,
) -> BasinSet:
    """Find the basins that the states (n, d) settle into; see the module docstring for the steps.

    ``radius=True`` measures the radius of every basin as well. ``generator`` draws the kicks, ``radius_generator``
    the pushes; without one it is seeded from the dimensions. Raises ``LandscapeError``
    for starts of the wrong shape, NaN, or parameters out of range.
    """
    if not 0.0 < merge_cosine < 1.0:
        raise LandscapeError(
            f"merge_cosine must lie between 0 and 1, got {merge_cosine}", hint="0.95 is the default"
        )
    run = settle(landscape, start_states, max_iter=max_iter, eps=eps)
    generator = generator or stable_generator("survey", landscape.dim, run.states.shape[0])
    live = (run.settled & (torch.linalg.vector_norm(run.states, dim=1) > 0)).nonzero().squeeze(1)
    points = _resting_points(landscape, run.states[live], merge_cosine, polish_iter, generator)
    moving = points.gap > eps / TAU[1]
    kept = (points.states.any(1) & ~moving).nonzero().squeeze(1)
    label, first = leaders(points.states[kept], merge_cosine)
    cluster_of_point = kept.new_full((points.states.shape[0],), -1)
    cluster_of_point[kept] = label
    cluster = cluster_of_point[points.of_row]

    population = torch.bincount(cluster[cluster >= 0], minlength=first.numel())
    order = torch.sort(population, descending=True, stable=True).indices
    rank = torch.empty_like(order)
    rank[order] = torch.arange(order.numel(), device=order.device)
    assignment = torch.full((run.states.shape[0],), -1, dtype=torch.long, device=run.states.device)
    found = cluster >= 0
    assignment[live[found]] = rank[cluster[found]]
    chosen, population = kept[first][order], population[order]
    centres, stability, attracts = points.states[chosen], points.stability[chosen], points.attracts[chosen]
    unknown = stability.isnan().nonzero().squeeze(1)
    stability[unknown], attracts[unknown] = spectrum(landscape, centres[unknown])
    energy, published = both(landscape, centres)
    num_unsettled = int((~run.settled).sum()) + int(moving[points.of_row].sum())
    share = population.double() / max(1, int(population.sum()))
    return BasinSet(
        centres=centres,
        population=population,
        assignment=assignment,
        energy=energy,
        energy_reference=published,
        residual=residual(landscape, centres),
        stability=stability,
        attracts=attracts,
        mirror=mirrors(centres, merge_cosine),
        radii=radii(landscape, centres, radius_generator) if radius else None,
        mean_iterations=float(run.iterations.double().mean()) if run.iterations.numel() else 0.0,
        usage_entropy=abs(float(-torch.xlogy(share, share).sum())),
        num_starts=int(run.states.shape[0]),
        num_unsettled=num_unsettled,
        origin_population=int(run.states.shape[0]) - num_unsettled - int(population.sum()),
    )


class _Points(NamedTuple):
    """Resting points in the order of their first rows: ``states`` (c, d), residual ``gap`` (c,),
    ``stability`` (c,) (NaN where not measured yet), ``attracts`` (c,), whether they were ``kicked`` (c,), their
    ``first`` row (c,); and the point ``of_row`` (n,)."""

    states: Tensor
    gap: Tensor
    stability: Tensor
    attracts: Tensor
    kicked: Tensor
    first: Tensor
    of_row: Tensor


def _resting_points(
    landscape: Landscape, states: Tensor, merge_cosine: float, polish_iter: int, generator: torch.Generator
) -> _Points:
    """Steps 2 and 3 of the survey, for settled states (n, d) away from the origin."""
    label, first = leaders(states, merge_cosine)
    polished, gap, left = polish_near(landscape, states[first], merge_cosine, max_iter=polish_iter)
    unknown, no = torch.full_like(gap, torch.nan), torch.zeros_like(left)
    points = _Points(polished, gap, unknown, ~no, no, first, label)

    def one_by_one(points: _Points, which: Tensor) -> _Points:
        """The points with those of ``which`` (c,) replaced by what each of their rows escapes to."""
        if not bool(which.any()):
            return points
        rows = which[points.of_row].nonzero().squeeze(1)
        ends, end_gap = escaped(landscape, states[rows], generator, max_iter=polish_iter)
        calm = (~which).nonzero().squeeze(1)
        order = torch.sort(torch.cat((points.first[calm], rows)), stable=True).indices
        place = torch.empty_like(order)
        place[order] = torch.arange(order.numel(), device=order.device)
        of_point = torch.zeros_like(points.first)
        of_point[calm] = place[: calm.numel()]
        of_row = of_point[points.of_row]
        of_row[rows] = place[calm.numel() :]
        fresh = torch.full_like(end_gap, torch.nan)

        def joined(old: Tensor, new: Tensor) -> Tensor:
            return torch.cat((old[calm], new))[order]

        return _Points(
            joined(points.states, ends),
            joined(points.gap, end_gap),
            joined(points.stability, fresh),
            joined(points.attracts, fresh.isnan()),
            joined(points.kicked, fresh.isnan()),
            joined(points.first, rows),
            of_row,
        )

    points = one_by_one(points, left)
    which, once = leaders(points.states, _ONE_POINT)
    radii, attracts = spectrum(landscape, points.states[once])
    points = points._replace(stability=radii[which], attracts=attracts[which])
    return one_by_one(points, ~points.attracts & ~points.kicked)


def mirrors(centres: Tensor, merge_cosine: float) -> Tensor:
    """Index of the basin at −x for every centre (k, d), or −1 → (k,)."""
    if centres.shape[0] == 0:
        return torch.zeros(0, dtype=torch.long, device=centres.device)
    lowest, index = gram(centres, centres).min(1)
    return torch.where(lowest < -merge_cosine, index, -1)
