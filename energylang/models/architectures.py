"""Which architectures can a model file hold, and does this one hold what it says?

An architecture is a module with ``shapes(config)``, ``initial(config, generator)`` and ``forward``,
and a configuration whose ``problem()`` names what is impossible about it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import ModuleType

from torch import Tensor

from energylang.errors import CheckpointError
from energylang.models import hlm, transformer

Config = hlm.HLMConfig | transformer.TransformerConfig


#: Entries that older files lack; their defaults say what those files meant.
_LATER = {"attends", "scale", "hidden", "smeared"}


def network(kind: str) -> ModuleType:
    """The module of the architecture ``kind``."""
    return transformer if kind == "transformer" else hlm


def config_class(kind: str) -> type[Config]:
    """The configuration of the architecture ``kind``."""
    return transformer.TransformerConfig if kind == "transformer" else hlm.HLMConfig


def read_config(where: str, metadata: Mapping[str, object]) -> Config:
    """The configuration in a file's metadata; raises ``CheckpointError`` naming what is wrong."""
    kind, value = str(metadata.get("kind")), metadata.get("config")
    cls = config_class(kind)
    known = {f.name for f in dataclasses.fields(cls)}
    given = set(value) if isinstance(value, dict) else set()
    if not isinstance(value, dict) or (known - given - _LATER) | (given - known):
        names = ", ".join(sorted((known - given - _LATER) | (given - known))) or "everything"
        raise CheckpointError(f"{where}: the configuration has missing or unknown entries: {names}")
    config = cls(**value)
    if problem := config.problem():
        raise CheckpointError(f"{where}: impossible configuration: {problem}")
    return config


def check_tensors(where: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, object]) -> None:
    """Every tensor of the architecture is there, in its shape, and no other."""
    config = read_config(where, metadata)
    wanted: dict[str, tuple[int, ...]] = network(str(metadata.get("kind"))).shapes(config)
    for title, names in (
        ("is missing", sorted(set(wanted) - set(tensors))),
        ("has no place for", sorted(set(tensors) - set(wanted))),
    ):
        if names:
            shown = ", ".join(f"'{n}'" for n in names[:4])
            more = f" and {len(names) - 4} more" if len(names) > 4 else ""
            raise CheckpointError(f"{where} {title} {shown}{more}", hint="it is not the model it says it is")
    for name, shape in wanted.items():
        if tuple(tensors[name].shape) != shape:
            raise CheckpointError(f"{where}: '{name}' is {list(tensors[name].shape)}, not {list(shape)}")
        if not tensors[name].is_floating_point():
            raise CheckpointError(f"{where}: '{name}' has dtype {tensors[name].dtype}, not a floating one")
