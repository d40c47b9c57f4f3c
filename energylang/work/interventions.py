"""What is done to states in forward passes, and how it is undone: the interventions of a session.

An intervention concerns one basin of one layer. A state (a token's x_K) *is in* the basin when it settles there, by
the same rule as in `survey` and `usage` (``landscape.assign``); with c the centre's unit vector and a = x·c its
activation:

* ``zero``: a state in the basin loses its component along c;
* ``boost``: that component is multiplied by ``amount`` (2 by default);
* ``swap``: that component is laid along another basin's centre instead;
* ``clamp``: EVERY state of the layer gets the component ``amount``·‖centre‖ (1 by default): the basin is held on.

Interventions are part of the session's state (undo takes them back) and act in ``generate``, ``trace``,
``trace-generation``, ``usage``, ``contexts``, ``probe`` and ``benchmark``: what the live model says and does. Edits
and the measurement of their effects do not see them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from energylang import results
from energylang.errors import ElError
from energylang.landscape.assign import assign
from energylang.models.protocol import Intervention
from energylang.signature.values import BasinRef
from energylang.workspace.history import Holding

if TYPE_CHECKING:
    from .workbench import Workbench

KINDS = ("zero", "clamp", "boost", "swap")
_DEFAULT = {"clamp": 1.0, "boost": 2.0}


def intervene(
    session: Workbench, layer: int, basin: BasinRef, kind: str, amount: float | None, to: BasinRef | None
) -> results.Intervened:
    """Begin an intervention; one of the same basin is replaced."""
    session.known_basins(layer)
    centre = session.direction(layer, basin)
    other = None
    if kind == "swap":
        if to is None:
            raise ElError("a swap needs the other basin", code="EL202", hint=f"for example: to=L{layer}.B1")
        other = session.direction(layer, to)
        if to == basin:
            raise ElError(f"{basin} cannot be swapped with itself", code="EL510")
    elif to is not None:
        raise ElError(f"`to` belongs to swap, not to {kind}", code="EL202")
    if amount is not None and kind not in _DEFAULT:
        raise ElError(f"{kind} has no amount", code="EL202", hint="amount belongs to clamp and boost")
    alive = session.registry(layer).alive()
    holding = Holding(
        layer=layer,
        basin=basin.basin,
        kind=kind,
        amount=_DEFAULT.get(kind, 0.0) if amount is None else amount,
        centres=torch.stack([known.centre for known in alive]).to(centre),
        index=next(i for i, known in enumerate(alive) if known.id == basin.basin),
        to=None if to is None else to.basin,
        other=other,
    )
    session.state = replace(session.state, interventions={**session.state.interventions, str(basin): holding})
    reach, tokens = _reach(session, holding)
    return results.Intervened(
        layer=layer,
        basin=basin.basin,
        kind=kind,
        amount=holding.amount if kind in _DEFAULT else None,
        to=holding.to,
        reach=reach,
        tokens=tokens,
        active=tuple(str(held) for held in session.state.interventions.values()),
    )


@torch.no_grad()
def _reach(session: Workbench, holding: Holding) -> tuple[int, int]:
    """How many of the held-out tokens looked at are in the basin, and how many that were."""
    text = session.text
    if text.heldout is None:
        return 0, 0
    states = text.window_states(text.reading_windows())[holding.layer]
    total = states[..., 0].numel()
    return total if holding.kind == "clamp" else int(_Within(session, holding)(states).sum()), total


class _Within:
    """Which states (…, d) are in the basin of an intervention → (…) bool."""

    def __init__(self, session: Workbench, holding: Holding) -> None:
        layer = holding.layer
        self.landscape = session.landscape_of(layer, session.state.layers[layer].live)
        self.eps = float(session.setting("eps"))
        self.kicks = partial(session.generator, "assign", layer)
        self.holding = holding

    def __call__(self, states: Tensor) -> Tensor:
        flat = states.detach().reshape(-1, states.shape[-1]).to(self.landscape.weight)
        centres = self.holding.centres.to(flat)
        index, _, _ = assign(self.landscape, centres, flat, self.kicks(), eps=self.eps)
        inside: Tensor = (index == self.holding.index).reshape(states.shape[:-1]).to(states.device)
        return inside


def standing(session: Workbench) -> Intervention:
    """All of the session's interventions, as one change of a pass."""
    by_layer: dict[int, list[_Within]] = {}
    for holding in session.state.interventions.values():
        by_layer.setdefault(holding.layer, []).append(_Within(session, holding))
    return Intervention(state={layer: _doing(held) for layer, held in by_layer.items()})


def _doing(held: list[_Within]) -> Callable[[Tensor], Tensor]:
    def act(states: Tensor) -> Tensor:
        for within in held:
            states = _acted(states, within)
        return states

    return act


def _acted(states: Tensor, within: _Within) -> Tensor:
    """The states (…, d) under one intervention."""
    holding = within.holding
    centre = holding.centres[holding.index].to(states)
    unit = centre / torch.linalg.vector_norm(centre)
    along = (states @ unit).unsqueeze(-1)
    if holding.kind == "clamp":
        level = holding.amount * torch.linalg.vector_norm(centre)
        held: Tensor = states + (level - along) * unit
        return held
    if holding.kind == "zero":
        changed = states - along * unit
    elif holding.kind == "boost":
        changed = states + (holding.amount - 1.0) * along * unit
    else:
        assert holding.other is not None  # a swap has one
        other = holding.other.to(states)
        changed = states + along * (other / torch.linalg.vector_norm(other) - unit)
    return torch.where(within(states).unsqueeze(-1), changed, states)
