"""Concept: capture what a text does to a layer's state, and write it into the landscape."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from energylang import results
from energylang import types as t

from .declaration import FORCE, Effect, Example, Param, operation
from .modify import STRENGTH, as_number
from .observe import LAYER

if TYPE_CHECKING:
    from energylang.runtime.session import Session
    from energylang.values import Concept

CONCEPT = Param("concept", t.CONCEPT, "the concept's name")
DOSE = replace(
    STRENGTH,
    help="redirect: the dose, 1 sends neutral states all the way; attractor: ‖ΔW‖ relative to ‖W‖; auto: the "
    "largest dose within the damage, the smallest attractor that holds",
)


@operation(
    "capture",
    category="Concept",
    summary="Add an example text to a concept.",
    details="The state that is kept is the one from which the model is about to speak, having just heard the text.",
    params=(
        LAYER,
        CONCEPT,
        Param("text", t.TEXT, "a text that is an example of the concept"),
        Param("contrast", t.TEXT, "a text that is not the concept", None, keyword_only=True),
    ),
    effects=Effect.CHANGES | Effect.TEXT,
    result=results.ConceptInfo,
    examples=(
        Example('capture L1 polite "Thank you so much"', "it.samples == 1", on="tiny"),
        Example(
            "capture L1 polite Thank you\ncapture L1 polite I appreciate it", "it.samples == 2", on="tiny"
        ),
    ),
)
def capture(
    session: Session, layer: int, concept: Concept, text: str, contrast: str | None
) -> results.ConceptInfo:
    return session.capture_text(layer, concept.name, text, contrast)


@operation(
    "concepts",
    category="Concept",
    summary="The captured concepts.",
    result=results.Concepts,
    examples=(
        Example('capture L1 polite "Thank you"\nconcepts', 'it.concepts[0].name == "polite"', on="tiny"),
    ),
)
def concepts(session: Session) -> results.Concepts:
    return results.Concepts(tuple(session.describe_concept(name) for name in session.state.concepts))


@operation(
    "inject-concept",
    category="Concept",
    summary="Write a concept into its layer and say what that does to text.",
    details="redirect: neutral prompts flow into the concept's basin, by one edit of rank one; attractor: the "
    "concept's state becomes a basin of its own; auto: redirect. The result carries the share of replies that "
    "are the concept, the log-probability of its texts and the loss on held-out text, each before and after, "
    "and ten placebo edits of equal norm.",
    params=(
        LAYER,
        CONCEPT,
        DOSE,
        Param("method", t.CHOICE, "how", "auto", choices=("auto", "redirect", "attractor")),
        Param(
            "damage", t.FLOAT, "by how much the loss may rise", 0.02, minimum=0, maximum=1, keyword_only=True
        ),
        *FORCE,
    ),
    effects=Effect.EDITS | Effect.TEXT,
    result=results.Edit,
    examples=(
        Example(
            'capture L3 polite "Thank you so much, I am happy to help."\ninject-concept L3 polite',
            'it.method == "redirect" and it.effect.placebos == 10',
            on="tiny",
        ),
    ),
)
def inject_concept(
    session: Session,
    layer: int,
    concept: Concept,
    strength: float | str,
    method: str,
    damage: float,
    force: bool,
    reason: str,
) -> results.Edit:
    return session.install_concept(
        layer, concept.name, as_number(strength), method=method, damage=damage, force=force, reason=reason
    )
