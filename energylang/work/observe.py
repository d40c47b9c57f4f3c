"""What is there: surveys, one direction, energies, maps, and what edits have changed."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from energylang import results
from energylang.errors import ElError
from energylang.files.storage import check_memory, in_units, located, write_atomic
from energylang.landscape.clusters import cosine_rows
from energylang.landscape.lineage import KnownBasin
from energylang.landscape.lowrank import LowRank
from energylang.landscape.richness import Richness
from energylang.landscape.survey import BasinSet
from energylang.looking import basins as observing
from energylang.looking import tokens
from energylang.looking.basins import (
    Surveyed,
    find_basins,
    find_until,
    installed_centres,
    learn,
    look,
    random_starts,
    resurveyed,
    returns,
    room_of_surveys,
)
from energylang.looking.maps import mapped
from energylang.signature.values import BasinRef, ConceptName, Seed
from energylang.trial.fate import fate
from energylang.workspace.named import node_at, seen_from
from energylang.workspace.versions import Version
from energylang.workspace.workspace import Workspace, counted

_WORTH_SAYING = 2**28  # bytes of memory that surveys take


def survey(
    ws: Workspace,
    layer: int,
    inits: int,
    seed: int,
    seeds: int,
    radius: bool,
    at: int | None,
    until: float | None,
) -> results.Survey:
    with seen_from(ws, at):
        return _survey(ws, layer, inits, seed, seeds, radius, at, until)


def _survey(
    ws: Workspace,
    layer: int,
    inits: int,
    seed: int,
    seeds: int = 1,
    radius: bool = False,
    at: int | None = None,
    until: float | None = None,
) -> results.Survey:
    started = time.perf_counter()
    doublings = 0
    inits = random_starts(ws, layer, inits)
    if inits == 0:
        until, seeds = None, 1  # nothing is drawn
    if until is None:
        first = find_basins(ws, layer, inits, seed, radius=radius)
    else:
        first, doublings = find_until(ws, layer, inits, seed, until, radius=radius)
    random = inits << doublings
    installed = len(installed_centres(ws, layer))
    later = range(1, seeds)
    others = [
        find_basins(ws, layer, inits, seed + k, radius=False, doublings=doublings)
        for k in counted(ws, later, "seeds")
    ]
    seen = learn(ws, layer, first)
    sampled = observing.sampled(first, random, seen)
    reading = seen.reading
    settled = len(reading.tokens) if reading is not None else 0
    visits = reading.visits() if reading is not None else {}
    landscape = ws.landscape_of(layer)
    counts = (len(first), *(len(other) for other in others))
    return results.Survey(
        layer=layer,
        num_basins=len(seen.basins),
        basins=_rows(ws, layer, first, seen),
        dim=landscape.dim,
        beta=landscape.beta,
        degree=landscape.degree,
        inits=random,
        token_starts=settled,
        installed_starts=installed,
        num_starts=first.num_starts,
        origin_population=first.origin_population,
        unsettled=first.num_unsettled,
        mean_iters=first.mean_iterations,
        usage_entropy_nats=first.usage_entropy,
        spectral_norm=landscape.spectral_norm,
        symmetric=landscape.symmetric,
        definite=landscape.definite,
        asymmetry=landscape.asymmetry,
        seed=seed,
        counts=counts,
        count_mean=statistics.fmean(counts),
        count_std=statistics.stdev(counts) if seeds > 1 else None,
        at=at,
        elapsed=time.perf_counter() - started,
        found_random=sampled.found,
        singletons=sampled.singletons,
        doubletons=sampled.doubletons,
        **_estimates(sampled),
        until=until,
        until_reached=None if until is None else sampled.coverage is not None and sampled.coverage >= until,
        over_seeds=_over_seeds(ws, [first, *others], random) if others else None,
        token_states=settled,
        token_basins=len(visits),
        tokens_to_zero=reading.found.to_zero if reading is not None else 0,
        tokens_unsettled=reading.found.unsettled if reading is not None else 0,
        token_coverage=1 - list(visits.values()).count(1) / settled if settled else None,
    )


def _over_seeds(ws: Workspace, found: list[BasinSet], random: int) -> results.Seeds:
    compared = resurveyed(found, random)
    pooled = compared.pooled
    return results.Seeds(
        overlap=compared.overlap,
        overlap_expected=compared.overlap_expected,
        recaught=compared.recaught,
        found=pooled.found,
        starts=pooled.starts,
        **_estimates(pooled),
    )


def _estimates(found: Richness) -> dict[str, Any]:
    """What a survey says of how many basins there are, under the names that its records have for it."""
    names = (
        "coverage",
        "coverage_low",
        "coverage_high",
        "estimate",
        "estimate_low",
        "estimate_high",
        "estimator",
    )
    return {name: getattr(found, name) for name in names}


def _rows(ws: Workspace, layer: int, found: BasinSet, seen: Surveyed) -> tuple[results.Basin, ...]:
    most, typical = tokens.meanings(ws, seen.reading)
    settled = len(seen.reading.tokens) if seen.reading is not None else 0
    return tuple(
        results.Basin(
            layer=layer,
            id=basin.id,
            population=basin.population,
            fraction=basin.population / found.num_starts,
            energy=basin.energy,
            energy_reference=basin.energy_reference,
            residual=basin.residual,
            stability=basin.stability,
            is_fixed_point=basin.is_fixed_point,
            mirror=basin.mirror,
            radius=basin.reach[0],
            radius_low=basin.reach[1],
            radius_high=basin.reach[2],
            radius_reached=basin.reach[3],
            tokens=basin.tokens,
            token_share=basin.tokens / settled if settled else None,
            top_tokens=most.get(basin.id, ()),
            context=typical.get(basin.id),
        )
        for basin in seen.basins
    )


def survey_all(ws: Workspace, inits: int, seed: int) -> results.SurveyAll:
    started = time.perf_counter()
    among = [layer for layer in range(ws.model.num_layers) if ws.has_landscape(layer)]
    need = room_of_surveys(ws, among, inits)
    try:
        check_memory(need, "the surveys")
    except OSError as error:
        raise ElError(
            f"surveys of {len(among)} layers do not fit: {error.strerror}",
            code="EL502",
            hint="survey fewer layers, or with fewer starts",
        ) from None
    what = f"layers, in about {in_units(need)} more of memory" if need >= _WORTH_SAYING else "layers"
    layers = tuple(_survey(ws, layer, inits, seed) for layer in counted(ws, among, what))
    return results.SurveyAll(
        num_layers=len(layers),
        num_basins=sum(layer.num_basins for layer in layers),
        layers=layers,
        elapsed=time.perf_counter() - started,
    )


def verify(ws: Workspace, layer: int, target: BasinRef | ConceptName | Seed) -> results.Verdict:
    place = look(ws, layer, target)
    return_10, return_20, return_30 = returns(ws, layer, place.rest)
    return results.Verdict(
        layer=layer,
        target=str(target),
        is_basin=place.is_basin,
        basin=place.basin,
        cosine=place.cosine,
        residual=place.residual,
        stability=place.stability,
        return_10=return_10,
        return_20=return_20,
        return_30=return_30,
        energy=place.energy_rest,
        energy_reference=place.energy_rest_reference,
        symmetric=ws.landscape_of(layer).symmetric,
    )


def energy(ws: Workspace, layer: int, target: BasinRef | ConceptName | Seed) -> results.Energy:
    place = look(ws, layer, target)
    return results.Energy(
        layer=layer,
        target=str(target),
        energy=place.energy_start,
        energy_reference=place.energy_start_reference,
        basin=place.basin,
        basin_energy=place.energy_rest,
        basin_energy_reference=place.energy_rest_reference,
        gap=place.energy_start - place.energy_rest,
        symmetric=ws.landscape_of(layer).symmetric,
    )


def landscape(ws: Workspace, layer: int, dims: int, method: str, save: str | None) -> results.LandscapeMap:
    """The known basins of the staged landscape with coordinates, energies and radii; drawn into a file if asked."""
    if save is not None and located(save, ws.base).suffix not in (".html", ".png"):
        raise ElError(f"cannot draw into {save}", code="EL504", hint="end the path in .html or .png")
    found = mapped(ws, layer, dims, method)
    if save is None:
        return found
    found = replace(found, path=save)
    _draw(ws, found, save)
    return found


def _draw(ws: Workspace, found: results.LandscapeMap, save: str) -> None:
    target = located(save, ws.base)
    maps = import_module(
        "energylang.render.maps"
    )  # by name: what is worked out knows nothing of what is drawn
    try:
        data = maps.page(found) if target.suffix == ".html" else maps.image(found)
    except ImportError as error:
        raise ElError(
            f"{error.name} is not installed", code="EL504", hint="pip install 'energylang[plot]'"
        ) from None
    write_atomic(target, data)


_ROUNDING = 1e-5


LARGEST_SHOWN = 5


def _largest(change: Tensor, count: int) -> list[int]:
    """The places (in the flattened matrix) of the largest entries by magnitude. Entries that differ by rounding only,
    as W[i, j] and W[j, i] do, come in the order of their places."""
    size = change.abs().flatten()
    count = min(count, int((size != 0).sum()))
    if not count:
        return []
    near = (size >= size.topk(count).values[-1] * (1 - _ROUNDING)).nonzero().squeeze(1)
    steps = torch.round(torch.log(size[near]) / _ROUNDING)
    found: list[int] = near[torch.sort(steps, descending=True, stable=True).indices][:count].tolist()
    return found


def _apart(one: KnownBasin, other: KnownBasin) -> float:
    """1 − cosine of the centres of a basin at two places in the history."""
    return max(0.0, 1.0 - float(cosine_rows(one.centre, other.centre.to(one.centre))))


def _between(base: Version, version: Version) -> LowRank:
    """What the edits between two versions of a layer add up to, from their factors (the weights' own difference has
    the rounding of its entries in it, which is of full rank)."""
    there, here = set(base.chain), set(version.chain)
    found = [(step.factors, 1.0) for step in version.chain if step not in there]
    found += [(step.factors, -1.0) for step in base.chain if step not in here]
    factors = [factors.scaled(sign) for factors, sign in found if factors is not None]
    if not factors:
        return LowRank.zero(base.root_weight)
    return LowRank(torch.cat([f.left for f in factors], dim=1), torch.cat([f.right for f in factors], dim=1))


def diff(ws: Workspace, layer: int, since: int | None) -> results.Diff:
    """The staged weight against the original, or that at a node of the history: size, rank, largest entries,
    fate of the basins."""
    version = ws.staged(layer)
    base = version.root if since is None else node_at(ws, since).after.layers[layer].staged
    original, weight = ws.weight(base), ws.weight(version)
    change = (weight - original).double()
    size = float(torch.linalg.matrix_norm(original.double()))
    norm = float(torch.linalg.matrix_norm(change))
    order = _largest(change, LARGEST_SHOWN)
    then = {basin.id: basin for basin in base.registry.alive()}
    known = {basin.id: basin for basin in version.registry.basins}
    both = set(then) & {basin.id for basin in version.registry.alive()}
    became = fate(ws, layer, base, version)
    return results.Diff(
        layer=layer,
        changed=norm > 0,
        norm=norm,
        relative_norm=norm / size if size else 0.0,
        rank=_between(base, version).true_rank if norm else 0,
        edits=len(set(version.chain) ^ set(base.chain)),
        spectral_before=float(torch.linalg.matrix_norm(original.double(), 2)),
        spectral_after=float(torch.linalg.matrix_norm(weight.double(), 2)),
        largest=tuple(results.Entry(*divmod(k, change.shape[1]), float(change.flatten()[k])) for k in order),
        basins_kept=became.kept,
        basins_lost=became.lost,
        basins_gained=became.gained,
        max_drift=max(
            (known[i].drift if since is None else _apart(known[i], then[i]) for i in both), default=0.0
        ),
        since=since,
        basins_met=became.met,
        null_gained=became.null_gained,
        null_lost=became.null_lost,
        null_met=became.null_met,
    )
