"""Looking at a session's landscapes: surveys, and what there is in one direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from energylang.errors import ElError
from energylang.files.storage import check_memory
from energylang.landscape.attractors import FIXED_POINT, polish
from energylang.landscape.clusters import NEAR, SAME, cosine_rows, gram, leaders
from energylang.landscape.draws import starts
from energylang.landscape.dynamics import settle
from energylang.landscape.edits import AMPLITUDE
from energylang.landscape.energy import both, lyapunov, reference
from energylang.landscape.layer import Landscape, residual
from energylang.landscape.lineage import HELD, KnownBasin, Registry
from energylang.landscape.probes import return_rate
from energylang.landscape.radius import Radii, Row, radii
from energylang.landscape.richness import Richness, richness
from energylang.landscape.stability import spectrum
from energylang.landscape.survey import BasinSet, mirrors, survey
from energylang.signature.values import BasinRef, ConceptName, Seed
from energylang.workspace.named import fresh_registry, keep_registry, state_of
from energylang.workspace.workspace import RECENT_LANDSCAPES, Workspace

from .tokens import Reading, gathered, has_tokens, heldout, placed, staged_states

if TYPE_CHECKING:
    from energylang.workspace.versions import Version


MOST_DOUBLINGS, MOST_STARTS = 6, 1_000_000
"""How far `survey until=` goes: 64 times the first starts, at most a million."""

_COPIES = 6  # of the starts, alive at once in a survey
_DOUBLES = 3  # copies of a weight in double precision, alive at once
TRIALS = 32


def find_basins(
    ws: Workspace, layer: int, inits: int, seed: int, *, radius: bool, doublings: int = 0
) -> BasinSet:
    """Survey a layer's staged landscape from seeded random starts, and from the basins that edits have installed
    (chance alone would rarely meet those). The tokens of a text model come on top: see ``learn``."""
    states = survey_starts(ws, layer, inits, seed, doublings)
    kicks = ws.generator("survey kicks", layer, seed)
    found = survey(ws.landscape_of(layer), states, eps=float(ws.setting("eps")), generator=kicks)
    return replace(found, radii=radii_of(ws, layer, found.centres)) if radius else found


def radii_of(ws: Workspace, layer: int, centres: Tensor, version: Version | None = None) -> Radii:
    """The radii of basins with centres (k, d) under a layer's staged weight (or another version's): the numbers that
    ``survey`` gives, from the same pushes whatever the layer, the weight and the seed of the starts. What was measured
    before is not measured again."""
    landscape = ws.landscape_of(layer, version)
    centres = centres.to(landscape.weight)
    known = ws.cache.measured.setdefault(landscape, {})
    seed = ws.setting("seed")
    keys = [(seed, centre.cpu().numpy().tobytes()) for centre in centres]
    missing = [row for row, key in enumerate(keys) if key not in known]
    if missing:
        found = radii(landscape, centres[missing], ws.generator("radius"))
        known.update(zip((keys[row] for row in missing), found.rows(), strict=True))
    return Radii.of([known[key] for key in keys])


def find_until(
    ws: Workspace, layer: int, inits: int, seed: int, coverage: float, *, radius: bool
) -> tuple[BasinSet, int]:
    """Survey with ever more random starts, ``inits`` at first and then twice as many each time, until what was met
    covers so much; at most ``MOST_DOUBLINGS`` times. The survey, and how often the starts were doubled."""
    doublings = 0
    found = find_basins(ws, layer, inits, seed, radius=False)
    while doublings < MOST_DOUBLINGS and (inits << doublings) * 2 <= MOST_STARTS:
        reached = counted(found, inits << doublings).coverage
        if reached is not None and reached >= coverage:
            break
        doublings += 1
        if ws.watcher is not None:
            ws.watcher(doublings - 1, MOST_DOUBLINGS, "doublings")
        found = find_basins(ws, layer, inits, seed, radius=False, doublings=doublings)
    if radius:
        found = replace(found, radii=radii_of(ws, layer, found.centres))
    return found, doublings


def random_population(found: BasinSet, random: int) -> Tensor:
    """(k,): how many of the random starts, the first ``random`` of a survey, ended in each of its basins."""
    places = found.assignment[:random]
    return torch.bincount(places[places >= 0], minlength=len(found))


def counted(found: BasinSet, random: int) -> Richness:
    """What a survey's random starts say about how many basins there are. The other starts are no random sample and
    do not count."""
    return richness(random_population(found, random), found.mirror)


def sampled(found: BasinSet, random: int, seen: Surveyed) -> Richness:
    """The same beside what tokens have settled in: those basins exist, so that there are not fewer."""
    counts = random_population(found, random)
    row_of = {basin.id: row for row, basin in enumerate(seen.basins)}
    mirror = [row_of.get(basin.mirror, -1) if basin.mirror is not None else -1 for basin in seen.basins]
    everywhere = counts.new_zeros(len(seen.basins))
    everywhere[[row_of[id] for id in seen.ids]] = counts
    return richness(everywhere, torch.tensor(mirror, dtype=torch.long))


@dataclass(frozen=True)
class Resurvey:
    """Surveys of one landscape with as many seeds: what they have in common, and what they say together.

    ``overlap`` is the share of one survey's basins that another meets as well, the mean over all pairs of seeds;
    ``overlap_expected`` what it would be if a pair's starts had been dealt to the two surveys at random.
    ``recaught`` is the share of one survey's starts that end in another's basins, which is what its coverage
    predicts. ``pooled`` are all starts together.
    """

    overlap: float | None
    overlap_expected: float | None
    recaught: float | None
    pooled: Richness


def resurveyed(found: Sequence[BasinSet], random: int) -> Resurvey:
    """Compare surveys of one landscape by their random starts, the first ``random`` of each."""
    counts = [random_population(each, random) for each in found]
    label, first = leaders(torch.cat([each.centres for each in found]), SAME)
    table = torch.zeros(len(found), len(first), dtype=torch.long, device=label.device)
    row = torch.repeat_interleave(torch.tensor([len(each) for each in found]))
    table.index_put_((row.to(label.device), label), torch.cat(counts), accumulate=True)
    shares, expected, caught = [], [], []
    for i, one in enumerate(table):
        for j, other in enumerate(table):
            if i == j or not int(one.sum()):
                continue
            shares.append(float(((one > 0) & (other > 0)).sum() / (one > 0).sum()))
            caught.append(float(one[other > 0].sum() / one.sum()))
            both = (one + other)[one + other > 0].double()
            missed = 2.0**-both  # by one of the two
            expected.append(float((1 - 2 * missed).clamp_min(0).sum() / (1 - missed).sum()))
    centres = torch.cat([each.centres for each in found])[first]
    return Resurvey(
        overlap=_mean(shares),
        overlap_expected=_mean(expected),
        recaught=_mean(caught),
        pooled=richness(table.sum(0), mirrors(centres, SAME)),
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def survey_starts(ws: Workspace, layer: int, inits: int, seed: int, doublings: int = 0) -> Tensor:
    """(n, d): the starts of a survey, the ``inits`` random ones first, then those by which they are doubled."""
    landscape = ws.landscape_of(layer)
    check_room(inits << doublings, landscape)
    draws = ws.generator("survey", layer, seed)
    batches = [inits, *(inits << k for k in range(doublings))]
    states = torch.cat([starts(count, landscape.dim, draws, landscape.weight) for count in batches])
    installed = installed_centres(ws, layer)
    if installed:
        states = torch.cat((states, torch.stack(installed).to(landscape.weight)))
    return states


def random_starts(ws: Workspace, layer: int, inits: int) -> int:
    """With how many random starts a layer is surveyed. A landscape that a layer was given is surveyed from the states
    to which tokens lead (``learn``) and from its known basins: random starts end in mixtures of its patterns, where
    no token ever comes."""
    return inits if ws.fitted(layer) is None else 0


def check_room(count: int, landscape: Landscape) -> None:
    """Raise ``ElError`` where so many states would not fit into memory."""
    try:
        check_memory(_COPIES * count * landscape.dim * landscape.weight.element_size(), "the survey")
    except OSError as error:
        raise ElError(
            f"{count:,} starts of dimension {landscape.dim} do not fit: {error.strerror}",
            code="EL502",
            hint="fewer starts need less",
        ) from None


def room_of_surveys(ws: Workspace, layers: Sequence[int], inits: int) -> int:
    """Bytes that surveys of layers take beyond the model's own: the weights of the latest, made ready to be multiplied
    with; one in double precision and its symmetric part, while the ends of its spectrum are looked for; the starts of
    one; and every basin that may be found. An estimate from the dimensions: nothing is made for it."""
    item = int(getattr(torch, str(ws.setting("dtype"))).itemsize)
    dims = sorted((ws.model.dims[layer] for layer in layers), reverse=True)
    ready = sum(dim * dim * item for dim in dims[:RECENT_LANDSCAPES])
    found = sum(inits * dim * item for dim in dims)
    return (
        ready
        + found
        + max((_DOUBLES * 8 * dim * dim + _COPIES * inits * dim * item for dim in dims), default=0)
    )


def installed_centres(ws: Workspace, layer: int) -> list[Tensor]:
    """Where the basins (d,) lie that edits have installed: as they were when the staged weight was made, so that what a
    survey finds does not depend on who has looked before. Of a landscape that was fitted: the living ones it has."""
    version = ws.staged(layer)
    if ws.fitted(layer) is not None:
        return [basin.centre for basin in version.registry.alive() if basin.installed]
    return list(version.starts.values())


@dataclass(frozen=True)
class Seen:
    """One basin that a survey saw: how many starts (``population``) and token states settled in it, and what was
    measured there. ``mirror`` is the id of the basin at −x, ``reach`` the radius with its interval, where measured."""

    id: int
    population: int
    tokens: int
    energy: float
    energy_reference: float
    residual: float
    stability: float
    is_fixed_point: bool
    mirror: int | None
    reach: Row | tuple[None, None, None, None]


@dataclass(frozen=True, eq=False)
class Surveyed:
    """What a survey saw: basins with most tokens first (ties: most starts; without text, by starts alone), and what
    became of the tokens (``None`` without text). ``ids`` are those of what the starts found, in its order."""

    basins: tuple[Seen, ...]
    reading: Reading | None
    ids: tuple[int, ...]


def learn(ws: Workspace, layer: int, found: BasinSet) -> Surveyed:
    """Take what the starts of a survey ``found`` in the staged landscape into the registry; in a text model settle the
    held-out tokens too, and take in what only they reach.

    Basins that are new get their numbers in the order of the result. What is seen depends on the staged weight, the
    settings and the text alone; what was known before decides only which number a basin has.
    """
    version, landscape = ws.staged(layer), ws.landscape_of(layer)
    registry = fresh_registry(ws, version)
    new = registry.next_id
    if not has_tokens(ws):
        registry, ids = registry.observe(found)
        keep_registry(ws, version, registry, surveyed=True)
        return Surveyed(_seen(ws, layer, found, ids, (), {}), None, ids)
    windows = heldout(ws)
    check_room(windows.numel(), landscape)
    settled, by_id = gathered(ws, layer, found.centres, staged_states(ws, windows, layer))
    registry, every = registry.observe(found, landscape, settled.fresh)
    reading = Reading(windows.tolist(), by_id(every))
    registry, renamed = registry.with_tokens(reading.visits(), windows.numel()).by_tokens(new)
    keep_registry(ws, version, registry, surveyed=True)
    ids, reading = tuple(renamed.get(id, id) for id in every[: len(found)]), reading.renamed(renamed)
    visits = reading.visits()
    known = {basin.id: basin for basin in registry.basins}
    reached = set(ids)
    others = tuple(known[id] for id in visits if id not in reached)
    rows = _seen(ws, layer, found, ids, others, visits)
    order = sorted(rows, key=lambda row: (-row.tokens, -row.population, row.id))
    return Surveyed(tuple(order), reading, ids)


def _seen(
    ws: Workspace,
    layer: int,
    found: BasinSet,
    ids: tuple[int, ...],
    others: tuple[KnownBasin, ...],
    tokens: Mapping[int, int],
) -> tuple[Seen, ...]:
    """The basins that starts found, and ``others`` that only tokens reach."""
    landscape = ws.landscape_of(layer)
    centres = found.centres
    energy, published, off, steady = found.energy, found.energy_reference, found.residual, found.stability
    if others:
        more = torch.stack([basin.centre for basin in others]).to(centres)
        height, reference = both(landscape, more)
        energy, published = torch.cat((energy, height)), torch.cat((published, reference))
        off = torch.cat((off, residual(landscape, more)))
        steady = torch.cat((steady, steady.new_tensor([basin.stability for basin in others])))
        centres = torch.cat((centres, more))
    every = (*ids, *(basin.id for basin in others))
    mirrors = found.mirror.tolist()
    if others:
        lowest, place = gram(centres, centres).min(1)
        mirrors = torch.where(lowest < -SAME, place, -1).tolist()
    reach: list[Row | tuple[None, None, None, None]] = [(None, None, None, None)] * len(every)
    if found.radii is not None:
        reach[: len(ids)] = found.radii.rows()
        held = [k for k in range(len(ids), len(every)) if tokens[every[k]] >= HELD * sum(tokens.values())]
        for k, row in zip(held, radii_of(ws, layer, centres[held]).rows(), strict=True):
            reach[k] = row
    columns = zip(
        every,
        [*found.population.tolist(), *[0] * len(others)],
        energy.tolist(),
        published.tolist(),
        off.tolist(),
        steady.tolist(),
        (off < FIXED_POINT).tolist(),
        mirrors,
        reach,
        strict=True,
    )
    return tuple(
        Seen(id, population, tokens.get(id, 0), height, reference, gap, stability, fixed,
             every[mirror] if mirror >= 0 else None, far)
        for id, population, height, reference, gap, stability, fixed, mirror, far in columns
    )  # fmt: skip


@dataclass(frozen=True)
class Resting:
    """What a direction leads to: the start (d,), where it comes to rest (d,), and what was measured there."""

    start: Tensor
    rest: Tensor
    cosine: float
    residual: float
    stability: float
    attracts: bool
    energy_start: float
    energy_start_reference: float
    energy_rest: float
    energy_rest_reference: float
    is_basin: bool
    basin: int | None = None


def look(ws: Workspace, layer: int, target: BasinRef | ConceptName | Seed) -> Resting:
    """Settle from where ``target`` points and measure the energies on the way."""
    start = pattern_of(target, state_of(ws, layer, target))
    found = place_of(ws.landscape_of(layer), start, wanted_cosine(target), float(ws.setting("eps")))
    return replace(found, basin=name_of(ws.staged(layer).registry, found.rest[None])[0])


def pattern_of(target: BasinRef | ConceptName | Seed, direction: Tensor) -> Tensor:
    """The state (d,) at which a target is looked for. A seed names a direction, not a state: its pattern is 0.9 times
    the signs, as an injection writes it."""
    return AMPLITUDE * torch.sign(direction) if isinstance(target, Seed) else direction


def wanted_cosine(target: BasinRef | ConceptName | Seed) -> float:
    """How near a basin must lie to count as the one that a target names."""
    return SAME if isinstance(target, BasinRef) else NEAR


def place_of(landscape: Landscape, start: Tensor, wanted: float, eps: float) -> Resting:
    """Where a state (d,) comes to rest in a landscape, and whether that is a basin within the cosine ``wanted``."""
    run = settle(landscape, start[None].to(landscape.weight), eps=eps)
    rest = polish(landscape, run.states)[0]
    cosine = float(cosine_rows(rest, start.to(rest))[0])
    radii, attracts = spectrum(landscape, rest)
    off = float(residual(landscape, rest)[0])
    height = torch.cat((start[None].to(rest), rest))
    energies, references = lyapunov(landscape, height).tolist(), reference(landscape, height).tolist()
    alive = bool(torch.linalg.vector_norm(rest) > 0)
    return Resting(
        start=start,
        rest=rest[0],
        cosine=cosine,
        residual=off,
        stability=float(radii[0]),
        attracts=bool(attracts[0]),
        energy_start=energies[0],
        energy_start_reference=references[0],
        energy_rest=energies[1],
        energy_rest_reference=references[1],
        is_basin=alive and cosine >= wanted and off < FIXED_POINT and bool(attracts[0]),
    )


def returns(ws: Workspace, layer: int, rest: Tensor) -> tuple[float, float, float]:
    """Shares of noisy starts (10, 20, 30 % of the norm) that come back to ``rest`` (d,)."""
    landscape = ws.landscape_of(layer)
    rates = [
        return_rate(landscape, rest[None], noise, TRIALS, ws.generator("verify", layer, noise))
        for noise in (0.1, 0.2, 0.3)
    ]
    return float(rates[0]), float(rates[1]), float(rates[2])


def name_of(registry: Registry, rests: Tensor) -> list[int | None]:
    """Ids of the living basins that the states (n, d) rest in; ``None`` where none is known."""
    alive = registry.alive()
    if not alive or not len(rests):
        return [None] * len(rests)
    centres = torch.stack([basin.centre for basin in alive]).to(rests)
    normal = torch.nn.functional.normalize
    best = (normal(rests, dim=1) @ normal(centres, dim=1).T).max(dim=1)
    pairs = zip(best.values.tolist(), best.indices.tolist(), strict=True)
    return [alive[index].id if value > SAME else None for value, index in pairs]


def settled_basins(ws: Workspace, layer: int, states: Tensor, *, register: bool = False) -> list[int | None]:
    """Basins in which token states (n, d) of the LIVE layer settle; ``None`` for none, and without ``register`` for one
    that is not known yet."""
    found = placed(ws, layer, ws.live(layer), states, register=register)
    return [basin if basin >= 0 else None for basin in found.basins]


def known_basins(ws: Workspace, layer: int) -> Registry:
    """The basins of a layer's staged landscape; one that was never surveyed is surveyed first."""
    version = ws.staged(layer)
    if not version.surveyed:
        inits = random_starts(ws, layer, int(ws.setting("inits")))
        learn(ws, layer, find_basins(ws, layer, inits, 0, radius=False))
    return version.registry


def basin_near(ws: Workspace, layer: int, target: BasinRef | ConceptName | Seed) -> tuple[Tensor, int | None]:
    """The centre (d,) of the basin that a direction names or settles in, and its id."""
    known_basins(ws, layer)
    if isinstance(target, BasinRef):
        return state_of(ws, layer, target), target.basin
    place = look(ws, layer, target)
    if not place.is_basin:
        raise ElError(
            f"there is no basin near {target} in L{layer}",
            code="EL510",
            hint="name one that `survey` found, such as L0.B3",
        )
    return place.rest, place.basin
