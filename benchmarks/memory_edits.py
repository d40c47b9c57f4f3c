"""What do memory edits of a real model reach, beside random values and beside steering that costs as much?

    python benchmarks/memory_edits.py [--layer 14] [--damage 0.02] [--pairs] [--text FILE …] [sad angry formal …]

Needs smollm2 (``el get smollm2``) and the extra ``hf``; takes minutes of processor time for each concept of
``plain_concepts.jsonl`` (24 sentences as somebody would write them down, beside neutral ones), or with ``--pairs`` of
``examples/concepts`` (pairs that say the same thing with and without the concept). The edit is written by every other
text of a concept and measured by the rest. Replies (64, to prompts by which nothing was chosen) are judged twice: by
the unedited model, as in ``effect``, and by a list of words. Steering adds the concept's direction to the stream, at
the strength whose loss on own replies to questions of fact is that of the edit. Losses are also measured on each
``--text``. The last rows are means over the concepts.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch
from texts import windows_of
from torch import Tensor

from energylang.concepts.captured import pushes
from energylang.concepts.halves import halves
from energylang.concepts.stream_ruler import StreamRuler
from energylang.landscape.draws import stable_generator
from energylang.looking.gauge import Gauge
from energylang.looking.held import pushing
from energylang.models import sampling
from energylang.models.behind import Behind
from energylang.models.protocol import NOTHING, Change
from energylang.session import Session
from energylang.workspace.history import Concept

HERE = Path(__file__).parent
PAIRS = HERE.parent / "examples" / "concepts"
REPLIES, HALVINGS, WINDOWS = 64, 6, 8


class Judge:
    """Everything that is read of one change, for one concept."""

    def __init__(self, session: Session, concept: Concept, layer: int, words: str, texts: dict[str, Tensor]):
        self.session, self.layer, text = session, layer, session.text
        self.words = re.compile(words, re.IGNORECASE | re.DOTALL) if words else None
        usual, text.sizes = text.sizes, replace(text.sizes, prompts=REPLIES)
        try:
            self.ruler = StreamRuler(session, concept, layer)
        finally:
            text.sizes = usual
        asked = [text.prompt_ids(prompt) for prompt in text.measuring_prompts[-usual.questions :]]
        said = [text.encode(each) for each in concept.contrasts]
        self.plain = Behind(text, layer, [(opening, reply) for reply in said for opening in asked])
        own = {"held-out": text.measuring_windows(WINDOWS)}
        self.gauges = {name: Gauge(session, layer, part) for name, part in (own | texts).items()}
        self.usual = self.read(NOTHING)

    def read(self, change: Change) -> dict[str, float]:
        session, ruler = self.session, self.ruler
        made = sampling.generate_batch(
            session.text,
            ruler.prompts,
            tokens=session.text.sizes.reply,
            generator=stable_generator("benchmark", ruler.concept.name),
            change=change,
        )
        heard = ruler.heard([reply.token_ids for reply in made])
        worded = [bool(self.words.search(reply.text)) for reply in made] if self.words else [False]
        found = {
            "concept": float(ruler.texts.means(change).mean()),
            "neutral": float(self.plain.means(change).mean()),
            "share": heard.share or 0.0,
            "by words": statistics.fmean(worded),
            "questions": ruler.kept.loss(change),
            "own": ruler.own.loss(change),
            "unlikely": heard.odd or 0.0,
            "distinct": heard.distinct or 0.0,
        }
        return found | {name: float(gauge.losses(change).mean()) for name, gauge in self.gauges.items()}

    def rises(self, change: Change) -> dict[str, float]:
        """The rise of everything; of shares also what they were."""
        now = self.read(change)
        found = {name: value - self.usual[name] for name, value in now.items()}
        return {"concept": found["concept"], "contrast": found["concept"] - found["neutral"]} | {
            name: value for name, value in found.items() if name not in ("concept", "neutral")
        }


@torch.no_grad()
def steered_as_dearly(judge: Judge, written: Concept, cost: float) -> tuple[float, Change]:
    """The push whose rise of the loss on own replies to questions is at most ``cost``, the largest found by halving."""
    session, layer = judge.session, judge.layer
    push = pushes(session, written, (layer,))
    kept = judge.ruler.kept
    low, high = 0.005, 2.0
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        change = pushing(session, push, middle, "all")
        rise = kept.loss(change) - judge.usual["questions"]
        low, high = (middle, high) if rise <= cost else (low, middle)
    return low, pushing(session, push, low, "all")


def row(name: str, found: dict[str, float]) -> str:
    cells = (
        f"{key} {value:+.2f}" if key in ("share", "by words", "distinct") else f"{key} {value:+.3f}"
        for key, value in found.items()
    )
    return f"{name:<26}" + "  ".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("concepts", nargs="*")
    parser.add_argument("--layer", type=int, default=14)
    parser.add_argument("--damage", type=float, default=0.02)
    parser.add_argument("--pairs", action="store_true")
    parser.add_argument("--text", type=Path, action="append", default=[])
    given = parser.parse_args()
    torch.set_num_threads(1)
    session = Session()
    session.load("smollm2")
    texts = windows_of(session.text, given.text, WINDOWS)
    lines = (HERE / "plain_concepts.jsonl").read_text(encoding="utf-8").splitlines()
    plain = {each["concept"]: each for each in map(json.loads, lines)}
    means: dict[str, list[dict[str, float]]] = {}
    for name in given.concepts or ([p.stem for p in sorted(PAIRS.glob("*.csv"))] if given.pairs else plain):
        if given.pairs:
            file = str(PAIRS / f"{name}.csv")
            session.capture_file(given.layer, name, file, column="text", contrast="contrast")
        else:
            for said, beside in zip(plain[name]["texts"], plain[name]["contrasts"], strict=True):
                session.capture(given.layer, name, said, contrast=beside)
        words = plain[name]["words"] if name in plain else ""
        began = time.process_time()
        edit = session.inject_concept(given.layer, name, damage=given.damage)
        took = time.process_time() - began
        effect = edit.effect
        assert effect is not None  # an edit by memory is always measured
        written, measured = halves(session.state.concepts[name])
        change = Change(weights={given.layer: session.weight(session.memory(given.layer))})
        if edit.applied:
            session.undo()
        judge = Judge(session, measured, given.layer, words, texts)
        found = judge.rises(change)
        print(
            f"{name}: before, share {judge.usual['share']:.2f}, by words {judge.usual['by words']:.2f}, unlikely "
            f"{judge.usual['unlikely']:.2f}, distinct {judge.usual['distinct']:.2f}; random values: share "
            f"{effect.share_placebo:.2f}, log-probability {effect.log_prob_placebo - effect.log_prob_before:+.3f}, "
            f"own {effect.own_change_placebo or 0:+.3f}"
        )
        print(row(f"{name} edit ×{edit.dose:g}", found), f" {took:.0f} processor s; {edit.reason}")
        strength, push = steered_as_dearly(judge, written, max(found["questions"], 0.002))
        beside = judge.rises(push)
        print(row(f"{name} steer ×{strength:.3f}", beside), flush=True)
        means.setdefault("edit", []).append(found)
        means.setdefault("steer", []).append(beside)
    for kind, rows in means.items():
        whole = {key: statistics.fmean(each[key] for each in rows) for key in rows[0]}
        print(row(f"mean of {len(rows)}, {kind}", whole))


if __name__ == "__main__":
    main()
