"""Answers under the published keys, built from results."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from energylang import results
from energylang.session import Session
from energylang.work.model import write_model

DRIFT = 0.15


def retention(edit: results.Edit | results.CausalEffect, max_changed: float) -> dict[str, Any]:
    """What the gate said, under the published keys. Of the single probes no list is kept: ``changed``, ``n_probes`` and
    ``n_intended`` are ``None``."""
    accepted = edit.applied and not edit.forced
    found: dict[str, Any] = {
        "accepted": accepted,
        "applied": edit.applied,
        "forced": edit.forced,
        "reason": edit.reason,
        "lost": list(edit.lost),
        "frobenius": edit.norm,
        "layer": f"L{edit.layer}",
        "promoted": not accepted,
        "compact_edit": "forced" if edit.forced else "accepted" if accepted else "refused_promoted",
    }
    fraction = None
    if isinstance(edit, results.Edit):
        fraction = edit.changed_fraction
        found |= {"K_protected": edit.protected, "K_kept": edit.kept}
    else:
        found |= {"K_protected": len(edit.others), "K_kept": sum(other.survived for other in edit.others)}
    found["decision"] = _decision(fraction, max_changed)
    return found


def nothing_judged(layer: int, max_changed: float) -> dict[str, Any]:
    """The same keys where there was no basin, so that no edit was proposed."""
    facts = {"reason": "there is no basin", "lost": [], "frobenius": 0.0, "layer": f"L{layer}"}
    counts = {"K_protected": None, "K_kept": None, "decision": _decision(None, max_changed)}
    flags = dict.fromkeys(("accepted", "applied", "forced", "promoted"), False)
    return {**flags, **facts, "compact_edit": "refused", **counts}


def _decision(fraction: float | None, max_changed: float) -> dict[str, Any]:
    return {
        "accepted": None if fraction is None else fraction <= max_changed,
        "changed_fraction": fraction,
        "max_changed": max_changed,
        "changed": None,
        "n_probes": None,
        "n_intended": None,
    }


def affected(
    others: Sequence[results.Drifted], before: Mapping[int, float], after: Mapping[int, float]
) -> list[dict[str, Any]]:
    """The basins that moved by more than the usual threshold, or are gone; energies at their centres before."""
    return [
        {
            "basin": other.basin,
            "drift": other.drift,
            "survived": other.survived,
            "z": other.z,
            "p": other.p,
            "energy_before": before.get(other.basin),
            "energy_after": after.get(other.basin),
        }
        for other in others
        if other.drift > DRIFT or not other.survived
    ]


class WrittenModel:
    """Another surgeon's model as something that ``compare`` can read; its file is gone afterwards."""

    def __init__(self, other: Session | str) -> None:
        self.other = other
        self.folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> str:
        if isinstance(self.other, str):
            return self.other
        self.folder = tempfile.TemporaryDirectory()
        path = str(Path(self.folder.name) / "other.safetensors")
        write_model(self.other, path)
        return path

    def __exit__(self, *error: object) -> None:
        if self.folder is not None:
            self.folder.cleanup()
