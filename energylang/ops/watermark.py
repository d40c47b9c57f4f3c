"""Watermark: patterns that a key brings back."""

from __future__ import annotations

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import FORCE, Effect, Example, Op, Param

KEY = Param("key", t.LABEL, "the secret: a word, or a text in quotes", secret=True)

AT = Param("layer", t.LAYER, "the layer", 0, keyword_only=True)

MARKS = Param("marks", t.INT, "how many patterns", 3, minimum=1, maximum=100)

watermark_inject = Op(
    "watermark inject",
    summary="Install attractors that a secret key names.",
    details="The key is neither stored nor shown.",
    params=(KEY, MARKS, AT, *FORCE),
    effects=Effect.EDITS | Effect.LANDSCAPE,
    result=results.Edit,
    examples=(
        Example(
            'set max_changed 10%\nwatermark inject "my key"',
            'it.applied and (watermark verify "my key").score == 1',
        ),
    ),
)

watermark_verify = Op(
    "watermark verify",
    summary="Are the marks of a key there, and how often would a wrong key's seem to be?",
    params=(KEY, MARKS, AT),
    effects=Effect.READS | Effect.LANDSCAPE,
    result=results.Watermark,
    examples=(
        Example('watermark verify "my key"', "not it.present and it.wrong_keys == 100"),
        Example(
            'set max_changed 10%\nwatermark inject "my key" marks=2\nwatermark verify "my key" marks=2',
            "it.present",
        ),
    ),
)

watermark_strip_test = Op(
    "watermark strip-test",
    summary="What attacks without the key leave of the marks, and what they cost.",
    params=(KEY, MARKS, AT),
    effects=Effect.READS | Effect.LANDSCAPE,
    result=results.Stripped,
    examples=(
        Example(
            'set max_changed 10%\nwatermark inject "my key"\nwatermark strip-test "my key"',
            "it.score_before == 1 and it.attacks.count > 5",
        ),
    ),
)
