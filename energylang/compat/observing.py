"""Published methods that look."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from energylang.compat import dropin
from energylang.results.answer import Answer, Later
from energylang.signature.values import BasinRef
from energylang.work.model import write_model
from energylang.workspace.workspace import check_layer

from .base import Surgeon

if TYPE_CHECKING:
    pass


class Observing(Surgeon):
    """survey, verify, energy, landscape, trace, probe, diff, compare."""

    def survey(self, layer: int = 0, *, inits: int | None = None, seed: int = 0) -> Answer:
        """The basins of a layer: ``basins`` are their centres (d,), ``ids`` their numbers."""
        session = self.session
        check_layer(session.model, layer)
        count = int(session.setting("inits")) if inits is None else inits
        ways = dropin.ways_of(session, layer, count, seed)
        found = session.survey(layer, inits=count, seed=seed)
        centres = dropin.centres(session, found)
        return Answer(
            found,
            {
                "num_inits": found.inits,
                "basins": centres,
                "ids": [basin.id for basin in found.basins],
                "energies": [basin.energy for basin in found.basins],
                "energies_reference": [basin.energy_reference for basin in found.basins],
                "populations": [basin.population for basin in found.basins],
                "basin_ids": Later(lambda: ways.basins(centres)),
                "trajectories": Later(ways.paths),
            },
        )

    def verify(
        self, layer: int = 0, seed: int = 42, *, basin: int | None = None, concept: str | None = None
    ) -> Answer:
        """Is there a basin in the direction of a seed, at a basin's number, or at a concept?"""
        target = self._target(layer, seed, basin, concept)
        found = self.session.verify(layer, target)
        return Answer(found, {"cos": found.cosine, "iters": Later(lambda: self._iterations(layer, target))})

    def energy(
        self, layer: int, seed: int = 42, *, basin: int | None = None, concept: str | None = None
    ) -> Answer:
        """Both energies at a direction, and where it settles."""
        target = self._target(layer, seed, basin, concept)
        found, there = self.session.energy(layer, target), self.session.verify(layer, target)
        extra = {"is_basin": there.is_basin, "cos": there.cosine}
        return Answer(found, {**extra, "iters": Later(lambda: self._iterations(layer, target))})

    def landscape(self, layer: int, *, dims: int = 2, method: str = "pca", save: str | None = None) -> Answer:
        """The known basins on a map; ``save`` draws it into a .html or .png file."""
        found = self.session.landscape(layer, dims=dims, method=method, save=save)
        points, session = found.points, self.session
        heights = [point.energy for point in points]
        return Answer(
            found,
            {
                "num_basins": len(points),
                "basins": [
                    {
                        "idx": point.id,
                        "energy": point.energy,
                        "population": point.population,
                        "norm": float(dropin.centre(session, layer, point.id).norm()),
                    }
                    for point in points
                ],
                "coords_2d": [[point.x, point.y] for point in points],
                "energy_range": (min(heights, default=0.0), max(heights, default=0.0)),
            },
        )

    def trace(self, layer: int, text: str) -> Answer:
        """The way of a text's last token: its energy before every step and at the end. ``tokens`` has all of them;
        ``delta`` is the change of the energy."""
        found = self.session.trace(layer, text)
        energies = found.tokens[-1].path.energies
        steps = [
            {"step": k, "energy": value, "delta": value - energies[k - 1] if k else 0.0}
            for k, value in enumerate(energies)
        ]
        return Answer(found, {"steps": len(steps), "trajectory": steps})

    def probe(self, layer: int, basin_idx: int = 0, num_tokens: int = 20) -> Answer:
        """What a basin says and holds, and the contexts in which text visits it."""
        found = self.session.probe(layer, basin_idx, top=num_tokens)
        centre = dropin.centre(self.session, layer, basin_idx)
        return Answer(
            found,
            {
                "basin_idx": basin_idx,
                "top_tokens": [item.token for item in found.says],
                "scores": [item.score for item in found.says],
                "state_norm": float(centre.norm()),
                "energy": self.session.energy(layer, BasinRef(layer, basin_idx)).basin_energy,
            },
        )

    def diff(self, layer: int = 0) -> Answer | None:
        """A layer's weight against the original; ``None`` without a model."""
        if not self.session.has_model:
            return None
        found = self.session.diff(layer)
        change = (self.get_W(layer) - dropin.original(self.session, layer)).abs()
        return Answer(
            found,
            {
                "frobenius": found.norm,
                "max_abs": float(change.max()),
                "mean_abs": float(change.mean()),
                "spectral_orig": found.spectral_before,
                "spectral_curr": found.spectral_after,
                "relative_pct": 100 * found.relative_norm,
            },
        )

    def compare(self, other_surgeon: Surgeon | str, layer: int = 0) -> Answer:
        """A layer beside the same layer of another surgeon's model (or of a model by name or path)."""
        with WrittenModel(other_surgeon) as path:
            found = self.session.compare(path, layer)
        name = other_surgeon if isinstance(other_surgeon, str) else other_surgeon.session.model.spec
        found = replace(found, other=name)
        return Answer(
            found,
            {
                "basins_self": found.basins_here,
                "basins_other": found.basins_there,
                "shared": found.matched,
                "only_self": found.basins_here - found.matched,
                "only_other": found.basins_there - found.matched,
            },
        )


class WrittenModel:
    """Another surgeon's model as something that ``compare`` can read; its file is gone afterwards."""

    def __init__(self, other: Surgeon | str) -> None:
        self.other = other
        self.folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> str:
        if isinstance(self.other, str):
            return self.other
        self.folder = tempfile.TemporaryDirectory()
        path = str(Path(self.folder.name) / "other.safetensors")
        write_model(self.other.session, path)
        return path

    def __exit__(self, *error: object) -> None:
        if self.folder is not None:
            self.folder.cleanup()
