"""What is one Hopfield layer: its weight, its temperature, its interaction?

    field of a state:  W f(x),     f(x) = sign(x)·|x|^(p−1),     image:  tanh(β·W f(x))

``Landscape`` holds W (d, d), β and p, checked once, and answers what follows from them alone (symmetry,
definiteness, norms); ``residual`` says how far a state is from being its own image.

The origin: without drive and for p ≥ 3 it always attracts (f′(0) = 0). ``‖f(x)‖ ≤ ‖x‖^(p−1)``, so a state
with ``β‖W‖_F‖x‖^(p−2) < ½`` at least halves its distance to zero in every undamped step; ``origin_radius`` is
that certain region. Source: NUMERICS §1; Krotov & Hopfield 2016.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.landscape.ends import ends
from energylang.landscape.lowrank import LowRank
from energylang.landscape.product import Pull

SYMMETRIC_BELOW = 1e-6


@dataclass(frozen=True, eq=False)
class Landscape:
    """One Hopfield layer: everything that its dynamics needs.

    ``weight`` is (d, d), floating point, finite; ``beta`` > 0 the inverse temperature; ``degree`` p ≥ 2.
    The weight is detached but not copied; its properties are cached, so do not change it in place.
    Raises ``LandscapeError`` when one of these does not hold.
    """

    weight: Tensor
    beta: float
    degree: int = 3

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", self.weight.detach())  # a view: no copy, no graph
        shape = tuple(self.weight.shape)
        if len(shape) != 2 or shape[0] != shape[1] or shape[0] < 1:
            raise LandscapeError(
                f"a layer's weight must be a square matrix, got shape {shape}",
                hint="a Hopfield layer maps a state of dimension d to a field of dimension d",
            )
        if not self.weight.dtype.is_floating_point:
            raise LandscapeError(
                f"a layer's weight must be floating point, got {self.weight.dtype}",
                hint="convert it to float32",
            )
        largest = _largest(self.weight)
        if not math.isfinite(largest):
            raise LandscapeError(
                "the weight holds NaN or infinity", hint="undo the last edit, or load the checkpoint again"
            )
        bound = torch.finfo(self.weight.dtype).max
        if self.dim * largest * max(1.0, self.beta) >= bound or (self.dim * largest) ** 2 >= bound:
            raise LandscapeError(
                f"the weight reaches {largest:.3g}, too much for {str(self.weight.dtype).removeprefix('torch.')} "
                f"at β = {self.beta:.3g} and dimension {self.dim}",
                hint="scale the layer down, lower β, or `set dtype float64`",
            )
        if not math.isfinite(self.beta) or self.beta <= 0:
            raise LandscapeError(
                f"the inverse temperature β must be positive and finite, got {self.beta}",
                hint="typical values lie between 1 and 10",
            )
        if isinstance(self.degree, bool) or not isinstance(self.degree, int) or self.degree < 2:
            raise LandscapeError(
                f"the degree p must be a whole number of at least 2, got {self.degree!r}",
                hint="3 is the usual degree",
            )

    @property
    def dim(self) -> int:
        """The state dimension d."""
        return int(self.weight.shape[0])

    @cached_property
    def frobenius(self) -> float:
        """``‖W‖_F``."""
        return float(torch.linalg.matrix_norm(self.weight))

    @cached_property
    def pull(self) -> Pull:
        """``(β·W)ᵀ``, ready to multiply with: a batch's fields times β are ``pull(f(X))``."""
        return Pull.of(self.weight, self.beta)

    @cached_property
    def asymmetry(self) -> float:
        """``‖W − Wᵀ‖/‖W‖`` (Frobenius): 0 symmetric, 2 antisymmetric; 0 for a zero weight."""
        if self.frobenius == 0.0:
            return 0.0
        return float(torch.linalg.matrix_norm(self.weight - self.weight.T)) / self.frobenius

    @property
    def symmetric(self) -> bool:
        """Whether the asymmetry is below 1e-6 (rounding of float32 stays below that)."""
        return self.asymmetry < SYMMETRIC_BELOW

    @cached_property
    def _ends(self) -> tuple[float, bool]:
        """Of the symmetric part: the largest magnitude of an eigenvalue, and whether none is negative."""
        weight = self.weight.detach().double()
        factors = self.pull.factors
        if factors is not None:
            factors = factors[0], factors[1].double() / self.beta
        return ends(
            (weight + weight.T).mul_(0.5), max(1e-6, self.dim * torch.finfo(self.weight.dtype).eps), factors
        )

    @property
    def definite(self) -> bool:
        """Whether W is symmetric and positive semi-definite up to rounding (d·eps relative, at least
        1e-6). The energy then never rises, whatever the step size."""
        return self.symmetric and self._ends[1]

    @cached_property
    def spectral_norm(self) -> float:
        """``‖W‖₂``, the largest singular value."""
        if self.symmetric:
            return self._ends[0]
        return float(torch.linalg.matrix_norm(self.weight.detach().double(), ord=2))

    @cached_property
    def origin_radius(self) -> float:
        """Below this norm a state is certain to decay to the origin (module docstring); 0 for
        p = 2, where the origin need not attract; infinite for a zero weight."""
        return self.origin_radius_for(self.frobenius)

    def origin_radius_for(self, bound: float) -> float:
        """The same for any weight of Frobenius norm at most ``bound``."""
        if self.degree == 2:
            return math.inf if bound == 0.0 else 0.0
        product = 2.0 * self.beta * bound
        return math.inf if product == 0.0 else product ** (-1.0 / (self.degree - 2))

    def with_weight(self, weight: Tensor) -> Landscape:
        """The same layer with another weight."""
        return Landscape(weight, self.beta, self.degree)

    def edited(self, factors: LowRank) -> Landscape:
        """The same layer with ``W + ΔW``; this one is left alone."""
        return self.with_weight(factors.added_to(self.weight))

    def tried(self, factors: LowRank) -> Landscape:
        """``edited`` for a moment: without bit-exact symmetry, and with the products that this layer has found."""
        weight = torch.addmm(self.weight, factors.left, factors.right.T)
        found = self.with_weight(weight)
        object.__setattr__(found, "pull", self.pull.plus(factors.right, factors.left * self.beta))
        return found

    def field(self, x: Tensor) -> Tensor:
        """``W f(x)`` for states (n, d), without β."""
        return interaction(x, self.degree) @ self.weight.T

    def image(self, x: Tensor) -> Tensor:
        """``tanh(β·W f(x))`` for states (n, d): where an undamped step takes them."""
        return saturate(self.pull(interaction(x, self.degree)))

    def states(self, x: Tensor, what: str = "states") -> Tensor:
        """``x`` as a checked batch (n, d) on the device and in the dtype of the weight.

        Raises ``LandscapeError`` for a wrong dimension, NaN, infinity, or values that would overflow."""
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise LandscapeError(
                f"{what} must have shape (n, {self.dim}), got {tuple(x.shape)}",
                hint=f"this layer's states have dimension {self.dim}",
            )
        x = x.detach().to(self.weight)
        if x.numel():
            largest = _largest(x)
            if not math.isfinite(largest):
                raise LandscapeError(f"{what} hold NaN or infinity", hint="check where the state comes from")
            if (self.degree - 1) * math.log10(max(largest, 1.0)) > 15:
                raise LandscapeError(
                    f"{what} reach {largest:.3g}, far outside the range [-1, 1] of this layer",
                    hint="scale the state down, or take its sign",
                )
        return x


def interaction(x: Tensor, degree: int, out: Tensor | None = None) -> Tensor:
    """``f(x) = sign(x)·|x|^(p−1)``, elementwise; at the usual degree 3 in the buffer ``out``, where one is given."""
    if degree == 2:
        return x
    if degree == 3:
        return x * x.abs() if out is None else torch.abs(x, out=out).mul_(x)
    if degree % 2 == 0:
        return x.pow(degree - 1)
    return x.abs() * x.pow(degree - 2)


def _largest(x: Tensor) -> float:
    """The largest absolute entry, in one pass; NaN where one is NaN."""
    low, high = torch.aminmax(x)
    return max(-float(low), float(high))


def interaction_slope(x: Tensor, degree: int) -> Tensor:
    """``f′(x) = (p−1)·|x|^(p−2)``, elementwise."""
    if degree == 2:
        return torch.ones_like(x)
    return (degree - 1) * x.abs().pow(degree - 2)


def saturate(field: Tensor) -> Tensor:
    """``tanh``, in place; nothing is noted for a gradient. On the CPU it is numpy's, which is vectorised throughout:
    three to seven times as fast as torch's, exactly odd, within 1.4 units in the last place, the same for an entry
    wherever it lies (measured)."""
    if field.device.type != "cpu" or field.dtype not in (torch.float32, torch.float64):
        return field.tanh_()
    entries = field.detach().numpy()
    np.tanh(entries, out=entries)
    return field


def residual(landscape: Landscape, x: Tensor) -> Tensor:
    """``‖tanh(βWf(x)) − x‖ / ‖x‖`` for states (n, d) → (n,); 0 for the zero state, a true fixed point."""
    x = landscape.states(x)
    image = saturate(landscape.beta * landscape.field(x))
    norm = torch.linalg.vector_norm(x, dim=1)
    gap = torch.linalg.vector_norm(image - x, dim=1)
    return torch.where(norm > 0, gap / torch.where(norm > 0, norm, 1.0), gap)


def cosine_rows(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of the vectors in the last axis of ``a`` and ``b`` (broadcast); 0 where one of them is zero."""
    norms = torch.linalg.vector_norm(a, dim=-1) * torch.linalg.vector_norm(b, dim=-1)
    cosine: Tensor = (a * b).sum(-1) / norms.clamp_min(torch.finfo(a.dtype).tiny)
    return cosine
