"""Landscapes in closed form: every pattern attracts, what is new is held, a splice of nothing is nothing."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.landscape import fitted as module
from energylang.landscape.clusters import gram, normalised
from energylang.landscape.components import leading
from energylang.landscape.coverage import choose, diverted, measure, share
from energylang.landscape.diversion import divert
from energylang.landscape.draws import stable_generator
from energylang.landscape.fitted import Fitted, fit, leading_eigenvalue, projection
from energylang.landscape.kmeans import spherical
from energylang.landscape.layer import Landscape, residual
from energylang.landscape.stability import stability
from energylang.landscape.survey import survey

WIDTH, ANSWER, DIM = 24, 10, 96


def mixture(
    groups: int, n: int, *, noise: float = 0.2, seed: int = 0, draw: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs (n, 24), outputs (n, 10) and the groups (n,) of a Gaussian mixture; ``draw`` draws other tokens of it."""
    make = stable_generator("mixture", groups, seed)
    means, answers = (torch.randn(groups, width, generator=make) for width in (WIDTH, ANSWER))
    drawn = stable_generator("tokens", groups, seed, draw)
    group = torch.randint(groups, (n,), generator=drawn)
    inputs, outputs = (
        rows[group] + noise * torch.randn(n, rows.shape[1], generator=drawn) for rows in (means, answers)
    )
    return inputs, outputs, group


def fitted_to(groups: int, *, n: int = 400, noise: float = 0.2, seed: int = 0, fit_seed: int = 0) -> Fitted:
    inputs, outputs, _ = mixture(groups, n, noise=noise, seed=seed)
    draws = stable_generator("fit", fit_seed)
    return fit(inputs, outputs, groups, max(2, groups - 1), draws, dim=DIM)


@pytest.fixture(scope="module")
def six() -> Fitted:
    return fitted_to(6)


# ------------------------------------------------------------------------------------ the landscape


@settings(max_examples=25, deadline=None)
@given(
    st.integers(2, 12),
    st.floats(0.9, 0.9999),
    st.integers(2, 4),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(0, 999),
)
def test_all_patterns_are_fixed_and_attract(
    basins: int, gain: float, degree: int, dtype: torch.dtype, seed: int
) -> None:
    inputs = torch.randn(80, 8, generator=stable_generator("all", seed)).to(dtype)
    found = fit(inputs, None, basins, 4, stable_generator(seed), dim=48, gain=gain, degree=degree)
    assert found.weight.dtype == dtype
    assert torch.equal(found.weight, found.weight.T)
    assert found.landscape.definite
    assert float(residual(found.landscape, found.centres).max()) < 1e-5
    promised = leading_eigenvalue(gain, degree)
    measured = stability(found.landscape, found.centres)
    assert promised < 1.0
    assert measured.tolist() == pytest.approx([promised] * basins, abs=2e-3)


def test_the_weight_is_a_projection() -> None:
    patterns = torch.randn(7, 40, generator=stable_generator("p")).sign().double()
    weight = projection(patterns)
    assert torch.allclose(weight @ weight, weight, atol=1e-12)
    assert torch.allclose(patterns @ weight, patterns, atol=1e-12)
    assert float(weight.trace()) == pytest.approx(7.0)
    with pytest.raises(LandscapeError, match="alike"):
        projection(torch.cat((patterns, patterns[:1])))


def test_the_engine_surveys_it(six: Fitted) -> None:
    found = survey(six.landscape, six.settle(mixture(6, 200, draw=1)[0]))
    nearest = gram(found.centres, six.centres).amax(1)
    assert bool(found.attracts.all())
    assert int(found.population[nearest > 0.95].sum()) >= 190


# ------------------------------------------------------------------------------------ settling


@settings(max_examples=15, deadline=None)
@given(st.integers(3, 8), st.floats(0.05, 0.25), st.integers(0, 999))
def test_separate_groups_are_covered(groups: int, noise: float, seed: int) -> None:
    found = fitted_to(groups, noise=noise, seed=seed)
    inputs, outputs, group = mixture(groups, 300, noise=noise, seed=seed, draw=1)
    seen = measure(found, inputs, outputs)
    assert seen.coverage.value >= 0.95
    assert seen.own.value >= 0.95
    assert seen.explained is not None
    assert seen.explained.value > 0.8
    basin = found.basin(found.settle(inputs))
    pairs = {(int(a), int(b)) for a, b in zip(group, basin, strict=True) if b >= 0}
    assert len(pairs) == groups  # one basin for every group


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 999), st.booleans())
def test_settling_is_deterministic_and_knows_no_neighbours(seed: int, edited: bool) -> None:
    found = fitted_to(5, seed=seed % 3)
    inputs = mixture(5, 60, noise=0.6, seed=seed % 3, draw=seed)[0]
    weight = found.weight * 0.9 if edited else None
    states = found.settle(inputs, weight)
    assert torch.equal(found.settle(inputs, weight), states)
    order = torch.randperm(60, generator=stable_generator("order", seed))
    assert torch.allclose(found.settle(inputs[order], weight), states[order], atol=1e-4)
    assert torch.allclose(found.drive(inputs[order]), found.drive(inputs)[order], atol=1e-5)


def test_rows_that_are_moved_in_parts_come_to_the_same(six: Fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = mixture(6, 50, noise=0.5, draw=3)[0]
    whole = six.settle(inputs)
    monkeypatch.setattr(module, "_ROWS", 7 * DIM)
    assert torch.allclose(six.settle(inputs), whole, atol=1e-4)
    assert six.settle(inputs[:0]).shape == (0, DIM)


def test_the_same_seed_fits_the_same_bits() -> None:
    one, two = fitted_to(5), fitted_to(5)
    for name in ("weight", "groups", "patterns", "counts", "contents"):
        assert torch.equal(getattr(one, name), getattr(two, name))


@pytest.mark.parametrize("seed", range(3))
def test_seeds_agree_within_their_errors(seed: int) -> None:
    """Four times as many basins as there are groups: a fifth of the tokens lies between them."""
    reading = mixture(6, 800, noise=0.8)[0]

    def seen(fit_seed: int) -> tuple[float, float]:
        found = fit(reading, None, 24, 12, stable_generator("seeds", fit_seed), dim=DIM)
        value, error, _ = measure(found, mixture(6, 400, noise=0.8, draw=fit_seed + 1)[0]).coverage
        return value, error

    (one, first), (two, second) = seen(seed), seen(seed + 3)
    assert 0.6 < one < 0.95
    assert first == pytest.approx((one * (1 - one) / 399) ** 0.5)
    assert abs(one - two) <= 4.0 * math.hypot(first, second)


def test_inputs_of_half_precision_are_read(six: Fitted) -> None:
    inputs = mixture(6, 40, draw=2)[0]
    states = six.settle(inputs.bfloat16())
    assert states.dtype == torch.float32
    assert torch.equal(six.basin(states), six.basin(six.settle(inputs)))


# ------------------------------------------------------------------------------------ what it says


def test_a_basin_says_the_mean_of_what_settles_in_it(six: Fitted) -> None:
    inputs, outputs, _ = mixture(6, 400)
    assert six.contents is not None
    assert torch.allclose(six.read(six.centres), six.contents, atol=1e-4)
    basin = six.basin(six.settle(inputs))
    assert torch.equal(torch.bincount(basin[basin >= 0], minlength=6), six.counts)
    for k in range(6):
        assert torch.allclose(six.contents[k], outputs[basin == k].mean(0), atol=1e-5)


def test_a_basin_that_nothing_met_says_the_usual(six: Fitted) -> None:
    outputs = mixture(6, 400)[1]
    empty = module._filled(six, torch.full((400,), -1), outputs)
    assert empty.contents is not None
    assert empty.usual is not None
    assert bool((empty.contents == empty.usual).all())
    assert int(empty.counts.sum()) == 0


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 999), st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
def test_a_splice_of_the_same_weight_keeps_every_bit(seed: int, dtype: torch.dtype) -> None:
    found = fitted_to(5)
    inputs, outputs, _ = mixture(5, 50, noise=1.0, draw=seed)
    inputs, outputs = inputs.to(dtype), outputs.to(dtype)
    outputs[0], outputs[1, 0] = -0.0, torch.inf
    for weight in (found.weight, found.weight.clone(), found.landscape.with_weight(found.weight.clone())):
        after = found.spliced(inputs, outputs, weight)
        assert after.dtype == dtype
        assert torch.equal(after.view(torch.uint8), outputs.view(torch.uint8))


def test_a_splice_adds_what_the_edited_landscape_says(six: Fitted) -> None:
    inputs, outputs, _ = mixture(6, 100, draw=4)
    weight = six.landscape.edited(divert(six, inputs, 0, 1).factors).weight
    after = six.spliced(inputs, outputs, weight)
    expected = outputs + six.read(six.settle(inputs, weight)) - six.read(six.settle(inputs))
    assert torch.allclose(after, expected, atol=1e-4)
    assert not torch.allclose(after, outputs, atol=0.1)


# ------------------------------------------------------------------------------------ redirects


@settings(max_examples=10, deadline=None)
@given(st.integers(4, 10), st.integers(0, 999))
def test_a_redirected_basin_arrives_and_the_others_stay(groups: int, seed: int) -> None:
    found = fitted_to(groups, seed=seed)
    reading, fresh = (mixture(groups, 400, seed=seed, draw=draw)[0] for draw in (1, 2))
    source, target = seed % groups, (seed + 1) % groups
    proposal = divert(found, reading, source, target)
    assert proposal.factors.rank == 1
    moved = diverted(found, found.landscape.edited(proposal.factors), fresh, source, target)
    assert moved.arrive.value >= 0.9
    assert moved.stay.value >= 0.9


def test_a_redirect_needs_basins_and_tokens(six: Fitted) -> None:
    inputs = mixture(6, 50)[0]
    for pair in ((0, 6), (-1, 2)):
        with pytest.raises(LandscapeError, match="no basin"):
            divert(six, inputs, *pair)
    some = inputs[six.basin(six.settle(inputs)) == 1]
    with pytest.raises(LandscapeError, match="none of the"):
        divert(six, some, 0, 1)


# ------------------------------------------------------------------------------------ measures and choice


@pytest.mark.parametrize("seed", range(3))
def test_a_cloud_without_groups_is_covered_by_chance_alone(seed: int) -> None:
    scale = torch.linspace(0.5, 2.0, WIDTH)
    reading, fresh = (
        scale * torch.randn(1000, WIDTH, generator=stable_generator("cloud", seed, k)) + 3.0 for k in (0, 1)
    )
    seen = measure(fit(reading, None, 24, 8, stable_generator(seed), dim=DIM), fresh)
    assert abs(seen.coverage.value - seen.chance.value) <= 4.0 * math.hypot(
        seen.coverage.error, seen.chance.error
    )
    grouped, apart = (mixture(24, 1000, noise=0.2, seed=seed, draw=k)[0] for k in (0, 1))
    held = measure(fit(grouped, None, 24, 20, stable_generator(seed), dim=DIM), apart)
    assert held.coverage.value > held.chance.value + 0.3


def test_the_error_of_a_share_is_that_of_its_texts() -> None:
    hit = (torch.rand(400, generator=stable_generator("hit")) < 0.3).repeat_interleave(5)
    every = torch.ones_like(hit)
    alone, together = share(hit, every), share(hit, every, torch.arange(400).repeat_interleave(5))
    p = alone.value
    assert alone.error == pytest.approx((p * (1 - p) / 1999) ** 0.5)
    assert together.value == p
    assert together.error == pytest.approx((p * (1 - p) / 399) ** 0.5)
    assert math.isnan(share(hit[:0], every[:0]).value)
    assert math.isnan(share(hit, every, torch.zeros(2000)).error)
    with pytest.raises(LandscapeError, match="texts"):
        share(hit, every, torch.zeros(3))


def test_what_is_chosen_covers_and_what_is_given_stays() -> None:
    inputs = mixture(16, 1500, noise=0.15)[0]
    found = choose(inputs, stable_generator("c"), components=15, dim=256)
    assert found.components == 15
    assert found.tried[15, 16].coverage.value >= 0.9
    assert found.tried[found.components, found.basins].coverage.value >= 0.8
    assert (15, 128) not in found.tried  # too many for 256 dimensions
    held = choose(inputs, stable_generator("c"), components=15, basins=16, dim=256)
    assert (held.components, held.basins, len(held.tried)) == (15, 16, 1)
    with pytest.raises(LandscapeError, match="do not fit"):
        choose(inputs, stable_generator("c"), components=15, basins=300, dim=256)


# ------------------------------------------------------------------------------------ its parts


def test_components_are_white_and_the_strongest_first() -> None:
    scale = torch.tensor([5.0, 3.0, 2.0, 0.5, 0.2, 0.1])
    states = torch.randn(500, 6, generator=stable_generator("white")) * scale + 7.0
    found = leading(states, 3, stable_generator(0))
    seen = (states - found.mean) @ found.whitening
    assert torch.allclose(seen.T @ seen / 500, torch.eye(3), atol=1e-3)
    exact = torch.linalg.eigvalsh(torch.cov(states.T.double(), correction=0)).flip(0)
    assert found.explained == pytest.approx(float(exact[:3].sum() / exact.sum()), rel=1e-4)
    assert int(found.whitening[:, 0].abs().argmax()) == 0
    assert not found.directions(found.mean[None]).any()


def test_groups_of_directions_are_found() -> None:
    axes = torch.eye(8)
    noise = torch.randn(400, 8, generator=stable_generator("axes"))
    points = normalised(axes.repeat(50, 1) + 0.1 * noise)
    centres = spherical(points, 8, stable_generator("k"))
    assert float(gram(axes, centres).amax(1).min()) > 0.98
    assert torch.allclose(torch.linalg.vector_norm(centres, dim=1), torch.ones(8))


# ------------------------------------------------------------------------------------ what cannot be fitted


def plain(n: int = 40) -> Tensor:
    return torch.randn(n, WIDTH, generator=stable_generator("plain"))


@pytest.mark.parametrize(
    ("inputs", "outputs", "basins", "components", "said"),
    [
        (plain(5), None, 6, 4, "5 states are too few for 6 basins"),
        (torch.zeros(0, WIDTH), None, 6, 4, "0 states are too few"),
        (torch.ones(40, WIDTH), None, 6, 4, "vary in 0 directions only"),
        (1e6 + torch.zeros(40, WIDTH), None, 6, 4, "vary in 0 directions only"),
        (plain(4).repeat(10, 1), None, 6, 3, "4 different directions only"),
        (plain(4).repeat(10, 1), None, 6, 4, "vary in 3 directions only"),
        (plain() * torch.nan, None, 6, 4, "inputs hold NaN"),
        (plain(), torch.full((40, 3), torch.inf), 6, 4, "outputs hold NaN or infinity"),
        (plain(), torch.zeros(39, 3), 6, 4, "40 inputs and 39 outputs"),
        (plain()[0], None, 6, 4, "shape"),
        (plain(), None, 1, 4, "2 basins or more"),
        (plain(), None, 20, 4, "do not fit into 64 dimensions"),
        (plain(), None, 6, 1, "components must lie between 2 and 24"),
        (plain(), None, 6, 25, "components must lie between 2 and 24"),
    ],
)
def test_what_cannot_be_fitted_is_said(
    inputs: Tensor, outputs: Tensor | None, basins: int, components: int, said: str
) -> None:
    with pytest.raises(LandscapeError, match=said):
        fit(inputs, outputs, basins, components, stable_generator(0), dim=64)


def test_parameters_out_of_range_are_said(six: Fitted) -> None:
    for words in ({"gain": 0.5}, {"gain": 1.0}, {"degree": 1}, {"sharpness": 0.0}, {"attempts": 0}):
        with pytest.raises(LandscapeError):
            fit(plain(), None, 6, 4, stable_generator(0), dim=64, **words)  # type: ignore[arg-type]
    with pytest.raises(LandscapeError, match="shape"):
        six.settle(torch.zeros(3, WIDTH + 1))
    with pytest.raises(LandscapeError, match="NaN"):
        six.settle(torch.full((3, WIDTH), torch.nan))
    with pytest.raises(LandscapeError, match="dimension"):
        six.settle(plain(), Landscape(torch.eye(5), 2.0))
    silent = fit(plain(), None, 6, 4, stable_generator(0), dim=64)
    with pytest.raises(LandscapeError, match="without outputs"):
        silent.read(silent.centres)
    assert measure(silent, plain(), plain()).explained is None
