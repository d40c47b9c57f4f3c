"""Edits of what a layer's memory answers at a key: louder, softer, or as it answers another key.

``ΔW = v qᵀ`` with the key's query (``keys``), and

* v = (factor − 1)·Wk: the answer at the key is multiplied by the factor;
* v = Wk' − Wk: the key k is answered as k' is; or as another memory answers a key of its own (``transplant``).

The edit is made whole, or as much of it as keeps within the damage: then the factor is nearer to 1, and what is
answered lies between the two answers. Nothing is optimised.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from energylang.landscape.lowrank import LowRank
from energylang.landscape.memory import answer
from energylang.landscape.proposal import Proposal
from energylang.trial.draft import Draft, Plan
from energylang.trial.plain import draft_plain
from energylang.workspace.workspace import Workspace

from .keys import Key
from .memory import dose_within
from .rewriting import DOSES


def answered(weight: Tensor, keys: Tensor, *, transposed: bool) -> Tensor:
    """(…, d): what a memory W (d, m), or one kept ``transposed`` (m, d), answers to activations (…, m)."""
    found: Tensor = keys.to(weight) @ (weight if transposed else weight.T)
    return found


def keyed(
    ws: Workspace,
    layer: int,
    key: Key,
    value: Tensor,
    *,
    operation: str,
    target: str,
    damage: float,
    dose: float | None = None,
    strength: float | None = None,
) -> tuple[Draft, LowRank, float]:
    """The draft of an edit that adds ``value`` (d,) to the answer at a key, what it adds, and how much of it that is
    (1: the whole): the ``dose`` that is given, or that with this ``strength`` (‖ΔW‖/‖W‖), or the largest up to 1 within
    the damage."""
    weight = ws.weight(ws.memory(layer))
    whole = answer(value.to(weight), key.query.to(weight), transposed=ws.model.header.transposed)
    if dose is None and strength is not None and whole.norm:
        dose = strength * float(torch.linalg.vector_norm(weight)) / whole.norm
    if not bool(value.any()):  # nothing is to be changed, and so nothing is harmed
        dose, within = 1.0, (True, "within the damage budget")
    else:
        doses = DOSES if dose is None else (dose,)
        dose, within = dose_within(ws, {layer: weight}, {layer: whole}, damage, doses, whole_first=True)
    factors = whole if dose == 1.0 else whole.scaled(dose)
    proposal = Proposal(factors, dose * value, None, "memory", ())
    plan = Plan(
        operation,
        layer,
        target,
        lambda _landscape, _protected: proposal,
        method="memory",
        dose=dose,
        damage=within,
    )
    return draft_plain(ws, plan, proposal), factors, dose


def louder(
    ws: Workspace, layer: int, key: Key, factor: float, *, operation: str, target: str, damage: float
) -> tuple[Draft, LowRank]:
    """The draft of an edit after which the memory answers the key ``factor`` times as loudly."""
    weight = ws.weight(ws.memory(layer))
    usual = answered(weight, key.key, transposed=ws.model.header.transposed)
    value = (factor - 1) * usual
    made, factors, dose = keyed(ws, layer, key, value, operation=operation, target=target, damage=damage)
    reached = factor if dose == 1.0 else 1 + dose * (factor - 1)
    notes = made.edit.notes
    if dose != 1.0 and made.edit.applied:
        notes = (*notes, f"the damage allows ×{reached:.3g}, not ×{factor:g}")
    return replace(made, edit=replace(made.edit, factor=reached, notes=notes)), factors


@torch.no_grad()
def answer_of(ws: Workspace, layer: int, key: Key) -> Tensor:
    """(d,): what the memory of a layer, with everything that is staged, answers at a key."""
    return answered(ws.weight(ws.memory(layer)), key.key, transposed=ws.model.header.transposed)
