"""Concept algebra: concepts made of concepts, and concepts in files."""

from __future__ import annotations

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import Effect, Example, Flow, Op, Param

FIRST = Param("first", t.CONCEPT, "a concept")

SECOND = Param("second", t.CONCEPT, "another concept of the same layer")

NEW = Param("new", t.CONCEPT, "the name of the new concept")

_TWO = 'capture L3 polite "Thank you so much"\ncapture L3 rude "Go away, you fool"\n'

blend = Op(
    "blend",
    summary="A concept between two others.",
    params=(
        FIRST,
        SECOND,
        NEW,
        Param(
            "ratio",
            t.FLOAT,
            "the share of the first: 1 is the first, 0 the second",
            0.5,
            minimum=0,
            maximum=1,
        ),
    ),
    effects=Effect.CHANGES,
    flow=Flow(creates="new"),
    result=results.ConceptInfo,
    examples=(
        Example(_TWO + "blend polite rude mixed", 'it.name == "mixed" and it.layer == 3', on="tiny"),
        Example(
            _TWO + "blend polite rude mixed 0.9",
            "(similarity polite mixed).cosine > (similarity rude mixed).cosine",
            on="tiny",
        ),
    ),
)

similarity = Op(
    "similarity",
    summary="The cosine of two concepts, as they are and without what all states share.",
    params=(
        FIRST,
        SECOND,
        Param("layer", t.LAYER, "the layer at which they are compared", None, keyword_only=True),
    ),
    effects=Effect.READS,
    result=results.Similarity,
    examples=(
        Example(_TWO + "similarity polite rude", "it.cosine < 1 and it.centred < it.cosine", on="tiny"),
        Example(
            "for l in [L2, L3]:\n    capture l polite Thank you so much\n    capture l rude Go away, you fool\n"
            "similarity polite rude layer=L3",
            "it.layer == 3",
            on="tiny",
        ),
    ),
)

add = Op(
    "add",
    summary="The sum of two concepts' directions.",
    params=(FIRST, SECOND, NEW),
    effects=Effect.CHANGES,
    flow=Flow(creates="new"),
    result=results.ConceptInfo,
    examples=(Example(_TWO + "add polite rude both", "(similarity both polite).cosine > 0.5", on="tiny"),),
)

subtract = Op(
    "subtract",
    summary="What the first concept has and the second has not.",
    params=(FIRST, SECOND, NEW),
    effects=Effect.CHANGES,
    flow=Flow(creates="new"),
    result=results.ConceptInfo,
    examples=(
        Example(
            _TWO + "subtract polite rude rest",
            "(similarity rest polite).cosine > 0 and (similarity rest rude).cosine < 0",
            on="tiny",
        ),
    ),
)

analogy = Op(
    "analogy",
    summary="The first is to the second as the third is to the new one: third + second − first.",
    params=(FIRST, SECOND, Param("third", t.CONCEPT, "a third concept"), NEW),
    effects=Effect.CHANGES,
    flow=Flow(creates="new"),
    result=results.ConceptInfo,
    examples=(
        Example(
            _TWO + 'capture L3 sea "The sea is calm"\nanalogy polite rude sea calm',
            'it.name == "calm" and (similarity calm sea).cosine > 0',
            on="tiny",
        ),
    ),
)

compose = Op(
    "compose",
    summary="A weighted sum of any number of concepts.",
    params=(
        Param("concepts", t.CONCEPTS, "a list of concepts: [@polite, @formal]"),
        NEW,
        Param("weights", t.NUMBERS, "one for each; equal without them", None, keyword_only=True),
    ),
    effects=Effect.CHANGES,
    flow=Flow(creates="new"),
    result=results.ConceptInfo,
    examples=(
        Example(
            _TWO + "compose [@polite, @rude] mix weights=[0.9, 0.1]",
            "(similarity mix polite).cosine > (similarity mix rude).cosine",
            on="tiny",
        ),
    ),
)

interpolate = Op(
    "interpolate",
    summary="The way from one concept to another, and the basins on it.",
    params=(
        FIRST,
        SECOND,
        Param("steps", t.INT, "places on the way, both ends included", 5, minimum=2, maximum=1000),
    ),
    effects=Effect.READS | Effect.LANDSCAPE | Effect.NATIVE,
    result=results.Interpolation,
    examples=(
        Example(
            _TWO + "interpolate polite rude 7",
            "it.points.count == 7 and it.points[0].to_first > it.points[6].to_first",
            on="tiny",
        ),
    ),
)

export_concept = Op(
    "export-concept",
    summary="Write a concept into a file.",
    details="A .gguf file is a control vector as repeng and llama.cpp read it: the concept's direction at every "
    "layer from L1 on (at its own alone, where it has no texts to read).",
    params=(
        Param("concept", t.CONCEPT, "the concept's name"),
        Param(
            "path",
            t.PATH,
            "ends in .safetensors, .json, .pt (the published tool's layout), or .gguf (a control vector)",
        ),
    ),
    effects=Effect.FILES,
    result=results.Stored,
    examples=(
        Example(
            'capture L3 polite "Thank you"\nexport-concept polite "polite.safetensors"',
            "it.samples == 1 and it.bytes > 0",
            on="tiny",
        ),
    ),
)

import_concept = Op(
    "import-concept",
    summary="Read a concept from a file.",
    details="Of a control vector (.gguf) the direction at layer= becomes the concept. The states must have the layer's "
    "dimension. Of a .pt file tensors, numbers and texts are read; one that "
    "asks for code is refused, and nothing in it runs.",
    params=(
        Param(
            "path",
            t.PATH,
            "a .safetensors, .json or .pt file that export-concept wrote, here or in the published tool, or a control "
            "vector (.gguf)",
        ),
        Param("name", t.CONCEPT, "another name for it", None, keyword_only=True),
        Param("layer", t.LAYER, "another layer for it", None, keyword_only=True),
    ),
    effects=Effect.CHANGES | Effect.FILES,
    flow=Flow(creates="name"),
    result=results.ConceptInfo,
    examples=(
        Example(
            'capture L3 polite "Thank you"\nexport-concept polite "p.json"\nimport-concept "p.json" name=again',
            'it.name == "again" and (similarity again polite).cosine > 0.999',
            on="tiny",
        ),
    ),
)
