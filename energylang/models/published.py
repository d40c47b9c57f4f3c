"""Reading .pt and .pth files without running what is inside them.

The published layout is ``{"model_state": {...}}`` or ``{"model": {...}}`` or the bare state dictionary
(other keys and prefixes: ``energylang.models.wrapped``), with ``blocks.{i}.hopfield.W`` and
``blocks.{i}.hopfield.log_beta`` among its keys.

A pickle is a program. ``torch.load(weights_only=True)`` interprets only the opcodes and the few
names that tensors need, and a file that asks for anything else is refused before it ran. Two more
checks come first, because that interpreter trusts sizes: records of the zip must be stored
uncompressed and fit into the file together, and no tensor may claim more numbers than the file can hold.
"""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, BinaryIO

import torch
from torch import Tensor

from energylang.errors import CheckpointError
from energylang.files.storage import check_memory, opened
from energylang.models.arrays import is_npz, read_array_entries, read_arrays
from energylang.models.dtypes import entries_of, held_as
from energylang.models.index import TensorEntry
from energylang.models.wrapped import STATE_KEYS, unwrapped

_DAMAGE = (
    RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, OSError,
    AssertionError, OverflowError, MemoryError, struct.error, zipfile.BadZipFile,
    RecursionError, NotImplementedError,
)  # fmt: skip
_PICKLES = 5  # in a file of the older format, before the numbers
_LONGEST_NAME, _LONGEST_PICKLE = 200, 16 * 2**20
_SHARED = 8  # times: tensors may share memory, as tied weights do
_NUMPY = (
    "an array of numpy, which is a pickle, and was refused; nothing in it was run",
    "torch.from_numpy(…) makes a tensor",
)
#: What makes something else than a plain tensor of numbers: what that is, and what helps.
_KINDS = {
    "torch._utils _rebuild_sparse_tensor": ("a sparse tensor", "save it as .to_dense()"),
    "torch._utils _rebuild_qtensor": ("a quantised tensor", "save it as .dequantize()"),
    "torch._utils _rebuild_nested_tensor": ("a nested tensor", "save its parts, as tensors of one shape"),
    "torch._utils _rebuild_meta_tensor_no_storage": (
        "a tensor of the meta device: it has a shape and no numbers",
        "save the model after its weights were loaded",
    ),
    "numpy.core.multiarray _reconstruct": _NUMPY,
    "numpy._core.multiarray _reconstruct": _NUMPY,
}
_REFUSED_NAME = re.compile(r"(?:GLOBAL|function|class|global)\s+`?([A-Za-z_][\w.]*)")


def read_entries(path: Path) -> dict[str, TensorEntry]:
    """Names, dtypes and shapes in the file; for a zip, no tensor is read."""
    if is_archive(path):
        return read_array_entries(path)
    return entries_of(read_tensors(path, "meta"))


def read_tensors(path: Path, device: str = "cpu") -> dict[str, Tensor]:
    """The tensors of the state dictionary. ``device="meta"`` reads their shapes alone.

    Raises ``CheckpointError`` for a damaged file and for one that wants to run code.
    """
    if is_archive(path):
        return read_arrays(path, device)
    if device != "meta":
        read_tensors(path, "meta")  # the claims first, the memory afterwards
    try:
        with opened(path) as file:
            return _read_from(file, path, device)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None


def is_archive(path: Path) -> bool:
    """Whether a file is an archive of numpy arrays (``energylang.models.arrays``)."""
    try:
        with opened(path) as file:
            return file.read(4) == b"PK\x03\x04" and is_npz(file)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None


def _read_from(file: BinaryIO, path: Path, device: str) -> dict[str, Tensor]:
    size = os.fstat(file.fileno()).st_size
    content = load_plain(file, path, device)
    state: object = content
    for key in STATE_KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            state = content[key]
            break
    if not isinstance(state, Mapping):
        raise CheckpointError(
            f"{path} holds no state dictionary: it is a {type(state).__name__}",
            hint=f"expected the dictionary itself, or one under {', '.join(STATE_KEYS)}",
        )
    if state and not any(isinstance(value, Tensor) for value in state.values()):
        keys = ", ".join(str(key) for key in list(state)[:6])
        raise CheckpointError(
            f"{path} holds no tensors at its top: its keys are {keys:.200}",
            hint=f"expected the state dictionary itself, or under {', '.join(STATE_KEYS)}",
        )
    tensors = {k: v for k, v in state.items() if isinstance(k, str) and isinstance(v, Tensor)}
    claimed = 0
    for name, tensor in tensors.items():
        claimed += tensor.numel() * tensor.element_size()
        if tensor.layout != torch.strided or tensor.numel() * tensor.element_size() > size:
            raise CheckpointError(
                f"{path}: '{name}' claims {list(tensor.shape)} numbers, more than the file holds",
                hint="the file is damaged or forged",
            )
    if claimed > _SHARED * size:
        raise CheckpointError(
            f"{path}: its tensors claim {claimed:,} bytes in all, the file holds {size:,}",
            hint="the file is damaged or forged",
        )
    check_memory(sum(t.numel() * max(t.itemsize, held_as(t.dtype).itemsize) for t in tensors.values()), path)
    return unwrapped(str(path), {k: v.detach() for k, v in tensors.items()})


def load_plain(file: BinaryIO, path: Path, device: str = "cpu") -> object:
    """What a torch file holds, of tensors, numbers, texts and collections; it is refused for anything else."""
    zipped = _check_container(file, path)
    _check_names(file, path, zipped)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice to torch's own developers
            return torch.load(file, map_location=device if zipped else "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refusal(path, str(error)) from None
    except _DAMAGE as error:
        raise CheckpointError(
            f"{path} is damaged or truncated",
            hint=f"torch says: {_first_line(error)}",
        ) from None


def _check_container(file: BinaryIO, path: Path) -> bool:
    """True for a sound zip, False for the older format; raises for anything else."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(4)
    file.seek(0)
    if start != b"PK\x03\x04":
        if start[:1] != b"\x80":
            raise not_a_checkpoint(path, start)
        return False
    try:
        with zipfile.ZipFile(file) as archive:
            records = archive.infolist()
    except _DAMAGE:
        raise CheckpointError(
            f"{path} is truncated or damaged", hint="its table of contents is missing: copy it again"
        ) from None
    file.seek(0)
    names = [record.filename for record in records]
    if any(name.endswith("/constants.pkl") for name in names):
        raise CheckpointError(
            f"{path} is a TorchScript program, not a state dictionary; nothing in it was run",
            hint="torch.save(torch.jit.load(…).state_dict(), …) where you trust it",
        )
    if not any(name.endswith("data.pkl") for name in names):
        raise CheckpointError(
            f"{path} is a zip archive without a state dictionary: it holds {', '.join(names[:3]) or 'nothing':.200}",
            hint="unzip it first",
        )
    if any(r.compress_type != zipfile.ZIP_STORED for r in records):
        raise CheckpointError(f"{path} has compressed records", hint="torch.save never writes such a file")
    if sum(r.file_size for r in records) > size:
        raise CheckpointError(
            f"{path} has records that overlap or exceed the file", hint="torch.save never writes such a file"
        )
    return True


def not_a_checkpoint(path: Path, start: bytes) -> CheckpointError:
    """What is to be raised for a file that begins with these bytes."""
    if start[:2] == b"\x1f\x8b":
        return CheckpointError(f"{path} is compressed by gzip", hint="gzip -dc (or gunzip) unpacks it")
    if start == b"\x93NUM":
        return CheckpointError(
            f"{path} is one array of numpy without a name",
            hint="numpy.savez keeps named arrays: blocks.0.hopfield.W and blocks.0.hopfield.log_beta",
        )
    return CheckpointError(
        f"{path} is not a checkpoint", hint="it is neither a torch file nor a safetensors file"
    )


def _check_names(file: BinaryIO, path: Path, zipped: bool) -> None:
    """Read the pickle's instructions without following them, and refuse names that no function has: torch compares
    the name of what it refuses with a pattern, in a time that grows with the square of the name's length."""
    try:
        if zipped:
            with zipfile.ZipFile(file) as archive:
                records = [item for item in archive.infolist() if item.filename.endswith("/data.pkl")]
                streams: list[IO[bytes]] = [io.BytesIO(archive.read(item)) for item in records]
        else:
            streams = [file] * _PICKLES
        for number, stream in enumerate(streams):
            if not zipped and number and file.tell() == os.fstat(file.fileno()).st_size:
                break  # one bare pickle: torch says what it is
            key = ""
            for code, argument, position in pickletools.genops(stream):
                if code.name in ("GLOBAL", "INST") and len(str(argument)) > _LONGEST_NAME:
                    raise _refusal(path, f"GLOBAL {str(argument).replace(' ', '.'):.80}")
                if code.name in ("BINUNICODE", "SHORT_BINUNICODE", "UNICODE"):
                    key = str(argument)
                if code.name == "GLOBAL" and argument in _KINDS:
                    what, way = _KINDS[str(argument)]
                    raise CheckpointError(f"{path}: '{key:.200}' is {what}", hint=way)
                if (position or 0) > _LONGEST_PICKLE:
                    raise CheckpointError(f"{path} has a table of contents beyond all bounds")
    except _DAMAGE as error:
        raise CheckpointError(
            f"{path} is damaged or truncated", hint=f"its table of contents: {_first_line(error)}"
        ) from None
    file.seek(0)


def _refusal(path: Path, message: str) -> CheckpointError:
    if "truncated" in message or "Ran out of input" in message:
        return CheckpointError(f"{path} is truncated", hint="copy or download it again")
    match = _REFUSED_NAME.search(message)
    what = f" ({match[1]})" if match else ""
    return CheckpointError(
        f"{path} contains pickled code{what} and was refused; nothing in it was run",
        hint="ask for the weights as a .safetensors file, or save the bare state dictionary",
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__
