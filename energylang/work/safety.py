"""Safety."""

from __future__ import annotations

from energylang import results
from energylang.signature.values import BasinRef
from energylang.trial import guards as guarding
from energylang.workspace.workspace import Workspace

from . import perplexity
from .meaning import one_layer


def guard(ws: Workspace, what: int | str, value: float) -> results.Guard:
    return guarding.guard(ws, what, value)


def guards(ws: Workspace) -> results.Guards:
    return guarding.guards(ws)


def protect(ws: Workspace, basins: tuple[BasinRef, ...]) -> results.Protected:
    return pin_basins(ws, basins)


def benchmark(ws: Workspace, corpus: str | None) -> results.Benchmark:
    return perplexity.benchmark(ws, corpus)


def pin_basins(ws: Workspace, basins: tuple[BasinRef, ...]) -> results.Protected:
    return guarding.protect(ws, one_layer(basins), basins)
