"""Edits of many basins at once: consolidation, dreams, watermarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import FORCE, Effect, Example, Param, operation

from .observe import LAYER

if TYPE_CHECKING:
    from energylang.session import Session

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
KEY = Param("key", t.LABEL, "the secret: a word, or a text in quotes", secret=True)
AT = Param("layer", t.LAYER, "the layer", 0, keyword_only=True)
MARKS = Param("marks", t.INT, "how many patterns", 3, minimum=1, maximum=100)


@operation(
    "consolidate",
    category="Consolidation",
    summary="Deepen the basins that much flows into and prune those that hardly anything does, as one gated edit.",
    params=(LAYER, DEEPEN, PRUNE, *FORCE),
    effects=Effect.EDITS,
    result=results.Edit,
    examples=(
        Example("survey L0\nset max_changed 10%\nconsolidate L0 1.02 0", "it.applied and it.lost.count == 0"),
    ),
)
def consolidate(
    session: Session, layer: int, strengthen: float, prune: float, force: bool, reason: str
) -> results.Edit:
    return session.consolidate_basins(layer, strengthen, prune, 1, "consolidate", force=force, reason=reason)


@operation(
    "dream",
    category="Consolidation",
    summary="Consolidate several times from fresh random starts; the sum is one gated edit.",
    params=(
        Param("layer", t.LAYER, "the layer", 0),
        Param("cycles", t.INT, "how often", 1, minimum=1, maximum=100),
        DEEPEN,
        PRUNE,
        *FORCE,
    ),
    effects=Effect.EDITS,
    result=results.Edit,
    examples=(
        Example(
            "set max_changed 10%\ndream L0 cycles=2 strengthen=1.02 prune=0", "it.applied and it.rank >= 2"
        ),
    ),
)
def dream(
    session: Session, layer: int, cycles: int, strengthen: float, prune: float, force: bool, reason: str
) -> results.Edit:
    return session.consolidate_basins(layer, strengthen, prune, cycles, "dream", force=force, reason=reason)


@operation(
    "watermark inject",
    category="Watermark",
    summary="Install attractors that a secret key names.",
    details="The key is neither stored nor shown.",
    params=(KEY, MARKS, AT, *FORCE),
    effects=Effect.EDITS,
    result=results.Edit,
    examples=(
        Example(
            'set max_changed 10%\nwatermark inject "my key"',
            'it.applied and (watermark verify "my key").score == 1',
        ),
    ),
)
def watermark_inject(
    session: Session, key: str, marks: int, layer: int, force: bool, reason: str
) -> results.Edit:
    return session.write_watermark(layer, key, marks, force=force, reason=reason)


@operation(
    "watermark verify",
    category="Watermark",
    summary="Are the marks of a key there, and how often would a wrong key's seem to be?",
    params=(KEY, MARKS, AT),
    effects=Effect.READS,
    result=results.Watermark,
    examples=(
        Example('watermark verify "my key"', "not it.present and it.wrong_keys == 100"),
        Example(
            'set max_changed 10%\nwatermark inject "my key" marks=2\nwatermark verify "my key" marks=2',
            "it.present",
        ),
    ),
)
def watermark_verify(session: Session, key: str, marks: int, layer: int) -> results.Watermark:
    return session.read_watermark(layer, key, marks)


@operation(
    "watermark strip-test",
    category="Watermark",
    summary="What attacks without the key leave of the marks, and what they cost.",
    params=(KEY, MARKS, AT),
    effects=Effect.READS,
    result=results.Stripped,
    examples=(
        Example(
            'set max_changed 10%\nwatermark inject "my key"\nwatermark strip-test "my key"',
            "it.score_before == 1 and it.attacks.count > 5",
        ),
    ),
)
def watermark_strip_test(session: Session, key: str, marks: int, layer: int) -> results.Stripped:
    return session.attack_watermark(layer, key, marks)
