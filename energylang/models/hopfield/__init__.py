"""Models whose layers are Hopfield landscapes: our open model, the published layout, sandboxes.  (PURE: no torch.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from energylang.errors import CheckpointError
from energylang.models.index import TensorEntry
from energylang.models.kinds import Kind, Layers
from energylang.models.layout import check_dimension, hopfield_blocks

READABLE = ("F64", "F32", "F16", "BF16")
"""The dtypes in which a layer may be kept."""


def layers(where: str, entries: Mapping[str, TensorEntry], config: Mapping[str, Any]) -> Layers:
    """Every Hopfield weight of a file with its dimension, each checked."""
    layers = []
    for block in hopfield_blocks(entries):
        name = f"blocks.{block}.hopfield.W"
        shape = entries[name].shape
        if len(shape) != 2 or shape[0] != shape[1]:
            raise CheckpointError(
                f"{where}: '{name}' has shape {list(shape)}", hint="a Hopfield weight is a square matrix"
            )
        for kept in (name, f"blocks.{block}.hopfield.log_beta"):
            _check_dtype(where, kept, entries.get(kept))
        check_dimension(shape[0], where)
        bias = entries.get(f"blocks.{block}.hopfield.log_beta")
        if bias is None:
            raise CheckpointError(
                f"{where}: 'blocks.{block}.hopfield.log_beta' is missing",
                hint="every Hopfield weight needs its inverse temperature beside it",
            )
        if bias.numel != 1 or not bias.floating:
            raise CheckpointError(
                f"{where}: 'blocks.{block}.hopfield.log_beta' has shape {list(bias.shape)}",
                hint="log_beta is one floating-point number per layer",
            )
        layers.append((shape[0], name))
    if not layers:
        raise CheckpointError(
            f"{where} has no Hopfield layers" + _held(entries),
            hint="a layer is a pair of tensors blocks.N.hopfield.W and blocks.N.hopfield.log_beta",
        )
    return tuple(layers)


def _held(entries: Mapping[str, TensorEntry]) -> str:
    """What there is instead, for an error."""
    names = sorted(entries)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f": its tensors are {', '.join(f'{name:.80}' for name in names[:3])}{more}" if names else ""


def _check_dtype(where: str, name: str, entry: TensorEntry | None) -> None:
    """Refuse numbers that cannot be calculated with."""
    if entry is None or entry.dtype in READABLE:
        return
    dtype = entry.dtype.removeprefix("torch.")
    if entry.floating or "float8" in dtype:
        raise CheckpointError(
            f"{where}: '{name}' is kept as {dtype}, which is not read",
            hint="8-bit floating point needs its scales: save it as float16, bfloat16 or float32",
        )
    raise CheckpointError(
        f"{where}: '{name}' has dtype {dtype}, not a floating one",
        hint="weights are kept as float16, bfloat16, float32 or float64",
    )


KINDS = (
    Kind(
        "hlm",
        layers,
        landscape=True,
        network="energylang.models.hopfield.network",
        config="HLMConfig",
        later=frozenset({"attends", "scale", "hidden", "smeared"}),
    ),
    Kind("weights", layers, landscape=True),
    Kind("sandbox", layers, landscape=True),
)
