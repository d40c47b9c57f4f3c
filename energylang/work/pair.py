"""Pair."""

from __future__ import annotations

from energylang import results
from energylang.signature.values import ConceptName
from energylang.workspace.workspace import Workspace

from . import two_models
from .edit import as_number


def compare(ws: Workspace, model: str, layer: int) -> results.Comparison:
    return two_models.compare(ws, model, layer)


def transplant(
    ws: Workspace,
    model: str,
    layer: int,
    concept: ConceptName,
    strength: float | str,
    force: bool,
    reason: str,
) -> results.Edit:
    return two_models.transplant(
        ws, model, layer, concept.name, as_number(strength), force=force, reason=reason
    )
