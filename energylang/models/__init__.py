"""The models: what they are, how they are read and written, how they are trained.

``header`` answers what a checker asks and leaves torch out; everything else is imported when it is
first used (PEP 562), so ``import energylang.models`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from energylang.models.checkpoint import fingerprint, load
    from energylang.models.header import ModelHeader, bundled_names, read_header
    from energylang.models.model import Model
    from energylang.models.protocol import Change, Pass, Sample
    from energylang.models.text import TextModel

_HOME = {
    "ModelHeader": "header",
    "bundled_names": "header",
    "read_header": "header",
    "Pass": "protocol",
    "Sample": "protocol",
    "Change": "protocol",
    "Model": "model",
    "TextModel": "text",
    "fingerprint": "checkpoint",
    "load": "checkpoint",
}

__all__ = [
    "Change",
    "Model",
    "ModelHeader",
    "Pass",
    "Sample",
    "TextModel",
    "bundled_names",
    "fingerprint",
    "load",
    "read_header",
    "save",
]


def save(model: Model, path: str | Path, **added: Any) -> Path:
    """``energylang.models.checkpoint.save``. It is not left to ``__getattr__``, which is asked for nothing that every
    object has, and some libraries (nnsight) hang a ``save`` on every object there is."""
    from energylang.models.checkpoint import save as write

    return write(model, path, **added)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
