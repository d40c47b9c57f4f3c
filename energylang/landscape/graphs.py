"""Do two causal graphs over the same basins agree? Overlap and rank correlation, the rows that count."""

from __future__ import annotations

import torch
from torch import Tensor

from energylang.landscape import causal
from energylang.landscape.clusters import SAME


def without_mirrors(here: Tensor, there: Tensor) -> list[int]:
    """The rows of both (k, d) of which neither side is an earlier row's mirror."""
    kept: list[int] = []
    if len(here):
        near = (_alike(here) > SAME) | (_alike(there) > SAME)
        for row in range(len(here)):
            if not bool(near[row, kept].any()):
                kept.append(row)
    return kept


def _alike(centres: Tensor) -> Tensor:
    unit = torch.nn.functional.normalize(centres, dim=1)
    return (unit @ unit.T).abs()


def jaccard(one: Tensor, other: Tensor) -> float:
    return float((one & other).sum()) / max(1.0, float((one | other).sum()))


def rank_correlations(
    here: Tensor, there: Tensor, off: Tensor, orders: list[Tensor]
) -> tuple[float | None, list[float]]:
    """Spearman's correlation of the drifts off the diagonal, and the same with the labels there dealt out anew."""
    if len(here) < 2:
        return None, []
    mine, theirs = _ranks(here, off), _ranks(there, off)
    size = float(torch.linalg.vector_norm(mine) * torch.linalg.vector_norm(theirs))
    if size == 0:
        return None, []
    return float((mine * theirs).sum()) / size, [
        float((mine * theirs[order][:, order]).sum()) / size for order in orders
    ]


def _ranks(drift: Tensor, off: Tensor) -> Tensor:
    """(n, n): the centred ranks of the drifts off the diagonal, equal ones (up to what is known of them) with their
    mean rank; zero on it."""
    steps = (drift[off].double() / causal.RESOLUTION).round()
    _, number, count = torch.unique(steps, return_inverse=True, return_counts=True)
    last = count.cumsum(0).double()
    rank = (last - 0.5 * (count - 1))[number]
    found = torch.zeros_like(drift, dtype=torch.float64)
    found[off] = rank - rank.mean()
    return found
