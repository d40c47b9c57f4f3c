"""Arithmetic on concepts, and concepts in files."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from energylang import results
from energylang.concepts import published
from energylang.concepts.captured import describe, keep, opposite, pushes
from energylang.concepts.control_vectors import read_vectors, write_vectors
from energylang.concepts.stored import FORMAT, read_concept, unreadable
from energylang.errors import ElError
from energylang.files.storage import check_regular, json_bytes, located, sealed, write_atomic
from energylang.landscape.clusters import cosine_rows
from energylang.looking.basins import known_basins
from energylang.looking.tokens import placed
from energylang.models.checkpoint import SUM_KEY, checksum
from energylang.models.index import PT_SUFFIXES
from energylang.models.states import DECISION
from energylang.signature.coerce import check_name
from energylang.workspace.history import Concept
from energylang.workspace.named import concept_at, concept_named
from energylang.workspace.workspace import Workspace, check_layer

_NOTHING = 1e-3  # of the parts' norm


def blend(ws: Workspace, first: str, second: str, new: str, ratio: float) -> results.ConceptInfo:
    return _combined(ws, [(ratio, first), (1 - ratio, second)], new)


def add(ws: Workspace, first: str, second: str, new: str) -> results.ConceptInfo:
    return _combined(ws, [(1.0, first), (1.0, second)], new)


def subtract(ws: Workspace, first: str, second: str, new: str) -> results.ConceptInfo:
    return _combined(ws, [(1.0, first), (-1.0, second)], new)


def analogy(ws: Workspace, first: str, second: str, third: str, new: str) -> results.ConceptInfo:
    return _combined(ws, [(-1.0, first), (1.0, second), (1.0, third)], new)


def compose(
    ws: Workspace, concepts: tuple[str, ...], new: str, weights: tuple[float, ...] | None
) -> results.ConceptInfo:
    given = weights or (1.0,) * len(concepts)
    if len(given) != len(concepts):
        raise ElError(
            f"{len(concepts)} concepts and {len(given)} weights",
            code="EL202",
            hint="give one weight for each",
        )
    return _combined(ws, list(zip(given, concepts, strict=True)), new)


def _combined(ws: Workspace, parts: Sequence[tuple[float, str]], new: str) -> results.ConceptInfo:
    """A new concept: the weighted sum of the unit directions of concepts of one layer. In a pretrained model, whose
    states have most in common, a direction is that from what a concept is set against to the concept."""
    concepts = [concept_named(ws, name) for _, name in parts]
    _same_layer(concepts)
    apart = _directions_apart(ws)
    raw = [
        pushes(ws, concept, (concept.layer,))[concept.layer] if apart else concept.centroid
        for concept in concepts
    ]
    directions = torch.stack([torch.nn.functional.normalize(each, dim=0) for each in raw])
    weights = directions.new_tensor([weight for weight, _ in parts])
    total = weights @ directions
    size = torch.linalg.vector_norm(total)
    if float(size) < _NOTHING * float(weights.abs().sum()):
        raise ElError(
            f"what is left for `{new}` is nearly zero: the parts cancel out",
            code="EL511",
            hint="choose other weights, or concepts that differ more",
        )
    length = torch.stack([torch.linalg.vector_norm(each) for each in raw]).mean()
    added = [concept for (weight, _), concept in zip(parts, concepts, strict=True) if weight > 0]
    texts = tuple(dict.fromkeys(text for concept in added for text in concept.texts))
    states = (total / size * length)[None]
    concept = Concept(
        new,
        concepts[0].layer,
        texts,
        states,
        contrast=torch.zeros_like(states) if apart else None,
        position=concepts[0].position,
        axis="given" if apart else "mean",
    )
    keep(ws, concept)
    return describe(ws, concept)


def _directions_apart(ws: Workspace) -> bool:
    """Whether concepts are directions between states, which as they are have most in common."""
    return ws.model.text is not None and ws.model.text.spoken_at != DECISION


def _same_layer(concepts: Sequence[Concept]) -> None:
    first = concepts[0]
    for concept in concepts[1:]:
        if concept.layer != first.layer or concept.centroid.shape != first.centroid.shape:
            raise ElError(
                f"`{first.name}` belongs to L{first.layer} (dimension {first.centroid.numel()}) and "
                f"`{concept.name}` to L{concept.layer} (dimension {concept.centroid.numel()})",
                code="EL511",
                hint="concepts can be combined at one layer only; capture them there",
            )


def _unit(concept: Concept) -> Tensor:
    return torch.nn.functional.normalize(concept.centroid, dim=0)


def similarity(ws: Workspace, first: str, second: str, layer: int | None) -> results.Similarity:
    """How alike two concepts are, as they are and without what all states share."""
    a, b = concept_at(ws, layer, first), concept_at(ws, layer, second)
    _same_layer([a, b])
    plain = float(cosine_rows(a.centroid, b.centroid))
    centred = plain
    if _directions_apart(ws):
        first_push, second_push = (pushes(ws, each, (each.layer,))[each.layer] for each in (a, b))
        centred = float(cosine_rows(first_push, second_push))
        if "given" in (a.axis, b.axis):
            plain = centred  # of one of them there is a direction alone
    elif ws.model.text is not None:
        neutral = opposite(ws, replace(a, contrast=None)).mean(dim=0)
        centred = float(cosine_rows(a.centroid - neutral, b.centroid - neutral))
    angle = float(torch.rad2deg(torch.acos(torch.tensor(plain).clamp(-1, 1))))
    return results.Similarity(first, second, a.layer, plain, centred, angle)


def interpolate(ws: Workspace, first: str, second: str, steps: int) -> results.Interpolation:
    """The states on the great circle from one concept to another, and the basins they settle in."""
    a, b = concept_named(ws, first), concept_named(ws, second)
    _same_layer([a, b])
    known_basins(ws, a.layer)
    u, v = _unit(a), _unit(b)
    angle = torch.acos((u @ v).clamp(-1, 1))
    if float(angle.sin()) < _NOTHING:
        raise ElError(
            f"`{first}` and `{second}` lie on one line: there is no way between them",
            code="EL511",
            hint="interpolate between concepts that differ",
        )
    t = torch.linspace(0, 1, steps, dtype=u.dtype, device=u.device)[:, None]
    way = (torch.sin((1 - t) * angle) * u + torch.sin(t * angle) * v) / torch.sin(angle)
    lengths = torch.linalg.vector_norm(torch.stack((a.centroid, b.centroid)), dim=1)
    landscape = ws.landscape_of(a.layer)
    states = (way * ((1 - t) * lengths[0] + t * lengths[1])).to(landscape.weight)
    found = placed(ws, a.layer, ws.staged(a.layer), states)
    names = [basin if basin >= 0 else None for basin in found.basins]
    points = tuple(
        results.InterpolationPoint(float(t[i]), float(way[i] @ u), float(way[i] @ v), names[i])
        for i in range(steps)
    )
    visited = dict.fromkeys(name for name in names if name is not None)
    return results.Interpolation(first, second, a.layer, points, tuple(visited))


def export_concept(ws: Workspace, concept: str, path: str) -> results.Stored:
    """Write a concept down."""
    named = concept_named(ws, concept)
    target = located(path, ws.base)
    if target.suffix == ".gguf":
        return _export_vectors(ws, named, target, path)
    about = {
        "format": FORMAT,
        "version": 1,
        "name": named.name,
        "layer": named.layer,
        "dim": int(named.centroid.numel()),
        "position": named.position,
        "axis": named.axis,
        "texts": list(named.texts),
        "contrasts": list(named.contrasts),
        "model": ws.model.spec,
        "checkpoint_hash": ws.original_hash,
    }
    tensors = {"states": named.states.detach().cpu().contiguous()}
    if named.contrast is not None:
        tensors["contrast"] = named.contrast.detach().cpu().contiguous()
    if target.suffix == ".safetensors":
        signed = {**about, SUM_KEY: checksum(tensors, about)}
        data = safetensors.torch.save(tensors, {"concept": json.dumps(signed, sort_keys=True)})
    elif target.suffix == ".json":
        plain = {key: tensor.tolist() for key, tensor in tensors.items()}
        data = json_bytes(sealed({**about, **plain}))
    elif target.suffix in PT_SUFFIXES:
        data = published.torch_bytes({"name": concept, **published.published_concept(named)})
    else:
        raise ElError(
            f"cannot write a concept to {path}",
            code="EL504",
            hint="end the path in .safetensors, .json, .pt or .gguf",
        )
    write_atomic(target, data)
    return results.Stored(
        concept, path, named.layer, len(named.texts), int(named.centroid.numel()), len(data)
    )


def _export_vectors(ws: Workspace, named: Concept, target: Path, path: str) -> results.Stored:
    """Write a concept's directions as a control vector."""
    everywhere = named.texts and named.axis != "given"
    layers = tuple(range(1, ws.model.num_layers)) if everywhere else (named.layer,)
    found = pushes(ws, named, layers)
    write_vectors(target, found, str(ws.model.metadata.get("architecture", ws.model.header.kind)))
    return results.Stored(
        named.name,
        path,
        named.layer,
        len(named.texts),
        int(named.centroid.numel()),
        check_regular(target),
    )


def _vector(ws: Workspace, path: str, layer: int | None) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The direction of a control vector at a layer, as what a concept file holds: from the origin to it."""
    vectors, _ = read_vectors(located(path, ws.base))
    if layer is None and len(vectors) > 1:
        raise ElError(
            f"{path} has a direction at each of {len(vectors)} layers",
            code="EL202",
            hint=f"add layer=L{sorted(vectors)[len(vectors) // 2]}, the layer at which it is to push",
        )
    chosen = next(iter(vectors)) if layer is None else layer
    if chosen not in vectors:
        raise ElError(
            f"{path} has no direction at L{chosen}",
            code="EL511",
            hint=f"it has L{min(vectors)} to L{max(vectors)}",
        )
    direction = vectors[chosen][None]
    name = re.sub(r"[^\w-]+", "-", Path(path).stem).strip("-") or "vector"
    about = {
        "name": name,
        "layer": chosen,
        "texts": (),
        "contrasts": (),
        "position": ws.text.spoken_at,
        "axis": "given",
    }
    return about, {"states": direction, "contrast": torch.zeros_like(direction)}


def import_concept(ws: Workspace, path: str, name: str | None, layer: int | None) -> results.ConceptInfo:
    """Read a concept from a file into the session, at its own layer or at another."""
    given = _vector(ws, path, layer) if path.endswith(".gguf") else read_concept(ws, path)
    about, tensors = given
    try:
        concept = Concept(
            name or str(about["name"]),
            int(about["layer"]) if layer is None else layer,
            tuple(str(text) for text in about["texts"]),
            tensors["states"],
            contrast=tensors.get("contrast"),
            position=str(about["position"]),
            contrasts=tuple(str(text) for text in about["contrasts"]),
            axis=str(about["axis"]) if about.get("axis") in ("pca", "given") else "mean",
        )
    except (KeyError, TypeError, ValueError):
        raise unreadable(path, "it lacks what a concept has") from None
    try:
        check_name(concept.name)
    except ElError as error:
        if name is not None:
            raise
        raise ElError(
            f"{path}: {error.message}", code=error.code, hint="name=polite gives it a name of your own"
        ) from None
    try:
        check_layer(ws.model, concept.layer)
    except ElError as error:
        raise ElError(
            f"the concept of {path} belongs nowhere here: {error.message}", code=error.code, hint="layer=L0"
        ) from None
    dim = ws.model.dims[concept.layer]
    for states in (concept.states, concept.contrast):
        if states is None:
            continue
        if states.ndim != 2 or not len(states) or not bool(torch.isfinite(states).all()):
            raise unreadable(path, "its states are no matrix of finite numbers")
        if states.shape[1] != dim:
            raise ElError(
                f"{path} holds states of dimension {states.shape[1]}, L{concept.layer} has {dim}",
                code="EL511",
                hint="`transplant` brings a concept over from a model of another dimension",
            )
    kind = ws.model.weight(concept.layer)
    concept = replace(
        concept,
        states=concept.states.to(kind),
        contrast=None if concept.contrast is None else concept.contrast.to(kind),
    )
    keep(ws, concept)
    return describe(ws, concept)
