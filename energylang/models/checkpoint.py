"""Models on disk: load, save, fingerprint.

``save`` writes one safetensors file: the weights under their canonical names, other tensors as
``extra.{name}``, and one metadata string, a JSON object under the key ``energylang``:

    {"version": 1, "kind": …, "config": {…}, "tokenizer": {…}, "dialogue": {…}, "report": {…}, …}

Laws (tested): what ``save`` writes, ``load`` reads back bit for bit, edited weights and all; the
file appears whole or not at all; equal models give equal files; a fingerprint depends on names,
dtypes, shapes and bytes of the weights and on nothing else.

Nothing is loaded loosely: a missing, surplus or misshapen tensor is named, never skipped.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from energylang.errors import CheckpointError
from energylang.models import sandbox
from energylang.models.header import header_of, is_pt, parse_spec
from energylang.models.index import LAYOUT_VERSION, METADATA_KEY, read_index
from energylang.models.protocol import Model, natural_key

_HALVES = (torch.float16, torch.bfloat16)
_DTYPES = {"float32": torch.float32, "float64": torch.float64}


def load(
    spec: str,
    base: Path | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
) -> Model:
    """The model that ``spec`` names (the forms are listed in ``energylang.models.header``).

    Without ``dtype`` a file keeps its own, except that half precision is widened to float32 (which
    changes no value). Raises ``CheckpointError`` with the path and a hint.
    """
    place, wanted = _device(device), _dtype(dtype)
    source = parse_spec(spec, base)
    if source.form == "random":
        return _move(sandbox.random_model(source.dim, source.count, spec=spec), place, wanted)
    if source.form == "planted":
        return _move(sandbox.planted_model(source.dim, source.count, spec=spec), place, wanted)
    path = source.path
    metadata: dict[str, object] = {}
    if is_pt(path):
        from energylang.models.published import entries_of, read_tensors

        found = read_tensors(path)
        entries = entries_of(found)
    else:
        entries, metadata = read_index(path)
        found = {}
    header = header_of(spec, str(path), entries, metadata)  # refuses before anything large is read
    if not found:
        found = _read_safetensors(path)
    _check_finite(path, found)
    weights = {n: t for n, t in found.items() if not n.startswith("extra.")}
    extra = {n.removeprefix("extra."): t for n, t in found.items() if n.startswith("extra.")}
    if metadata.get("kind") in ("hlm", "transformer"):
        from energylang.models.architectures import check_tensors

        check_tensors(str(path), weights, metadata)
    model = _move(Model(header, weights, extra=extra, metadata=metadata), place, wanted)
    if "text" in header.capabilities:
        from energylang.models.text import attach_text

        attach_text(model, str(path))
    return model


def save(
    model: Model,
    path: str | Path,
    *,
    extra: Mapping[str, Tensor] | None = None,
    notes: Mapping[str, object] | None = None,
) -> Path:
    """Write ``model`` with its live weights to ``path`` (.safetensors); returns the path.

    ``extra`` adds tensors (read back in ``Model.extra``), ``notes`` JSON values (read back in
    ``Model.metadata["notes"]``). Atomic: see ``write_atomic``.
    """
    target = Path(path).expanduser()
    if target.suffix != ".safetensors":
        raise CheckpointError(
            f"{target}: models are saved as .safetensors files",
            hint=f"for example {target.with_suffix('.safetensors').name}",
        )
    tensors = dict(model.tensors())
    tensors.update({f"extra.{n}": t for n, t in {**model.extra, **(extra or {})}.items()})
    metadata = {**model.metadata, "version": LAYOUT_VERSION, "kind": model.header.kind}
    metadata.setdefault("config", {"degree": model.degree})
    if notes is not None:
        metadata["notes"] = dict(notes)
    write_atomic(target, serialise(tensors, metadata))
    return target


def serialise(tensors: Mapping[str, Tensor], metadata: Mapping[str, object]) -> bytes:
    """The bytes of a safetensors file: a function of its arguments alone."""
    ready = {n: tensors[n].detach().cpu().contiguous() for n in sorted(tensors, key=natural_key)}
    text = json.dumps(metadata, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return safetensors.torch.save({n: t.clone() for n, t in ready.items()}, {METADATA_KEY: text})


def check_writable(path: Path) -> None:
    """Raise ``CheckpointError`` when no file can be created beside ``path``; leaves nothing behind."""
    folder = path.parent
    if path.is_dir():
        raise CheckpointError(f"{path} is a directory", hint="name a file, for example model.safetensors")
    if not folder.is_dir():
        raise CheckpointError(f"there is no folder {folder}", hint=f"mkdir -p {folder}")
    probe = _temporary(path)
    try:
        with probe.open("wb"):
            pass
        probe.unlink()
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be written: {error.strerror or error}", hint="choose another output path"
        ) from None


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def write_atomic(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path`` whole or not at all.

    A temporary file in the same folder is written, synced and renamed over ``path``; the folder is
    synced so that the name survives too. A reader sees the old file or the new one.
    """
    check_writable(path)
    temporary = _temporary(path)
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        with contextlib.suppress(OSError):  # not every file system lets a folder be synced
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be written: {error.strerror or error}", hint="check the space and permissions"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def fingerprint(model: Model, instead: Mapping[str, Tensor] | None = None) -> str:
    """SHA-256 (hex) over names, dtypes, shapes and bytes of the weights, in natural order.

    ``instead`` holds tensors by canonical name to hash in place of the live ones: the fingerprint the
    model would have with them.

    Per-tensor digests are kept together with a copy of what was hashed; a digest is used again only
    when the live tensor still equals that copy bit for bit, so no way of changing a weight, not even
    behind torch's back, leaves a stale answer. Comparing costs a fraction of hashing.
    """
    whole = hashlib.sha256()
    for name, tensor in model.live.items():
        whole.update(_digest(model, name, (instead or {}).get(name, tensor).detach()))
    return whole.hexdigest()


def _digest(model: Model, name: str, tensor: Tensor) -> bytes:
    raw = tensor.contiguous().reshape(-1).view(torch.uint8)
    known = model.digests.get(name)
    if known is not None and known[0].device == raw.device and torch.equal(known[0], raw):
        return known[1]
    sha = hashlib.sha256()
    title = f"{name}|{str(tensor.dtype).removeprefix('torch.')}|{list(tensor.shape)}|".encode()
    sha.update(struct.pack("<I", len(title)) + title)
    sha.update(raw.cpu().numpy().tobytes())
    model.digests[name] = (raw.clone(), sha.digest())
    return sha.digest()


# ------------------------------------------------------------------------------------- helpers


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """Tensors in memory of their own: later changes of the file do not reach them."""
    try:
        loaded = safetensors.torch.load(path.read_bytes())
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}", hint="the file is damaged") from None
    return {n: t.clone() for n, t in loaded.items()}


def _check_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    for name in sorted(tensors, key=natural_key):
        if tensors[name].is_floating_point() and not bool(torch.isfinite(tensors[name]).all()):
            raise CheckpointError(
                f"{path}: '{name}' contains NaN or infinite values",
                hint="its training diverged, or the file is damaged",
            )


def _move(model: Model, device: torch.device, dtype: torch.dtype | None) -> Model:
    def convert(tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return tensor.to(device)
        target = dtype or (torch.float32 if tensor.dtype in _HALVES else tensor.dtype)
        return tensor.to(device=device, dtype=target).contiguous()

    _each(model.live, convert)
    _each(model.extra, convert)
    return model


def _each(tensors: dict[str, Tensor], function: Callable[[Tensor], Tensor]) -> None:
    for name in tensors:
        tensors[name] = function(tensors[name])


def _device(device: str | torch.device) -> torch.device:
    try:
        place = torch.device(device)
    except RuntimeError:
        raise CheckpointError(f"there is no device '{device}'", hint="cpu, cuda or cuda:0") from None
    if place.type == "cuda" and not torch.cuda.is_available():
        raise CheckpointError("no CUDA device is available here", hint="use device cpu")
    if place.type not in ("cpu", "cuda", "mps"):
        raise CheckpointError(f"the device '{device}' is not supported", hint="cpu or cuda")
    return place


def _dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    if dtype is None or dtype in _DTYPES.values():
        return dtype if isinstance(dtype, torch.dtype) else None
    name = str(dtype).removeprefix("torch.")
    if name not in _DTYPES:
        raise CheckpointError(f"weights cannot be held as '{name}'", hint="float32 or float64")
    return _DTYPES[name]
