"""Where the grammar file and the standard library lie: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import Traversable

_CHECKOUT = Path(__file__).resolve().parents[2]


def folder(name: str) -> Traversable:
    """The shipped folder ``grammar`` or ``stdlib``."""
    installed = resources.files("energylang").joinpath("_data").joinpath(name)
    return installed if installed.is_dir() else _CHECKOUT / name


def grammar_text() -> str:
    """The text of the one grammar file."""
    return folder("grammar").joinpath("energy.lark").read_text(encoding="utf-8")
