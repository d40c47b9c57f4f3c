"""How high does a state lie in the energy landscape?

Two functions, both on batches of states (n, d), both computed and returned in float64 (differences along a
path are small):

* ``lyapunov``, for y = f(x), symmetric W, drive u (0 by default):

      E(x) = −½·yᵀWy − uᵀy + (1/β)·Σᵢ I(|xᵢ|),     I(a) = ∫₀ᵃ f′(v)·artanh(v) dv

  Hopfield's continuous energy (1984) with the activation f(tanh βh). Its gradient is
  ``f′(x)·(artanh(x)/β − Wf(x) − u)``, zero exactly at the fixed points of the dynamics. With k = p − 1,
  partial integration gives a closed form for EVERY whole degree:

      I(a) = aᵏ·artanh a − ∫₀ᵃ vᵏ/(1−v²) dv
           = ½·[(aᵏ ± 1)·log(1+a) + (1+a+…+a^(k−1))·(1−a)·log(1−a)] + Σ_j aʲ/j

  with + and j = 2, 4, …, k−1 for odd k, − and j = 1, 3, …, k−1 for even k. For p = 3 that is
  ``(a²−1)·artanh a + a``. It is finite at a = 1 (a saturated float32 state), and +∞ outside [−1, 1], where
  the energy has its wall.

* ``reference``, the formula that the published Energy Language documents. It rises along the dynamics;
  it is kept for comparison only.

Invariant: along the discrete update ``lyapunov`` never rises for positive semi-definite W at any τ in
(0, 1], and for symmetric W at τ ≤ 0.1 (tested). A non-symmetric W has no such function; its symmetric part
is used. Source: NUMERICS §2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.landscape.dynamics import Landscape, interaction

_ROUNDING = 1e-6  # a saturated state may lie beyond 1 by the rounding of float32


def reference(landscape: Landscape, x: Tensor) -> Tensor:
    """``−(1/p)·Σ|xᵢ|^p + ½·xᵀWf(x)``, states (n, d) → float64 (n,). The published formula."""
    x = _checked(landscape, x)
    return _published(landscape, x, interaction(x, landscape.degree) @ landscape.weight.double().T)


def lyapunov(landscape: Landscape, x: Tensor, drive: Tensor | None = None) -> Tensor:
    """The Lyapunov energy, states (n, d) and drive (d,) or (n, d) → float64 (n,), +∞ outside [−1, 1].

    Uses the symmetric part of W, which is W itself when ``landscape.symmetric``. Differentiable in x.
    """
    x = _checked(landscape, x)
    y = interaction(x, landscape.degree)
    energy = _hopfield(landscape, x, y, y @ landscape.weight.double().T)
    if drive is not None:
        energy = energy - (y * drive.to(x)).sum(1)
    return energy


def both(landscape: Landscape, x: Tensor) -> tuple[Tensor, Tensor]:
    """(``lyapunov``, ``reference``) of states (n, d) from one product with W."""
    x = _checked(landscape, x)
    y = interaction(x, landscape.degree)
    field = y @ landscape.weight.double().T
    return _hopfield(landscape, x, y, field), _published(landscape, x, field)


def _published(landscape: Landscape, x: Tensor, field: Tensor) -> Tensor:
    return -x.abs().pow(landscape.degree).sum(1) / landscape.degree + 0.5 * (x * field).sum(1)


def _hopfield(landscape: Landscape, x: Tensor, y: Tensor, field: Tensor) -> Tensor:
    # yᵀWy only sees the symmetric part of W.
    return -0.5 * (field * y).sum(1) + wall(x.abs(), landscape.degree).sum(1) / landscape.beta


def wall(a: Tensor, degree: int) -> Tensor:
    """``I(a) = ∫₀ᵃ f′(v)·artanh(v) dv`` elementwise for a ≥ 0 (module docstring); +∞ beyond 1 (and rounding)."""
    k = degree - 1
    inside = a.clamp_max(1.0)
    gap = 1.0 - inside
    geometric = sum((inside.pow(i) for i in range(1, k)), torch.ones_like(inside))
    signed = inside.pow(k) + (1.0 if k % 2 else -1.0)
    value = 0.5 * (signed * torch.log1p(inside) + geometric * torch.xlogy(gap, gap))
    for j in range(2 if k % 2 else 1, k, 2):
        value = value + inside.pow(j) / j
    return torch.where(a > 1.0 + _ROUNDING, torch.inf, value)


def _checked(landscape: Landscape, x: Tensor) -> Tensor:
    if x.ndim != 2 or x.shape[1] != landscape.dim:
        raise LandscapeError(
            f"states must have shape (n, {landscape.dim}), got {tuple(x.shape)}",
            hint=f"this layer's states have dimension {landscape.dim}",
        )
    return x.to(device=landscape.weight.device, dtype=torch.float64)
