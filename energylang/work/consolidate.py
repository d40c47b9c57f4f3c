"""Consolidate."""

from __future__ import annotations

from energylang import results
from energylang.workspace.workspace import Workspace

from . import keeping


def consolidate(
    ws: Workspace, layer: int, strengthen: float, prune: float, force: bool, reason: str
) -> results.Edit:
    return keeping.consolidate(ws, layer, strengthen, prune, 1, "consolidate", force=force, reason=reason)


def dream(
    ws: Workspace, layer: int, cycles: int, strengthen: float, prune: float, force: bool, reason: str
) -> results.Edit:
    return keeping.consolidate(ws, layer, strengthen, prune, cycles, "dream", force=force, reason=reason)
