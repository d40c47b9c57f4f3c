"""Which is the smallest margin that installs an attractor?

At margin m the field at the pattern p* becomes m·p*. A margin *holds* when p* settles near itself under the edit, away
from every protected basin, and all noisy copies of where it settles come back. What comes back grows with the margin,
so the smallest that holds lies just above one that does not:

1. Where the pattern settles under the margins of a window in which the answer nearly always begins; under all, if an
   attractor is there at the window's first margin already, or at none of its margins.
2. Noisy copies of the first few attractors, then of more, until all copies of one come back: that is the answer, most
   often the first or the second attractor (measured), and none of what lies above it is tried.

All candidates of a step are one low-rank batch, and so are all noisy copies of them. Source: NUMERICS §4.
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
from energylang.landscape.solve import field_grid, norm_line

_MARGINS = 44
LEAST_MARGIN = 1.2
_RANGE = (LEAST_MARGIN, 60.0)  # of β·m; for p = 3 a lone pattern needs min_a 0.9·artanh(a)/a² = 1.54
_WINDOW = range(7, 23)
_AT_ONCE = 3  # attractors whose copies are tried together, then twice as many, …
_STEPS = 15
# The same steps as ever, but no more of them: a margin that needs longer is too weak.
_FALL = (TAU[0], TAU[0] + (TAU[1] - TAU[0]) * (_STEPS - 1) / (MAX_ITER - 1))


class MarginSearch:
    """The search for one pattern (d,) beside the basins ``safe`` (k, d): what is known of every margin of the grid.

    ``ends`` (m, d) where the pattern settles, ``near`` (m,) its cosine to there, ``fresh`` (m,) whether that is a new
    attractor, ``rate`` (m,) the share of noisy copies that return to it; −1, False and 0 where that was not tried.
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
        # Below this margin the field along the pattern is made weaker than it is, by a larger change.
        line = norm_line(landscape, pattern[None], torch.zeros_like(pattern[None]), pattern[None], safe)
        self.least = min(line.lowest, float(self.margins[-1]))
        noise = relative_noise(pattern[None], trials, generator, 1.0)[0]
        self.noise = noise * (wanted_radius / torch.linalg.vector_norm(pattern))
        self.ends = pattern.repeat(_MARGINS, 1)
        self.fresh = torch.zeros(_MARGINS, dtype=torch.bool, device=pattern.device)
        self.near = torch.full((_MARGINS,), -1.0, dtype=torch.float64, device=pattern.device)
        self.rate = torch.zeros_like(self.near)
        self.tried = torch.zeros_like(self.fresh)
        self._solved: dict[int, tuple[Grid, int]] = {}

    def smallest(self) -> int:
        """The smallest margin that holds; where none does, the one that comes nearest to it."""
        self._settle(list(_WINDOW))
        known = self.fresh[_WINDOW.start : _WINDOW.stop]
        narrow = bool(known.any()) and not bool(known[0])
        if not (narrow and self._some_hold()):
            self._settle([row for row in range(_MARGINS) if row not in _WINDOW])
            self._some_hold()
        score = torch.where(self.fresh, self.rate, self.rate - 2.0 + self.near * 1e-3)
        return int(torch.argmax(score))  # the first maximum

    def edit(self, row: int) -> LowRank:
        """The change of a margin that was tried."""
        grid, k = self._solved[row]
        return grid[k]

    def _settle(self, rows: list[int]) -> None:
        """Where the pattern settles under some margins, and whether that is a new attractor."""
        wanted = self.margins[rows].to(self.pattern)[:, None] * self.pattern
        grid = field_grid(self.landscape, self.pattern, wanted, self.safe)
        self._solved.update((row, (grid, k)) for k, row in enumerate(rows))
        run = settle_variants(self.landscape, self.pattern[None], grid, max_iter=_STEPS, tau=_FALL)
        end = run.states[:, 0]
        near = cosine_rows(end, self.pattern)
        fresh = near > (0.7 if self.landscape.symmetric else RETURNED)
        fresh &= (self.margins[rows] >= self.least).to(fresh.device)
        if self.safe.shape[0]:
            fresh &= gram(end, self.safe).amax(1) <= RETURNED
        self.ends[rows], self.near[rows], self.fresh[rows] = end, near.double(), fresh

    def _some_hold(self) -> bool:
        """Try the copies of attractors that were not tried, in ascending order, until all copies of one return."""
        waiting = (self.fresh & ~self.tried).nonzero().squeeze(1).tolist()
        count = _AT_ONCE
        while waiting:
            rows, waiting = waiting[:count], waiting[count:]
            solved = [self._solved[row] for row in rows]
            left = torch.stack([grid.left[k] for grid, k in solved])
            right = torch.stack([grid.right[k] for grid, k in solved])
            rest = self.ends[rows, None]
            copies = rest + torch.linalg.vector_norm(rest, dim=2, keepdim=True) * self.noise
            back = settle_each(self.landscape, copies, Grid(left, right), max_iter=_STEPS, tau=_FALL).states
            self.rate[rows] = (cosine_rows(back, rest) > RETURNED).double().mean(1)
            self.tried[rows] = True
            if bool((self.rate[rows] == 1.0).any()):
                return True
            count *= 2
        return False
