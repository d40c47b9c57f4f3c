"""How is a change of the weight written down, added, measured and combined?

Every edit of this package is ``ΔW = left @ right.T`` with a rank of one to a few, so a candidate edit of a
weight (m, n) costs ``(m + n)·r`` numbers instead of ``m·n``, and many candidates can share one product with a
square ``W`` (``settle_variants``). A vector is a weight of one column (``LowRank.of_vector``).

Invariants: ``added_to`` is one ``torch.addmm``, so adding the same factors to the same weight gives the same
bits. ``symmetric_pair`` writes ``a qᵀ + q aᵀ`` as ``e₊e₊ᵀ − e₋e₋ᵀ``: every column of ``left`` is ± the same
column of ``right``, which can be read off the factors (``mirrored``; square ones only). A bit-symmetric weight
plus mirrored factors is bit-symmetric: a matrix product may round (i, j) and (j, i) differently (float64 on the
CPU does), so the upper triangle decides.
Source: NUMERICS §1 and §4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor

from energylang.errors import LandscapeError

_SAME_RANK, _CANCELLED = 1e-5, 1e-12


@dataclass(frozen=True, eq=False)
class LowRank:
    """A low-rank change of a weight, ``ΔW = left @ right.T``.

    ``left`` is (m, r) and ``right`` (n, r) for a weight (m, n); r = 0 is the change that changes nothing.
    Raises ``LandscapeError`` when the ranks do not agree or an entry is not finite.
    """

    left: Tensor
    right: Tensor

    def __post_init__(self) -> None:
        if self.left.ndim != 2 or self.right.ndim != 2 or self.left.shape[1] != self.right.shape[1]:
            raise LandscapeError(
                f"the factors of an edit must be (m, r) and (n, r) with one rank r, got {tuple(self.left.shape)} "
                f"and {tuple(self.right.shape)}",
                hint="give left and right as matrices with one column per rank",
            )
        if not bool(torch.isfinite(self.left).all()) or not bool(torch.isfinite(self.right).all()):
            raise LandscapeError(
                "the factors of an edit hold NaN or infinity",
                hint="lower the strength of the edit, or check the state it was built from",
            )

    @classmethod
    def zero(cls, like: Tensor) -> LowRank:
        """The change that changes nothing, for a weight ``like``: a matrix, a vector or one number."""
        return cls(*(like.new_zeros(size, 0) for size in _as_matrix(like).shape))

    @classmethod
    def of_vector(cls, change: Tensor) -> LowRank:
        """The ``change`` (m,) or () of a vector or of one number: of rank one, and exact (times 1)."""
        return cls(change.reshape(-1, 1), change.new_ones(1, 1))

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n) of the weights it can be added to; a vector's is (m, 1)."""
        return int(self.left.shape[0]), int(self.right.shape[0])

    @property
    def rank(self) -> int:
        """The number of columns r (an upper bound of the rank of ΔW)."""
        return int(self.left.shape[1])

    @property
    def true_rank(self) -> int:
        """The rank of ΔW in numbers: singular values above 1e-5 of the largest, from two QR factorisations."""
        if self.rank == 0:
            return 0
        core = torch.linalg.qr(self.left.double())[1] @ torch.linalg.qr(self.right.double())[1].T
        values = torch.linalg.svdvals(core)
        return int((values > max(_SAME_RANK * float(values[0]), _CANCELLED * self.norm_bound)).sum())

    @property
    def norm(self) -> float:
        """The Frobenius norm of ΔW from two r × r Gram matrices (float64), without the product of the factors."""
        left, right = self.left.double(), self.right.double()
        squared = ((left.T @ left) * (right.T @ right)).sum()
        return float(squared.clamp_min(0.0).sqrt())

    @property
    def norm_bound(self) -> float:
        """An upper bound of the Frobenius norm, ``Σ‖left_k‖·‖right_k‖``: exact for rank one, and cheap."""
        lengths = torch.linalg.vector_norm(self.left, dim=0) * torch.linalg.vector_norm(self.right, dim=0)
        return float(lengths.sum())

    @property
    def mirrored(self) -> bool:
        """Whether every column of ``left`` is plus or minus that of ``right``: ΔW is square and symmetric by form."""
        if self.left.shape != self.right.shape:
            return False
        same = (self.left == self.right).all(0) | (self.left == -self.right).all(0)
        return bool(same.all())

    def dense(self) -> Tensor:
        """ΔW as a matrix (m, n)."""
        return self.left @ self.right.T

    def added_to(self, weight: Tensor) -> Tensor:
        """``weight + ΔW``, in the shape of ``weight``, by one ``addmm``: same inputs, same bits; ``weight`` is left
        alone. Mirrored factors keep a symmetric weight symmetric bit for bit. The factors are copied first: how a
        product is rounded depends on where in memory they lie and in which order (a view, a file); a copy lies
        always alike."""
        matrix = _as_matrix(weight)
        if matrix.shape != self.shape:
            raise LandscapeError(
                f"an edit of shape {self.shape} cannot be added to a weight of shape {tuple(weight.shape)}",
                hint="edits belong to the weight they were made for",
            )
        left, right = (
            side.to(weight).clone(memory_format=torch.contiguous_format) for side in (self.left, self.right)
        )
        total = torch.addmm(matrix, left, right.T)
        if self.mirrored and torch.equal(matrix, matrix.T):
            total = total.triu() + total.triu(1).T
        return total.reshape(weight.shape)

    def scaled(self, factor: float) -> LowRank:
        """``factor·ΔW``. The magnitude is shared evenly (√|factor| on each side) so that factors of the
        symmetric form keep their bit-exact symmetry; a negative factor changes the sign of ``left``."""
        root = abs(factor) ** 0.5
        signed = root if factor >= 0 else -root
        return LowRank(self.left * signed, self.right * root)

    def joined(self, other: LowRank) -> LowRank:
        """``ΔW + ΔW'`` as one change of rank r + r'."""
        if other.shape != self.shape:
            raise LandscapeError(
                f"edits of shapes {self.shape} and {other.shape} cannot be joined",
                hint="join edits of one weight only",
            )
        return LowRank(
            torch.cat((self.left, other.left.to(self.left)), dim=1),
            torch.cat((self.right, other.right.to(self.right)), dim=1),
        )


def _as_matrix(weight: Tensor) -> Tensor:
    """A weight as the matrix that factors are added to: a vector (m,) or one number has one column."""
    return weight if weight.ndim == 2 else weight.reshape(-1, 1)


def symmetric_pair(first: Tensor, second: Tensor) -> LowRank:
    """``A Bᵀ + B Aᵀ`` for ``first`` = A, ``second`` = B (d, r), in the form that keeps a weight symmetric
    bit for bit: each column pair becomes ``e₊e₊ᵀ − e₋e₋ᵀ`` with ``e± = (a/s ± s·b)/√2``, s² = ‖a‖/‖b‖ (so
    that the two squares, which cancel, are no larger than they must be)."""
    norm_first = torch.linalg.vector_norm(first, dim=0)
    norm_second = torch.linalg.vector_norm(second, dim=0)
    live = (norm_first > 0) & (norm_second > 0)
    scale = torch.where(live, norm_first / torch.where(live, norm_second, 1.0), 1.0).sqrt()
    a, b = first / scale, second * scale
    plus, minus = (a + b) * 0.5**0.5 * live, (a - b) * 0.5**0.5 * live
    return LowRank(torch.cat((plus, -minus), dim=1), torch.cat((plus, minus), dim=1))


class Grid(Sequence[LowRank]):
    """Candidates of one rank r, kept as two (m, r, d) tensors; each is a ``LowRank`` when it is asked for."""

    def __init__(self, left: Tensor, right: Tensor) -> None:
        self.left, self.right = left, right

    def __len__(self) -> int:
        return int(self.left.shape[0])

    @overload
    def __getitem__(self, index: int) -> LowRank: ...

    @overload
    def __getitem__(self, index: slice) -> Grid: ...

    def __getitem__(self, index: int | slice) -> LowRank | Grid:
        if isinstance(index, slice):
            return Grid(self.left[index], self.right[index])
        return LowRank(self.left[index].T, self.right[index].T)

    def take(self, indices: Sequence[int]) -> Grid:
        """Some of the candidates."""
        rows = list(indices)
        return Grid(self.left[rows], self.right[rows])

    def joined(self, other: Grid) -> Grid:
        """The candidates of both, in order; padded with zero to one rank."""
        left, right = (
            stacked([*self, *other], self.left)
            if self.rank != other.rank
            else (torch.cat((self.left, other.left)), torch.cat((self.right, other.right)))
        )
        return Grid(left, right)

    @property
    def rank(self) -> int:
        """The rank r of every candidate (an upper bound)."""
        return int(self.left.shape[1])

    @property
    def norms(self) -> Tensor:
        """(m,) float64: ``LowRank.norm`` of every candidate."""
        left, right = self.left.double(), self.right.double()
        squared = ((left @ left.mT) * (right @ right.mT)).sum((1, 2))
        norms: Tensor = squared.clamp_min(0.0).sqrt()
        return norms

    @property
    def mirrored(self) -> Tensor:
        """(m,) bool: ``LowRank.mirrored`` of every candidate."""
        same = (self.left == self.right).all(2) | (self.left == -self.right).all(2)
        every: Tensor = same.all(1)
        return every

    @property
    def norm_bounds(self) -> Tensor:
        """(m,): ``LowRank.norm_bound`` of every candidate."""
        lengths = torch.linalg.vector_norm(self.left, dim=2) * torch.linalg.vector_norm(self.right, dim=2)
        bounds: Tensor = lengths.sum(1)
        return bounds


def symmetric_grid(first: Tensor, second: Tensor, like: Tensor) -> Grid:
    """``symmetric_pair`` of every column of ``first`` and ``second`` (d, m) on its own: m candidates of rank two,
    in the dtype of ``like``."""
    pair = symmetric_pair(first, second)
    m = first.shape[1]
    # Columns e₊ of all candidates, then e₋ of all: two to each.
    left, right = (side.to(like).T.reshape(2, m, -1).transpose(0, 1) for side in (pair.left, pair.right))
    return Grid(left.contiguous(), right.contiguous())


def stacked(candidates: Sequence[LowRank], like: Tensor) -> tuple[Tensor, Tensor]:
    """Left and right factors of m candidates as two (m, r, d) tensors, padded with zero to one rank r."""
    if isinstance(candidates, Grid):
        if candidates.left.shape[2] != like.shape[0]:
            raise LandscapeError(
                f"candidate edits of dimension {candidates.left.shape[2]} do not fit this layer"
            )
        return candidates.left.to(like).clone(), candidates.right.to(like)
    rank = max((c.rank for c in candidates), default=0)
    dim = int(like.shape[0])
    left = like.new_zeros(len(candidates), rank, dim)
    right = like.new_zeros(len(candidates), rank, dim)
    for i, candidate in enumerate(candidates):  # packing only: the arithmetic is batched
        if candidate.shape != (dim, dim):
            raise LandscapeError(
                f"a candidate edit has shape {candidate.shape}, the layer has dimension {dim}",
                hint="build the edit from states of this layer",
            )
        left[i, : candidate.rank] = candidate.left.T
        right[i, : candidate.rank] = candidate.right.T
    return left, right
