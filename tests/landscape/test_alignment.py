"""A rotation is found again, and nothing but a rotation is fitted."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from energylang.errors import LandscapeError
from energylang.landscape.alignment import align


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), dim=st.integers(2, 12), shift=st.floats(-3, 3))
def test_a_rotation_and_a_shift_are_found_again(seed: int, dim: int, shift: float) -> None:
    rotation = torch.linalg.qr(draw(seed, dim, dim))[0]
    probes, fresh = draw(seed + 1, 4 * dim, dim), draw(seed + 2, 3, dim)
    found = align(probes, probes @ rotation + shift)
    assert found.fit == pytest.approx(1.0)
    assert torch.allclose(found(fresh), fresh @ rotation + shift, atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), first=st.integers(2, 9), second=st.integers(2, 9))
def test_distances_never_grow_and_unrelated_probes_do_not_fit(seed: int, first: int, second: int) -> None:
    x, y = draw(seed, 200, first), draw(seed + 1, 200, second)
    found = align(x, y)
    product = found.rotation @ found.rotation.T if first <= second else found.rotation.T @ found.rotation
    assert torch.allclose(product, torch.eye(min(first, second), dtype=torch.float64), atol=1e-8)
    a, b = draw(seed + 2, 5, first), draw(seed + 3, 5, first)
    assert bool(((found(a) - found(b)).norm(dim=1) <= (a - b).norm(dim=1) + 1e-9).all())
    assert found.fit < 0.5


def test_probes_must_be_the_same_in_both() -> None:
    with pytest.raises(LandscapeError, match="the same two or more probes"):
        align(draw(0, 5, 3), draw(1, 4, 3))
    with pytest.raises(LandscapeError, match="the same two or more probes"):
        align(draw(0, 1, 3), draw(1, 1, 3))
