"""The step's own functions."""

from __future__ import annotations

import pytest
import torch

from energylang.landscape.draws import stable_generator
from energylang.landscape.iteration import saturated


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 2.5e-7), (torch.float64, 1e-15)])
def test_saturation_is_tanh_and_exactly_odd(dtype: torch.dtype, error: float) -> None:
    drawn = torch.randn(50, 64, generator=stable_generator("saturation"), dtype=dtype)
    field = torch.cat((drawn * 0.01, drawn, drawn * 30, torch.zeros(1, 64, dtype=dtype)))
    field[-1, 0], field[-1, 1] = torch.inf, -torch.inf
    up = saturated(2 * field, torch.empty_like(field))
    down = saturated(-2 * field, torch.empty_like(field))
    assert torch.equal(up, -down)
    assert float((up - field.tanh()).abs().max()) <= error
    assert float(up.abs().max()) <= 1.0


def test_saturation_keeps_what_is_no_number() -> None:
    field = torch.tensor([[torch.nan, 1.0]])
    assert saturated(field, torch.empty_like(field)).isnan().tolist() == [[True, False]]
