"""Laws of changes of any shape: factors mean their product, a stage of a weight comes back bit for bit, and a sketch
measures the change; a vector is a weight of one column."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from energylang.errors import LandscapeError
from energylang.landscape.draws import stable_generator
from energylang.landscape.lowrank import LowRank, symmetric_pair
from energylang.workspace.sketch import sketch
from energylang.workspace.versions import DenseCache, Version

SIZES = st.integers(1, 9)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=stable_generator("lowrank", seed), dtype=torch.float64)


@given(SIZES, SIZES, st.integers(0, 4), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_factors_of_any_shape_mean_their_product(m: int, n: int, rank: int, seed: int) -> None:
    weight, change = drawn(seed, m, n), LowRank(drawn(seed, m, rank), drawn(seed + 1, n, rank))
    assert change.shape == (m, n) and change.dense().shape == (m, n)
    assert torch.allclose(change.added_to(weight), weight + change.dense())
    assert change.norm == pytest.approx(float(change.dense().norm()))
    assert change.norm <= change.norm_bound + 1e-9
    assert change.true_rank <= min(m, n, rank)
    both = change.joined(change.scaled(-0.5))
    assert torch.allclose(both.dense(), 0.5 * change.dense())
    assert torch.equal(LowRank.zero(weight).added_to(weight), weight)


@given(st.lists(SIZES, max_size=1), st.integers(0, 99))
def test_a_change_of_a_vector_is_added_exactly(shape: list[int], seed: int) -> None:
    vector, change = drawn(seed, *shape).float(), drawn(seed + 1, *shape).float()
    factors = LowRank.of_vector(change)
    assert torch.equal(factors.added_to(vector), vector + change)
    assert factors.norm == pytest.approx(float(change.double().norm()))
    assert torch.equal(LowRank.zero(vector).added_to(vector), vector)


@given(SIZES, st.integers(0, 99))
def test_square_and_mirrored_changes_keep_symmetry_bit_for_bit(d: int, seed: int) -> None:
    weight = drawn(seed, d, d)
    edited = symmetric_pair(drawn(seed + 1, d, 2), drawn(seed + 2, d, 2)).added_to(weight + weight.T)
    assert torch.equal(edited, edited.T)


def test_factors_that_do_not_fit_are_refused() -> None:
    change = LowRank(torch.ones(3, 1), torch.ones(5, 1))
    assert not change.mirrored
    for weight in (torch.ones(5, 3), torch.ones(3), torch.ones(3, 3)):
        with pytest.raises(LandscapeError, match="cannot be added"):
            change.added_to(weight)
    with pytest.raises(LandscapeError, match="cannot be joined"):
        change.joined(LowRank(torch.ones(3, 1), torch.ones(3, 1)))
    with pytest.raises(LandscapeError, match="one rank r"):
        LowRank(torch.ones(3, 1), torch.ones(3, 2))


@pytest.mark.parametrize("shape", [(7, 4), (4, 7), (5, 5), (6,), ()])
def test_every_stage_of_a_weight_of_any_shape_comes_back(shape: tuple[int, ...]) -> None:
    original = drawn(1, *shape).float()
    stages = [Version("model.layers.3.mlp.down_proj.weight", None, None, None, original)]
    for edit in range(70):
        change = drawn(10 + edit, *shape).float()
        factors = LowRank.of_vector(change)
        if len(shape) == 2:
            factors = LowRank(drawn(edit, shape[0], 2).float(), drawn(edit + 1, shape[1], 2).float())
        stages.append(stages[-1].after(factors, edit))
    first = [DenseCache().dense(stage) for stage in stages]
    cache = DenseCache()
    for stage, weight in reversed(list(zip(stages, first, strict=True))):
        assert torch.equal(cache.dense(stage), weight)
        assert weight.shape == shape and stage.name == stages[0].name
    assert torch.equal(first[0], original)


def test_a_sketch_estimates_the_size_of_a_change_of_any_shape() -> None:
    for shape in ((96, 40), (40, 96), (200, 1)):
        factors = LowRank(drawn(1, shape[0], 3), drawn(2, shape[1], 3))
        stage = Version("w", None, None, None, torch.zeros(shape, dtype=torch.float64)).after(factors, 1)
        assert float(sketch(stage).square().mean().sqrt()) == pytest.approx(factors.norm, rel=0.6)
