"""What is looked at: a layer's basins in some order, one of them chosen, and the statement that a key proposes.

No terminal and no tensors: a map (``results.LandscapeMap``) goes in, numbers of basins and statements come out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from energylang import results

if TYPE_CHECKING:
    from energylang.work.overview import BasinFacts

ORDERS = ("tokens", "starts", "energy", "number")
"""Of the list; by tokens where the layer's basins hold any."""

GENTLE = {"strengthen": 1.1, "weaken": 0.9}
"""Factors that keys propose: gentle enough to pass the gate on most layers."""


@dataclass
class Exploration:
    """One layer under the eyes of a user. ``said`` is the last answer, line by line, with a style each."""

    layer: int
    found: results.LandscapeMap
    order: str = ORDERS[0]
    chosen: int | None = None
    facts: BasinFacts | None = None
    said: list[tuple[str, str]] = field(default_factory=list)
    running: str | None = None
    helping: bool = False
    ran: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.take(self.found)

    def take(self, found: results.LandscapeMap) -> None:
        """Another map, after an edit: the chosen basin stays chosen, or else its neighbour in the list is."""
        place = self.place()
        self.found, self.facts = found, None
        rows = self.rows()
        if not rows:
            self.chosen = None
        elif self.chosen not in {point.id for point in rows}:
            self.chosen = rows[min(place, len(rows) - 1)].id

    @property
    def orders(self) -> tuple[str, ...]:
        """The orders that the list can have."""
        return ORDERS if any(point.tokens for point in self.found.points) else ORDERS[1:]

    @property
    def by(self) -> str:
        """The order that the list has."""
        return self.order if self.order in self.orders else self.orders[0]

    def rows(self) -> list[results.MapPoint]:
        """The basins in the order of the list."""
        keys = {
            "tokens": lambda point: (-point.tokens, -point.population, point.id),
            "starts": lambda point: (-point.population, point.id),
            "energy": lambda point: (point.energy, point.id),
            "number": lambda point: (point.id,),
        }
        return sorted(self.found.points, key=keys[self.by])

    def place(self) -> int:
        """Where in the list the chosen basin stands (0 where it is not in it)."""
        return next((k for k, point in enumerate(self.rows()) if point.id == self.chosen), 0)

    # -- moving ------------------------------------------------------------------------------------

    def move(self, step: int) -> None:
        """Down the list by ``step``, not past its ends."""
        rows = self.rows()
        if rows:
            self._choose(rows[max(0, min(len(rows) - 1, self.place() + step))].id)

    def beside(self, direction: int) -> None:
        """To the nearest basin on the map to the right (1) or to the left (−1); heights count double."""
        here = next((point for point in self.found.points if point.id == self.chosen), None)
        if here is None:
            return

        def distance(point: results.MapPoint) -> float:
            return abs(point.x - here.x) + 2 * abs(point.y - here.y)

        there = [point for point in self.found.points if direction * (point.x - here.x) > 0]
        if there:
            self._choose(min(there, key=distance).id)

    def resort(self) -> None:
        """The next order of the list; the chosen basin stays."""
        self.order = self.orders[(self.orders.index(self.by) + 1) % len(self.orders)]

    def _choose(self, basin: int) -> None:
        if basin != self.chosen:
            self.chosen, self.facts = basin, None

    # -- editing -----------------------------------------------------------------------------------

    def proposal(self, operation: str, concepts: tuple[str, ...] = ()) -> str | None:
        """The statement that a key proposes, to be changed and confirmed; ``None`` where no basin is chosen.
        ``concepts`` are the names of those captured at this layer, the latest last."""
        if operation == "inject":
            return f"inject L{self.layer} " + (f"@{concepts[-1]}" if concepts else "seed 42")
        if operation == "apply":
            return f"apply L{self.layer}"
        if self.chosen is None:
            return None
        factor = f" factor={GENTLE[operation]}" if operation in GENTLE else ""
        return f"{operation} L{self.layer}.B{self.chosen}{factor}"
