"""Which is the smallest margin that installs an attractor?

At margin m the field at the pattern p* becomes m·p*. A margin *holds* when p* settles near itself under the edit, away
from every protected basin, and all noisy copies of where it settles come back. What comes back grows with the margin,
so the smallest that holds lies just above one that does not:

1. A window of the grid in which the answer nearly always lies (β·m from 2.6 to 4.6) is tried first. If a margin holds
   in it but not its smallest one, that is the answer.
2. Otherwise every eighth margin of the whole grid, then those just below the first that holds.

All candidates of a step are one low-rank batch, and so are all noisy copies of all of them. Source: NUMERICS §4.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from energylang.landscape.clusters import cosine_rows, gram
from energylang.landscape.draws import relative_noise
from energylang.landscape.dynamics import MAX_ITER, TAU, Landscape, settle_each, settle_variants
from energylang.landscape.lowrank import Grid, LowRank
from energylang.landscape.proposal import RETURNED
from energylang.landscape.solve import field_grid

_MARGINS = 44
_RANGE = (1.2, 60.0)  # of β·m; for p = 3 a lone pattern needs min_a 0.9·artanh(a)/a² = 1.54
_WINDOW = range(9, 16)
_STRIDE = 8
_STEPS = 15
# The same steps as ever, but no more of them: a margin that needs longer is too weak.
_FALL = (TAU[0], TAU[0] + (TAU[1] - TAU[0]) * (_STEPS - 1) / (MAX_ITER - 1))


class MarginSearch:
    """The search for one pattern (d,) beside the basins ``safe`` (k, d): what is known of every margin of the grid.

    ``ends`` (m, d) where the pattern settles, ``fresh`` (m,) whether that is a new attractor near it, ``rate`` (m,)
    the share of noisy copies that return to it; False and 0 where a margin was not tried.
    """

    def __init__(
        self,
        landscape: Landscape,
        pattern: Tensor,
        safe: Tensor,
        generator: torch.Generator,
        wanted_radius: float,
        trials: int,
    ) -> None:
        self.landscape, self.pattern, self.safe = landscape, pattern, safe
        low, high = (math.log(edge / landscape.beta) for edge in _RANGE)
        self.margins = torch.linspace(low, high, _MARGINS, dtype=torch.float64).exp()
        noise = relative_noise(pattern[None], trials, generator, 1.0)[0]
        self.noise = noise * (wanted_radius / torch.linalg.vector_norm(pattern))
        self.ends = pattern.repeat(_MARGINS, 1)
        self.fresh = torch.zeros(_MARGINS, dtype=torch.bool, device=pattern.device)
        self.near = torch.full((_MARGINS,), -1.0, dtype=torch.float64, device=pattern.device)
        self.rate = torch.zeros_like(self.near)
        self._grid: dict[int, tuple[Grid, int]] = {}

    def smallest(self) -> int:
        """The smallest margin that holds; where none does, the one that comes nearest to it."""
        window = self._tried(list(_WINDOW))
        if window is None or window == _WINDOW[0]:
            self._search_everywhere()
        score = torch.where(self.fresh, self.rate, self.rate - 2.0 + self.near * 1e-3)
        return int(torch.argmax(score))  # the first maximum

    def edit(self, row: int) -> LowRank:
        """The change of a margin that was tried."""
        grid, k = self._grid[row]
        return grid[k]

    def _search_everywhere(self) -> None:
        every = list(range(_MARGINS))
        holds = self._tried(every[::-_STRIDE][::-1])
        if not bool(self.fresh.any()):
            self._tried(every)
        elif holds is not None:
            self._tried(every[max(0, holds - _STRIDE + 1) : holds])

    def _tried(self, rows: list[int]) -> int | None:
        """Try some margins; the first that holds."""
        if not rows:
            return None
        wanted = self.margins[rows].to(self.pattern)[:, None] * self.pattern
        grid = field_grid(self.landscape, self.pattern, wanted, self.safe)
        self._grid.update((row, (grid, k)) for k, row in enumerate(rows))
        end = settle_variants(self.landscape, self.pattern[None], grid, max_iter=_STEPS, tau=_FALL).states[
            :, 0
        ]
        near = cosine_rows(end, self.pattern)
        fresh = near > (0.7 if self.landscape.symmetric else RETURNED)
        if self.safe.shape[0]:
            fresh &= gram(end, self.safe).amax(1) <= RETURNED
        self.ends[rows], self.near[rows], self.fresh[rows] = end, near.double(), fresh
        installs = fresh.nonzero().squeeze(1).tolist()
        if not installs:
            return None
        tried, rest = [rows[k] for k in installs], end[installs, None]
        copies = rest + torch.linalg.vector_norm(rest, dim=2, keepdim=True) * self.noise
        back = settle_each(self.landscape, copies, grid.take(installs), max_iter=_STEPS, tau=_FALL).states
        rate = (cosine_rows(back, rest) > RETURNED).double().mean(1)
        self.rate[tried] = rate
        return next((k for k, share in zip(tried, rate.tolist(), strict=True) if share == 1.0), None)
