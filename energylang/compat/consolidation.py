"""What a consolidation would do, basin by basin, under the keys of the published package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from energylang.landscape.energy import lyapunov
from energylang.landscape.layer import Landscape
from energylang.looking.basins import name_of
from energylang.work.consolidate import rounds
from energylang.workspace.workspace import Workspace

if TYPE_CHECKING:
    pass


def consolidation(
    ws: Workspace, layer: int, strengthen: float, prune: float, cycles: int
) -> list[dict[str, Any]]:
    """What consolidating a layer as it is now would do, a report for every survey, under the published keys.

    ``basin_idx`` is ``None`` for a basin that has no number yet, and ``population`` counts random starts, those of its
    mirror too."""
    inits, registry = int(ws.setting("inits")), ws.staged(layer).registry
    reports = []
    for found in rounds(ws, layer, strengthen, prune, cycles):

        def described(
            centres: Tensor, shares: tuple[float, ...], landscape: Landscape = found.landscape
        ) -> list[dict[str, Any]]:
            columns = (name_of(registry, centres), shares, lyapunov(landscape, centres).tolist())
            return [
                {
                    "basin_idx": name,
                    "population": round(share * inits),
                    "pop_fraction": share,
                    "energy": energy,
                }
                for name, share, energy in zip(*columns, strict=True)
            ]

        deepened = described(found.strong, found.strong_share)
        reports.append(
            {
                "layer": layer,
                "strengthened": len(found.strong),
                "pruned": len(found.weak),
                "unchanged": max(0, found.known - len(found.strong) - len(found.weak)),
                "strengthened_details": [{**basin, "scale": strengthen} for basin in deepened],
                "pruned_details": described(found.weak, found.weak_share),
                "total_population": inits,
            }
        )
    return reports
