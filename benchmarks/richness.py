"""How well do estimators of the number of basins do where the number is known?

    python benchmarks/richness.py [--landscapes 50] [--starts 40000] [--times 20] [--json results.json]

Two kinds of landscapes. *Planted*: W = XᵀX/d for random sign patterns X; the total is what an exhaustive survey finds
(mirrors included, also those that were not met: x → −x is a symmetry), 40,000 starts, at least 20 times as many as are
judged (the true coverage alone can be told from fewer: ``--starts 8000 --times 5``). *Drawn*: 20 … 200 pairs of basins
whose sizes are equal, broken-stick or log-normal, so that the total is known by construction. In each, starts are
doubled from 50 until the coverage is 80 % (90, 95 %), as ``survey until=`` does, and every estimator says what it makes
of the counts, of single basins and of mirror pairs. Printed are: in how many landscapes its 95 % interval holds the
total, how many totals lie above it, its median width and the median error, both relative to the total. The same for the
coverage, whose true value is the share of all starts that end in the basins met.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from energylang.landscape.draws import stable_generator, starts
from energylang.landscape.layer import Landscape
from energylang.landscape.richness import chao1, richness
from energylang.landscape.survey import survey

Numbers = NDArray[Any]
Estimate = tuple[float, float, float]
KINDS = (
    (64, 6), (64, 8), (128, 16), (160, 20), (256, 20), (384, 20), (512, 20), (768, 20), (1024, 20), (384, 30),
)  # fmt: skip
TARGETS = (0.8, 0.9, 0.95)
Z = 1.96


@dataclass(frozen=True)
class Case:
    """A landscape: the basin of every start (−1: none), the mirror of every basin, all pairs that exist."""

    name: str
    basin: Numbers
    mirror: Numbers
    pairs: int

    @property
    def total(self) -> int:
        return 2 * self.pairs


def planted(dim: int, patterns: int, seed: int, count: int) -> Case:
    """A landscape of random sign patterns, surveyed exhaustively."""
    draws = stable_generator("richness", dim, patterns, seed)
    signs = 2.0 * torch.randint(0, 2, (patterns, dim), generator=draws) - 1
    landscape = Landscape(signs.T @ signs / dim, 7.0, 3)
    found = survey(landscape, starts(count, dim, draws, landscape.weight))
    mirror = found.mirror.numpy()
    return Case(
        f"{dim}x{patterns}", found.assignment.numpy(), mirror, len(folded(found.population.numpy(), mirror))
    )


def drawn(law: str, pairs: int, seed: int, count: int) -> Case:
    """Starts dealt to pairs of basins whose sizes follow a law."""
    rng = np.random.default_rng([seed, pairs])
    size = {
        "equal": np.ones(pairs),
        "broken stick": rng.exponential(size=pairs),
        "log-normal 1.5": np.exp(1.5 * rng.standard_normal(pairs)),
        "log-normal 2.5": np.exp(2.5 * rng.standard_normal(pairs)),
    }[law]
    share = np.repeat(size, 2)
    basin = rng.choice(2 * pairs, size=count, p=share / share.sum())
    return Case(law, basin, np.arange(2 * pairs) ^ 1, pairs)


def folded(counts: Numbers, mirror: Numbers) -> Numbers:
    """How often each pair was met, those that were met."""
    own = np.arange(len(counts))
    mutual = (mirror >= 0) & (mirror[mirror] == own)
    pairs = np.where(mutual, counts + counts[mirror], counts)[~mutual | (own < mirror)]
    return pairs[pairs > 0]


# ------------------------------------------------------------------------------------------ estimators


def by_formula(total: Callable[[Numbers], float]) -> Callable[[Numbers, int], Estimate]:
    """An estimator that is a formula in f (index: how often met), with Chao's log-normal interval; its variance by the
    delta method, the derivatives numerically."""

    def estimator(units: Numbers, n: int) -> Estimate:
        found = len(units)
        f = np.bincount(units.astype(int), minlength=14).astype(float)
        value = max(total(f), float(found))
        slope = np.zeros_like(f)
        for m in np.flatnonzero(f):
            more = f.copy()
            more[m] += 0.01
            slope[m] = (total(more) - total(f)) / 0.01
        variance = max(float((slope**2 * f).sum() - (slope * f).sum() ** 2 / value), 0.0)
        missed = value - found
        if missed <= 0:
            return float(found), float(found), float(found)
        spread = math.exp(Z * math.sqrt(math.log1p(variance / missed**2)))
        return value, found + missed / spread, found + missed * spread

    return estimator


def _ichao1(f: Numbers) -> float:
    n = float((np.arange(len(f)) * f).sum())
    a, f1, f2, f3, f4 = (n - 1) / n, f[1], f[2], f[3], max(f[4], 1.0)
    base = a * f1 * f1 / (2 * f2) if f2 else a * f1 * (f1 - 1) / 2
    more = (n - 3) / (4 * n) * f3 / f4 * max(f1 - (n - 3) / (2 * (n - 1)) * f2 * f3 / f4, 0.0)
    return float(f[1:].sum() + base + more)


def _ace(f: Numbers, again: bool) -> float:
    m = np.arange(11)
    rare, common = f[1:11].sum(), f[11:].sum()
    n = (m * f[:11]).sum()
    if n <= f[1] or n < 2:
        return float(common + rare + f[1] * (f[1] - 1) / (2 * (f[2] + 1)))
    covered = 1 - f[1] / n
    twice = (m * (m - 1) * f[:11]).sum()
    uneven = max(rare / covered * twice / (n * (n - 1)) - 1, 0.0)
    if again:
        uneven = max(uneven * (1 + n * (1 - covered) * twice / (n * (n - 1) * covered)), 0.0)
    return float(common + rare / covered + f[1] / covered * uneven)


def _jackknife(f: Numbers, order: int) -> float:
    n = float((np.arange(len(f)) * f).sum())
    if order == 1:
        return float(f[1:].sum() + f[1] * (n - 1) / n)
    return float(f[1:].sum() + f[1] * (2 * n - 3) / n - f[2] * (n - 2) ** 2 / (n * (n - 1)))


FORMULAS: dict[str, Callable[[Numbers, int], Estimate]] = {
    "Chao1": lambda units, n: chao1(units.astype(float), n, Z),
    "iChao1": by_formula(_ichao1),
    "ACE": by_formula(lambda f: _ace(f, False)),
    "ACE-1": by_formula(lambda f: _ace(f, True)),
    "jackknife 1": by_formula(lambda f: _jackknife(f, 1)),
    "jackknife 2": by_formula(lambda f: _jackknife(f, 2)),
}


# -------------------------------------------------------------------------------------------- judging


def judged(case: Case, target: float, times: int) -> Iterator[dict[str, Any]]:
    """What every estimator says when the coverage is first ``target``, in the order of the starts."""
    n = 50
    while times * n <= len(case.basin):
        met = case.basin[:n]
        counts = np.bincount(met[met >= 0], minlength=len(case.mirror))
        rows = np.flatnonzero(counts)
        place = np.full(len(counts), -1)
        place[rows] = np.arange(len(rows))
        there = case.mirror[rows]
        mirror = np.where(there >= 0, place[there], -1)
        seen, settled = counts[rows], int(counts.sum())
        pairs = richness(torch.from_numpy(seen), torch.from_numpy(mirror))
        if pairs.coverage is not None and pairs.coverage >= target:
            break
        n *= 2
    else:
        return
    alone = richness(torch.from_numpy(seen))
    everywhere = case.basin[case.basin >= 0]
    truth = float(np.isin(everywhere, rows).mean())
    about = {"landscape": case.name, "target": target, "starts": n, "total": case.total}
    for unit, made in (("basins", alone), ("pairs", pairs)):
        yield {
            **about,
            "of": unit,
            "estimator": "coverage",
            "truth": truth,
            "value": made.coverage,
            "low": made.coverage_low,
            "high": made.coverage_high,
        }
        yield {
            **about,
            "of": unit,
            "estimator": "log-normal",
            "truth": case.total,
            "value": made.estimate,
            "low": made.estimate_low,
            "high": made.estimate_high,
        }
        units, fold = (seen, 1) if unit == "basins" else (folded(seen, mirror), 2)
        for name, formula in FORMULAS.items():
            value, low, high = (fold * number for number in formula(units, settled))
            row = {
                "of": unit,
                "estimator": name,
                "truth": case.total,
                "value": value,
                "low": low,
                "high": high,
            }
            yield about | row


def table(rows: list[dict[str, Any]], title: str) -> str:
    """The rows as a Markdown table, one line per estimator and unit."""
    lines = [
        f"**{title}**",
        "",
        "| coverage | estimator | of | landscapes | holds | too low | width | error |",
        "|--|--|--|--:|--:|--:|--:|--:|",
    ]
    for target in TARGETS:
        for name in ("coverage", *FORMULAS, "log-normal"):
            for unit in ("basins", "pairs"):
                some = [r for r in rows if (r["target"], r["estimator"], r["of"]) == (target, name, unit)]
                if not some:
                    continue
                high = [math.inf if r["high"] is None else r["high"] for r in some]
                holds = sum(r["low"] <= r["truth"] <= top for r, top in zip(some, high, strict=True)) / len(
                    some
                )
                below = sum(top < r["truth"] for r, top in zip(some, high, strict=True)) / len(some)
                width = statistics.median(
                    (top - r["low"]) / r["truth"] for r, top in zip(some, high, strict=True)
                )
                errors = [r["value"] / r["truth"] - 1 for r in some if r["value"] is not None]
                error = statistics.median(errors) if errors else math.nan
                numbers = f"{len(some)} | {holds:.0%} | {below:.0%} | {width:.2f} | {error:+.0%}"
                lines.append(f"| {target:.0%} | {name} | {unit} | {numbers} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--landscapes", type=int, default=50)
    parser.add_argument("--starts", type=int, default=40_000)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, list[dict[str, Any]]] = {"planted": [], "drawn": []}
    for k in range(options.landscapes):
        dim, patterns = KINDS[k % len(KINDS)]
        case = planted(dim, patterns, k // len(KINDS), options.starts)
        print(f"{case.name}: {case.total} basins, {int((case.basin < 0).sum())} starts in none", flush=True)
        rows["planted"] += [row for target in TARGETS for row in judged(case, target, options.times)]
        law = ("equal", "broken stick", "log-normal 1.5", "log-normal 2.5")[k % 4]
        case = drawn(law, int(np.random.default_rng(k).integers(20, 201)), k, options.starts)
        rows["drawn"] += [row for target in TARGETS for row in judged(case, target, options.times)]
    print()
    print(table(rows["planted"], "Planted sign patterns, surveyed exhaustively"))
    print()
    print(table(rows["drawn"], "Sizes drawn from a law, 20 … 200 pairs"))
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
