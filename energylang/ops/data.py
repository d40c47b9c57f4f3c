"""Data: examples out of files."""

from __future__ import annotations

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import Effect, Example, Flow, Op, Param

from .concept import ANY_LAYER, DIRECTION

capture_file = Op(
    "capture-file",
    summary="Add every example in a file to a concept: a line of text, or a field of a record.",
    details="A .json, .jsonl, .csv or .tsv file holds records (or texts, in JSON): column= names the field. "
    "The examples are read in one pass.",
    params=(
        ANY_LAYER,
        Param("concept", t.CONCEPT, "the concept's name"),
        Param("path", t.PATH, "a text file with an example on every line, or a file of records"),
        Param(
            "position",
            t.TEXT,
            "where the state is read: decision, last, mean, a token, or tokens such as 3..7",
            None,
            keyword_only=True,
        ),
        Param("column", t.TEXT, "the field of a record that holds the text", None, keyword_only=True),
        Param("contrast", t.TEXT, "the field that holds what is not the concept", None, keyword_only=True),
        DIRECTION,
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
