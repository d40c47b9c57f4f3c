"""Concept algebra: concepts made of concepts, and concepts in files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import Effect, Example, Flow, Param, operation

if TYPE_CHECKING:
    from energylang.session import Session
    from energylang.signature.values import Concept

FIRST = Param("first", t.CONCEPT, "a concept")
SECOND = Param("second", t.CONCEPT, "another concept of the same layer")
NEW = Param("new", t.CONCEPT, "the name of the new concept")
_TWO = 'capture L3 polite "Thank you so much"\ncapture L3 rude "Go away, you fool"\n'


@operation(
    "blend",
    category="Concept algebra",
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
def blend(
    session: Session, first: Concept, second: Concept, new: Concept, ratio: float
) -> results.ConceptInfo:
    return session.combine([(ratio, first.name), (1 - ratio, second.name)], new.name)


@operation(
    "similarity",
    category="Concept algebra",
    summary="The cosine of two concepts, as they are and without what all states share.",
    params=(FIRST, SECOND),
    effects=Effect.READS,
    result=results.Similarity,
    examples=(
        Example(_TWO + "similarity polite rude", "it.cosine < 1 and it.centred < it.cosine", on="tiny"),
    ),
)
def similarity(session: Session, first: Concept, second: Concept) -> results.Similarity:
    return session.compare_concepts(first.name, second.name)


@operation(
    "add",
    category="Concept algebra",
    summary="The sum of two concepts' directions.",
    params=(FIRST, SECOND, NEW),
    effects=Effect.CHANGES,
    flow=Flow(creates="new"),
    result=results.ConceptInfo,
    examples=(Example(_TWO + "add polite rude both", "(similarity both polite).cosine > 0.5", on="tiny"),),
)
def add(session: Session, first: Concept, second: Concept, new: Concept) -> results.ConceptInfo:
    return session.combine([(1.0, first.name), (1.0, second.name)], new.name)


@operation(
    "subtract",
    category="Concept algebra",
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
def subtract(session: Session, first: Concept, second: Concept, new: Concept) -> results.ConceptInfo:
    return session.combine([(1.0, first.name), (-1.0, second.name)], new.name)


@operation(
    "analogy",
    category="Concept algebra",
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
def analogy(
    session: Session, first: Concept, second: Concept, third: Concept, new: Concept
) -> results.ConceptInfo:
    return session.combine([(-1.0, first.name), (1.0, second.name), (1.0, third.name)], new.name)


@operation(
    "compose",
    category="Concept algebra",
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
def compose(
    session: Session, concepts: tuple[Concept, ...], new: Concept, weights: tuple[float, ...] | None
) -> results.ConceptInfo:
    return session.compose_concepts([concept.name for concept in concepts], weights, new.name)


@operation(
    "interpolate",
    category="Concept algebra",
    summary="The way from one concept to another, and the basins on it.",
    params=(
        FIRST,
        SECOND,
        Param("steps", t.INT, "places on the way, both ends included", 5, minimum=2, maximum=1000),
    ),
    effects=Effect.READS,
    result=results.Interpolation,
    examples=(
        Example(
            _TWO + "interpolate polite rude 7",
            "it.points.count == 7 and it.points[0].to_first > it.points[6].to_first",
            on="tiny",
        ),
    ),
)
def interpolate(session: Session, first: Concept, second: Concept, steps: int) -> results.Interpolation:
    return session.interpolate_concepts(first.name, second.name, steps)


@operation(
    "export-concept",
    category="Concept",
    summary="Write a concept into a file.",
    params=(
        Param("concept", t.CONCEPT, "the concept's name"),
        Param("path", t.PATH, "ends in .safetensors, .json, or .pt (the published tool's layout)"),
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
def export_concept(session: Session, concept: Concept, path: str) -> results.Stored:
    return session.store_concept(concept.name, path)


@operation(
    "import-concept",
    category="Concept",
    summary="Read a concept from a file.",
    details="The states must have the layer's dimension. Of a .pt file tensors, numbers and texts are read; one that "
    "asks for code is refused, and nothing in it runs.",
    params=(
        Param(
            "path",
            t.PATH,
            "a .safetensors, .json or .pt file that export-concept wrote, here or in the published tool",
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
def import_concept(
    session: Session, path: str, name: Concept | None, layer: int | None
) -> results.ConceptInfo:
    return session.fetch_concept(path, None if name is None else name.name, layer)


@operation(
    "capture-file",
    category="Concept",
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
def capture_file(
    session: Session, layer: int, concept: Concept, path: str, position: str | None, column: str | None
) -> results.ConceptInfo:
    return session.capture_lines(layer, concept.name, path, position, column)
