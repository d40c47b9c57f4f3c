"""What is the smallest change of W that gives chosen states chosen fields and leaves protected ones alone?

For t states with ``Y = f(states)`` (d, t) and wanted fields ``M`` (d, t), let ``R`` be Y projected off
``span{f(b) : b protected}`` and ``ρ = M − WY``.

* any layer: ``ΔW = ρ (RᵀY)⁻¹ Rᵀ``. It gives ``(W+ΔW)Y = M`` exactly, changes no protected field, and has the
  smallest Frobenius norm among all changes that do both.
* symmetric layer: project ρ off the span as well; with ``Q = R(RᵀR)⁻¹`` and ``C = sym(Yᵀρ)`` it is
  ``ΔW = ρQᵀ + Qρᵀ − QCQᵀ``, symmetric, and changes no protected field. One state (t = 1) gets the field
  ``Wy + ρ`` exactly; several get it up to the antisymmetric part of ``Yᵀρ``, which no symmetric change
  can supply.

All of it is solved in float64 and returned in the dtype of the weight. Protected states that are equal up
to sign (mirror pairs, duplicates) count once: two almost equal fields would otherwise span a direction of
pure rounding and use up room. Source: NUMERICS §4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.landscape.clusters import leaders
from energylang.landscape.dynamics import Landscape, interaction
from energylang.landscape.lowrank import Grid, LowRank, symmetric_grid, symmetric_pair

NO_ROOM = 1e-4
_SAME_FIELD = 1.0 - 1e-6
_DEPENDENT = 1e-8
_NORM_ROUNDING = 1e-6


def span_basis(fields: Tensor) -> Tensor:
    """An orthonormal basis (d, r) of the span of the rows of ``fields`` (k, d), float64."""
    fields = fields.double()
    fields = fields[torch.linalg.vector_norm(fields, dim=1) > 0]
    if fields.shape[0] == 0:
        return fields.new_zeros(fields.shape[1], 0)
    fields = fields / torch.linalg.vector_norm(fields, dim=1, keepdim=True)
    if float((fields @ fields.T).fill_diagonal_(0.0).abs().max()) > _SAME_FIELD:
        fields = fields[leaders(fields, _SAME_FIELD, either_sign=True)[1]]
    if fields.shape[0] <= fields.shape[1]:
        q, r = torch.linalg.qr(fields.T)
        diagonal = r.diagonal().abs()
        if bool(diagonal.min() > _DEPENDENT * diagonal.max()):
            basis: Tensor = q
            return basis
    _, values, rows = torch.linalg.svd(fields, full_matrices=False)
    independent: Tensor = rows[values > _DEPENDENT * values[0]].T
    return independent


def off_span(x: Tensor, basis: Tensor) -> Tensor:
    """The columns of ``x`` (d, t) projected off an orthonormal ``basis`` (d, r); twice, for the rounding."""
    for _ in range(2):
        x = x - basis @ (basis.T @ x)
    return x


def no_room(protected: int, dim: int) -> LandscapeError:
    """The refusal of an edit whose direction lies inside the protected span."""
    return LandscapeError(
        f"no room for this edit: its direction lies in the span of the {protected} protected basins "
        f"(dimension {dim})",
        hint="protect fewer basins, or choose a direction that is not one of them",
    )


def field_edit(
    landscape: Landscape,
    states: Tensor,
    wanted: Tensor,
    protected: Tensor,
    *,
    symmetric: bool | None = None,
) -> LowRank:
    """The smallest edit that gives ``states`` (t, d) the fields ``wanted`` (t, d), keeping the fields of
    ``protected`` (k, d).

    ``symmetric`` None follows the layer. Raises ``LandscapeError`` when the protected span (or the other
    targets) leave no room: ``‖r‖ < 1e-4·‖f(state)‖``.
    """
    symmetric = landscape.symmetric if symmetric is None else symmetric
    y, q, basis = _query(landscape, states, protected)
    change = wanted.double().T - landscape.weight.detach().double() @ y
    found = _factors(y, q, basis, change, symmetric=symmetric)
    return LowRank(found.left.to(landscape.weight), found.right.to(landscape.weight))


def _factors(y: Tensor, q: Tensor, basis: Tensor, change: Tensor, *, symmetric: bool) -> LowRank:
    """The edit whose fields at the states with f(x) = ``y`` (d, t) change by ``change`` (d, t); float64."""
    if not symmetric:
        return LowRank(change, q)
    change = off_span(change, basis)
    inner = y.T @ change
    return symmetric_pair(change - 0.5 * q @ ((inner + inner.T) / 2), q)


@dataclass(frozen=True)
class NormLine:
    """‖ΔW(m)‖² = am² + 2bm + c of the edits ``field_edit`` makes when a wanted field is m times a vector."""

    a: float
    b: float
    c: float

    @property
    def lowest(self) -> float:
        """The m at which the edit is smallest."""
        return -self.b / self.a

    def norm(self, m: float) -> float:
        """‖ΔW(m)‖."""
        return math.sqrt(max(0.0, (self.a * m + 2 * self.b) * m + self.c))

    def at_norm(self, norm: float, *, rising: bool = True) -> float | None:
        """The m whose edit has this norm, on the side where it grows with m (or falls); ``None`` where even the
        smallest edit is larger."""
        rest = self.b * self.b - self.a * (self.c - norm * norm)
        if rest < 0:
            # An edit that is the smallest itself, up to the rounding of its norm.
            return self.lowest if self.norm(self.lowest) <= norm * (1 + _NORM_ROUNDING) else None
        root = math.sqrt(rest)
        return (-self.b + (root if rising else -root)) / self.a


def norm_line(
    landscape: Landscape, states: Tensor, fixed: Tensor, along: Tensor, protected: Tensor
) -> NormLine:
    """How large ``field_edit`` is for the wanted fields ``fixed + m·along`` (t, d), as a function of m."""
    y, q, basis = _query(landscape, states, protected)
    now = landscape.weight.detach().double() @ y

    def size(change: Tensor) -> float:
        return _factors(y, q, basis, change, symmetric=landscape.symmetric).norm ** 2

    start, step = fixed.double().T - now, along.double().T
    a, c = size(step), size(start)
    return NormLine(a, (size(start + step) - a - c) / 2, c)


def field_grid(landscape: Landscape, state: Tensor, wanted: Tensor, protected: Tensor) -> Grid:
    """``field_edit`` of one ``state`` (d,) for each of m ``wanted`` fields (m, d), from one solve."""
    y, q, basis = _query(landscape, state[None], protected)
    change = wanted.double().T - landscape.weight.detach().double() @ y
    m = change.shape[1]
    if not landscape.symmetric:
        left, right = change.to(landscape.weight), q.to(landscape.weight)
        return Grid(left.T[:, None], right.T[None].expand(m, -1, -1))
    change = off_span(change, basis)
    return symmetric_grid(change - 0.5 * q * (y.T @ change), q.expand(-1, m), landscape.weight)


def _query(landscape: Landscape, states: Tensor, protected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(Y (d, t), Q = R(RᵀR)⁻¹ (d, t), basis of the protected span (d, r)), float64; refuses without room."""
    y = interaction(states.double(), landscape.degree).T
    basis = span_basis(interaction(protected.double(), landscape.degree))
    r = off_span(y, basis)
    length = torch.linalg.vector_norm(y, dim=0)
    tiny = torch.finfo(y.dtype).tiny
    share = r / length.clamp_min(tiny)
    smallest = torch.linalg.svdvals(share).min() if r.shape[1] > 1 else torch.linalg.vector_norm(share)
    if not bool(length.min() > 0) or float(smallest) < NO_ROOM:
        raise no_room(int(protected.shape[0]), landscape.dim)
    inner = r.T @ r
    q: Tensor = torch.linalg.solve(inner, r.T).T if r.shape[1] > 1 else r / inner
    return y, q, basis
