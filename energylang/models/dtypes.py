"""Which numbers do the names of dtypes in a file mean, and how many bytes do they take here?

Half precision is held as float32 (on a CPU it is several times slower to calculate with); that changes no value, and
narrowing a value that was widened gives its old bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from energylang.models.index import TensorEntry

HALVES = (torch.float16, torch.bfloat16)
#: The dtypes of a safetensors file by their names there.
TORCH = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8,
    "F8_E5M2": torch.float8_e5m2, "F8_E4M3": torch.float8_e4m3fn,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz, "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "I16": torch.int16, "U16": torch.uint16, "F16": torch.float16, "BF16": torch.bfloat16,
    "I32": torch.int32, "U32": torch.uint32, "F32": torch.float32,
    "C64": torch.complex64, "F64": torch.float64, "I64": torch.int64, "U64": torch.uint64,
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in TORCH.items()}


def entries_of(tensors: Mapping[str, Tensor]) -> dict[str, TensorEntry]:
    """Tensors as a header describes them."""
    return {n: TensorEntry(_NAMES.get(t.dtype, str(t.dtype)), tuple(t.shape)) for n, t in tensors.items()}


def held_as(dtype: torch.dtype, wanted: torch.dtype | None = None) -> torch.dtype:
    """The dtype in which numbers of a file are held: ``wanted`` for floating ones, else their own, halves widened."""
    if not dtype.is_floating_point:
        return dtype
    return wanted or (torch.float32 if dtype in HALVES else dtype)


def bytes_held(entries: Iterable[TensorEntry], wanted: torch.dtype | None = None) -> int:
    """Bytes of memory that tensors take while they are read and when they are held."""
    sizes = ((entry, TORCH[entry.dtype]) for entry in entries)
    return sum(e.numel * max(dtype.itemsize, held_as(dtype, wanted).itemsize) for e, dtype in sizes)


def all_finite(tensor: Tensor) -> bool:
    """Whether no number of a tensor is NaN or infinite, without a copy of it."""
    if tensor.numel() == 0 or not tensor.is_floating_point():
        return True
    plain = tensor.detach() if tensor.element_size() > 1 else tensor.detach().float()
    return bool(torch.isfinite(torch.stack(torch.aminmax(plain))).all())


def bytes_of(tensor: Tensor) -> memoryview:
    """The bytes of a tensor in order; those that it has, where it lies in the memory of the CPU without gaps."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
