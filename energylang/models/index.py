"""What does a safetensors file say it contains? Checked before a byte of it is believed, and written.  (PURE.)

The layout: 8 bytes, little-endian length ``n``; ``n`` bytes of JSON that map a tensor's name to dtype,
shape and byte range (and ``__metadata__`` to strings); then the bytes of all tensors without gaps. Every
one of these claims is compared with the length of the file, before anything of that size is allocated,
so a truncated or forged file is reported as such and not as a failure further down.

Source: https://github.com/huggingface/safetensors (format section of its README).
"""

from __future__ import annotations

import difflib
import json
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from energylang.errors import CheckpointError
from energylang.files.storage import check_regular, opened

#: Version of the layout that ``save`` writes; a file with another one is refused.
LAYOUT_VERSION = 1
#: The one metadata key of a saved model: a JSON object (see ``energylang.models.checkpoint``).
METADATA_KEY = "energylang"
PT_SUFFIXES = (".pt", ".pth")

# Bytes of a number. Tensors are written in the opposite order of this list, so that all are aligned.
_ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1,
    "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4,
    "C64": 8, "F64": 8, "I64": 8, "U64": 8,
}  # fmt: skip
_MAX_HEADER_BYTES = 64 * 2**20
_MAX_AXES = 8
MAX_MODEL_BYTES = 64 * 2**30


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor as its file describes it. ``start`` is where in the file its bytes begin."""

    dtype: str
    shape: tuple[int, ...]
    start: int = field(default=0, compare=False)

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.numel * _ITEM_BYTES[self.dtype]

    @property
    def floating(self) -> bool:
        return self.dtype.startswith(("F", "BF"))


def check_file(path: Path) -> None:
    """Raise ``CheckpointError`` when ``path`` is missing, no regular file, unreadable, empty or beyond all bounds."""
    try:
        size = check_regular(path)
    except IsADirectoryError:
        raise CheckpointError(
            f"{path} is a directory, not a model file", hint="name the file inside it"
        ) from None
    except FileNotFoundError:
        names = [p.name for p in path.parent.glob("*") if p.suffix in (".safetensors", *PT_SUFFIXES)]
        close = difflib.get_close_matches(path.name, names, n=1)
        raise CheckpointError(
            f"there is no file {path}",
            hint=f"did you mean {close[0]}?" if close else "check the path; it is relative to the script",
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{path} cannot be read: {reason}", hint="check the path") from None
    if size > MAX_MODEL_BYTES:
        raise CheckpointError(
            f"{path} is larger than {MAX_MODEL_BYTES // 2**30} GiB", hint="a model of that size is not read"
        )
    if size == 0:
        raise CheckpointError(f"{path} is empty", hint="it was probably never written to the end")


def read_index(path: Path, key: str = METADATA_KEY) -> tuple[dict[str, TensorEntry], dict[str, object]]:
    """(tensors by name, the JSON object in its metadata under ``key`` or {}) of a safetensors file; no tensor is
    read. A model's object is under ``METADATA_KEY``; only that one has a version and a kind.

    Raises ``CheckpointError`` for everything that does not add up, naming the file.
    """

    def bad(what: str, hint: str = "the file is damaged or is not a safetensors file") -> CheckpointError:
        return CheckpointError(f"{path} {what}", hint=hint)

    check_file(path)
    try:
        with opened(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size < 8:
                raise bad("is truncated: shorter than the header of a safetensors file")
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _MAX_HEADER_BYTES:
                raise bad("is not a safetensors file")
            if 8 + length > size:
                raise bad("is truncated: it ends inside its own header")
            raw = file.read(length)
    except OSError as error:
        raise bad(f"cannot be read: {error.strerror or error}", "check the permissions") from None
    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError):
        raise bad("is not a safetensors file") from None
    if not isinstance(header, dict):
        raise bad("is not a safetensors file")
    metadata = header.pop("__metadata__", {})
    entries: dict[str, TensorEntry] = {}
    ranges: list[tuple[int, int]] = []
    for name, item in header.items():
        if (
            not isinstance(item, dict)
            or not isinstance(item.get("dtype"), str)
            or item["dtype"] not in _ITEM_BYTES
            or not _natural_numbers(item.get("shape"))
            or len(item["shape"]) > _MAX_AXES
            or not _natural_numbers(item.get("data_offsets"))
            or len(item["data_offsets"]) != 2
        ):
            raise bad(f"has a header that does not describe tensor '{name:.200}'")
        start, end = item["data_offsets"]
        entry = TensorEntry(item["dtype"], tuple(item["shape"]), 8 + length + start)
        if end - start != entry.nbytes:
            claim = f"{entry.shape}"
            raise bad(f"claims {claim:.200} {entry.dtype} for '{name:.200}' in {end - start} bytes")
        entries[name] = entry
        ranges.append((start, end))
    position = 0
    for start, end in sorted(ranges):
        if start != position:
            raise bad("has a gap or an overlap between its tensors")
        position = end
    held = size - 8 - length
    if held < position:
        raise bad(
            f"is truncated: its header promises {position:,} bytes of tensors and {held:,} are there",
            "copy or download it again",
        )
    if held > position:
        raise bad(f"has {held - position:,} bytes after its last tensor")
    return entries, _own_metadata(path, metadata, key)


def written_index(
    entries: Mapping[str, TensorEntry], about: str | Mapping[str, str]
) -> tuple[bytes, list[str]]:
    """The beginning of a model's file, with its metadata (a text: that of this package), and the names of its
    tensors in the order in which their bytes follow: what the library of that format writes, byte for byte."""
    rank = {dtype: place for place, dtype in enumerate(_ITEM_BYTES)}
    order = sorted(entries, key=lambda name: (-rank[entries[name].dtype], name))
    header: dict[str, object] = {
        "__metadata__": {METADATA_KEY: about} if isinstance(about, str) else dict(about)
    }
    end = 0
    for name in order:
        entry = entries[name]
        start, end = end, end + entry.nbytes
        header[name] = {"dtype": entry.dtype, "shape": entry.shape, "data_offsets": (start, end)}
    raw = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    raw += b" " * (-len(raw) % 8)
    return struct.pack("<Q", len(raw)) + raw, order


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result


def _natural_numbers(value: object) -> bool:
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)


def _own_metadata(path: Path, metadata: object, key: str) -> dict[str, object]:
    text = metadata.get(key) if isinstance(metadata, dict) else None
    if text is None:
        return {}
    try:
        own = json.loads(text)
        if key != METADATA_KEY:
            return dict(own)
        version, _ = own["version"], own["kind"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise CheckpointError(
            f"{path} has unreadable model metadata", hint="it was not written by this tool"
        ) from None
    if type(version) is not int or version != LAYOUT_VERSION:
        raise CheckpointError(
            f"{path} has layout version {version!r}; this version reads {LAYOUT_VERSION}",
            hint="update energylang, or save the model again with the version that wrote it",
        )
    return cast("dict[str, object]", own)
