"""A layer at a glance, for who keeps looking at it: the map of its basins, and what one of them is.

These are looks, not operations: nothing of them goes into the history or the record. What text settles in which basin
is read once and kept for as long as the live model is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from energylang import results
from energylang.errors import ElError
from energylang.looking.maps import overview, reach, starts_in
from energylang.looking.reading import live_registry, read
from energylang.looking.tokens import Reading, heldout
from energylang.signature.values import BasinRef
from energylang.work.meaning import probed
from energylang.workspace.execution import with_threads
from energylang.workspace.named import centre_of
from energylang.workspace.workspace import Workspace, check_layer

if TYPE_CHECKING:
    pass

TOP = 12


@dataclass(frozen=True)
class BasinFacts:
    """One basin. ``population``, ``current`` and ``surveyed`` are as on the map. ``meaning`` is what text says about
    it, ``None`` with the reason in ``silent``."""

    id: int
    population: int
    energy: float
    residual: float
    stability: float
    drift: float
    installed: bool
    radius: float
    meaning: results.Probe | None
    silent: str
    radius_low: float | None = None
    radius_high: float | None = None
    radius_reached: bool | None = None
    current: bool = True
    surveyed: bool = True
    symmetric: bool = True


class Overview:
    """The looks at one layer of a session."""

    def __init__(self, ws: Workspace, layer: int) -> None:
        check_layer(ws.model, layer)
        self.session = ws
        self.layer = layer
        self._reading: tuple[tuple[object, ...], Reading] | None = None

    def map(self) -> results.LandscapeMap:
        """The known basins of the staged landscape on two principal components, without their radii."""
        with with_threads(self.session.threads):
            return overview(self.session, self.layer)

    def facts(self, basin: int) -> BasinFacts:
        """Everything about a living basin. Raises ``ElError`` where there is none of this number."""
        ws, layer = self.session, self.layer
        centre_of(ws, BasinRef(layer, basin))
        registry = ws.staged(layer).registry
        known = registry.get(basin)
        assert known is not None
        with with_threads(ws.threads):
            radius, low, high, reached = reach(ws, layer, basin)
            meaning, silent = self._meaning(basin)
        return BasinFacts(
            id=basin,
            population=starts_in(registry, known),
            energy=known.energy,
            residual=known.residual,
            stability=known.stability,
            drift=known.drift,
            installed=basin in ws.staged(layer).installed,
            radius=radius,
            meaning=meaning,
            silent=silent,
            radius_low=low,
            radius_high=high,
            radius_reached=reached,
            current=registry.is_current(known),
            surveyed=registry.last is not None,
            symmetric=ws.landscape_of(layer).symmetric,
        )

    def _meaning(self, basin: int) -> tuple[results.Probe | None, str]:
        ws, layer = self.session, self.layer
        try:
            ws.text  # noqa: B018 - says that the model has weights only
            state, (_, known) = ws.state, live_registry(ws, layer)
            read_of = (
                known,
                state.interventions,
                *(version for at in state.layers for version in (at.live, at.landscape.live)),
            )
            if self._reading is None or any(
                a is not b for a, b in zip(self._reading[0], read_of, strict=True)
            ):
                self._reading = (read_of, read(ws, layer, heldout(ws)))
            return probed(ws, layer, BasinRef(layer, basin), TOP, reading=self._reading[1]), ""
        except ElError as error:
            return None, error.message
