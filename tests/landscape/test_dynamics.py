"""Laws of the dynamics: batching, compaction, variants, symmetry, determinism, degenerate input."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from energylang.errors import LandscapeError
from energylang.landscape.dynamics import (
    Landscape,
    LowRank,
    interaction,
    interaction_slope,
    perturbed,
    residual,
    settle,
    settle_each,
    settle_variants,
    stable_generator,
    starts,
)

from .conftest import random_layer

kinds = st.sampled_from(["psd", "symmetric", "free"])
dims = st.integers(1, 24)
seeds = st.integers(0, 10_000)
quick = settings(max_examples=25, deadline=None)


def plain_settle(
    landscape: Landscape, x: torch.Tensor, max_iter: int = 100, eps: float = 5e-3
) -> torch.Tensor:
    """The update of the specification, one row, no batching, no compaction, no shortcut at the origin."""
    for step in range(max_iter):
        tau = 0.9 + (0.1 - 0.9) * step / (max_iter - 1)
        target = torch.tanh(landscape.beta * (landscape.weight @ interaction(x, landscape.degree)))
        new = (1 - tau) * x + tau * target
        looked_at = step < 3 or step % 3 == 2 or step == max_iter - 1
        if looked_at and (new - x).norm() <= eps * x.norm():
            return new
        x = new
    return x


@quick
@given(dims, kinds, seeds, st.integers(2, 5))
def test_batched_settle_is_the_specified_update_row_by_row(d: int, kind: str, seed: int, degree: int) -> None:
    layer = random_layer(d, kind, seed=seed, degree=degree)
    x = starts(9, d, stable_generator(seed), layer.weight)
    # A short run: the free layers are chaotic, and rounding grows along the path.
    batch = settle(layer, x, max_iter=20)
    for row, state in zip(x, batch.states, strict=True):
        wanted = plain_settle(layer, row, 20)
        if bool(state.any()):
            assert torch.allclose(state, wanted, atol=1e-9)
        else:
            assert float(wanted.norm()) < layer.origin_radius


@quick
@given(dims, st.sampled_from(["psd", "symmetric"]), seeds)
def test_a_row_does_not_depend_on_the_others(d: int, kind: str, seed: int) -> None:
    layer = random_layer(d, kind, seed=seed)
    x = starts(12, d, stable_generator(seed), layer.weight)
    whole, tiny_budget = settle(layer, x), settle(layer, x, budget_bytes=1)
    alone = [settle(layer, row[None]) for row in x]
    for part in (tiny_budget.states, torch.cat([run.states for run in alone])):
        assert torch.allclose(whole.states, part, atol=1e-9)
    assert torch.equal(whole.iterations, torch.cat([run.iterations for run in alone]))
    assert torch.equal(whole.settled, torch.cat([run.settled for run in alone]))
    order = torch.randperm(12, generator=stable_generator(seed))
    assert torch.allclose(settle(layer, x[order]).states, whole.states[order], atol=1e-9)


@quick
@given(dims, kinds, seeds, st.integers(2, 5))
def test_the_dynamics_is_odd(d: int, kind: str, seed: int, degree: int) -> None:
    layer = random_layer(d, kind, seed=seed, degree=degree)
    x = starts(7, d, stable_generator(seed), layer.weight)
    there, mirrored = settle(layer, x), settle(layer, -x)
    assert torch.equal(there.states, -mirrored.states)
    assert torch.equal(there.iterations, mirrored.iterations)


@quick
@given(st.integers(2, 24), st.sampled_from(["psd", "symmetric"]), seeds, st.integers(0, 5), st.booleans())
def test_variants_equal_dense_resettling(d: int, kind: str, seed: int, m: int, wide: bool) -> None:
    layer = random_layer(d, kind, seed=seed)
    g = stable_generator("variants", seed)
    ranks = [1 + (i % 3) for i in range(m)] if wide else [1] * m
    candidates = [
        LowRank(*(0.3 * torch.randn(2, d, rank, generator=g, dtype=torch.float64) / d**0.5)) for rank in ranks
    ]
    candidates.append(LowRank.zero(layer.weight))
    x = starts(6, d, g, layer.weight)
    # eps so small that every row runs the same number of steps: the comparison is of paths, not of exits.
    run = settle_variants(layer, x, candidates, max_iter=30, eps=1e-14)
    assert run.states.shape == (m + 1, 6, d)
    for candidate, states in zip(candidates, run.states, strict=True):
        assert torch.allclose(
            states, settle(layer.edited(candidate), x, max_iter=30, eps=1e-14).states, atol=1e-8
        )
    each = settle_each(layer, x.expand(m + 1, 6, d), candidates, max_iter=30, eps=1e-14)
    assert torch.equal(each.states, run.states)
    chunked = settle_variants(layer, x, candidates, max_iter=30, eps=1e-14, budget_bytes=7 * 8 * 8 * d)
    assert torch.allclose(chunked.states, run.states, atol=1e-9)


def test_both_ways_of_adding_candidates_agree() -> None:
    layer = random_layer(40, "symmetric")
    g = stable_generator("ways")
    many = [LowRank(*(0.2 * torch.randn(2, 40, 2, generator=g, dtype=torch.float64))) for _ in range(30)]
    x = starts(3, 40, g, layer.weight)
    gathered = settle_variants(layer, x, many, max_iter=10, eps=1e-14).states  # 60 > 32: gathered
    masked = torch.cat(
        [settle_variants(layer, x, many[i : i + 10], max_iter=10, eps=1e-14).states for i in (0, 10, 20)]
    )
    assert torch.allclose(gathered, masked, atol=1e-9)


def test_a_drive_acts_inside_the_tanh() -> None:
    layer = random_layer(10, "free")
    x = starts(4, 10, stable_generator(0), layer.weight)
    drive = torch.randn(10, generator=stable_generator(1)).double()
    one = settle(layer, x, drive=drive, max_iter=1, tau=(1.0, 1.0)).states
    assert torch.allclose(
        one, torch.tanh(layer.beta * (interaction(x, 3) @ layer.weight.T + drive)), atol=1e-12
    )
    assert torch.equal(one, settle(layer, x, drive=drive.expand(4, 10), max_iter=1, tau=(1.0, 1.0)).states)
    per_row = torch.randn(4, 10, generator=stable_generator(2)).double()
    variants = settle_variants(
        layer, x, [LowRank.zero(layer.weight)] * 2, drive=per_row, max_iter=5, eps=1e-14
    )
    assert torch.allclose(
        variants.states[1], settle(layer, x, drive=per_row, max_iter=5, eps=1e-14).states, atol=1e-10
    )


@pytest.mark.parametrize("degree", [2, 3, 4, 5, 6])
def test_interaction_and_slope(degree: int) -> None:
    x = torch.linspace(-1.5, 1.5, 31, dtype=torch.float64).requires_grad_()
    y = interaction(x, degree)
    assert torch.allclose(y, x.sign() * x.abs() ** (degree - 1))
    assert torch.equal(interaction(-x, degree), -y)
    (slope,) = torch.autograd.grad(y.sum(), x)
    away = x.detach().abs() > 1e-9
    assert torch.allclose(interaction_slope(x.detach(), degree)[away], slope[away])


def test_the_shortcut_at_the_origin_is_certain() -> None:
    for seed in range(20):
        layer = random_layer(16, "free", seed=seed, beta=6.0)
        x = torch.randn(5, 16, generator=stable_generator(seed)).double()
        x = x / x.norm(dim=1, keepdim=True) * layer.origin_radius * 0.999
        ends = torch.stack([plain_settle(layer, row, 60) for row in x])
        assert bool((ends.norm(dim=1) < 1e-6).all())
        run = settle(layer, x)
        assert bool(run.settled.all())
        assert not bool(run.states.any())


def test_same_key_same_bits_and_no_global_randomness() -> None:
    layer = random_layer(32, "free", dtype=torch.float32)
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    runs = [settle(layer, starts(50, 32, stable_generator("s", 1), layer.weight)).states for _ in range(2)]
    assert torch.equal(*runs)
    assert torch.equal(before, torch.random.get_rng_state())
    assert not torch.equal(
        starts(3, 4, stable_generator("a", 1), layer.weight), starts(3, 4, stable_generator("a", 2), runs[0])
    )
    assert stable_generator("1").initial_seed() != stable_generator(1).initial_seed()
    assert stable_generator("ab", "c").initial_seed() != stable_generator("a", "bc").initial_seed()


def test_stable_generator_is_equal_across_processes() -> None:
    code = (
        "from energylang.landscape.dynamics import stable_generator as s;"
        "print(s('survey', 3, 0.5, (1, 'x')).initial_seed())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(out.stdout) == stable_generator("survey", 3, 0.5, (1, "x")).initial_seed()


@quick
@given(st.integers(1, 40), st.floats(0, 2), seeds)
def test_pitfall_26_noise_is_relative_to_the_norm(d: int, level: float, seed: int) -> None:
    x = starts(5, d, stable_generator(seed), torch.zeros(1, dtype=torch.float64))
    noise = perturbed(x, level, 4, stable_generator(seed, "n")) - x[:, None]
    wanted = (level * x.norm(dim=1))[:, None].expand(5, 4)
    assert torch.allclose(noise.norm(dim=2), wanted, rtol=1e-9, atol=1e-12)


def test_perturbing_nothing_or_zero() -> None:
    zero = torch.zeros(2, 5)
    assert not bool(perturbed(zero, 0.5, 3, stable_generator(0)).any())
    with pytest.raises(LandscapeError):
        perturbed(zero, float("nan"), 3, stable_generator(0))
    with pytest.raises(LandscapeError):
        perturbed(zero, -0.1, 3, stable_generator(0))


def test_low_rank_norm_scaling_joining() -> None:
    g = stable_generator("lr")
    a, b = (LowRank(*torch.randn(2, 12, r, generator=g, dtype=torch.float64)) for r in (2, 3))
    assert a.norm == pytest.approx(float(a.dense().norm()), rel=1e-12)
    assert torch.allclose(a.joined(b).dense(), a.dense() + b.dense())
    assert torch.allclose(a.scaled(-0.3).dense(), -0.3 * a.dense())
    weight = torch.randn(12, 12, generator=g).double()
    assert torch.allclose(a.added_to(weight), weight + a.dense())
    assert torch.equal(a.added_to(weight), a.added_to(weight.clone()))
    assert torch.equal(LowRank.zero(weight).added_to(weight), weight)
    assert LowRank.zero(weight).norm == 0.0
    with pytest.raises(LandscapeError):
        a.joined(LowRank.zero(torch.zeros(3, 3)))
    with pytest.raises(LandscapeError):
        a.added_to(torch.zeros(3, 3))
    with pytest.raises(LandscapeError):
        LowRank(torch.full((2, 1), torch.nan), torch.ones(2, 1))
    with pytest.raises(LandscapeError):
        LowRank(torch.ones(2, 1), torch.ones(3, 2))


def test_landscape_properties() -> None:
    psd, symmetric, free = (random_layer(20, kind) for kind in ("psd", "symmetric", "free"))
    assert psd.definite
    assert psd.symmetric
    assert symmetric.symmetric
    assert not symmetric.definite
    assert not free.symmetric
    assert not free.definite
    for layer in (psd, symmetric, free):
        assert layer.spectral_norm == pytest.approx(float(torch.linalg.matrix_norm(layer.weight, 2)))
    skew = free.with_weight(free.weight - free.weight.T)
    assert skew.asymmetry == pytest.approx(2.0)
    assert Landscape(torch.zeros(3, 3), 1.0).asymmetry == 0.0
    single = random_layer(100, "psd", dtype=torch.float32)
    assert single.definite


def test_residual() -> None:
    layer = random_layer(8, "free")
    x = starts(4, 8, stable_generator(0), layer.weight)
    image = torch.tanh(layer.beta * interaction(x, 3) @ layer.weight.T)
    assert torch.allclose(residual(layer, x), (image - x).norm(dim=1) / x.norm(dim=1))
    assert float(residual(layer, torch.zeros(1, 8))) == 0.0


def test_zero_saturated_and_one_dimensional_states_are_sane() -> None:
    zero = Landscape(torch.zeros(6, 6), 3.0)
    run = settle(zero, torch.randn(4, 6, generator=stable_generator(0)))
    assert bool(run.settled.all())
    assert not bool(run.states.any())
    line = Landscape(torch.tensor([[1.0]]), 4.0)
    ends = settle(line, torch.tensor([[1.0], [-1.0], [0.0], [0.01]])).states.flatten()
    assert ends[0] > 0.9
    assert ends[1] == -ends[0]
    assert ends[2] == 0.0
    assert ends[3] == 0.0
    saturated = settle(random_layer(30, "symmetric", beta=200.0, dtype=torch.float32), torch.ones(2, 30))
    assert bool(torch.isfinite(saturated.states).all())
    assert settle(line, torch.zeros(0, 1)).states.shape == (0, 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: Landscape(torch.zeros(2, 3), 1.0),
        lambda: Landscape(torch.zeros(2), 1.0),
        lambda: Landscape(torch.zeros(2, 2, dtype=torch.long), 1.0),
        lambda: Landscape(torch.full((2, 2), torch.inf), 1.0),
        lambda: Landscape(torch.eye(2), 0.0),
        lambda: Landscape(torch.eye(2), float("nan")),
        lambda: Landscape(torch.eye(2), 1.0, degree=1),
        lambda: settle(Landscape(torch.eye(2), 1.0), torch.full((1, 2), torch.nan)),
        lambda: settle(Landscape(torch.eye(2), 1.0), torch.full((1, 2), 1e20)),
        lambda: settle(Landscape(torch.eye(2), 1.0), torch.zeros(1, 3)),
        lambda: settle(Landscape(torch.eye(2), 1.0), torch.zeros(2)),
        lambda: settle(Landscape(torch.eye(2), 1.0), torch.zeros(1, 2), eps=0.0),
        lambda: settle(Landscape(torch.eye(2), 1.0), torch.zeros(1, 2), max_iter=0),
        lambda: settle(Landscape(torch.eye(2), 1.0), torch.zeros(1, 2), tau=(0.0, 1.0)),
        lambda: settle(Landscape(torch.eye(2), 1.0), torch.zeros(1, 2), drive=torch.zeros(3)),
        lambda: settle(Landscape(torch.eye(2), 1.0), torch.zeros(1, 2), budget_bytes=0),
        lambda: starts(3, 0, stable_generator(0), torch.zeros(1)),
    ],
)
def test_user_errors_are_landscape_errors(call: object) -> None:
    with pytest.raises(LandscapeError) as caught:
        call()  # type: ignore[operator]
    assert caught.value.message
