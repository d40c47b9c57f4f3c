"""What depends on a basin: scans, interventions and counterfactuals, each beside its placebo; two models' graphs."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from energylang import results
from energylang.concepts.effects import against
from energylang.errors import ElError
from energylang.files.storage import located, write_atomic
from energylang.landscape import causal
from energylang.landscape.chance import RESOLUTION
from energylang.landscape.clusters import SAME, cosine_rows, gram
from energylang.landscape.gate import flipped
from energylang.landscape.graphs import jaccard, rank_correlations, without_mirrors
from energylang.landscape.layer import Landscape
from energylang.landscape.lineage import KnownBasin
from energylang.landscape.proposal import Proposal, resting
from energylang.looking.basins import known_basins, settled_basins
from energylang.models.protocol import Change
from energylang.signature.values import BasinRef
from energylang.trial import asked
from energylang.trial.draft import Plan
from energylang.trial.staging import carry_out
from energylang.workspace.named import state_of
from energylang.workspace.workspace import Workspace, check_layer

from .pair import matched

if TYPE_CHECKING:
    from energylang.landscape.fitted import Fitted
    from energylang.landscape.lowrank import LowRank


FACTORS = {"remove": 0.0, "weaken": 0.5, "strengthen": 2.0}
LEAST_RANKED = 20
"""Placebos from which on a rank p-value can be as small as one in twenty."""
_SHIFT = 0.2  # of the signs
_WINDOWS = 24


def causal_scan(
    ws: Workspace, layer: int, threshold: float, placebos: int, save: str | None
) -> results.CausalGraph:
    """Knock out every known basin of a layer, and see what moves."""
    basins = _known(ws, layer)
    landscape = ws.landscape_of(layer)
    found = scanned(ws, layer, landscape, _centres(basins, landscape), placebos)
    apart, z = found.apart, found.z
    chosen = found.edges(threshold)
    edges = sorted(
        (
            results.CausalEdge(
                source=basins[i].id,
                target=basins[j].id,
                drift=float(found.drift[i, j]),
                survived=bool(found.survives[i, j]),
                z=_known_number(z[i, j]),
                specific=True,
                p=float(found.p[i, j]),
                q=float(found.q[i, j]),
            )
            for i, j in chosen.nonzero().tolist()
        ),
        key=lambda edge: -edge.drift,
    )
    folded = {(int(found.pair[i]), int(found.pair[j])) for i, j in chosen.nonzero().tolist()}
    count = int(apart.sum())
    graph = results.CausalGraph(
        layer=layer,
        threshold=threshold,
        basins=tuple(basin.id for basin in basins),
        edges=tuple(edges),
        num_edges=len(edges),
        density=len(edges) / max(1, count),
        unspecific=int(((found.drift > threshold) & apart & ~chosen).sum()),
        placebos=placebos,
        placebo_edges=float(found.beyond(threshold)[apart].sum()),
        placebo_drift=float(found.mean[apart].mean()) if count else 0.0,
        placebo_drift_std=_spread(found, apart),
        path=save,
        edges_folded=len(folded),
        pairs=len({*found.pair.tolist()}),
        tested=found.tested,
        level=causal.LEVEL,
        fitted=ws.fitted(layer) is not None,
    )
    if save is not None:
        _write(ws, graph, save)
    return graph


def scanned(ws: Workspace, layer: int, landscape: Landscape, centres: Tensor, placebos: int) -> causal.Scan:
    """The scan of some basins (n, d) of a landscape, with the draws of a session's layer."""
    generator = ws.generator("causal scan", layer)
    return causal.scan(landscape, centres, generator, placebo_count=placebos)


def _known_number(value: Tensor) -> float | None:
    """A number, or ``None`` for what is none."""
    return None if bool(value.isnan()) else float(value)


def _spread(found: causal.Scan, apart: Tensor) -> float | None:
    """The standard deviation of the placebos' drifts over all pairs of basins; ``None`` of a single one."""
    plain = found.null.plain[found.null.group[found.pair]][:, :, found.pair].transpose(0, 1)[:, apart]
    return float(plain.std()) if plain.numel() > 1 and plain.shape[0] > 1 else None


def _write(ws: Workspace, graph: results.CausalGraph, path: str) -> None:
    target = located(path, ws.base)
    if target.suffix not in (".graphml", ".dot", ".json"):
        raise ElError(
            f"cannot write a graph to {path}", code="EL504", hint="end the path in .graphml, .dot or .json"
        )
    write_atomic(located(path, ws.base), graph.text_for(target.suffix).encode("utf-8", "replace"))


def _known(ws: Workspace, layer: int, also: int | None = None) -> list[KnownBasin]:
    """The main basins of a layer, and the one that is asked about."""
    registry = known_basins(ws, layer)
    main = {basin.id for basin in registry.main()} | {also}
    basins = [basin for basin in registry.alive() if basin.id in main]
    if not basins:
        raise ElError(f"L{layer} has no basin", code="EL510", hint="a survey with more starts may find some")
    return basins


def known_centres(ws: Workspace, layer: int) -> Tensor:
    """The centres (n, d) of the basins that a scan of the layer takes."""
    return _centres(_known(ws, layer), ws.landscape_of(layer))


def _centres(basins: list[KnownBasin], landscape: Landscape) -> Tensor:
    return torch.stack([basin.centre for basin in basins]).to(landscape.weight)


def _one(ws: Workspace, layer: int, basin: BasinRef) -> tuple[list[KnownBasin], int, Tensor]:
    """The known basins, the number of the one meant among them, and all centres (n, d)."""
    known_basins(ws, layer)
    state_of(ws, layer, basin)  # says what is wrong with it
    basins = _known(ws, layer, basin.basin)
    index = next(i for i, known in enumerate(basins) if known.id == basin.basin)
    return basins, index, _centres(basins, ws.landscape_of(layer))


def causal_intervene(
    ws: Workspace, layer: int, basin: BasinRef, op: str, placebos: int, force: bool, reason: str
) -> results.CausalEffect:
    """do(B): the edit that touches nothing but the basin's own field, gated, and what it does to the others."""
    basins, index, centres = _one(ws, layer, basin)
    landscape = ws.landscape_of(layer)
    centre = centres[index]
    wanted = FACTORS[op] * landscape.field(centre[None])
    (factors,) = causal.scaled_fields(landscape, centre[None], wanted)
    found = _others(ws, layer, basins, index, centres, factors, placebos)

    def propose(here: Landscape, _protected: Tensor) -> Proposal:
        target = centre if op == "remove" else resting(here, factors, centre)
        return Proposal(factors, target, None, f"do({op})", ())

    plan = Plan(
        f"causal {op}",
        layer,
        str(basin),
        propose,
        asked=asked.ended(basin, centre) if op == "remove" else asked.scaled(basin, centre, FACTORS[op]),
        own=centre[None],
        basin=basin.basin,
        factor=FACTORS[op],
        ends=op == "remove",
    )
    edit = carry_out(ws, plan, force=force, reason=reason)
    return results.CausalEffect(
        layer=layer,
        basin=basin.basin,
        op=op,
        applied=edit.applied,
        reason=edit.reason,
        forced=edit.forced,
        blocked=edit.blocked,
        norm=edit.norm,
        relative_norm=edit.relative_norm,
        rank=edit.rank,
        lost=edit.lost,
        others=found[0],
        mean_drift=found[1],
        placebos=placebos,
        placebo_drift=found[2],
        placebo_drift_std=found[3],
        p=found[4],
    )


def causal_counterfactual(
    ws: Workspace, layer: int, basin: BasinRef, mod: str, placebos: int
) -> results.CounterfactualEffect:
    """What if the basin held the opposite, held less, or lay elsewhere? Nothing is kept."""
    basins, index, centres = _one(ws, layer, basin)
    landscape = ws.landscape_of(layer)
    centre = centres[index]
    field = landscape.field(centre[None])
    if mod == "invert":
        wanted = -field
    elif mod == "weaken":
        wanted = 0.5 * field
    else:
        generator = ws.generator("counterfactual", layer, basin.basin)
        elsewhere = flipped(centre[None], 1, _SHIFT, generator)[0]
        size = torch.linalg.vector_norm(field) / torch.linalg.vector_norm(elsewhere)
        wanted = size * elsewhere
    (factors,) = causal.scaled_fields(landscape, centre[None], wanted)
    others, mean, null_mean, null_std, p = _others(ws, layer, basins, index, centres, factors, placebos)
    end = resting(landscape, factors, centre)
    cosine = float(cosine_rows(end, centre))
    return results.CounterfactualEffect(
        layer=layer,
        basin=basin.basin,
        mod=mod,
        norm=factors.norm,
        relative_norm=factors.norm / landscape.frobenius if landscape.frobenius else 0.0,
        own_drift=max(0.0, 1 - cosine),
        survives=cosine > causal.SURVIVES,
        others=others,
        mean_drift=mean,
        placebos=placebos,
        placebo_drift=null_mean,
        placebo_drift_std=null_std,
        p=p,
    )


def _others(
    ws: Workspace,
    layer: int,
    basins: list[KnownBasin],
    index: int,
    centres: Tensor,
    factors: LowRank,
    placebos: int,
) -> tuple[tuple[results.Drifted, ...], float, float, float | None, float | None]:
    """How far an edit moves all basins but its own and its mirror, the most moved first; the mean drift, that of the
    placebos with their spread, and its p-value."""
    landscape = ws.landscape_of(layer)
    generator = ws.generator("causal placebo", layer, basins[index].id)
    near = gram(centres, centres[index : index + 1])[:, 0].abs().tolist()
    rest = [i for i in range(len(basins)) if i != index and near[i] <= SAME]
    found = causal.compare(landscape, centres[rest], [factors], generator, placebos)
    drift, null = found.drift[0], found.placebo[:, 0]
    means, spreads, distances = apart_from(null, drift)
    ranks = rank_p(null, drift)
    rows = [
        results.Drifted(
            basin=basins[i].id,
            drift=float(drift[k]),
            survived=bool(found.survives[0, k]),
            placebo=means[k],
            placebo_std=spreads[k],
            z=distances[k],
            p=ranks[k],
        )
        for k, i in enumerate(rest)
    ]
    rows.sort(key=lambda row: -row.drift)
    if not rows:
        return (), 0.0, 0.0, None, None
    average, own = null.mean(dim=1, keepdim=True), drift.mean()[None]
    (middle,), (spread,), _ = apart_from(average, own)
    return tuple(rows), float(own), middle, spread, rank_p(average, own)[0]


def apart_from(null: Tensor, values: Tensor) -> tuple[list[float], list[float | None], list[float | None]]:
    """Mean and standard deviation of the placebos' drifts ``null`` (p, k), and the distance of ``values`` (k,) from
    them in these: no spread of a single placebo, no distance where they do not spread."""
    mean = null.mean(dim=0)
    if len(null) < 2 or not len(values):
        return mean.tolist(), [None] * len(values), [None] * len(values)
    spread = null.std(dim=0)
    z = ((values - mean) / spread).tolist()
    wide = (spread > RESOLUTION).tolist()
    return mean.tolist(), spread.tolist(), [far if real else None for far, real in zip(z, wide, strict=True)]


def rank_p(null: Tensor, values: Tensor) -> list[float | None]:
    """(1 + #{placebo ≥ value})/(1 + p) for placebos ``null`` (p, k) and ``values`` (k,); None of fewer than 20."""
    if len(null) < LEAST_RANKED:
        return [None] * len(values)
    reached = (null >= values - RESOLUTION).sum(dim=0)
    return ((1 + reached).double() / (1 + len(null))).tolist()


# --------------------------------------------------------------------------------------- across layers


@torch.no_grad()
def causal_across(ws: Workspace, layer: int, basin: BasinRef, to: int, placebos: int) -> results.CrossEffect:
    """Hold a basin at zero in real passes; what moves in a later layer?"""
    check_layer(ws.model, to)
    if to <= layer:
        raise ElError(
            f"L{to} does not come after L{layer}: what happens in L{layer} cannot reach it",
            code="EL206",
            hint="name a later layer",
        )
    _, index, centres = _one(ws, layer, basin)
    known_basins(ws, to)
    text, here, there = ws.text, ws.read_at(layer), ws.read_at(to)
    windows = text.choosing_windows(min(_WINDOWS, text.sizes.judged // 2))[:, :-1]
    unit = torch.nn.functional.normalize(centres, dim=1)
    generator = ws.generator("causal across", layer, basin.basin)
    drawn = torch.randn(placebos, centres.shape[1], generator=generator).to(centres)
    random = _as_loud(ws.fitted(layer), unit[index], drawn)
    least = -1.0 if ws.fitted(layer) is None else SAME

    def inside(states: Tensor) -> Tensor:
        return _nearest(states, unit, least) == index

    def held(direction: Tensor) -> Change:
        def without(states: Tensor) -> Tensor:
            # As much as the basin's own component would take, along this direction.
            size = (states @ unit[index]).unsqueeze(-1)
            return torch.where(inside(states).unsqueeze(-1), states - size * direction, states)

        return ws.acting(layer, without)

    # What lies below the layer is the same in all passes, and what lies above the later one is not asked for.
    parts = [
        (part, text.starting(layer, text.entering(part, layer)), torch.zeros_like(part, dtype=torch.bool))
        for part in text.chunks(windows)
    ]

    def basins_there(change: Change) -> tuple[list[int | None], int]:
        states, count = [], 0
        for part, start, nowhere in parts:
            passed = text.run(part, change, start=start, wanted=nowhere, read=(here, there))
            states.append(passed.states[there].flatten(0, 1))
            count += int(inside(passed.states[here]).sum())
        return settled_basins(ws, to, torch.cat(states)), count

    before, count = basins_there(Change())
    if count == 0:
        raise ElError(
            f"no token of the held-out text settles in {basin}: holding it at zero would change nothing",
            code="EL510",
            hint=f"`usage L{layer}` shows the basins that text visits",
        )
    after, _ = basins_there(held(unit[index]))
    fakes = [basins_there(held(direction))[0] for direction in random]
    moved = _moved(before, after)
    null = [_moved(before, fake) for fake in fakes]
    mean, spread, z = against(null, moved)
    usage = _variation(before, after)
    usages = [_variation(before, fake) for fake in fakes]
    usage_mean, usage_spread, _ = against(usages, usage)
    return results.CrossEffect(
        layer=layer,
        basin=basin.basin,
        to_layer=to,
        tokens=len(before),
        held=count,
        moved=moved,
        moved_placebo=mean,
        moved_placebo_std=spread,
        moved_z=z,
        usage_change=usage,
        usage_placebo=usage_mean,
        placebos=placebos,
        usage_placebo_std=usage_spread,
        moved_p=rank_p(torch.tensor(null)[:, None], torch.tensor([moved]))[0],
        usage_p=rank_p(torch.tensor(usages)[:, None], torch.tensor([usage]))[0],
    )


def _as_loud(fitted: Fitted | None, own: Tensor, drawn: Tensor) -> Tensor:
    """Directions of placebos from draws (p, d), for the basin's ``own`` one (d,): at unit norm; in a landscape that the
    layer was given, within the span of its patterns (what lies elsewhere says nothing), and as long as it takes to
    change what the layer says as much as ``own`` does."""
    if fitted is None:
        return torch.nn.functional.normalize(drawn, dim=1)
    within = drawn @ fitted.weight.to(drawn)
    readout = fitted.readout.to(drawn)
    loud = torch.linalg.vector_norm(within @ readout, dim=1, keepdim=True)
    wanted: Tensor = torch.linalg.vector_norm(own @ readout)
    found: Tensor = within * (wanted / loud.clamp_min(torch.finfo(drawn.dtype).tiny))
    return found


def _nearest(states: Tensor, unit: Tensor, least: float) -> Tensor:
    """Which of the unit centres (k, d) each state (…, d) is nearest to by cosine; −1 where that is not above
    ``least``."""
    best, index = (torch.nn.functional.normalize(states, dim=-1) @ unit.T).max(dim=-1)
    return torch.where(best > least, index, -1)


def _moved(before: list[int | None], after: list[int | None]) -> float:
    return sum(a != b for a, b in zip(before, after, strict=True)) / max(1, len(before))


def _variation(before: list[int | None], after: list[int | None]) -> float:
    """Total variation distance between two usages."""
    kinds = set(before) | set(after)
    return sum(abs(before.count(kind) - after.count(kind)) for kind in kinds) / (2 * max(1, len(before)))


_LEAST = 4  # basins: of three there are six ways to deal labels out


def causal_compare(
    ws: Workspace, model: str, layer: int, by: str, threshold: float, placebos: int, shuffles: int
) -> results.CausalComparison:
    """The causal graph of a layer beside that of the same layer of another model."""
    landscape = ws.landscape_of(layer)
    found = matched(ws, model, layer, known_centres(ws, layer), by)
    alone = without_mirrors(found.here, found.there)
    here = scanned(ws, layer, landscape, found.here[alone], placebos)
    there = scanned(ws, layer, found.landscape, found.there[alone], placebos)
    mine, theirs = here.edges(threshold), there.edges(threshold)
    n = len(alone)
    generator = ws.generator("causal compare", layer)
    orders = [torch.randperm(n, generator=generator).to(mine.device) for _ in range(shuffles)]
    off = ~torch.eye(n, dtype=torch.bool, device=mine.device)
    both, either = int((mine & theirs).sum()), int((mine | theirs).sum())
    overlap = both / either if either else None
    shuffled_overlap = _shuffled(overlap, [jaccard(mine, theirs[o][:, o]) for o in orders], n)
    correlation, dealt = rank_correlations(here.drift, there.drift, off, orders)
    shuffled_drift = _shuffled(correlation, dealt, n)
    pushed = there.null.plain[there.null.group].transpose(0, 1) > threshold
    return results.CausalComparison(
        layer=layer,
        other=model,
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
            statistics.fmean(jaccard(mine, graph & off) for graph in pushed) if mine.any() else None
        ),
        drift_correlation=correlation,
        drift_shuffled=shuffled_drift[0],
        drift_shuffled_std=shuffled_drift[1],
        drift_p=shuffled_drift[2],
        placebos=placebos,
        shuffles=shuffles,
    )


def _shuffled(
    real: float | None, shuffled: list[float], basins: int
) -> tuple[float | None, float | None, float | None]:
    """Mean and standard deviation under shuffled labels, and the p-value of the real one."""
    if real is None or basins < _LEAST:
        return None, None, None
    mean, spread, _ = against(shuffled, real)
    reached = sum(value >= real - 1e-9 for value in shuffled)
    return mean, spread, (1 + reached) / (1 + len(shuffled))
