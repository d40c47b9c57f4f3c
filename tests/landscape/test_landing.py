"""Laws of the changes that give a state a basin of its own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.landscape.clusters import cosine_rows
from energylang.landscape.dynamics import settle
from energylang.landscape.edits import AMPLITUDE
from energylang.landscape.landing import APART, _changes, _patterns, _queries, landings
from energylang.landscape.layer import Landscape, interaction

D = 48


def _landscape(seed: int, dim: int = D) -> Landscape:
    """A symmetric layer that holds six random patterns."""
    draw = torch.Generator().manual_seed(seed)
    patterns = torch.randn(6, dim, generator=draw).sign()
    return Landscape(patterns.T @ patterns / dim * 1.5, 2.0)


def _moment(landscape: Landscape, seed: int) -> Tensor:
    states = torch.randn(300, landscape.dim, generator=torch.Generator().manual_seed(seed)).tanh()
    field = interaction(states, landscape.degree)
    return field.T @ field / len(field)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**20), strength=st.one_of(st.none(), st.floats(0.05, 0.5)))
def test_only_weak_fields_are_raised_and_those_to_leave_alone_do_not_change(
    seed: int, strength: float | None
) -> None:
    landscape = _landscape(seed)
    draw = torch.Generator().manual_seed(seed)
    state, alone = torch.randn(D, generator=draw), torch.randn(3, D, generator=draw).tanh()
    patterns = _patterns(state, torch.zeros(D), None)
    queries = _queries(landscape, patterns, _moment(landscape, seed), alone)
    grid, margins = _changes(landscape, patterns, queries, strength)
    each = len(grid) // len(patterns)
    for i in range(0, len(grid), 7):
        factors, pattern = grid[i], patterns[i // each]
        signs, level = pattern.sign(), AMPLITUDE * margins[i] / landscape.beta
        after = landscape.edited(factors)
        held_before = signs * landscape.field(pattern[None])[0]
        held = signs * after.field(pattern[None])[0]
        assert torch.allclose(held, held_before.clamp_min(level), atol=1e-3)
        assert torch.allclose(after.field(alone), landscape.field(alone), atol=1e-3)
        if strength is not None:
            assert factors.norm == pytest.approx(strength * landscape.frobenius, rel=1e-3)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**20))
def test_what_is_proposed_settles_there_and_did_not_before(seed: int) -> None:
    landscape = _landscape(seed)
    draw = torch.Generator().manual_seed(seed + 1)
    states = torch.randn(1, D, generator=draw) + 0.1 * torch.randn(3, D, generator=draw)
    known = settle(landscape, torch.randn(40, D, generator=draw)).states
    found = landings(landscape, states, known, _moment(landscape, seed), generator=draw)
    assert 1 <= len(found) <= 6
    for made in found[:2]:
        rest = settle(landscape.edited(made.factors), made.target[None]).states
        assert float(cosine_rows(rest, made.target)[0]) > 0.99
    best = found[0]
    was = settle(landscape, best.target[None]).states
    assert float(cosine_rows(was, best.target)[0]) <= APART + 1e-3


@pytest.mark.parametrize("strength", [0.0, -1.0, float("nan"), float("inf")])
def test_a_strength_that_is_none_is_refused(strength: float) -> None:
    landscape = _landscape(0)
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(LandscapeError):
        landings(
            landscape,
            torch.ones(2, D),
            torch.zeros(0, D),
            torch.eye(D),
            strength=strength,
            generator=generator,
        )
