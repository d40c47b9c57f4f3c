"""What must no edit do?  Guards and protected basins stand in front of every edit of a weight.

A guard is a limit on what an edit leaves behind:

* ``strength-cap``: ‖ΔW‖/‖W‖ of the edit;
* ``max-changed``: the share of noisy decisions that it changes;
* ``cosine-drift``: 1 − cosine by which any basin that is not the edit's own moves;
* ``max-basins``, ``min-basins``: how many basins a survey of the edited layer finds;
* ``perplexity-delta``: the relative rise of the loss on held-out text with the edit in place;
* ``guard L percent``: the share of the layer's known basins that the edit may lose, its own target included.

``protect`` pins basins: an edit that loses one, or aims at one, is blocked. A blocked edit is a result, not an
error, and force does not overrule it: a limit that gives way is none. Guards are part of the state, so undo
brings them back or takes them away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from energylang.landscape.clusters import SAME, cosine_rows, gram
from energylang.landscape.draws import starts
from energylang.landscape.dynamics import settle_variants
from energylang.landscape.survey import survey
from energylang.looking.basins import random_starts
from energylang.looking.gauge import Gauge
from energylang.workspace.workspace import Workspace

if TYPE_CHECKING:
    from energylang.results import Edit
    from energylang.trial.draft import Draft

KINDS = (
    "max-basins",
    "min-basins",
    "strength-cap",
    "cosine-drift",
    "perplexity-delta",
    "max-changed",
)
COUNTS = ("max-basins", "min-basins")
SHARES = ("perplexity-delta", "max-changed")
_LARGEST = {"cosine-drift": 2.0, "max-changed": 1.0, "strength-cap": 1e6, "perplexity-delta": 1e6}
_WINDOWS = 48


def pinned_centres(ws: Workspace, layer: int) -> list[Tensor]:
    """Centres (d,) of a layer's protected basins that are alive."""
    registry = ws.staged(layer).registry
    found = (registry.get(basin) for basin in sorted(ws.state.protected.get(layer, ())))
    return [basin.centre for basin in found if basin is not None and basin.status == "alive"]


# ------------------------------------------------------------------------------------------ judging


def before_staging(ws: Workspace, *drafts: Draft) -> str:
    """Why a proposed edit, of a layer or of several, may not be staged; an empty text when no guard objects."""
    for made in drafts:
        for objection in _objections(ws, made):
            return objection
    rise = ws.state.guards.get("perplexity-delta")
    if rise is not None and ws.model.text is not None:
        found = _rise(ws, drafts)
        if found > rise:
            return f"guard perplexity-delta: the loss rises by {found:.1%}, more than {rise:.1%}"
    return ""


def _objections(ws: Workspace, made: Draft) -> Iterator[str]:
    """Those of guards that are about one layer."""
    proposal, edit, layer = made.proposal, made.edit, made.plan.layer
    assert proposal is not None  # callers have checked
    limits = ws.state.guards
    if made.plan.own is not None:
        pinned = pinned_centres(ws, layer)
        if pinned:
            # Moved or removed on purpose. The basin itself, not its mirror: that one is judged when it is lost.
            own = made.plan.own.to(pinned[0])
            if made.plan.ends and float(gram(torch.stack(pinned), own).max()) > SAME:
                yield f"{made.plan.target} is protected"
    cap = limits.get("strength-cap")
    if cap is not None and edit.relative_norm > cap:
        yield f"guard strength-cap: the edit is {edit.relative_norm:.1%} of the weight, more than {cap:.1%}"
    most = limits.get("max-changed")
    if most is not None and edit.changed_fraction > most:
        yield f"guard max-changed: {edit.changed_fraction:.1%} of the decisions change, more than {most:.1%}"
    basins = made.plan.method != "memory" and ws.has_landscape(layer)  # where there are none, none move
    drift = limits.get("cosine-drift") if basins else None
    if drift is not None:
        largest = _largest_drift(ws, made)
        if largest > drift:
            yield f"guard cosine-drift: another basin moves by {largest:.3f}, more than {drift:g}"
    if basins:
        yield from _counted(ws, made)


def _largest_drift(ws: Workspace, made: Draft) -> float:
    """1 − cosine by which the edit moves the basin that it moves most, its own left out."""
    assert made.proposal is not None
    landscape = ws.landscape_of(made.plan.layer)
    alive = ws.staged(made.plan.layer).registry.main()
    if not alive:
        return 0.0
    centres = torch.stack([basin.centre for basin in alive]).to(landscape.weight)
    own = [made.proposal.target[None]] + ([made.plan.own] if made.plan.own is not None else [])
    others = gram(centres, torch.cat([state.to(centres) for state in own])).abs().amax(dim=1) < SAME
    centres = centres[others]
    if not len(centres):
        return 0.0
    ends = settle_variants(landscape, centres, [made.proposal.factors]).states[0]
    return max(0.0, float((1 - cosine_rows(ends, centres)).max()))


def _counted(ws: Workspace, made: Draft) -> Iterator[str]:
    """Objections of the two guards that count basins, from one survey of the edited landscape."""
    assert made.proposal is not None
    limits, layer = ws.state.guards, made.plan.layer
    most, least = limits.get("max-basins"), limits.get("min-basins")
    if most is None and least is None:
        return
    landscape = ws.landscape_of(layer).edited(made.proposal.factors)
    inits = random_starts(ws, layer, int(ws.setting("inits")))
    states = starts(inits, landscape.dim, ws.generator("guard", layer), landscape.weight)
    alive = ws.staged(layer).registry.main()
    known = [basin.centre.to(states)[None] for basin in alive]
    states = torch.cat([states, made.proposal.target.to(states)[None], *known])
    count = len(survey(landscape, states, eps=float(ws.setting("eps"))))
    if most is not None and count > most:
        yield f"guard max-basins: {inits} starts would find {count} basins, more than {most:g}"
    if least is not None and count < least:
        yield f"guard min-basins: {inits} starts would find {count} basins, fewer than {least:g}"


def _rise(ws: Workspace, drafts: Sequence[Draft]) -> float:
    """The relative rise of the loss with everything staged and the edit in place, against everything staged."""
    lowest = min(made.plan.layer for made in drafts)
    staged = ws.running({i: at for i, at in enumerate(ws.state.layers) if not at.is_live and i >= lowest})
    gauge = Gauge(ws, lowest, ws.text.choosing_windows(min(_WINDOWS, ws.text.sizes.judged)))
    without = {**staged.weights}, {**staged.landscapes}
    edited = {**staged.weights}, {**staged.landscapes}
    for made in drafts:
        layer = made.plan.layer
        assert made.proposal is not None  # callers have checked
        assert made.version is not None  # what has a proposal has both
        assert made.version.parent is not None
        version = made.version.parent
        of_landscape = version is ws.staged(layer) and ws.fitted(layer) is not None
        weight = ws.weight(version)
        without[of_landscape][layer] = weight
        edited[of_landscape][layer] = made.proposal.factors.added_to(weight)
    before, after = (
        replace(staged, weights=weights, landscapes=given) for weights, given in (without, edited)
    )
    return gauge.rise(after, gauge.losses(before))


def after_staging(ws: Workspace, edit: Edit, known: int) -> str:
    """Why a staged edit must be taken back: what it lost is only known when its basins have been followed.
    ``known`` is the number of main basins that were alive before, ``edit.lost_main`` how many of them are gone."""
    pinned = ws.state.protected.get(edit.layer, frozenset())
    gone = sorted(pinned & set(edit.lost))
    if gone:
        return f"protected basins would be lost: {', '.join(f'L{edit.layer}.B{basin}' for basin in gone)}"
    share = ws.state.guards.get(f"L{edit.layer}")
    if share is not None and known and edit.lost_main / known > share:
        return f"guard L{edit.layer}: {edit.lost_main} of {known} basins would be lost, more than {share:.1%}"
    return ""
