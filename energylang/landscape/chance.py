"""How often would a random edit of that size do as much to a basin?

The null of a causal scan: ``ΔW = s·a bᵀ`` with the norm s of the knock-out and directions a, b uniform on the sphere.
How hard it pushes basin j is said by its overlap ``c = |b·yⱼ|/‖yⱼ‖`` with it, and how rare an overlap is, is known:
``T(c) = P(overlap ≥ c)``, the tail of a uniform direction, with c² ~ Beta(1/2, (d−1)/2). Two kinds of placebos are
drawn:

* *plain* ones: a and b uniform. Mean, spread and z are theirs.
* *aimed* ones: log T(c) evenly spread down to p-values that survive a correction for n² tests. Plain draws would need
  1/p of them for one push as hard as that.

The p-value of a drift D that an edit of overlap c₀ causes is the share of random edits that cause D or more, estimated
from both kinds (importance sampling; with N plain and M aimed ones, T down to e^−L, a placebo with T weighs
``w = (N + M)/(N + M/(T·L))``), and never below ``T(c₀)``:

    p = max(T(c₀), (w₀ + w₁ + Σ w·[drift ≥ D]) / (1 + N + M))

The edit itself counts (w₀), as in the rank p-value (1 + #)/(1 + N) (Phipson & Smyth 2010), and so does, for safety, the
placebo next below the gentlest push that did it (w₁). T(c₀) is uniform for a random edit, so p ≤ α in at most α of such
cases, whatever the placebos are. Edits of similar norms share placebos of the largest of these norms: no p is too small
by that.

The placebos of n basins are (N + M)·n states for each of a few norms, not N·n².

``discoveries``: Benjamini & Hochberg 1995; of the edges with ``q ≤ level`` a share of at most ``level`` is expected
to be what random edits would do. (p-values of one basin share its placebos: positive dependence, under which it holds
too, Benjamini & Yekutieli 2001.)"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from energylang.landscape.clusters import cosine_rows
from energylang.landscape.dynamics import Landscape, interaction, settle_each
from energylang.landscape.lowrank import Grid

RESOLUTION = 1e-5
"""Drifts are not known to better than this: a settled state may lie 0.5 % of its norm from where it rests."""
_SIMILAR = 1.25  # norms that share their placebos
_NORMS = 6  # at most as many kinds of them
_NUMBERS = 2**22  # of the states that are settled at a time
_BYTES = 2**25  # of the buffers in which they do
_BEYOND = 1e-3  # aimed placebos reach p-values of this over the number of tests
_AIMED = 20  # placebos at least
_NODES = 4097  # of the table of T


@dataclass(frozen=True, eq=False)
class Chance:
    """Placebos of m edits on n basins, made with g norms; the edit i has norm number ``group[i]`` (m,).

    ``drift`` and ``tail`` (g, N + M, n) are what they do, and T of their overlaps: ``count`` = N plain ones, then M
    aimed ones with log T down to −``reach``. ``dim`` is d."""

    drift: Tensor
    tail: Tensor
    group: Tensor
    dim: int
    count: int
    reach: float

    @property
    def plain(self) -> Tensor:
        """(g, N, n): the drifts under plain placebos."""
        return self.drift[:, : self.count]

    def weights(self, tail: Tensor) -> Tensor:
        """How much a placebo with this T counts."""
        total = self.drift.shape[1]
        return total / (self.count + (total - self.count) / (tail * self.reach))

    def p_values(self, drift: Tensor, overlap: Tensor) -> Tensor:
        """(m, n) float64 in (0, 1], for the drifts (m, n) that the m edits cause with their overlaps (m, n)."""
        found = overlap_tail(overlap, self.dim)
        weights, last = self.weights(self.tail), self.weights(torch.ones_like(self.tail[0, 0]))
        for row, group in enumerate(self.group.tolist()):
            own, tail = found[row], self.tail[group]
            as_far = self.drift[group] >= drift[row] - RESOLUTION
            gentlest = (tail * as_far).amax(0).maximum(own)
            below = torch.where(tail > gentlest, weights[group], last).amin(0)
            reached = (weights[group] * as_far).sum(0) + self.weights(own) + below
            found[row] = own.maximum(reached / (1 + len(tail))).clamp_max(1.0)
        found[drift <= RESOLUTION] = 1.0
        return found

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (m, n) of the drift under plain placebos; the second is NaN where there is no
        spread: a single placebo, or all of them alike up to ``RESOLUTION``."""
        mean = self.plain.mean(1)
        spread = self.plain.std(1) if self.count > 1 and mean.numel() else torch.full_like(mean, torch.nan)
        spread = torch.where(spread > RESOLUTION, spread, torch.nan)
        return mean[self.group], spread[self.group]

    def beyond(self, threshold: float) -> Tensor:
        """(m, n): the share of plain placebos that move a basin by more than ``threshold``."""
        found: Tensor = (self.plain > threshold).double().mean(1)[self.group]
        return found


def overlap_tail(overlap: Tensor, dim: int) -> Tensor:
    """``T(|c|)`` in (0, 1], float64, for overlaps c of any shape in a space of dimension ``dim``."""
    angles, logs = _table(dim)
    angle = overlap.double().abs().clamp_max(1.0).acos().cpu().numpy()
    found = np.exp(np.interp(angle, angles, logs))
    return torch.from_numpy(np.asarray(found)).clamp_min(1e-300).to(overlap.device)


def _overlaps(tail: Tensor, dim: int) -> Tensor:
    """The overlap c ≥ 0 with ``T(c) = tail``."""
    angles, logs = _table(dim)
    return torch.from_numpy(np.cos(np.interp(tail.log().numpy(), logs, angles)))


def _table(dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Angles from 0 to π/2 and log T(cos angle), ascending: T is the share of the sphere's half within the angle."""
    angles = np.linspace(0.0, 0.5 * math.pi, _NODES)
    if dim < 2:
        return angles, np.zeros(_NODES)
    middle = 0.5 * (angles[1:] + angles[:-1])
    parts = (dim - 2) * np.log(np.sin(middle))
    area = np.logaddexp.accumulate(parts)
    return angles, np.concatenate(([2 * area[0] - area[1] if dim > 2 else area[0] - 5.0], area)) - area[-1]


def chance(
    landscape: Landscape,
    centres: Tensor,
    rest: Tensor,
    norms: Tensor,
    count: int,
    generator: torch.Generator,
) -> Chance:
    """What random edits of rank one and of the ``norms`` (m,) do to the basins ``centres`` (n, d), which rest at
    ``rest`` (n, d) without any: ``count`` plain ones for each basin and norm, and as many
    aimed ones (20 at least)."""
    if not len(centres) or not len(norms):
        none = centres.new_zeros(1, count + max(count, _AIMED), len(centres))
        return Chance(none, none.double(), norms.new_zeros(len(norms)).long(), landscape.dim, count, 1.0)
    sizes, group = _grouped(norms)
    y = torch.nn.functional.normalize(interaction(centres, landscape.degree), dim=1)
    reach = -math.log(_BEYOND / max(1, len(norms) * len(centres)))
    drift, tail = [], []
    for size in sizes:
        parts = [
            _drawn(landscape, centres, rest, y, size, number, aimed, generator)
            for number, aimed in ((count, None), (max(count, _AIMED), reach))
        ]
        drift.append(torch.cat([part[0] for part in parts]))
        tail.append(overlap_tail(torch.cat([part[1] for part in parts]), landscape.dim))
    return Chance(torch.stack(drift), torch.stack(tail), group, landscape.dim, count, reach)


def _grouped(norms: Tensor) -> tuple[list[float], Tensor]:
    """The norms that placebos are made with, and which of them belongs to each edit: none is smaller than its own."""
    values = norms.double().clamp_min(torch.finfo(torch.float64).tiny)
    top, least = float(values.max()), float(values.min())
    width = max(math.log(_SIMILAR), math.log(top / least) / _NORMS)
    step = ((math.log(top) - values.log()) / width - 1e-9).floor().clamp_min(0)
    used, group = torch.unique(step, return_inverse=True)
    return [float(values[group == k].max()) for k in range(len(used))], group


def _drawn(
    landscape: Landscape,
    centres: Tensor,
    rest: Tensor,
    y: Tensor,
    size: float,
    count: int,
    aimed: float | None,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Drifts and overlaps (count, n) of placebos of one norm: plain ones, or aimed ones with log T down to
    −``aimed``."""
    n, d = centres.shape
    each = max(1, _NUMBERS // (n * d))
    drifts, overlaps = [], []
    for begin in range(0, count, each):
        rows = min(each, count - begin)
        drawn = torch.randn(2, rows, n, d, generator=generator).to(centres)
        left, right = torch.nn.functional.normalize(drawn, dim=3, out=drawn)
        overlap = (right * y).sum(2)
        if aimed is not None:
            place = torch.arange(begin, begin + rows)[:, None] + torch.rand(rows, n, generator=generator)
            wanted = _overlaps((-aimed * place.double() / count).exp(), d).to(centres)
            beside = right.sub_(overlap.unsqueeze(2) * y)
            torch.nn.functional.normalize(beside, dim=2, out=beside)
            aside = (1 - wanted.square()).clamp_min(0).sqrt()
            right = beside.mul_(aside.unsqueeze(2)).addcmul_(wanted.unsqueeze(2), y)
            overlap = wanted
        edits = Grid(left.mul_(size).reshape(-1, 1, d), right.reshape(-1, 1, d))
        begin_at = centres.repeat(rows, 1)[:, None]
        ends = settle_each(landscape, begin_at, edits, budget_bytes=_BYTES).states[:, 0]
        drift = (1.0 - cosine_rows(ends, rest.repeat(rows, 1))).clamp_min(0.0)
        drifts.append(drift.reshape(rows, n))
        overlaps.append(overlap)
    return torch.cat(drifts), torch.cat(overlaps)


def discoveries(p: Tensor) -> Tensor:
    """q-values of p-values (k,), by Benjamini and Hochberg: the least level at which each is one of the discoveries."""
    k = p.numel()
    if k == 0:
        return p
    ordered, order = p.sort()
    scaled = ordered * (k / torch.arange(1, k + 1, dtype=p.dtype, device=p.device))
    least = scaled.flip(0).cummin(0).values.flip(0).clamp_max(1.0)
    found = torch.empty_like(p)
    found[order] = least
    return found
