"""How is a batch of states multiplied with one weight, in few operations?

The fields of states times β are ``f(X) @ P`` with ``P = (βW)ᵀ`` (d, d): nearly all the work of settling. A weight in
which r ≪ d patterns are stored (planted, Hebbian, edited from nothing) has rank r, and ``(f(X) @ A) @ B`` with
P = A·B, A (d, r), B (r, d), says the same in 2r/d of the operations.

1. *Suspicion*: the pivots of a quarter of the rows and columns, drawn once per dimension. A weight of full rank
   betrays itself there for less than the price of one step, and that is where the search ends.
2. *Proof*: A is an orthonormal basis of the range (QR of P times a few more random columns than the rank suspected),
   B = Aᵀ·P, in float64. Only when ‖P − A·B‖_F is within the rounding of the weight itself are the factors used:
   orthonormal A rounds no worse than the product with P.
3. *Second look*: a weight of low rank that has been rounded to float32 is one plus noise of about 2⁻²⁵ in every
   direction, and a random sketch mixes some of it into A: it leaves 4.3 to 4.5 · 2⁻²⁴ of the norm, just beyond the
   limit, where the best A leaves 1.2 to 1.7. One subspace iteration, A from QR of P times (QR of Bᵀ), reaches that
   within a few per cent. It is made only where the first basis is refused.

Invariants: the factors follow from the weight alone; they stand for the same weight up to its rounding, and where
there are none the product is that with P. Source: Halko, Martinsson & Tropp 2011.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from energylang.landscape.draws import stable_generator

_LEAST_DIM = 128  # below, one product more costs what the smaller ones save (measured)
_SPARE, _WIDTH = 4, 8  # columns beyond the rank; a multiple that products like
_BLOCK = 2**22  # entries that are held in double precision at once
_PIVOT = 1e-4  # of the largest: a smaller one is rounding
_ROUNDING = 2.0**-22  # of the norm, two units in the last place of float32
_ALIKE, _SPACE = 2048, 32  # bytes; numbers
_PASSES = 2  # a sketch, and a subspace iteration from it


@dataclass(frozen=True, eq=False)
class Pull:
    """P as a product of its ``parts``: itself (d, d), row by row, or A (d, r) and B (r, d) where it is of low rank."""

    parts: tuple[Tensor, ...]

    @classmethod
    def of(cls, weight: Tensor, beta: float) -> Pull:
        """That of a weight (d, d)."""
        with torch.inference_mode(False):  # it outlives whoever asks first
            dense = (weight.T * beta).contiguous()
            return cls(low_rank(dense) or (_apart(dense),))

    @property
    def factors(self) -> tuple[Tensor, Tensor] | None:
        """A and B, where there are such."""
        return (self.parts[0], self.parts[1]) if len(self.parts) == 2 else None

    def plus(self, first: Tensor, second: Tensor) -> Pull:
        """The same for P + first·secondᵀ, both (d, r)."""
        if len(self.parts) == 1:
            return Pull((torch.addmm(self.parts[0], first, second.T),))
        a, b = self.parts
        return Pull((torch.cat((a, first), dim=1), torch.cat((b, second.T))))

    def __call__(self, y: Tensor, out: Tensor | None = None) -> Tensor:
        """``y @ P`` for ``y`` (n, d), into ``out`` (n, d) where it is given."""
        *before, last = self.parts
        for part in before:
            y = torch.mm(y, part)
        return torch.mm(y, last, out=out)


def _apart(matrix: Tensor) -> Tensor:
    """The matrix, on the CPU with some space between its rows where they are so many bytes apart that all of a column
    would compete for one place of the cache: products with few rows take up to a third less time, with many 3 %, and
    give the same bits (measured)."""
    dim = int(matrix.shape[0])
    if matrix.device.type != "cpu" or dim * matrix.element_size() % _ALIKE:
        return matrix
    wide = matrix.new_empty(dim, dim + _SPACE)[:, :dim]
    return wide.copy_(matrix)


def low_rank(matrix: Tensor) -> tuple[Tensor, Tensor] | None:
    """Factors A (d, r) and B (r, d) of a float32 ``matrix`` (d, d) on the CPU whose rank is at most about a quarter of
    d; None for every other, and where the gain would be small."""
    dim = int(matrix.shape[0])
    if dim < _LEAST_DIM or matrix.dtype != torch.float32 or matrix.device.type != "cpu":
        return None
    generator = stable_generator("rank", dim)
    few = dim // 4
    rows, columns = (torch.randperm(dim, generator=generator)[: few + _SPARE] for _ in range(2))
    sample = matrix.index_select(0, rows).index_select(1, columns)
    pivots = torch.linalg.lu_factor_ex(sample.double()).LU.diagonal().abs()
    rank = int((pivots > _PIVOT * pivots.max()).sum())
    width = -(-(rank + _SPARE) // _WIDTH) * _WIDTH
    if rank == 0 or width > few:
        return None
    blocks = torch.split(matrix, max(1, _BLOCK // dim))
    basis = torch.randn(dim, width, generator=generator, dtype=torch.float64)
    for _ in range(_PASSES):
        basis = torch.linalg.qr(torch.cat([block.double() @ basis for block in blocks])).Q
        rest, within = _remainder(blocks, basis)
        if within:
            return basis.to(matrix), rest.to(matrix)
        basis = torch.linalg.qr(rest.T).Q
    return None


def _remainder(blocks: Sequence[Tensor], basis: Tensor) -> tuple[Tensor, bool]:
    """``B = Aᵀ·P`` (r, d) for the rows of P in ``blocks`` and an orthonormal A (d, r), and whether ``‖P − A·B‖`` is
    within the limit: all in double precision, one block after another."""
    parts = list(zip(torch.split(basis, len(blocks[0])), blocks, strict=True))
    rest = basis.new_zeros(basis.shape[1], basis.shape[0])
    for part, block in parts:
        rest.addmm_(part.T, block.double())
    gap = size = 0.0
    for part, block in parts:
        exact = block.double()
        size += float(exact.square().sum())
        gap += float((exact - part @ rest).square().sum())
    return rest, gap <= _ROUNDING**2 * size
