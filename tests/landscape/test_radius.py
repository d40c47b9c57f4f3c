"""Radii: mirrors and batches agree to the last digit, seeds within their intervals, intervals hold the truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from energylang.errors import LandscapeError
from energylang.landscape import radius
from energylang.landscape.draws import stable_generator, starts
from energylang.landscape.layer import Landscape
from energylang.landscape.probes import return_rate
from energylang.landscape.radius import grown, radii, shrunk
from energylang.landscape.survey import survey

from .conftest import Planted, random_layer, tilted

Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def centres_of(layer: Landscape, count: int = 12) -> torch.Tensor:
    found = survey(layer, starts(80, layer.dim, stable_generator("radius test"), layer.weight))
    assert len(found)
    return found.centres[:count]


LAYERS = ["planted", "tilted", "symmetric", "double"]


def layer_of(kind: str, planted: Planted) -> Landscape:
    if kind == "planted":
        return planted(64, 9, dtype=torch.float32)[0]
    if kind == "double":
        return planted(40, 4)[0]
    if kind == "tilted":
        return tilted(planted(64, 9, dtype=torch.float32)[0])
    return random_layer(48, kind, seed=3, beta=6.0, dtype=torch.float32)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_mirror_has_the_same_radius(kind: str, planted: Planted) -> None:
    layer = layer_of(kind, planted)
    centres = centres_of(layer)
    both = radii(layer, torch.cat((centres, -centres))).rows()
    assert both[: len(centres)] == both[len(centres) :]
    noisy = -centres * (1 + 1e-6)  # a mirror is polished apart from its basin: the last digits differ
    assert radii(layer, noisy).rows() == both[: len(centres)]


@pytest.mark.parametrize("kind", LAYERS)
def test_a_radius_is_the_same_alone_and_among_others(kind: str, planted: Planted) -> None:
    layer = layer_of(kind, planted)
    centres = centres_of(layer)
    together = radii(layer, centres, 5).rows()
    for index, row in enumerate(together):
        assert radii(layer, centres[index : index + 1], 5).rows() == [row]
    assert radii(layer, centres.flip(0), 5).rows() == together[::-1]


@pytest.mark.parametrize("kind", LAYERS)
def test_seeds_agree_within_their_intervals(kind: str, planted: Planted) -> None:
    layer = layer_of(kind, planted)
    seeds = [radii(layer, centres_of(layer), seed) for seed in range(4)]
    pairs = [(a, b) for k, a in enumerate(seeds) for b in seeds[:k]]
    overlap = torch.cat([(a.low <= b.high) & (b.low <= a.high) for a, b in pairs])
    assert float(overlap.double().mean()) >= 0.9
    for one in seeds:
        assert bool((one.low <= one.r50).all())
        assert bool((one.r50 <= one.high).all())
        assert bool((one.r50 <= 2.0).all())
        assert bool(one.reached[one.r50 < 2.0].all())


def test_half_of_the_pushes_return_at_the_radius(planted: Planted) -> None:
    layer, _ = planted(64, 9)
    centres = centres_of(layer)
    found = radii(layer, centres)
    assert bool((found.high < 2.0).any())
    for index, (_, low, high, reached) in enumerate(found.rows()):
        centre = centres[index : index + 1]
        near = return_rate(layer, centre, max(0.0, low - 0.05), 400, stable_generator("near"))
        assert float(near) > 0.42
        if reached and high is not None:
            far = return_rate(layer, centre, high + 0.05, 400, stable_generator("far"))
            assert float(far) < 0.58


CURVES: dict[str, tuple[Curve, float]] = {
    "step": (lambda r: (r < 0.7) * 1.0, 0.7),
    "steep": (lambda r: 1 / (1 + np.exp((r - 0.9) / 0.03)), 0.9),
    "flat": (lambda r: 1 / (1 + np.exp((r - 1.2) / 0.3)), 1.2),
    "near the end": (lambda r: 1 / (1 + np.exp((r - 1.9) / 0.2)), 1.9),
    "beyond it": (lambda r: 1 / (1 + np.exp((r - 2.1) / 0.3)), 2.1),
    "one-sided": (lambda r: np.exp(-np.log(2) * (r / 0.4) ** 2), 0.4),
}


@pytest.mark.parametrize("name", CURVES)
def test_the_interval_holds_the_truth(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    curve, truth = CURVES[name]
    rng = np.random.default_rng(7)
    held = []
    for _ in range(60):
        noise, returned = np.zeros(0), np.zeros(0, dtype=bool)
        low, high = 0.0, 2.5
        for _ in range(2):
            levels = low + (min(high, 2.5) - low) * (np.arange(96) + 0.5) / 96
            noise = np.append(noise, levels)
            returned = np.append(returned, rng.random(96) < curve(levels))
            order = np.argsort(noise)
            noise, returned = noise[order], returned[order]
            low, high = radius.interval(noise, returned, 2.0)
        low, high = radius.interval(noise, returned, 1.14)
        assert low <= radius.crossing(noise, returned) <= high
        held.append(low <= truth <= high)
    assert np.mean(held) >= 0.85  # 0.95 is expected, and 60 draws of it are at least 0.87 in 99 of 100 runs


def test_one_pair_of_basins_reaches_beyond_the_range() -> None:
    pattern = torch.ones(16)
    layer = Landscape(torch.outer(pattern, pattern) / 16, 4.0)
    rows = radii(layer, centres_of(layer)).rows()
    assert rows
    for r50, low, high, reached in rows:
        assert (r50, high, reached) == (2.0, None, False)
        assert 1.0 < low <= 2.0


def test_what_does_not_attract_has_no_reach(planted: Planted) -> None:
    layer, _ = planted(64, 4)
    nowhere = 0.9 * torch.sign(torch.randn(2, 64, generator=stable_generator("nowhere")).double())
    assert bool((radii(layer, nowhere).r50 < 0.3).all())
    zero = torch.zeros(1, 64, dtype=torch.float64)
    assert radii(layer, zero).rows() == [(0.0, 0.0, 0.0, True)]
    assert radii(layer, zero[:0]).rows() == []


def test_neighbours_shrink_where_more_patterns_crowd_in() -> None:
    d = 64
    patterns = torch.sign(torch.randn(14, d, generator=stable_generator("shrink"), dtype=torch.float64))
    before, after = (Landscape(p.T @ p / d, 4.0) for p in (patterns[:6], patterns))
    centres = 0.99 * patterns[:6]
    one, two = radii(before, centres), radii(after, centres)
    assert bool(shrunk(one, two).any())
    assert not bool(shrunk(two, one).any())
    assert torch.equal(grown(two, one), shrunk(one, two))
    assert not bool(shrunk(one, radii(before, centres)).any())


def test_too_few_trials_and_other_dimensions() -> None:
    layer = random_layer(4, "psd")
    with pytest.raises(LandscapeError):
        radii(layer, torch.ones(1, 4), trials=5)
    with pytest.raises(LandscapeError):
        radii(layer, torch.ones(1, 5))
