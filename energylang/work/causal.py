"""Causal."""

from __future__ import annotations

from energylang import results
from energylang.signature.values import BasinRef
from energylang.workspace.workspace import Workspace

from . import causality, graphs


def causal_scan(
    ws: Workspace, layer: int, threshold: float, placebos: int, save: str | None
) -> results.CausalGraph:
    return causality.scan(ws, layer, threshold, placebos, save)


def causal_compare(
    ws: Workspace, model: str, layer: int, by: str, threshold: float, placebos: int, shuffles: int
) -> results.CausalComparison:
    return graphs.compare(ws, model, layer, by, threshold, placebos, shuffles)


def causal_intervene(
    ws: Workspace, layer: int, basin: BasinRef, op: str, placebos: int, force: bool, reason: str
) -> results.CausalEffect:
    return causality.intervene(ws, layer, basin, op, placebos, force=force, reason=reason)


def causal_counterfactual(
    ws: Workspace, layer: int, basin: BasinRef, mod: str, placebos: int
) -> results.CounterfactualEffect:
    return causality.counterfactual(ws, layer, basin, mod, placebos)


def causal_across(ws: Workspace, layer: int, basin: BasinRef, to: int, placebos: int) -> results.CrossEffect:
    return causality.across(ws, layer, basin, to, placebos)
