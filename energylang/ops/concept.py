"""Concept: capture what a text does to a layer's state, write it into the landscape, take it out, and measure
what that does to what is said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from energylang import results
from energylang.signature import types as t
from energylang.signature.declaration import FORCE, Clash, Effect, Example, Flow, Param, operation

from .modify import STRENGTH, as_number
from .observe import LAYER

if TYPE_CHECKING:
    from energylang.session import Session
    from energylang.signature.values import BasinRef, Concept, Seed

ANY_LAYER = replace(LAYER, help="the layer, such as L0, or auto", choices=("auto",))
CONCEPT = Param("concept", t.CONCEPT, "the concept's name")
HOW_MUCH = replace(
    STRENGTH,
    help="‖ΔW‖ relative to ‖W‖; auto: the smallest edit that holds (attractor, basin), the largest within the damage "
    "(redirect, aimed)",
)
DOSE = Param(
    "dose",
    t.FLOAT,
    "how much of the change of a redirect or an aimed edit is made: 1 is the whole of it; instead of a strength",
    None,
    above=0,
    maximum=1e6,
    keyword_only=True,
)
ONE_SIZE = Clash(
    "dose", "strength", "the dose and the strength both say how much is changed", "leave one of them out"
)
DAMAGE = Param(
    "damage", t.FLOAT, "by how much the loss may rise", 0.02, minimum=0, maximum=1, keyword_only=True
)


def as_layer(layer: int | str) -> int | None:
    """``None`` for auto."""
    return None if isinstance(layer, str) else layer


@operation(
    "capture",
    category="Concept",
    summary="Add an example text to a concept.",
    details="The state that is kept is, by default, the one from which the model is about to speak, having just "
    "heard the text. With layer auto every layer is asked how well it separates the concept and how much of it it "
    "carries to the next word, and the one that carries most is taken.",
    params=(
        ANY_LAYER,
        CONCEPT,
        Param("text", t.TEXT, "a text that is an example of the concept"),
        Param("contrast", t.TEXT, "a text that is not the concept", None, keyword_only=True),
        Param(
            "position",
            t.TEXT,
            "where the state is read: decision (the default), last, mean, or a token of the text",
            None,
            keyword_only=True,
        ),
    ),
    effects=Effect.CHANGES | Effect.TEXT,
    flow=Flow(creates="concept", at="layer"),
    result=results.ConceptInfo,
    examples=(
        Example('capture L1 polite "Thank you so much"', "it.samples == 1", on="tiny"),
        Example(
            "capture L1 polite Thank you\ncapture L1 polite I appreciate it", "it.samples == 2", on="tiny"
        ),
        Example('capture auto polite "Thank you so much"', "it.layer == 3 and it.fits[3].chosen", on="tiny"),
        Example('capture L3 moon "the moon" position="moon"', 'it.position == "moon"', on="tiny"),
    ),
)
def capture(
    session: Session,
    layer: int | str,
    concept: Concept,
    text: str,
    contrast: str | None,
    position: str | None,
) -> results.ConceptInfo:
    return session.capture_text(as_layer(layer), concept.name, text, contrast, position)


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
    details="redirect: neutral prompts flow into the concept's basin, by one edit of rank one; aimed: an edit "
    "optimised for what is said; attractor: the concept's state becomes a basin of its own; auto: with a strength an "
    "attractor, otherwise the one of the three after which most replies are the concept, within the damage. The "
    "result carries the share of replies that are the concept, the log-probability of its texts and the loss on "
    "held-out text, each before and after, and placebo edits of equal norm: ten with random values, and the same "
    "method aimed at other concepts and at shuffled labels.",
    params=(
        ANY_LAYER,
        CONCEPT,
        HOW_MUCH,
        Param("method", t.CHOICE, "how", "auto", choices=("auto", "redirect", "aimed", "attractor")),
        DAMAGE,
        DOSE,
        *FORCE,
    ),
    effects=Effect.EDITS | Effect.TEXT,
    result=results.Edit,
    examples=(
        Example(
            'capture L3 polite "Thank you so much, I am happy to help."\ninject-concept L3 polite method=redirect',
            'it.method == "redirect" and it.effect.placebos == 10',
            on="tiny",
        ),
    ),
    clashes=(
        ONE_SIZE,
        Clash(
            "dose",
            "method",
            "a dose belongs to a method: a redirect or an aimed edit",
            "add method=redirect or method=aimed",
            ("auto", "attractor"),
        ),
    ),
)
def inject_concept(
    session: Session,
    layer: int | str,
    concept: Concept,
    strength: float | str,
    method: str,
    damage: float,
    dose: float | None,
    force: bool,
    reason: str,
) -> results.Edit:
    return session.install_concept(
        as_layer(layer),
        concept.name,
        as_number(strength) if dose is None else None,
        method=method,
        damage=damage,
        dose=dose,
        force=force,
        reason=reason,
    )


@operation(
    "remove-concept",
    category="Concept",
    summary="Make a concept less likely to be said, or remove the basin in which it settles.",
    details="aimed: an edit optimised so that what is said stays as it is, without the concept; basin: the basin "
    "in which the concept settles is removed, judged by the gate. They are two different findings: a basin can go "
    "and the behaviour stay. auto: with a strength the basin, otherwise aimed. The result carries the effect on text "
    "and its placebos (aimed).",
    params=(
        ANY_LAYER,
        CONCEPT,
        HOW_MUCH,
        Param("method", t.CHOICE, "what is removed", "auto", choices=("auto", "aimed", "basin")),
        DAMAGE,
        DOSE,
        *FORCE,
    ),
    effects=Effect.EDITS | Effect.TEXT,
    result=results.Edit,
    examples=(
        Example(
            'capture L3 rude "Go away, you fool."\nremove-concept L3 rude',
            'it.applied and it.method == "aimed" and it.effect.placebos == 10',
            on="tiny",
        ),
    ),
    clashes=(
        ONE_SIZE,
        Clash(
            "dose",
            "method",
            "the removal of a basin has a strength, no dose",
            "leave method=basin out",
            ("basin",),
        ),
    ),
)
def remove_concept(
    session: Session,
    layer: int | str,
    concept: Concept,
    strength: float | str,
    method: str,
    damage: float,
    dose: float | None,
    force: bool,
    reason: str,
) -> results.Edit:
    return session.remove_concept_from(
        as_layer(layer),
        concept.name,
        as_number(strength) if dose is None else None,
        method=method,
        damage=damage,
        dose=dose,
        force=force,
        reason=reason,
    )


@operation(
    "redirect",
    category="Concept",
    summary="Let what settles in a basin flow into another basin, or into a concept's.",
    details="A hetero-associative edit of rank one. In a text model the dose is the largest within the damage on "
    "held-out text; elsewhere it is the smallest at which nine tenths of the basin's states arrive, and the gate "
    "judges it. `arrived` is the share of them that settle at the destination afterwards.",
    params=(
        LAYER,
        Param("basin", t.BASIN, "the basin to divert, such as L0.B3"),
        Param("to", t.DIRECTION, "where to: a basin or a concept", keyword_only=True),
        replace(HOW_MUCH, help="‖ΔW‖ relative to ‖W‖; auto: the largest that is allowed"),
        DAMAGE,
        DOSE,
        *FORCE,
    ),
    effects=Effect.EDITS,
    result=results.Edit,
    examples=(
        Example("survey L0\nredirect L0.B0 to=L0.B2", "it.arrived >= 0.9"),
        Example("survey L3\nredirect L3.B0 to=L3.B2", "it.dose > 0", on="tiny"),
    ),
    clashes=(ONE_SIZE,),
)
def redirect(
    session: Session,
    layer: int,
    basin: BasinRef,
    to: BasinRef | Concept | Seed,
    strength: float | str,
    damage: float,
    dose: float | None,
    force: bool,
    reason: str,
) -> results.Edit:
    number = as_number(strength) if dose is None else None
    return session.redirect_basin(
        layer, basin, to, number, damage=damage, dose=dose, force=force, reason=reason
    )


@operation(
    "steer",
    category="Concept",
    summary="What is said under a push of growing strength towards a concept.",
    details="A tilt: an external field along the concept is added to the layer's drive in every pass. The model is "
    "not changed. Every strength stands beside ten random fields of the same norm.",
    params=(
        ANY_LAYER,
        CONCEPT,
        Param(
            "strengths",
            t.NUMBERS,
            "multiples of the distance from neutral to the concept; auto: a row that ends where the damage is spent",
            "auto",
            above=0,
            maximum=1e6,
            choices=("auto",),
        ),
        DAMAGE,
    ),
    effects=Effect.READS | Effect.TEXT,
    result=results.Steering,
    examples=(
        Example(
            'capture L3 polite "Thank you so much"\nsteer L3 polite strengths=[0.2]',
            "it.placebos == 10 and it.steps[0].strength == 0.2",
            on="tiny",
        ),
    ),
)
def steer(
    session: Session, layer: int | str, concept: Concept, strengths: tuple[float, ...] | str, damage: float
) -> results.Steering:
    given = None if isinstance(strengths, str) else strengths
    return session.dose_response(as_layer(layer), concept.name, given, damage)


@operation(
    "effect",
    category="Concept",
    summary="What everything staged in a layer does to a concept, against placebos.",
    params=(ANY_LAYER, CONCEPT),
    effects=Effect.READS | Effect.TEXT,
    result=results.Effect,
    examples=(
        Example(
            'capture L3 polite "Thank you so much"\ninject-concept L3 polite method=redirect dose=0.2\n'
            "effect L3 polite",
            "it.placebos == 10 and it.prompts > 0",
            on="tiny",
        ),
    ),
)
def effect(session: Session, layer: int | str, concept: Concept) -> results.Effect:
    return session.staged_effect(as_layer(layer), concept.name)
