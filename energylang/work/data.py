"""Data."""

from __future__ import annotations

from energylang import results
from energylang.concepts import captured as concepts
from energylang.files import examples
from energylang.files.storage import located
from energylang.signature.values import ConceptName
from energylang.workspace.workspace import Workspace


def capture_file(
    ws: Workspace, layer: int, concept: ConceptName, path: str, position: str | None, column: str | None
) -> results.ConceptInfo:
    return capture_lines(ws, layer, concept.name, path, position, column)


def capture_lines(
    ws: Workspace, layer: int, name: str, path: str, position: str | None, column: str | None
) -> results.ConceptInfo:
    return concepts.describe(
        ws,
        concepts.capture(
            ws, layer, name, examples.examples(located(path, ws.base), path, column), None, position
        ),
    )
