"""Watermark."""

from __future__ import annotations

from energylang import results
from energylang.workspace.workspace import Workspace

from . import keeping


def watermark_inject(
    ws: Workspace, key: str, marks: int, layer: int, force: bool, reason: str
) -> results.Edit:
    return keeping.watermark(ws, layer, key, marks, force=force, reason=reason)


def watermark_verify(ws: Workspace, key: str, marks: int, layer: int) -> results.Watermark:
    return keeping.verify(ws, layer, key, marks)


def watermark_strip_test(ws: Workspace, key: str, marks: int, layer: int) -> results.Stripped:
    return keeping.strip_test(ws, layer, key, marks)
