"""Concepts: capturing them from text, writing them into a layer, measuring what that does.

**Capture.** A text's state is its *decision state* (``TextModel.decision_states``): the one from which the
model is about to speak, having just heard the text. A concept is the set of these states; its direction is
their mean.

**Redirect** (MODEL §3). The key is the mean f(x) of neutral decision states, the value the concept's
settled state, the whitening the second moment of f(x) over real tokens: neutral prompts then flow into the
concept's basin. The strength is a dose: below 1 that share of the change, above 1 the whole change with a
value as much longer. The largest dose on a grid that keeps within the damage budget is taken.

What this does to text is measured in ``energylang.runtime.effects``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from energylang.errors import ElError
from energylang.landscape.attractors import polish
from energylang.landscape.clusters import cosine_rows
from energylang.landscape.dynamics import settle
from energylang.landscape.edits import inject
from energylang.landscape.layer import Landscape, interaction
from energylang.landscape.proposal import Proposal, resting
from energylang.landscape.redirect import redirect
from energylang.results import ConceptInfo, Edit
from energylang.values import Concept as ConceptName

from .editing import Plan, carry_out
from .effects import losses, measure
from .history import Concept

if TYPE_CHECKING:
    from .workbench import Workbench

DOSES = (0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0, 1.2, 1.5)
MOMENT_TOKENS = 4096


def capture(session: Workbench, layer: int, name: str, text: str, contrast: str | None) -> Concept:
    """Add a text (and a text that is not the concept) to a concept."""
    if not text.strip():
        raise ElError("there is nothing to capture in an empty text", code="EL201")
    model = session.text
    state = model.decision_states([text], layer)
    opposite = model.decision_states([contrast], layer) if contrast else None
    known = session.state.concepts.get(name)
    if known is None:
        concept = Concept(name, layer, (text,), state, opposite)
    elif known.layer != layer:
        raise ElError(
            f"`{name}` is being captured at L{known.layer}, not at L{layer}",
            code="EL511",
            hint="a concept lives at one layer; choose another name for this one",
        )
    else:
        against = [part for part in (known.contrast, opposite) if part is not None]
        concept = replace(
            known,
            texts=(*known.texts, text),
            states=torch.cat((known.states, state)),
            contrast=torch.cat(against) if against else None,
        )
    keep(session, concept)
    return concept


def keep(session: Workbench, concept: Concept) -> None:
    session.state = replace(session.state, concepts={**session.state.concepts, concept.name: concept})


def describe(session: Workbench, concept: Concept) -> ConceptInfo:
    """What there is to say about a concept."""
    centroid = concept.centroid
    coherence = float(cosine_rows(concept.states, centroid).mean())
    neutral = opposite(session, concept).mean(dim=0)
    return ConceptInfo(
        name=concept.name,
        layer=concept.layer,
        samples=len(concept.texts),
        dim=int(centroid.numel()),
        norm=float(torch.linalg.vector_norm(centroid)),
        coherence=coherence,
        cosine_to_neutral=float(cosine_rows(centroid[None], neutral)[0]),
        installed=concept.installed,
        texts=concept.texts,
    )


def opposite(session: Workbench, concept: Concept) -> Tensor:
    """(m, d): the states a redirect diverts: the contrast's, or those of neutral prompts."""
    return concept.contrast if concept.contrast is not None else session.text.neutral_states(concept.layer)


# ------------------------------------------------------------------------------------------- writing


def install(
    session: Workbench,
    concept: Concept,
    *,
    method: str,
    strength: float | None,
    damage: float,
    force: bool,
    reason: str,
) -> Edit:
    """Write a concept into its layer as an attractor or by redirecting neutral states into its basin."""
    chosen = "redirect" if method == "auto" else method
    if chosen == "attractor":
        edit = _attractor(session, concept, strength, force=force, reason=reason)
    else:
        edit = _redirect(session, concept, strength, damage, force=force, reason=reason)
    if edit.applied:
        current = session.concept(concept.name)
        note = f"L{concept.layer} {chosen} (edit {session.timeline.next_id()})"
        keep(session, replace(current, installed=(*current.installed, note)))
    return edit


def _attractor(
    session: Workbench, concept: Concept, strength: float | None, *, force: bool, reason: str
) -> Edit:
    direction = session.direction(concept.layer, ConceptName(concept.name))
    generator = session.generator("inject-concept", concept.layer, concept.name)

    def propose(landscape: Landscape, protected: Tensor) -> Proposal:
        return inject(landscape, direction, protected, strength=strength, generator=generator)

    plan = Plan(
        "inject-concept",
        concept.layer,
        concept.name,
        propose,
        installs=True,
        method="attractor",
        strength=strength,
    )
    before = session.weight(session.staged(concept.layer))
    edit = carry_out(session, plan, force=force, reason=reason)
    factors = session.staged(concept.layer).factors
    if not edit.applied or factors is None:
        return edit
    return replace(edit, effect=measure(session, concept, factors, before))


@dataclass(frozen=True)
class _Aim:
    """A redirect's ingredients: the key field (d,), the value (d,), the second moment (d, d)."""

    key: Tensor
    value: Tensor
    moment: Tensor


def _aim(session: Workbench, concept: Concept, landscape: Landscape) -> _Aim:
    neutral = opposite(session, concept).to(landscape.weight)
    run = settle(landscape, concept.centroid[None].to(landscape.weight), eps=float(session.setting("eps")))
    value = polish(landscape, run.states)[0][0]
    generator = session.generator("second moment", concept.layer)
    tokens = session.text.token_states(concept.layer, MOMENT_TOKENS, generator).to(landscape.weight)
    field = interaction(tokens, landscape.degree)
    key = interaction(neutral, landscape.degree).mean(dim=0)
    return _Aim(key, value, field.T @ field / len(field))


def _redirect(
    session: Workbench, concept: Concept, strength: float | None, damage: float, *, force: bool, reason: str
) -> Edit:
    landscape = session.landscape_of(concept.layer)
    aim = _aim(session, concept, landscape)
    weight = session.weight(session.staged(concept.layer))
    base = losses(session, concept.layer, weight).mean()

    def harm(proposal: Proposal) -> float:
        return float(losses(session, concept.layer, proposal.factors.added_to(weight)).mean() / base - 1)

    dose, proposal, within = _search(landscape, aim, harm, damage, DOSES if strength is None else (strength,))
    effect = measure(session, concept, proposal.factors, weight)
    rise = f"the loss would rise by {effect.loss_change:.1%}, more than the budget of {damage:.1%}"
    plan = Plan(
        "inject-concept",
        concept.layer,
        concept.name,
        lambda _landscape, _protected: proposal,
        own=torch.stack((proposal.target, aim.value)),
        installs=True,
        method="redirect",
        strength=dose,
        effect=effect,
        decided=(True, "within the damage budget") if within else (False, rise),
    )
    return carry_out(session, plan, force=force, reason=reason)


def _search(
    landscape: Landscape, aim: _Aim, harm: Callable[[Proposal], float], damage: float, doses: Sequence[float]
) -> tuple[float, Proposal, bool]:
    """The largest dose whose harm keeps within the damage, by bisection (harm grows with the dose); the
    smallest dose, and ``False``, when none does."""
    best, low, high = _dosed(landscape, aim, doses[0]), -1, len(doses)
    while high - low > 1:  # doses[low] keeps within, doses[high] does not
        middle = (low + high) // 2
        proposal = _dosed(landscape, aim, doses[middle])
        if harm(proposal) <= damage:
            best, low = proposal, middle
        else:
            high = middle
    return doses[max(low, 0)], best, low >= 0


def _dosed(landscape: Landscape, aim: _Aim, dose: float) -> Proposal:
    proposal = redirect(landscape, aim.key, aim.value, second_moment=aim.moment, gain=max(1.0, dose))
    if dose >= 1:
        return proposal
    factors = proposal.factors.scaled(dose)
    return replace(proposal, factors=factors, target=resting(landscape, factors, aim.value))
