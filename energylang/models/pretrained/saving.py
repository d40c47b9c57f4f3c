"""A pretrained model as a folder that the transformers library reads: what ``save`` writes.

The configuration, tokenizer and template are those of the folder that was loaded, byte for byte; the weights are the
live ones, in the precision of the files they came from, in one safetensors file under the library's own names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import torch

from energylang.errors import CheckpointError, FileError
from energylang.files.storage import check_writable, write_atomic
from energylang.models.dtypes import all_finite, bytes_of, entries_of
from energylang.models.index import written_index
from energylang.models.model import Model

_COPIED = ("*.json", "*.jinja", "*.txt", "*.model")
_NOT = ("model.safetensors.index.json", "converted.json")
WEIGHTS = "model.safetensors"


def save(model: Model, target: Path) -> int:
    """Write the model with its live weights into the folder ``target``; the bytes written. The folder must not hold
    another model. Raises ``CheckpointError`` or ``FileError``."""
    source = Path(str(model.metadata["folder"]))
    if os.path.exists(target) and (not target.is_dir() or any(target.glob("*.safetensors"))):
        raise FileError(
            f"{target} is there already" + (" and holds a model" if target.is_dir() else ""),
            hint="name a new folder",
        )
    check_writable(target / WEIGHTS if os.path.isdir(target) else target)
    target.mkdir(parents=True, exist_ok=True)
    total = 0
    for pattern in _COPIED:
        for file in sorted(source.glob(pattern)):
            if file.name not in _NOT:
                data = file.read_bytes()
                write_atomic(target / file.name, data)
                total += len(data)
    parts = list(_weights(model))
    write_atomic(target / WEIGHTS, iter(parts))
    return total + sum(len(part) for part in parts)


def _weights(model: Model) -> Iterator[bytes | memoryview]:
    tensors = {**model.live, **_buffers(model)}
    for name, dtype in model.stored.items():
        if name in tensors and not all_finite(tensors[name].to(dtype)):
            raise CheckpointError(
                f"'{name}' has grown beyond what its file keeps it in: {str(dtype).removeprefix('torch.')}",
                hint="make the edit smaller",
            )
    kept = {name: tensor.to(model.stored.get(name, tensor.dtype)) for name, tensor in tensors.items()}
    start, order = written_index(entries_of(kept), {"format": "pt"})
    yield start
    for name in order:
        yield bytes_of(kept[name])


def _buffers(model: Model) -> dict[str, torch.Tensor]:
    """What the library keeps beside the parameters. Tied weights are kept once, under their first name."""
    assert model.text is not None  # a pretrained model has words
    module = model.text.config.module
    return {name: value for name, value in module.named_buffers() if name in set(module.state_dict())}
