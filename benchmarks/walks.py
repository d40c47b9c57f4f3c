"""Walk through histories at random, and look whether every place means what it meant.

    python benchmarks/walks.py --count 1000 [--seed 0] [--only planted] [--json figures.json]

A *walk* is a sequence of statements on a session: edits (forced ones too), surveys, pins, guards, settings, places,
transactions that fail, `with` blocks, `undo`, `redo`, `goto`, `rollback`, and now and then another model. After every
statement:

* a place in the history has the state, the hashes, the guards and the pins that it had when it was made;
* the live weights are those of the state;
* a survey of a place finds what the first survey of that place found, bit for bit, whatever happened in between
  (its duration apart, and the numbers of basins, which are given in the order in which they are met).

At the end everything is undone and done again. The bounded version is tests/test_undo_sequences.py.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from findings import Figures, add_options

from energylang import Session
from energylang.errors import ElError
from energylang.run.doors import ScriptError
from energylang.workspace.named import travel_to

MODELS = {"planted:24x2": 1, "random:24x2": 2, "random:16": 1, "tiny": 4}
_UNSAID = {"elapsed", "id", "mirror", "seed", "at"}


@dataclass
class Place:
    """What was seen at a node of the history: the state itself, its hashes, and the surveys made there."""

    state: Any
    staged: str
    live: str
    surveys: dict[tuple[Any, ...], Any] = field(default_factory=dict)


def bare(value: Any) -> Any:
    """A result as plain values, without durations and the numbers of basins."""
    if isinstance(value, dict):
        return {key: bare(inner) for key, inner in value.items() if key not in _UNSAID}
    return [bare(inner) for inner in value] if isinstance(value, list | tuple) else value


def statement(draw: random.Random, session: Session) -> str:
    """The next step of a walk."""
    layers = session.model.num_layers
    layer = f"L{draw.randrange(layers)}"
    basin = f"{layer}.B{draw.randrange(5)}"
    forced = draw.choice(("", ' force=true reason="walk"'))
    last = session.timeline.next_id()
    return draw.choice(
        (
            f"inject {layer} {draw.randrange(20)} strength={draw.choice((0.02, 0.1, 0.4))}{forced}",
            f"inject {layer} {draw.randrange(20)} strength={draw.choice((0.02, 0.1, 0.4))}{forced}",
            f"remove {basin}{forced}",
            f"{draw.choice(('strengthen', 'weaken'))} {basin}{forced}",
            f"move {basin} to={draw.randrange(20)} strength=0.1{forced}",
            f"survey {layer}",
            f"survey {layer} inits=30 seed={draw.randrange(3)}",
            f"protect {basin}",
            f"guard {layer} {draw.choice((5, 50))}",
            f"guard max-changed {draw.choice((1, 20))}%",
            f"set inits {draw.choice((20, 40))}",
            f"set beta {draw.choice(('auto', '3.0'))}",
            f"apply {layer}",
            f"checkpoint {draw.choice('ab')}",
            f"rollback {draw.choice('ab')}",
            f"undo {draw.choice((1, 1, 2, 5))}",
            f"undo {layer}",
            f"redo {draw.choice((1, 1, 2, 5))}",
            f"redo {draw.choice((1, 3))}",
            f"goto {draw.randrange(last)}",
            f"attempt:\n    inject {layer} 3{forced}\n    survey {layer}\n    goto 999999\nelse:\n    pass",
            f"with inject {layer} 5 strength=0.2{forced}:\n    survey {layer}",
            f"survey {layer} at={draw.randrange(last)}",
        )
    )


def looked(session: Session, places: dict[Any, Place], said: list[str], what: str) -> None:
    """Compare the place where the session stands with what it was, or note it down."""
    node = session.timeline.current
    staged, live = session.staged_hash(), session.live_hash()
    place = places.setdefault(node, Place(node.after, staged, live))
    if node.after is not session.state:
        said.append(f"{what}: the state is not that of node {node.id}")
    if place.state is not session.state or (place.staged, place.live) != (staged, live):
        said.append(f"{what}: node {node.id} is not what it was")
    weights = (session.weight(layer.live) for layer in session.state.layers)
    if not all(torch.equal(weight, session.model.weight(i)) for i, weight in enumerate(weights)):
        said.append(f"{what}: the live weights are not those of the state")


def surveyed(session: Session, places: dict[Any, Place], said: list[str], layer: int, what: str) -> None:
    """Survey a layer here and compare with the first such survey of this place."""
    place = places[session.timeline.current]
    found = bare(session.survey(layer, inits=25).to_dict())
    if place.surveys.setdefault((layer,), found) != found:
        said.append(
            f"{what}: a survey of L{layer} at node {session.timeline.current.id} finds something else"
        )


def walk(model: str, seed: int, length: int, figures: Figures) -> None:
    """One walk; what is wrong with it goes into ``figures``."""
    draw = random.Random(f"{seed} {model}")
    session = Session(model)
    steps: list[str] = []
    said: list[str] = []
    places: dict[Any, Place] = {}
    looked(session, places, said, "begin")
    for _ in range(length):
        if draw.random() < 0.03:
            step = f"load {draw.choice([name for name in MODELS if name != 'tiny' or model == 'tiny'])}"
        else:
            step = statement(draw, session)
        steps.append(step)
        try:
            session.run(step)
            figures.outcomes[f"{step.split()[0].rstrip(':')}: done"] += 1
        except (ElError, ScriptError):
            figures.outcomes[f"{step.split()[0].rstrip(':')}: refused"] += 1
        if step.startswith("load"):
            places = {}
        looked(session, places, said, step)
        if draw.random() < 0.4:
            surveyed(session, places, said, draw.randrange(session.model.num_layers), step)
        if said:
            break
    if not said:
        node, began = session.timeline.current, session.original_hash
        if session.timeline.undoable:
            session.undo(session.timeline.undoable)
        if not session.staged_hash() == session.live_hash() == began:
            said.append("undoing all does not lead back")
        looked(session, places, said, "undo all")
        surveyed(session, places, said, 0, "undo all")
        travel_to(session, node)
        looked(session, places, said, "redo all")
        surveyed(session, places, said, 0, "redo all")
    figures.outcomes["walks"] += 1
    figures.outcomes["places"] += len(places)
    figures.outcomes["surveys compared"] += sum(len(place.surveys) for place in places.values())
    figures.findings += [f"{model} seed {seed}: {fault}; after {steps}" for fault in said]


def walks(count: int, seed: int, only: str = "", length: int = 14) -> Figures:
    """``count`` walks, in turn on every model."""
    figures = Figures()
    torch.set_num_threads(1)
    models = [model for model in MODELS if only in model]
    for number in range(count):
        before = len(figures.findings)
        try:
            walk(models[number % len(models)], seed * 1_000_003 + number, length, figures)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            name = type(error).__name__
            figures.findings.append(f"{models[number % len(models)]} #{number}: {name}: {error}")
        for finding in figures.findings[before:]:
            sys.stderr.write(f"{finding}\n")
        if number % 100 == 99:
            sys.stderr.write(f"{number + 1} walks, {len(figures.findings)} findings\n")
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--length", type=int, default=14)
    add_options(parser, "models")
    chosen = parser.parse_args()
    began = time.perf_counter()
    figures = walks(chosen.count, chosen.seed, chosen.only, chosen.length)
    return figures.told(f"{chosen.count} walks in {time.perf_counter() - began:.0f} s", chosen.json)


if __name__ == "__main__":
    sys.exit(main())
