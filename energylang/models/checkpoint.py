"""Models on disk: load, save, fingerprint.

``save`` writes one safetensors file: the weights under their canonical names, other tensors as
``extra.{name}``, and one metadata string, a JSON object under the key ``energylang``:

    {"version": 1, "kind": …, "config": {…}, "tokenizer": {…}, "dialogue": {…}, "report": {…}, …}

Laws (tested): what ``save`` writes, ``load`` reads back bit for bit, edited weights and all; the
file appears whole or not at all; equal models give equal files; a file that was changed since is
refused; a fingerprint depends on names, dtypes, shapes and bytes of the weights and on nothing else.

Half precision (float16, bfloat16) is held as float32, in which all is calculated and hashed; it changes no value.
``save`` writes it in the dtype of its file again: a tensor that was not edited has its old bytes, an edited one is
rounded. So a hash says what the model in memory calculates with: load, save and load give the same file and the same
hash where nothing was edited, and another hash where an edit was rounded.

Nothing is loaded loosely: a missing, surplus or misshapen tensor is named, never skipped.

Memory: that of the tensors as they are held, once. A file is read tensor by tensor into memory of their own, never
mapped: who changes the file later, or cuts it off, must not reach the model; and it is written in the same way.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from io import BufferedReader
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from energylang.errors import CheckpointError
from energylang.files.storage import check_memory, opened, write_atomic
from energylang.models.dtypes import HALVES, TORCH, all_finite, bytes_held, bytes_of, entries_of, held_as
from energylang.models.header import (
    ModelHeader,
    header_of,
    is_pt,
    parse_spec,
    pretrained_header,
    read_shard_entries,
)
from energylang.models.hopfield import sandbox
from energylang.models.index import LAYOUT_VERSION, TensorEntry, read_index, written_index
from energylang.models.kinds import kind_named
from energylang.models.layout import beta_name
from energylang.models.model import Model
from energylang.models.protocol import natural_key
from energylang.models.published import read_tensors
from energylang.models.shards import check_whole, is_index, shards_of
from energylang.models.wrapped import unwrapped

SUM_KEY = "sha256"
_EXTRA = "extra."
_AGAIN = 8  # times that a file is read which others put another one in place of
Found = TypeVar("Found")
_DTYPES = {"float32": torch.float32, "float64": torch.float64}


def load(
    spec: str,
    base: Path | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
    watch: Callable[[int, int, str], None] | None = None,
) -> Model:
    """The model that ``spec`` names (the forms are listed in ``energylang.models.header``).

    Without ``dtype`` a file keeps its own, except that half precision is widened (see above); with one, the tensors are
    held and saved in that. ``watch`` hears how far a long loading is. Raises ``CheckpointError`` with the path and a
    hint.
    """
    place, wanted = _device(device), _dtype(dtype)
    source = parse_spec(spec, base)
    if source.form == "random":
        return _move(sandbox.random_model(source.dim, source.count, spec=spec), place, wanted)
    if source.form == "planted":
        return _move(sandbox.planted_model(source.dim, source.count, spec=spec), place, wanted)
    path = source.path
    if source.form == "pretrained":
        from energylang.models.pretrained.loading import load as load_pretrained

        return load_pretrained(spec, path, pretrained_header(spec, path), place, wanted, watch)
    metadata: dict[str, object] = {}
    if is_index(path):
        found = read_shards(path, wanted)
        header = header_of(spec, str(path), entries_of(found), metadata)
    elif is_pt(path):
        check_whole(path)
        found = read_tensors(path)
        header = header_of(spec, str(path), entries_of(found), metadata)
    else:

        def read() -> tuple[ModelHeader, dict[str, Tensor], dict[str, object]]:
            check_whole(path)
            entries, metadata = read_index(path)
            entries = entries if metadata else unwrapped(str(path), entries)
            header = header_of(spec, str(path), entries, metadata)  # refuses before anything large is read
            return header, read_tensors_of(path, entries, wanted), metadata

        header, found, metadata = _of_one_file(path, read)
    changed = sum_fault(path, found, metadata)  # before anything is widened
    _check_finite(path, found)
    weights = {n: t for n, t in found.items() if not n.startswith(_EXTRA)}
    extra = {n.removeprefix(_EXTRA): t for n, t in found.items() if n.startswith(_EXTRA)}
    if metadata and kind_named(header.kind, str(path)).network:
        from energylang.models.config import check_tensors

        check_tensors(str(path), weights, metadata)
    model = Model(header, weights, extra=extra, metadata=metadata)
    del found, weights, extra  # what is moved or widened is not kept twice
    _move(model, place, wanted)
    if model.landscape:
        _check_betas(path, model)
    if "text" in header.capabilities:
        from energylang.models.config import attach_text

        attach_text(model, str(path))
    if changed is not None:  # last: what is wrong in particular says more
        raise changed
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
    ``Model.metadata["notes"]``). Atomic: see ``energylang.files.storage``. Raises ``CheckpointError`` where an edited
    tensor does not fit into the half precision of its file.
    """
    target = Path(path).expanduser()
    if target.suffix != ".safetensors":
        raise CheckpointError(
            f"{target}: models are saved as .safetensors files",
            hint=f"for example {target.with_suffix('.safetensors').name}",
        )
    added = {_EXTRA + name: tensor for name, tensor in (extra or {}).items()}
    tensors = {**model.live, **{_EXTRA + name: tensor for name, tensor in model.extra.items()}, **added}
    stored = {n: dtype for n, dtype in model.stored.items() if n in tensors and n not in added}
    for name, dtype in stored.items():
        if not all_finite(tensors[name].to(dtype)):
            raise CheckpointError(
                f"'{name}' has grown beyond what its file keeps it in: {str(dtype).removeprefix('torch.')}",
                hint="make the edit smaller",
            )
    metadata = {**model.metadata, "version": LAYOUT_VERSION, "kind": model.header.kind}
    metadata.setdefault("config", {"degree": model.degree})
    if notes is not None:
        metadata["notes"] = dict(notes)
    write_atomic(target, serialise(tensors, metadata, stored))
    return target


def serialise(
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, object],
    stored: Mapping[str, torch.dtype] = MappingProxyType({}),
) -> Iterator[bytes | memoryview]:
    """The bytes of a safetensors file, part by part, with a checksum in its metadata: a function of its arguments
    alone. Tensors named in ``stored`` are written in that dtype."""
    signed = {**metadata, SUM_KEY: checksum(tensors, metadata, stored)}
    text = json.dumps(signed, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    kinds = entries_of({n: t.to("meta", stored.get(n, t.dtype)) for n, t in tensors.items()})
    start, order = written_index(kinds, text)
    yield start
    for name in order:
        yield bytes_of(tensors[name].to(stored.get(name, tensors[name].dtype)))


def checksum(
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, object],
    stored: Mapping[str, torch.dtype] = MappingProxyType({}),
) -> str:
    """SHA-256 (hex) over the metadata, without a checksum in it, and every tensor's name, dtype, shape and bytes (in
    the dtype of ``stored``, where it is named there)."""
    whole = hashlib.sha256()
    plain = {key: value for key, value in metadata.items() if key != SUM_KEY}
    text = json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    whole.update(text.encode("utf-8", "surrogatepass"))
    for name in sorted(tensors, key=natural_key):
        tensor = tensors[name]
        whole.update(_digest(name, tensor.to(stored.get(name, tensor.dtype)), anew=True))
    return whole.hexdigest()


def sum_fault(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, object]
) -> CheckpointError | None:
    """What is to be raised where a file is not what was written; one without a checksum passes."""
    if SUM_KEY not in metadata or metadata[SUM_KEY] == checksum(tensors, metadata):
        return None
    return CheckpointError(
        f"{path} does not match its own checksum: it was changed after it was written",
        hint="copy or download it again",
    )


def fingerprint(
    model: Model, instead: Mapping[str, Tensor] | None = None, more: Mapping[str, Tensor] | None = None
) -> str:
    """SHA-256 (hex) over names, dtypes, shapes and bytes of the weights, in natural order.

    ``instead`` holds tensors by canonical name to hash in place of the live ones: the fingerprint the
    model would have with them; ``more`` are hashed behind them.

    A tensor's digest is remembered as long as the tensor lives, with no copy of it. It is used again for the same
    tensor object when torch has counted no write into it since and the CRC-32 of its bytes, taken every time, is the
    same. So a tensor put in its place, or a write that torch counts, is noticed for certain; a write behind torch's
    back (through ``.data`` or numpy) is noticed for certain when all that it changed lies within four neighbouring
    bytes (one float32), and otherwise but for one chance in 2³². The CRC costs a third of the hash. (What lies
    on a GPU is copied for it, tensor by tensor.)
    """
    whole = hashlib.sha256()
    for name, tensor in model.live.items():
        whole.update(_digest(name, (instead or {}).get(name, tensor)))
    for name, tensor in (more or {}).items():
        whole.update(_digest(name, tensor))
    return whole.hexdigest()


# Of a tensor: what its digest holds for, and the digest.
_DIGESTS: MutableMapping[Tensor, tuple[object, bytes]] = WeakIdKeyDictionary()


def _digest(name: str, tensor: Tensor, *, anew: bool = False) -> bytes:
    """SHA-256 of a tensor's name, dtype, shape and bytes; ``anew``: believe nothing that is remembered."""
    raw = bytes_of(tensor)
    title = f"{name}|{str(tensor.dtype).removeprefix('torch.')}|{list(tensor.shape)}|"
    writes = 0 if tensor.is_inference() else tensor._version
    seen = (title, writes, zlib.crc32(raw))
    known = _DIGESTS.get(tensor, (None, b""))
    if anew or known[0] != seen:
        head = title.encode("utf-8", "surrogatepass")
        sha = hashlib.sha256(struct.pack("<I", len(head)) + head)
        sha.update(raw)
        known = _DIGESTS[tensor] = (seen, sha.digest())
    return known[1]


# ------------------------------------------------------------------------------------- helpers


def read_shards(path: Path, wanted: torch.dtype | None = None) -> dict[str, Tensor]:
    """The tensors of all files that an index names. Their shapes are looked at before any of them is read."""
    header_of(str(path), str(path), read_shard_entries(path), {})
    found: dict[str, Tensor] = {}
    for shard in shards_of(path):
        found.update(
            read_tensors(shard) if is_pt(shard) else read_tensors_of(shard, read_index(shard)[0], wanted)
        )
    return unwrapped(str(path), found)


def _of_one_file(path: Path, read: Callable[[], Found]) -> Found:
    """What ``read`` finds at a path that it opens more than once. Where another process puts another file there in
    between, it is read again."""
    for _ in range(_AGAIN):
        before = _identity(path)
        try:
            found = read()
        except CheckpointError:
            if _identity(path) == before:
                raise
            continue
        if _identity(path) == before:
            return found
    raise CheckpointError(f"{path} is being written again and again", hint="load it when it is finished")


def _identity(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def read_tensors_of(
    path: Path, entries: Mapping[str, TensorEntry], wanted: torch.dtype | None = None
) -> dict[str, Tensor]:
    """The tensors of a safetensors file where ``read_index`` found them, in the dtypes of the file and in memory of
    their own. Raises ``CheckpointError`` before anything is read where it would not fit into the memory, the room for
    holding it as ``wanted`` included."""
    try:
        check_memory(bytes_held(entries.values(), wanted), path)
        with opened(path) as file:
            return {name: _read(file, entry) for name, entry in entries.items()}
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None


def _read(file: BufferedReader, entry: TensorEntry) -> Tensor:
    tensor = torch.empty(entry.shape, dtype=TORCH[entry.dtype])
    file.seek(entry.start)
    if file.readinto(bytes_of(tensor)) != entry.nbytes:
        raise OSError("it was cut off while it was read")
    return tensor


def _check_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    for name in sorted(tensors, key=natural_key):
        if not all_finite(tensors[name]):
            raise CheckpointError(
                f"{path}: '{name}' contains NaN or infinite values",
                hint="its training diverged, or the file is damaged",
            )


def _check_betas(path: Path, model: Model) -> None:
    for layer in range(model.num_layers):
        if not 0 < model.beta(layer) < math.inf:
            raise CheckpointError(
                f"{path}: '{beta_name(model.weight_key(layer))}' makes an inverse temperature of {model.beta(layer)}",
                hint="β = exp(log_beta) is a positive number, usually from 1 to 10",
            )


def _move(model: Model, device: torch.device, dtype: torch.dtype | None) -> Model:
    """Put a model where it is to be, in the dtypes in which it is held; what was widened unasked is noted down."""
    for tensors, prefix in ((model.live, ""), (model.extra, _EXTRA)):
        for name, tensor in tensors.items():
            if dtype is None and tensor.dtype in HALVES:
                model.stored[prefix + name] = tensor.dtype
            moved = tensor.to(device=device, dtype=held_as(tensor.dtype, dtype))
            tensors[name] = moved.contiguous() if tensor.is_floating_point() else moved
    return model


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
