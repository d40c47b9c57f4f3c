"""p-values of drifts: in (0, 1], not too small for random edits, and small for what random edits do not do."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from energylang.landscape.chance import chance, discoveries, overlap_tail
from energylang.landscape.clusters import cosine_rows, gram
from energylang.landscape.draws import stable_generator
from energylang.landscape.dynamics import Landscape, interaction, settle, settle_variants
from energylang.landscape.lowrank import Grid


def planted(d: int, n: int, seed: int) -> tuple[Landscape, torch.Tensor]:
    """n random patterns and where they rest; close to each other for their number, so that pushes move some."""
    states = torch.sign(torch.randn(n, d, generator=stable_generator("planted", seed)))
    layer = Landscape(states.T @ states / d, 4.0)
    return layer, settle(layer, states).states


@pytest.mark.parametrize("dim", [2, 3, 5, 64, 300])
def test_the_tail_of_an_overlap_is_its_share_of_random_directions(dim: int):
    drawn = torch.randn(20000, dim, generator=stable_generator("sphere", dim), dtype=torch.float64)
    overlap = (drawn[:, 0] / torch.linalg.vector_norm(drawn, dim=1)).abs()
    for c in overlap.quantile(torch.tensor([0.05, 0.5, 0.9, 0.99], dtype=torch.float64)):
        share = float((overlap >= c).double().mean())
        assert float(overlap_tail(c, dim)) == pytest.approx(share, abs=0.01)
    assert float(overlap_tail(torch.tensor(0.0), dim)) == pytest.approx(1)


def test_the_tail_falls_and_stays_above_zero():
    c = torch.linspace(0, 1, 1001)
    for dim in (1, 2, 3, 64, 4096):
        tail = overlap_tail(c, dim)
        assert bool((tail.diff() <= 0).all())
        assert bool((tail > 0).all())
        assert torch.equal(tail, overlap_tail(-c, dim))


@pytest.mark.parametrize("count", [1, 20])
@pytest.mark.parametrize("size", [0.5, 2.0])
def test_p_values_of_random_edits_are_not_too_small(count: int, size: float):
    """What is tested is what the null draws: at most a share α of the p-values is ≤ α (Kolmogorov–Smirnov,
    one-sided)."""
    layer, centres = planted(48, 5, 3)
    rest = settle(layer, centres).states
    trials = 400
    drawn = torch.randn(2, trials, 1, 48, generator=stable_generator("edits"))
    left, right = torch.nn.functional.normalize(drawn, dim=3)
    edits = Grid(size * left, right)
    drift = (1 - cosine_rows(settle_variants(layer, centres, edits).states, rest)).clamp_min(0)
    overlap = right[:, 0] @ torch.nn.functional.normalize(interaction(centres, 3), dim=1).T
    p = torch.cat(
        [  # placebos of their own for every ten edits
            chance(
                layer, centres, rest, edits.norms[k : k + 10], count, stable_generator("null", k)
            ).p_values(drift[k : k + 10], overlap[k : k + 10])
            for k in range(0, trials, 10)
        ]
    ).flatten()
    assert bool(((p > 0) & (p <= 1)).all())
    for alpha in (0.01, 0.05, 0.1, 0.3, 0.6):
        assert float((p <= alpha).double().mean()) <= alpha + 3 * (alpha * (1 - alpha) / trials) ** 0.5
    if size == 2.0:
        assert float((p < 0.3).double().mean()) > 0.05, "and they are no constant"


def test_p_values_agree_with_counting():
    """Where plain placebos can tell, the p-value is the share of them that does as much."""
    layer, centres = planted(48, 5, 3)
    rest = settle(layer, centres).states
    norms = torch.full((1,), 2.0, dtype=torch.float64)
    counted = chance(layer, centres, rest, norms, 3000, stable_generator("many"))
    asked = chance(layer, centres, rest, norms, 400, stable_generator("few"))
    drift = counted.plain[0].double().quantile(torch.tensor([0.8, 0.9, 0.97], dtype=torch.float64), dim=0)
    far = torch.ones(1, 5)  # an overlap that no random edit has
    for row in drift:
        share = (counted.plain[0] >= row).double().mean(0)
        p = asked.p_values(row[None], far)[0]
        assert bool((p >= 0.5 * share).all())
        assert bool((p <= 2 * share + 0.03).all())


def test_no_effect_has_the_p_value_one():
    layer, centres = planted(64, 3, 1)
    rest = settle(layer, centres).states
    null = chance(layer, centres, rest, torch.ones(2), 20, stable_generator("x"))
    assert torch.equal(
        null.p_values(torch.zeros(2, 3), torch.ones(2, 3)), torch.ones(2, 3, dtype=torch.float64)
    )


def test_a_larger_drift_has_no_larger_p_value():
    layer, centres = planted(48, 5, 3)
    rest = settle(layer, centres).states
    null = chance(layer, centres, rest, torch.full((9,), 2.0), 20, stable_generator("x"))
    drift = torch.linspace(0.01, 2, 9)[:, None].expand(9, 5)
    p = null.p_values(drift, torch.full((9, 5), 0.5))
    assert bool((p.diff(dim=0) <= 0).all())


def test_a_single_placebo_has_no_spread():
    layer, centres = planted(48, 5, 3)
    rest = settle(layer, centres).states
    _, spread = chance(layer, centres, rest, torch.ones(2), 1, stable_generator("x")).moments()
    assert bool(spread.isnan().all())


def test_edits_of_any_size_get_placebos_no_smaller_than_they_are():
    layer, centres = planted(48, 2, 3)
    norms = torch.logspace(-3, 1, 40, dtype=torch.float64)
    null = chance(layer, centres, settle(layer, centres).states, norms, 2, stable_generator("x"))
    assert null.drift.shape[0] <= 7
    assert null.group.shape == (40,)
    sizes = [float(norms[null.group == k].max()) for k in range(null.drift.shape[0])]
    assert all(sizes[int(g)] >= float(norm) for g, norm in zip(null.group, norms, strict=True))


def test_nothing_has_no_placebos():
    layer, _ = planted(8, 1, 0)
    none = torch.zeros(0, 8)
    null = chance(layer, none, none, torch.zeros(0), 20, stable_generator("x"))
    assert null.p_values(torch.zeros(0, 0), gram(none, none)).shape == (0, 0)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1e-12, 1.0), min_size=1, max_size=40))
def test_discoveries_are_those_of_benjamini_and_hochberg(values: list[float]):
    p = torch.tensor(values, dtype=torch.float64)
    q = discoveries(p)
    assert bool((q >= p).all())
    assert bool((q <= 1).all())
    for level in (0.01, 0.05, 0.3):
        ordered = sorted(values)
        passed = [k for k, value in enumerate(ordered, 1) if value <= level * k / len(ordered)]
        cut = ordered[passed[-1] - 1] if passed else -1.0
        near = any(abs(value - level * k / len(ordered)) < 1e-12 for k, value in enumerate(ordered, 1))
        assert near or [bool(x) for x in q <= level] == [value <= cut for value in values]
