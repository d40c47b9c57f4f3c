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

from dataclasses import replace

import torch

from energylang import results
from energylang.errors import ElError
from energylang.landscape.draws import stable_generator
from energylang.looking import basins as observing
from energylang.looking.held import _Within, standing
from energylang.models.protocol import Generation
from energylang.signature.values import BasinRef
from energylang.workspace.history import Holding
from energylang.workspace.named import state_of
from energylang.workspace.workspace import Workspace

KINDS = ("zero", "clamp", "boost", "swap")
_DEFAULT = {"clamp": 1.0, "boost": 2.0}


def intervene(
    ws: Workspace, layer: int, basin: BasinRef, kind: str, amount: float | None, to: BasinRef | None
) -> results.Intervened:
    """Begin an intervention; one of the same basin is replaced."""
    observing.known_basins(ws, layer)
    centre = state_of(ws, layer, basin)
    other = None
    if kind == "swap":
        if to is None:
            raise ElError("a swap needs the other basin", code="EL202", hint=f"for example: to=L{layer}.B1")
        other = state_of(ws, layer, to)
        if to == basin:
            raise ElError(f"{basin} cannot be swapped with itself", code="EL510")
    elif to is not None:
        raise ElError(f"`to` belongs to swap, not to {kind}", code="EL202")
    if amount is not None and kind not in _DEFAULT:
        raise ElError(f"{kind} has no amount", code="EL202", hint="amount belongs to clamp and boost")
    alive = ws.staged(layer).registry.alive()
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
    ws.state = replace(ws.state, interventions={**ws.state.interventions, str(basin): holding})
    reach, tokens = _reach(ws, holding)
    return results.Intervened(
        layer=layer,
        basin=basin.basin,
        kind=kind,
        amount=holding.amount if kind in _DEFAULT else None,
        to=holding.to,
        reach=reach,
        tokens=tokens,
        active=tuple(str(held) for held in ws.state.interventions.values()),
    )


@torch.no_grad()
def _reach(ws: Workspace, holding: Holding) -> tuple[int, int]:
    """How many of the held-out tokens looked at are in the basin, and how many that were."""
    text = ws.text
    if text.heldout is None:
        return 0, 0
    states = text.window_states(text.reading_windows())[holding.layer]
    total = states[..., 0].numel()
    return total if holding.kind == "clamp" else int(_Within(ws, holding)(states).sum()), total


def generate_live(
    ws: Workspace, prompt: str, *, tokens: int, temp: float, topk: int, seed: int
) -> Generation:
    """What the live model says, with the interventions that are active."""
    generator = stable_generator("generate", ws.setting("seed"), seed)
    return ws.text.generate(
        prompt,
        tokens=tokens,
        temp=temp,
        topk=topk,
        generator=generator,
        intervention=standing(ws),
    )
