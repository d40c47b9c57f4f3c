"""In which basin does each state come to rest?

One rule for every state that is not itself a start of a survey: tokens of a text, what a model generates, probes.

1. All states are settled in one batch. Those that still move, and those that decayed to the origin, have no basin.
2. Every settled state is polished by itself, not through the leader of its cluster: where it rests, and so its basin,
   depends on that state alone and not on what else was asked about.
3. Its basin is the nearest known centre by cosine, if that exceeds 0.95 (what a survey merges).
4. What rests near no centre and does not attract (a saddle) is kicked by a relative 1e-2, polished again and looked
   up once more. What then rests near no centre lies in a basin that is not known yet: ``place`` makes one of each.

The cost of a batch is that of settling and polishing it once. Source: NUMERICS §3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from energylang.landscape.attractors import escaped, polish
from energylang.landscape.clusters import SAME, gram, leaders
from energylang.landscape.dynamics import EPS, TAU, Landscape, settle
from energylang.landscape.stability import spectrum
from energylang.landscape.unrecorded import unrecorded


@unrecorded
def assign(
    landscape: Landscape,
    centres: Tensor,
    states: Tensor,
    generator: torch.Generator,
    *,
    eps: float = EPS,
    same: float = SAME,
) -> tuple[Tensor, Tensor, Tensor]:
    """The basin of each state (n, d) among known centres (k, d): (index (n,), rest (n, d), settled (n,) bool).

    ``index`` is −1 where the state never settles, decays to the origin (``rest`` is zero), or rests near no centre.
    ``rest`` is the fixed point that it is drawn to. ``generator`` draws the kicks of saddles.
    """
    run = settle(landscape, states, eps=eps)
    rest, settled = run.states.clone(), run.settled.clone()
    index = torch.full((len(rest),), -1, dtype=torch.long, device=rest.device)
    live = (settled & rest.any(1)).nonzero().squeeze(1)
    ends, gap = polish(landscape, rest[live])
    near = nearest(ends, centres, same)
    astray = ((near < 0) & ends.any(1)).nonzero().squeeze(1)
    if astray.numel():
        label, first = leaders(ends[astray], same)
        loose = astray[~spectrum(landscape, ends[astray][first])[1][label]]
        if loose.numel():
            ends[loose], gap[loose] = escaped(landscape, ends[loose], generator)
            near[loose] = nearest(ends[loose], centres, same)
    calm = gap <= eps / TAU[1]
    index[live], rest[live], settled[live] = torch.where(calm, near, -1), ends, calm
    return index, rest, settled


@dataclass(frozen=True, eq=False)
class Placed:
    """States with their basins: ``index`` (n,) into the known centres followed by the ``fresh`` ones (m, d), −1 where
    a state has none; ``rest`` (n, d), ``settled`` (n,) as ``assign`` has them."""

    index: Tensor
    fresh: Tensor
    rest: Tensor
    settled: Tensor

    @property
    def at_origin(self) -> Tensor:
        """(n,) bool: what settled in the zero state, which is no basin."""
        return self.settled & ~self.rest.any(1)


def place(
    landscape: Landscape,
    centres: Tensor,
    states: Tensor,
    generator: torch.Generator,
    *,
    eps: float = EPS,
    same: float = SAME,
) -> Placed:
    """``assign``, with a new centre wherever a state rests near none (the first to rest there), and every state at the
    nearest of all. Asking again with the fresh centres among the known ones gives the same basins."""
    index, rest, settled = assign(landscape, centres, states, generator, eps=eps, same=same)
    resting = settled & rest.any(1)
    rows = (resting & (index < 0)).nonzero().squeeze(1)
    fresh = rest[rows[leaders(rest[rows], same)[1]]]
    if len(fresh):
        every = torch.cat((centres.to(rest), fresh)) if len(centres) else fresh
        index[resting] = nearest(rest[resting], every, same)
    return Placed(index, fresh, rest, settled)


def nearest(states: Tensor, centres: Tensor, same: float = SAME) -> Tensor:
    """Index of the nearest centre (k, d) of every state (n, d) → (n,); −1 where none is within the cosine ``same``."""
    if not len(centres) or not len(states):
        return torch.full((len(states),), -1, dtype=torch.long, device=states.device)
    best, index = gram(states, centres.to(states)).max(1)
    return torch.where(best > same, index, -1)
