"""Energy Language: survey and edit the energy landscape of a neural network, basin by basin.

    import energylang as el

    s = el.Session("tiny")
    s.survey(layer=1)                 # an object that is also a mapping
    s.run("inject L1 seed 42")        # the same session, in the language

Names are loaded on first use, so that ``import energylang`` costs nothing and leaves torch alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .version import __version__

__all__ = ["BasinSurgeon", "ElError", "ScriptError", "Session", "__version__", "check"]

if TYPE_CHECKING:
    from .checker import check
    from .compat import BasinSurgeon
    from .errors import ElError
    from .run.interpreter import ScriptError
    from .session import Session

_HOMES = {
    "BasinSurgeon": "energylang.compat",
    "Session": "energylang.session",
    "ScriptError": "energylang.run.interpreter",
    "check": "energylang.checker",
    "ElError": "energylang.errors",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'energylang' has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext energylang``: the magics ``%el`` and ``%%el`` (see ``energylang.jupyter``)."""
    from importlib import import_module

    import_module("energylang.jupyter.magics").load_ipython_extension(shell)


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext energylang``."""
    from importlib import import_module

    import_module("energylang.jupyter.magics").unload_ipython_extension(shell)


def __dir__() -> list[str]:
    return sorted(__all__)
