"""Where do states go?  A layer's basins on a map together with the ways of random probes into them.

1. ``n_probes`` random states are surveyed: settled, polished and assigned by the very function that ``survey`` uses.
   Where each ends says how large the basins are. A basin that no survey met yet gets a number and is said to be new.
2. Basins and the states of the probes' ways are placed on one map. PCA: the axes are those of the basins' centres,
   and everything is projected on them. UMAP has no axes, so basins and ways are embedded together; only the ways
   that are drawn take part.
3. Of the probes, ``DRAWN`` at most are drawn: those that came first, so that a larger number changes none of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from energylang import results
from energylang.errors import ElError
from energylang.landscape.draws import starts
from energylang.landscape.dynamics import trajectory
from energylang.landscape.energy import lyapunov
from energylang.landscape.survey import survey
from energylang.looking import basins as observing
from energylang.looking.basins import known_basins
from energylang.models.states import token_states
from energylang.signature.values import ConceptName
from energylang.workspace.named import concept_at, fresh_registry
from energylang.workspace.workspace import Workspace, check_layer

from .basins import check_room
from .maps import umap_places
from .tokens import NOTHING_HELD, held_in

METHODS = ("pca", "umap")
DRAWN = 60
_STATES = 6  # of a way that UMAP embeds
_CONTEXTS = 5  # of a basin


@dataclass(frozen=True)
class PlacedBasin:
    """A basin on the map; ``share`` of the probes ended in it. ``current``: the last survey of the present weight met
    it, or a probe did; ``is_new``: only a probe did, and its ``id`` is of this map alone; ``is_concept``: the
    highlighted concept's own. ``top_tokens`` of the held-out text are read there most often, the first of the
    ``contexts`` is the most typical one (both empty in a model without text)."""

    id: int
    x: float
    y: float
    energy: float
    share: float
    installed: bool
    is_concept: bool
    probes: int = 0
    current: bool = True
    is_new: bool = False
    top_tokens: tuple[results.TokenScore, ...] = ()
    contexts: tuple[results.Context, ...] = ()


@dataclass(frozen=True)
class Way:
    """A probe's way on the map and the basin in which it ended (``None``: it went to zero or did not settle)."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    basin: int | None


@dataclass(frozen=True)
class ProbeMap:
    """Basins, ways, and what the axes are. The ``probes`` are those in the basins, those that went to the zero state
    (``to_zero``) and those that did not settle (``unsettled``). ``concept`` is where the highlighted concept's own
    state lies. ``explained`` is the share of the centres' variance along each axis (PCA only)."""

    layer: int
    method: str
    probes: int
    to_zero: int
    unsettled: int
    explained: tuple[float, float] | None
    basins: tuple[PlacedBasin, ...]
    ways: tuple[Way, ...]
    concept: str | None
    concept_at: tuple[float, float] | None


@torch.no_grad()
def probe_map(
    ws: Workspace, layer: int, *, method: str = "pca", n_probes: int = 200, concept: str | None = None
) -> ProbeMap:
    """The map of a layer's known basins; a layer that was never surveyed is surveyed first.

    Raises ``ElError`` for an unknown method or concept, a number of probes that is no number, or too few basins.
    """
    if method not in METHODS:
        raise ElError(f"there is no map `{method}`", code="EL208", hint="pca or umap")
    if isinstance(n_probes, bool) or not isinstance(n_probes, int) or not 1 <= n_probes <= 1_000_000:
        raise ElError(f"{n_probes} is no number of probes", code="EL206", hint="1 to 1,000,000")
    check_layer(ws.model, layer)
    known = known_basins(ws, layer)
    landscape = ws.landscape_of(layer)
    check_room(n_probes, landscape)
    generator = ws.generator("probes", layer)
    if ws.fitted(layer) is None:
        draws = starts(n_probes, landscape.dim, generator, landscape.weight)
    else:  # random ones end where no token comes
        draws = token_states(ws.text, ws.read_at(layer), n_probes, generator).to(landscape.weight)
    eps = float(ws.setting("eps"))
    found = survey(landscape, draws, eps=eps, generator=ws.generator("probe kicks", layer))
    version = ws.staged(layer)
    registry, ids = fresh_registry(ws, version).meet(found)  # a look: what only probes met gets no number
    rests_in = set(ids)
    main = {basin.id for basin in registry.main()}
    alive = tuple(basin for basin in registry.alive() if basin.id in main or basin.id in rests_in)
    if len(alive) < 2:
        raise ElError(f"L{layer} has {len(alive)} known basins: there is nothing to map", code="EL510")
    centres = torch.stack([basin.centre for basin in alive]).to(landscape.weight)
    counts = dict(zip(ids, found.population.tolist(), strict=True))
    way, end = trajectory(landscape, draws[:DRAWN], eps=eps)
    rests = found.assignment[:DRAWN].tolist()
    names = [ids[rest] if rest >= 0 else None for rest in rests]
    ways = [
        torch.cat((way[: count + 1, row], found.centres[rest : rest + 1] if rest >= 0 else way[:0, row]))
        for row, (count, rest) in enumerate(zip(end.iterations.tolist(), rests, strict=True))
    ]
    own = None
    if concept is not None:
        own = concept_at(ws, layer, concept).centroid.to(landscape.weight)
    places, explained = _places(ws, centres, ways, own, method)
    held = observing.look(ws, layer, ConceptName(concept)).basin if concept is not None else None
    energies = lyapunov(landscape, centres).tolist()
    installed = set(ws.staged(layer).installed)
    held_there = held_in(ws, layer, contexts=_CONTEXTS)
    spots = places[0].tolist()
    return ProbeMap(
        layer=layer,
        method=method,
        probes=n_probes,
        to_zero=found.origin_population,
        unsettled=found.num_unsettled,
        explained=explained,
        basins=tuple(
            PlacedBasin(
                id=basin.id,
                x=spots[place][0],
                y=spots[place][1],
                energy=energies[place],
                share=counts.get(basin.id, 0) / n_probes,
                installed=basin.id in installed,
                is_concept=basin.id == held,
                probes=counts.get(basin.id, 0),
                current=basin.id in counts or registry.is_current(basin),
                is_new=known.get(basin.id) is None,
                top_tokens=held_there.get(basin.id, NOTHING_HELD).top_tokens,
                contexts=held_there.get(basin.id, NOTHING_HELD).contexts,
            )
            for place, basin in enumerate(alive)
        ),
        ways=tuple(
            Way(tuple(spot[:, 0].tolist()), tuple(spot[:, 1].tolist()), name)
            for spot, name in zip(places[1], names, strict=False)
        ),
        concept=concept,
        concept_at=None if places[2] is None else (float(places[2][0]), float(places[2][1])),
    )


def _places(
    ws: Workspace, centres: Tensor, ways: list[Tensor], own: Tensor | None, method: str
) -> tuple[tuple[Tensor, list[Tensor], Tensor | None], tuple[float, float] | None]:
    """Map coordinates of the centres (k, 2), of every way (steps, 2) and of the concept's state (2,)."""
    if method == "pca":
        middle = centres.mean(dim=0)
        _, s, vt = torch.linalg.svd((centres - middle).double(), full_matrices=False)
        axes = vt[:2]
        largest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
        axes = axes * torch.where(largest < 0, -1.0, 1.0)

        def project(states: Tensor) -> Tensor:
            found: Tensor = (states - middle).double() @ axes.T
            return found

        whole = float(s.square().sum()) or 1.0
        shares = (float(s[0]) ** 2 / whole, float(s[1]) ** 2 / whole)
        there = None if own is None else project(own)
        return (project(centres), [project(way) for way in ways], there), shares
    thinned = [way[_spread(len(way))] for way in ways]
    parts = [centres, *thinned, *([] if own is None else [own[None]])]
    whole_map = umap_places(torch.cat(parts), 2, int(ws.setting("seed")))
    pieces = list(torch.split(whole_map, [len(part) for part in parts]))
    there = None if own is None else pieces.pop()[0]
    return (pieces[0], pieces[1:], there), None


def _spread(count: int) -> list[int]:
    """Places of a way that stand for it: its first and last, and some between."""
    wanted = min(count, _STATES)
    return [round(k * (count - 1) / max(1, wanted - 1)) for k in range(wanted)]
