"""A rank-one answer of an associative memory."""

from __future__ import annotations

import pytest
import torch

from energylang.errors import LandscapeError
from energylang.landscape.memory import answer, other_values, query_of

M, D = 9, 5


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape) + sum(shape)))


def test_the_key_is_answered_by_the_value_and_everything_else_least() -> None:
    activations, key, value, weight = drawn(400, M), drawn(M), drawn(D), drawn(D, M)
    moment = activations.T @ activations / len(activations)
    query = query_of(key, moment)
    assert float(query @ key.double()) == pytest.approx(1, abs=1e-9)
    edited = answer(value, query.float(), transposed=False).added_to(weight)
    assert torch.allclose(edited @ key, weight @ key + value, atol=1e-5)
    disturbed = float((activations.double() @ query).square().mean())
    for k in range(20):
        other = query + 0.1 * torch.randn(M, generator=torch.Generator().manual_seed(k)).double()
        other = other / (other @ key.double())
        assert float((activations.double() @ other).square().mean()) > 0.98 * disturbed  # but for the ridge


def test_what_is_kept_transposed_is_the_same_edit() -> None:
    value, query = drawn(D), drawn(M)
    plain, turned = (answer(value, query, transposed=flag) for flag in (False, True))
    assert torch.equal(plain.dense(), turned.dense().T) and turned.shape == (M, D)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_random_value_has_the_same_key_and_norm(transposed: bool) -> None:
    made = answer(drawn(D), drawn(M), transposed=transposed)
    other = other_values(made, torch.Generator().manual_seed(1), transposed=transposed)
    assert other.norm == pytest.approx(made.norm, rel=1e-5)
    one, two = ((each.left if transposed else each.right)[:, 0] for each in (made, other))
    assert float(torch.cosine_similarity(one, two, dim=0)) == pytest.approx(1, abs=1e-5)
    assert abs(float(torch.cosine_similarity(made.dense().flatten(), other.dense().flatten(), dim=0))) < 0.99


def test_what_is_no_key_or_no_moment_is_refused() -> None:
    with pytest.raises(LandscapeError, match="key"):
        query_of(torch.zeros(M), torch.eye(M))
    with pytest.raises(LandscapeError, match=r"finite \(9, 9\)"):
        query_of(drawn(M), torch.eye(M - 1))
    with pytest.raises(LandscapeError, match="positive definite"):
        query_of(drawn(M), -torch.eye(M))


def test_several_keys_are_answered_alike_and_one_of_them_is_as_before() -> None:
    activations, keys = drawn(400, M), drawn(3, M)
    moment = activations.T @ activations / len(activations)
    answered = keys.double() @ query_of(keys, moment)
    assert float(answered.mean()) == pytest.approx(1, abs=1e-9)
    assert float((answered - 1).abs().max()) < 0.2
    assert torch.equal(query_of(keys[:1], moment), query_of(keys[0], moment))


def test_keys_that_are_almost_one_cost_hardly_more_than_one() -> None:
    """Told apart exactly, two keys a thousandth apart would need a query a hundred times as long."""
    activations, key = drawn(400, M), drawn(M)
    moment = activations.T @ activations / len(activations)
    pair = torch.stack([key, key + 1e-3 * drawn(M + 1)[:M]])
    one, two = query_of(key, moment), query_of(pair, moment)
    assert float(two.norm()) < 1.05 * float(one.norm())
