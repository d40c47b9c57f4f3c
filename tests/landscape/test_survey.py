"""Surveys: planted patterns are found, every start is counted, stability and radius mean what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from energylang.errors import LandscapeError
from energylang.landscape.attractors import polish
from energylang.landscape.clusters import best_matching, gram, leaders
from energylang.landscape.dynamics import (
    TAU,
    Landscape,
    interaction_slope,
    perturbed,
    residual,
    settle,
    stable_generator,
    starts,
)
from energylang.landscape.stability import spectrum
from energylang.landscape.survey import BasinSet, return_rate, stability, survey

from .conftest import Planted, random_layer, tilted


def ordinary(layer: Landscape, n: int = 200, key: object = 0) -> BasinSet:
    return survey(layer, starts(n, layer.dim, stable_generator("survey", key), layer.weight))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_planted_patterns_are_found(planted: Planted, dtype: torch.dtype) -> None:
    layer, patterns = planted(64, 4, dtype=dtype)
    found = ordinary(layer, 400)
    best = gram(torch.cat((patterns, -patterns)), found.centres).amax(1)
    assert bool((best > 0.95).all())
    assert bool(found.is_fixed_point.all())
    assert bool(found.attracts.all())
    assert bool((found.residual < 1e-5).all())
    assert found.centres.dtype == dtype


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 24), st.sampled_from(["psd", "symmetric", "free"]), st.integers(0, 9999))
def test_every_start_is_counted_once_and_in_order(d: int, kind: str, seed: int) -> None:
    layer = random_layer(d, kind, seed=seed, beta=4.0)
    found = ordinary(layer, 60, seed)
    k = len(found)
    assert int(found.population.sum()) + found.origin_population + found.num_unsettled == 60
    assert torch.equal(torch.bincount(found.assignment[found.assignment >= 0], minlength=k), found.population)
    firsts = [int((found.assignment == i).nonzero()[0]) for i in range(k)]
    keys = [(-int(p), first) for p, first in zip(found.population, firsts, strict=True)]
    assert keys == sorted(keys)
    apart = gram(found.centres, found.centres).fill_diagonal_(-1.0)
    assert k == 0 or float(apart.max()) <= 0.95 + 1e-9
    assert found.usage_entropy <= math.log(max(k, 1)) + 1e-9
    for column in (found.energy, found.energy_reference, found.residual, found.stability, found.mirror):
        assert column.shape == (k,)


def test_mirrors_point_at_each_other_and_share_the_population(planted: Planted) -> None:
    layer, _ = planted(64, 4)
    half = starts(200, 64, stable_generator("m"), layer.weight)
    found = survey(layer, torch.cat((half, -half)))
    for i, j in enumerate(found.mirror.tolist()):
        assert j >= 0
        assert int(found.mirror[j]) == i
        assert int(found.population[i]) == int(found.population[j])
        assert float(found.energy[i]) == pytest.approx(float(found.energy[j]), rel=1e-6)


def test_pitfall_5_the_same_starts_give_the_same_bits(planted: Planted) -> None:
    layer, _ = planted(96, 6, dtype=torch.float32)
    one, two = (
        survey(layer, starts(150, 96, stable_generator(7), layer.weight), radius=True) for _ in range(2)
    )
    for a, b in (
        (one.centres, two.centres),
        (one.assignment, two.assignment),
        (one.stability, two.stability),
    ):
        assert torch.equal(a, b)
    assert one.radii is not None
    assert two.radii is not None
    assert one.radii.rows() == two.radii.rows()
    assert one.num_starts == 150


def test_the_origin_is_counted_apart() -> None:
    dead = survey(Landscape(torch.zeros(5, 5), 2.0), torch.ones(7, 5))
    assert len(dead) == 0
    assert dead.origin_population == 7
    assert dead.usage_entropy == 0.0
    assert bool((dead.assignment == -1).all())
    nothing = survey(Landscape(torch.eye(5), 2.0), torch.zeros(0, 5))
    assert len(nothing) == 0
    assert nothing.mean_iterations == 0.0


def test_a_saddle_is_not_reported() -> None:
    # x² dynamics of two patterns: their normalised sum is a fixed point by symmetry, and a saddle.
    layer = Landscape(torch.diag(torch.tensor([2.0, 2.0, 0.5], dtype=torch.float64)), 3.0, degree=2)
    saddle = polish(layer, torch.tensor([[0.9, 0.0, 0.0]], dtype=torch.float64))[0]
    assert float(residual(layer, saddle)) < 1e-5
    assert not bool(spectrum(layer, saddle)[1])
    found = survey(layer, saddle)
    assert len(found) == 1
    assert bool(found.attracts.all())
    assert float(found.centres[0, 1].abs()) > 0.5


@pytest.mark.parametrize("kind", ["psd", "symmetric", "free"])
@pytest.mark.parametrize("d", [1, 2, 20, 32, 90])
def test_stability_is_that_of_the_damped_map(kind: str, d: int) -> None:
    layer = random_layer(d, kind, beta=3.0)
    x = torch.tanh(starts(6, d, stable_generator("stab"), layer.weight))
    diagonal = layer.beta * (1 - x * x)
    jacobians = diagonal[:, :, None] * layer.weight * interaction_slope(x, 3)[:, None, :]
    damped = 0.9 * np.eye(d) + 0.1 * jacobians.numpy()
    wanted = torch.tensor(np.abs(np.linalg.eigvals(damped)).max(1) - 0.9) / 0.1
    got = stability(layer, x)
    # Exact up to d = 32; beyond, leading eigenvalues of nearly equal modulus blur a free matrix most.
    tolerance = 1e-3 if d <= 32 else (0.01 if kind != "free" else 0.05)
    assert torch.allclose(got, wanted, rtol=tolerance, atol=tolerance)
    assert torch.equal(got, spectrum(layer, x)[0])
    assert torch.equal(got < 1.0, spectrum(layer, x)[1])


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 40), st.sampled_from(["psd", "symmetric", "free", "tilted"]), st.integers(0, 999))
def test_a_small_kick_returns_exactly_where_stability_is_below_one(d: int, kind: str, seed: int) -> None:
    layer = random_layer(d, "psd" if kind == "tilted" else kind, seed=seed, beta=3.0)
    layer = tilted(layer) if kind == "tilted" else layer
    begin = starts(24, d, stable_generator("law", seed), layer.weight)
    states, gap = polish(layer, settle(layer, begin, tau=(0.1, 0.1)).states, tolerance=1e-12, max_iter=3000)
    states = states[(gap < 1e-10) & states.any(1)]
    if not len(states):
        return
    found, attracts = spectrum(layer, states)
    kicked = perturbed(states, 1e-6, 1, stable_generator("kick", seed)).squeeze(1)
    before = (kicked - states).norm(dim=1)
    x = kicked
    for _ in range(2500):
        x = x + TAU[1] * (layer.image(x) - x)
    further = (x - states).norm(dim=1) > before
    sure = (found - 1.0).abs() > 0.03
    assert torch.equal(further[sure], ~attracts[sure])


def test_stability_of_degenerate_states() -> None:
    layer = random_layer(50, "symmetric", dtype=torch.float32)
    ends = stability(layer, torch.stack((torch.zeros(50), torch.ones(50), -torch.ones(50))))
    assert torch.equal(ends, torch.zeros(3))
    assert stability(layer, torch.zeros(0, 50)).shape == (0,)


@pytest.mark.parametrize(
    ("leading", "wanted"),
    [
        (0.5, 0.5),
        (0.97, 0.97),
        (1.03, 1.03),
        (1.5, 1.5),
        (-1.5, 0.0),
        (-9.0, 0.0),
        (-18.8, 0.8),
        (-25.0, 7.0),
    ],
)
def test_stability_where_it_is_known(leading: float, wanted: float) -> None:
    # Coordinates that do not interact, β = 1, p = 2: at the origin J is the weight itself. A negative eigenvalue makes
    # undamped steps overshoot; damped ones die out down to −19, where 0.9 + 0.1·λ is −1.
    layer = Landscape(torch.diag(torch.tensor([leading, 0.0, 0.0], dtype=torch.float64)), 1.0, degree=2)
    origin = torch.zeros(1, 3, dtype=torch.float64)
    found, attracts = spectrum(layer, origin)
    assert float(found) == pytest.approx(wanted, abs=1e-3)
    kicked = origin + torch.tensor([1e-6, 0.0, 0.0])
    end = settle(layer, kicked, tau=(0.1, 0.1), eps=1e-12, max_iter=800).states
    assert bool(attracts) == (float(end.norm()) < 1e-6) == (wanted < 1.0)


@pytest.mark.parametrize("strength", [-1.2, -3.0])
def test_polish_damps_two_cycles(strength: float) -> None:
    # f(x) = x and a negative weight: undamped steps oscillate for ever around the origin's neighbours.
    g = stable_generator("osc")
    q, _ = torch.linalg.qr(torch.randn(6, 6, generator=g).double())
    layer = Landscape(q @ torch.diag(torch.tensor([2.0, 1.5, *[strength] * 4]).double()) @ q.T, 1.0, 2)
    centre, gap = polish(layer, 0.5 * q[:, 0][None] + 0.1 * q[:, 3][None])
    assert float(gap) < 1e-5
    assert float(residual(layer, centre)) < 1e-5


def test_nothing_pushed_returns_and_nothing_asked_is_empty(planted: Planted) -> None:
    layer, patterns = planted(64, 7)
    centres = polish(layer, settle(layer, 0.9 * patterns).states)[0]
    assert float(return_rate(layer, centres, 0.0, 2, stable_generator("0")).min()) == 1.0
    assert return_rate(layer, centres[:0], 0.1, 2, stable_generator("0")).shape == (0,)


def test_leaders_are_greedy() -> None:
    x = torch.randn(120, 3, generator=stable_generator("l"), dtype=torch.float64)
    label, first = leaders(x, 0.8)
    cosines = gram(x, x)
    wanted: list[int] = []
    for i in range(120):
        if all(float(cosines[i, j]) <= 0.8 for j in wanted):
            wanted.append(i)
    assert first.tolist() == wanted
    joined = [
        next(n for n, j in enumerate(wanted) if j == i or float(cosines[i, j]) > 0.8) for i in range(120)
    ]
    assert label.tolist() == joined


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 9999), st.sampled_from([0.0, 0.4, 0.7]))
def test_matching_is_optimal(n: int, m: int, seed: int, above: float) -> None:
    from itertools import permutations

    values = torch.rand(n, m, generator=stable_generator(seed)).double()
    pairs = best_matching(values, above)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert all(float(values[i, j]) > above for i, j in pairs)
    allowed = torch.where(values > above, values, 0.0)
    table = allowed if n <= m else allowed.T
    best = max(
        sum(float(table[i, j]) for i, j in enumerate(chosen))
        for chosen in permutations(range(table.shape[1]), table.shape[0])
    )
    assert sum(float(values[i, j]) for i, j in pairs) == pytest.approx(best)


def test_a_parameter_is_surveyed_without_a_graph() -> None:
    layer = Landscape(torch.nn.Parameter(torch.eye(6) * 2), 3.0)
    found = survey(layer, starts(20, 6, stable_generator(0), layer.weight))
    assert len(found) > 0
    assert not found.centres.requires_grad
    assert not found.energy.requires_grad


def test_bad_parameters() -> None:
    layer = random_layer(4, "psd")
    with pytest.raises(LandscapeError):
        survey(layer, torch.zeros(3, 4), merge_cosine=1.5)
    with pytest.raises(LandscapeError):
        survey(layer, torch.full((3, 4), torch.nan))
    with pytest.raises(LandscapeError):
        return_rate(layer, torch.ones(1, 5), 0.1, 4, stable_generator(0))


def test_leaders_in_blocks_are_those_of_one_gram_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    from energylang.landscape import clusters

    generator = stable_generator("leaders")
    centres = torch.randn(9, 6, generator=generator)
    x = centres[torch.randint(9, (400,), generator=generator)] + 0.25 * torch.randn(
        400, 6, generator=generator
    )
    for either_sign in (False, True):
        whole = clusters.leaders(x, 0.9, either_sign=either_sign)
        monkeypatch.setattr(clusters, "_BLOCK", 37)
        parts = clusters.leaders(x, 0.9, either_sign=either_sign)
        monkeypatch.undo()
        assert torch.equal(whole[0], parts[0])
        assert torch.equal(whole[1], parts[1])
