"""Files in the layout of the published package: tensors and concepts, written with ``torch.save``."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from energylang.errors import CheckpointError
from energylang.files.storage import located, opened, write_atomic
from energylang.models.index import check_file
from energylang.models.published import load_plain, read_tensors
from energylang.workspace.history import Concept
from energylang.workspace.named import staged_made_live
from energylang.workspace.workspace import Workspace


def published_concept(concept: Concept) -> dict[str, Any]:
    """A concept as the published package keeps it, with its layer and texts beside."""
    return {
        "states": list(concept.states.detach().cpu().unbind(0)),
        "centroid": concept.centroid.detach().cpu(),
        "layer": concept.layer,
        "texts": list(concept.texts),
        "position": concept.position,
    }


def write_published(ws: Workspace, path: str, data: Mapping[str, Any]) -> int:
    """Write a dictionary of tensors as .pt, whole or not at all; the size in bytes."""
    raw = torch_bytes(data)
    write_atomic(located(path, ws.base), raw)
    return len(raw)


def torch_bytes(data: Mapping[str, Any]) -> bytes:
    """A dictionary of tensors, numbers and texts as ``torch.save`` writes it."""
    buffer = io.BytesIO()
    torch.save(dict(data), buffer)
    return buffer.getvalue()


def read_published(path: Path) -> dict[str, Any]:
    """A .pt dictionary of tensors, numbers and texts. Anything else is refused before it ran."""
    check_file(path)
    read_tensors(path)  # refuses what claims more than the file holds, and code by its name
    try:
        with opened(path) as file:
            found = load_plain(file, path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} holds no dictionary")
    return found


def session_data(ws: Workspace) -> dict[str, Any]:
    """Staged weights and concepts in the published layout: ``model_state`` for whoever loads a model,
    ``layer_N_W`` for whoever takes up a session."""
    with staged_made_live(ws) as model:
        state = {name: tensor.detach().cpu().clone() for name, tensor in model.tensors().items()}
        layers = {f"layer_{i}_W": state[model.weight_key(i)] for i in range(model.num_layers)}
    concepts = {name: published_concept(concept) for name, concept in ws.state.concepts.items()}
    return {"model_state": state, "concepts": concepts, **layers}
