"""Does surgery on the memories of a pretrained model work? One cell of the table, from one call.

A cell is a concept, a layer (or several that are edited together) and a seed. The seed draws the model's own replies
and puts the neutral prompts in another order (of kinds, so that those of a kind stay together), so that other ones
choose and other ones measure. The concept is captured and written by every other of its texts (``concepts.memory``) and
judged by the rest (``memory_judge``), beside edits with the same key and random values of equal norm, and beside
steering towards the concept at the strength that costs as much on the replies that are to stay. In the end the edit is
undone, and every weight compared.

Cells of one process share the loaded model; what a cell finds does not depend on those before it.
"""

from __future__ import annotations

import csv
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from energylang.concepts.halves import halves
from energylang.concepts.memory import changed, memory_edit
from energylang.errors import ElError
from energylang.landscape.draws import stable_generator
from energylang.landscape.memory import other_values
from energylang.models.text import TextModel
from energylang.session import Session
from energylang.trial.draft import Draft
from energylang.trial.staging import commit
from energylang.work import model
from energylang.workspace.execution import with_threads
from energylang.workspace.history import Concept

from .memory_judge import WINDOWS, Judge, steered_as_dearly

LEAST_COST = 0.002  # nats that steering may cost, at least
KINDS = 4  # neutral prompts of a pretrained model come in turns of so many kinds


@dataclass(frozen=True)
class MemoryCell:
    """What one cell is about. ``words`` is a regular expression that tells a reply of the concept, or empty."""

    model: str
    concept: str
    texts: tuple[str, ...]
    contrasts: tuple[str, ...]
    words: str
    layers: tuple[int, ...]
    seed: int
    damage: float = 0.02
    replies: int = 64
    placebos: int = 3
    threads: int = 1
    others: tuple[tuple[str, str], ...] = ()  # further texts to be measured by: name and text
    prompts: tuple[str, ...] = ()  # neutral prompts instead of the bundled ones
    kept: tuple[str, ...] = ()  # and those to which replies are to stay

    @property
    def where(self) -> str:
        """Its layer, or those that are edited together: ``L14``, ``L12+L14+L16``."""
        return "+".join(f"L{layer}" for layer in self.layers)

    @property
    def name(self) -> str:
        return f"{self.concept} {self.where} seed {self.seed}"


def examine_memory(cell: MemoryCell) -> dict[str, Any]:
    """What was found of a cell, as plain data. Raises ``ElError`` where the model holds no conversations."""
    with with_threads(cell.threads):
        return _examined(cell)


def _examined(cell: MemoryCell) -> dict[str, Any]:
    began = time.process_time()
    session = _session(cell)
    if session.text.dialogue is None:
        raise ElError(
            f"{cell.model} holds no conversations: there are no replies whose concept could be counted",
            code="EL250",
            hint="use `effect` on a plain-text model",
        )
    captured = session.state
    _capture(session, cell)
    concept = session.state.concepts[cell.concept]
    try:
        found = _found(session, cell, concept)
    finally:
        session.undo()  # the capture
    assert session.state.concepts == captured.concepts
    return {**found, "seconds": time.process_time() - began}


def _found(session: Session, cell: MemoryCell, concept: Concept) -> dict[str, Any]:
    transposed = session.model.header.transposed
    written_by, measured_by = halves(concept)
    made = memory_edit(session, concept, None, cell.damage, layers=cell.layers)
    factors, draft = made.factors, made.drafts[0]
    windows = {name: _windows(session.text, other) for name, other in cell.others}
    judge = Judge(session, measured_by, cell.layers, words=cell.words, replies=cell.replies, windows=windows)
    weights = {layer: session.weight(session.memory(layer)) for layer in cell.layers}
    found = judge.read(changed(weights, factors))
    rises = judge.rises(found)
    strength, push = steered_as_dearly(judge, written_by, max(rises["kept"], LEAST_COST))
    where = cell.layers[0] if len(cell.layers) == 1 else cell.layers
    generator = stable_generator("study", cell.seed, where, cell.concept)
    beside: list[dict[str, float]] = []
    for _ in range(cell.placebos):
        other = {
            layer: other_values(factors[layer], generator, transposed=transposed) for layer in cell.layers
        }
        beside.append(judge.rises(judge.said(changed(weights, other))))
    return {
        "dose": draft.edit.dose,
        "within": draft.edit.applied,
        "reason": "" if draft.edit.applied else draft.edit.reason,
        "before": judge.usual,
        "edit": rises,
        "steering": {"strength": strength, **judge.rises(judge.read(push))},
        "random": beside,
        "undone": _undone(session, made.drafts),
    }


def _windows(text: TextModel, other: str) -> Tensor:
    """(WINDOWS, t): windows of a text, evenly over it."""
    found = text.windows(tokens=torch.tensor(text.encode(other)))
    return found[:: max(1, len(found) // WINDOWS)][:WINDOWS]


@torch.no_grad()
def _undone(session: Session, drafts: Sequence[Draft]) -> bool:
    """Make the edit live and undo it: did the logits change, and came they back bit for bit?"""
    windows = session.text.measuring_windows(2)[:, :-1]
    logits, before = session.text.forward(windows, read=()).logits, session.state
    for draft in drafts:
        commit(session, draft, force=True, reason="it is undone at once")
        model.make_live(session, draft.plan.layer)
    session.timeline.record("study", before, session.state, "OK", "", None)
    other = not torch.equal(logits, session.text.forward(windows, read=()).logits)
    session.undo()
    return other and torch.equal(logits, session.text.forward(windows, read=()).logits)


def _capture(session: Session, cell: MemoryCell) -> None:
    """Capture the concept from a table, as a user would."""
    contrasts = cell.contrasts or ("",) * len(cell.texts)
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "concept.csv"
        with table.open("w", encoding="utf-8", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(("text", "contrast"))
            lines.writerows(zip(cell.texts, contrasts, strict=True))
        session.capture_file(
            cell.layers[0],
            cell.concept,
            str(table),
            column="text",
            **({"contrast": "contrast"} if cell.contrasts else {}),
        )


def _session(cell: MemoryCell) -> Session:
    """The model, loaded, with this seed and its order of prompts."""
    key = (cell.model, cell.seed, cell.threads, cell.prompts, cell.kept)
    if key not in _loaded:
        _loaded.clear()
        session = Session(cell.model, threads=cell.threads)
        session.set("seed", cell.seed)
        text = session.text
        prompts, kept = cell.prompts or text.neutral_prompts, cell.kept or text.kept_prompts
        if cell.prompts:
            text.other_prompts = ()  # concepts are said to these, too
        shuffled = random.Random(f"{cell.seed} kept").sample(kept, len(kept))
        text.measured_by(in_another_order(prompts, cell.seed), "", shuffled if cell.seed else kept)
        _loaded[key] = session
    return _loaded[key]


def in_another_order(prompts: Sequence[str], seed: int) -> list[str]:
    """The prompts in an order of the seed's (0: as they are), with every kind at its places."""
    if not seed:
        return list(prompts)
    found = list(prompts)
    for kind in range(KINDS):
        mine = found[kind::KINDS]
        random.Random(f"{seed} {kind}").shuffle(mine)
        found[kind::KINDS] = mine
    return found


_loaded: dict[tuple[Any, ...], Session] = {}
