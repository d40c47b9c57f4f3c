"""Sandboxes: the same everywhere, symmetric, and landscapes worth looking at."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch.nn.functional import cosine_similarity

from energylang.models import fingerprint, load
from energylang.training.report import representatives, settle_freely


@pytest.mark.parametrize("spec", ["random:64", "random:31", "random:1", "planted:64x6", "planted:9x1"])
def test_weights_are_symmetric_and_positive_semi_definite(spec: str) -> None:
    weight = load(spec).weight(0)
    assert torch.equal(weight, weight.T)
    assert float(torch.linalg.eigvalsh(weight.double()).min()) > -1e-6
    assert load(spec).beta(0) == pytest.approx(7.0)


def test_the_same_in_another_process_and_deaf_to_the_global_generator() -> None:
    specs = ["random:24x2", "planted:48x4"]
    torch.manual_seed(1)
    first = [fingerprint(load(s)) for s in specs]
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert [fingerprint(load(s)) for s in specs] == first
    assert torch.equal(torch.get_rng_state(), state)
    code = (
        "import torch; from energylang.models import load, fingerprint\n"
        f"torch.set_num_threads(1); print([fingerprint(load(s)) for s in {specs!r}])"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.strip() == repr(first)


def test_layers_of_a_sandbox_differ() -> None:
    model = load("random:16x2")
    assert not torch.equal(model.weight(0), model.weight(1))
    assert torch.equal(model.weight(0), load("random:16").weight(0))
    assert torch.equal(model.weight(0), load("__random_16").weight(0))


@pytest.mark.parametrize("dim", [64, 256])
def test_a_random_landscape_has_tens_of_basins(dim: int) -> None:
    weight = load(f"random:{dim}").weight(0)
    starts = 0.5 * torch.randn(200, dim, generator=torch.Generator().manual_seed(0))
    assert 10 <= len(representatives(settle_freely(weight, 7.0, 3, starts))) <= 99


@pytest.mark.parametrize(("dim", "count"), [(16, 1), (32, 3), (64, 6), (128, 12), (256, 20), (256, 25)])
def test_planted_patterns_are_basins(dim: int, count: int) -> None:
    model = load(f"planted:{dim}x{count}")
    patterns = model.patterns
    assert patterns is not None
    assert patterns.shape == (count, dim)
    assert torch.equal(patterns.abs(), torch.ones_like(patterns))
    assert torch.allclose(model.weight(0), patterns.T @ patterns / dim)
    rest = settle_freely(model.weight(0), 7.0, 3, patterns)
    assert float(cosine_similarity(rest, patterns, dim=1).min()) > 0.95
