"""Causal: which basins depend on which? Every answer beside random edits of equal norm."""

from __future__ import annotations

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import FORCE, Effect, Example, Op, Param

from .observe import BASIN, LAYER
from .pair import OTHER

THRESHOLD = Param("threshold", t.FLOAT, "drift from which there is an edge", 0.15, minimum=0, maximum=2)


def placebo_count(default: int) -> Param:
    return Param(
        "placebos", t.INT, "random edits of equal norm", default, minimum=1, maximum=1000, keyword_only=True
    )


causal_scan = Op(
    "causal scan",
    summary="Knock out every basin and see which others move.",
    details="An edge means that the basin's loss moves the other by more than the threshold, and by more than random "
    "edits of the same norm do: of the edges at most 5 % are expected to be chance (p-values from placebos matched to "
    "every pair, corrected by Benjamini and Hochberg). A basin's mirror goes with it and is no edge. The graph can be "
    "written as GraphML, DOT or JSON.",
    params=(
        LAYER,
        THRESHOLD,
        placebo_count(20),
        Param(
            "save",
            t.PATH,
            "write the graph: a path ending in .graphml, .dot or .json",
            None,
            keyword_only=True,
        ),
    ),
    effects=Effect.READS | Effect.FILES | Effect.LANDSCAPE,
    result=results.CausalGraph,
    examples=(
        Example("survey L0\ncausal scan L0", "it.num_edges >= 0 and it.placebos == 20"),
        Example(
            'causal scan L0 threshold=0.5 save="graph.dot"', 'it.threshold == 0.5 and it.path == "graph.dot"'
        ),
    ),
)

causal_compare = Op(
    "causal compare",
    summary="Is the causal graph over basins the same in another model?",
    details="Basins are matched as compare does it (by=direction), or by the held-out tokens that settle in "
    "them (by=tokens, text models with one tokenizer). Both layers are scanned on the basins that "
    "match. The overlap of the edges and the rank correlation of all drifts are next to those under "
    "shuffled labels, with p-values.",
    params=(
        OTHER,
        LAYER,
        Param(
            "by",
            t.CHOICE,
            "how basins are matched",
            "direction",
            choices=("direction", "tokens"),
            keyword_only=True,
        ),
        THRESHOLD,
        placebo_count(20),
        Param("shuffles", t.INT, "shuffled labels", 999, minimum=20, maximum=100_000, keyword_only=True),
    ),
    effects=Effect.READS | Effect.FILES | Effect.LANDSCAPE | Effect.NATIVE,
    result=results.CausalComparison,
    examples=(
        Example("causal compare planted:64x4 L0", "it.both == it.edges_here and it.overlap == 1"),
        Example("causal compare random:64 L0", 'it.pairs == 0 and it.other == "random:64"'),
        Example(
            "causal compare tiny L3 by=tokens", 'it.matched_by == "tokens" and it.drift_p < 0.05', on="tiny"
        ),
    ),
)

causal_intervene = Op(
    "causal intervene",
    summary="do(B): change one basin's own field, and see what that does to the others.",
    details="Unlike remove, weaken and strengthen it does not keep the fields of the others: what depends on "
    "the basin moves with it. The edit is gated and staged, or refused, like any other; the result "
    "says what it would do to the others in both cases.",
    params=(
        LAYER,
        BASIN,
        Param("op", t.CHOICE, "what is done to it", "remove", choices=("remove", "weaken", "strengthen")),
        placebo_count(20),
        *FORCE,
    ),
    effects=Effect.EDITS | Effect.LANDSCAPE,
    result=results.CausalEffect,
    examples=(
        Example(
            'survey L0\ncausal intervene L0.B0 op=weaken --force --reason "to see"',
            "it.applied and it.placebos == 20 and it.others.count > 0",
        ),
        Example(
            "survey L0\nset max_changed 0\ncausal intervene L0.B0", "not it.applied or it.mean_drift == 0"
        ),
    ),
)

causal_counterfactual = Op(
    "causal counterfactual",
    summary="What if a basin held the opposite, held less, or lay elsewhere? Nothing is kept.",
    params=(
        LAYER,
        BASIN,
        Param("mod", t.CHOICE, "how it would be", "invert", choices=("invert", "weaken", "shift")),
        placebo_count(20),
    ),
    effects=Effect.READS | Effect.LANDSCAPE,
    result=results.CounterfactualEffect,
    examples=(
        Example("survey L0\ncausal counterfactual L0.B0", "it.own_drift > 0.5 and (status).is_original"),
        Example("survey L0\ncausal counterfactual L0.B0 mod=shift", "it.norm > 0"),
    ),
)

causal_across = Op(
    "causal across",
    summary="Hold a basin at zero in real passes: which basins of a later layer change?",
    details="In every token of held-out text that is in the basin, the component along its centre is taken out; the "
    "placebos take as much out along random directions (in a layer that was given a landscape: so much that what it "
    "says changes as much).",
    params=(
        LAYER,
        BASIN,
        Param("to", t.LAYER, "the later layer to look at", keyword_only=True),
        placebo_count(20),
    ),
    effects=Effect.READS | Effect.TEXT | Effect.LANDSCAPE,
    result=results.CrossEffect,
    examples=(
        Example(
            "let used = usage L2\nlet b = used.basins[0].basin\ncausal across L2 b to=L3",
            "it.held > 0 and it.placebos == 20 and it.moved >= 0",
            on="tiny",
        ),
    ),
)
