"""Algebra."""

from __future__ import annotations

from collections.abc import Sequence

from energylang import results
from energylang.errors import ElError
from energylang.signature.values import ConceptName
from energylang.workspace.workspace import Workspace

from . import vectors


def blend(
    ws: Workspace, first: ConceptName, second: ConceptName, new: ConceptName, ratio: float
) -> results.ConceptInfo:
    return vectors.combined(ws, [(ratio, first.name), (1 - ratio, second.name)], new.name)


def similarity(ws: Workspace, first: ConceptName, second: ConceptName) -> results.Similarity:
    return vectors.similarity(ws, first.name, second.name)


def add(ws: Workspace, first: ConceptName, second: ConceptName, new: ConceptName) -> results.ConceptInfo:
    return vectors.combined(ws, [(1.0, first.name), (1.0, second.name)], new.name)


def subtract(ws: Workspace, first: ConceptName, second: ConceptName, new: ConceptName) -> results.ConceptInfo:
    return vectors.combined(ws, [(1.0, first.name), (-1.0, second.name)], new.name)


def analogy(
    ws: Workspace, first: ConceptName, second: ConceptName, third: ConceptName, new: ConceptName
) -> results.ConceptInfo:
    return vectors.combined(ws, [(-1.0, first.name), (1.0, second.name), (1.0, third.name)], new.name)


def compose(
    ws: Workspace, concepts: tuple[ConceptName, ...], new: ConceptName, weights: tuple[float, ...] | None
) -> results.ConceptInfo:
    return compose_concepts(ws, [concept.name for concept in concepts], weights, new.name)


def interpolate(ws: Workspace, first: ConceptName, second: ConceptName, steps: int) -> results.Interpolation:
    return vectors.interpolate(ws, first.name, second.name, steps)


def export_concept(ws: Workspace, concept: ConceptName, path: str) -> results.Stored:
    return vectors.export(ws, concept.name, path)


def import_concept(
    ws: Workspace, path: str, name: ConceptName | None, layer: int | None
) -> results.ConceptInfo:
    return vectors.bring(ws, path, None if name is None else name.name, layer)


def compose_concepts(
    ws: Workspace, names: Sequence[str], weights: tuple[float, ...] | None, new: str
) -> results.ConceptInfo:
    given = weights or (1.0,) * len(names)
    if len(given) != len(names):
        raise ElError(
            f"{len(names)} concepts and {len(given)} weights",
            code="EL202",
            hint="give one weight for each",
        )
    return vectors.combined(ws, list(zip(given, names, strict=True)), new)
