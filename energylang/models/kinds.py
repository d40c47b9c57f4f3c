"""Which kinds of model are there?  One folder each, found by what its ``__init__`` declares.  (PURE: no torch.)

A folder of this package whose ``__init__`` holds ``KINDS`` is a kind of model, or several. What stands there is what a
checker asks before anything is loaded; the folder's ``network`` module (``protocol.Network``) is imported when such a
model is loaded or made.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from energylang.errors import CheckpointError
from energylang.models.index import TensorEntry

Layers = tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Kind:
    """A kind of model. ``layers`` reads off a file's entries and configuration the dimension of every layer and the
    parameter that edits of it change, and raises ``CheckpointError`` for what cannot be; ``landscape``: the layers are
    landscapes; ``network``: the module that runs it, empty for weights alone; ``config`` the name of its configuration
    there, ``later`` its entries that older files lack."""

    name: str
    layers: Callable[[str, Mapping[str, TensorEntry], Mapping[str, Any]], Layers]
    landscape: bool
    network: str = ""
    config: str = ""
    later: frozenset[str] = frozenset()


@cache
def kinds() -> Mapping[str, Kind]:
    """All kinds by name."""
    package = __name__.rpartition(".")[0]
    folders = [m.name for m in pkgutil.iter_modules(import_module(package).__path__) if m.ispkg]
    found = (kind for name in folders for kind in getattr(import_module(f"{package}.{name}"), "KINDS", ()))
    return {kind.name: kind for kind in found}


def kind_named(name: str, where: str) -> Kind:
    """The kind of this name; raises ``CheckpointError``, naming the file, where there is none."""
    kind = kinds().get(name)
    if kind is None:
        raise CheckpointError(f"{where} holds a model of the unknown kind {name!r}", hint="update energylang")
    return kind


def network(kind: str) -> Any:
    """The module that runs models of this kind (see ``protocol.Network``)."""
    return import_module(kind_named(kind, kind).network)


def config_class(kind: str) -> Any:
    """The configuration of models of this kind."""
    return getattr(network(kind), kind_named(kind, kind).config)
