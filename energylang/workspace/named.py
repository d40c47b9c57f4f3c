"""What names of the language stand for: layers, basins, concepts, directions, places in the history."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from energylang.errors import ElError
from energylang.landscape.draws import stable_generator
from energylang.landscape.lineage import Registry
from energylang.models.model import Model
from energylang.signature.coerce import suggestion
from energylang.signature.values import BasinRef, ConceptName, Seed

from .history import Concept, TreeNode, without_edit
from .versions import Version
from .workspace import Workspace, check_layer


def centre_of(ws: Workspace, reference: BasinRef) -> Tensor:
    """The centre (d,) of a living basin."""
    check_layer(ws.model, reference.layer)
    registry = ws.staged(reference.layer).registry
    basin = registry.get(reference.basin)
    if basin is None:
        alive = registry.alive()
        if not registry.basins:
            message, hint = (
                f"L{reference.layer} has not been surveyed",
                f"`survey L{reference.layer}` first",
            )
        else:
            message = f"no basin {reference} is known"
            hint = (
                f"L{reference.layer} has {len(alive)} known basins, B{alive[0].id} to B{alive[-1].id}"
                if alive
                else f"L{reference.layer} has no living basin"
            )
        raise ElError(message, code="EL510", hint=hint)
    if basin.status == "lost":
        raise ElError(
            f"{reference} was lost in edit {basin.lost_by}",
            code="EL510",
            hint="`history` shows the edits; `undo` brings it back",
        )
    return basin.centre


def concept_named(ws: Workspace, name: str) -> Concept:
    found = ws.state.concepts.get(name)
    if found is None:
        raise ElError(
            f"no concept `{name}` has been captured",
            code="EL511",
            hint=suggestion(name, ws.state.concepts) or f'`capture L0 {name} "some text"` first',
        )
    return found


def concept_at(ws: Workspace, layer: int | None, name: str) -> Concept:
    """A concept that was captured at this layer (at any, without one)."""
    concept = concept_named(ws, name)
    if layer is not None and concept.layer != layer:
        raise ElError(
            f"`{concept.name}` was captured at L{concept.layer}, not at L{layer}",
            code="EL511",
            hint=f"use L{concept.layer}, or capture it at L{layer}, too: a concept has a state for each layer",
        )
    return concept


def state_of(ws: Workspace, layer: int, target: BasinRef | ConceptName | Seed) -> Tensor:
    """The state (d,) that a direction names, at a layer."""
    dim = ws.model.dims[layer]
    like = ws.landscape_of(layer).weight if ws.has_landscape(layer) else ws.model.weight(layer)
    if isinstance(target, Seed):
        draw = torch.randn(dim, generator=stable_generator("direction", dim, target.seed))
        return draw.to(like)
    if isinstance(target, BasinRef):
        if target.layer != layer:
            raise ElError(f"{target} is not a basin of L{layer}", code="EL510")
        return centre_of(ws, target).to(like)
    concept = concept_at(ws, layer, target.name)
    if ws.fitted(layer) is not None:
        raise no_state(layer, concept)
    return concept.centroid.to(like)


def no_state(layer: int, concept: Concept) -> ElError:
    """What is wrong with a concept where a state of a landscape that the layer was given is needed."""
    return ElError(
        f"@{concept.name} is a direction of the stream, and no state of the landscape that L{layer} was given",
        code="EL252",
        hint=f"name a basin (L{layer}.B7) or a seed; concepts are written by `inject-concept` and `steer`",
    )


def node_at(ws: Workspace, id: int) -> TreeNode:
    """The place in the history with this id."""
    node = ws.timeline.nodes.get(id)
    if node is None:
        changed = any(entry.id == id for entry in ws.timeline.log)
        raise ElError(
            f"operation {id} failed: there is no place to go to"
            if changed
            else f"there is no operation {id}",
            code="EL514",
            hint="`history tree` shows the places",
        )
    return node


@contextmanager
def seen_from(ws: Workspace, id: int | None) -> Iterator[None]:
    """Look at the landscapes as they are at another place in the history, without going there: the live model
    stays as it is. What is learnt about the basins belongs to the weights of that place."""
    here = ws.state
    if id is not None:
        ws.state = node_at(ws, id).after
    try:
        yield
    finally:
        ws.state = here


def take_back(ws: Workspace, layer: int, statement: str) -> TreeNode | None:
    """Undo the last edit of a layer that is in force, and nothing else; the edit, or ``None``."""
    node = ws.timeline.last_edit(layer)
    if node is not None:
        before = ws.state
        if not node.refused:
            ws.restore_state(without_edit(node, layer, before))
        ws.timeline.record(statement, before, ws.state, "OK", "", layer, takes_back=node)
    return node


def fresh_registry(ws: Workspace, version: Version) -> Registry:
    """A version's registry, ready to hand out ids that were never used in this session."""
    registry = version.registry
    return replace(registry, next_id=max(registry.next_id, ws.timeline.next_basin.get(version.name, 0)))


def keep_registry(ws: Workspace, version: Version, registry: Registry, *, surveyed: bool) -> None:
    version.registry = registry
    version.surveyed = version.surveyed or surveyed
    ws.timeline.next_basin[version.name] = max(ws.timeline.next_basin.get(version.name, 0), registry.next_id)


def travel_to(ws: Workspace, node: TreeNode) -> tuple[list[TreeNode], list[TreeNode]]:
    """Make the state at a node of the history the workspace's; what was undone, and what done again."""
    passed = ws.timeline.go_to(node)
    ws.restore_state(node.after)
    return passed


@contextmanager
def staged_made_live(ws: Workspace) -> Iterator[Model]:
    """The model with everything staged in place, for writing it down; the live weights come back."""
    here = ws.state
    ws.restore_state(replace(here, layers=tuple(each.all_live for each in here.layers)))
    try:
        yield ws.model
    finally:
        ws.restore_state(here)
