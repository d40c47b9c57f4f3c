"""Concepts: captured from texts, written into a layer and taken out again, pushed and measured."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from energylang import results
from energylang.concepts.captured import at_layer, describe, keep, opposite
from energylang.concepts.captured import capture as captured
from energylang.concepts.effects import CHOOSING_WINDOWS, MEASURING_WINDOWS, Ruler, against, measure
from energylang.concepts.methods import METHODS, Candidate, aimed, attractor, redirected, removal
from energylang.errors import ElError
from energylang.looking.gauge import Gauge, standard_error
from energylang.models import likelihoods
from energylang.models.protocol import Change
from energylang.results import Steering, SteeringStep
from energylang.signature.values import ConceptName
from energylang.trial.staging import check_force, commit, heard
from energylang.workspace.history import Concept
from energylang.workspace.named import concept_at, concept_named
from energylang.workspace.workspace import Workspace, counted

from . import edit

STRENGTHS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
PLACEBOS = 10
_PROMPTS = 64


def capture(
    ws: Workspace, layer: int | None, concept: str, text: str, contrast: str | None, position: str | None
) -> results.ConceptInfo:
    """Add a text to a concept; without a layer, the one that carries it best."""
    return describe(ws, captured(ws, layer, concept, [text], contrast, position))


def concepts(ws: Workspace) -> results.Concepts:
    """What was captured."""
    return results.Concepts(tuple(describe(ws, concept) for concept in ws.state.concepts.values()))


def inject_concept(
    ws: Workspace,
    layer: int | None,
    concept: str,
    strength: float | None,
    method: str,
    damage: float,
    dose: float | None,
    force: bool,
    reason: str,
) -> results.Edit:
    """Write a concept into its layer; the edit with its effect, or a refusal.

    With a strength ‖ΔW‖/‖W‖ and no method, it is an attractor that is written, as in the published tool."""
    strength = strength if dose is None else None
    named = concept_at(ws, layer, concept)
    check_force(force, reason)
    makers: dict[str, Callable[[], Candidate]] = {
        "redirect": lambda: redirected(ws, named, strength, damage, dose=dose),
        "attractor": lambda: attractor(ws, named, strength, damage),
        "aimed": lambda: aimed(ws, named, strength, damage, dose=dose),
    }
    if method == "auto" and strength is not None:
        method = "attractor"
    landing: Candidate | None = None
    if method == "attractor" and named.fits:
        named, landing = _where_it_lands(ws, named, strength, damage)
    weight = ws.weight(ws.staged(named.layer))
    if method == "auto":
        drafted = counted(ws, METHODS, lambda name: f"methods drafted; drafting {name}")
        chosen = max((makers[name]() for name in drafted), key=lambda c: _worth(ws, named, c, weight))
    else:
        chosen = landing or makers[method]()
    proposal = chosen.draft.proposal
    effect = None
    if proposal is not None and (chosen.draft.edit.applied or force or chosen.draft.plan.damage):
        effect = measure(ws, named, proposal.factors, weight, chosen.imitate)
    made = chosen.draft
    if effect is not None and made.plan.damage is not None:
        made = heard(made, effect, more=True)
    edit = commit(ws, made, force=force, reason=reason, effect=effect)
    if edit.applied:
        current = concept_named(ws, named.name)
        note = f"L{named.layer} {edit.method} (edit {ws.timeline.next_id()})"
        keep(ws, replace(current, installed=(*current.installed, note)))
    return edit


def remove_concept(
    ws: Workspace,
    layer: int | None,
    concept: str,
    strength: float | None,
    method: str,
    damage: float,
    dose: float | None,
    force: bool,
    reason: str,
) -> results.Edit:
    """Make a concept less likely to be said, or remove the basin in which it settles.

    With a strength ‖ΔW‖/‖W‖ and no method, it is the basin that is removed, as in the published tool."""
    strength = strength if dose is None else None
    named = concept_at(ws, layer, concept)
    if method == "auto":
        method = "aimed" if strength is None else "basin"
    if method == "basin":
        return edit.remove(ws, named.layer, ConceptName(named.name), strength, force, reason)
    check_force(force, reason)
    weight = ws.weight(ws.staged(named.layer))
    found = removal(ws, named, strength, damage, dose=dose)
    made = found.draft
    assert made.proposal is not None  # an aimed change always has room
    effect = measure(ws, named, made.proposal.factors, weight, found.imitate)
    return commit(ws, heard(made, effect, more=False), force=force, reason=reason, effect=effect)


@torch.no_grad()
def steer(
    ws: Workspace, layer: int | None, concept: str, strengths: Sequence[float] | None, damage: float
) -> results.Steering:
    """The dose–response of tilting a layer towards a concept."""
    named = concept_at(ws, layer, concept)
    layer, text = named.layer, ws.text
    push = named.centroid - opposite(ws, named).mean(dim=0)
    size = torch.linalg.vector_norm(push)
    if float(size) == 0:
        raise ElError(
            f"`{named.name}` is where neutral text already is: there is no direction to push in",
            code="EL511",
            hint="capture texts that stand out more, or give a contrast",
        )
    generator = ws.generator("steer", layer, named.name)
    random = torch.randn(PLACEBOS, len(push), generator=generator).to(push)
    random = random * size / torch.linalg.vector_norm(random, dim=1, keepdim=True)
    nothing = Change()
    chosen, within = _strengths(ws, layer, push, strengths, damage)
    ruler = Ruler(ws, named, _PROMPTS)
    before = ruler.read(nothing)
    gauge = Gauge(ws, layer, text.measuring_windows(MEASURING_WINDOWS))
    base = gauge.losses(nothing)
    steps = []
    for strength in counted(ws, chosen, "strengths"):
        tilted = Change(drive={layer: strength * push})
        after = ruler.read(tilted)
        change = (gauge.losses(tilted) - base) / base.mean()
        readings = [ruler.read(Change(drive={layer: strength * field})) for field in random]
        shares = [reading.share for reading in readings if reading.share is not None]
        mean = spread = z = None
        if after.share is not None and shares:
            mean, spread, z = against(shares, after.share)
        log_mean, log_spread, log_z = against([reading.log_prob for reading in readings], after.log_prob)
        steps.append(
            SteeringStep(
                strength=strength,
                share=after.share,
                share_placebo=mean,
                share_placebo_std=spread,
                share_z=z,
                log_prob=after.log_prob,
                log_prob_placebo=log_mean,
                log_prob_placebo_std=log_spread,
                log_prob_z=log_z,
                loss_change=float(change.mean()),
                loss_change_error=standard_error(change),
            )
        )
    return Steering(
        layer=layer,
        concept=named.name,
        share_before=before.share,
        log_prob_before=before.log_prob,
        damage=damage,
        best=within,
        placebos=PLACEBOS,
        prompts=len(ruler.prompts),
        steps=tuple(steps),
    )


def _strengths(
    ws: Workspace, layer: int, push: torch.Tensor, given: Sequence[float] | None, damage: float
) -> tuple[list[float], float | None]:
    """The strengths to try, and the largest of them within the damage budget (``None``: not even the least)."""
    gauge = Gauge(ws, layer, ws.text.choosing_windows(CHOOSING_WINDOWS))
    base = gauge.losses(Change())
    chosen: list[float] = []
    within: float | None = None
    for strength in sorted(given or STRENGTHS):
        chosen.append(strength)
        if gauge.rise_at_most(Change(drive={layer: strength * push}), base) <= damage:
            within = strength
        elif given is None:
            break
    return chosen, within


def effect(ws: Workspace, layer: int | None, concept: str) -> results.Effect:
    """What everything staged in a concept's layer does to it, against placebos of equal norm."""
    named = concept_at(ws, layer, concept)
    version = ws.staged(named.layer)
    if version.depth == 0:
        raise ElError(
            f"nothing is staged in L{named.layer}: there is no effect to measure",
            code="EL513",
            hint="edit the layer first, with `inject-concept` for example",
        )
    factors = [step.factors for step in version.chain if step.factors is not None]
    whole = functools.reduce(lambda left, right: left.joined(right), factors)
    return measure(ws, named, whole, ws.weight(version.root))


def _where_it_lands(
    ws: Workspace, concept: Concept, strength: float | None, damage: float
) -> tuple[Concept, Candidate | None]:
    """A concept whose layer was chosen automatically, at the first layer where it becomes a basin of its own, and how:
    the layers in the order of what they carry. Where it lands nowhere it stays where it was."""
    order = sorted(concept.fits, key=lambda fit: -fit.carried)
    for fit in counted(ws, order, lambda fit: f"layers tried; trying L{fit.layer}"):
        there = at_layer(ws, concept, fit.layer)
        there = replace(there, fits=tuple(replace(f, chosen=f.layer == fit.layer) for f in concept.fits))
        keep(ws, there)
        made = attractor(ws, there, strength, damage)
        if made.draft.edit.applied:
            return there, made
    keep(ws, concept)
    return concept, None


def _worth(ws: Workspace, concept: Concept, candidate: Candidate, weight: Tensor) -> float:
    """The share of replies to choosing prompts that are the concept; in a plain-text model the log-probability of its
    texts after choosing passages. Nothing is worth less than a refusal."""
    made = candidate.draft
    if made.proposal is None or not made.edit.applied:
        return -float("inf")
    text = ws.text
    changed = Change(weights={concept.layer: made.proposal.factors.added_to(weight)})
    if text.markers:
        share = Ruler(ws, concept, asked=text.choosing_prompts).read(changed).share
        return 0.0 if share is None else share
    return float(
        likelihoods.concept_log_prob(text, concept.texts, text.choosing_prompts[:16], change=changed).mean()
    )
