"""How far can a basin be pushed and still come back?

``return_rate`` pushes every state by seeded noise of a given relative norm, settles all of them in one batch
and counts the copies that return (cosine > 0.95). ``radius`` is the largest relative noise from which at
least half of the copies return, by bisection over the noise level with all basins in one batch per level.

The noise directions are drawn once and scaled, so the levels of one bisection differ in length only. The
radius is searched in [0, 2]: at 2 the noise is twice as long as the state (their sum has cosine 0.45 to the
state). The result is the last level that passed, a lower bound of resolution 1/128. Source: NUMERICS §3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from energylang.landscape.draws import relative_noise
from energylang.landscape.dynamics import Landscape, cosine_rows, settle

RETURNED = 0.95
LARGEST_RADIUS = 2.0
_LEVELS = 8


def return_rate(
    landscape: Landscape, centres: Tensor, noise: float, trials: int, generator: torch.Generator
) -> Tensor:
    """Fraction of ``trials`` copies of every state (k, d), at relative noise ``noise``, that come back →
    (k,). Zero states have nothing to return to and give 0."""
    centres = landscape.states(centres, "centres")
    directions = relative_noise(centres, trials, generator, noise)
    return _returned(landscape, centres, directions)


def radius(landscape: Landscape, centres: Tensor, generator: torch.Generator, trials: int = 16) -> Tensor:
    """The largest relative noise norm in [0, 2] from which ≥ half of ``trials`` copies of every state (k, d)
    return → (k,), as a lower bound with resolution 1/128; 2.0 means "at least 2"."""
    centres = landscape.states(centres, "centres")
    directions = relative_noise(centres, trials, generator, 1.0)
    low = centres.new_zeros(centres.shape[0])
    high = torch.full_like(low, LARGEST_RADIUS)
    whole = _returned(landscape, centres, directions * LARGEST_RADIUS) >= 0.5
    low = torch.where(whole, high, low)
    open_rows = (~whole).nonzero().squeeze(1)
    for _ in range(_LEVELS):
        if open_rows.numel() == 0:
            break
        middle = (low[open_rows] + high[open_rows]) / 2
        noise = directions[open_rows] * middle[:, None, None]
        passed = _returned(landscape, centres[open_rows], noise) >= 0.5
        low[open_rows] = torch.where(passed, middle, low[open_rows])
        high[open_rows] = torch.where(passed, high[open_rows], middle)
    return low


def _returned(landscape: Landscape, centres: Tensor, noise: Tensor) -> Tensor:
    """Fraction of the copies ``centres + noise`` (k, trials, d) that settle back onto their centre → (k,)."""
    k, trials, dim = noise.shape
    if k == 0 or trials == 0:
        return centres.new_zeros(k)
    copies = (centres.unsqueeze(1) + noise).reshape(k * trials, dim)
    ends = settle(landscape, copies).states.reshape(k, trials, dim)
    return (cosine_rows(ends, centres.unsqueeze(1)) > RETURNED).to(centres.dtype).mean(1)
