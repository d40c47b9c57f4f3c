"""Concepts: capturing them from text, writing them into a layer, measuring what that does.

**Capture.** A text's state is its *decision state* (``TextModel.decision_states``): the one from which the
model is about to speak, having just heard the text. A concept is the set of these states; its direction is
their mean.

**Redirect** (MODEL §3). The key is the mean f(x) of neutral decision states, the value the concept's
settled state, the whitening the second moment of f(x) over real tokens: neutral prompts then flow into the
concept's basin. The gain is searched on a grid; the one with the largest effect within the damage budget is
taken.

**Effect.** Change of the log-probability of the concept's texts as replies to neutral prompts, and of the
loss on held-out text; the control is the same edit with random values of equal norm at the same key.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from energylang.errors import ElError
from energylang.landscape.attractors import polish
from energylang.landscape.clusters import cosine_rows
from energylang.landscape.draws import stable_generator
from energylang.landscape.dynamics import settle
from energylang.landscape.edits import inject
from energylang.landscape.layer import Landscape, interaction
from energylang.landscape.lowrank import LowRank
from energylang.landscape.proposal import Proposal
from energylang.landscape.redirect import redirect
from energylang.models.protocol import Intervention
from energylang.results import ConceptInfo, Edit, Effect
from energylang.values import Concept as ConceptName

from .editing import Plan, carry_out
from .history import Concept

if TYPE_CHECKING:
    from .session import Session

GAINS = (0.5, 0.7, 0.85, 1.0, 1.2, 1.5)
PLACEBOS = 10
MOMENT_TOKENS = 4096
LOSS_WINDOWS = 48


def capture(session: Session, layer: int, name: str, text: str, contrast: str | None) -> Concept:
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


def keep(session: Session, concept: Concept) -> None:
    session.state = replace(session.state, concepts={**session.state.concepts, concept.name: concept})


def describe(session: Session, concept: Concept) -> ConceptInfo:
    """What there is to say about a concept."""
    centroid = concept.centroid
    coherence = float(cosine_rows(concept.states, centroid).mean())
    neutral = _opposite(session, concept).mean(dim=0)
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


def _opposite(session: Session, concept: Concept) -> Tensor:
    """(m, d): the states a redirect diverts: the contrast's, or those of neutral prompts."""
    return concept.contrast if concept.contrast is not None else session.text.neutral_states(concept.layer)


# ------------------------------------------------------------------------------------------- writing


def install(
    session: Session,
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


def _attractor(session: Session, concept: Concept, strength: float | None, *, force: bool, reason: str) -> Edit:
    direction = session.direction(concept.layer, ConceptName(concept.name))
    generator = session.generator("inject-concept", concept.layer, concept.name)

    def propose(landscape: Landscape, protected: Tensor) -> Proposal:
        return inject(landscape, direction, protected, strength=strength, generator=generator)

    plan = Plan("inject-concept", concept.layer, concept.name, propose, installs=True, method="attractor",
                strength=strength)  # fmt: skip
    before = session.weight(session.staged(concept.layer))
    edit = carry_out(session, plan, force=force, reason=reason)
    factors = session.staged(concept.layer).factors
    if not edit.applied or factors is None:
        return edit
    placebos = _values_at_random(session, concept, factors)
    return replace(edit, effect=measure(session, concept, factors, placebos, before))


@dataclass(frozen=True)
class _Aim:
    """A redirect's ingredients: the key field (d,), the value (d,), the second moment (d, d)."""

    key: Tensor
    value: Tensor
    moment: Tensor


def _aim(session: Session, concept: Concept, landscape: Landscape) -> _Aim:
    neutral = _opposite(session, concept).to(landscape.weight)
    run = settle(landscape, concept.centroid[None].to(landscape.weight), eps=float(session.setting("eps")))
    value = polish(landscape, run.states)[0][0]
    generator = session.generator("second moment", concept.layer)
    tokens = session.text.token_states(concept.layer, MOMENT_TOKENS, generator).to(landscape.weight)
    field = interaction(tokens, landscape.degree)
    key = interaction(neutral, landscape.degree).mean(dim=0)
    return _Aim(key, value, field.T @ field / len(field))


def _redirect(
    session: Session, concept: Concept, strength: float | None, damage: float, *, force: bool, reason: str
) -> Edit:
    landscape = session.landscape_of(concept.layer)
    aim = _aim(session, concept, landscape)
    weight = session.weight(session.staged(concept.layer))
    candidates: list[tuple[float, Proposal, Effect]] = []
    for gain in GAINS if strength is None else (strength,):
        proposal = redirect(landscape, aim.key, aim.value, second_moment=aim.moment, gain=gain)
        candidates.append((gain, proposal, measure(session, concept, proposal.factors, [], weight)))
    within = [item for item in candidates if item[2].loss_change <= damage]
    gain, proposal, effect = max(within or candidates[:1], key=lambda item: item[2].log_prob_change)
    placebos = _values_at_random(session, concept, proposal.factors)
    effect = measure(session, concept, proposal.factors, placebos, weight)
    plan = Plan(
        "inject-concept", concept.layer, concept.name, lambda _landscape, _protected: proposal,
        own=torch.stack((proposal.target, aim.value)), installs=True, method="redirect", strength=gain,
        effect=effect, judged=False,
    )  # fmt: skip
    if not within and not force:
        return _over_budget(plan, effect, damage, proposal)
    return carry_out(session, plan, force=force and not within, reason=reason if not within else "")


def _over_budget(plan: Plan, effect: Effect, damage: float, proposal: Proposal) -> Edit:
    return Edit(
        operation=plan.operation, layer=plan.layer, target=plan.target, applied=False,
        reason=f"the loss would rise by {effect.loss_change:.1%}, more than the budget of {damage:.1%}",
        forced=False, basin=None, strength=plan.strength, norm=proposal.factors.norm, relative_norm=0.0,
        rank=proposal.factors.rank, kept=0, protected=0, changed_fraction=0.0, lost=(), notes=proposal.notes,
        method=plan.method, effect=effect,
    )  # fmt: skip


# ----------------------------------------------------------------------------------------- measuring


def _values_at_random(session: Session, concept: Concept, factors: LowRank) -> list[LowRank]:
    """Edits with the same right factors (the same key) and random left ones, each of equal norm."""
    generator = stable_generator("placebo", session.setting("seed"), concept.layer, concept.name)
    edits = []
    for _ in range(PLACEBOS):
        left = torch.randn(factors.left.shape, generator=generator).to(factors.left)
        edit = LowRank(left, factors.right)
        edits.append(LowRank(left * (factors.norm / edit.norm), factors.right))
    return edits


@torch.no_grad()
def measure(
    session: Session, concept: Concept, factors: LowRank, placebos: Sequence[LowRank], staged: Tensor
) -> Effect:
    """Effect and damage of ``staged`` against what it was before ``factors`` (see the module's text).

    ``staged`` is the weight to which ``factors`` and ``placebos`` are added.
    """
    model = session.text
    windows = model.windows(LOSS_WINDOWS)

    def passes(change: LowRank | None) -> tuple[Tensor, float]:
        weight = staged if change is None else change.added_to(staged)
        edited = Intervention(weights={concept.layer: weight})
        losses = model.loss(windows, intervention=edited)
        probability = float(model.concept_log_prob(concept.texts, intervention=edited).mean())
        return losses.mean(dim=1), probability

    loss_before, before = passes(None)
    loss_after, after = passes(factors)
    controls = [
        float(model.concept_log_prob(concept.texts, intervention=Intervention(
            weights={concept.layer: placebo.added_to(staged)})).mean()) - before
        for placebo in placebos
    ]  # fmt: skip
    mean = statistics.fmean(controls) if controls else 0.0
    spread = statistics.stdev(controls) if len(controls) > 1 else 0.0
    base = float(loss_before.mean())
    change = (loss_after - loss_before) / base
    return Effect(
        log_prob_before=before,
        log_prob_after=after,
        log_prob_change=after - before,
        placebos=len(controls),
        placebo_mean=mean,
        placebo_std=spread,
        z=(after - before - mean) / spread if spread > 0 else 0.0,
        loss_before=base,
        loss_after=float(loss_after.mean()),
        loss_change=float(change.mean()),
        loss_change_error=float(change.std()) / math.sqrt(len(change)) if len(change) > 1 else 0.0,
    )
