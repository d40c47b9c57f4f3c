"""In a notebook: ``%load_ext energylang`` gives ``%el`` and ``%%el``; the pictures are functions.

    from energylang.jupyter import visualise_landscape, visualise_trajectory

Names are loaded on first use: the extension needs IPython, the pictures need plotly, and neither needs the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .magics import load_ipython_extension
    from .pictures import (
        Picture,
        plot_causal_graph,
        plot_comparison,
        plot_diff,
        plot_dose_response,
        plot_survey,
        visualise_landscape,
        visualise_trajectory,
    )

__all__ = [
    "Picture",
    "load_ipython_extension",
    "plot_causal_graph",
    "plot_comparison",
    "plot_diff",
    "plot_dose_response",
    "plot_survey",
    "visualise_landscape",
    "visualise_trajectory",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'energylang.jupyter' has no attribute {name!r}")
    from importlib import import_module

    home = "magics" if name == "load_ipython_extension" else "pictures"
    return getattr(import_module(f"energylang.jupyter.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
