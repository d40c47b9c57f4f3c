"""How long do the waits on a real model take, and the dose-response beside the loop that one would write?

    python benchmarks/pretrained.py [--placebos 10] [--concept examples/concepts/sad.csv] [--only bars]

Needs smollm2 (``el get smollm2``) and the extra ``hf``. Everything runs in one process with one thread, in processor
seconds. The loop is what a careful user of transformers writes: a forward hook that adds a vector behind a block; for
every strength and every random vector the replies are sampled with ``generate`` in one batch, the concept's texts
and the model's own replies are read as replies, replies are judged by their likelihood after the concept and without
it, and held-out windows are read. Both read the same number of tokens of the same texts; ours reads what lies below
the layer, and openings that several texts have, once. With ``repeng`` installed its ControlModel does the same in
place of the hook.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from energylang.concepts.captured import pushes
from energylang.concepts.replies import own_replies
from energylang.session import Session

CONCEPT = Path(__file__).parents[1] / "examples" / "concepts" / "sad.csv"


@contextmanager
def timed(into: dict[str, float], name: str) -> Iterator[None]:
    began = time.process_time()
    yield
    into[name] = time.process_time() - began


def bars(session: Session, layer: int, concept: Path) -> dict[str, float]:
    """Processor seconds of what a user waits for."""
    found: dict[str, float] = {}
    with timed(found, "load (converted before)"):
        session.load("smollm2")
    given: dict[str, Any] = {"column": "text", "contrast": "contrast"}
    with timed(found, "capture of 24 + 24 texts at all 30 layers"):
        session.capture_file("auto", "everywhere", str(concept), **given)
    session.capture_file(layer, "here", str(concept), **given)
    text = session.text
    from energylang.models import sampling

    with timed(found, "16 replies of 18 tokens"):
        sampling.generate_batch(
            text, text.measuring_prompts[:16], tokens=18, generator=torch.Generator().manual_seed(0)
        )
    found["largest resident memory, GB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return found


class Loop:
    """The loop that one would write, with plain hooks on the library's module."""

    def __init__(self, session: Session, layer: int, texts: list[str]) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder = str(session.model.metadata["folder"])
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.block = self.model.model.layers[layer]
        text, sizes = session.text, session.text.sizes
        self.prompts = list(text.measuring_prompts[: sizes.prompts])
        self.asked = list(text.measuring_prompts[-sizes.questions :])
        self.texts = texts[:16]
        self.own = [
            (question, reply.text) for question, reply in own_replies(session, sizes.own, sizes.reply)
        ]
        self.own = [(question, reply) for question, reply in self.own if reply][:16]
        self.windows = text.measuring_windows(sizes.windows)
        self.before: list[str] = []
        for k in range(3):
            self.before += [text.choosing_prompts[k], texts[k * len(texts) // 3]]
        self.reply = sizes.reply

    @contextmanager
    def pushed(self, vector: Tensor) -> Iterator[None]:
        def hook(_module: Any, _given: Any, output: Any) -> Any:
            return (output[0] + vector, *output[1:]) if isinstance(output, tuple) else output + vector

        handle = self.block.register_forward_hook(hook)
        try:
            yield
        finally:
            handle.remove()

    def chat(self, turns: list[str]) -> str:
        said = [{"role": "assistant" if k % 2 else "user", "content": t} for k, t in enumerate(turns)]
        return str(self.tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True))

    def log_probs(self, openings: list[str], replies: list[str]) -> Tensor:
        """(n,): the mean log-probability of each reply's tokens."""
        found = []
        for first in range(0, len(replies), 16):
            rows = [
                self.tokenizer(opening + reply, add_special_tokens=False)["input_ids"]
                for opening, reply in zip(
                    openings[first : first + 16], replies[first : first + 16], strict=True
                )
            ]
            starts = [
                len(self.tokenizer(opening, add_special_tokens=False)["input_ids"])
                for opening in openings[first : first + 16]
            ]
            longest = max(map(len, rows))
            ids = torch.zeros(len(rows), longest, dtype=torch.int64)
            for k, row in enumerate(rows):
                ids[k, : len(row)] = torch.tensor(row)
            logs = self.model(ids).logits.float().log_softmax(dim=2)
            for k, row in enumerate(rows):
                target = torch.tensor(row[starts[k] :])
                here = logs[k, starts[k] - 1 : len(row) - 1]
                found.append(here.gather(1, target[:, None]).mean())
        return torch.stack(found)

    def reading(self, windows: bool) -> tuple[float, float]:
        """What is said under whatever is hooked in: share and log-probability of the concept."""
        given = self.tokenizer([self.chat([p]) for p in self.prompts], return_tensors="pt", padding=True)
        torch.manual_seed(0)
        made = self.model.generate(
            **given, max_new_tokens=self.reply, do_sample=True, temperature=0.8, top_k=40, pad_token_id=0
        )
        said = self.tokenizer.batch_decode(made[:, given["input_ids"].shape[1] :], skip_special_tokens=True)
        openings = [self.chat([question]) for _ in self.texts for question in self.asked]
        log_prob = float(self.log_probs(openings, [text for text in self.texts for _ in self.asked]).mean())
        if windows:
            self.log_probs([self.chat([q]) for q, _ in self.own], [reply for _, reply in self.own])
            for part in self.windows.split(4):
                logits = self.model(part[:, :-1]).logits.float()
                functional.cross_entropy(logits.transpose(1, 2), part[:, 1:])
        self.said = said
        return 0.0, log_prob

    def judged(self) -> float:
        """The share of what was said last that is the concept; nothing is hooked in."""
        said = [reply or "." for reply in self.said]
        alone = self.log_probs([self.chat([p]) for p in self.prompts], said)
        after = self.log_probs([self.chat([*self.before, p]) for p in self.prompts], said)
        return float((after - alone > math.log(2) / self.reply).float().mean())


def dose_response(
    session: Session, layer: int, concept: Path, strengths: list[float], placebos: int
) -> dict[str, float]:
    """All strengths with their placebos, both ways; processor seconds of a reading, and their ratio. The loop's
    strengths are read before and after ours, so that a machine that gets slower is slower for both."""
    texts = [row["text"] for row in csv.DictReader(concept.open(encoding="utf-8"))]
    push = pushes(session, session.state.concepts["here"], (layer,))[layer]
    loop = Loop(session, layer, texts)
    fields = [torch.randn(len(push), generator=torch.Generator().manual_seed(k)) for k in range(placebos)]
    fields = [field * push.norm() / field.norm() for field in fields]

    def ours() -> None:
        session.steer(layer, "here", strengths=strengths, placebos=placebos)

    def theirs(some: list[float], unpushed: bool) -> None:
        if unpushed:
            loop.reading(True)
            loop.judged()
        for strength in some:
            for k, vector in enumerate([push, *fields]):
                with loop.pushed(strength * vector):
                    loop.reading(k == 0)
                loop.judged()

    spent = dict.fromkeys(("ours", "the loop"), 0.0)
    half = len(strengths) // 2
    rounds: list[tuple[str, Callable[[], None]]] = [
        ("the loop", lambda: theirs(strengths[:half], True)),
        ("ours", ours),
        ("the loop", lambda: theirs(strengths[half:], False)),
    ]
    with torch.no_grad():
        for name, call in rounds:
            began = time.process_time()
            call()
            spent[name] += time.process_time() - began
    readings = len(strengths) * (placebos + 1) + 1
    return {
        "readings": readings,
        "a reading, ours": spent["ours"] / readings,
        "a reading, the loop": spent["the loop"] / readings,
        "times faster": spent["the loop"] / spent["ours"],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--placebos", type=int, default=10)
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.25, 0.5, 0.75, 1.0, 1.5])
    parser.add_argument("--layer", type=int, default=14)
    parser.add_argument("--concept", type=Path, default=CONCEPT)
    parser.add_argument("--only", choices=("bars", "all"), default="all")
    given = parser.parse_args()
    torch.set_num_threads(1)
    session = Session()
    found = bars(session, given.layer, given.concept)
    if given.only == "all":
        found |= dose_response(session, given.layer, given.concept, given.strengths, given.placebos)
    print(json.dumps({name: round(value, 2) for name, value in found.items()}, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
