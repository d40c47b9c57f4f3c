"""A layer at a glance, for who keeps looking at it: the map of its basins, and what one of them is.

These are looks, not operations: nothing of them goes into the history or the record. What text settles in which basin
is read once and kept for as long as the live model is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from energylang import results
from energylang.errors import ElError
from energylang.session import with_threads
from energylang.signature.values import BasinRef

from . import mapping
from .interpreting import live_registry, probe, read
from .tokens import Reading, heldout

if TYPE_CHECKING:
    from energylang.session import Session

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

    def __init__(self, session: Session, layer: int) -> None:
        session.check_layer(layer)
        self.session = session
        self.layer = layer
        self._reading: tuple[tuple[object, ...], Reading] | None = None

    def map(self) -> results.LandscapeMap:
        """The known basins of the staged landscape on two principal components, without their radii."""
        with with_threads(self.session.threads):
            return mapping.overview(self.session, self.layer)

    def facts(self, basin: int) -> BasinFacts:
        """Everything about a living basin. Raises ``ElError`` where there is none of this number."""
        session, layer = self.session, self.layer
        session.basin(BasinRef(layer, basin))
        registry = session.registry(layer)
        known = registry.get(basin)
        assert known is not None
        with with_threads(session.threads):
            radius, low, high, reached = mapping.reach(session, layer, basin)
            meaning, silent = self._meaning(basin)
        return BasinFacts(
            id=basin,
            population=mapping.starts_in(registry, known),
            energy=known.energy,
            residual=known.residual,
            stability=known.stability,
            drift=known.drift,
            installed=basin in session.staged(layer).installed,
            radius=radius,
            meaning=meaning,
            silent=silent,
            radius_low=low,
            radius_high=high,
            radius_reached=reached,
            current=registry.is_current(known),
            surveyed=registry.last is not None,
            symmetric=session.landscape_of(layer).symmetric,
        )

    def _meaning(self, basin: int) -> tuple[results.Probe | None, str]:
        session, layer = self.session, self.layer
        try:
            session.text  # noqa: B018 - says that the model has weights only
            state, (_, known) = session.state, live_registry(session, layer)
            read_of = (known, state.interventions, *(at.live for at in state.layers))
            if self._reading is None or any(
                a is not b for a, b in zip(self._reading[0], read_of, strict=True)
            ):
                self._reading = (read_of, read(session, layer, heldout(session)))
            return probe(session, layer, BasinRef(layer, basin), TOP, reading=self._reading[1]), ""
        except ElError as error:
            return None, error.message
