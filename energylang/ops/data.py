"""Data: examples out of files."""

from __future__ import annotations

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import Effect, Example, Flow, Op, Param

capture_file = Op(
    "capture-file",
    summary="Add every example in a file to a concept: a line of text, or a field of a record.",
    details="A .json, .jsonl, .csv or .tsv file holds records (or texts, in JSON): column= names the field. "
    "The examples are read in one pass.",
    params=(
        Param("layer", t.LAYER, "the layer, such as L0"),
        Param("concept", t.CONCEPT, "the concept's name"),
        Param("path", t.PATH, "a text file with an example on every line, or a file of records"),
        Param(
            "position",
            t.TEXT,
            "where the state is read: decision, last, mean, or a token",
            None,
            keyword_only=True,
        ),
        Param("column", t.TEXT, "the field of a record that holds the text", None, keyword_only=True),
    ),
    effects=Effect.CHANGES | Effect.TEXT | Effect.FILES,
    flow=Flow(creates="concept", at="layer"),
    result=results.ConceptInfo,
    examples=(
        Example(
            'capture L3 a "Thank you"\ncapture L3 a "You are kind"\nexport-concept a "a.json"\n'
            'capture-file L3 b "a.json" column="texts" position="mean"',
            'it.samples == 2 and it.texts[1] == "You are kind" and it.position == "mean"',
            on="tiny",
        ),
    ),
)
