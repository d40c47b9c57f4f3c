"""Edits of a memory by key, as `strengthen`, `weaken` and `redirect` do them on a stream: drafted, measured, and staged
or refused."""

from __future__ import annotations

from dataclasses import replace

import torch

from energylang.concepts.keyed import answer_of, keyed, louder
from energylang.concepts.keyed_effect import done, keyed_effect
from energylang.concepts.keys import Phrase, Source, key_at
from energylang.errors import ElError
from energylang.results import Edit, Keyed
from energylang.signature.values import BasinRef, ConceptName, PartName, Seed
from energylang.trial.draft import Draft
from energylang.trial.staging import check_force, commit
from energylang.workspace.workspace import Workspace, check_layer


def by_key(ws: Workspace, target: object, method: str) -> bool:
    """Whether it is the memory of a stream that is meant, and not a landscape."""
    if method == "memory" or isinstance(target, PartName | Phrase):
        return True
    return isinstance(target, ConceptName) and not ws.model.landscape


def named(source: object) -> str:
    """A key as a script would name it."""
    return f"@{source}" if isinstance(source, ConceptName) else str(source)


def scaled(
    ws: Workspace,
    operation: str,
    layer: int,
    source: object,
    factor: float,
    damage: float,
    placebos: int | None,
    force: bool,
    reason: str,
) -> Edit:
    """Multiply what a memory answers at a key."""
    check_force(force, reason)
    check_layer(ws.model, layer)
    key = key_at(ws, layer, _source(source))
    target = named(source)
    made, factors = louder(ws, layer, key, factor, operation=operation, target=target, damage=damage)
    found = keyed_effect(ws, layer, key, factors, placebos=placebos, label=target)
    return judged(ws, made, found, factor, force=force, reason=reason)


@torch.no_grad()
def redirected(
    ws: Workspace,
    layer: int,
    source: object,
    to: object,
    strength: float | None,
    damage: float,
    dose: float | None,
    placebos: int | None,
    force: bool,
    reason: str,
) -> Edit:
    """Let a memory answer a key as it answers another."""
    check_force(force, reason)
    check_layer(ws.model, layer)
    key, other = (key_at(ws, layer, _source(each)) for each in (source, to))
    wanted, usual = (answer_of(ws, layer, each) for each in (other, key))
    if torch.equal(wanted, usual):
        raise ElError(f"{named(source)} is answered as {named(to)} is", code="EL510", hint="name another key")
    target = f"{named(source)} → {named(to)}"
    made, factors, _ = keyed(
        ws,
        layer,
        key,
        wanted - usual,
        operation="redirect",
        target=target,
        damage=damage,
        dose=dose,
        strength=strength,
    )
    found = keyed_effect(
        ws, layer, key, factors, to=wanted, target=named(to), placebos=placebos, label=target
    )
    return judged(ws, made, found, None, force=force, reason=reason)


def judged(
    ws: Workspace, made: Draft, found: Keyed, factor: float | None, *, force: bool, reason: str
) -> Edit:
    """An edit by key with what was measured of it: staged, or refused."""
    conditions = done(found, factor)
    drafted = replace(made.edit, conditions=(*made.edit.conditions, *conditions), keyed=found)
    failed = [condition for condition in conditions if not condition.ok]
    if drafted.applied and failed:
        told = f"{failed[0].name}: {failed[0].value:.3f}, before {failed[0].limit:.3f}"
        drafted = replace(drafted, applied=False, reason=f"where its key occurs it does not do so ({told})")
    return commit(ws, replace(made, edit=drafted), force=force, reason=reason)


def _source(target: object) -> Source:
    if isinstance(target, Seed):
        raise ElError(
            "a random direction is no key of a memory",
            code="EL201",
            hint="name a neuron, a concept, a phrase or a basin",
        )
    assert isinstance(target, PartName | ConceptName | Phrase | BasinRef)
    return target
