"""Results of the family algebra: arithmetic on concepts, and concepts in files."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result


@dataclass(frozen=True, eq=False)
class Similarity(Result):
    """Two concepts of one layer. ``centred`` is the cosine after neutral states' mean is taken from both (the two
    share what every state shares); without a text model it is the plain cosine. In a pretrained model it is that of
    the directions in which `steer` pushes."""

    first: str
    second: str
    layer: int
    cosine: float
    centred: float
    angle_degrees: float


@dataclass(frozen=True, eq=False)
class InterpolationPoint(Result):
    """A state on the way from one concept to another, and the basin it settles in (``None``: not a known one)."""

    t: float
    to_first: float
    to_second: float
    basin: int | None


@dataclass(frozen=True, eq=False)
class Interpolation(Result):
    """The way from one concept to another: its ``points``, and the ``basins`` on it in the order in which they are
    met."""

    first: str
    second: str
    layer: int
    points: tuple[InterpolationPoint, ...]
    basins: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Stored(Result):
    """A concept written to a file."""

    name: str
    path: str
    layer: int
    samples: int
    dim: int
    bytes: int
