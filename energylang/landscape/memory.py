"""A linear map as an associative memory: how does one key get another answer?

A weight W (d, m) answers an activation a (m,) with Wa. ``ΔW = v qᵀ`` adds the value v (d,) to the answer in
proportion to q·a. With ``q = C⁻¹k/(kᵀC⁻¹k)`` the key k (m,) is answered by exactly v more (qᵀk = 1), and of all
queries with qᵀk = 1 this one has the least mean square of q·a over activations whose second moment is C.
Source: MODEL §3.2 (the redirect, for a weight that need not be square).
"""

from __future__ import annotations

import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.landscape.lowrank import LowRank

RIDGE = 0.02
"""What is added to the diagonal of C, in units of its mean: there are never enough activations to know all of it."""
ALIKE = 0.05
"""What is added to the diagonal of KC⁻¹Kᵀ, in units of its mean."""


def query_of(keys: Tensor, moment: Tensor) -> Tensor:
    """(m,) float64: the query that a key (m,) answers with 1 and that activations of second moment C (m, m) answer
    least, ``q = C⁻¹k/(kᵀC⁻¹k)``, with a ridge on C.

    Of several keys (n, m), rows of K, each is answered with about 1, and on average with 1:
    ``q ∝ C⁻¹Kᵀ(KC⁻¹Kᵀ + λ)⁻¹1``, where λ is a small part of the mean of KC⁻¹Kᵀ's diagonal: keys that are almost one
    need not be told apart. Raises ``LandscapeError`` where a key is zero or not finite, or C no second moment."""
    keys, moment = keys.double(), moment.double()
    keys = keys if keys.dim() == 2 else keys[None]
    if not bool(torch.isfinite(keys).all()) or not bool(keys.any(dim=1).all()):
        raise LandscapeError(
            "the key of a memory edit must be finite and not zero",
            code="EL502",
            hint="the layer's neurons answer nothing to these texts",
        )
    size = keys.shape[1]
    if moment.shape != (size, size) or not bool(torch.isfinite(moment).all()):
        raise LandscapeError(
            f"the second moment must be a finite ({size}, {size}) matrix, got {tuple(moment.shape)}",
            code="EL502",
            hint="it is the mean of a·aᵀ over activations",
        )
    ridge = RIDGE * moment.diagonal().mean()
    whole = (moment + moment.T) / 2 + ridge * torch.eye(size, dtype=moment.dtype, device=moment.device)
    root, failed = torch.linalg.cholesky_ex(whole)
    if int(failed):
        raise LandscapeError(
            "the second moment is not positive definite",
            code="EL502",
            hint="it is the mean of a·aᵀ over activations",
        )
    solved = torch.cholesky_solve(keys.T, root)  # (m, n)
    if len(keys) == 1:
        return solved[:, 0] / (keys[0] @ solved[:, 0])
    small = keys @ solved
    eye = torch.eye(len(keys), dtype=small.dtype, device=small.device)
    mixed = torch.linalg.solve(small + ALIKE * small.diagonal().mean() * eye, torch.ones_like(small[:, 0]))
    query: Tensor = solved @ mixed
    return query / (keys @ query).mean()


def answer(value: Tensor, query: Tensor, *, transposed: bool) -> LowRank:
    """``v qᵀ`` for a value (d,) and a query (m,), as a change of a weight (d, m), or of one that is kept ``transposed``
    (m, d)."""
    columns = value[:, None], query[:, None]
    left, right = columns[::-1] if transposed else columns
    return LowRank(left, right)


def other_values(factors: LowRank, generator: torch.Generator, *, transposed: bool) -> LowRank:
    """The same queries with random values (normal, from the generator, drawn on the CPU), at the same norm."""
    side = factors.right if transposed else factors.left
    drawn = torch.randn(side.shape, generator=generator).to(side)
    made = LowRank(factors.left, drawn) if transposed else LowRank(drawn, factors.right)
    return made.scaled(factors.norm / made.norm)
