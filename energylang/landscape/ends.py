"""How large is a symmetric matrix, and is it positive semi-definite, without all of its eigenvalues?

All d eigenvalues cost about 1.3 d³ operations in double precision: at d = 1,024 as much as half a survey. What is asked
is less: the largest magnitude ρ, and whether the lowest eigenvalue λ lies above −t·ρ for a small t.

1. A matrix A·B (A orthonormal, of few columns) has the eigenvalues of the small matrix B·A, and 0.
2. For every other, *Lanczos* with full reorthogonalisation from a fixed random vector gives projections whose ends move
   outwards. ρ is known when the end of larger magnitude has a residual of at most 1e-7·ρ (the value itself is then
   right to its square over the gap) and the other end, residual included, is smaller. An end below −t·ρ proves that
   the matrix is not definite, because projections never reach beyond the spectrum.
3. Otherwise a Cholesky factorisation of the matrix plus t·ρ·I decides: it exists where λ > −t·ρ.
4. Where the ends lie too dense for some dozen steps, or d is small, all eigenvalues are calculated.

Invariants: deterministic (the start depends on d only); float64. Source: Parlett, *The Symmetric Eigenvalue Problem*.
"""

from __future__ import annotations

import torch
from torch import Tensor

from energylang.landscape.draws import stable_generator

_LEAST_DIM = 384  # below, all eigenvalues are as quick (measured)
_FEWEST, _MOST, _SHARE = 60, 160, 8  # steps: of a Krylov space, or one for so many dimensions
_LOOK = 10
_ENOUGH = 1e-7


def ends(
    matrix: Tensor, tolerance: float, factors: tuple[Tensor, Tensor] | None = None
) -> tuple[float, bool]:
    """(largest magnitude ρ of an eigenvalue, whether none lies below ``−tolerance·ρ``) of a symmetric ``matrix`` (d, d)
    in float64, or of the product of ``factors`` A (d, r), orthonormal, and B (r, d), where it is that one."""
    if factors is not None:
        first, second = (part.double() for part in factors)
        small = second @ first
        values = torch.linalg.eigvalsh((small + small.T) / 2)
        return _whole(values, tolerance)
    if matrix.shape[0] >= _LEAST_DIM:
        found = _krylov(matrix)
        if found is not None:
            size, lowest = found
            if lowest < -tolerance * size:
                return size, False
            lifted = matrix.clone()
            lifted.diagonal().add_(tolerance * size)
            return size, int(torch.linalg.cholesky_ex(lifted).info) == 0
    return _whole(torch.linalg.eigvalsh(matrix), tolerance)


def _whole(values: Tensor, tolerance: float) -> tuple[float, bool]:
    """The same from all eigenvalues that are not 0, ascending."""
    size = float(values.abs().max())
    return size, float(values[0]) >= -tolerance * size


def _krylov(matrix: Tensor) -> tuple[float, float] | None:
    """(ρ, a value that the lowest eigenvalue does not exceed), or None where some dozen steps do not tell."""
    dim = int(matrix.shape[0])
    v = torch.randn(dim, generator=stable_generator("ends", dim), dtype=torch.float64).to(matrix)
    steps = min(max(_FEWEST, dim // _SHARE), _MOST)
    basis = matrix.new_zeros(steps, dim)
    small = torch.zeros(steps, steps, dtype=torch.float64)
    length = float(torch.linalg.vector_norm(v))
    for j in range(steps):
        basis[j] = v / length
        image = torch.mv(matrix, basis[j])
        small[j, j] = float(torch.dot(image, basis[j]))
        known = basis[: j + 1]
        for _ in range(2):
            image = image - torch.mv(known.T, torch.mv(known, image))
        v, length = image, float(torch.linalg.vector_norm(image))
        over = length <= torch.finfo(torch.float64).eps * float(
            small.abs().max()
        )  # the space holds all it can reach
        if over or (j + 1) % _LOOK == 0:
            values, vectors = torch.linalg.eigh(small[: j + 1, : j + 1])
            low, high = float(values[0]), float(values[-1])
            size = max(abs(low), abs(high))
            off = 0.0 if over else length
            bounds = [off * abs(float(vectors[-1, end])) for end in (0, -1)]
            large, other = (1, 0) if abs(high) >= abs(low) else (0, 1)
            if bounds[large] <= _ENOUGH * size and abs((low, high)[other]) + bounds[other] < size:
                return size, low
            if over:
                return None
        if j + 1 < steps:
            small[j, j + 1] = small[j + 1, j] = length
    return None
