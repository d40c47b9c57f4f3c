"""A layer's landscape on a map."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result


@dataclass(frozen=True, eq=False)
class MapPoint(Result):
    """A basin on the map; ``z`` is 0 on a map of two dimensions. ``radius`` is NaN where it was not measured; its
    interval is that of ``Basin``. ``population`` counts the starts of the layer's last survey; where that did not meet
    the basin it is 0 and ``current`` false. After an edit, until the next survey, no basin is ``current`` and
    populations are those before the edit. ``tokens`` is 0 without text."""

    id: int
    x: float
    y: float
    z: float
    population: int
    energy: float
    radius: float
    radius_low: float | None = None
    radius_high: float | None = None
    radius_reached: bool | None = None
    current: bool = True
    tokens: int = 0


@dataclass(frozen=True, eq=False)
class LandscapeMap(Result):
    """The main basins of a layer in ``dims`` coordinates. ``explained`` is the share of the centres' variance along
    each axis (PCA only). The points are the ``known`` main basins, of which the last survey met ``met``; ``minor`` more
    hold hardly a token each and are not drawn. The points' populations with ``origin_population`` and ``unsettled`` add
    up to its ``num_starts``. ``surveyed`` says that it was a survey of the present weight; otherwise these are
    ``None``. Energies are those of the symmetric part of the weight where it is not ``symmetric``."""

    layer: int
    method: str
    dims: int
    explained: tuple[float, ...]
    points: tuple[MapPoint, ...]
    path: str | None
    known: int = 0
    met: int = 0
    num_starts: int | None = None
    origin_population: int | None = None
    unsettled: int | None = None
    surveyed: bool = True
    symmetric: bool = True
    minor: int = 0
