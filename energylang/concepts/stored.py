"""Concepts in files: safetensors with one metadata string, JSON, or .pt in the layout of the published tool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from energylang.concepts import published
from energylang.errors import CheckpointError, ElError
from energylang.files.storage import located, read_json, seal_holds
from energylang.models.checkpoint import SUM_KEY, checksum, read_tensors_of
from energylang.models.index import PT_SUFFIXES, read_index
from energylang.workspace.workspace import Workspace

FORMAT = "energylang concept"


_LARGEST_FILE = 64 * 2**20


def read_concept(ws: Workspace, path: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
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
        raise unreadable(path, "it is damaged, or something else") from None
    if about.get("format") != FORMAT or "states" not in tensors:
        raise unreadable(path, "it holds no concept")
    if not intact:
        raise unreadable(path, "it does not match its own checksum")
    return about, tensors


def _published(ws: Workspace, source: Path, path: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A concept of the published tool; without a layer it belongs to the first one of its dimension."""
    data = published.read_published(source)
    rows = data.get("states")
    given = list(rows) if isinstance(rows, list | tuple) and len(rows) else [data.get("centroid")]
    states = [row for row in given if isinstance(row, Tensor) and row.ndim == 1 and row.is_floating_point()]
    if len(states) != len(given) or len({len(row) for row in states}) != 1:
        raise unreadable(path, "it holds no states")
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


def unreadable(path: str, why: str) -> ElError:
    return ElError(f"{path} is not a concept file: {why}", code="EL501", hint="`export-concept` writes them")
