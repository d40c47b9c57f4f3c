"""Names beside points, none over another.

A figure is drawn as wide as there is room for, so names are placed for the narrowest page: ``NARROW`` pixels. A name
stands above or below its point, centred. On a wider page two points only move apart sideways, while their names stay
as large as they are: what is clear here is clear on every page.
"""

from __future__ import annotations

from collections.abc import Sequence

NARROW, LOW = 200.0, 260.0
"""Pixels of the plot itself (without axes) on a telephone, and its height."""
SIDES = ("top center", "bottom center")
_LETTER, _LINE, _GAP = 0.62, 1.3, 2.0  # of the font's size; of the font's size; pixels


class Room:
    """The ground of a plot whose points have coordinates ``xs`` and ``ys``, and what is written on it already."""

    def __init__(
        self, xs: Sequence[float], ys: Sequence[float], *, width: float = NARROW, height: float = LOW
    ) -> None:
        self.left, self.low = min(xs), min(ys)
        self.across = width / ((max(xs) - self.left) or 1.0)
        self.up = height / ((max(ys) - self.low) or 1.0)
        self.taken: list[tuple[float, float, float, float]] = []

    def side(self, x: float, y: float, text: str, *, radius: float = 4.0, size: float = 11.0) -> str | None:
        """Where a name of this point finds room (one of ``SIDES``), which is then taken; ``None``: nowhere.

        ``radius`` of the marker and ``size`` of the font are pixels.
        """
        half, tall = _LETTER * size * len(text) / 2, _LINE * size
        across, up = (x - self.left) * self.across, (y - self.low) * self.up
        for side in SIDES:
            bottom = up + radius + _GAP if side == "top center" else up - radius - _GAP - tall
            box = (across - half, bottom, across + half, bottom + tall)
            if not any(_meet(box, other) for other in self.taken):
                self.taken.append(box)
                return side
        return None


def _meet(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def placed(
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    order: Sequence[int],
    *,
    most: int,
    radii: Sequence[float] = (),
    size: float = 11.0,
) -> tuple[list[str], list[str]]:
    """For each point the name that is written (``""``: none) and its side; at most ``most`` names, those first that
    come first in ``order``."""
    texts, sides = [""] * len(points), [SIDES[0]] * len(points)
    if not points:
        return texts, sides
    room = Room([x for x, _ in points], [y for _, y in points])
    for index in list(order)[:most]:
        radius = radii[index] if radii else 4.0
        side = room.side(*points[index], names[index], radius=radius, size=size)
        if side is not None:
            texts[index], sides[index] = names[index], side
    return texts, sides
