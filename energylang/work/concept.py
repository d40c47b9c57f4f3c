"""Concepts: captured from texts, written into a layer and taken out again, pushed and measured."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from energylang import results
from energylang.concepts.captured import at_layer, describe, keep, pushes
from energylang.concepts.captured import capture as captured
from energylang.concepts.controls import RANDOM
from energylang.concepts.effects import Heard, Ruler, against, effect_of, measure, placebo
from energylang.concepts.halves import halves
from energylang.concepts.memory import Value, memory_edit, norm_of
from energylang.concepts.methods import METHODS, Candidate, aimed, attractor, redirected, removal
from energylang.concepts.stream_controls import Kinds, beside, of_norms
from energylang.concepts.stream_effect import RANDOM as FEW
from energylang.concepts.stream_effect import did_something, stream_effect
from energylang.concepts.stream_ruler import StreamRuler
from energylang.errors import ElError
from energylang.looking.gauge import Gauge, standard_error
from energylang.looking.held import pushing, standing
from energylang.models import likelihoods
from energylang.models.positions import Tally
from energylang.models.protocol import Change
from energylang.models.states import DECISION
from energylang.results import Steering, SteeringStep
from energylang.signature.values import ConceptName
from energylang.trial.draft import Draft
from energylang.trial.staging import blocked, check_force, commit, heard
from energylang.workspace.history import Concept, Push
from energylang.workspace.named import concept_at, concept_named
from energylang.workspace.workspace import Workspace, counted

from . import edit

STRENGTHS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
_PROMPTS = 64


def capture(
    ws: Workspace,
    layer: int | None,
    concept: str,
    text: str,
    contrast: str | None,
    position: str | None,
    direction: str | None,
) -> results.ConceptInfo:
    """Add a text to a concept; without a layer, the one that carries it best."""
    return describe(ws, captured(ws, layer, concept, [text], contrast, position, direction))


def concepts(ws: Workspace) -> results.Concepts:
    """What was captured."""
    return results.Concepts(tuple(describe(ws, concept) for concept in ws.state.concepts.values()))


def inject_concept(
    ws: Workspace,
    layer: tuple[int, ...] | None,
    concept: str,
    strength: float | None,
    method: str,
    damage: float,
    dose: float | None,
    value: Value | None,
    placebos: int | None,
    controls: Kinds | None,
    force: bool,
    reason: str,
) -> results.Edit:
    """Write a concept into its layer, or into those of a stream that are named; the edit with its effect, or a refusal.

    With a strength ‖ΔW‖/‖W‖ and no method, it is an attractor that is written, as in the published tool."""
    strength = strength if dose is None else None
    named = _to_edit(ws, layer, concept)
    check_force(force, reason)
    if _by_memory(ws, named, method):
        layers = _layers(ws, layer, named)
        how = _How(layers, strength, damage, dose, value or "best", placebos, controls or "random")
        return _into_memory(ws, named, how, force, reason, away=False)
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
    weight = ws.weight(ws.memory(named.layer))
    if method == "auto":
        drafted = counted(ws, METHODS, lambda name: f"methods drafted; drafting {name}")
        chosen = max((makers[name]() for name in drafted), key=lambda c: _worth(ws, named, c, weight))
    else:
        chosen = landing or makers[method]()
    refused = blocked(ws, chosen.draft, force=force)
    if refused is not None:
        return refused
    proposal = chosen.draft.proposal
    effect = None
    if proposal is not None and (chosen.draft.edit.applied or force or chosen.draft.plan.damage):
        imitate = None if controls == "random" else chosen.imitate
        effect = measure(ws, named, proposal.factors, weight, imitate, placebos)
    made = chosen.draft
    if effect is not None and made.plan.damage is not None:
        made = heard(made, effect, more=True)
    edit = commit(ws, made, force=force, reason=reason, effect=effect, guarded=True)
    if edit.applied:
        current = concept_named(ws, named.name)
        note = f"L{named.layer} {edit.method} (edit {ws.timeline.next_id()})"
        keep(ws, replace(current, installed=(*current.installed, note)))
    return edit


def remove_concept(
    ws: Workspace,
    layer: tuple[int, ...] | None,
    concept: str,
    strength: float | None,
    method: str,
    damage: float,
    dose: float | None,
    value: Value | None,
    placebos: int | None,
    controls: Kinds | None,
    force: bool,
    reason: str,
) -> results.Edit:
    """Make a concept less likely to be said, or remove the basin in which it settles.

    With a strength ‖ΔW‖/‖W‖ and no method, it is the basin that is removed, as in the published tool."""
    strength = strength if dose is None else None
    named = _to_edit(ws, layer, concept)
    if _by_memory(ws, named, method):
        check_force(force, reason)
        layers = _layers(ws, layer, named)
        how = _How(layers, strength, damage, dose, value or "best", placebos, controls or "random")
        return _into_memory(ws, named, how, force, reason, away=True)
    if method == "auto":
        method = "aimed" if strength is None else "basin"
    if method == "basin":
        return edit.remove(ws, named.layer, ConceptName(named.name), strength, force, reason)
    check_force(force, reason)
    weight = ws.weight(ws.memory(named.layer))
    found = removal(ws, named, strength, damage, dose=dose)
    made = found.draft
    assert made.proposal is not None  # an aimed change always has room
    refused = blocked(ws, made, force=force)
    if refused is not None:
        return refused
    imitate = None if controls == "random" else found.imitate
    effect = measure(ws, named, made.proposal.factors, weight, imitate, placebos)
    made = heard(made, effect, more=False)
    return commit(ws, made, force=force, reason=reason, effect=effect, guarded=True)


def _to_edit(ws: Workspace, layer: tuple[int, ...] | None, name: str) -> Concept:
    """The concept that is meant: of the one layer that is named on a model with landscapes; the texts of one of a
    stream can be read at any."""
    if layer is None or not ws.model.landscape:
        return concept_named(ws, name)
    [one] = layer  # several need memories
    return concept_at(ws, one, name)


def _layers(ws: Workspace, layer: tuple[int, ...] | None, concept: Concept) -> tuple[int, ...]:
    """The layers of a stream to edit: the concept's own without any, all of them for none (``layers``)."""
    if layer is None:
        return (concept.layer,)
    return tuple(sorted(set(layer))) or tuple(range(ws.model.num_layers))


def _by_memory(ws: Workspace, concept: Concept, method: str) -> bool:
    """Whether it is the memory of a stream that is edited."""
    if method == "memory" and ws.model.landscape:
        raise ElError(
            f"L{concept.layer} of {ws.model.spec} is a landscape: it has no memory of another shape",
            code="EL202",
            hint="leave the method out, or choose one for landscapes",
        )
    return not ws.model.landscape


@dataclass(frozen=True)
class _How:
    """Which memories are edited and how, and what the edit is set beside: how many random ones, which other kinds."""

    layers: tuple[int, ...]
    strength: float | None
    damage: float
    dose: float | None
    value: Value
    placebos: int | None
    kinds: Kinds


def _into_memory(
    ws: Workspace, concept: Concept, how: _How, force: bool, reason: str, *, away: bool
) -> results.Edit:
    """A memory edit towards a concept or away from it, with its effect; staged, or refused."""
    written = memory_edit(
        ws,
        concept,
        how.strength,
        how.damage,
        layers=how.layers,
        dose=how.dose,
        away=away,
        value_is=how.value,
    )
    drafts = written.drafts
    weights = {layer: ws.weight(ws.memory(layer)) for layer in how.layers}
    refused = blocked(ws, *drafts, force=force)
    if refused is not None:
        return _as_one([refused], drafts, weights)
    effect = stream_effect(
        ws, written.measured_by, written.factors, weights, placebos=how.placebos, kinds=how.kinds
    )
    conditions = did_something(effect, more=not away)
    failed = [condition for condition in conditions if not condition.ok]
    edits = []
    for made in drafts:
        drafted = replace(made.edit, conditions=(*made.edit.conditions, *conditions))
        if drafted.applied and failed:
            wanted = "less" if away else "more"
            told = f"{failed[0].name}: {failed[0].value:.3f}, not {wanted} than {failed[0].limit:.3f}"
            drafted = replace(drafted, applied=False, reason=f"{concept.name} is not said {wanted}: {told}")
        made = replace(made, edit=drafted)
        edits.append(commit(ws, made, force=force, reason=reason, effect=effect, guarded=True))
    edit = _as_one(edits, drafts, weights)
    if edit.applied and not away:
        current = concept_named(ws, concept.name)
        where = ", ".join(f"L{layer}" for layer in how.layers)
        note = f"{where} {edit.method} (edit {ws.timeline.next_id()})"
        keep(ws, replace(current, installed=(*current.installed, note)))
    return edit


def _as_one(
    edits: Sequence[results.Edit], drafts: Sequence[Draft], weights: Mapping[int, Tensor]
) -> results.Edit:
    """One edit of several layers: its size is that of all changes, against all weights."""
    if len(drafts) == 1:
        return edits[0]
    norm = math.hypot(*(made.edit.norm for made in drafts))
    size = norm_of(weights.values())
    return replace(
        edits[0],
        layers=tuple(made.plan.layer for made in drafts),
        norm=norm,
        relative_norm=norm / size if size else 0.0,
        strength=norm / size if size else None,
        rank=sum(made.edit.rank for made in drafts),
    )


@torch.no_grad()
def steer(
    ws: Workspace,
    layer: tuple[int, ...] | None,
    concept: tuple[str, ...],
    strengths: Sequence[float] | None,
    damage: float,
    at: str,
    placebos: int,
) -> results.Steering:
    """The dose–response of pushing layers towards concepts, beside random pushes of the same norm."""
    named = [concept_named(ws, name) for name in concept]
    if layer is None:
        homes = {each.layer for each in named}
        if len(homes) > 1:
            raise ElError(
                "these concepts were captured at several layers", code="EL511", hint="name the layer to push"
            )
        layers = tuple(homes)
    else:
        layers = layer or tuple(range(ws.model.num_layers))
        if len(layers) == 1 and ws.model.landscape:
            named = [concept_at(ws, layers[0], name) for name in concept]
    text, lowest, title = ws.text, min(layers), " + ".join(concept)
    each = [pushes(ws, known, layers) for known in named]
    push = {at_: torch.stack([found[at_] for found in each]).sum(dim=0) for at_ in layers}
    generator = ws.generator("steer", layers[0] if len(layers) == 1 else layers, title)
    random = [_random_like(push, generator) for _ in range(placebos)]
    acting = standing(ws)
    chosen, within = _strengths(ws, lowest, push, strengths, damage, at, acting)
    rulers = [_ruler(ws, known, lowest) for known in named]
    before = _together([ruler.read(acting) for ruler in rulers])
    gauge = Gauge(ws, lowest, text.measuring_windows(text.sizes.windows))
    base = gauge.losses(acting)
    steps, tally = [], Tally()
    for strength in counted(ws, chosen, "strengths"):
        tilted = _with(acting, pushing(ws, push, strength, at, tally))
        fields = [_with(acting, pushing(ws, field, strength, at)) for field in random]
        after, *readings = _heard(rulers, [tilted, *fields])
        change = (gauge.losses(tilted) - base) / base.mean()
        shares = [reading.share for reading in readings if reading.share is not None]
        mean = spread = z = None
        if after.share is not None and shares:
            mean, spread, z = against(shares, after.share)
        log_mean, log_spread, log_z = against([reading.log_prob for reading in readings], after.log_prob)
        own = None if after.own is None or before.own is None else after.own - before.own
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
                own_change=own,
            )
        )
    return Steering(
        layer=layers[0],
        concept=title,
        share_before=before.share,
        log_prob_before=before.log_prob,
        damage=damage,
        best=within,
        placebos=placebos,
        prompts=len(rulers[0].prompts),
        steps=tuple(steps),
        layers=layers,
        at=at,
        touched=tally.touched,
        seen=tally.seen,
        under=tuple(str(each) for each in ws.state.interventions.values()),
    )


def _ruler(ws: Workspace, concept: Concept, layer: int) -> Ruler | StreamRuler:
    """What measures a concept on this model."""
    if ws.text.spoken_at == DECISION:
        return Ruler(ws, concept, _PROMPTS)
    return StreamRuler(ws, concept, layer)


def _heard(rulers: Sequence[Ruler | StreamRuler], changes: Sequence[Change]) -> list[Heard]:
    """What is said under each of the changes, by several rulers together."""
    each = [ruler.read_each(changes) for ruler in rulers]
    return [_together(found) for found in zip(*each, strict=True)]


def _together(found: Sequence[Heard]) -> Heard:
    """The mean of what several rulers read."""
    if len(found) == 1:
        return found[0]
    shares = [each.share for each in found if each.share is not None]
    owns = [each.own for each in found if each.own is not None]
    return Heard(
        statistics.fmean(shares) if shares else None,
        statistics.fmean(each.log_prob for each in found),
        statistics.fmean(owns) if owns else None,
    )


def _with(acting: Change, more: Change) -> Change:
    """A change on top of what is held."""
    if not acting.state and not acting.also:
        return more
    return replace(acting, also=(*acting.also, more))


def _random_like(push: Mapping[int, torch.Tensor], generator: torch.Generator) -> dict[int, torch.Tensor]:
    """Random directions of the norms of a push, layer by layer."""
    made = {}
    for layer, direction in push.items():
        field = torch.randn(len(direction), generator=generator).to(direction)
        made[layer] = field * torch.linalg.vector_norm(direction) / torch.linalg.vector_norm(field)
    return made


def _strengths(
    ws: Workspace,
    layer: int,
    push: Mapping[int, torch.Tensor],
    given: Sequence[float] | None,
    damage: float,
    at: str,
    acting: Change,
) -> tuple[list[float], float | None]:
    """The strengths to try, and the largest of them within the damage budget (``None``: not even the least)."""
    text = ws.text
    gauge = Gauge(ws, layer, text.choosing_windows(text.sizes.windows))
    base = gauge.losses(acting)
    chosen: list[float] = []
    within: float | None = None
    for strength in sorted(given or STRENGTHS, key=abs):
        chosen.append(strength)
        tilted = _with(acting, pushing(ws, push, strength, at))
        if gauge.rise_at_most(tilted, base) <= damage:
            within = strength
        elif given is None:
            break
    return chosen, within


def effect(
    ws: Workspace,
    layer: tuple[int, ...] | None,
    concept: str,
    placebos: int | None,
    controls: Kinds | None,
) -> results.Effect:
    """What everything staged in a concept's layer, or in those that are named, does to it, against placebos of equal
    norm."""
    named = _to_edit(ws, layer, concept)
    layers = (named.layer,) if ws.model.landscape else _layers(ws, layer, named)
    memories = {each: ws.memory(each) for each in layers}
    given = {each: ws.staged(each) for each in layers if ws.fitted(each) is not None}
    edited = {each: version for each, version in memories.items() if version.depth}
    of_landscape = not edited  # then what is edited is the landscape that a layer was given, if anything
    edited = edited or {each: version for each, version in given.items() if version.depth}
    held = [each for each in ws.state.interventions.values() if isinstance(each, Push)]
    if not edited and held:
        return _effect_of_pushes(ws, named, held, placebos, controls)
    if not edited:
        where = ", ".join(f"L{each}" for each in layers)
        raise ElError(
            f"nothing is staged in {where}, and no push is held: there is no effect to measure",
            code="EL513",
            hint="edit the layer first, with `inject-concept` for example"
            if ws.model.landscape
            else f"`inject-concept L{layers[0]} {named.name}` or `push L{layers[0]} {named.name} 1.0` first",
        )
    wholes = {
        each: functools.reduce(
            lambda left, right: left.joined(right),
            [step.factors for step in version.chain if step.factors is not None],
        )
        for each, version in edited.items()
    }
    roots = {each: ws.weight(version.root) for each, version in edited.items()}
    if not ws.model.landscape:
        return stream_effect(
            ws,
            halves(named)[1],
            wholes,
            roots,
            of_landscape=of_landscape,
            placebos=placebos,
            kinds=controls or "all",
        )
    found = measure(ws, named, wholes[named.layer], roots[named.layer], None, placebos)
    if controls == "all":
        why = "of edits of landscapes the other kinds stand beside `inject-concept`, which knows how each was made"
        found = replace(found, absent=(why,))
    return found


@torch.no_grad()
def _effect_of_pushes(
    ws: Workspace, named: Concept, held: Sequence[Push], placebos: int | None, kinds: Kinds | None
) -> results.Effect:
    """What the pushes that are held do to a concept, beside other pushes of the same norms at the same positions."""
    lowest = min(layer for each in held for layer in each.directions)
    generator = ws.generator("effect", named.name)

    def others(directions: Sequence[Mapping[int, Tensor]]) -> Change:
        made = zip(held, directions, strict=True)
        return Change(also=tuple(pushing(ws, each, push.strength, push.at) for push, each in made))

    ruler, text = _ruler(ws, named, lowest), ws.text
    gauge = Gauge(ws, lowest, text.measuring_windows(text.sizes.windows))
    acting = others([each.directions for each in held])
    before, after = ruler.read(Change()), ruler.read(acting)
    base = gauge.losses(Change())
    change = (gauge.losses(acting) - base) / base.mean()
    controls: list[tuple[str, Change]] = []
    usual = RANDOM if ws.model.landscape else FEW
    for _ in range(placebos or usual):
        controls.append(("random", others([_random_like(each.directions, generator) for each in held])))
    absent: tuple[str, ...] = ()
    if (kinds or ("random" if ws.model.landscape else "all")) == "all":
        more, absent = _other_pushes(ws, named, held)
        controls += [(kind, others(each)) for kind, each in more]
    readings: dict[str, list[tuple[Heard, float]]] = {}
    for kind, control in counted(ws, controls, "other pushes measured"):
        readings.setdefault(kind, []).append((ruler.read(control), gauge.rise(control, base)))
    losses = (float(base.mean()), float(base.mean() * (1 + change.mean())))
    found = tuple(placebo(kind, those, after) for kind, those in readings.items())
    return replace(effect_of(before, after, found, losses, change, len(ruler.prompts)), absent=absent)


def _other_pushes(
    ws: Workspace, named: Concept, held: Sequence[Push]
) -> tuple[list[tuple[str, list[Mapping[int, Tensor]]]], tuple[str, ...]]:
    """Directions for every push that is held: of other concepts than any of these, and with shuffled labels."""
    busy = [named.name, *(each.concept for each in held)]
    each = [
        beside(ws, concept_named(ws, push.concept), tuple(push.directions), busy)
        for push in held
        if push.concept in ws.state.concepts
    ]
    if len(each) < len(held):
        return [], ("a concept towards which a push is held is not known any more",)
    found: list[tuple[str, list[Mapping[int, Tensor]]]] = []
    for kind in ("other", "shuffled"):
        those = [[directions for name, directions in one.found if name == kind] for one in each]
        for together in zip(*those, strict=False):
            matched = [of_norms(one, push.directions) for one, push in zip(together, held, strict=True)]
            found.append((kind, list(matched)))
    return found, tuple(dict.fromkeys(why for one in each for why in one.absent))


def _where_it_lands(
    ws: Workspace, concept: Concept, strength: float | None, damage: float
) -> tuple[Concept, Candidate | None]:
    """A concept whose layer was chosen automatically, at the first layer where it becomes a basin of its own, and how:
    the layers in the order of what they carry. Where it lands nowhere it stays where it was."""
    order = sorted(concept.fits, key=lambda fit: -(fit.carried or 0.0))
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
    if text.dialogue:
        share = Ruler(ws, concept, asked=text.choosing_prompts, layer=concept.layer).read(changed).share
        return 0.0 if share is None else share
    return float(
        likelihoods.concept_log_prob(text, concept.texts, text.choosing_prompts[:16], change=changed).mean()
    )
