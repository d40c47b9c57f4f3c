"""How many basins in all: what must hold of any counts, and calibration where the number is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from energylang.errors import LandscapeError
from energylang.landscape.draws import stable_generator, starts
from energylang.landscape.layer import Landscape
from energylang.landscape.richness import BOUND, Richness, richness
from energylang.landscape.survey import BasinSet, survey

pair_counts = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=40)


def of_pairs(pairs: list[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Populations and mirrors of pairs that lie side by side."""
    counts = torch.tensor(pairs).flatten()
    return counts, torch.arange(len(counts)) ^ 1


def dealt(share: np.ndarray, count: int, seed: int) -> tuple[Richness, float, np.ndarray]:
    """Starts dealt to pairs of basins with these shares: what is made of them, the true coverage, the counts."""
    every = np.repeat(share / share.sum() / 2, 2)
    counts = np.random.default_rng(seed).multinomial(count, every)
    met = np.flatnonzero(counts)
    place = {int(k): i for i, k in enumerate(met)}
    mirror = torch.tensor([place.get(int(k) ^ 1, -1) for k in met])
    return richness(torch.from_numpy(counts[met]), mirror), float(every[met].sum()), counts


@settings(max_examples=60, deadline=None)
@given(pair_counts, st.booleans(), st.sampled_from([0.5, 0.8, 0.95, 0.99]))
def test_the_ends_are_in_order_and_nothing_known_is_denied(
    pairs: list[tuple[int, int]], fold: bool, level: float
) -> None:
    counts, mirror = of_pairs(pairs)
    made = richness(counts, mirror if fold else None, level=level)
    assert made.found == int((counts > 0).sum()) and made.starts == int(counts.sum())
    assert made.singletons == int((counts == 1).sum()) and made.doubletons == int((counts == 2).sum())
    assert made.estimate_low >= len(counts) >= made.found  # all that are listed exist
    if made.estimate is None:
        assert made.estimate_high is None and made.estimator == BOUND
    else:
        assert made.estimate_high is not None
        assert made.estimate_low <= made.estimate <= made.estimate_high
    if made.starts:
        assert made.coverage is not None and made.coverage_low is not None and made.coverage_high is not None
        assert 0 <= made.coverage_low <= made.coverage <= made.coverage_high <= 1
    else:
        assert made.coverage is None


@settings(max_examples=30, deadline=None)
@given(pair_counts)
def test_a_surer_interval_holds_the_less_sure_one(pairs: list[tuple[int, int]]) -> None:
    counts, mirror = of_pairs(pairs)
    narrow, wide = richness(counts, mirror, level=0.8), richness(counts, mirror, level=0.99)
    assert wide.estimate_low <= narrow.estimate_low
    if narrow.coverage_low is not None and wide.coverage_low is not None:
        assert wide.coverage_low <= narrow.coverage_low
    if wide.estimate_high is not None:
        assert narrow.estimate_high is not None and narrow.estimate_high <= wide.estimate_high
        assert narrow.estimate == wide.estimate


@settings(max_examples=40, deadline=None)
@given(pair_counts, st.randoms(use_true_random=False))
def test_neither_the_order_nor_the_split_of_a_pair_matters(pairs: list[tuple[int, int]], rng) -> None:  # type: ignore[no-untyped-def]
    """A pair's starts might as well have been split otherwise; only its two members' own counts then change."""
    whole = [a + b for a, b in pairs]
    cut = [rng.randint(0, n) for n in whole]
    split = [(k, n - k) for k, n in zip(cut, whole, strict=True)]
    rng.shuffle(split)
    one, other = richness(*of_pairs(pairs)), richness(*of_pairs(split))
    for name in ("estimate", "estimate_low", "estimate_high", "estimator", "starts"):
        assert getattr(one, name) == getattr(other, name)
    if one.coverage is not None:
        assert one.coverage == pytest.approx(other.coverage, abs=1e-9)


def test_a_basin_without_its_mirror_is_half_a_pair() -> None:
    alone = richness(torch.tensor([9, 9]), torch.tensor([-1, -1]))
    assert alone.found == 2 and alone.estimate_low >= 4
    both = richness(torch.tensor([9, 9]), torch.tensor([1, 0]))
    assert both.estimate_low == 2


def test_what_was_met_often_is_all_there_is() -> None:
    made = richness(torch.full((40,), 100), torch.arange(40) ^ 1)
    assert (made.estimate_low, made.estimate, made.estimate_high) == (40, 40, 40)
    assert made.coverage == pytest.approx(1.0, abs=1e-9)


def test_only_singletons_give_a_bound_and_no_number() -> None:
    made = richness(torch.ones(100, dtype=torch.long), torch.full((100,), -1))
    assert made.estimate is None and made.estimate_high is None
    assert made.estimate_low > 400  # with 100 pairs there would be 32 repeats among 100 starts
    assert made.coverage is not None and made.coverage < 0.01
    # It is a bound: dealt to twice as many pairs as the bound says, 100 starts hardly ever meet more often.
    repeats = [int((dealt(np.ones(made.estimate_low), 100, seed)[2] > 1).sum()) for seed in range(20)]
    assert np.mean(repeats) < 3.7


def test_nothing_and_nonsense() -> None:
    empty = richness(torch.zeros(0, dtype=torch.long))
    assert (empty.found, empty.coverage, empty.estimate, empty.estimate_low) == (0, None, None, 0)
    with pytest.raises(LandscapeError):
        richness(torch.tensor([-1, 2]))
    with pytest.raises(LandscapeError):
        richness(torch.tensor([1, 2]), level=1.0)


LAWS = {
    "equal": lambda rng, n: np.ones(n),
    "broken stick": lambda rng, n: rng.exponential(size=n),
    "log-normal": lambda rng, n: np.exp(2.0 * rng.standard_normal(n)),
}


def test_the_intervals_hold_known_numbers() -> None:
    """20 … 200 pairs of three laws, 60 landscapes in all, judged from where the coverage is 80 %."""
    total, covered, judged = 0, 0, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        pairs = int(rng.integers(20, 201))
        share = list(LAWS.values())[seed % 3](rng, pairs)
        for count in (100, 200, 400, 800, 1600, 3200):
            made, truth, _ = dealt(share, count, seed)
            if (made.coverage or 0) >= 0.8:
                break
        judged += 1
        total += made.estimate_low <= 2 * pairs <= (made.estimate_high or 10**9)
        covered += (made.coverage_low or 0) <= truth <= (made.coverage_high or 0)
    assert judged == 60
    assert total >= 54 and covered >= 54


def test_folding_mirrors_sharpens_the_coverage() -> None:
    folded, plain = [], []
    for seed in range(60):
        share = np.exp(2.0 * np.random.default_rng(seed).standard_normal(100))
        made, truth, counts = dealt(share, 300, seed)
        folded.append(((made.coverage or 0) - truth) ** 2)
        plain.append(((richness(torch.from_numpy(counts[counts > 0])).coverage or 0) - truth) ** 2)
    assert np.mean(folded) < 0.8 * np.mean(plain)


def planted_landscape(dim: int, patterns: int, seed: int) -> Landscape:
    draws = stable_generator("known number", dim, patterns, seed)
    signs = 2.0 * torch.randint(0, 2, (patterns, dim), generator=draws) - 1
    return Landscape(signs.T @ signs / dim, 7.0, 3)


def judged_by_exhaustion(landscape: Landscape, most: int) -> tuple[bool, Richness, int]:
    """Double the starts from 50 to a coverage of 80 %; does the interval hold what ``most`` starts find?"""
    draws = stable_generator("exhaustive", landscape.dim)
    states = starts(most, landscape.dim, draws, landscape.weight)
    count = 50
    while True:
        made = of_survey(survey(landscape, states[:count]))
        if (made.coverage or 0) >= 0.8 or count * 20 > most:
            break
        count *= 2
    everything = survey(landscape, states)
    total = richness(everything.population, everything.mirror).estimate_low if len(everything) else 0
    known = 2 * int(((everything.mirror < 0) | (everything.mirror > torch.arange(len(everything)))).sum())
    assert total >= known
    return made.estimate_low <= known <= (made.estimate_high or 10**9), made, known


def of_survey(found: BasinSet) -> Richness:
    return richness(found.population, found.mirror)


@pytest.mark.parametrize("seed", range(3))
def test_a_small_planted_landscape_is_within_the_interval(seed: int) -> None:
    holds, made, known = judged_by_exhaustion(planted_landscape(64, 6, seed), 4000)
    assert holds, (made, known)
    assert made.coverage is not None and made.coverage >= 0.8


@pytest.mark.slow
def test_thirty_planted_landscapes() -> None:
    kinds = (
        (64, 6),
        (64, 8),
        (128, 16),
        (160, 20),
        (256, 20),
        (384, 20),
        (512, 20),
        (384, 30),
        (96, 8),
        (320, 20),
    )
    judged, held = 0, 0
    for k in range(30):
        dim, patterns = kinds[k % 10]
        holds, made, _ = judged_by_exhaustion(planted_landscape(dim, patterns, k // 10), 12_800)
        if (made.coverage or 0) >= 0.8:
            judged += 1
            held += holds
    assert judged >= 27
    assert held >= 0.9 * judged
