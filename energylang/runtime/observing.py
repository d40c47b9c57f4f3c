"""Looking at a session's landscapes: surveys, and what there is in one direction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from energylang.errors import ElError
from energylang.landscape.attractors import FIXED_POINT, polish
from energylang.landscape.clusters import cosine_rows, gram
from energylang.landscape.draws import stable_generator, starts
from energylang.landscape.dynamics import settle
from energylang.landscape.energy import both, lyapunov, reference
from energylang.landscape.layer import Landscape, residual
from energylang.landscape.lineage import HELD, Basin, Registry
from energylang.landscape.probes import radius, return_rate
from energylang.landscape.stability import spectrum
from energylang.landscape.survey import BasinSet, survey
from energylang.storage import check_memory
from energylang.values import BasinRef, Seed

from .tokens import Reading, has_tokens, heldout, placed, staged_states

if TYPE_CHECKING:
    from energylang.values import Concept

    from .workbench import Workbench

_COPIES = 6  # of the starts, alive at once in a survey
SAME = 0.95
NEAR = 0.7
"""Cosine from which an attractor counts as the one a *direction* names. On symmetric layers the attractor
that an edit installs has a cosine of about 0.8 to the pattern asked for; chance gives about 1/√d."""

TRIALS = 32


def find_basins(session: Workbench, layer: int, inits: int, seed: int, *, radius: bool) -> BasinSet:
    """Survey a layer's staged landscape from seeded random starts, and from the basins that edits have installed
    (chance alone would rarely meet those). The tokens of a text model come on top: see ``learn``."""
    states = survey_starts(session, layer, inits, seed)
    kicks = session.generator("survey kicks", layer, seed)
    return survey(
        session.landscape_of(layer), states, eps=float(session.setting("eps")), radius=radius, generator=kicks
    )


def survey_starts(session: Workbench, layer: int, inits: int, seed: int) -> Tensor:
    """(n, d): the starts of a survey, the ``inits`` random ones first."""
    landscape = session.landscape_of(layer)
    check_room(inits, landscape)
    states = starts(inits, landscape.dim, session.generator("survey", layer, seed), landscape.weight)
    installed = installed_centres(session, layer)
    if installed:
        states = torch.cat((states, torch.stack(installed).to(landscape.weight)))
    return states


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


def installed_centres(session: Workbench, layer: int) -> list[Tensor]:
    """Centres (d,) of the living basins that edits have installed."""
    version = session.staged(layer)
    found = [version.registry.get(id) for id in version.installed]
    return [basin.centre for basin in found if basin is not None and basin.status == "alive"]


@dataclass(frozen=True)
class Seen:
    """One basin that a survey saw: how many starts (``population``) and token states settled in it, and what was
    measured there. ``mirror`` is the id of the basin at −x, ``radius`` is None where it was not measured."""

    id: int
    population: int
    tokens: int
    energy: float
    energy_reference: float
    residual: float
    stability: float
    is_fixed_point: bool
    mirror: int | None
    radius: float | None


@dataclass(frozen=True, eq=False)
class Surveyed:
    """What a survey saw: basins with most tokens first (ties: most starts; without text, by starts alone), and what
    became of the tokens (``None`` without text)."""

    basins: tuple[Seen, ...]
    reading: Reading | None


def learn(session: Workbench, layer: int, found: BasinSet) -> Surveyed:
    """Take what the starts of a survey ``found`` in the staged landscape into the registry; in a text model settle the
    held-out tokens too, and take in what only they reach.

    Basins that are new get their numbers in the order of the result.
    """
    version, landscape = session.staged(layer), session.landscape_of(layer)
    registry = session.fresh_registry(version)
    new = registry.next_id
    registry, ids = registry.observe(found)
    session.keep_registry(version, registry, surveyed=True)
    if not has_tokens(session):
        return Surveyed(_seen(landscape, found, ids, (), {}), None)
    windows = heldout(session)
    check_room(windows.numel(), landscape)
    states = staged_states(session, windows, layer)
    reading = Reading(windows.tolist(), placed(session, layer, version, states))
    registry = session.fresh_registry(version).with_tokens(reading.visits(), windows.numel())
    registry, renamed = registry.by_tokens(new)
    session.keep_registry(version, registry, surveyed=True)
    ids, reading = tuple(renamed.get(id, id) for id in ids), reading.renamed(renamed)
    visits = reading.visits()
    known = {basin.id: basin for basin in registry.basins}
    reached = set(ids)
    others = tuple(known[id] for id in visits if id not in reached)
    rows = _seen(landscape, found, ids, others, visits)
    return Surveyed(tuple(sorted(rows, key=lambda row: (-row.tokens, -row.population, row.id))), reading)


def _seen(
    landscape: Landscape,
    found: BasinSet,
    ids: tuple[int, ...],
    others: tuple[Basin, ...],
    tokens: Mapping[int, int],
) -> tuple[Seen, ...]:
    """The basins that starts found, and ``others`` that only tokens reach."""
    centres = found.centres
    energy, published, off, radii = found.energy, found.energy_reference, found.residual, found.stability
    if others:
        more = torch.stack([basin.centre for basin in others]).to(centres)
        height, reference = both(landscape, more)
        energy, published = torch.cat((energy, height)), torch.cat((published, reference))
        off = torch.cat((off, residual(landscape, more)))
        radii = torch.cat((radii, radii.new_tensor([basin.stability for basin in others])))
        centres = torch.cat((centres, more))
    every = (*ids, *(basin.id for basin in others))
    mirrors = found.mirror.tolist()
    if others:
        lowest, place = gram(centres, centres).min(1)
        mirrors = torch.where(lowest < -SAME, place, -1).tolist()
    reach: list[float | None] = [None] * len(every)
    if found.radius is not None:
        reach[: len(ids)] = found.radius.tolist()
        held = [k for k in range(len(ids), len(every)) if tokens[every[k]] >= HELD * sum(tokens.values())]
        generator = stable_generator("radius of basins of tokens", landscape.dim)
        for k, value in zip(held, radius(landscape, centres[held], generator).tolist(), strict=True):
            reach[k] = value
    columns = zip(
        every,
        [*found.population.tolist(), *[0] * len(others)],
        energy.tolist(),
        published.tolist(),
        off.tolist(),
        radii.tolist(),
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
class Place:
    """What a direction leads to: the start (d,), where it comes to rest (d,), and what was measured there."""

    start: Tensor
    rest: Tensor
    basin: int | None
    cosine: float
    residual: float
    stability: float
    energy_start: float
    energy_start_reference: float
    energy_rest: float
    energy_rest_reference: float
    is_basin: bool


def look(session: Workbench, layer: int, target: BasinRef | Concept | Seed) -> Place:
    """Settle from where ``target`` points and measure the energies on the way."""
    landscape = session.landscape_of(layer)
    direction = session.direction(layer, target)
    # A seed names a direction, not a state: its pattern is 0.9 times the signs, as an injection writes it.
    start = 0.9 * torch.sign(direction) if isinstance(target, Seed) else direction
    run = settle(landscape, start[None], eps=float(session.setting("eps")))
    rest = polish(landscape, run.states)[0]
    cosine = float(cosine_rows(rest, start)[0])
    radii, attracts = spectrum(landscape, rest)
    off = float(residual(landscape, rest)[0])
    height = torch.cat((start[None], rest))
    energies, references = lyapunov(landscape, height).tolist(), reference(landscape, height).tolist()
    wanted = SAME if isinstance(target, BasinRef) else NEAR
    alive = bool(torch.linalg.vector_norm(rest) > 0)
    return Place(
        start=start,
        rest=rest[0],
        basin=name_of(session.registry(layer), rest)[0],
        cosine=cosine,
        residual=off,
        stability=float(radii[0]),
        energy_start=energies[0],
        energy_start_reference=references[0],
        energy_rest=energies[1],
        energy_rest_reference=references[1],
        is_basin=alive and cosine >= wanted and off < 1e-3 and bool(attracts[0]),
    )


def returns(session: Workbench, layer: int, rest: Tensor) -> tuple[float, float, float]:
    """Shares of noisy starts (10, 20, 30 % of the norm) that come back to ``rest`` (d,)."""
    landscape = session.landscape_of(layer)
    rates = [
        return_rate(landscape, rest[None], noise, TRIALS, session.generator("verify", layer, noise))
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


def settled_basins(
    session: Workbench, layer: int, states: Tensor, *, register: bool = False
) -> list[int | None]:
    """Basins in which token states (n, d) of the LIVE layer settle; ``None`` for none, and without ``register`` for one
    that is not known yet."""
    found = placed(session, layer, session.state.layers[layer].live, states, register=register)
    return [basin if basin >= 0 else None for basin in found.basins]
