"""Which basins does a basin hold up?

1. *Knock-out*: the smallest change of W that gives basin i the field 0, protecting nothing:
   ``ΔW = −Wy yᵀ/(yᵀy)``, y = f(bᵢ): it reaches another basin exactly as far as that one's f overlaps with y.
   A scan keeps nothing, so it is one-sided on every layer; an intervention that is kept (``scaled_fields``) has
   the symmetric form on a symmetric one.
2. *Scan*: every other basin is settled under every knock-out, n·n states in one low-rank batch; what i does to j
   is the drift ``1 − cos`` between where j rested before and where it rests after.
   f is odd: a basin's mirror has the same knock-out (and so the same placebos) and, under any edit, the mirrored
   fate. Mirror pairs are folded into one before anything is settled: a quarter of the work where all have one.
3. *Null*: the same with random edits of equal norm, rank and form (the same left factors' norms, random
   directions): what a push of that size does to a basin anyhow. An edge counts as *specific* when it stands
   out from what all placebos do to the same target (``Scan.against_placebo``).

Invariants: deterministic for a generator; W itself is never copied. Source: NUMERICS §6 and §7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.landscape.clusters import cosine_rows, leaders
from energylang.landscape.dynamics import Landscape, interaction, settle, settle_variants
from energylang.landscape.lowrank import Grid, LowRank, stacked, symmetric_grid
from energylang.landscape.unrecorded import unrecorded

SURVIVES = 0.95
_ONE_PAIR = 1.0 - 1e-6  # |cosine| of a polished basin and its mirror
_RARE, _FAR = 0.1, 2.0


@dataclass(frozen=True, eq=False)
class Scan:
    """``drift`` (n, n): what knocking out the row's basin does to the column's (the diagonal is what it does to
    itself); ``placebo`` (p, n, n) the same under random edits of the norm of the row's knock-out; ``norm`` (n,)
    of the knock-outs; ``survives`` (n, n) whether the column's basin is still there."""

    drift: Tensor
    placebo: Tensor
    norm: Tensor
    survives: Tensor

    def against_placebo(self) -> tuple[Tensor, Tensor]:
        """(z (m, n), specific (m, n) bool): every drift against all placebos on the same target, the placebos of
        edits of the target itself left aside in a whole scan. Specific: at most a tenth of them reach the drift, and
        it lies more than two of their standard deviations above their mean."""
        m, n = self.drift.shape
        null = self.placebo.clone()
        if m == n:
            null.diagonal(dim1=1, dim2=2).fill_(torch.nan)
        pool = null.reshape(-1, n)
        mean = pool.nanmean(dim=0)
        spread = (pool - mean).square().nanmean(dim=0).sqrt().clamp_min(1e-6)
        z = (self.drift - mean) / spread
        counted = (~pool.isnan()).sum(dim=0).clamp_min(1)
        reached = (pool[:, None] >= self.drift[None]).sum(dim=0) / counted
        return z, (reached <= _RARE) & (z > _FAR)


def scaled_fields(
    landscape: Landscape, centres: Tensor, wanted: Tensor, *, symmetric: bool | None = None
) -> Grid:
    """For every basin of ``centres`` (n, d) the smallest change that gives it the field ``wanted`` (n, d), nothing
    protected. ``symmetric`` None follows the layer."""
    y = interaction(centres.double(), landscape.degree)
    change = wanted.double() - y @ landscape.weight.double().T
    length = (y * y).sum(1, keepdim=True)
    if not bool((length > 0).all()):
        raise LandscapeError("the zero state is no basin that can be knocked out")
    q = y / length
    kind = landscape.weight
    if not (landscape.symmetric if symmetric is None else symmetric):
        return Grid(change.to(kind)[:, None], q.to(kind)[:, None])
    inner = (y * change).sum(1, keepdim=True)
    return symmetric_grid((change - 0.5 * inner * q).T, q.T, kind)


def knock_outs(landscape: Landscape, centres: Tensor) -> Grid:
    """For every basin of ``centres`` (n, d) the smallest change that takes its field away."""
    return scaled_fields(landscape, centres, torch.zeros_like(centres), symmetric=False)


def placebos(landscape: Landscape, edits: Sequence[LowRank], count: int, generator: torch.Generator) -> Grid:
    """``count`` random edits for every edit: of its form (all symmetric, or of rank one) and norm."""
    like, d = landscape.weight, landscape.dim
    grid = edits if isinstance(edits, Grid) else Grid(*stacked(edits, like))
    drawn = torch.randn(len(edits), count, 2, d, generator=generator).to(like)
    drawn = drawn / torch.linalg.vector_norm(drawn, dim=3, keepdim=True)
    a, b = drawn.reshape(-1, 2, d).unbind(1)
    norms = grid.norms.repeat_interleave(count)
    if not bool(grid.mirrored.all()):
        return Grid((norms.to(like)[:, None] * a)[:, None], b[:, None])
    pairs = symmetric_grid(a.T, b.T, like)
    root = (norms / pairs.norms).sqrt().to(like)[:, None, None]
    return Grid(pairs.left * root, pairs.right * root)


def scan(
    landscape: Landscape, centres: Tensor, generator: torch.Generator, *, placebo_count: int = 3
) -> Scan:
    """Knock out every basin of ``centres`` (n, d) and see what becomes of all of them."""
    centres = landscape.states(centres, "centres")
    pair, first = leaders(centres, _ONE_PAIR, either_sign=True)
    return _compare(landscape, centres, knock_outs(landscape, centres[first]), pair, generator, placebo_count)


def compare(
    landscape: Landscape,
    centres: Tensor,
    edits: Sequence[LowRank],
    generator: torch.Generator,
    placebo_count: int,
) -> Scan:
    """What every one of m ``edits`` does to every basin of ``centres`` (n, d), beside its placebos: a ``Scan`` of
    (m, n), (p, m, n)."""
    centres = landscape.states(centres, "centres")
    grid = Grid(*stacked(edits, landscape.weight))
    every = torch.arange(len(edits), device=centres.device)
    return _compare(landscape, centres, grid, every, generator, placebo_count)


@unrecorded
def _compare(
    landscape: Landscape,
    centres: Tensor,
    edits: Grid,
    edit_of: Tensor,
    generator: torch.Generator,
    placebo_count: int,
) -> Scan:
    """``compare`` for m rows, row i being the edit ``edit_of[i]``, with the placebos of that edit."""
    m, n = int(edit_of.shape[0]), int(centres.shape[0])
    if m == 0 or n == 0:
        empty = centres.new_zeros(m, n)
        return Scan(empty, empty.expand(placebo_count, m, n), centres.new_zeros(m), empty.bool())
    pair, first = leaders(centres, _ONE_PAIR, either_sign=True)
    singles = centres[first]
    rest = settle(landscape, singles).states
    fake = placebos(landscape, edits, placebo_count, generator)
    ends = settle_variants(landscape, singles, edits.joined(fake)).states
    drifts = (1.0 - cosine_rows(ends, rest)).clamp_min(0.0)[:, pair]
    drift, null = drifts[edit_of], drifts[len(edits) :].reshape(len(edits), placebo_count, n)
    return Scan(
        drift=drift,
        placebo=null[edit_of].transpose(0, 1),
        norm=edits.norms[edit_of],
        survives=1.0 - drift > SURVIVES,
    )
