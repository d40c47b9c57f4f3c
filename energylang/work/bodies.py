"""The rest of what the operations' bodies ask of a session: causes, guards, meanings, vectors, records.

Thin: one method per operation, each a call into the module that does the work. (See ``Workbench``.)
"""

from __future__ import annotations

from collections.abc import Sequence

from energylang import results
from energylang.errors import ElError
from energylang.run import recording
from energylang.signature.values import BasinRef, Concept, Seed

from . import (
    causality,
    examples,
    graphs,
    guarding,
    interpreting,
    interventions,
    keeping,
    mapping,
    perplexity,
    two_models,
    vectors,
)
from .workbench import Workbench


class Bodies(Workbench):
    """Methods of ``Session`` that do an operation's work."""

    # -- causes -----------------------------------------------------------------------------------

    def scan_causes(
        self, layer: int, threshold: float, placebos: int, save: str | None
    ) -> results.CausalGraph:
        return causality.scan(self, layer, threshold, placebos, save)

    def compare_causes(
        self, model: str, layer: int, by: str, threshold: float, placebos: int, shuffles: int
    ) -> results.CausalComparison:
        return graphs.compare(self, model, layer, by, threshold, placebos, shuffles)

    def intervene_causally(
        self, layer: int, basin: BasinRef, op: str, placebos: int, *, force: bool, reason: str
    ) -> results.CausalEffect:
        return causality.intervene(self, layer, basin, op, placebos, force=force, reason=reason)

    def suppose(self, layer: int, basin: BasinRef, mod: str, placebos: int) -> results.CounterfactualEffect:
        return causality.counterfactual(self, layer, basin, mod, placebos)

    def look_across(self, layer: int, basin: BasinRef, to: int, placebos: int) -> results.CrossEffect:
        return causality.across(self, layer, basin, to, placebos)

    # -- safety ----------------------------------------------------------------------------------

    def set_guard(self, what: int | str, value: float) -> results.Guard:
        return guarding.guard(self, what, value)

    def list_guards(self) -> results.Guards:
        return guarding.guards(self)

    def pin_basins(self, basins: tuple[BasinRef, ...]) -> results.Protected:
        return guarding.protect(self, one_layer(basins), basins)

    def measure_perplexity(self, corpus: str | None) -> results.Benchmark:
        return perplexity.benchmark(self, corpus)

    # -- meanings --------------------------------------------------------------------------------

    def probe_basin(self, layer: int, basin: BasinRef | int, top: int) -> results.Probe:
        basin = BasinRef(layer, basin) if isinstance(basin, int) else basin
        self.known_basins(layer)
        return interpreting.probe(self, layer, basin, top)

    def trace_text(self, layer: int, text: str) -> results.Trace:
        return interpreting.trace(self, layer, text)

    def nearest_basins(self, layer: int, target: BasinRef | Concept | Seed, top: int) -> results.Neighbours:
        return interpreting.neighbours(self, layer, target, top)

    def begin_intervention(
        self, layer: int, basin: BasinRef, kind: str, swap: BasinRef | None, amount: float | None
    ) -> results.Intervened:
        if swap is not None and kind != "zero":
            raise ElError(f"a basin cannot be swapped and held at {kind} at once", code="EL202")
        return interventions.intervene(self, layer, basin, "swap" if swap else kind, amount, swap)

    def read_usage(self, layer: int, concept: str | None = None, words: str | None = None) -> results.Usage:
        return interpreting.usage(self, layer, concept, words)

    def read_contexts(self, layer: int, basin: BasinRef, top: int) -> results.BasinContexts:
        return interpreting.contexts_of(self, layer, basin, top)

    def trace_reply(
        self, layer: int, prompt: str, *, tokens: int, temp: float, topk: int, seed: int
    ) -> results.Trajectory:
        return interpreting.trace_generation(
            self, layer, prompt, tokens=tokens, temp=temp, topk=topk, seed=seed
        )

    def probe_identity(self, layer: int, of: str) -> results.Classification:
        return interpreting.classify(self, layer, of)

    def leave_out(self, basins: tuple[BasinRef, ...], placebos: int) -> results.Ablation:
        return interpreting.ablate(self, one_layer(basins), basins, placebos)

    def map_landscape(self, layer: int, dims: int, method: str, save: str | None) -> results.LandscapeMap:
        return mapping.landscape_map(self, layer, dims, method, save)

    # -- vectors ---------------------------------------------------------------------------------

    def combine(self, parts: Sequence[tuple[float, str]], new: str) -> results.ConceptInfo:
        return vectors.combined(self, parts, new)

    def compose_concepts(
        self, names: Sequence[str], weights: tuple[float, ...] | None, new: str
    ) -> results.ConceptInfo:
        given = weights or (1.0,) * len(names)
        if len(given) != len(names):
            raise ElError(
                f"{len(names)} concepts and {len(given)} weights",
                code="EL202",
                hint="give one weight for each",
            )
        return vectors.combined(self, list(zip(given, names, strict=True)), new)

    def compare_concepts(self, first: str, second: str) -> results.Similarity:
        return vectors.similarity(self, first, second)

    def interpolate_concepts(self, first: str, second: str, steps: int) -> results.Interpolation:
        return vectors.interpolate(self, first, second, steps)

    def store_concept(self, name: str, path: str) -> results.Stored:
        return vectors.export(self, name, path)

    def fetch_concept(self, path: str, name: str | None, layer: int | None) -> results.ConceptInfo:
        return vectors.bring(self, path, name, layer)

    def capture_lines(
        self, layer: int, name: str, path: str, position: str | None, column: str | None
    ) -> results.ConceptInfo:
        self.capture_texts(layer, name, examples.examples(self.resolve(path), path, column), position)
        return self.describe_concept(name)

    # -- many basins -----------------------------------------------------------------------------

    def consolidate_basins(
        self,
        layer: int,
        strengthen: float,
        prune: float,
        cycles: int,
        operation: str,
        *,
        force: bool,
        reason: str,
    ) -> results.Edit:
        return keeping.consolidate(
            self, layer, strengthen, prune, cycles, operation, force=force, reason=reason
        )

    def write_watermark(self, layer: int, key: str, marks: int, *, force: bool, reason: str) -> results.Edit:
        return keeping.watermark(self, layer, key, marks, force=force, reason=reason)

    def read_watermark(self, layer: int, key: str, marks: int) -> results.Watermark:
        return keeping.verify(self, layer, key, marks)

    def attack_watermark(self, layer: int, key: str, marks: int) -> results.Stripped:
        return keeping.strip_test(self, layer, key, marks)

    # -- two models, records ---------------------------------------------------------------------

    def compare_with(self, model: str, layer: int) -> results.Comparison:
        return two_models.compare(self, model, layer)

    def transplant_concept(
        self, model: str, layer: int, name: str, strength: float | None, *, force: bool, reason: str
    ) -> results.Edit:
        return two_models.transplant(self, model, layer, name, strength, force=force, reason=reason)

    def write_record(self, path: str) -> results.Recorded:
        return recording.write(self, path)

    def run_record(self, path: str, on: str | None, key: str | None) -> results.Replay:
        return recording.replay(self, path, on, key)


def one_layer(basins: tuple[BasinRef, ...]) -> int:
    """The layer of all of these basins."""
    layers = {basin.layer for basin in basins}
    if len(layers) != 1:
        raise ElError(
            "basins of several layers cannot be taken together", code="EL510", hint="one layer at a time"
        )
    return layers.pop()
