"""How far do the states of a stream lean to the concepts that were captured there, and what is a direction near to?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from energylang import results
from energylang.landscape.clusters import cosine_rows
from energylang.workspace.history import Concept
from energylang.workspace.workspace import Workspace, remembered

from .captured import opposite, pushes

_SHOWN = 12  # concepts
_SINK = 10.0  # times the median norm


def read_stream(
    ws: Workspace, layer: int, ids: Sequence[int], states: Tensor
) -> tuple[results.StreamToken, ...]:
    """Every token with its state (n, d) in a layer of a stream."""
    text = ws.text
    logits = text.network.said_by(text.live, text.config, layer, states).float()
    likely = logits.softmax(dim=1).max(dim=1)
    norms = torch.linalg.vector_norm(states, dim=1)
    sink = norms > _SINK * norms.median()  # a place that attention rests on; its state is no meaning
    axes = [(concept.name, *_axis(ws, concept)) for concept in _here(ws, layer)]
    return tuple(
        results.StreamToken(
            token=text.token(token),
            norm=float(norms[k]),
            says=text.token(int(likely.indices[k])),
            probability=float(likely.values[k]),
            leanings=tuple(
                results.Leaning(name, None if sink[k] else float((states[k] - base) @ push / (push @ push)))
                for name, base, push in axes
            ),
        )
        for k, token in enumerate(ids)
    )


def near(
    ws: Workspace, layer: int, direction: Tensor, top: int, besides: str = ""
) -> tuple[tuple[results.TokenScore, ...], tuple[results.NearNeuron, ...], tuple[results.NearConcept, ...]]:
    """What a direction (d,) in a layer of a stream is near to: tokens, neurons, concepts."""
    text = ws.text
    said = text.network.said_by(text.live, text.config, layer, direction).float().softmax(dim=0)
    likely = said.topk(min(top, len(said)))
    tokens = tuple(
        results.TokenScore(text.token(token), score)
        for token, score in zip(likely.indices.tolist(), likely.values.tolist(), strict=True)
    )
    weight = ws.model.weight(layer)
    outputs = (weight if ws.model.header.transposed else weight.T).to(direction)
    cosines = cosine_rows(outputs, direction)
    order = torch.sort(cosines.abs(), descending=True, stable=True).indices[:top].tolist()
    spoken = text.network.said_by(text.live, text.config, layer, outputs[order]).argmax(dim=1).tolist()
    neurons = tuple(
        results.NearNeuron(layer, n, float(cosines[n]), text.token(token))
        for n, token in zip(order, spoken, strict=True)
    )
    others = [concept for concept in _here(ws, layer) if concept.name != besides]
    concepts = sorted(
        (
            results.NearConcept(concept.name, float(cosine_rows(_axis(ws, concept)[1][None], direction)[0]))
            for concept in others
        ),
        key=lambda found: -abs(found.cosine),
    )
    return tokens, neurons, tuple(concepts[:top])


def _here(ws: Workspace, layer: int) -> list[Concept]:
    return [concept for concept in ws.state.concepts.values() if concept.layer == layer][:_SHOWN]


def _axis(ws: Workspace, concept: Concept) -> tuple[Tensor, Tensor]:
    """The mean (d,) of what a concept is set against, and the push (d,) from there to it."""

    def read() -> tuple[Tensor, Tensor]:
        return opposite(ws, concept).mean(dim=0), pushes(ws, concept, (concept.layer,))[concept.layer]

    return remembered(ws, read, "axis", concept)
