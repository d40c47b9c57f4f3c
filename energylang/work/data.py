"""Data: examples out of files."""

from __future__ import annotations

from energylang import results
from energylang.concepts.captured import capture, describe
from energylang.files.examples import examples
from energylang.files.storage import located
from energylang.workspace.workspace import Workspace


def capture_file(
    ws: Workspace,
    layer: int | None,
    concept: str,
    path: str,
    position: str | None,
    column: str | None,
    contrast: str | None,
    direction: str | None,
) -> results.ConceptInfo:
    """Capture every example of a file, in one pass."""
    place = located(path, ws.base)
    texts = examples(place, path, column)
    against = examples(place, path, contrast) if contrast is not None else None
    return describe(ws, capture(ws, layer, concept, texts, against, position, direction))
