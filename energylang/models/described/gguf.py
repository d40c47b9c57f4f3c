"""What does the beginning of a GGUF file say?  (PURE: no torch, no numpy.)

A GGUF file begins with its version, pairs of key and value, and the name, shape and kind of every tensor; then come the
tensors. Here that beginning is read, to say what the model is before anything large is; lists are skipped and only
their lengths kept. Every claim is compared with the length of the file.

Source: the specification in https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from energylang.errors import CheckpointError
from energylang.files.storage import opened
from energylang.models.index import check_file

_MAGIC = b"GGUF"
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _LIST = 8, 9
_SIZES = {  # of a tensor's kind: numbers in a block, and its bytes
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 28: (1, 8), 30: (1, 2),
}  # fmt: skip
_MOST = 2**20  # of keys, tensors and bytes in a name: beyond, the file is damaged
_LONGEST = 2**24  # bytes of one text


@dataclass(frozen=True, slots=True)
class Length:
    """How long a list in the file is; its items are left where they are."""

    count: int


@dataclass(frozen=True, slots=True)
class Beginning:
    """Keys and values (a list as its ``Length``), and the shapes of the tensors by name, the first axis first."""

    values: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def parameters(self) -> int:
        return sum(math.prod(shape) for shape in self.shapes.values())


def read_beginning(path: Path) -> Beginning:
    """The beginning of a GGUF file. Raises ``CheckpointError`` for what is damaged, cut off or of another kind."""
    check_file(path)
    try:
        with opened(path) as file:
            return _Reader(file, path).read()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None


class _Reader:
    def __init__(self, file: BufferedReader, path: Path) -> None:
        self.file, self.path = file, path
        self.size = os.fstat(file.fileno()).st_size

    def read(self) -> Beginning:
        if self.take(4) != _MAGIC:
            raise CheckpointError(
                f"{self.path} is not a GGUF file", hint="it does not begin with the letters GGUF"
            )
        version = self.number("I")
        if not 2 <= version <= 3:
            raise CheckpointError(
                f"{self.path} has version {version} of the GGUF layout", hint="versions 2 and 3 are read"
            )
        tensors, keys = self.number("Q"), self.number("Q")
        if max(tensors, keys) > _MOST:
            raise self.damaged()
        values = {}
        for _ in range(keys):
            name = self.text()
            values[name] = self.value(self.number("I"))
        shapes, end = {}, 0
        for _ in range(tensors):
            name = self.text()
            axes = self.number("I")
            if axes > 8:
                raise self.damaged()
            shapes[name] = tuple(self.number("Q") for _ in range(axes))[::-1]
            kind, start = self.number("I"), self.number("Q")
            numbers, size = _SIZES.get(kind, (1, 0))
            end = max(end, start + math.prod(shapes[name]) // numbers * size)
        step = values.get("general.alignment", 32)
        begin = -(-self.file.tell() // step) * step if type(step) is int and step > 0 else self.file.tell()
        if begin + end > self.size:
            raise CheckpointError(
                f"{self.path} is truncated: its header promises {end:,} bytes of tensors and "
                f"{max(0, self.size - begin):,} are there",
                hint="copy or download it again",
            )
        return Beginning(values, shapes)

    def value(self, kind: int) -> Any:
        if kind == _TEXT:
            return self.text()
        if kind == _LIST:
            inner, count = self.number("I"), self.number("Q")
            if inner in _SCALARS:
                self.skip(count * struct.calcsize("<" + _SCALARS[inner]))
            elif inner == _TEXT:
                for _ in range(min(count, self.size)):
                    self.skip(self.number("Q"))
            else:
                raise self.damaged()
            return Length(count)
        if kind not in _SCALARS:
            raise self.damaged()
        return self.number(_SCALARS[kind])

    def text(self) -> str:
        length = self.number("Q")
        if length > _LONGEST:
            raise self.damaged()
        return self.take(length).decode("utf-8", "replace")

    def number(self, form: str) -> Any:
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]

    def take(self, count: int) -> bytes:
        found = self.file.read(count)
        if len(found) != count:
            raise self.damaged()
        return found

    def skip(self, count: int) -> None:
        if count > self.size:
            raise self.damaged()
        self.file.seek(count, os.SEEK_CUR)
        if self.file.tell() > self.size:
            raise self.damaged()

    def damaged(self) -> CheckpointError:
        return CheckpointError(
            f"{self.path} is truncated or damaged: it ends, or makes no sense, inside its own header",
            hint="copy or download it again",
        )
