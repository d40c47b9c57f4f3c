"""A plain transformer, trained beside the open model: its layers are the residual stream.  (PURE: no torch.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from energylang.models.index import TensorEntry
from energylang.models.kinds import Kind, Layers


def layers(where: str, entries: Mapping[str, TensorEntry], config: Mapping[str, Any]) -> Layers:
    """The stream behind every block; edits change what its MLP writes."""
    names = sorted((n for n in entries if n.endswith(".mlp.output.weight")), key=lambda n: (len(n), n))
    return tuple((entries[name].shape[0], name) for name in names)


KINDS = (
    Kind(
        "transformer",
        layers,
        landscape=False,
        network="energylang.models.transformer.network",
        config="TransformerConfig",
        later=frozenset({"smeared"}),
    ),
)
