"""Reading ``.npz`` files, numpy's archives of named arrays.

An archive is a zip of ``NAME.npy`` records; each begins with its dtype and shape. Those claims are compared with the
length of the record, and with the memory that is free, before anything is taken. Arrays of Python objects are pickles,
and are refused.

Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import math
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np
import torch
from torch import Tensor

from energylang.errors import CheckpointError
from energylang.files.storage import check_memory, opened
from energylang.models.dtypes import entries_of
from energylang.models.index import MAX_MODEL_BYTES, TensorEntry
from energylang.models.wrapped import unwrapped

_FAULTS = (
    ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError, SyntaxError, RecursionError, MemoryError,
    NotImplementedError, RuntimeError, zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error,
)  # fmt: skip
_MOST_ARRAYS = 100_000
_STEP = 8 * 2**20


def is_npz(file: BinaryIO) -> bool:
    """Whether a zip holds arrays of numpy, and nothing else."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (*_FAULTS, OSError):
        return False
    finally:
        file.seek(0)
    return bool(names) and all(name.endswith(".npy") for name in names)


def read_arrays(path: Path, device: str = "cpu") -> dict[str, Tensor]:
    """The arrays of an archive as tensors, under the names that this package knows; ``device="meta"`` reads their
    shapes alone. Raises ``CheckpointError``."""
    try:
        with opened(path) as file, zipfile.ZipFile(file) as archive:
            found = dict(_arrays(path, archive, device))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None
    except _FAULTS as error:
        raise CheckpointError(f"{path} is damaged or truncated", hint=f"{error}"[:160]) from None
    return unwrapped(str(path), found)


def read_array_entries(path: Path) -> dict[str, TensorEntry]:
    """Names, dtypes and shapes of the arrays."""
    return entries_of(read_arrays(path, "meta"))


def _arrays(path: Path, archive: zipfile.ZipFile, device: str) -> Iterator[tuple[str, Tensor]]:
    records = archive.infolist()
    if len(records) > _MOST_ARRAYS:
        raise CheckpointError(f"{path} holds {len(records):,} arrays; at most {_MOST_ARRAYS:,} are read")
    if sum(record.file_size for record in records) > MAX_MODEL_BYTES:
        raise CheckpointError(f"{path} claims more than {MAX_MODEL_BYTES // 2**30} GiB of arrays")
    if device != "meta":
        check_memory(2 * sum(record.file_size for record in records), path)
    seen: set[str] = set()
    for record in records:
        name = record.filename.removesuffix(".npy")
        if name in seen:
            raise CheckpointError(f"{path}: two arrays are called '{name:.200}'")
        seen.add(name)
        with archive.open(record) as file:
            yield name, _array(path, name, file, record.file_size, device)


def _array(path: Path, name: str, file: IO[bytes], length: int, device: str) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numpy, about headers that Python 2 wrote
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, by_columns, dtype = read(file)
    if dtype.hasobject:
        raise CheckpointError(
            f"{path}: '{name:.200}' is an array of Python objects, which is a pickle, and was refused",
            hint="save arrays of numbers",
        )
    if dtype.kind not in "fiub":
        raise CheckpointError(f"{path}: '{name:.200}' has dtype {dtype!s:.80}, which is no number here")
    if any(side < 0 for side in shape) or file.tell() + math.prod(shape) * dtype.itemsize != length:
        raise CheckpointError(f"{path}: '{name:.200}' claims {shape!s:.80} {dtype} in {length} bytes")
    small = dtype.newbyteorder("=")
    try:
        kind = torch.from_numpy(np.empty(0, small)).dtype
    except TypeError:
        raise CheckpointError(
            f"{path}: '{name:.200}' has dtype {dtype}", hint="float16, float32 or float64"
        ) from None
    if device == "meta":
        return torch.empty(shape, dtype=kind, device="meta")
    data = bytearray()
    while piece := file.read(_STEP):  # reads to the end, where zipfile compares the checksum
        data += piece
    array = np.frombuffer(data, dtype).astype(small, copy=False)
    tensor = torch.from_numpy(array.reshape(shape, order="F" if by_columns else "C"))
    return tensor.contiguous()
