"""Concept."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from energylang import results
from energylang.concepts import methods as installing
from energylang.concepts.captured import capture as concepts_capture
from energylang.concepts.captured import describe
from energylang.concepts.effects import measure
from energylang.errors import ElError
from energylang.signature.values import ConceptName
from energylang.work import redirecting, steering
from energylang.workspace.named import concept_at
from energylang.workspace.workspace import Workspace

from .edit import as_number


def as_layer(layer: int | str) -> int | None:
    """``None`` for auto."""
    return None if isinstance(layer, str) else layer


def capture(
    ws: Workspace,
    layer: int | str,
    concept: ConceptName,
    text: str,
    contrast: str | None,
    position: str | None,
) -> results.ConceptInfo:
    return capture_text(ws, as_layer(layer), concept.name, text, contrast, position)


def concepts(ws: Workspace) -> results.Concepts:
    return results.Concepts(tuple(describe(ws, concept) for concept in ws.state.concepts.values()))


def inject_concept(
    ws: Workspace,
    layer: int | str,
    concept: ConceptName,
    strength: float | str,
    method: str,
    damage: float,
    dose: float | None,
    force: bool,
    reason: str,
) -> results.Edit:
    return install_concept(
        ws,
        as_layer(layer),
        concept.name,
        as_number(strength) if dose is None else None,
        method=method,
        damage=damage,
        dose=dose,
        force=force,
        reason=reason,
    )


def remove_concept(
    ws: Workspace,
    layer: int | str,
    concept: ConceptName,
    strength: float | str,
    method: str,
    damage: float,
    dose: float | None,
    force: bool,
    reason: str,
) -> results.Edit:
    return remove_concept_from(
        ws,
        as_layer(layer),
        concept.name,
        as_number(strength) if dose is None else None,
        method=method,
        damage=damage,
        dose=dose,
        force=force,
        reason=reason,
    )


def steer(
    ws: Workspace, layer: int | str, concept: ConceptName, strengths: tuple[float, ...] | str, damage: float
) -> results.Steering:
    given = None if isinstance(strengths, str) else strengths
    return dose_response(ws, as_layer(layer), concept.name, given, damage)


def effect(ws: Workspace, layer: int | str, concept: ConceptName) -> results.Effect:
    return staged_effect(ws, as_layer(layer), concept.name)


def capture_text(
    ws: Workspace, layer: int | None, name: str, text: str, contrast: str | None, position: str | None
) -> results.ConceptInfo:
    return describe(ws, concepts_capture(ws, layer, name, [text], contrast, position))


def install_concept(
    ws: Workspace,
    layer: int | None,
    name: str,
    strength: float | None,
    *,
    method: str,
    damage: float,
    force: bool,
    reason: str,
    dose: float | None = None,
) -> results.Edit:
    concept = concept_at(ws, layer, name)
    return installing.install(
        ws,
        concept,
        method=method,
        strength=strength,
        damage=damage,
        force=force,
        reason=reason,
        dose=dose,
    )


def remove_concept_from(
    ws: Workspace,
    layer: int | None,
    name: str,
    strength: float | None,
    *,
    method: str,
    damage: float,
    force: bool,
    reason: str,
    dose: float | None = None,
) -> results.Edit:
    concept = concept_at(ws, layer, name)
    return redirecting.remove_concept(
        ws,
        concept,
        method=method,
        strength=strength,
        damage=damage,
        force=force,
        reason=reason,
        dose=dose,
    )


def dose_response(
    ws: Workspace, layer: int | None, name: str, strengths: Sequence[float] | None, damage: float
) -> results.Steering:
    return steering.steer(ws, concept_at(ws, layer, name), strengths, damage)


def staged_effect(ws: Workspace, layer: int | None, name: str) -> results.Effect:
    """What everything staged in a concept's layer does to it, against placebos of equal norm."""
    concept = concept_at(ws, layer, name)
    version = ws.staged(concept.layer)
    if version.depth == 0:
        raise ElError(
            f"nothing is staged in L{concept.layer}: there is no effect to measure",
            code="EL513",
            hint="edit the layer first, with `inject-concept` for example",
        )
    factors = [step.factors for step in version.chain if step.factors is not None]
    whole = functools.reduce(lambda left, right: left.joined(right), factors)
    return measure(ws, concept, whole, ws.weight(version.root))
