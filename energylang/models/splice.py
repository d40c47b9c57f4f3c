"""How does an edit of a fitted landscape reach the model?

A layer's MLP reads z and answers y; its fitted landscape settles z in a state x = settle(z, W). What an edit of W, or
an intervention in x, changes is spliced in as a difference (``landscape.fitted``):

    y + (act(settle(z, W′)) − settle(z, W)) · readout,

where W is the landscape as it was fitted. Where neither W is edited nor anything acts, nothing is added to the pass at
all, and a place whose state is the same keeps its bits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from energylang.landscape.fitted import Fitted
from energylang.landscape.layer import Landscape

from .protocol import Change, Pass, Readable, Settled, applied


@dataclass(frozen=True, eq=False)
class Spliced:
    """A fitted landscape at work: as it was ``fitted``, and its live ``weight`` (d, d)."""

    fitted: Fitted
    weight: Tensor


@torch.no_grad()
def spliced(
    change: Change, landscapes: Mapping[int, Spliced], read: Collection[Readable] | None
) -> tuple[Change, dict[int, Tensor]]:
    """The change with an ``mlp`` function for every layer whose landscape is edited, acted on or read; and the settled
    states (b, t, d) by layer, which the pass will fill."""
    if not landscapes:
        return change, {}
    wanted = {each.layer for each in read or () if isinstance(each, Settled)}
    kept: dict[int, Tensor] = {}
    made: dict[int, Callable[[Tensor, Tensor], Tensor]] = {}
    for layer, at in landscapes.items():
        weight = change.landscapes.get(layer, at.weight)
        acts = any(layer in each.basins for each in (change, *change.also))
        edited = not (weight is at.fitted.weight or torch.equal(weight, at.fitted.weight))
        if edited or acts or layer in wanted:
            made[layer] = _through(
                at.fitted, weight if edited else None, change, layer, kept if layer in wanted else None
            )
    if not made:
        return change, kept
    return replace(change, also=(*change.also, Change(mlp=made))), kept


def _through(
    fitted: Fitted, weight: Tensor | None, change: Change, layer: int, kept: dict[int, Tensor] | None
) -> Callable[[Tensor, Tensor], Tensor]:
    edited: Landscape | None = None if weight is None else fitted.landscape.with_weight(weight)

    @torch.no_grad()
    def through(given: Tensor, said: Tensor) -> Tensor:
        flat = given.reshape(-1, given.shape[-1])
        before = fitted.settle(flat)
        state = before if edited is None else fitted.settle(flat, edited)
        state = state.reshape(*given.shape[:-1], -1)
        for each in (change, *change.also):
            act = each.basins.get(layer)
            if act is not None:
                state = applied(each, state, act(state))
        if kept is not None:
            kept[layer] = state
        moved = state - before.reshape(state.shape)
        reached = moved.any(-1, keepdim=True)
        if not bool(reached.any()):
            return said
        return torch.where(reached, said + (moved @ fitted.readout).to(said), said)

    return through


def with_settled(found: Pass, kept: Mapping[int, Tensor], read: Collection[Readable] | None) -> Pass:
    """The pass with the settled states among those that were read, and the streams that nobody asked for left out."""
    if not kept or read is None:
        return found
    states: dict[Readable, Tensor] = {key: state for key, state in found.states.items() if key in read}
    states |= {Settled(layer): state for layer, state in kept.items()}
    return Pass(found.logits, states)


def streams(read: Collection[Readable] | None) -> Collection[int] | None:
    """The layers that a pass must get to, for what is ``read``."""
    if read is None:
        return None
    return tuple(dict.fromkeys(each.layer if isinstance(each, Settled) else each for each in read))
