"""What is held in forward passes until it is undone: interventions in basins, pushes, parts that are scaled."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from energylang.landscape.assign import assign
from energylang.landscape.draws import stable_generator
from energylang.models import sampling
from energylang.models.positions import Tally, where
from energylang.models.protocol import Change, Readable, Sample
from energylang.workspace.history import Holding, Push
from energylang.workspace.workspace import Workspace

_TAIL = 48  # characters of what is being said


class _Within:
    """Which states (…, d) are in the basin of an intervention → (…) bool."""

    def __init__(self, ws: Workspace, holding: Holding) -> None:
        layer = holding.layer
        self.landscape = ws.landscape_of(layer, ws.live(layer))
        self.eps = float(ws.setting("eps"))
        self.kicks = partial(ws.generator, "assign", layer)
        self.holding = holding

    def __call__(self, states: Tensor) -> Tensor:
        flat = states.detach().reshape(-1, states.shape[-1]).to(self.landscape.weight)
        centres = self.holding.centres.to(flat)
        index, _, _ = assign(self.landscape, centres, flat, self.kicks(), eps=self.eps)
        inside: Tensor = (index == self.holding.index).reshape(states.shape[:-1]).to(states.device)
        return inside


def standing(ws: Workspace, tally: Tally | None = None) -> Change:
    """Everything that is held, as one change of a pass; ``tally`` counts the positions that pushes and scalings
    touch."""
    by_layer: dict[int, list[_Within]] = {}
    others: list[Change] = []
    for held in ws.state.interventions.values():
        if isinstance(held, Holding):
            by_layer.setdefault(held.layer, []).append(_Within(ws, held))
        elif isinstance(held, Push):
            others.append(pushing(ws, held.directions, held.strength, held.at, tally))
        else:
            others.append(scaling(ws, held.neurons, held.heads, held.directions, held.factor, held.at, tally))
    acting = [ws.acting(layer, _doing(held)) for layer, held in by_layer.items()]
    return Change(
        state={layer: act for each in acting for layer, act in each.state.items()},
        basins={layer: act for each in acting for layer, act in each.basins.items()},
        also=tuple(others),
    )


def pushing(
    ws: Workspace, directions: Mapping[int, Tensor], strength: float, at: str, tally: Tally | None = None
) -> Change:
    """A change that adds ``strength`` times the directions (d,), by layer, at positions."""
    drive = {layer: strength * direction for layer, direction in directions.items()}
    return Change(drive=drive, where=where(at, ws.text.encode), tally=tally)


def scaling(
    ws: Workspace,
    neurons: Mapping[int, Sequence[int]],
    heads: Mapping[int, Sequence[int]],
    directions: Mapping[int, Tensor],
    factor: float,
    at: str,
    tally: Tally | None = None,
    *,
    of_basins: bool = False,
) -> Change:
    """A change that multiplies what neurons answer, what heads read, and the part of a layer's states in the span of
    directions (k, d), orthonormal rows: by layer, at positions. With 0 they are ablated. ``of_basins``: the
    directions are of a landscape's states, which in a layer that was given one are not those of the stream."""

    def columns(numbers: Sequence[int], axis: int) -> Callable[[Tensor], Tensor]:
        def act(values: Tensor) -> Tensor:
            index = torch.tensor(sorted(numbers), device=values.device)
            return values.index_copy(axis, index, factor * values.index_select(axis, index))

        return act

    def along(rows: Tensor) -> Callable[[Tensor], Tensor]:
        def act(states: Tensor) -> Tensor:
            span = rows.to(states)
            scaled: Tensor = states + (factor - 1) * (states @ span.T) @ span
            return scaled

        return act

    return Change(
        neurons={layer: columns(numbers, 2) for layer, numbers in neurons.items()},
        heads={layer: columns(numbers, 2) for layer, numbers in heads.items()},
        state={k: along(rows) for k, rows in directions.items() if not (of_basins and ws.fitted(k))},
        basins={k: along(rows) for k, rows in directions.items() if of_basins and ws.fitted(k)},
        where=where(at, ws.text.encode),
        tally=tally,
    )


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


def generate_live(
    ws: Workspace,
    prompt: str,
    *,
    tokens: int,
    temp: float,
    topk: int,
    seed: int,
    read: Collection[Readable] = (),
    tally: Tally | None = None,
) -> Sample:
    """What the live model says, under everything that is held, with the states of the layers that are ``read``."""
    generator = stable_generator("generate", ws.setting("seed"), seed)
    return sampling.generate(
        ws.text,
        prompt,
        tokens=tokens,
        temp=temp,
        topk=topk,
        generator=generator,
        change=standing(ws, tally),
        read=read,
        heard=_telling(ws, tokens),
    )


def _telling(ws: Workspace, tokens: int) -> Callable[[str], None] | None:
    """Tell the listener every piece of text, and the watcher how many there are, how fast, and how the text goes."""
    listener, watcher = ws.listener, ws.watcher
    if listener is None and watcher is None:
        return None
    said: list[str] = []
    began = time.monotonic()

    def tell(piece: str) -> None:
        said.append(piece)
        if listener is not None:
            listener(piece)
        if watcher is not None:
            rate = len(said) / max(1e-9, time.monotonic() - began)
            tail = " ".join("".join(said).split())[-_TAIL:]
            watcher(len(said), tokens, f"tokens, {rate:.1f} a second: …{tail}")

    return tell
