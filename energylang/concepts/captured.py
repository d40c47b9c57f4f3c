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

In a model of many layers whose concepts are read in replies (``mean``), one reading gives the states of all layers, and
the layer is the one that separates best; what each carries is not asked.

**Direction.** From what a concept is set against (its contrasts, or neutral text) to the concept: the difference of the
means, or (``pca``) the first principal axis of the differences of pairs, as repeng has it, at the length of the former.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from energylang.errors import ElError
from energylang.landscape.clusters import cosine_rows
from energylang.models import likelihoods
from energylang.models.states import (
    DECISION,
    LAST,
    MEAN,
    count_texts,
    decision_samples,
    neutral_states,
    text_states_at,
)
from energylang.results import ConceptInfo, LayerFit
from energylang.workspace.history import Concept
from energylang.workspace.workspace import Workspace

from .replies import own_replies

_NEUTRAL = 32  # own replies that stand for neutral text


def capture(
    ws: Workspace,
    layer: int | None,
    name: str,
    texts: Sequence[str],
    contrast: str | Sequence[str] | None,
    position: str | None,
    axis: str | None = None,
) -> Concept:
    """Add texts (and texts that are not the concept) to a concept, in one pass. ``layer`` None chooses it."""
    against = [contrast] if isinstance(contrast, str) else list(contrast or ())
    if not all(text.strip() for text in (*texts, *against)):
        raise ElError("there is nothing to capture in an empty text", code="EL201")
    new = count_texts(ws.text, texts, LAST)
    if new.unknown == new.given:
        raise ElError(
            f"the tokenizer of {ws.text.spec} knows no token of {'this text' if len(texts) == 1 else 'these texts'}",
            code="EL201",
            hint="give texts in the language, and with the characters, of what it was trained on",
        )
    known = ws.state.concepts.get(name)
    if known is None:
        concept = Concept(
            name,
            layer or 0,
            (),
            torch.zeros(0),
            position=ws.text.spoken_at if position is None else position,
            axis=axis or "mean",
        )
    else:
        _agrees(known, layer, position)
        concept = known
    concept = replace(
        concept,
        texts=(*concept.texts, *texts),
        contrasts=(*concept.contrasts, *against),
        axis=axis or concept.axis,
    )
    if concept.axis == "pca" and len(concept.contrasts) not in (0, len(concept.texts)):
        raise ElError(
            f"`{name}` has {len(concept.texts)} texts and {len(concept.contrasts)} contrasts: they are no pairs",
            code="EL511",
            hint="direction=pca compares every text with a contrast of its own",
        )
    concept = _best_layer(ws, concept) if layer is None else at_layer(ws, concept, concept.layer)
    keep(ws, concept)
    return concept


def _agrees(known: Concept, layer: int | None, position: str | None) -> None:
    """A concept's state has one layer and one position."""
    if (layer is None) != bool(known.fits) or (layer is not None and layer != known.layer):
        chosen = "at a layer of its own choice" if known.fits else f"at L{known.layer}"
        wanted = "auto" if layer is None else f"L{layer}"
        raise ElError(
            f"`{known.name}` is being captured {chosen}, not at {wanted}",
            code="EL511",
            hint="a concept whose layer `auto` chose has that one alone; choose another name for this one",
        )
    if position is not None and position != known.position:
        raise ElError(
            f"`{known.name}` is read at position {known.position}, not {position}",
            code="EL511",
            hint="a concept is read at one position; choose another name for this one",
        )


def at_layer(ws: Workspace, concept: Concept, layer: int) -> Concept:
    """The concept with its states read at a layer."""
    return at_layers(ws, concept, (layer,))[layer]


def at_layers(ws: Workspace, concept: Concept, layers: Sequence[int]) -> dict[int, Concept]:
    """The concept with its states read at each of the layers, in one reading."""
    model, position = ws.text, concept.position
    states = text_states_at(model, concept.texts, layers, position)
    against = text_states_at(model, concept.contrasts, layers, position) if concept.contrasts else {}
    return {
        layer: replace(concept, layer=layer, states=states[layer], contrast=against.get(layer))
        for layer in layers
    }


def _best_layer(ws: Workspace, concept: Concept) -> Concept:
    """The concept at the layer that carries most of it, with what was found at every layer."""
    if concept.position != DECISION:
        return _best_separated(ws, concept)
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


def _best_separated(ws: Workspace, concept: Concept) -> Concept:
    """The concept at the layer that separates it best from what it is set against."""
    layers = range(ws.model.num_layers)
    placed, neutral = at_layers(ws, concept, layers), opposites(ws, concept, layers)
    found = {layer: separability(placed[layer].states, neutral[layer]) for layer in layers}
    best = max(layers, key=lambda layer: (round(found[layer][1], 6), found[layer][0]))
    fits = tuple(
        LayerFit(layer, distance, accuracy, None, chosen=layer == best)
        for layer, (distance, accuracy) in found.items()
    )
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
    read = count_texts(ws.text, (*concept.texts, *concept.contrasts), concept.position)
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
        given=read.given,
        read=read.read,
        unknown=read.unknown,
    )


def opposite(ws: Workspace, concept: Concept) -> Tensor:
    """(m, d): the states a redirect diverts: the contrast's, or those of neutral prompts."""
    if concept.contrast is not None:
        return concept.contrast
    return opposites(ws, replace(concept, contrasts=()), (concept.layer,))[concept.layer]


def opposites(ws: Workspace, concept: Concept, layers: Sequence[int]) -> dict[int, Tensor]:
    """By layer (m, d): the states of what a concept is set against: its contrasts, or neutral text read as it is (where
    a model's replies are read, its own replies to neutral prompts; otherwise decision states)."""
    text = ws.text
    if concept.contrasts:
        return text_states_at(text, concept.contrasts, layers, concept.position)
    if text.spoken_at == DECISION or concept.position == DECISION:
        return {layer: neutral_states(text, layer) for layer in layers}
    said = [reply.text for _, reply in own_replies(ws, _NEUTRAL, text.sizes.reply) if reply.text.strip()]
    return text_states_at(text, said or ["well"], layers, MEAN)


def pushes(ws: Workspace, concept: Concept, layers: Sequence[int]) -> dict[int, Tensor]:
    """By layer (d,): the direction from what a concept is set against to the concept.

    Raises ``ElError`` EL511 where there is none, and for a concept without texts at another layer than its own."""
    read = sides(ws, concept, layers)
    found = {layer: _direction(concept, inside, outside) for layer, (inside, outside) in read.items()}
    if not all(bool(torch.linalg.vector_norm(push) > 0) for push in found.values()):
        raise ElError(
            f"`{concept.name}` is where neutral text already is: there is no direction to push in",
            code="EL511",
            hint="capture texts that stand out more, or give a contrast",
        )
    return found


def sides(ws: Workspace, concept: Concept, layers: Sequence[int]) -> dict[int, tuple[Tensor, Tensor]]:
    """By layer: the states of the concept (n, d), and those of what it is set against (m, d).

    Raises ``ElError`` EL511 for a concept without texts at another layer than its own."""
    if tuple(layers) == (concept.layer,):
        return {concept.layer: (concept.states, opposite(ws, concept))}
    if concept.texts and concept.axis != "given":
        placed, against = at_layers(ws, concept, layers), opposites(ws, concept, layers)
        return {layer: (placed[layer].states, against[layer]) for layer in layers}
    raise ElError(
        f"`{concept.name}` is a direction of L{concept.layer}, and cannot be read at other layers",
        code="EL511",
        hint=f"name L{concept.layer} alone, or a concept that `capture` made",
    )


def _direction(concept: Concept, inside: Tensor, outside: Tensor) -> Tensor:
    """(d,) of states (n, d) and (m, d); with ``pca`` of n = m pairs."""
    mean = inside.mean(dim=0) - outside.mean(dim=0)
    if concept.axis != "pca":
        return mean
    if len(inside) != len(outside):
        raise ElError(
            f"`{concept.name}` is to be found by pairs, and has no contrast for every text",
            code="EL511",
            hint="direction=pca compares every text with a contrast of its own",
        )
    axis = torch.linalg.svd((inside - outside).double(), full_matrices=False)[2][0].to(mean)
    found: Tensor = axis * torch.linalg.vector_norm(mean) * torch.sign(axis @ mean)
    return found
