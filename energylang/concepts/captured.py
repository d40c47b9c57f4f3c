"""Concepts: what a text does to a layer's state, and at which layer it does most.

A text's state is read at a *position* (``energylang.models.states``): by default the decision state, from which
the model is about to speak, having just heard the text. A concept is the set of these states; its direction is
their mean.

**Layer auto.** Every layer is asked two things, and the one that carries most is taken:

* *separability*: each state of the concept, and each neutral (or contrast) one, is projected on the line
  through the two means, computed without that state; d′ is the distance of the projections' means in units of
  their pooled standard deviation;
* *carried*: how much of what the texts make the model say next passes through the layer's state
  (``likelihoods.carried``). A layer may separate a concept perfectly and yet not be the way it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from energylang.errors import ElError
from energylang.landscape.clusters import cosine_rows
from energylang.models import likelihoods
from energylang.models.states import DECISION, decision_samples, neutral_states, text_states
from energylang.results import ConceptInfo, LayerFit
from energylang.workspace.history import Concept
from energylang.workspace.workspace import Workspace


def capture(
    ws: Workspace,
    layer: int | None,
    name: str,
    texts: Sequence[str],
    contrast: str | None,
    position: str | None,
) -> Concept:
    """Add texts (and a text that is not the concept) to a concept, in one pass. ``layer`` None chooses it."""
    if not all(text.strip() for text in texts):
        raise ElError("there is nothing to capture in an empty text", code="EL201")
    known = ws.state.concepts.get(name)
    if known is None:
        concept = Concept(
            name, layer or 0, (), torch.zeros(0), position=DECISION if position is None else position
        )
    else:
        _agrees(known, layer, position)
        concept = known
    concept = replace(
        concept,
        texts=(*concept.texts, *texts),
        contrasts=(*concept.contrasts, contrast) if contrast else concept.contrasts,
    )
    concept = _best_layer(ws, concept) if layer is None else at_layer(ws, concept, concept.layer)
    keep(ws, concept)
    return concept


def _agrees(known: Concept, layer: int | None, position: str | None) -> None:
    """A concept has one layer and one position."""
    if (layer is None) != bool(known.fits) or (layer is not None and layer != known.layer):
        chosen = "at a layer of its own choice" if known.fits else f"at L{known.layer}"
        wanted = "auto" if layer is None else f"L{layer}"
        raise ElError(
            f"`{known.name}` is being captured {chosen}, not at {wanted}",
            code="EL511",
            hint="a concept lives at one layer; choose another name for this one",
        )
    if position is not None and position != known.position:
        raise ElError(
            f"`{known.name}` is read at position {known.position}, not {position}",
            code="EL511",
            hint="a concept is read at one position; choose another name for this one",
        )


def at_layer(ws: Workspace, concept: Concept, layer: int) -> Concept:
    """The concept with its states read at a layer."""
    model = ws.text
    return replace(
        concept,
        layer=layer,
        states=text_states(model, concept.texts, layer, concept.position),
        contrast=text_states(model, concept.contrasts, layer, concept.position)
        if concept.contrasts
        else None,
    )


def _best_layer(ws: Workspace, concept: Concept) -> Concept:
    """The concept at the layer that carries most of it, with what was found at every layer."""
    placed = [at_layer(ws, concept, layer) for layer in range(ws.model.num_layers)]
    found = []
    for at in placed:
        inside = at.states
        if at.position == DECISION:
            inside = decision_samples(ws.text, at.texts, at.layer)
        distance, accuracy = separability(inside, opposite(ws, at))
        carried = likelihoods.carried(ws.text, at.layer, at.texts, at.centroid)
        found.append((at.layer, distance, accuracy, carried))
    best = max(found, key=lambda fit: fit[3])[0]
    fits = tuple(LayerFit(*fit, chosen=fit[0] == best) for fit in found)
    return replace(placed[best], fits=fits)


def separability(inside: Tensor, outside: Tensor) -> tuple[float, float]:
    """d′ and accuracy of telling (n, d) from (m, d) states by the line through their means, every state judged
    without its own part in its mean (a single state keeps it). 0 and 0.5 where they cannot be told apart."""
    inside, outside = inside.double(), outside.double()
    scores = []
    for own, other, sign in ((inside, outside, 1.0), (outside, inside, -1.0)):
        count = len(own)
        mean = own.mean(dim=0)
        rest = (count * mean - own) / (count - 1) if count > 1 else mean.expand_as(own)
        axis = sign * (rest - other.mean(dim=0))
        middle = (rest + other.mean(dim=0)) / 2
        length = torch.linalg.vector_norm(axis, dim=1).clamp_min(1e-12)
        scores.append(((own - middle) * axis).sum(dim=1) / length)
    high, low = scores
    correct = torch.cat((high > 0, low < 0)).double().mean()
    spread = torch.sqrt((high.var(unbiased=False) + low.var(unbiased=False)) / 2)
    gap = float(high.mean() - low.mean())
    return (gap / float(spread) if float(spread) > 1e-12 else 0.0), float(correct)


def keep(ws: Workspace, concept: Concept) -> None:
    """Make a concept the session's. Raises ``ElError`` for states that are no numbers."""
    if not bool(torch.isfinite(concept.states).all()):
        raise ElError(
            f"the states of `{concept.name}` at L{concept.layer} are not finite numbers",
            code="EL502",
            hint="a weight of the model, or what was applied to it, is too large",
        )
    ws.state = replace(ws.state, concepts={**ws.state.concepts, concept.name: concept})


def describe(ws: Workspace, concept: Concept) -> ConceptInfo:
    """What there is to say about a concept."""
    centroid = concept.centroid
    coherence = float(cosine_rows(concept.states, centroid).mean())
    neutral = opposite(ws, concept).mean(dim=0)
    return ConceptInfo(
        name=concept.name,
        layer=concept.layer,
        position=concept.position,
        samples=len(concept.texts),
        dim=int(centroid.numel()),
        norm=float(torch.linalg.vector_norm(centroid)),
        coherence=coherence,
        cosine_to_neutral=float(cosine_rows(centroid[None], neutral)[0]),
        installed=concept.installed,
        texts=concept.texts,
        fits=concept.fits,
    )


def opposite(ws: Workspace, concept: Concept) -> Tensor:
    """(m, d): the states a redirect diverts: the contrast's, or those of neutral prompts."""
    return concept.contrast if concept.contrast is not None else neutral_states(ws.text, concept.layer)
