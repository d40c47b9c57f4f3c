"""How does a state of one model look in another?

Orthogonal Procrustes: from the states of the same probes in both models, X (n, d) and Y (n, e), the map
``x ↦ (x − mean X) R + mean Y`` with ``R = U Vᵀ``, where ``U S Vᵀ`` is the singular value decomposition of
``(X − mean X)ᵀ(Y − mean Y)``. R has orthonormal rows or columns, whichever is shorter, so distances are kept as
far as the dimensions allow, and nothing is fitted beyond a rotation: an effect that survives the map was in the
state, not in the fit.

Source: Schönemann 1966; NUMERICS and WALKTHROUGH (portability).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from energylang.errors import LandscapeError


@dataclass(frozen=True, eq=False)
class Alignment:
    """A map of states (n, d) into another model's (n, e). ``fit`` is the share of the probes' variance that it
    explains there (1 is perfect; 0 is no better than the mean)."""

    rotation: Tensor
    origin: Tensor
    destination: Tensor
    fit: float

    def __call__(self, states: Tensor) -> Tensor:
        """(n, e): states (n, d) of the first model as the second would have them."""
        return (states - self.origin) @ self.rotation + self.destination


def align(first: Tensor, second: Tensor) -> Alignment:
    """The alignment of probes (n, d) with the same probes (n, e) in another model."""
    if first.ndim != 2 or second.ndim != 2 or len(first) != len(second) or len(first) < 2:
        raise LandscapeError(
            f"an alignment needs the same two or more probes in both models, got {tuple(first.shape)} and "
            f"{tuple(second.shape)}",
            hint="give the states of one list of texts in both models",
        )
    origin, destination = first.mean(dim=0), second.mean(dim=0)
    x, y = (first - origin).double(), (second - destination).double()
    u, _, vt = torch.linalg.svd(x.T @ y, full_matrices=False)
    rotation = u @ vt
    left = (y - x @ rotation).pow(2).sum()
    whole = y.pow(2).sum()
    fit = 1 - float(left / whole) if float(whole) > 0 else 0.0
    return Alignment(rotation.to(first), origin, destination, fit)
