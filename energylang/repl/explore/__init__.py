"""A layer on the whole screen: ``explore L3`` at the prompt.

``state`` is what is looked at and what a key means, ``view`` how it looks, ``worker`` what runs beside the screen,
``app`` puts them into a terminal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from energylang.repl.engine import Engine


def explore(text: str, engine: Engine) -> str:
    """Show the layer that ``text`` (``explore L3``) names until the user leaves; what ran meanwhile, in words."""
    from .app import run

    return run(text, engine)


__all__ = ["explore"]
