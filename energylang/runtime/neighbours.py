"""How far do the basins around an edit reach before it and after it?

The basins nearest to a state, by the cosine of their centres in either sign, are pushed in the same directions under
both weights (``landscape.radius``). A basin and its mirror have the same radius: the one on the state's side is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from energylang.landscape.clusters import gram, leaders
from energylang.landscape.lineage import SAME
from energylang.landscape.radius import Radii, Row, fewer_return, grown, shrunk
from energylang.results import Reach, ReachChange

from .observing import radii_of

if TYPE_CHECKING:
    from energylang.landscape.layer import Landscape

    from .weights import Version
    from .workbench import Workbench

COUNT = 8


def reach_changes(
    session: Workbench, layer: int, before: Version, after: Version, around: Tensor, count: int = COUNT
) -> tuple[ReachChange, ...]:
    """The radii under two weights of a layer of the ``count`` basins nearest to the state ``around`` (d,), the nearest
    first. Basins that live under one of the two weights only have a radius there only."""
    then = {basin.id: basin.centre for basin in before.registry.alive()}
    now = {basin.id: basin.centre for basin in after.registry.alive()}
    ids = sorted(then.keys() | now.keys())
    if not ids:
        return ()
    landscape = session.landscape_of(layer, after)
    centres = torch.stack([now.get(id, then.get(id, around)).to(landscape.weight) for id in ids])
    closeness = gram(centres, around[None].to(landscape.weight))[:, 0]
    order = torch.sort(closeness.abs(), descending=True, stable=True).indices
    order = order[torch.sort(closeness[order] < 0, stable=True).indices]  # of a pair, the one on this side
    alone = order[leaders(centres[order], SAME, either_sign=True)[1]]
    chosen = alone[torch.sort(closeness[alone].abs(), descending=True, stable=True).indices][:count].tolist()
    kept = [k for k in chosen if ids[k] in then and ids[k] in now]
    first = _measured(session, layer, before, {k: then[ids[k]] for k in chosen if ids[k] in then})
    last = _measured(session, layer, after, {k: now[ids[k]] for k in chosen if ids[k] in now})
    one, two = (Radii.of([rows[k] for k in kept]) for rows in (first, last))
    shrank, grew = shrunk(one, two), grown(one, two)
    if kept:
        fewer, more = fewer_return(
            session.landscape_of(layer, before),
            landscape,
            (_stacked(then, [ids[k] for k in kept], landscape), centres[kept]),
            one.r50,
            session.generator("radius"),
        )
        known = one.reached | two.reached  # of two radii beyond 2 there is nothing to say
        shrank, grew = shrank | (fewer & known), grew | (more & known)
    less, further = (dict(zip(kept, found.tolist(), strict=True)) for found in (shrank, grew))
    return tuple(
        ReachChange(
            id=ids[k],
            cosine=float(closeness[k]),
            before=Reach(*first[k]) if k in first else None,
            after=Reach(*last[k]) if k in last else None,
            shrank=less.get(k, False),
            grew=further.get(k, False),
        )
        for k in chosen
    )


def _measured(session: Workbench, layer: int, version: Version, centres: dict[int, Tensor]) -> dict[int, Row]:
    if not centres:
        return {}
    found = radii_of(session, layer, torch.stack(list(centres.values())), version)
    return dict(zip(centres, found.rows(), strict=True))


def _stacked(centres: dict[int, Tensor], ids: list[int], like: Landscape) -> Tensor:
    return torch.stack([centres[id] for id in ids]).to(like.weight)
