"""Laws of the two energies: descent, gradient, closed form, wall."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from energylang.errors import LandscapeError
from energylang.landscape.dynamics import (
    Landscape,
    interaction,
    interaction_slope,
    settle,
    stable_generator,
    starts,
)
from energylang.landscape.energy import lyapunov, reference, wall

from .conftest import random_layer

quick = settings(max_examples=25, deadline=None)


def rises(layer: Landscape, seed: int, tau: float, steps: int, drive: torch.Tensor | None = None) -> float:
    """The largest relative rise of the energy along a path of single steps at a constant τ."""
    x = starts(6, layer.dim, stable_generator(seed), layer.weight).clamp(-1, 1)
    worst, energy = -1.0, lyapunov(layer, x, drive)
    for _ in range(steps):
        u = 0.0 if drive is None else drive
        image = torch.tanh(layer.beta * (interaction(x, layer.degree) @ layer.weight.T + u))
        x = (1 - tau) * x + tau * image
        new = lyapunov(layer, x, drive)
        worst = max(worst, float(((new - energy) / (1.0 + energy.abs())).max()))
        energy = new
    return worst


@quick
@given(
    st.integers(1, 20), st.integers(0, 9999), st.floats(0.01, 1.0), st.floats(0.5, 10.0), st.integers(2, 5)
)
def test_energy_never_rises_for_psd_at_any_step(
    d: int, seed: int, tau: float, beta: float, degree: int
) -> None:
    assert rises(random_layer(d, "psd", seed=seed, beta=beta, degree=degree), seed, tau, 40) <= 1e-9


@quick
@given(st.integers(1, 20), st.integers(0, 9999), st.floats(0.01, 0.1), st.floats(0.5, 7.0))
def test_energy_never_rises_for_symmetric_at_small_steps(d: int, seed: int, tau: float, beta: float) -> None:
    assert rises(random_layer(d, "symmetric", seed=seed, beta=beta), seed, tau, 60) <= 1e-9


def test_energy_never_rises_under_a_drive() -> None:
    layer = random_layer(16, "psd", beta=4.0)
    drive = 0.3 * torch.randn(16, generator=stable_generator("u")).double()
    assert rises(layer, 1, 0.7, 60, drive) <= 1e-9


def test_pitfall_8_the_published_formula_does_rise() -> None:
    layer = random_layer(64, "symmetric", beta=7.0)
    x = starts(4, 64, stable_generator(0), layer.weight).clamp(-1, 1)
    up = 0
    for _ in range(50):
        new = settle(layer, x, max_iter=1, tau=(0.02, 0.02)).states
        up += int((reference(layer, new) > reference(layer, x)).sum())
        x = new
    assert up > 100


@pytest.mark.parametrize("degree", [2, 3, 4, 5])
def test_gradient_is_the_finite_expression(degree: int) -> None:
    layer = random_layer(12, "symmetric", degree=degree)
    x = (torch.rand(5, 12, generator=stable_generator("grad")).double() * 1.9 - 0.95).requires_grad_()
    drive = torch.randn(12, generator=stable_generator("u")).double()
    (gradient,) = torch.autograd.grad(lyapunov(layer, x, drive).sum(), x)
    at = x.detach()
    field = interaction(at, degree) @ layer.weight.T
    wanted = interaction_slope(at, degree) * (torch.atanh(at) / layer.beta - field - drive)
    assert torch.allclose(gradient, wanted, rtol=1e-9, atol=1e-12)


def test_reference_is_its_definition() -> None:
    for degree in (3, 4):
        layer = random_layer(9, "free", degree=degree)
        for row in starts(4, 9, stable_generator(degree), layer.weight):
            wanted = -row.abs().pow(degree).sum() / degree + 0.5 * row @ layer.weight @ interaction(
                row, degree
            )
            assert float(reference(layer, row[None])) == pytest.approx(float(wanted), rel=1e-12)


def test_wall_for_degree_three_and_by_quadrature() -> None:
    a = torch.linspace(0, 0.999, 50, dtype=torch.float64)
    assert torch.allclose(wall(a, 3), (a * a - 1) * torch.atanh(a) + a, atol=1e-13)
    for degree in (2, 3, 4, 5, 6, 7):
        edges = torch.linspace(0, 1, 200_001, dtype=torch.float64)
        middle = 0.9 * (edges[:-1] + edges[1:]) / 2
        value = (interaction_slope(middle, degree) * torch.atanh(middle)).sum() * 0.9 / 200_000
        assert float(wall(torch.tensor([0.9], dtype=torch.float64), degree)) == pytest.approx(
            float(value), rel=1e-8
        )


@pytest.mark.parametrize("degree", [2, 3, 4, 5])
def test_saturated_states_have_a_finite_energy_and_the_wall_stands(degree: int) -> None:
    layer = random_layer(6, "symmetric", degree=degree, dtype=torch.float32)
    near = torch.nextafter(torch.ones(1, 6), torch.zeros(1, 6))
    at_one, just_below = lyapunov(layer, torch.ones(1, 6)), lyapunov(layer, near)
    assert float(at_one) == pytest.approx(float(just_below), rel=1e-4)
    assert float(lyapunov(layer, torch.full((1, 6), 1.01))) == float("inf")
    assert float(lyapunov(layer, torch.zeros(1, 6))) == 0.0


def test_free_layers_use_the_symmetric_part() -> None:
    free = random_layer(7, "free")
    half = free.with_weight((free.weight + free.weight.T) / 2)
    x = starts(3, 7, stable_generator(0), free.weight).clamp(-1, 1)
    assert torch.allclose(lyapunov(free, x), lyapunov(half, x), atol=1e-12)


def test_wrong_shape() -> None:
    with pytest.raises(LandscapeError):
        lyapunov(random_layer(4, "psd"), torch.zeros(2, 5))
