"""Models on disk: load, save, fingerprint.

``save`` writes one safetensors file: the weights under their canonical names, other tensors as
``extra.{name}``, and one metadata string, a JSON object under the key ``energylang``:

    {"version": 1, "kind": …, "config": {…}, "tokenizer": {…}, "dialogue": {…}, "report": {…}, …}

Laws (tested): what ``save`` writes, ``load`` reads back bit for bit, edited weights and all; the
file appears whole or not at all; equal models give equal files; a file that was changed since is
refused; a fingerprint depends on names, dtypes, shapes and bytes of the weights and on nothing else.

Nothing is loaded loosely: a missing, surplus or misshapen tensor is named, never skipped.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from energylang.errors import CheckpointError
from energylang.files.storage import check_memory, opened, write_atomic
from energylang.models import sandbox
from energylang.models.header import header_of, is_pt, parse_spec
from energylang.models.index import LAYOUT_VERSION, METADATA_KEY, read_index
from energylang.models.protocol import Model, natural_key
from energylang.models.wrapped import unwrapped

SUM_KEY = "sha256"
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
        entries = entries if metadata else unwrapped(str(path), entries)
        found = {}
    header = header_of(spec, str(path), entries, metadata)  # refuses before anything large is read
    if not found:
        found = read_tensors_of(path)
        found = found if metadata else unwrapped(str(path), found)
    _check_finite(path, found)
    weights = {n: t for n, t in found.items() if not n.startswith("extra.")}
    extra = {n.removeprefix("extra."): t for n, t in found.items() if n.startswith("extra.")}
    if metadata.get("kind") in ("hlm", "transformer"):
        from energylang.models.architectures import check_tensors

        check_tensors(str(path), weights, metadata)
    model = _move(Model(header, weights, extra=extra, metadata=metadata), place, wanted)
    _check_betas(path, model)
    if "text" in header.capabilities:
        from energylang.models.text import attach_text

        attach_text(model, str(path))
    check_sum(path, found, metadata)  # last: what is wrong in particular says more
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
    ``Model.metadata["notes"]``). Atomic: see ``energylang.files.storage``.
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
    """The bytes of a safetensors file, with a checksum in its metadata: a function of its arguments alone."""
    ready = {n: tensors[n].detach().cpu().contiguous() for n in sorted(tensors, key=natural_key)}
    signed = {**metadata, SUM_KEY: checksum(ready, metadata)}
    text = json.dumps(signed, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return safetensors.torch.save({n: t.clone() for n, t in ready.items()}, {METADATA_KEY: text})


def checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, object]) -> str:
    """SHA-256 (hex) over the metadata, without a checksum in it, and every tensor's name, dtype, shape and bytes."""
    whole = hashlib.sha256()
    plain = {key: value for key, value in metadata.items() if key != SUM_KEY}
    text = json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    whole.update(text.encode("utf-8", "surrogatepass"))
    for name in sorted(tensors, key=natural_key):
        whole.update(_sha(name, tensors[name].detach()).digest())
    return whole.hexdigest()


def check_sum(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, object]) -> None:
    """Raise ``CheckpointError`` where a file is not what was written; one without a checksum passes."""
    if SUM_KEY in metadata and metadata[SUM_KEY] != checksum(tensors, metadata):
        raise CheckpointError(
            f"{path} does not match its own checksum: it was changed after it was written",
            hint="copy or download it again",
        )


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
    digest = _sha(name, tensor).digest()
    model.digests[name] = (raw.clone(), digest)
    return digest


def _sha(name: str, tensor: Tensor) -> hashlib._Hash:
    sha = hashlib.sha256()
    dtype = str(tensor.dtype).removeprefix("torch.")
    title = f"{name}|{dtype}|{list(tensor.shape)}|".encode("utf-8", "surrogatepass")
    sha.update(struct.pack("<I", len(title)) + title)
    sha.update(tensor.contiguous().reshape(-1).view(torch.uint8).cpu().numpy().data)
    return sha


# ------------------------------------------------------------------------------------- helpers


def read_tensors_of(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file that ``read_index`` found sound, in memory of their own: later changes of
    the file do not reach them."""
    try:
        with opened(path) as file:
            size = os.fstat(file.fileno()).st_size
            check_memory(3 * size, path)
            loaded = safetensors.torch.load(file.read(size))
        return {n: t.clone() for n, t in loaded.items()}
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None
    except (safetensors.SafetensorError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}", hint="the file is damaged") from None


def _check_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    for name in sorted(tensors, key=natural_key):
        if tensors[name].is_floating_point() and not bool(torch.isfinite(tensors[name]).all()):
            raise CheckpointError(
                f"{path}: '{name}' contains NaN or infinite values",
                hint="its training diverged, or the file is damaged",
            )


def _check_betas(path: Path, model: Model) -> None:
    for layer in range(model.num_layers):
        if not 0 < model.beta(layer) < math.inf:
            raise CheckpointError(
                f"{path}: '{model.beta_key(layer)}' makes an inverse temperature of {model.beta(layer)}",
                hint="β = exp(log_beta) is a positive number, usually from 1 to 10",
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
