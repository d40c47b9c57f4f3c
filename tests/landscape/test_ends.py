"""The largest eigenvalue and definiteness are those that all eigenvalues say."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from energylang.landscape.draws import stable_generator
from energylang.landscape.dynamics import Landscape
from energylang.landscape.ends import _krylov, ends

TOLERANCE = 1e-6


def symmetric(dim: int, seed: int, kind: str) -> Tensor:
    generator = stable_generator("ends test", dim, seed)
    a = torch.randn(dim, dim, generator=generator, dtype=torch.float64) / dim**0.5
    p = torch.sign(torch.randn(6, dim, generator=generator, dtype=torch.float64))
    spiked = p.T @ p / dim + 0.1 * (a + a.T)
    return {
        "dense": a + a.T,
        "square": a @ a.T,
        "spiked": spiked,
        "negative": -spiked,
        "mirrored": torch.block_diag(spiked[: dim // 2, : dim // 2], -spiked[: dim // 2, : dim // 2]),
        "few": p.T @ p / dim,
        "zero": torch.zeros(dim, dim, dtype=torch.float64),
        "one": torch.eye(dim, dtype=torch.float64),
    }[kind]


KINDS = ["dense", "square", "spiked", "negative", "mirrored", "few", "zero", "one"]


@settings(max_examples=40, deadline=None)
@given(
    dim=st.sampled_from([2, 33, 384, 420]),
    seed=st.integers(0, 9),
    kind=st.sampled_from(KINDS),
    shift=st.sampled_from([0.0, 0.5, -3e-6]),
)
def test_ends_are_those_of_the_whole_spectrum(dim: int, seed: int, kind: str, shift: float) -> None:
    matrix = symmetric(dim, seed, kind)
    matrix = matrix + shift * torch.eye(len(matrix), dtype=matrix.dtype)
    values = torch.linalg.eigvalsh(matrix)
    largest = float(values.abs().max())
    size, definite = ends(matrix, TOLERANCE)
    assert size == pytest.approx(largest, rel=1e-9, abs=1e-12)
    if abs(float(values[0]) + TOLERANCE * largest) > 1e-9 * largest:  # not decided by rounding
        assert definite == (float(values[0]) >= -TOLERANCE * largest)
    assert ends(matrix, TOLERANCE) == (size, definite)


def test_a_krylov_space_is_enough_where_the_largest_stands_apart() -> None:
    assert _krylov(symmetric(400, 1, "spiked")) is not None
    assert _krylov(symmetric(400, 1, "negative")) is not None
    assert _krylov(symmetric(400, 1, "dense")) is None  # sixty steps do not tell the edge of a dense spectrum


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_factors_of_low_rank_say_the_same(sign: float) -> None:
    p = torch.sign(torch.randn(6, 200, generator=stable_generator("few")))
    layer = Landscape(sign * p.T @ p / 200, 7.0)
    assert layer.pull.factors is not None
    values = torch.linalg.eigvalsh(layer.weight.double())
    assert layer.spectral_norm == pytest.approx(float(values.abs().max()), rel=1e-6)
    assert layer.definite == (sign > 0)
