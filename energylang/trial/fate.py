"""What became of a layer's basins between two of its weights.

A survey meets a sample of the basins, so the difference of two lists says more about the samples than about the
weights. Each basin that only one of the lists has is therefore settled under the other weight: it is lost, or gained,
where it does not rest there (``lineage.survivors``). As a control the weight before is surveyed again with another
seed and compared with itself in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from energylang.landscape.clusters import SAME, gram
from energylang.landscape.draws import starts
from energylang.landscape.layer import Landscape
from energylang.landscape.lineage import KnownBasin, survivors
from energylang.landscape.survey import survey
from energylang.workspace.workspace import Workspace

if TYPE_CHECKING:
    from energylang.workspace.versions import Version


_CHEAP = 2**26  # starts · d²: a larger layer is not surveyed again for the control


@dataclass(frozen=True)
class Fate:
    """Ids of basins, and what the unchanged weight gives; see ``results.Diff``."""

    kept: tuple[int, ...]
    lost: tuple[int, ...]
    gained: tuple[int, ...]
    met: tuple[int, ...]
    null_gained: int | None = None
    null_lost: int | None = None
    null_met: int | None = None


def fate(ws: Workspace, layer: int, base: Version, version: Version) -> Fate:
    """What became of the basins of ``base`` in ``version``, two versions of a layer."""
    then, now = base.registry.alive(), version.registry.alive()
    before, after = {basin.id for basin in then}, {basin.id for basin in now}
    kept = before & after
    lost, gained, met = set[int](), set[int](), set[int]()
    if before - after:
        resting = _resting(ws.landscape_of(layer, version), then)
        kept |= (before - after) & resting
        lost = before - after - resting
    if after - before:
        resting = _resting(ws.landscape_of(layer, base), now)
        met = (after - before) & resting
        gained = after - before - resting
    found = Fate(tuple(sorted(kept)), tuple(sorted(lost)), tuple(sorted(gained)), tuple(sorted(met)))
    return (
        found
        if base is version or not ws.has_landscape(layer)
        else _with_null(ws, layer, base, version, found)
    )


def _resting(landscape: Landscape, basins: Sequence[KnownBasin]) -> set[int]:
    """Ids of the basins that are basins of this landscape."""
    stays = survivors(landscape, torch.stack([basin.centre for basin in basins]))
    return {basin.id for basin, there in zip(basins, stays, strict=True) if there}


def _with_null(ws: Workspace, layer: int, base: Version, version: Version, found: Fate) -> Fate:
    """The same with what a second survey of the weight before would give."""
    landscape, inits = ws.landscape_of(layer, base), int(ws.setting("inits"))
    then = base.registry.alive()
    drawn = ws.fitted(layer) is None  # or it is not surveyed by chance
    if not (drawn and then and version.surveyed) or inits * landscape.dim**2 > _CHEAP:
        return found
    again = survey(
        landscape,
        starts(inits, landscape.dim, ws.generator("survey again", layer), landscape.weight),
        eps=float(ws.setting("eps")),
    ).centres
    known = torch.stack([basin.centre for basin in then]).to(again)
    fresh = again[(gram(again, known) > SAME).sum(1) == 0]
    return replace(
        found,
        null_gained=survivors(landscape, fresh).count(False),
        null_lost=survivors(landscape, known).count(False),
        null_met=len(fresh),
    )
