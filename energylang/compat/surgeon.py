"""``BasinSurgeon``: the method names and keywords of the published package over a ``Session``.

Whoever has programs for the published package changes one import. Every method is one or a few operations of the
session (``surgeon.session``), so undo, history, records and guards hold for them as for everything else; what is
different, and why, is listed in ``docs/migration.md``. Answers are mappings with the published keys and every field
of the operation's result (``energylang.results.answer``).

``basin_idx`` is a basin's persistent number (``L0.B3`` is 3): after the first survey of a layer the numbers are the
places in that survey, and later surveys keep them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from energylang import results
from energylang.compat import dropin
from energylang.concepts import published
from energylang.errors import ElError
from energylang.landscape.clusters import SAME
from energylang.looking.basins import known_basins
from energylang.results.answer import Answer
from energylang.session import Session
from energylang.signature.values import BasinRef, ConceptName, Seed
from energylang.workspace.workspace import check_layer

if TYPE_CHECKING:
    from torch import Tensor

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from energylang.results.answer import Later

if TYPE_CHECKING:
    pass


from os import PathLike, fspath
from typing import TYPE_CHECKING

from energylang.compat.consolidation import consolidation
from energylang.files.storage import located
from energylang.models.hopfield import raw
from energylang.workspace.named import concept_named

from .answers import DRIFT, WrittenModel, affected, nothing_judged, retention

__all__ = ["BasinSurgeon", "SurgeonError", "UngatedSurgeon"]


UNSAID = "asked for with force=True, without a reason"


UNGATED = "the surgeon works without the gate"


class SurgeonError(ElError, ValueError):
    """A request that cannot be answered; a ``ValueError``, as in the published package."""

    code = "EL511"


class ConceptTable(MutableMapping[str, Any]):
    """The session's concepts as the published dictionary of ``states`` and ``centroid``."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def __getitem__(self, name: str) -> dict[str, Any]:
        return published.published_concept(self.session.state.concepts[name])

    def __setitem__(self, name: str, data: Any) -> None:
        dropin.keep_concept(self.session, name, data, f"concept {name}")

    def __delitem__(self, name: str) -> None:
        left = {key: value for key, value in self.session.state.concepts.items() if key != name}
        before = self.session.state
        self.session.state = replace(before, concepts=left)
        self.session.timeline.record(f"forget {name}", before, self.session.state, "OK", "", None)

    def __iter__(self) -> Iterator[str]:
        return iter(self.session.state.concepts)

    def __len__(self) -> int:
        return len(self.session.state.concepts)


def auto(strength: float | str | None) -> float | str:
    return "auto" if strength is None else strength


class BasinSurgeon:
    """Survey and edit a model's landscapes under the published names.

    Begin with ``BasinSurgeon.from_checkpoint(path)``, ``BasinSurgeon.from_W(W)`` or ``BasinSurgeon(session)``.
    ``gated``: does the gate refuse edits? Where it does not, its verdict is reported all the same. Guards and protected
    basins hold in either case.
    """

    gated = True

    def __init__(self, session: Session | None = None) -> None:
        self.session = session if session is not None else Session()

    def num_layers(self) -> int:
        """How many Hopfield layers there are."""
        return self.session.model.num_layers

    def get_W(self, layer: int = 0) -> Tensor:
        """A copy of a layer's weight (d, d), edits included."""
        return dropin.weight(self.session, layer)

    def get_beta(self, layer: int = 0) -> float:
        """The inverse temperature at which a layer is read."""
        check_layer(self.session.model, layer)
        return float(self.session.landscape_of(layer).beta)

    def _target(
        self, layer: int, seed: int, basin: int | None, concept: str | None
    ) -> BasinRef | ConceptName | Seed:
        if basin is not None:
            return BasinRef(layer, basin)
        return Seed(seed) if concept is None else ConceptName(self._concept(concept, None))

    def _concept(self, name: str | None, other: str | None) -> str:
        """The name of a captured concept, given by either keyword."""
        found = name if other is None else other
        if found is None:
            raise SurgeonError("which concept? Give its name: concept_name=…")
        if found not in self.session.state.concepts:
            raise SurgeonError(
                f"Unknown concept {found!r}: capture it first", hint="list_concepts() has them"
            )
        return found

    def _both(self, first: str, second: str) -> tuple[str, str]:
        return self._concept(first, None), self._concept(second, None)

    def _forced(self, force: bool, reason: str) -> dict[str, Any]:
        """How an edit is told whether it may overrule the gate, and why."""
        if not force and not self.gated:
            return {"force": True, "reason": reason or UNGATED}
        return {"force": force, "reason": reason or (UNSAID if force else "")}

    def _iterations(self, layer: int, target: BasinRef | ConceptName | Seed) -> int:
        return dropin.settles(self.session, layer, dropin.target_state(self.session, layer, target))[1]

    def _retention(self, edit: results.Edit | results.CausalEffect) -> dict[str, Any]:
        return retention(edit, float(self.session.setting("max_changed")))

    def _look(self, layer: int, num_inits: int | None) -> None:
        if num_inits is not None:
            self.session.survey(layer, inits=num_inits)
        else:
            known_basins(self.session, layer)

    def _alive(self, layer: int) -> int:
        return len(known_basins(self.session, layer).alive())

    def _edited(
        self,
        edit: results.Edit,
        before: results.Verdict | None,
        target: BasinRef | ConceptName | Seed | None,
        extra: Mapping[str, Any],
    ) -> Answer:
        """An edit under the published keys; ``target`` is looked at again after it."""
        found: dict[str, Any] = {"W_after": self.get_W(edit.layer), "retention": self._retention(edit)}
        if before is not None:
            found |= {"existed_before": before.is_basin, "cos_before": before.cosine}
        if target is not None:
            after = self.session.verify(edit.layer, target)
            found |= {"exists_after": after.is_basin, "cos_after": after.cosine}
        return Answer(edit, {**found, **extra})

    def _nothing_there(
        self,
        layer: int,
        target: BasinRef | ConceptName | Seed,
        place: results.Verdict,
        extra: Mapping[str, Any] | None = None,
    ) -> Answer:
        """The answer of an edit that had no basin to work on: nothing was changed."""
        return Answer(
            None,
            {
                "layer": layer,
                "applied": False,
                "reason": f"there is no basin near {target} in L{layer}",
                "existed_before": False,
                "cos_before": place.cosine,
                "exists_after": False,
                "cos_after": place.cosine,
                "W_after": self.get_W(layer),
                "retention": nothing_judged(layer, float(self.session.setting("max_changed"))),
                **(extra or {}),
            },
        )

    @property
    def _concepts(self) -> MutableMapping[str, Any]:
        return ConceptTable(self.session)

    @property
    def _w_backups(self) -> dict[int, Tensor]:
        """Copies of the original weights: the session keeps them by itself."""
        return {layer: dropin.original(self.session, layer) for layer in range(self.num_layers())}

    # -- models

    @classmethod
    def from_checkpoint(cls, path: str | PathLike[str], device: str = "cpu") -> BasinSurgeon:
        """A surgeon for a bundled model (``"tiny"``), a sandbox (``"random:256"``) or a file."""
        surgeon = cls()
        if not dropin.bare_weights(surgeon.session, fspath(path)):
            surgeon.session.load(fspath(path))
        if device != "cpu":
            surgeon.session.set("device", device)
        return surgeon

    @classmethod
    def from_W(cls, W: Tensor, device: str = "cpu") -> BasinSurgeon:
        """A surgeon for one weight (d, d), read at β = 7 and degree 3."""
        surgeon = cls()
        surgeon.session.adopt(raw.model_of([W]))
        if device != "cpu":
            surgeon.session.set("device", device)
        return surgeon

    def load_model(self, model_path: str | PathLike[str] | None = None) -> Answer:
        """Load a model, or describe the one that is there. The file holds its tokenizer and architecture."""
        info = self.session.load(fspath(model_path)) if model_path is not None else self.session.info()
        config = self.session.model.metadata.get("config")
        return Answer(
            info,
            {
                "path": info.model,
                "layers": info.num_layers,
                "config": dict(config) if isinstance(config, dict) else {},
            },
        )

    def model_weights_hash(self) -> str:
        """SHA-256 of the live model's weights (names, shapes and bytes)."""
        return self.session.live_hash()

    # -- looking

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
            {"step": k, "energy": value, "delta": 0.0 if before is None or value is None else value - before}
            for k, (before, value) in enumerate(zip((None, *energies), energies, strict=False))
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

    def compare(self, other_surgeon: BasinSurgeon | str, layer: int = 0) -> Answer:
        """A layer beside the same layer of another surgeon's model (or of a model by name or path)."""
        with WrittenModel(_session(other_surgeon)) as path:
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

    # -- editing

    def inject(
        self,
        layer: int = 0,
        seed: int = 42,
        strength: float | str | None = None,
        force: bool = False,
        *,
        reason: str = "",
    ) -> Answer:
        """Install an attractor at a seed's pattern; ``strength`` is ‖ΔW‖/‖W‖, the smallest that holds without one."""
        target = Seed(seed)
        before, weight = self.session.verify(layer, target), self.get_W(layer)
        edit = self.session.inject(layer, target, strength=auto(strength), **self._forced(force, reason))
        return self._edited(
            edit,
            before,
            target,
            {
                "seed": seed,
                "W_before": weight,
                "target": dropin.target_state(self.session, layer, target),
            },
        )

    def remove(
        self,
        layer: int = 0,
        seed: int = 42,
        strength: float | str | None = None,
        force: bool = False,
        *,
        basin: int | None = None,
        reason: str = "",
    ) -> Answer:
        """Remove a basin by its number, or the one in which a seed's pattern settles."""
        target = self._target(layer, seed, basin, None)
        before = self.session.verify(layer, target)
        if not before.is_basin:
            return self._nothing_there(layer, target, before)
        at = dropin.target_state(self.session, layer, target)
        edit = self.session.remove(layer, target, strength=auto(strength), **self._forced(force, reason))
        end, _ = dropin.settles(self.session, layer, at)
        cosine = float(end @ at / (end.norm() * at.norm()).clamp_min(1e-12))
        return self._edited(edit, before, None, {"exists_after": not edit.applied, "cos_after": cosine})

    def move(
        self,
        layer: int = 0,
        seed: int = 42,
        strength: float | str | None = None,
        force: bool = False,
        *,
        basin: int | None = None,
        to: int | None = None,
        reason: str = "",
    ) -> Answer:
        """Move a basin to the pattern of the seed ``to`` (without one: a destination drawn by the session)."""
        target = self._target(layer, seed, basin, None)
        before = self.session.verify(layer, target)
        if not before.is_basin:
            return self._nothing_there(layer, target, before)
        where = {} if to is None else {"to": Seed(to)}
        edit = self.session.move(
            layer, target, strength=auto(strength), **self._forced(force, reason), **where
        )
        return self._edited(edit, before, None, {})

    def strengthen(
        self,
        layer: int = 0,
        seed: int = 42,
        factor: float = 2.0,
        force: bool = False,
        *,
        basin: int | None = None,
        reason: str = "",
    ) -> Answer:
        """Deepen a basin: its field times ``factor``."""
        return self._scaled(
            "strengthen", layer, self._target(layer, seed, basin, None), factor, force, reason
        )

    def weaken(
        self,
        layer: int = 0,
        seed: int = 42,
        factor: float = 0.5,
        force: bool = False,
        *,
        basin: int | None = None,
        reason: str = "",
    ) -> Answer:
        """Make a basin shallower: its field times ``factor``."""
        return self._scaled("weaken", layer, self._target(layer, seed, basin, None), factor, force, reason)

    def _scaled(
        self,
        name: str,
        layer: int,
        target: BasinRef | Seed | ConceptName,
        factor: float,
        force: bool,
        reason: str,
    ) -> Answer:
        before = self.session.verify(layer, target)
        if not before.is_basin:
            same = {"energy_before": before.energy, "energy_after": before.energy}
            return self._nothing_there(layer, target, before, {**same, "deepened_by": 0.0, "raised_by": 0.0})
        run = self.session.strengthen if name == "strengthen" else self.session.weaken
        edit = run(layer, target, factor=factor, **self._forced(force, reason))
        alive = not edit.applied or before.basin is None or before.basin not in edit.lost
        after = self.session.verify(layer, target).energy if alive else before.energy
        change = after - before.energy
        heights = {"energy_before": before.energy, "energy_after": after}
        return self._edited(edit, before, None, {**heights, "deepened_by": -change, "raised_by": change})

    def apply(self, layer: int = 0) -> bool:
        """Write what is staged into the live model; whether that changed it."""
        changed: bool = self.session.apply(layer).changed
        return changed

    def restore(self, layer: int = 0) -> bool:
        """Bring back a layer's original weight, bit for bit; whether that changed anything."""
        changed: bool = self.session.restore(layer).changed
        return changed

    def restore_all(self) -> list[int]:
        """Bring back every layer; the layers that had been changed."""
        edited = [
            index
            for index, state in enumerate(self.session.state.layers)
            if state.staged.depth or state.live.depth
        ]
        self.session.restore_all()
        return edited

    def revert(self) -> Answer:
        """Undo the last change, whatever it was, bit for bit."""
        return Answer(self.session.undo(), {})

    # -- concepts

    def capture(
        self,
        layer: int,
        text: str,
        concept_name: str | None = None,
        *,
        concept: str | None = None,
        contrast: str | None = None,
        position: str | None = None,
    ) -> Answer:
        """The state a text leads to; with a name (``concept`` is another word for ``concept_name``) it is added to
        that concept."""
        session = self.session
        name = concept_name if concept is None else concept
        if name is None:
            info, state = None, dropin.text_state(session, layer, text)
        else:
            info = session.capture(layer, name, text, contrast=contrast, position=position)
            state = concept_named(session, name).states[-1]
        end, count = dropin.settles(session, layer, state)
        cosine = float(end @ state / (end.norm() * state.norm()).clamp_min(1e-12))
        extra = {} if info is None else {"concept": name, "num_samples": info.samples}
        return Answer(
            info,
            {
                "layer": layer,
                "text": text,
                "state": state.clone(),
                "energy": dropin.energies_at(session, layer, {0: state})[0],
                "converge_iters": count,
                "cos_similarity": cosine,
                "is_basin": cosine >= SAME,
                **extra,
            },
        )

    def batch_capture(self, layer: int, concept_name: str, texts: Sequence[str]) -> Answer:
        """Add several texts to a concept: all of them, or none."""
        if not texts:
            raise SurgeonError("there is nothing to capture: the list of texts is empty")
        with self.session.transaction():
            for text in texts:
                info = self.session.capture(layer, concept_name, text)
        return Answer(
            info,
            {"concept": concept_name, "new_samples": len(texts), "total_samples": info.samples},
        )

    def inject_concept(
        self,
        layer: int,
        concept_name: str | None = None,
        strength: float | str | None = None,
        *,
        concept: str | None = None,
        method: str = "attractor",
        force: bool = False,
        reason: str = "",
    ) -> Answer:
        """Make a concept's state a basin of its own (``method="attractor"``), judged by the gate. The other methods of
        ``inject-concept`` change what is said instead: redirect, aimed, auto."""
        name = self._concept(concept_name, concept)
        target = ConceptName(name)
        before = self.session.verify(layer, target)
        edit = self.session.inject_concept(
            layer, name, strength=auto(strength), method=method, **self._forced(force, reason)
        )
        samples = len(concept_named(self.session, name).states)
        return self._edited(edit, before, target, {"concept": name, "num_samples": samples})

    def remove_concept(
        self,
        layer: int,
        concept_name: str | None = None,
        strength: float | str | None = None,
        force: bool = False,
        *,
        concept: str | None = None,
        method: str = "basin",
        reason: str = "",
    ) -> Answer:
        """Remove the basin in which a concept settles; ``method="aimed"`` makes it less likely to be said."""
        name = self._concept(concept_name, concept)
        target = ConceptName(name)
        before = self.session.verify(layer, target)
        edit = self.session.remove_concept(
            layer, name, strength=auto(strength), method=method, **self._forced(force, reason)
        )
        return self._edited(edit, before, target, {"concept": name})

    def list_concepts(self) -> dict[str, int]:
        """The captured concepts, and from how many texts each is."""
        return {name: len(concept.states) for name, concept in self.session.state.concepts.items()}

    def transplant(
        self,
        source_surgeon: BasinSurgeon | str,
        layer: int,
        concept_name: str,
        strength: float | str | None = None,
        *,
        force: bool = False,
        reason: str = "",
    ) -> Answer:
        """Install a concept of another surgeon here. From a model by name or path, of any dimension, the concept's
        texts are read there and its states rotated here."""
        if isinstance(source_surgeon, str):
            edit = self.session.transplant(
                source_surgeon, layer, concept_name, strength=auto(strength), **self._forced(force, reason)
            )
            return self._edited(edit, None, ConceptName(concept_name), {"concept": concept_name})
        source_surgeon._concept(concept_name, None)
        with self.session.transaction():
            data = published.published_concept(concept_named(source_surgeon.session, concept_name))
            dropin.keep_concept(
                self.session, concept_name, {**data, "layer": layer}, f"transplant {concept_name} to L{layer}"
            )
            return self.inject_concept(layer, concept_name, strength, force=force, reason=reason)

    def blend(self, concept_a: str, concept_b: str, new_name: str, ratio: float = 0.5) -> Answer:
        """A concept between two others; ``ratio`` is the share of the first."""
        if not {concept_a, concept_b} <= set(self.session.state.concepts):
            raise SurgeonError(f"Both concepts must exist: {concept_a!r} and {concept_b!r}")
        info = self.session.blend(concept_a, concept_b, new_name, ratio=ratio)
        mix = f"{ratio:.0%} {concept_a} + {1 - ratio:.0%} {concept_b}"
        return Answer(info, {"concept": new_name, "ratio": mix})

    def concept_similarity(self, concept_a: str, concept_b: str) -> Answer:
        """The cosine of two concepts; ``centred`` is that without what all states share."""
        found = self.session.similarity(*self._both(concept_a, concept_b))
        return Answer(found, {"concept_a": concept_a, "concept_b": concept_b, "similarity": found.cosine})

    def concept_add(self, concept_a: str, concept_b: str, new_name: str) -> Answer:
        """The sum of two concepts' directions."""
        info = self.session.add(*self._both(concept_a, concept_b), new_name)
        return Answer(info, {"concept": new_name, "operation": f"{concept_a} + {concept_b}"})

    def concept_subtract(self, concept_a: str, concept_b: str, new_name: str) -> Answer:
        """What the first concept has and the second has not."""
        info = self.session.subtract(*self._both(concept_a, concept_b), new_name)
        return Answer(info, {"concept": new_name, "operation": f"{concept_a} - {concept_b}"})

    def concept_analogy(self, concept_a: str, concept_b: str, concept_c: str, new_name: str) -> Answer:
        """``concept_a`` is to ``concept_b`` as ``concept_c`` is to the new one: c + b − a."""
        self._both(concept_a, concept_c)
        info = self.session.analogy(concept_a, concept_b, concept_c, new_name)
        said = f"{concept_c} + {concept_b} - {concept_a}"
        return Answer(info, {"concept": new_name, "operation": said})

    def concept_compose(self, concepts: Sequence[str], weights: Sequence[float], new_name: str) -> Answer:
        """A weighted sum of concepts."""
        for name in concepts:
            self._concept(name, None)
        info = self.session.compose(list(concepts), new_name, weights=list(weights))
        said = " + ".join(f"{weight:g}*{name}" for weight, name in zip(weights, concepts, strict=True))
        return Answer(info, {"concept": new_name, "weights": said})

    def concept_interpolate(self, concept_a: str, concept_b: str, num_steps: int = 5) -> Answer:
        """The way from one concept to another, and the basins on it."""
        found = self.session.interpolate(*self._both(concept_a, concept_b), num_steps)
        ends = [float(concept_named(self.session, name).centroid.norm()) for name in (concept_a, concept_b)]
        steps = [
            {
                "ratio": point.t,
                "similarity_to_a": point.to_first,
                "similarity_to_b": point.to_second,
                "norm": (1 - point.t) * ends[0] + point.t * ends[1],
                "basin": point.basin,
            }
            for point in found.points
        ]
        return Answer(
            found, {"concept_a": concept_a, "concept_b": concept_b, "num_steps": num_steps, "steps": steps}
        )

    def export_concept(self, concept_name: str, path: str | PathLike[str] | None = None) -> Answer:
        """Write a concept into a file (.safetensors, .json, or .pt in the published layout); without a path, the
        concept as data."""
        name = self._concept(concept_name, None)
        if path is None:
            return Answer(None, {"concept": name, **dropin.concept_data(self.session, name)})
        where, samples = fspath(path), len(concept_named(self.session, name).states)
        if not where.endswith((".pt", ".pth")):
            stored = self.session.export_concept(name, where)
            return Answer(stored, {"path": where, "concept": name, "samples": samples})
        data = {
            "name": name,
            **published.published_concept(concept_named(self.session, name)),
            "num_samples": samples,
        }
        published.write_published(self.session, where, data)
        return Answer(None, {"path": where, "concept": name, "samples": samples})

    def import_concept(self, path: str | PathLike[str]) -> Answer:
        """Read a concept from a file. Of a .pt file only tensors are read: nothing in it can run."""
        where = fspath(path)
        if not where.endswith((".pt", ".pth")):
            info = self.session.import_concept(where)
            return Answer(info, {"concept": info.name, "samples": info.samples})
        found = published.read_published(located(where, self.session.base))
        name = str(found.get("name") or Path(where).stem)
        dropin.keep_concept(self.session, name, found, f'import-concept "{where}"')
        return Answer(None, {"concept": name, "samples": len(concept_named(self.session, name).states)})

    # -- meaning

    def find_basin_neighbours(
        self, layer: int, concept: str | None = None, top_k: int = 5, *, basin: int | None = None
    ) -> list[Answer]:
        """The basins nearest to a concept (or to a basin) and a text that settles in each. The concept's own basin is
        left out, and so are basins that no text of the held-out text visits."""
        if basin is not None:
            near = self.session.neighbours(layer, BasinRef(layer, basin), top_k).neighbours
        else:
            name = self._concept(concept, None)
            near = dropin.without_known(self.session, layer, name, top_k)
        return [Answer(found, {"basin_idx": found.id}) for found in near]

    def intervene(
        self,
        layer: int,
        basin_id: int,
        intervention: str = "zero",
        *,
        amount: float | None = None,
        swap: int | None = None,
        inside: bool = False,
    ) -> Answer:
        """Change a basin in the live model's passes until ``revert()``: zero, clamp, boost, or ``swap=`` another basin.

        ``zero`` takes the basin's direction out of every state of the layer (``clamp amount=0`` in the language);
        ``inside=True`` only out of states that are in the basin (``zero`` in the language).
        """
        other = None if swap is None else BasinRef(layer, swap)
        kind, level = intervention, amount
        if kind == "zero" and swap is None and not inside:
            if amount is not None:
                raise SurgeonError("zero has no amount: use clamp or boost")
            kind, level = "clamp", 0.0
        found = self.session.intervene(layer, BasinRef(layer, basin_id), kind, swap=other, amount=level)
        return Answer(found, {"basin_id": basin_id, "intervention": intervention})

    def trace_generation(
        self,
        prompt: str,
        layer: int = 0,
        *,
        tokens: int | None = None,
        temp: float | None = None,
        topk: int | None = None,
        seed: int = 0,
    ) -> Answer:
        """A reply of the live model and the basin of a layer in which each token settles. While interventions are
        active, ``controls`` are the same reply under them on random other basins."""
        setting = self.session.setting
        count = int(setting("tokens")) if tokens is None else tokens
        heat = float(setting("temp")) if temp is None else temp
        top = int(setting("topk")) if topk is None else topk
        found = self.session.trace_generation(layer, prompt, tokens=count, temp=heat, topk=top, seed=seed)
        others = dropin.controls(self.session, layer, prompt, tokens=count, temp=heat, topk=top, seed=seed)
        return Answer(found, {"controls": others})

    def generate(
        self,
        prompt: str,
        *,
        tokens: int | None = None,
        temp: float | None = None,
        topk: int | None = None,
        seed: int = 0,
    ) -> Answer:
        """Text from the live model."""
        how = {"tokens": tokens, "temp": temp, "topk": topk}
        given = {name: value for name, value in how.items() if value is not None}
        return Answer(self.session.generate(prompt, seed=seed, **given), {})

    # -- causes

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

    # -- consolidation, watermarks, files

    def guard(
        self,
        layer: int,
        max_remove_pct: float = 10.0,
        max_changed_pct: float | None = None,
        protected: Sequence[int] | None = None,
    ) -> Answer:
        """Limits that every edit keeps: how many of a layer's basins it may lose and (for all layers) how many
        decisions it may change, in percent; ``protected`` are numbers of basins that none may lose."""
        session = self.session
        known_basins(session, layer)
        with session.transaction():
            found = session.guard(layer, float(max_remove_pct) / 100)
            if max_changed_pct is not None:
                session.guard("max-changed", float(max_changed_pct) / 100)
                session.set("max_changed", float(max_changed_pct) / 100)
            if protected:
                session.protect([BasinRef(layer, basin) for basin in protected])
        count = self._alive(layer)
        return Answer(
            found,
            {
                "current_basins": count,
                "min_allowed": count - int(count * found.value),
                "max_remove_pct": 100 * found.value,
                "max_changed_pct": 100 * float(session.setting("max_changed")),
                "num_protected": len(session.state.protected.get(layer, ())) or None,
            },
        )

    def benchmark(self, texts: Sequence[str] | None = None, max_tokens: int | None = None) -> Answer:
        """Perplexity on texts (of each its first ``max_tokens`` tokens), or on the bundled held-out text, whose windows
        are then the texts; with what is staged, where something is."""
        if texts is None:
            if max_tokens is not None:
                raise SurgeonError("max_tokens belongs to texts of your own: the held-out text is read whole")
            found = self.session.benchmark()
            count = found.windows
        else:
            texts = [dropin.first_tokens(self.session, text, max_tokens) for text in texts]
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "texts.txt"
                path.write_text("\n".join(texts) + "\n", encoding="utf-8")
                found, count = self.session.benchmark(str(path)), len(texts)
        now = found.staged or found.live
        return Answer(found, {"avg_loss": now.loss, "num_texts": count, "total_tokens": found.tokens})

    def consolidate(
        self,
        layer: int = 0,
        strengthen_factor: float = 1.1,
        prune_threshold: float = 0.3,
        num_inits: int | None = None,
        *,
        force: bool = False,
        reason: str = "",
    ) -> Answer:
        """Deepen what much flows into and prune what hardly anything does, as one gated edit."""
        self._look(layer, num_inits)
        before = self._alive(layer)
        plan = consolidation(self.session, layer, strengthen_factor, prune_threshold, 1)
        edit = self.session.consolidate(
            layer, strengthen_factor, prune_threshold, **self._forced(force, reason)
        )
        return self._consolidated(edit, before, plan)

    def _consolidated(self, edit: results.Edit, before: int, plan: list[dict[str, Any]]) -> Answer:
        """The published keys of a consolidation: what it did, or (refused) that it did nothing to any basin."""
        nothing = {"strengthened": 0, "pruned": 0, "strengthened_details": [], "pruned_details": []}
        last = plan[-1] if plan and edit.applied else {**nothing, "unchanged": before}
        summed = {key: sum(step[key] for step in plan) for key in ("strengthened", "pruned")}
        population = int(self.session.setting("inits"))
        return self._edited(
            edit,
            None,
            None,
            {
                **last,
                **(summed if edit.applied else {}),
                "total_population": population,
                "basins_before": before,
                "basins_after": self._alive(edit.layer),
                "proposed": plan,
            },
        )

    def dream(
        self,
        layers: Sequence[int] | None = None,
        cycles: int = 1,
        *,
        strengthen_factor: float = 1.1,
        prune_threshold: float = 0.3,
        force: bool = False,
        reason: str = "",
    ) -> Answer:
        """Consolidate from fresh random starts, ``cycles`` times, one gated edit per layer."""
        chosen = list(range(self.num_layers())) if layers is None else list(layers)
        reports: dict[int, list[Answer]] = {}
        for layer in chosen:
            self._look(layer, None)
            before = self._alive(layer)
            plan = consolidation(self.session, layer, strengthen_factor, prune_threshold, cycles)
            edit = self.session.dream(
                layer, cycles, strengthen_factor, prune_threshold, **self._forced(force, reason)
            )
            reports[layer] = [self._consolidated(edit, before, plan)]
        totals = {
            f"total_{key}": sum(report[key] for (report,) in reports.values())
            for key in ("strengthened", "pruned")
        }
        return Answer(None, {"cycles": cycles, "layers": len(chosen), **totals, "reports": reports})

    def watermark_inject(
        self,
        secret_key: str,
        num_marks: int = 3,
        strength: str | None = None,
        layers: Sequence[int] | None = None,
        *,
        force: bool = False,
        reason: str = "",
    ) -> Answer:
        """Install a key's marks in layers (all of them by default): one gated edit per layer, as large as it has to be
        (``strength="auto"``; there is no other)."""
        if strength not in (None, "auto"):
            raise SurgeonError(f"a watermark finds its own strength: {strength!r} has no meaning here")
        chosen = list(range(self.num_layers())) if layers is None else list(layers)
        edits = [
            self.session.watermark_inject(
                secret_key, layer=layer, marks=num_marks, **self._forced(force, reason)
            )
            for layer in chosen
        ]
        marks = [
            {
                "layer": edit.layer,
                "mark_idx": index,
                "energy": energy,
                "applied": edit.applied,
                "exists_after": present,
                "retention": self._retention(edit),
            }
            for edit in edits
            for index, (present, energy) in enumerate(
                dropin.marks_found(self.session, edit.layer, secret_key, num_marks)
            )
        ]
        return Answer(
            None,
            {
                "total_marks": len(marks),
                "layers": len(chosen),
                "marks_per_layer": num_marks,
                "strength": "auto",
                "marks": marks,
                "edits": edits,
            },
        )

    def watermark_verify(
        self, secret_key: str, num_marks: int = 3, layers: Sequence[int] | None = None, threshold: float = 0.7
    ) -> Answer:
        """Are a key's marks there, and how often would a wrong key's seem to be?"""
        chosen = list(range(self.num_layers())) if layers is None else list(layers)
        found = [self.session.watermark_verify(secret_key, layer=layer, marks=num_marks) for layer in chosen]
        count, total = sum(item.found for item in found), sum(item.marks for item in found)
        share = count / total if total else 0.0
        wrong = max((item.false_positive_rate for item in found if item.found), default=1.0)
        return Answer(
            None,
            {
                "verified": share >= threshold and wrong == 0.0,
                "confidence": share,
                "marks_found": count,
                "marks_total": total,
                "threshold": threshold,
                "false_positive_rate": wrong,
                "details": [
                    {"layer": layer, "mark_idx": index, "is_present": present, "energy": energy}
                    for layer in chosen
                    for index, (present, energy) in enumerate(
                        dropin.marks_found(self.session, layer, secret_key, num_marks)
                    )
                ],
                "by_layer": found,
            },
        )

    def watermark_strip_attempt(
        self, secret_key: str, num_marks: int = 3, layers: Sequence[int] | None = None
    ) -> Answer:
        """How many of a key's marks outlast every attack that does not wreck the model. Nothing is changed."""
        chosen = list(range(self.num_layers())) if layers is None else list(layers)
        found = [
            self.session.watermark_strip_test(secret_key, layer=layer, marks=num_marks) for layer in chosen
        ]
        total = num_marks * len(found)
        there = sum(round(item.score_before * num_marks) for item in found)
        kept = sum(
            min(
                (round(attack.score * num_marks) for attack in item.attacks if attack.basins_kept >= 0.9),
                default=round(item.score_before * num_marks),
            )
            for item in found
        )
        kept = min(kept, there)
        return Answer(
            None,
            {
                "survived": kept,
                "removed": there - kept,
                "absent": total - there,
                "total": total,
                "details": [Answer(item, {}) for item in found],
            },
        )

    def save_checkpoint(self, path: str | PathLike[str]) -> Answer:
        """Write weights (edits included) and concepts: as .safetensors whole, with the words of a text model; as .pt
        in the published layout."""
        where, session = fspath(path), self.session
        session.model  # noqa: B018 - says that none is loaded
        if where.endswith((".pt", ".pth")):
            published.write_published(session, where, published.session_data(session))
        else:
            dropin.save_session(session, where)
        return self._file(where)

    def load_session(self, path: str | PathLike[str]) -> Answer:
        """Read what ``save_checkpoint`` wrote, here or by the published package."""
        where, session = fspath(path), self.session
        with session.transaction():
            if not dropin.bare_weights(session, where):
                session.load(where)
            if where.endswith((".pt", ".pth")):
                found = published.read_published(located(where, session.base)).get("concepts")
                stored = list(found.items()) if isinstance(found, dict) else []
            else:
                stored = list(dropin.stored_concepts(session))
            for name, data in stored:
                dropin.keep_concept(session, str(name), data, f"concept {name} of {where}")
        return self._file(where)

    def _file(self, path: str) -> Answer:
        concepts = len(self.session.state.concepts)
        return Answer(None, {"path": path, "layers": self.num_layers(), "concepts": concepts})


def _session(other: BasinSurgeon | str) -> Session | str:
    return other if isinstance(other, str) else other.session


class UngatedSurgeon(BasinSurgeon):
    """``BasinSurgeon`` as it was in published releases before there was a gate: every edit is made, and ``retention``
    says what the gate would have said. An edit that it would have refused is in the history as forced."""

    gated = False
