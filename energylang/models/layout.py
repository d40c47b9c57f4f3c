"""Canonical names of a landscape's tensors, as in the published layout, and the limit on its dimension.  (PURE.)"""

from __future__ import annotations

import re
from collections.abc import Iterable

from energylang.errors import CheckpointError

MAX_DIMENSION = 8192
"""Largest dimension of a landscape that is accepted, from a specification or from a file."""


_HOPFIELD_W = re.compile(r"blocks\.(\d+)\.hopfield\.W")


def hopfield_blocks(names: Iterable[str]) -> list[int]:
    """Block numbers that have a Hopfield weight, as numbers: block 2 comes before block 10."""
    return sorted(int(m[1]) for m in map(_HOPFIELD_W.fullmatch, names) if m)


def check_dimension(dim: int, where: str) -> None:
    """Refuse a landscape outside 1 … 8192 dimensions."""
    if not 1 <= dim <= MAX_DIMENSION:
        raise CheckpointError(
            f"'{where}': dimension {dim} is out of bounds",
            hint=f"a layer has 1 to {MAX_DIMENSION} dimensions",
        )


def beta_name(weight: str) -> str:
    """The name of the log β that belongs to a weight."""
    return weight.removesuffix("W") + "log_beta"


def weight_name(block: int) -> str:
    """The canonical name of a block's weight."""
    return f"blocks.{block}.hopfield.W"
