"""Observe: look at a landscape and change nothing."""

from __future__ import annotations

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import Effect, Example, Flow, FromSetting, Op, Param

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

survey = Op(
    "survey",
    summary="Find the basins of a layer.",
    details="Random starts and the basins installed by edits are settled in one batch, clustered and polished"
    " to fixed points. More starts find more basins. The coverage says which share of all random "
    "starts ends in one of the basins found, the estimate how many basins there are in all. In a text"
    " model held-out tokens are settled as well, with the states that the staged model gives them. "
    "Each basin then has its share of the tokens, the tokens read there most often and the context "
    "nearest to its centre, and the basins with most tokens come first. Basins keep their numbers "
    "from survey to survey.",
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
    effects=Effect.READS | Effect.LANDSCAPE,
    flow=Flow(surveys="layer"),
    result=results.Survey,
    examples=(
        Example("survey L0", "it.num_basins >= 8 and it.basins[0].is_fixed_point"),
        Example("survey L0 inits=50 seeds=3", "it.count_mean > 0 and it.inits == 50"),
        Example(
            "survey L0 until=95%",
            "it.until_reached == true and it.coverage >= 0.95 and it.estimate >= it.num_basins",
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

survey_all = Op(
    "survey-all",
    summary="Survey every layer, in one table.",
    params=(INITS, SEED),
    effects=Effect.READS | Effect.LANDSCAPE,
    flow=Flow(surveys="*"),
    result=results.SurveyAll,
    examples=(
        Example("survey-all inits=50", "it.num_layers == 1 and it.layers[0].inits == 50"),
        Example("survey-all", "it.num_layers == 3", on="random:24x3"),
    ),
)

verify = Op(
    "verify",
    summary="Is there a basin in this direction?",
    details="Settles from the direction. It is a basin when it comes to rest nearby at a fixed point that attracts: "
    "its stability, that of the damped map that is iterated, is below 1. The return rates are those of 32 noisy "
    "starts, the noise measured relative to the state's norm.",
    params=(LAYER, TARGET),
    effects=Effect.READS | Effect.LANDSCAPE,
    result=results.Verdict,
    examples=(
        Example("survey L0\nverify L0.B0", "it.is_basin and it.return_10 > 0.9"),
        Example("verify L0 12345", "not it.is_basin"),
    ),
)

energy = Op(
    "energy",
    summary="The energy at a direction, at the basin it settles in, and the gap between them.",
    details="Hopfield's continuous energy, the one that every other operation shows. It never rises along the"
    " way when the weight is positive semi-definite; on other symmetric weights the first, large "
    "steps may raise it. A weight that is not symmetric has no such energy: the result has that of "
    "its symmetric part, and says so.",
    params=(LAYER, TARGET),
    effects=Effect.READS | Effect.LANDSCAPE,
    result=results.Energy,
    examples=(
        Example("energy L0 7", "it.gap >= 0"),
        Example("survey L0\nenergy L0.B0", "it.basin == 0 and it.symmetric"),
    ),
)

landscape = Op(
    "landscape",
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
    effects=Effect.READS | Effect.FILES | Effect.LANDSCAPE,
    result=results.LandscapeMap,
    examples=(
        Example("survey L0\nlandscape L0", "it.points.count >= 8 and it.explained[0] >= it.explained[1]"),
        Example("landscape L0 dims=3", "it.explained.count == 3"),
    ),
)

diff = Op(
    "diff",
    summary="A layer's staged weight against the original, or against another place in the history.",
    params=(
        LAYER,
        Param(
            "since",
            t.INT,
            "a place out of `history` to compare with; without it the original",
            None,
            minimum=0,
            maximum=10**12,
            keyword_only=True,
        ),
    ),
    effects=Effect.READS,
    result=results.Diff,
    examples=(
        Example("diff L0", "not it.changed and it.norm == 0"),
        Example("survey L0\ninject L0 42\ndiff L0", "it.changed and it.rank >= 1 and it.edits == 1"),
        Example(
            "set max_changed 20%\ninject L0 42\ninject L0 43\ndiff L0 since=2",
            "it.edits == 1 and it.since == 2 and it.changed",
        ),
        Example("inject L0 42\nundo\ndiff L0 since=1", "it.changed and it.edits == 1"),
    ),
)
