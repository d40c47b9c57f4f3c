"""Edits of many basins at once: consolidation, dreams, watermarks."""

from __future__ import annotations

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import FORCE, Effect, Example, Op, Param

from .observe import LAYER

DEEPEN = Param(
    "strengthen", t.FLOAT, "what the fields of much used basins are multiplied by", 1.1, above=0, maximum=100
)

PRUNE = Param(
    "prune",
    t.FLOAT,
    "basins with less than this part of an even share are removed; 0 removes none",
    0.3,
    minimum=0,
    maximum=1,
)

consolidate = Op(
    "consolidate",
    summary="Deepen the basins into which much flows and prune those into which hardly anything does, as one "
    "gated edit.",
    params=(LAYER, DEEPEN, PRUNE, *FORCE),
    effects=Effect.EDITS | Effect.LANDSCAPE,
    result=results.Edit,
    examples=(
        Example("survey L0\nset max_changed 10%\nconsolidate L0 1.02 0", "it.applied and it.lost.count == 0"),
    ),
)

dream = Op(
    "dream",
    summary="Consolidate several times from fresh random starts; the sum is one gated edit.",
    params=(
        Param("layer", t.LAYER, "the layer", 0),
        Param("cycles", t.INT, "how often", 1, minimum=1, maximum=100),
        DEEPEN,
        PRUNE,
        *FORCE,
    ),
    effects=Effect.EDITS | Effect.LANDSCAPE,
    result=results.Edit,
    examples=(
        Example(
            "set max_changed 10%\ndream L0 cycles=2 strengthen=1.02 prune=0", "it.applied and it.rank >= 2"
        ),
    ),
)
