"""Texts that come with this package: prompts, held-out text, concepts, names.  (PURE: no torch.)"""

from __future__ import annotations

from importlib.resources import files


def bundled(name: str) -> str:
    """A text that comes with this package."""
    return (files(__package__) / "texts" / name).read_text(encoding="utf-8")


def lines(name: str) -> list[str]:
    """Its lines that are not empty."""
    return [line for line in bundled(name).splitlines() if line.strip()]
