"""How far do the basins beside a new one reach, before and after?

An edit that installs a basin takes room from others. The nearest basins that are there before and after are pushed
with the same noise under both weights, so that what differs is the weight: a radius *shrank* where its 95 % intervals
do not meet, or where of the same pushes at the radius before fewer return; likewise *grew* (``landscape.radius``). Of
two radii beyond 2 nothing is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from energylang.landscape.clusters import SAME, gram, leaders
from energylang.landscape.lineage import Registry
from energylang.landscape.radius import fewer_return, grown, shrunk
from energylang.looking.basins import radii_of
from energylang.results import Beside, Reach
from energylang.workspace.workspace import Workspace

if TYPE_CHECKING:
    from energylang.workspace.versions import Version


NEAREST = 5


def reach_at(ws: Workspace, layer: int, rest: Tensor, version: Version) -> Reach:
    """The radius of the basin at ``rest`` (d,) under a version of the layer's weight."""
    return Reach(*radii_of(ws, layer, rest[None], version).rows()[0])


def beside(
    ws: Workspace, layer: int, rest: Tensor, versions: tuple[Version, Version], after: Registry
) -> tuple[Beside, ...]:
    """The basins nearest to ``rest`` (d,), a basin and its mirror counted once, with their radii before and after:
    under the two ``versions`` of the layer's weight, of which ``after`` is the second one's registry."""
    then = {basin.id: basin for basin in versions[0].registry.main()}
    both = [basin for basin in after.alive() if basin.id in then]
    if not both:
        return ()
    centres = torch.stack([basin.centre for basin in both]).to(rest)
    closeness = gram(centres, rest[None])[:, 0].abs()
    order = [
        k for k in closeness.argsort(descending=True, stable=True).tolist() if float(closeness[k]) <= SAME
    ]
    if not order:
        return ()
    _, first = leaders(centres[order], SAME, either_sign=True)
    chosen = [order[k] for k in first.tolist()][:NEAREST]
    centres_then = torch.stack([then[both[k].id].centre for k in chosen])
    before = radii_of(ws, layer, centres_then, versions[0])
    now = radii_of(ws, layer, centres[chosen], versions[1])
    fewer, further = fewer_return(
        ws.landscape_of(layer, versions[0]),
        ws.landscape_of(layer, versions[1]),
        (centres_then, centres[chosen]),
        before.r50,
        ws.generator("radius"),
    )
    known = before.reached | now.reached
    less, more = shrunk(before, now) | (fewer & known), grown(before, now) | (further & known)
    rows = zip(chosen, before.rows(), now.rows(), less.tolist(), more.tolist(), strict=True)
    return tuple(
        Beside(
            both[k].id,
            float(closeness[k]),
            Reach(*old),
            Reach(*new),
            "shrank" if fell else "grew" if rose else "",
        )
        for k, old, new, fell, rose in rows
    )
