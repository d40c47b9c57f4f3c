"""A concept's state becomes a basin of its own (``inject-concept method=attractor``).

``landscape.landing`` proposes changes, the best first; the first that passes everything is taken: the basin is there
and near the concept (as ``verify`` asks), it was not there before, the concept settles in it, a fresh survey meets it,
the gate agrees, and the loss on held-out text rises by no more than the damage. Each of these is a condition of the
result with its value and its limit, also where it fails; then the one of the proposals that fails least is shown.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from energylang.landscape.attractors import polish
from energylang.landscape.clusters import SAME, cosine_rows
from energylang.landscape.draws import starts
from energylang.landscape.dynamics import settle
from energylang.landscape.gate import flipped
from energylang.landscape.landing import landings
from energylang.landscape.layer import Landscape, interaction
from energylang.landscape.lowrank import LowRank
from energylang.landscape.proposal import Proposal
from energylang.looking.basins import known_basins
from energylang.looking.gauge import Gauge
from energylang.models.protocol import Change
from energylang.models.states import token_states
from energylang.results import Condition
from energylang.signature.values import ConceptName
from energylang.trial import asked
from energylang.trial.draft import Draft, Plan
from energylang.trial.staging import draft
from energylang.workspace.named import state_of
from energylang.workspace.workspace import Workspace, remembered

from .captured import opposite

if TYPE_CHECKING:
    from energylang.workspace.history import Concept


_CUES, _FLIP = 4, 0.15  # of every basin that is to be left alone
_FRESH_STARTS = 200  # of each kind
_ROUNDS, _EXACTLY = 4, 0.25  # of the dimension
_HOPELESS = 3.0  # times the limit of changed decisions, which leaving basins alone does not mend
MOMENT_TOKENS = 4096


def landed(ws: Workspace, concept: Concept, strength: float | None, damage: float) -> Draft:
    """The first proposal that passes all conditions, or the one that fails least."""
    made = _best(ws, concept, strength, damage)
    if strength is None or made.edit.applied:
        return made
    other = _best(ws, concept, None, damage)
    if not other.edit.applied:
        return made
    told = f"without a strength it lands, with {other.edit.relative_norm:.3g}"
    return replace(made, edit=replace(made.edit, notes=(*made.edit.notes, told)))


def imitated(ws: Workspace, layer: int, other: Concept) -> LowRank:
    """The same done with another concept, for a control: the first proposal, whatever the gate says of it."""
    return _proposals(ws, replace(other, layer=layer), _left_alone(ws, layer), None, [])[0].factors


def _best(ws: Workspace, concept: Concept, strength: float | None, damage: float) -> Draft:
    """Proposals are drafted one after the other until one is accepted. The basins that the
    gentlest of a round would lose are left exactly alone in the next one."""
    tried: list[Draft] = []
    moment = _left_alone(ws, concept.layer)
    lost: dict[int, Tensor] = {}
    for _ in range(_ROUNDS):
        drafts: list[Draft] = []
        for proposal in _proposals(ws, concept, moment, strength, list(lost.values())):
            made = draft(ws, _plan(ws, concept, proposal, strength))
            if made.edit.applied:
                made = _unharmed(ws, made, damage)
            if made.edit.applied:
                return made
            drafts.append(made)
            if _hopeless(ws, drafts):
                break
        tried += drafts
        gentlest = min(drafts, key=lambda made: (len(made.edit.lost), made.edit.norm)).edit
        main = {basin.id: basin for basin in ws.staged(concept.layer).registry.main()}
        gone = [main.get(id) for id in gentlest.lost]
        known = len(lost)
        lost |= {basin.id: basin.centre for basin in gone if basin is not None}
        if _hopeless(ws, drafts) or len(lost) == known or len(lost) > _EXACTLY * len(concept.centroid):
            break
    return min(tried, key=_shortfall)  # the first of the least


def _hopeless(ws: Workspace, drafts: list[Draft]) -> bool:
    """Whether two proposals changed far too many decisions, and none fewer."""
    most = _HOPELESS * float(ws.setting("max_changed"))
    return len(drafts) > 1 and all(made.edit.changed_fraction > most for made in drafts)


def _proposals(
    ws: Workspace, concept: Concept, moment: Tensor, strength: float | None, exactly: list[Tensor]
) -> list[Proposal]:
    layer = concept.layer
    landscape = ws.landscape_of(layer)
    return landings(
        landscape,
        concept.states.to(landscape.weight),
        _known(ws, layer, landscape),
        moment,
        exactly=torch.stack(exactly).to(landscape.weight) if exactly else None,
        opposite=opposite(ws, concept).mean(dim=0).to(landscape.weight),
        strength=strength,
        generator=ws.generator("inject-concept", layer, concept.name),
    )


def _known(ws: Workspace, layer: int, landscape: Landscape) -> Tensor:
    """(k, d): the main basins of the layer."""
    basins = known_basins(ws, layer).main()
    if not basins:
        return landscape.weight.new_zeros(0, landscape.dim)
    return torch.stack([basin.centre for basin in basins]).to(landscape.weight)


def _plan(ws: Workspace, concept: Concept, proposal: Proposal, strength: float | None) -> Plan:
    layer = concept.layer
    target = ConceptName(concept.name)
    return Plan(
        "inject-concept",
        layer,
        concept.name,
        lambda _landscape, _protected: proposal,
        asked=asked.both(asked.installed(target, state_of(ws, layer, target)), _new(concept)),
        installs=True,
        method="attractor",
        strength=strength,
        radii=True,
    )


def _left_alone(ws: Workspace, layer: int) -> Tensor:
    """(d, d): the second moment of f(x) over the known basins with noisy cues of each, plus that over real tokens."""
    landscape = ws.landscape_of(layer)
    known = _known(ws, layer, landscape)
    generator = ws.generator("left alone", layer)
    parts = [_tokens(ws, layer, MOMENT_TOKENS, "second moment")]
    if len(known):
        cues = flipped(known, _CUES, _FLIP, generator).reshape(-1, landscape.dim)
        parts.append(torch.cat((known, cues)))
    fields = [interaction(part.to(landscape.weight), landscape.degree) for part in parts]
    return torch.stack([field.T @ field / len(field) for field in fields]).sum(dim=0)


def _tokens(ws: Workspace, layer: int, count: int, purpose: str) -> Tensor:
    """(n, d): states of real tokens, read once."""
    return remembered(
        ws,
        lambda: token_states(ws.text, layer, count, ws.generator(purpose, layer)),
        *("token states", layer, count, purpose),
    )


def _new(concept: Concept) -> asked.Asked:
    """The basin that is there afterwards was not there before, and a fresh survey meets it."""

    def measured(tried: asked.Tried) -> asked.Done:
        rest = tried.proposal.target[None].to(tried.after.weight)
        eps = float(tried.ws.setting("eps"))
        was = settle(tried.before, rest.to(tried.before.weight), eps=eps).states
        closeness = float(cosine_rows(was, rest[0].to(was))[0])
        afresh = Condition(
            "cosine to where it would settle without the edit", closeness, SAME, False, closeness <= SAME
        )
        state = concept.centroid[None].to(tried.after.weight)
        arrived = polish(tried.after, settle(tried.after, state, eps=eps).states)[0]
        together = float(cosine_rows(arrived, rest[0])[0])
        own = Condition(
            "cosine of where the concept settles to the new basin", together, SAME, True, together > SAME
        )
        met, told = _survey_again(tried, concept, rest[0], eps)
        found = Condition("starts of a fresh survey that end in it", met, 1, True, met >= 1)
        failed = ""
        if not afresh.ok:
            failed = f"a basin was there already (cosine {closeness:.2f})"
        elif not own.ok:
            failed = f"the concept settles elsewhere (cosine {together:.2f} to the new basin)"
        elif not found.ok:
            failed = "a fresh survey does not meet the basin"
        return asked.Done((afresh, own, found), failed, notes=(told,))

    return measured


def _survey_again(tried: asked.Tried, concept: Concept, rest: Tensor, eps: float) -> tuple[int, str]:
    """How many starts of another survey end in a basin (d,): random ones, real tokens, the concept's own texts."""
    ws, layer, landscape = tried.ws, tried.layer, tried.after
    draw = ws.generator("fresh survey", layer)
    groups = (
        starts(_FRESH_STARTS, landscape.dim, draw, landscape.weight),
        _tokens(ws, layer, _FRESH_STARTS, "fresh survey tokens"),
        concept.states,
    )
    counts = []
    for states in groups:
        ends = settle(landscape, states.to(landscape.weight), eps=eps).states
        counts.append(int((cosine_rows(ends, rest) > SAME).sum()))
    random, tokens, own = counts
    told = (
        f"a fresh survey meets it from {own} of {len(groups[2])} of the concept's texts, {tokens} of "
        f"{len(groups[1])} real tokens and {random} of {len(groups[0])} random starts"
    )
    return sum(counts), told


def _unharmed(ws: Workspace, made: Draft, damage: float) -> Draft:
    """A draft that was accepted, with the rise of the loss as one more condition."""
    assert made.proposal is not None
    layer = made.plan.layer
    weight = ws.weight(ws.staged(layer))
    gauge = Gauge(ws, layer, ws.text.choosing_windows(ws.text.sizes.judged))
    base = gauge.losses(Change(weights={layer: weight}))
    changed = Change(weights={layer: made.proposal.factors.added_to(weight)})
    rise = gauge.rise_at_most(changed, base)
    condition = Condition("rise of the loss on held-out text", rise, damage, False, rise <= damage)
    edit = replace(made.edit, conditions=(*made.edit.conditions, condition))
    if not condition.ok:
        over = f"the loss may rise by {rise:.1%}, more than the budget of {damage:.1%}"
        edit = replace(edit, applied=False, reason=over)
    return replace(made, edit=edit)


def _shortfall(made: Draft) -> tuple[int, float]:
    """How far a draft is from being accepted: the conditions that fail, and how many times a limit is exceeded."""
    failing = [condition for condition in made.edit.conditions if not condition.ok]
    return len(failing), sum(
        abs(condition.value - condition.limit) / max(abs(condition.limit), 1e-9) for condition in failing
    )
