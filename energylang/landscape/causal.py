"""Which basins does a basin hold up?

1. *Knock-out*: the smallest change of W that gives basin i the field 0, protecting nothing:
   ``ΔW = −Wy yᵀ/(yᵀy)``, y = f(bᵢ): it reaches another basin exactly as far as that one's f overlaps with y.
   A scan keeps nothing, so it is one-sided on every layer; an intervention that is kept (``scaled_fields``) has
   the symmetric form on a symmetric one.
2. *Scan*: every other basin is settled under every knock-out, n·n states in low-rank batches; what i does to j
   is the drift ``1 − cos`` between where j rested before and where it rests after.
   f is odd: a basin's mirror has the same knock-out (and so the same placebos) and, under any edit, the mirrored
   fate. Mirror pairs are folded into one before anything is settled, and tested once: a quarter of the work where
   all have one. What a knock-out does to the basin's own mirror is what it does to itself, and no edge.
3. *Null*: what random edits of equal norm and rank do to the same target (``chance``): a p-value for every pair, and
   a q-value over all pairs that are tested.
4. *Compare*: any edits on any basins, beside plain placebos of each edit's norm, rank and form.

Invariants: deterministic for a generator; W itself is never copied. Source: NUMERICS §6 and §7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.landscape.chance import RESOLUTION, Chance, chance, discoveries
from energylang.landscape.clusters import SAME, cosine_rows, gram, leaders
from energylang.landscape.dynamics import Landscape, interaction, settle, settle_variants
from energylang.landscape.lowrank import Grid, LowRank, stacked, symmetric_grid
from energylang.landscape.unrecorded import unrecorded

__all__ = ["RESOLUTION", "Compared", "Scan", "compare", "knock_outs", "placebos", "scaled_fields", "scan"]

SURVIVES = 0.95
_ONE_PAIR = 1.0 - 1e-6  # |cosine| of a polished basin and its mirror
PLACEBOS = 20
LEVEL = 0.05  # of false discoveries among the edges
_NUMBERS = 2**20  # of the states that are settled at a time


@dataclass(frozen=True, eq=False)
class Scan:
    """``drift`` (n, n): what knocking out the row's basin does to the column's (the diagonal is what it does to
    itself); ``norm`` (n,) of the knock-outs; ``survives`` (n, n) whether the column's basin is still there; ``pair``
    (n,) numbers basins, a basin and its mirror alike. Under random edits of the row's norm the column's basin drifts by
    ``mean`` ± ``spread`` (n, n; NaN where they do not spread), by more than t in the share ``beyond(t)`` (n, n).
    ``p`` and ``q`` (n, n) are NaN where nothing is tested: a basin on itself and on its mirror; ``tested`` counts the
    tests, those that mirrors share once."""

    drift: Tensor
    norm: Tensor
    survives: Tensor
    pair: Tensor
    mean: Tensor
    spread: Tensor
    p: Tensor
    q: Tensor
    tested: int
    null: Chance

    @property
    def apart(self) -> Tensor:
        """(n, n) bool: the row's basin is neither the column's nor its mirror."""
        return ~self.p.isnan()

    @property
    def z(self) -> Tensor:
        """(n, n): the drift's distance from the placebos' mean in their standard deviations; NaN without these."""
        return (self.drift - self.mean) / self.spread

    def beyond(self, threshold: float) -> Tensor:
        """(n, n): the share of random edits of the row's norm that move the column's basin by more than this."""
        return self.null.beyond(threshold)[self.pair][:, self.pair]

    def edges(self, threshold: float, level: float = LEVEL) -> Tensor:
        """(n, n) bool: drifts above the threshold that random edits do not explain."""
        return (self.drift > threshold) & self.apart & (self.q <= level)


@dataclass(frozen=True, eq=False)
class Compared:
    """m edits on n basins: ``drift``, ``survives`` (m, n), the edits' ``norm`` (m,), and ``placebo`` (p, m, n), the
    drifts under random edits of each one's norm, rank and form."""

    drift: Tensor
    placebo: Tensor
    norm: Tensor
    survives: Tensor


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


@unrecorded
def scan(
    landscape: Landscape, centres: Tensor, generator: torch.Generator, *, placebo_count: int = PLACEBOS
) -> Scan:
    """Knock out every basin of ``centres`` (n, d) and see what becomes of all of them."""
    centres = landscape.states(centres, "centres")
    pair, first = leaders(centres, _ONE_PAIR, either_sign=True)
    singles = centres[first]
    n = int(singles.shape[0])
    edits = knock_outs(landscape, singles)
    rest = settle(landscape, singles).states
    drift = centres.new_zeros(n, n)
    each = max(1, _NUMBERS // max(1, n * landscape.dim))
    for begin in range(0, n, each):
        ends = settle_variants(landscape, singles, edits[begin : begin + each]).states
        drift[begin : begin + each] = (1.0 - cosine_rows(ends, rest)).clamp_min(0.0)
    norms = edits.norms
    null = chance(landscape, singles, rest, norms, placebo_count, generator)
    overlap = gram(*2 * (interaction(singles.double(), landscape.degree),))
    p = null.p_values(drift, overlap)
    tested = gram(singles, singles).abs() <= SAME
    tested.fill_diagonal_(False)
    p[~tested] = torch.nan
    q = p.clone()
    q[tested] = discoveries(p[tested])
    mean, spread = null.moments()

    def unfolded(values: Tensor) -> Tensor:
        return values[pair][:, pair]

    return Scan(
        drift=unfolded(drift),
        norm=norms[pair],
        survives=unfolded(1.0 - drift > SURVIVES),
        pair=pair,
        mean=unfolded(mean),
        spread=unfolded(spread),
        p=unfolded(p),
        q=unfolded(q),
        tested=int(tested.sum()),
        null=null,
    )


@unrecorded
def compare(
    landscape: Landscape,
    centres: Tensor,
    edits: Sequence[LowRank],
    generator: torch.Generator,
    placebo_count: int,
) -> Compared:
    """What every one of m ``edits`` does to every basin of ``centres`` (n, d), beside its placebos."""
    centres = landscape.states(centres, "centres")
    grid = Grid(*stacked(edits, landscape.weight))
    m, n = len(grid), int(centres.shape[0])
    if m == 0 or n == 0:
        empty = centres.new_zeros(m, n)
        return Compared(empty, empty.expand(placebo_count, m, n), centres.new_zeros(m), empty.bool())
    pair, first = leaders(centres, _ONE_PAIR, either_sign=True)
    singles = centres[first]
    rest = settle(landscape, singles).states
    fake = placebos(landscape, grid, placebo_count, generator)
    ends = settle_variants(landscape, singles, grid.joined(fake)).states
    drifts = (1.0 - cosine_rows(ends, rest)).clamp_min(0.0)[:, pair]
    drift, null = drifts[:m], drifts[m:].reshape(m, placebo_count, n)
    return Compared(
        drift=drift,
        placebo=null.transpose(0, 1),
        norm=grid.norms,
        survives=1.0 - drift > SURVIVES,
    )
