"""Does a session stay as quick and as small after ten thousand edits?

    python benchmarks/long_run.py --edits 10000 [--model planted:64x4] [--svg docs/long_run.svg] [--json figures.json]

1. *Pairs*: an edit and its undo, over and over: the way of somebody who tries things.
2. *A tower*: edits on top of edits, then all of them undone one by one.

Time of every operation, memory of the process after every hundred, and the hash of the weights at the end, which must
be the one at the beginning. The history keeps all of it (nothing is ever lost), so memory grows by the same small
amount per edit; what must not happen is that it grows faster, or that operations become slower.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from energylang import Session

EVERY = 100
BLOCKS = 10


def resident() -> int:
    """Bytes of memory that the process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


def run(edits: int, model: str) -> dict[str, Any]:
    """Both ways, half of the edits each."""
    half = edits // 2
    session = Session(model)
    session.run("survey L0 inits=50\nset seed 1")
    start = session.timeline.current.id
    original = session.staged_hash()
    times: dict[str, list[float]] = {
        "edit (pairs)": [],
        "undo (pairs)": [],
        "edit (tower)": [],
        "undo (tower)": [],
    }
    memory: list[tuple[int, float]] = []

    def timed(name: str, statement: str) -> None:
        began = time.perf_counter()
        session.run(statement)
        times[name].append(time.perf_counter() - began)

    def noted(done: int) -> None:
        if done % EVERY == 0:
            gc.collect()
            memory.append((done, resident() / 2**20))

    for k in range(half):
        timed("edit (pairs)", _edit(k))
        timed("undo (pairs)", "undo")
        noted(k + 1)
    pairs = session.staged_hash() == original
    for k in range(half):
        timed("edit (tower)", _edit(k % 50))
        noted(half + k + 1)
    deep = session.timeline.undoable
    for _ in range(half):
        timed("undo (tower)", "undo")
    back = session.staged_hash() == original and session.live_hash() == session.original_hash
    return {
        "model": model,
        "edits": edits,
        "operations": sum(map(len, times.values())),
        "deepest": deep,
        "hash_returns": pairs and back and session.timeline.current.id == start,
        "times": {name: _blocks(values) for name, values in times.items()},
        "memory": memory,
        "kilobytes_per_edit": _slope(memory),
    }


def _edit(k: int) -> str:
    return f'inject L0 {k} strength=0.0001 force=true reason="long run"'


def _blocks(values: list[float]) -> list[float]:
    """The median time, in milliseconds, of ten blocks of the operations."""
    size = max(1, len(values) // BLOCKS)
    return [
        1000 * statistics.median(values[k : k + size])
        for k in range(0, size * BLOCKS, size)
        if values[k : k + size]
    ]


def _slope(memory: list[tuple[int, float]]) -> list[float]:
    """Kilobytes per edit in the four quarters of the run."""
    size = max(2, len(memory) // 4)
    parts = [memory[k : k + size] for k in range(0, len(memory) - 1, size)]
    return [1024 * (part[-1][1] - part[0][1]) / (part[-1][0] - part[0][0]) for part in parts if len(part) > 1]


def draw(figures: dict[str, Any], path: Path) -> None:
    """The figures as a picture."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "energylang", "font.size": 9})
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    for name, values in figures["times"].items():
        left.plot(
            [(k + 0.5) / len(values) for k in range(len(values))],
            values,
            marker="o",
            markersize=3,
            label=name,
        )
    left.set(xlabel="part of the run", ylabel="median time of an operation [ms]", ylim=(0, None))
    left.legend()
    right.plot(*zip(*figures["memory"], strict=True))
    right.set(xlabel="edits so far", ylabel="memory of the process [MiB]", ylim=(0, None))
    figure.suptitle(f"{figures['edits']:,} edits and their undos in one session ({figures['model']})")
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--edits", type=int, default=10_000)
    parser.add_argument("--model", default="planted:64x4")
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    figures = run(chosen.edits, chosen.model)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if chosen.svg is not None:
        draw(figures, chosen.svg)
    for name, values in figures["times"].items():
        print(f"{name:14} first tenth {values[0]:.2f} ms, last tenth {values[-1]:.2f} ms")
    print("KiB per edit, by quarters:", ", ".join(f"{value:.1f}" for value in figures["kilobytes_per_edit"]))
    print(
        f"{figures['operations']:,} operations, deepest {figures['deepest']:,}, hash returns: {figures['hash_returns']}"
    )
    return 0 if figures["hash_returns"] else 1


if __name__ == "__main__":
    sys.exit(main())
