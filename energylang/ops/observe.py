"""Observe: look at a landscape and change nothing."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import Effect, Example, Flow, FromSetting, Param, operation

if TYPE_CHECKING:
    from energylang.landscape.survey import BasinSet
    from energylang.session import Session
    from energylang.signature.values import BasinRef, Concept, Seed
    from energylang.work.observing import Surveyed

LAYER = Param("layer", t.LAYER, "the layer, such as L0")
TARGET = Param("target", t.DIRECTION, "a basin (L0.B3), a concept, or the seed of a random direction")
BASIN = Param("basin", t.BASIN, "the basin, such as L0.B3")
INITS = Param("inits", t.INT, "random starts", FromSetting("inits"), minimum=1, maximum=1_000_000)
UNTIL = Param(
    "until",
    t.FLOAT,
    "double the starts, `inits` at first, until so much is covered: 95% (up to 64 times `inits`)",
    None,
    above=0,
    maximum=1,
    keyword_only=True,
)
SEED = Param("seed", t.INT, "seed of the starts", 0, minimum=0, maximum=2**63 - 1)


@operation(
    "survey",
    category="Observe",
    summary="Find the basins of a layer.",
    details="Random starts and the basins installed by edits are settled in one batch, clustered and polished to fixed "
    "points. How many are found depends on how many starts there are: the coverage says which share of all random "
    "starts ends in a basin that was met, and the estimate how many basins there are in all. In a text model held-out "
    "tokens are settled as well, with the states that the staged model gives them: each basin has its share of the "
    "tokens, the tokens read there most often and the context nearest to its centre, and the basins with most tokens "
    "come first. Basins keep their numbers from survey to survey.",
    params=(
        LAYER,
        INITS,
        SEED,
        Param(
            "seeds",
            t.INT,
            "survey with as many seeds: mean ± std of the count, and how much they share",
            1,
            minimum=1,
            maximum=1000,
        ),
        Param("radius", t.BOOL, "also measure how far each basin reaches, with a 95 % interval", False),
        Param(
            "at",
            t.INT,
            "another place out of `history` to look at, without going there",
            None,
            minimum=0,
            maximum=10**12,
            keyword_only=True,
        ),
        UNTIL,
    ),
    effects=Effect.READS,
    flow=Flow(surveys="layer"),
    result=results.Survey,
    examples=(
        Example("survey L0", "it.num_basins >= 8 and it.basins[0].is_fixed_point"),
        Example("survey L0 inits=50 seeds=3", "it.count_mean > 0 and it.inits == 50"),
        Example(
            "survey L0 until=95%", "it.until_reached and it.coverage >= 0.95 and it.estimate >= it.num_basins"
        ),
        Example("survey L0 radius=true", "it.basins[0].radius > 0.1"),
        Example("survey L0\ninject L0 42\nsurvey L0 at=0", "it.installed_starts == 0 and it.at == 0"),
        Example(
            "survey L3",
            "it.token_states > 2000 and it.basins[0].tokens >= it.basins[1].tokens "
            "and it.basins[0].top_tokens.count > 0",
            on="tiny",
        ),
    ),
)
def survey(
    session: Session,
    layer: int,
    inits: int,
    seed: int,
    seeds: int,
    radius: bool,
    at: int | None,
    until: float | None,
) -> results.Survey:
    with session.seen_from(at):
        return _survey(session, layer, inits, seed, seeds, radius, at, until)


def _survey(
    session: Session,
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
    if until is None:
        first = session.find_basins(layer, inits, seed, radius=radius)
    else:
        first, doublings = session.find_until(layer, inits, seed, until, radius=radius)
    random = inits << doublings
    installed = session.count_installed(layer)
    later = range(1, seeds)
    others = [
        session.find_basins(layer, inits, seed + k, radius=False, doublings=doublings)
        for k in session.counted(later, "seeds")
    ]
    seen = session.learn(layer, first)
    sampled = session.count_basins(first, random, seen)
    reading = seen.reading
    settled = len(reading.tokens) if reading is not None else 0
    visits = reading.visits() if reading is not None else {}
    landscape = session.landscape_of(layer)
    counts = (len(first), *(len(other) for other in others))
    return results.Survey(
        layer=layer,
        num_basins=len(seen.basins),
        basins=_rows(session, layer, first, seen),
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
        coverage=sampled.coverage,
        coverage_low=sampled.coverage_low,
        coverage_high=sampled.coverage_high,
        estimate=sampled.estimate,
        estimate_low=sampled.estimate_low,
        estimate_high=sampled.estimate_high,
        estimator=sampled.estimator,
        until=until,
        until_reached=None if until is None else sampled.coverage is not None and sampled.coverage >= until,
        over_seeds=_over_seeds(session, [first, *others], random) if others else None,
        token_states=settled,
        token_basins=len(visits),
        tokens_to_zero=reading.found.to_zero if reading is not None else 0,
        tokens_unsettled=reading.found.unsettled if reading is not None else 0,
        token_coverage=1 - list(visits.values()).count(1) / settled if settled else None,
    )


def _over_seeds(session: Session, found: list[BasinSet], random: int) -> results.Seeds:
    compared = session.compare_seeds(found, random)
    pooled = compared.pooled
    return results.Seeds(
        overlap=compared.overlap,
        overlap_expected=compared.overlap_expected,
        recaught=compared.recaught,
        found=pooled.found,
        starts=pooled.starts,
        coverage=pooled.coverage,
        coverage_low=pooled.coverage_low,
        coverage_high=pooled.coverage_high,
        estimate=pooled.estimate,
        estimate_low=pooled.estimate_low,
        estimate_high=pooled.estimate_high,
        estimator=pooled.estimator,
    )


def _rows(session: Session, layer: int, found: BasinSet, seen: Surveyed) -> tuple[results.Basin, ...]:
    most, typical = session.meanings(seen.reading)
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


@operation(
    "survey-all",
    category="Observe",
    summary="Survey every layer, in one table.",
    params=(INITS, SEED),
    effects=Effect.READS,
    flow=Flow(surveys="*"),
    result=results.SurveyAll,
    examples=(
        Example("survey-all inits=50", "it.num_layers == 1 and it.layers[0].inits == 50"),
        Example("survey-all", "it.num_layers == 3", on="random:24x3"),
    ),
)
def survey_all(session: Session, inits: int, seed: int) -> results.SurveyAll:
    started = time.perf_counter()
    count = session.model.num_layers
    layers = tuple(_survey(session, layer, inits, seed) for layer in session.counted(range(count), "layers"))
    return results.SurveyAll(
        num_layers=len(layers),
        num_basins=sum(layer.num_basins for layer in layers),
        layers=layers,
        elapsed=time.perf_counter() - started,
    )


@operation(
    "verify",
    category="Observe",
    summary="Is there a basin in this direction?",
    details="Settles from the direction. It is a basin when it comes to rest nearby at a fixed point that attracts: "
    "its stability, that of the damped map that is iterated, is below 1. The return rates are those of 32 noisy "
    "starts, the noise measured relative to the state's norm.",
    params=(LAYER, TARGET),
    effects=Effect.READS,
    result=results.Verdict,
    examples=(
        Example("survey L0\nverify L0.B0", "it.is_basin and it.return_10 > 0.9"),
        Example("verify L0 12345", "not it.is_basin"),
    ),
)
def verify(session: Session, layer: int, target: BasinRef | Concept | Seed) -> results.Verdict:
    place = session.look(layer, target)
    return_10, return_20, return_30 = session.returns(layer, place.rest)
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
        symmetric=session.landscape_of(layer).symmetric,
    )


@operation(
    "energy",
    category="Observe",
    summary="The energy at a direction, at the basin it settles in, and the gap between them.",
    details="Hopfield's continuous energy, the one that every other operation shows. It never rises along the way when "
    "the weight is positive semi-definite; on other symmetric weights the first, large steps may raise it. A weight "
    "that is not symmetric has no such energy: that of its symmetric part is given, and said.",
    params=(LAYER, TARGET),
    effects=Effect.READS,
    result=results.Energy,
    examples=(
        Example("energy L0 7", "it.gap >= 0"),
        Example("survey L0\nenergy L0.B0", "it.basin == 0 and it.symmetric"),
    ),
)
def energy(session: Session, layer: int, target: BasinRef | Concept | Seed) -> results.Energy:
    place = session.look(layer, target)
    return results.Energy(
        layer=layer,
        target=str(target),
        energy=place.energy_start,
        energy_reference=place.energy_start_reference,
        basin=place.basin,
        basin_energy=place.energy_rest,
        basin_energy_reference=place.energy_rest_reference,
        gap=place.energy_start - place.energy_rest,
        symmetric=session.landscape_of(layer).symmetric,
    )


@operation(
    "probe",
    category="Observe",
    summary="What a basin means: the tokens it says, the tokens it holds, and real contexts.",
    details="says: the tokens that its centre makes likely through the output head alone; holds: the tokens that are "
    "read where the model settles in it, most often first, in the held-out text that `survey` and `usage` read too.",
    params=(
        LAYER,
        replace(BASIN, default=0),
        Param("top", t.INT, "how many tokens and contexts", 20, minimum=1, maximum=1000),
    ),
    effects=Effect.READS | Effect.TEXT,
    result=results.Probe,
    examples=(Example("survey L3\nprobe L3.B0 top=4", "it.says.count == 4", on="tiny"),),
)
def probe(session: Session, layer: int, basin: BasinRef | int, top: int) -> results.Probe:
    return session.probe_basin(layer, basin, top)


@operation(
    "landscape",
    category="Observe",
    summary="A map of a layer's basins, with populations, energies and radii.",
    params=(
        LAYER,
        Param("dims", t.INT, "coordinates of the map", 2, minimum=2, maximum=3),
        Param("method", t.CHOICE, "how they are found", "pca", choices=("pca", "umap")),
        Param(
            "save",
            t.PATH,
            "draw it into a file: .html needs plotly, .png matplotlib",
            None,
            keyword_only=True,
        ),
    ),
    effects=Effect.READS | Effect.FILES,
    result=results.LandscapeMap,
    examples=(
        Example("survey L0\nlandscape L0", "it.points.count >= 8 and it.explained[0] >= it.explained[1]"),
        Example("landscape L0 dims=3", "it.explained.count == 3"),
    ),
)
def landscape(session: Session, layer: int, dims: int, method: str, save: str | None) -> results.LandscapeMap:
    return session.map_landscape(layer, dims, method, save)


@operation(
    "trace",
    category="Observe",
    summary="The convergence path of every token of a text: energies, iterations, and the basin it reaches.",
    details="The model takes a few steps only and reads the state it has then: the cosine says how near that is to the "
    "centre of the basin in which it would settle.",
    params=(LAYER, Param("text", t.TEXT, "a text")),
    effects=Effect.READS | Effect.TEXT,
    result=results.Trace,
    examples=(
        Example(
            'trace L3 "Thank you so much"',
            "it.tokens.count >= 4 and it.tokens[0].iterations > 0 and it.to_zero == 0",
            on="tiny",
        ),
    ),
)
def trace(session: Session, layer: int, text: str) -> results.Trace:
    return session.trace_text(layer, text)
