"""A layer's landscape on a map."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result


@dataclass(frozen=True, eq=False)
class MapPoint(Result):
    """A basin on the map; ``z`` is 0 on a map of two dimensions, ``tokens`` without text."""

    id: int
    x: float
    y: float
    z: float
    population: int
    energy: float
    radius: float
    tokens: int = 0


@dataclass(frozen=True, eq=False)
class LandscapeMap(Result):
    """The main basins of a layer in ``dims`` coordinates. ``explained`` is the share of the centres' variance along
    each axis (PCA only)."""

    layer: int
    method: str
    dims: int
    explained: tuple[float, ...]
    points: tuple[MapPoint, ...]
    path: str | None
