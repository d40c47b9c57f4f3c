"""Meaning."""

from __future__ import annotations

from energylang import results
from energylang.errors import ElError
from energylang.looking import basins as observing
from energylang.looking.tokens import placed
from energylang.signature.values import BasinRef, ConceptName, Seed
from energylang.workspace.workspace import Workspace

from . import interpreting, interventions


def probe(ws: Workspace, layer: int, basin: BasinRef | int, top: int) -> results.Probe:
    return probe_basin(ws, layer, basin, top)


def trace(ws: Workspace, layer: int, text: str) -> results.Trace:
    return interpreting.trace(ws, layer, text)


def generate(
    ws: Workspace, prompt: str, tokens: int, temp: float, topk: int, seed: int
) -> results.Generation:
    return speak(ws, prompt, tokens=tokens, temp=temp, topk=topk, seed=seed)


def neighbours(
    ws: Workspace, layer: int, target: BasinRef | ConceptName | Seed, top: int
) -> results.Neighbours:
    return interpreting.neighbours(ws, layer, target, top)


def intervene(
    ws: Workspace, layer: int, basin: BasinRef, kind: str, swap: BasinRef | None, amount: float | None
) -> results.Intervened:
    return begin_intervention(ws, layer, basin, kind, swap, amount)


def usage(ws: Workspace, layer: int, concept: ConceptName | None, text: str | None) -> results.Usage:
    return interpreting.usage(ws, layer, None if concept is None else concept.name, text)


def contexts(ws: Workspace, layer: int, basin: BasinRef, top: int) -> results.BasinContexts:
    return interpreting.contexts_of(ws, layer, basin, top)


def trace_generation(
    ws: Workspace, layer: int, prompt: str, tokens: int, temp: float, topk: int, seed: int
) -> results.Trajectory:
    return interpreting.trace_generation(ws, layer, prompt, tokens=tokens, temp=temp, topk=topk, seed=seed)


def classify(ws: Workspace, layer: int, of: str) -> results.Classification:
    return interpreting.classify(ws, layer, of)


def ablate(ws: Workspace, basins: tuple[BasinRef, ...], placebos: int) -> results.Ablation:
    return leave_out(ws, basins, placebos)


def speak(
    ws: Workspace, prompt: str, *, tokens: int, temp: float, topk: int, seed: int
) -> results.Generation:
    text = ws.text
    made = interventions.generate_live(ws, prompt, tokens=tokens, temp=temp, topk=topk, seed=seed)
    found = [
        placed(ws, layer, ws.state.layers[layer].live, states) for layer, states in enumerate(made.states)
    ]
    steps = tuple(
        results.TokenStep(
            text.token(token),
            tuple(column.basins[i] if column.basins[i] >= 0 else None for column in found),
            tuple(column.cosines[i] if column.basins[i] >= 0 else None for column in found),
        )
        for i, token in enumerate(made.token_ids)
    )
    return results.Generation(
        prompt=prompt,
        text=made.text,
        tokens=len(made.token_ids),
        seed=seed,
        temp=temp,
        topk=topk,
        steps=steps,
        to_zero=sum(column.to_zero for column in found),
        unsettled=sum(column.unsettled for column in found),
    )


def probe_basin(ws: Workspace, layer: int, basin: BasinRef | int, top: int) -> results.Probe:
    basin = BasinRef(layer, basin) if isinstance(basin, int) else basin
    observing.known_basins(ws, layer)
    return interpreting.probe(ws, layer, basin, top)


def begin_intervention(
    ws: Workspace, layer: int, basin: BasinRef, kind: str, swap: BasinRef | None, amount: float | None
) -> results.Intervened:
    if swap is not None and kind != "zero":
        raise ElError(f"a basin cannot be swapped and held at {kind} at once", code="EL202")
    return interventions.intervene(ws, layer, basin, "swap" if swap else kind, amount, swap)


def leave_out(ws: Workspace, basins: tuple[BasinRef, ...], placebos: int) -> results.Ablation:
    return interpreting.ablate(ws, one_layer(basins), basins, placebos)


def one_layer(basins: tuple[BasinRef, ...]) -> int:
    """The layer of all of these basins."""
    layers = {basin.layer for basin in basins}
    if len(layers) != 1:
        raise ElError(
            "basins of several layers cannot be taken together", code="EL510", hint="one layer at a time"
        )
    return layers.pop()
