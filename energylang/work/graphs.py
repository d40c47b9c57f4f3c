"""Is the causal graph over basins the same in two models?

Basins are matched one to one (``two_models.matched``), one of each pair of mirrors is kept, and both layers are
scanned on what is left. Two things are compared: which edges there are (Jaccard index), and how far everything moves
(Spearman's rank correlation of all drifts off the diagonal).

The null of both keeps the two graphs and deals out the labels of one at random: the quadratic assignment procedure
(Krackhardt 1988), for the correlation Mantel's test (1967). Beside it stands the overlap with a graph of random edits
of equal norm in the other model."""

from __future__ import annotations

import statistics

import torch
from torch import Tensor

from energylang import results
from energylang.concepts.effects import against
from energylang.landscape import causal
from energylang.workspace.workspace import Workspace

from .causality import known_centres, scanned
from .two_models import matched

_LEAST = 4  # basins: of three there are six ways to deal labels out


def compare(
    ws: Workspace, spec: str, layer: int, by: str, threshold: float, placebos: int, shuffles: int
) -> results.CausalComparison:
    """The causal graph of a layer beside that of the same layer of another model."""
    landscape = ws.landscape_of(layer)
    found = matched(ws, spec, layer, known_centres(ws, layer), by)
    alone = _without_mirrors(found.here, found.there)
    here = scanned(ws, layer, landscape, found.here[alone], placebos)
    there = scanned(ws, layer, found.landscape, found.there[alone], placebos)
    mine, theirs = here.edges(threshold), there.edges(threshold)
    n = len(alone)
    generator = ws.generator("causal compare", layer)
    orders = [torch.randperm(n, generator=generator).to(mine.device) for _ in range(shuffles)]
    off = ~torch.eye(n, dtype=torch.bool, device=mine.device)
    both, either = int((mine & theirs).sum()), int((mine | theirs).sum())
    overlap = both / either if either else None
    shuffled_overlap = _shuffled(overlap, [_overlap(mine, theirs[o][:, o]) for o in orders], n)
    correlation, correlations = _correlations(here.drift, there.drift, off, orders)
    shuffled_drift = _shuffled(correlation, correlations, n)
    pushed = there.null.plain[there.null.group].transpose(0, 1) > threshold
    return results.CausalComparison(
        layer=layer,
        other=spec,
        threshold=threshold,
        matched_by=by,
        aligned=found.bridge.aligned,
        fit=found.bridge.fit,
        fit_shuffled=found.bridge.shuffled,
        basins_here=found.known[0],
        basins_there=found.known[1],
        matched=len(found.here),
        pairs=n,
        edges_here=int(mine.sum()),
        edges_there=int(theirs.sum()),
        both=both,
        either=either,
        overlap=overlap,
        overlap_shuffled=shuffled_overlap[0],
        overlap_shuffled_std=shuffled_overlap[1],
        overlap_p=shuffled_overlap[2],
        overlap_placebo=(
            statistics.fmean(_overlap(mine, graph & off) for graph in pushed) if mine.any() else None
        ),
        drift_correlation=correlation,
        drift_shuffled=shuffled_drift[0],
        drift_shuffled_std=shuffled_drift[1],
        drift_p=shuffled_drift[2],
        placebos=placebos,
        shuffles=shuffles,
    )


def _without_mirrors(here: Tensor, there: Tensor) -> list[int]:
    """The rows of both (k, d) of which neither side is an earlier row's mirror."""
    kept: list[int] = []
    if len(here):
        near = (_alike(here) > causal.SAME) | (_alike(there) > causal.SAME)
        for row in range(len(here)):
            if not bool(near[row, kept].any()):
                kept.append(row)
    return kept


def _alike(centres: Tensor) -> Tensor:
    unit = torch.nn.functional.normalize(centres, dim=1)
    return (unit @ unit.T).abs()


def _overlap(one: Tensor, other: Tensor) -> float:
    return float((one & other).sum()) / max(1.0, float((one | other).sum()))


def _correlations(
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


def _shuffled(
    real: float | None, shuffled: list[float], basins: int
) -> tuple[float | None, float | None, float | None]:
    """Mean and standard deviation under shuffled labels, and the p-value of the real one."""
    if real is None or basins < _LEAST:
        return None, None, None
    mean, spread, _ = against(shuffled, real)
    reached = sum(value >= real - 1e-9 for value in shuffled)
    return mean, spread, (1 + reached) / (1 + len(shuffled))
