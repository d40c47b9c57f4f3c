"""Published causal methods."""

from __future__ import annotations

from energylang.compat import dropin
from energylang.results.answer import Answer
from energylang.signature.values import BasinRef

from .base import DRIFT, Surgeon, SurgeonError, affected


class Causal(Surgeon):
    """causal_scan, causal_intervene, causal_counterfactual."""

    def causal_scan(
        self, layer: int = 0, *, num_inits: int | None = None, threshold: float = DRIFT
    ) -> Answer:
        """Knock out every basin and see which others move, beside random edits of equal norm. ``num_inits``: survey
        the layer with that many starts first."""
        self._look(layer, num_inits)
        found = self.session.causal_scan(layer, threshold=threshold)
        edges = [
            {
                "source": edge.source,
                "target": edge.target,
                "drift": edge.drift,
                "target_survived": edge.survived,
                "type": "moved" if edge.survived else "destroyed",
                "z": edge.z,
                "p": edge.p,
                "q": edge.q,
            }
            for edge in found.edges
        ]
        targets = {
            basin: [edge.target for edge in found.edges if edge.source == basin] for basin in found.basins
        }
        return Answer(
            found,
            {
                "num_basins": len(found.basins),
                "edges": edges,
                "adjacency": targets,
                "basins": [dropin.centre(self.session, layer, basin) for basin in found.basins],
            },
        )

    def causal_intervene(
        self,
        layer: int = 0,
        basin_idx: int = 0,
        operation: str = "remove",
        *,
        num_inits: int | None = None,
        force: bool = False,
        reason: str = "",
    ) -> Answer:
        """do(B): remove, weaken or strengthen a basin, and how far that moves the others."""
        if operation not in ("remove", "weaken", "strengthen"):
            raise SurgeonError(f"Unknown operation {operation!r}: remove, weaken or strengthen")
        self._look(layer, num_inits)
        before = self._alive(layer)
        ref = BasinRef(layer, basin_idx)
        height = self.session.energy(layer, ref).basin_energy
        places = dropin.centres_by_number(self.session, layer)
        low = dropin.energies_at(self.session, layer, places)
        found = self.session.causal_intervene(layer, ref, op=operation, **self._forced(force, reason))
        high = dropin.energies_at(self.session, layer, places)
        return Answer(
            found,
            {
                "basin_idx": basin_idx,
                "operation": operation,
                "basins_before": before,
                "basins_after": self._alive(layer),
                "target_energy_before": height,
                "affected": (moved := affected(found.others, low, high)),
                "num_affected": len(moved),
                "retention": self._retention(found),
            },
        )

    def causal_counterfactual(
        self,
        layer: int = 0,
        basin_idx: int = 0,
        modification: str = "invert",
        *,
        num_inits: int | None = None,
    ) -> Answer:
        """What if a basin were otherwise (invert, weaken, shift)? Nothing is kept."""
        if modification not in ("invert", "weaken", "shift"):
            raise SurgeonError(f"Unknown modification {modification!r}: invert, weaken or shift")
        self._look(layer, num_inits)
        found = self.session.causal_counterfactual(layer, BasinRef(layer, basin_idx), mod=modification)
        moved = affected(found.others, {}, {})
        return Answer(
            found,
            {
                "basin_idx": basin_idx,
                "modification": modification,
                "basins_original": len(found.others) + 1,
                "basins_counterfactual": sum(other.survived for other in found.others) + found.survives,
                "affected": moved,
                "num_affected": len(moved),
            },
        )
