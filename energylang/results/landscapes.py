"""A layer's landscape on a map."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result


@dataclass(frozen=True, eq=False)
class MapPoint(Result):
    """A basin on the map; ``z`` is 0 on a map of two dimensions. ``radius`` is NaN where it was not measured; its
    interval is that of ``Basin``. ``population`` counts the starts of the layer's last survey; where that did not meet
    the basin it is 0 and ``current`` false. After an edit, until the next survey, no basin is ``current`` and
    populations are those before the edit."""

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


@dataclass(frozen=True, eq=False)
class LandscapeMap(Result):
    """The basins of a layer in ``dims`` coordinates. ``explained`` is the share of the centres' variance along
    each axis (PCA only). The points are all ``known`` basins, of which the last survey met ``met``. Their populations
    with ``origin_population`` and ``unsettled`` add up to its ``num_starts``. ``surveyed`` says that it was a survey of
    the present weight; otherwise these are ``None``. Energies are those of the symmetric part of the weight where it is
    not ``symmetric``."""

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


@dataclass(frozen=True, eq=False)
class Reach(Result):
    """A radius with its interval; see ``Basin`` for what the fields mean."""

    radius: float
    radius_low: float
    radius_high: float | None
    radius_reached: bool


@dataclass(frozen=True, eq=False)
class ReachChange(Result):
    """How far a basin reaches before and after an edit, pushed in the same directions both times. ``before`` is
    ``None`` for a basin that the edit made, ``after`` for one that it lost. ``cosine`` is that between its centre and
    the state that the edit is about. ``shrank`` says that the two intervals do not meet, or that of the same pushes at
    the radius before fewer return (sign test, p < 0.01); ``grew`` likewise."""

    id: int
    cosine: float
    before: Reach | None
    after: Reach | None
    shrank: bool
    grew: bool
