"""Weights of low rank are multiplied with through their factors, which stand for the same weight."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from energylang.landscape.attractors import polish
from energylang.landscape.draws import stable_generator, starts
from energylang.landscape.dynamics import Landscape, cosine_rows, settle, settle_variants
from energylang.landscape.lowrank import LowRank
from energylang.landscape.product import Pull, low_rank
from energylang.landscape.stability import spectrum
from energylang.landscape.survey import survey


def of_rank(dim: int, rank: int, seed: int = 0, *, symmetric: bool = True) -> Tensor:
    generator = stable_generator("rank", dim, rank, seed)
    drawn = torch.sign(torch.randn(rank, dim, generator=generator))
    other = drawn if symmetric else torch.sign(torch.randn(rank, dim, generator=generator))
    return drawn.T @ other / dim


def rounded(dim: int, rank: int, seed: int = 0, *, symmetric: bool = True) -> Tensor:
    """A weight of low rank up to rounding, calculated in float32 from patterns in float64 that are no signs."""
    generator = stable_generator("rounded", dim, rank, seed)
    drawn, other = torch.randn(2, rank, dim, generator=generator, dtype=torch.float64)
    drawn = (torch.sign(drawn) * (0.7 + 0.3 * torch.sin(drawn) ** 2)).float()
    return drawn.T @ (drawn if symmetric else torch.sign(other).float()) / dim


def by_the_matrix(landscape: Landscape) -> Landscape:
    """The same layer without its factors."""
    plain = landscape.with_weight(landscape.weight)
    object.__setattr__(plain, "pull", Pull(((landscape.weight.T * landscape.beta).contiguous(),)))
    return plain


@settings(max_examples=40, deadline=None)
@given(
    dim=st.integers(128, 200),
    rank=st.integers(1, 60),
    seed=st.integers(0, 99),
    scale=st.sampled_from([1e-30, 1e-12, 1e-3, 1.0, 1e4, 1e30]),
    symmetric=st.booleans(),
)
def test_factors_are_the_matrix_or_there_are_none(
    dim: int, rank: int, seed: int, scale: float, symmetric: bool
) -> None:
    matrix = scale * of_rank(dim, rank, seed, symmetric=symmetric)
    found = low_rank(matrix)
    if rank + 16 <= dim // 4 - 4:
        assert found is not None
    if found is None:
        return
    first, second = found
    assert first.shape[1] <= dim // 4
    gap = torch.linalg.matrix_norm(first.double() @ second.double() - matrix.double())
    assert float(gap) <= 2e-6 * float(torch.linalg.matrix_norm(matrix.double()))
    assert torch.equal(first, low_rank(matrix)[0])  # type: ignore[index]


@settings(max_examples=30, deadline=None)
@given(
    dim=st.sampled_from([128, 150, 200, 256, 333]),
    rank=st.integers(1, 24),
    seed=st.integers(0, 99),
    noise=st.sampled_from([0.0, 0.5, 2.0, 3.0, 3.5, 4.5, 6.0, 30.0]),
    symmetric=st.booleans(),
)
def test_a_weight_is_taken_exactly_where_the_best_factors_are_within_the_limit(
    dim: int, rank: int, seed: int, noise: float, symmetric: bool
) -> None:
    unit = 2.0**-24
    matrix = rounded(dim, rank, seed, symmetric=symmetric).double()
    if noise:  # of so many units of the norm, in every direction, beyond what rounding leaves
        drawn = torch.randn(dim, dim, generator=stable_generator("beside", seed), dtype=torch.float64)
        matrix += noise * unit * torch.linalg.matrix_norm(matrix) * drawn / torch.linalg.matrix_norm(drawn)
    matrix = matrix.float()
    found = low_rank(matrix)
    width = dim // 4 if found is None else found[0].shape[1]
    energies = torch.linalg.svdvals(matrix.double()).square()
    left = [float((energies[kept:].sum() / energies.sum()).sqrt()) / unit for kept in (rank, width)]
    if left[0] < 3.9 and rank + 16 <= dim // 4 - 4:
        assert found is not None
    if left[1] > 4.0:
        assert found is None
    if found is not None:
        gap = torch.linalg.matrix_norm(found[0].double() @ found[1].double() - matrix.double())
        assert float(gap) <= 4.5 * unit * float(
            energies.sum().sqrt()
        )  # the limit, and rounding of the factors
        assert torch.equal(found[0], low_rank(matrix)[0])  # type: ignore[index]


def test_the_second_look_takes_what_a_sketch_alone_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = rounded(768, 128)
    assert low_rank(matrix) is not None
    monkeypatch.setattr("energylang.landscape.product._PASSES", 1)
    assert low_rank(matrix) is None


def test_large_matrices_are_proven_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = of_rank(256, 6)
    whole = low_rank(matrix)
    monkeypatch.setattr("energylang.landscape.product._BLOCK", 256 * 100)
    found = low_rank(matrix)
    assert whole is not None and found is not None
    assert torch.allclose(found[0] @ found[1], whole[0] @ whole[1], atol=1e-6)
    matrix[-1, 5] += 1.0  # in the last block, and nowhere in the sample or not
    found = low_rank(matrix)
    assert found is None or float((found[0] @ found[1] - matrix).abs().max()) < 1e-5


@pytest.mark.parametrize("noise", [1e-6, 1e-4, 1e-2, 1.0])
def test_a_little_noise_is_part_of_the_weight(noise: float) -> None:
    matrix = of_rank(192, 6)
    drawn = torch.randn(192, 192, generator=stable_generator("noise"))
    matrix = matrix + noise * torch.linalg.matrix_norm(matrix) * drawn / torch.linalg.matrix_norm(drawn)
    assert low_rank(matrix) is None


def test_structure_that_a_sample_misses_is_not_lost() -> None:
    matrix = of_rank(256, 4)
    matrix[7, 9] += 0.5  # rank five, in one entry
    found = low_rank(matrix)
    assert found is None or float((found[0] @ found[1] - matrix).abs().max()) < 1e-5


def test_no_factors_where_they_would_not_help() -> None:
    assert low_rank(of_rank(100, 3)) is None
    assert low_rank(of_rank(256, 3).double()) is None
    assert low_rank(torch.zeros(256, 256)) is None
    assert low_rank(of_rank(256, 100)) is None


@pytest.mark.parametrize("weight", [of_rank, rounded])
@pytest.mark.parametrize("symmetric", [True, False])
def test_states_settle_and_polish_as_by_the_matrix(symmetric: bool, weight: Callable[..., Tensor]) -> None:
    landscape = Landscape(weight(192, 6, symmetric=symmetric), 7.0)
    plain = by_the_matrix(landscape)
    assert landscape.pull.factors is not None and plain.pull.factors is None
    begin = starts(120, 192, stable_generator("begin"), landscape.weight)
    ours, theirs = settle(landscape, begin, max_iter=8), settle(plain, begin, max_iter=8)
    assert float((ours.states - theirs.states).abs().max()) < 1e-3
    assert torch.equal(settle(landscape, -begin).states, -settle(landscape, begin).states)
    ends = settle(landscape, begin)
    calm = ends.states[ends.settled][:20]
    assert float((polish(landscape, calm)[0] - polish(plain, calm)[0]).abs().max()) < 1e-3


def test_candidate_edits_settle_as_by_the_matrix() -> None:
    landscape = Landscape(of_rank(192, 6), 7.0)
    generator = stable_generator("edits")
    drawn = torch.randn(5, 2, 192, 2, generator=generator) / 192**0.5
    edits = [LowRank.zero(landscape.weight), *(LowRank(0.5 * left, right) for left, right in drawn)]
    begin = starts(30, 192, generator, landscape.weight)
    for max_iter in (1, 8):
        ours = settle_variants(landscape, begin, edits, max_iter=max_iter).states
        theirs = settle_variants(by_the_matrix(landscape), begin, edits, max_iter=max_iter).states
        assert float((ours - theirs).abs().max()) < 1e-3
    alone = settle(landscape.edited(edits[3]), begin, max_iter=8).states
    assert float((ours[3] - alone).abs().max()) < 1e-3


@pytest.mark.parametrize("symmetric", [True, False])
def test_an_edit_for_a_moment_is_the_edited_layer(symmetric: bool) -> None:
    landscape = Landscape(of_rank(192, 6, symmetric=symmetric), 7.0)
    left, right = torch.randn(2, 192, 1, generator=stable_generator("moment")) / 192**0.5
    edit = LowRank(left, right)
    y = torch.randn(9, 192, generator=stable_generator("y"))
    for base in (landscape, by_the_matrix(landscape)):
        tried, edited = base.tried(edit), base.edited(edit)
        assert torch.allclose(tried.weight, edited.weight, atol=1e-6)
        assert torch.allclose(tried.pull(y), edited.pull(y), atol=1e-4)
        assert torch.allclose(tried.pull(y), 7.0 * y @ edited.weight.T, atol=1e-4)


@pytest.mark.parametrize("symmetric", [True, False])
def test_stability_by_small_matrices_is_that_of_the_jacobian(symmetric: bool) -> None:
    landscape = Landscape(of_rank(192, 6, symmetric=symmetric), 7.0)
    begin = starts(40, 192, stable_generator("begin"), landscape.weight)
    centres = settle(landscape, begin).states[:12]
    centres = torch.cat((centres, 0.6 * centres[:4]))  # not only where it is calm
    found, attracts = spectrum(landscape, centres)
    for k, x in enumerate(centres.double()):
        slope = 7.0 * (1 - x * x)
        jacobian = slope[:, None] * landscape.weight.double() * (2 * x.abs())[None]
        values = torch.linalg.eigvals(jacobian)
        damped = float((0.9 + 0.1 * values).abs().max())
        assert float(found[k]) == pytest.approx((damped - 0.9) / 0.1, rel=1e-4, abs=1e-4)
        assert bool(attracts[k]) == (damped < 1.0)


@pytest.mark.parametrize(("weight", "dim"), [(of_rank, 192), (rounded, 192), (rounded, 250)])
def test_a_survey_finds_what_it_finds_by_the_matrix(weight: Callable[..., Tensor], dim: int) -> None:
    landscape = Landscape(weight(dim, 6), 7.0)
    assert landscape.pull.factors is not None
    begin = starts(200, dim, stable_generator("begin"), landscape.weight)
    ours, theirs = survey(landscape, begin), survey(by_the_matrix(landscape), begin)
    best = torch.stack([cosine_rows(ours.centres, centre) for centre in theirs.centres]).amax(1)
    large = theirs.population >= 3
    assert float(best[large].min()) > 0.999
    assert abs(len(ours) - len(theirs)) <= 2


@pytest.mark.parametrize("dim", [256, 512, 1024])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_how_a_weight_lies_in_memory_changes_nothing(dim: int, dtype: torch.dtype) -> None:
    weight = torch.randn(dim, dim, generator=stable_generator("lie", dim)).to(dtype)
    landscape = Landscape(weight, 7.0)
    assert landscape.pull.factors is None
    for rows in (1, 7, 64, 130):
        y = torch.randn(rows, dim, generator=stable_generator("y", rows)).to(dtype)
        assert torch.allclose(landscape.pull(y), by_the_matrix(landscape).pull(y), rtol=1e-5, atol=1e-3)
