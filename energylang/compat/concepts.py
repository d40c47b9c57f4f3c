"""Published methods about concepts."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path

from energylang.compat import dropin
from energylang.files.storage import located
from energylang.results.answer import Answer
from energylang.signature.values import ConceptName
from energylang.work import published
from energylang.workspace.named import concept_named

from .base import Surgeon, SurgeonError, auto


class Concepts(Surgeon):
    """capture, inject_concept, remove_concept, transplant, the algebra, and files."""

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
                "is_basin": cosine >= 0.95,
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
        source_surgeon: Surgeon | str,
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
