"""Arithmetic on concepts, and concepts in files.

A concept's direction is the mean of its states. Results of arithmetic are directions; they are given the mean norm of
the concepts that they come from (a state of norm one would lie in the origin's own basin and stand for nothing). Two
concepts can only be combined at one layer of one model; a result that is nearly zero means nothing and is refused.

Files: safetensors with one metadata string, or JSON; and .pt in the layout of the published tool, of which tensors,
numbers and texts alone are read (a pickle can run code).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from energylang import results
from energylang.concepts.captured import describe, keep, opposite
from energylang.errors import CheckpointError, ElError
from energylang.files.storage import json_bytes, located, read_json, seal_holds, sealed, write_atomic
from energylang.landscape.clusters import cosine_rows
from energylang.looking import basins as observing
from energylang.looking.tokens import placed
from energylang.models.checkpoint import SUM_KEY, checksum, read_tensors_of
from energylang.models.index import PT_SUFFIXES, read_index
from energylang.signature.coerce import check_name
from energylang.workspace.history import Concept
from energylang.workspace.named import concept_named
from energylang.workspace.workspace import Workspace, check_layer

from . import published

_NOTHING = 1e-3  # of the parts' norm
FORMAT = "energylang concept"
_LARGEST_FILE = 64 * 2**20


def combined(ws: Workspace, parts: Sequence[tuple[float, str]], new: str) -> results.ConceptInfo:
    """A new concept: the weighted sum of the unit directions of concepts of one layer."""
    concepts = [concept_named(ws, name) for _, name in parts]
    _same_layer(concepts)
    directions = torch.stack([_unit(concept) for concept in concepts])
    weights = directions.new_tensor([weight for weight, _ in parts])
    total = weights @ directions
    size = torch.linalg.vector_norm(total)
    if float(size) < _NOTHING * float(weights.abs().sum()):
        raise ElError(
            f"what is left for `{new}` is nearly zero: the parts cancel out",
            code="EL511",
            hint="choose other weights, or concepts that differ more",
        )
    length = torch.stack([torch.linalg.vector_norm(concept.centroid) for concept in concepts]).mean()
    added = [concept for (weight, _), concept in zip(parts, concepts, strict=True) if weight > 0]
    texts = tuple(dict.fromkeys(text for concept in added for text in concept.texts))
    concept = Concept(
        new,
        concepts[0].layer,
        texts,
        (total / size * length)[None],
        position=concepts[0].position,
    )
    keep(ws, concept)
    return describe(ws, concept)


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


def similarity(ws: Workspace, first: str, second: str) -> results.Similarity:
    """How alike two concepts are, as they are and without what all states share."""
    a, b = concept_named(ws, first), concept_named(ws, second)
    _same_layer([a, b])
    plain = float(cosine_rows(a.centroid, b.centroid))
    centred = plain
    if ws.model.text is not None:
        neutral = opposite(ws, replace(a, contrast=None)).mean(dim=0)
        centred = float(cosine_rows(a.centroid - neutral, b.centroid - neutral))
    angle = float(torch.rad2deg(torch.acos(torch.tensor(plain).clamp(-1, 1))))
    return results.Similarity(first, second, a.layer, plain, centred, angle)


def interpolate(ws: Workspace, first: str, second: str, steps: int) -> results.Interpolation:
    """The states on the great circle from one concept to another, and the basins they settle in."""
    a, b = concept_named(ws, first), concept_named(ws, second)
    _same_layer([a, b])
    observing.known_basins(ws, a.layer)
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


# ---------------------------------------------------------------------------------------------- files


def export(ws: Workspace, name: str, path: str) -> results.Stored:
    """Write a concept down."""
    concept = concept_named(ws, name)
    target = located(path, ws.base)
    about = {
        "format": FORMAT,
        "version": 1,
        "name": concept.name,
        "layer": concept.layer,
        "dim": int(concept.centroid.numel()),
        "position": concept.position,
        "texts": list(concept.texts),
        "contrasts": list(concept.contrasts),
        "model": ws.model.spec,
        "checkpoint_hash": ws.original_hash,
    }
    tensors = {"states": concept.states.detach().cpu().contiguous()}
    if concept.contrast is not None:
        tensors["contrast"] = concept.contrast.detach().cpu().contiguous()
    if target.suffix == ".safetensors":
        signed = {**about, SUM_KEY: checksum(tensors, about)}
        data = safetensors.torch.save(tensors, {"concept": json.dumps(signed, sort_keys=True)})
    elif target.suffix == ".json":
        plain = {key: tensor.tolist() for key, tensor in tensors.items()}
        data = json_bytes(sealed({**about, **plain}))
    elif target.suffix in PT_SUFFIXES:
        data = published.torch_bytes({"name": name, **published.published_concept(concept)})
    else:
        raise ElError(
            f"cannot write a concept to {path}",
            code="EL504",
            hint="end the path in .safetensors, .json or .pt",
        )
    write_atomic(target, data)
    return results.Stored(
        name, path, concept.layer, len(concept.texts), int(concept.centroid.numel()), len(data)
    )


def bring(ws: Workspace, path: str, name: str | None, layer: int | None) -> results.ConceptInfo:
    """Read a concept from a file into the session, at its own layer or at another."""
    about, tensors = _read(ws, path)
    try:
        concept = Concept(
            name or str(about["name"]),
            int(about["layer"]) if layer is None else layer,
            tuple(str(text) for text in about["texts"]),
            tensors["states"],
            contrast=tensors.get("contrast"),
            position=str(about["position"]),
            contrasts=tuple(str(text) for text in about["contrasts"]),
        )
    except (KeyError, TypeError, ValueError):
        raise _unreadable(path, "it lacks what a concept has") from None
    check_name(concept.name)
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
            raise _unreadable(path, "its states are no matrix of finite numbers")
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


def _read(ws: Workspace, path: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    source = located(path, ws.base)
    if source.suffix in PT_SUFFIXES:
        return _published(ws, source, path)
    if source.suffix not in (".safetensors", ".json"):
        raise ElError(
            f"{path} is not a concept file: they end in .safetensors, .json or .pt",
            code="EL501",
            hint="other formats can run code when they are read, and are refused",
        )
    try:
        about, tensors, intact = (_plain if source.suffix == ".json" else _packed)(source)
    except OSError as error:
        raise ElError(f"cannot read {path}: {error.strerror or error}", code="EL501") from None
    except (ValueError, TypeError, RuntimeError, OverflowError, KeyError, safetensors.SafetensorError):
        raise _unreadable(path, "it is damaged, or something else") from None
    if about.get("format") != FORMAT or "states" not in tensors:
        raise _unreadable(path, "it holds no concept")
    if not intact:
        raise _unreadable(path, "it does not match its own checksum")
    return about, tensors


def _published(ws: Workspace, source: Path, path: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A concept of the published tool; without a layer it belongs to the first one of its dimension."""
    data = published.read_published(source)
    rows = data.get("states")
    given = list(rows) if isinstance(rows, list | tuple) and len(rows) else [data.get("centroid")]
    states = [row for row in given if isinstance(row, Tensor) and row.ndim == 1 and row.is_floating_point()]
    if len(states) != len(given) or len({len(row) for row in states}) != 1:
        raise _unreadable(path, "it holds no states")
    fitting = (layer for layer, dim in enumerate(ws.model.dims) if dim == len(states[0]))
    texts = data.get("texts")
    about = {
        "name": str(data.get("name") or source.stem),
        "layer": data["layer"] if isinstance(data.get("layer"), int) else next(fitting, 0),
        "texts": texts if isinstance(texts, list | tuple) else (),
        "position": str(data.get("position") or "decision"),
        "contrasts": (),
    }
    return about, {"states": torch.stack(states)}


def _plain(source: Path) -> tuple[dict[str, Any], dict[str, Tensor], bool]:
    """A JSON file: what it says, its tensors, and whether its checksum holds. Raises ``ValueError``."""
    about = read_json(source, _LARGEST_FILE)
    if not isinstance(about, dict):
        raise ValueError("no object")
    tensors = {
        key: torch.tensor(about[key], dtype=torch.float32) for key in ("states", "contrast") if key in about
    }
    return about, tensors, seal_holds(about)


def _packed(source: Path) -> tuple[dict[str, Any], dict[str, Tensor], bool]:
    """The same of a safetensors file, whose header is compared with its length before anything is read."""
    try:
        entries, metadata = read_index(source, "concept")
        tensors = read_tensors_of(source, entries)
    except CheckpointError as error:
        raise ValueError(error.message) from None
    return metadata, tensors, metadata.get(SUM_KEY, "") in ("", checksum(tensors, metadata))


def _unreadable(path: str, why: str) -> ElError:
    return ElError(f"{path} is not a concept file: {why}", code="EL501", hint="`export-concept` writes them")
