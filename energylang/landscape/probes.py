"""Do states that are pushed come back?

``return_rate`` pushes every state by seeded noise of a given relative norm, settles all of them in one batch
and counts the copies that return (cosine > 0.95). How far a basin can be pushed at all: ``radius``.
Source: NUMERICS §3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from energylang.landscape.draws import relative_noise
from energylang.landscape.dynamics import Landscape, cosine_rows, settle
from energylang.landscape.radius import RETURNED


def return_rate(
    landscape: Landscape, centres: Tensor, noise: float, trials: int, generator: torch.Generator
) -> Tensor:
    """Fraction of ``trials`` copies of every state (k, d), at relative noise ``noise``, that come back →
    (k,). Zero states have nothing to return to and give 0."""
    centres = landscape.states(centres, "centres")
    k, dim = centres.shape
    if k == 0 or trials == 0:
        return centres.new_zeros(k)
    copies = centres.unsqueeze(1) + relative_noise(centres, trials, generator, noise)
    ends = settle(landscape, copies.reshape(k * trials, dim)).states.reshape(k, trials, dim)
    return (cosine_rows(ends, centres.unsqueeze(1)) > RETURNED).to(centres.dtype).mean(1)
