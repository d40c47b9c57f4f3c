"""Into which groups do directions fall?

Spherical k-means: points and centres lie on the unit sphere, a point belongs to the centre of the largest cosine, and
a centre is the mean direction of its points. Every attempt begins with k-means++ (each further centre is drawn among
the points with a probability in proportion to its squared distance from the centres so far) and ends when no point
changes its centre; the attempt whose points lie nearest to their centres is kept. A centre that loses all its points
goes to the point that is served worst.

Invariants: ``generator`` alone decides; the numbers are drawn on the CPU, so a seed draws the same on every device.
Source: Arthur & Vassilvitskii 2007; Dhillon & Modha 2001.
"""

from __future__ import annotations

import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.landscape.clusters import normalised
from energylang.landscape.unrecorded import unrecorded

ATTEMPTS = 4
_ROUNDS = 50
_APART = 1e-6  # squared distance below which two directions are one


@unrecorded
def spherical(
    directions: Tensor, count: int, generator: torch.Generator, *, attempts: int = ATTEMPTS
) -> Tensor:
    """The centres (count, c), at unit norm, of the groups of ``directions`` (n, c), at unit norm.

    Raises ``LandscapeError`` where there are fewer different directions than groups.
    """
    if attempts < 1:
        raise LandscapeError(f"groups are looked for in 1 attempt or more, not {attempts}")
    best, nearest = directions[:0], -torch.inf
    for _ in range(attempts):
        centres = _grouped(directions, _spread(directions, count, generator))
        near = float((directions @ centres.T).amax(1).double().mean())
        if near > nearest:
            best, nearest = centres, near
    return best


def _spread(directions: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """k-means++: (count, c) of the directions (n, c)."""
    n = directions.shape[0]
    drawn = torch.rand(count, generator=generator, dtype=torch.float64)
    chosen = [min(int(drawn[0] * n), n - 1)]
    distance = torch.full((n,), torch.inf, dtype=torch.float64, device=directions.device)
    for place in range(1, count):
        latest = 2.0 - 2.0 * (directions @ directions[chosen[-1]]).double()
        distance = torch.minimum(distance, latest)
        distance[distance < _APART] = 0.0
        heap = distance.cumsum(0)
        if float(heap[-1]) == 0.0:
            raise LandscapeError(
                f"the states lie in {place} different directions only, too few for {count} basins",
                hint="read more text, or ask for fewer basins",
            )
        chosen.append(_at(heap, distance, float(drawn[place])))
    return directions[chosen]


def _at(heap: Tensor, weight: Tensor, drawn: float) -> int:
    """The point at a share ``drawn`` of the way through the weights (n,), whose running sums are the ``heap``."""
    place = min(int(torch.searchsorted(heap, drawn * heap[-1], right=True)), len(heap) - 1)
    return place if float(weight[place]) > 0.0 else int(weight.argmax())  # rounding led past the last


def _grouped(directions: Tensor, centres: Tensor) -> Tensor:
    """Where centres (k, c) come to rest."""
    owner: Tensor | None = None
    for _ in range(_ROUNDS):
        cosine, found = (directions @ centres.T).max(1)
        if owner is not None and torch.equal(found, owner):
            break
        owner = found
        size = torch.bincount(owner, minlength=len(centres))
        empty = (size == 0).nonzero().squeeze(1)
        sums = torch.zeros_like(centres).index_add_(0, owner, directions)
        sums[empty] = directions[cosine.argsort()[: len(empty)]]
        centres = normalised(sums)
    return centres
