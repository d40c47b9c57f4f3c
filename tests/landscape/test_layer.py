"""The layer's own functions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from energylang.landscape.draws import stable_generator
from energylang.landscape.layer import saturate


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_saturation_is_tanh_and_exactly_odd(dtype: torch.dtype) -> None:
    drawn = torch.randn(50, 64, generator=stable_generator("saturation"), dtype=dtype)
    field = torch.cat((drawn * 1e-12, drawn * 0.01, drawn, drawn * 30, torch.zeros(1, 64, dtype=dtype)))
    field[-1, 0], field[-1, 1] = torch.inf, -torch.inf
    up, down = saturate(field.clone()), saturate(-field)
    assert torch.equal(up, -down)
    exact = field.double().tanh()
    unit = np.spacing(exact.to(dtype).abs().numpy())
    assert float(((up - exact).abs().numpy() / unit).max()) <= 2.0
    assert float(up.abs().max()) <= 1.0


def test_saturation_is_in_place_and_the_same_wherever_an_entry_lies() -> None:
    field = torch.randn(1003, generator=stable_generator("where"))
    expected = saturate(field.clone())
    for begin in range(20):
        part = field[begin:].clone()
        assert saturate(part).data_ptr() == part.data_ptr()
        assert torch.equal(part, expected[begin:])


def test_saturation_keeps_what_is_no_number() -> None:
    field = torch.tensor([[torch.nan, 1.0]])
    assert saturate(field).isnan().tolist() == [[True, False]]
    half = torch.tensor([0.5], dtype=torch.bfloat16)
    assert torch.equal(saturate(half.clone()), half.tanh())
