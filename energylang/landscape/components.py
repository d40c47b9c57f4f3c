"""Along which directions do states vary most?

The leading principal components of states X (n, m), by block power iteration on the centred states: a random block of
a few more columns than wanted is multiplied with XᵀX and made orthonormal again, and what is left is an eigenproblem
of the block's size (Rayleigh and Ritz). A width of some thousands costs a few products with X instead of all
eigenvectors of an (m, m) matrix; where the block is as wide as the states, the result is exact.

*Whitened* coordinates have variance 1 along every component. They are returned as **directions**, points of the unit
sphere: how far a state lies from the mean says little (a few tokens lie very far), where it lies says what it is.

Source: Halko, Martinsson & Tropp 2011.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.landscape.clusters import normalised

_SPARE, _ROUNDS = 16, 12
_FLAT = 1e-6  # of the largest standard deviation: below, nothing varies


@dataclass(frozen=True, eq=False)
class Components:
    """``mean`` (m,) and ``whitening`` (m, c): (x − mean)·whitening has variance 1 along every component, the
    strongest first. ``explained`` is the share of the variance that lies in them."""

    mean: Tensor
    whitening: Tensor
    explained: float

    def directions(self, states: Tensor) -> Tensor:
        """(n, c) at unit norm: in which direction from the mean states (n, m) lie, seen through the components. The
        mean itself, which lies in none, gives zero."""
        return normalised((states - self.mean) @ self.whitening)


def leading(states: Tensor, count: int, generator: torch.Generator) -> Components:
    """The ``count`` leading components of finite states (n, m); ``generator`` draws the first block.

    Raises ``LandscapeError`` where the states vary in fewer directions than that.
    """
    n, width = states.shape
    if not 2 <= count <= width:
        raise LandscapeError(
            f"the number of components must lie between 2 and {width}, got {count}",
            hint="32 is usual; there are as many as the states have numbers",
        )
    mean = states.mean(0)
    centred = states - mean
    block = torch.randn(width, min(width, count + _SPARE), generator=generator).to(states)
    for _ in range(_ROUNDS):
        block = torch.linalg.qr(centred.T @ (centred @ block)).Q
    seen = (centred @ block).double()
    values, vectors = torch.linalg.eigh(seen.T @ seen / max(1, n))
    deviation = values.clamp_min(0.0).sqrt().flip(0)
    rounding = torch.finfo(states.dtype).eps * float(states.abs().max())
    varying = int((deviation > max(_FLAT * float(deviation[0]), rounding)).sum())
    if varying < count:
        raise LandscapeError(
            f"the {n} states vary in {varying} directions only, {count} components were asked for",
            hint="read more text, or ask for fewer components",
        )
    turned = block @ vectors.flip(1)[:, :count].to(block)
    whole = float(centred.double().square().sum()) / n
    whitening = turned / deviation[:count].to(turned)
    return Components(mean, whitening, float(values.flip(0)[:count].sum()) / whole)
