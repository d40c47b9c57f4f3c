"""A map of a layer's basins as a file: an interactive page (plotly), or a still picture of it (matplotlib)."""

from __future__ import annotations

from dataclasses import replace

from energylang import results

from .page import page as page_of
from .plots import map_figure
from .still import still


def page(found: results.LandscapeMap) -> bytes:
    """An interactive map that needs no network, as HTML; needs plotly."""
    return page_of(map_figure(found), name=f"landscape-L{found.layer}")


def image(found: results.LandscapeMap, kind: str = "png") -> bytes:
    """The first two coordinates of a map; needs plotly and matplotlib."""
    return still(map_figure(replace(found, dims=2)), kind)
