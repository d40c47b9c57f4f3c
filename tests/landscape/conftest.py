"""Small seeded layers that the landscape tests share."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from energylang.landscape.dynamics import Landscape, stable_generator

Planted = Callable[..., tuple[Landscape, Tensor]]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def planted() -> Planted:
    """``planted(d, k)``: W = PPᵀ/d for k random sign patterns, and the patterns (k, d)."""

    def make(
        d: int, k: int, *, seed: int = 0, beta: float = 4.0, dtype: torch.dtype = torch.float64
    ) -> tuple[Landscape, Tensor]:
        patterns = torch.sign(torch.randn(k, d, generator=stable_generator("planted", seed))).to(dtype)
        return Landscape(patterns.T @ patterns / d, beta), patterns

    return make


def random_layer(
    d: int,
    kind: str,
    *,
    seed: int = 0,
    beta: float = 3.0,
    degree: int = 3,
    dtype: torch.dtype = torch.float64,
) -> Landscape:
    """A random layer: "psd", "symmetric" or "free" (no symmetry)."""
    a = torch.randn(d, d, generator=stable_generator("layer", seed, d)).to(dtype) / d**0.5
    weight = {"psd": a @ a.T, "symmetric": (a + a.T) / 2**0.5, "free": a}[kind]
    return Landscape((weight + weight.T) / 2 if kind != "free" else weight, beta, degree)


def tilted(landscape: Landscape, amount: float = 0.05) -> Landscape:
    """The layer with a little asymmetric noise."""
    d = landscape.dim
    noise = torch.randn(d, d, generator=stable_generator("tilt", d)).to(landscape.weight)
    return landscape.with_weight(landscape.weight + amount * noise / d**0.5)
