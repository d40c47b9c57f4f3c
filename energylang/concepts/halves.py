"""A concept's texts, one half to write it by and the other to measure it by."""

from __future__ import annotations

from dataclasses import replace

from energylang.workspace.history import Concept

LEAST = 8


def halves(concept: Concept) -> tuple[Concept, Concept]:
    """The concept with every other text (and contrast), and with the others; twice the whole of it where it has fewer
    than eight texts."""
    if len(concept.texts) < LEAST:
        return concept, concept
    return _every_other(concept, 0), _every_other(concept, 1)


def _every_other(concept: Concept, first: int) -> Concept:
    part = slice(first, None, 2)
    found = replace(concept, texts=concept.texts[part], states=concept.states[part])
    if concept.contrast is None or len(concept.contrasts) < LEAST:
        return found
    return replace(found, contrasts=concept.contrasts[part], contrast=concept.contrast[part])
