"""How much of a landscape has a survey seen, and how many basins are there in all?

A survey meets basins as a sample meets species, so the number it finds depends on the number of starts. From how
often each basin was met follow

* the **coverage**: the share of all starts that end in basins the survey has met (Good–Turing, in the form of Chao
  & Jost 2012 with singletons f₁ and doubletons f₂: 1 − f₁/n · (n−1)f₁/((n−1)f₁ + 2f₂)). Its interval is a score
  interval with the variance f₁ + 2f₂ of Esty 1983;
* an **estimate of the total**. No sample can rule out basins too small to be met, so the two ends of the interval
  rest on different ground. The lower end is a bound whatever the basins' sizes are: what is known to exist, or
  Chao's 1984 lower bound with the log-normal interval of Chao 1987, or the model's, whichever is least. The upper end
  and the estimate suppose that the sizes are log-normal, their logarithms with a standard deviation near 2.5: what
  exhaustive surveys of planted landscapes show (``docs/counts.md``). It is the posterior of the number of basins never
  met, from the counts up to ten; larger basins say nothing about how many were missed.

A basin and its mirror are equally likely, because x → −x is a symmetry of the dynamics and of the random starts.
So pairs are what is estimated, and unfolded at the end; and f₁ and f₂ are averages over how the starts of each pair
might have been split between its two members by a fair coin (Rao–Blackwell). No basin is its own mirror.

Where the upper end lies beyond ``_BEYOND`` times what was found the counts hold no information about the total: then
there is no estimate and no upper end, only the lower one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from energylang.errors import LandscapeError

Numbers = NDArray[np.float64]

ESTIMATOR = "log-normal"
BOUND = "lower bound"

_RARE = 10  # counts up to this say how many were missed
_SPREAD = (2.5, 0.75)  # of the log sizes: what is expected, and how firmly
_BEYOND = 50.0
_FARTHEST = 200.0  # of the numbers looked at, as a multiple of what was found


@dataclass(frozen=True)
class Richness:
    """What ``starts`` that ended in ``found`` basins say about the whole.

    ``singletons`` and ``doubletons`` were met once and twice. ``coverage`` is the share of all starts that end in
    the basins found (None without starts), between ``coverage_low`` and ``coverage_high``. ``estimate`` of the
    total lies between ``estimate_low`` and ``estimate_high``; both None where only a lower bound can be given
    (``estimator`` says which of the two it is).
    """

    found: int
    starts: int
    singletons: int
    doubletons: int
    coverage: float | None
    coverage_low: float | None
    coverage_high: float | None
    estimate: int | None
    estimate_low: int
    estimate_high: int | None
    estimator: str


def richness(population: Tensor, mirror: Tensor | None = None, *, level: float = 0.95) -> Richness:
    """Coverage and total from the number of random starts in each basin, ``population`` (k,).

    ``mirror`` (k,) is the index of the basin at −x, or −1 where it was not met; without it basins are estimated one
    by one. Basins that no random start met (0) are no part of the sample, but they exist: the total is not less than
    all that are listed. ``level`` is that of both intervals. Raises
    ``LandscapeError`` for negative numbers or a level outside 0 … 1.
    """
    if not 0.0 < level < 1.0:
        raise LandscapeError(f"a level lies between 0 and 1, got {level}", hint="0.95 is the default")
    counts = population.detach().cpu().double().numpy()
    if counts.ndim != 1 or bool((counts < 0).any()):
        raise LandscapeError("how often each basin was met is a list of numbers that are not negative")
    seen = counts[counts > 0]
    n = int(seen.sum())
    single, double = int((seen == 1).sum()), int((seen == 2).sum())
    if n == 0:
        listed = len(counts) if mirror is None else 2 * len(_pairs(counts, mirror.detach().cpu().numpy()))
        return Richness(0, 0, 0, 0, None, None, None, None, listed, None, BOUND)
    if mirror is None:
        units, known, fold, f1, f2 = seen, len(counts), 1, float(single), float(double)
    else:
        every, fold = _pairs(counts, mirror.detach().cpu().numpy()), 2
        units, known = every[every > 0], len(every)
        f1 = float((units * 2.0 ** (1.0 - units)).sum())
        f2 = float((units * (units - 1.0) * 2.0**-units).sum())
    z = NormalDist().inv_cdf(0.5 + level / 2)
    coverage, low, high = _coverage(n, f1, f2, z)
    estimate, least, most = _total(units, n, z, level)
    least, estimate = max(least, known), max(estimate, known)
    most = None if most is None else max(most, known)
    return Richness(
        found=len(seen),
        starts=n,
        singletons=single,
        doubletons=double,
        coverage=coverage,
        coverage_low=low,
        coverage_high=high,
        estimate=None if most is None else fold * estimate,
        estimate_low=fold * least,
        estimate_high=None if most is None else fold * most,
        estimator=BOUND if most is None else ESTIMATOR,
    )


def _pairs(counts: Numbers, mirror: NDArray[np.int64]) -> Numbers:
    """How often each pair of a basin and its mirror was met."""
    own = np.arange(len(counts))
    mutual = (mirror >= 0) & (mirror != own)
    mutual[mutual] = mirror[mirror[mutual]] == own[mutual]
    pairs: Numbers = np.where(mutual, counts + counts[mirror], counts)[~mutual | (own < mirror)]
    return pairs


def _coverage(n: int, f1: float, f2: float, z: float) -> tuple[float, float, float]:
    """The share of the starts that end in what was met, and its interval."""
    if f2 > 0:
        rest = (n - 1) * f1 / ((n - 1) * f1 + 2 * f2) if f1 else 1.0
    else:
        rest = (n - 1) * (f1 - 1) / ((n - 1) * (f1 - 1) + 2) if f1 > 1 else 1.0
    # A score interval at either end: near 1 single starts decide (f₁ is Poisson), near 0 pairs of them do (2f₂ is).
    share = f1 / n
    middle = n - f1 + z * z * (share - (1 - share) / 2)
    spread = max(f1 * (1 - share), 0.0) + 2 * f2 + z * z * ((1 - share) ** 2 / 4 + share**2)
    half = z * math.sqrt(spread)
    coverage = min(1.0, max(0.0, 1 - rest * share))
    low, high = (middle - half) / n, (middle + half) / n
    return coverage, max(0.0, min(low, coverage)), min(1.0, max(high, coverage))


def _total(units: Numbers, n: int, z: float, level: float) -> tuple[int, int, int | None]:
    """The estimate of how many units there are, and its interval; no upper end where there is none."""
    found = len(units)
    rare = np.bincount(units[units <= _RARE].astype(np.int64), minlength=_RARE + 1)[1:].astype(np.float64)
    if not rare.any():
        return found, found, found
    low, middle, high = (found + missed for missed in _missed(rare, found, level))
    least = int(min(low, chao1(units, n, z)[1]))
    most = math.ceil(high) if high <= _BEYOND * found else None
    return max(round(middle), least), least, most


def chao1(units: Numbers, n: int, z: float = 1.96) -> tuple[float, float, float]:
    """Chao's bias-corrected lower bound of the number of units, and its log-normal interval; ``units`` (k,) says how
    often each was met by ``n`` starts."""
    found = float(len(units))
    f1, f2 = float((units == 1).sum()), float((units == 2).sum())
    a = (n - 1) / n
    b = f2 + 1
    missed = a * f1 * (f1 - 1) / (2 * b)
    if missed <= 0:
        return found, found, found
    variance = (
        a * f1 * (f1 - 1) / (2 * b)
        + a * a * f1 * (2 * f1 - 1) ** 2 / (4 * b * b)
        + a * a * f1 * f1 * f2 * (f1 - 1) ** 2 / (4 * b**4)
    )
    spread = math.exp(z * math.sqrt(math.log1p(variance / missed**2)))
    # Where hardly any were met twice that interval is too narrow: no more than the largest f₂ that is likely.
    often = f2 + z * z / 2 + z * math.sqrt(f2 + z * z / 4)
    least = min(missed / spread, a * f1 * (f1 - 1) / (2 * often))
    return found + missed, found + least, found + missed * spread


def _missed(rare: Numbers, found: int, level: float) -> tuple[float, float, float]:
    """Quantiles (lower, median, upper) of the number of units never met, given that ``rare`` (10,) were met once,
    twice, … ten times; the prior of the number of rare units in all, r, is 1/(r + 1)."""
    logs, prior = _laws()
    met = float(rare.sum())
    few = np.arange(0.0, 60.0)
    far = max(_FARTHEST * found, 1e3)
    missed = np.unique(np.concatenate((few, np.round(np.geomspace(60.0, far, 400)))))
    evidence = logs[:, 1:] @ rare + prior
    with_missed = evidence[:, None] + logs[:, :1] * missed
    ways = torch.lgamma(torch.from_numpy(met + missed + 1)) - torch.lgamma(torch.from_numpy(missed + 1))
    likelihood = np.logaddexp.reduce(with_missed, axis=0) + ways.numpy() - np.log(met + missed + 1)
    share = np.exp(likelihood - likelihood.max()) * np.gradient(missed)
    below = np.cumsum(share) / share.sum()
    at = [
        min(int(np.searchsorted(below, q)), len(missed) - 1) for q in ((1 - level) / 2, 0.5, (1 + level) / 2)
    ]
    return float(missed[at[0]]), float(missed[at[1]]), float(missed[at[2]])


@cache
def _laws() -> tuple[Numbers, Numbers]:
    """For every log-normal law looked at: the log-probability of being met m = 0 … 10 times, given that it is not
    more, (laws, 11); and the log prior (laws,)."""
    size = np.arange(-14.0, 14.01, 0.2)  # log of the expected number of starts
    met = np.arange(_RARE + 1)
    factorial = np.cumsum(np.log(np.maximum(met, 1)))
    poisson = np.exp(met[:, None] * size - np.exp(size) - factorial[:, None])
    centre, spread = np.arange(-9.0, 4.01, 0.25), np.arange(0.25, 4.01, 0.25)
    weight = np.exp(-0.5 * ((size - centre[:, None, None]) / spread[:, None]) ** 2)
    weight /= weight.sum(axis=2, keepdims=True)
    chance = weight @ poisson.T
    chance /= chance.sum(axis=2, keepdims=True)
    prior = np.broadcast_to(-0.5 * ((spread - _SPREAD[0]) / _SPREAD[1]) ** 2, chance.shape[:2])
    return np.log(np.maximum(chance, 1e-300)).reshape(-1, _RARE + 1), prior.reshape(-1)
