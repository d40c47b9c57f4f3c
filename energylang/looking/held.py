"""Interventions that are held: what forward passes do while they are active."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from energylang.landscape.assign import assign
from energylang.landscape.draws import stable_generator
from energylang.models import sampling
from energylang.models.protocol import Change, Sample
from energylang.workspace.history import Holding
from energylang.workspace.workspace import Workspace


class _Within:
    """Which states (…, d) are in the basin of an intervention → (…) bool."""

    def __init__(self, ws: Workspace, holding: Holding) -> None:
        layer = holding.layer
        self.landscape = ws.landscape_of(layer, ws.state.layers[layer].live)
        self.eps = float(ws.setting("eps"))
        self.kicks = partial(ws.generator, "assign", layer)
        self.holding = holding

    def __call__(self, states: Tensor) -> Tensor:
        flat = states.detach().reshape(-1, states.shape[-1]).to(self.landscape.weight)
        centres = self.holding.centres.to(flat)
        index, _, _ = assign(self.landscape, centres, flat, self.kicks(), eps=self.eps)
        inside: Tensor = (index == self.holding.index).reshape(states.shape[:-1]).to(states.device)
        return inside


def standing(ws: Workspace) -> Change:
    """All of the session's interventions, as one change of a pass."""
    by_layer: dict[int, list[_Within]] = {}
    for holding in ws.state.interventions.values():
        by_layer.setdefault(holding.layer, []).append(_Within(ws, holding))
    return Change(state={layer: _doing(held) for layer, held in by_layer.items()})


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


def generate_live(ws: Workspace, prompt: str, *, tokens: int, temp: float, topk: int, seed: int) -> Sample:
    """What the live model says, with the interventions that are active."""
    generator = stable_generator("generate", ws.setting("seed"), seed)
    return sampling.generate(
        ws.text,
        prompt,
        tokens=tokens,
        temp=temp,
        topk=topk,
        generator=generator,
        change=standing(ws),
    )
