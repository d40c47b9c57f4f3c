"""What stands beside a push of a stream, or beside a value that is written into a memory: other directions of its norm.

* ``random``: normal numbers;
* ``other``: the directions of other concepts that were captured at the layer: what *they* do to this concept tells
  what is special about it from what every such direction does;
* ``shuffled``: the concept's own texts and what they are set against, with their labels mixed: the difference of the
  means of as many texts as before, drawn from all of them.

Key, positions and norm are those of what they stand beside. Directions are taken as they are found: a value that was
made better by descent stands beside differences of means (a descent for each would cost as much as the edit itself).
Where a kind cannot be had, it is said why.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from energylang.errors import ElError
from energylang.landscape.draws import stable_generator
from energylang.landscape.lowrank import LowRank
from energylang.landscape.memory import other_values
from energylang.workspace.history import Concept
from energylang.workspace.workspace import Workspace

from . import controls
from .captured import pushes, sides

Kinds = Literal["random", "all"]
_DRAWS = 50  # of labels, until there are enough different ones


@dataclass(frozen=True)
class Directions:
    """Directions to set beside a concept's own: the kind of each, and by layer (d,); and which kinds there are none
    of, and why."""

    found: list[tuple[str, Mapping[int, Tensor]]]
    absent: tuple[str, ...]


def beside(ws: Workspace, concept: Concept, layers: Sequence[int], busy: Collection[str] = ()) -> Directions:
    """Those of other concepts (none that is ``busy``), and with shuffled labels, at the layers."""
    found: list[tuple[str, Mapping[int, Tensor]]] = []
    absent: list[str] = []
    known = _others(ws, concept, layers, busy)
    found += [("other", each) for each in known]
    if not known:
        absent.append(f"no other concept is captured at L{concept.layer}")
    mixed = _shuffled(ws, concept, layers)
    found += [("shuffled", each) for each in mixed]
    if not mixed:
        count = len(concept.states)
        texts = "1 text" if count == 1 else f"{count} texts"
        absent.append(f"the labels of {texts} cannot be shuffled: `capture` more of `{concept.name}`")
    return Directions(found, tuple(absent))


def _others(
    ws: Workspace, concept: Concept, layers: Sequence[int], busy: Collection[str]
) -> list[Mapping[int, Tensor]]:
    found: list[Mapping[int, Tensor]] = []
    for known in ws.state.concepts.values():
        if known.layer != concept.layer or known.name in (concept.name, *busy):
            continue
        try:
            found.append(pushes(ws, known, layers))
        except ElError:  # one that has no direction, or none at these layers
            continue
        if len(found) == controls.OTHER:
            break
    return found


def _shuffled(ws: Workspace, concept: Concept, layers: Sequence[int]) -> list[Mapping[int, Tensor]]:
    """Differences of the means of mixed texts: never of those that are, nor of their opposite."""
    try:
        read = sides(ws, concept, layers)
    except ElError:  # a direction without texts
        return []
    inside, outside = (len(side) for side in next(iter(read.values())))
    same = {frozenset(range(inside)), frozenset(range(inside, inside + outside))}
    few = math.comb(inside + outside, inside) <= len([each for each in same if len(each) == inside])
    if few or not outside:
        return []
    generator = stable_generator("shuffled labels", ws.setting("seed"), concept.layer, concept.name)
    found: list[Mapping[int, Tensor]] = []
    for _ in range(_DRAWS):
        order = torch.randperm(inside + outside, generator=generator)
        drawn = frozenset(order[:inside].tolist())
        if drawn in same:
            continue
        same.add(drawn)
        made = {layer: _difference(torch.cat(both), order, inside) for layer, both in read.items()}
        if all(bool(torch.linalg.vector_norm(each) > 0) for each in made.values()):
            found.append(made)
        if len(found) == controls.SHUFFLED:
            break
    return found


def _difference(states: Tensor, order: Tensor, count: int) -> Tensor:
    here = order.to(states.device)
    return states[here[:count]].mean(dim=0) - states[here[count:]].mean(dim=0)


@dataclass(frozen=True)
class Beside:
    """An edit to set beside another: its kind, and by layer what is added to the weight."""

    kind: str
    factors: Mapping[int, LowRank]


def beside_values(
    ws: Workspace,
    concept: Concept,
    factors: Mapping[int, LowRank],
    placebos: int,
    kinds: Kinds,
    *,
    of_landscape: bool,
) -> tuple[list[Beside], tuple[str, ...]]:
    """Edits with the keys and the norms of a memory edit (by layer), and other values; the random ones first. A
    direction is taken the way in which the edit has the concept's own: towards what it names, or away from it.
    (``concept`` may be a part of one; labels are those of the whole.)"""
    layers, whole = tuple(sorted(factors)), ws.state.concepts.get(concept.name, concept)
    transposed = ws.model.header.transposed and not of_landscape
    where = layers[0] if len(layers) == 1 else layers
    generator = stable_generator("placebo", ws.setting("seed"), where, concept.name)
    made = [
        Beside(
            "random",
            {layer: other_values(factors[layer], generator, transposed=transposed) for layer in layers},
        )
        for _ in range(placebos)
    ]
    if kinds == "random":
        return made, ()
    if of_landscape:
        return made, (f"concepts are no directions of the landscape that L{layers[0]} was given",)
    directions = beside(ws, whole, layers)
    own: Mapping[int, Tensor] = {}
    with suppress(ElError):  # a direction that has none at these layers
        own = pushes(ws, whole, layers)
    for kind, each in directions.found:
        values = {
            layer: _with_values(edit, each[layer], own.get(layer), transposed=transposed)
            for layer, edit in factors.items()
        }
        made.append(Beside(kind, values))
    return made, directions.absent


def _with_values(factors: LowRank, direction: Tensor, own: Tensor | None, *, transposed: bool) -> LowRank:
    """The same queries with a direction (d,) in the place of every value, as long as it, away from what it names where
    the value leads away from ``own``; at the same norm."""
    side = factors.right if transposed else factors.left
    signs = torch.ones(side.shape[1]).to(side)
    if own is not None:
        signs = torch.where(own.to(side) @ side < 0, -signs, signs)
    unit = direction.to(side) / torch.linalg.vector_norm(direction.to(side))
    values = unit[:, None] * (signs * torch.linalg.vector_norm(side, dim=0))
    made = LowRank(factors.left, values) if transposed else LowRank(values, factors.right)
    return made.scaled(factors.norm / made.norm) if made.norm else made


def of_norms(directions: Mapping[int, Tensor], like: Mapping[int, Tensor]) -> dict[int, Tensor]:
    """Directions with the norms of others, layer by layer."""
    return {
        layer: direction
        * (torch.linalg.vector_norm(like[layer]) / torch.linalg.vector_norm(direction)).to(direction)
        for layer, direction in directions.items()
    }
