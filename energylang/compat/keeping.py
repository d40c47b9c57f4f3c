"""Published methods about limits, many basins at once, and files."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from energylang import results
from energylang.compat import dropin
from energylang.compat.consolidation import consolidation
from energylang.files.storage import located
from energylang.looking import basins as observing
from energylang.results.answer import Answer
from energylang.signature.values import BasinRef
from energylang.work import published

from .base import Surgeon, SurgeonError


class Keeping(Surgeon):
    """guard, benchmark, consolidate, dream, watermarks, save_checkpoint, load_session."""

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
        observing.known_basins(session, layer)
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
