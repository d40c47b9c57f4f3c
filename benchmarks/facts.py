"""Facts rewritten in a real model: `rewrite` beside ROME on the same facts, the same layer and the same questions.

    python benchmarks/facts.py [--layers 8] [--facts 24] [--subject named|auto]

Needs smollm2 (``el get smollm2``) and the extra ``hf``. ROME is written here after the paper (Meng et al. 2022): the
second moment of held-out text alone, the key at the subject's last token behind beginnings that the model wrote, the
value by 25 steps of Adam with weight decay and the essence kept ("… is a", KL divergence), the whole of it written.
Both are asked by the same function: is the answer said (efficacy), in other words (paraphrases), do neighbours begin
as before, and what becomes of the loss on the model's own replies and on held-out text. Fluency is the paper's: the
entropy (bits) of the pairs and triples of words in what is said on from the phrase, weighted 1 : 2. Seconds are of the
processor.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from energylang.concepts.answers import rewritten
from energylang.concepts.faces import window_halves
from energylang.concepts.replies import own_replies
from energylang.concepts.rewriting import asked
from energylang.landscape.memory import answer, query_of
from energylang.models import sampling
from energylang.models.neurons import mean_along, second_moments
from energylang.models.protocol import NOTHING, Change
from energylang.models.replies_from import RepliesFrom
from energylang.results import Rewritten
from energylang.session import Session

FACTS = Path(__file__).with_name("facts.jsonl")
STEPS, RATE, DECAY, ESSENCE, CLAMP = 25, 0.5, 0.5, 0.0625, 4.0  # of ROME's value
BEGINNINGS = 4  # that the model wrote, before the phrase


class Rome:
    """The edit of the paper, for one layer of a session's model."""

    def __init__(self, session: Session, layer: int) -> None:
        self.session, self.layer, text = session, layer, session.text
        windows = [w for first, second in window_halves(text).values() for w in (*first, *second)]
        self.moment = second_moments(text, (layer,), [w[:-1].tolist() for w in windows])[layer]
        said = own_replies(session, BEGINNINGS, 10)
        self.beginnings = [list(reply.token_ids) for _, reply in said]

    def edit(self, fact: dict[str, Any]) -> Any:
        text, layer, session = self.session.text, self.layer, self.session
        given = asked(text, fact["phrase"], fact["to"], fact["subject"])
        assert given.place is not None
        rows = [text.opened(list(given.phrase))] + [
            text.opened([*beginning, *given.phrase]) for beginning in self.beginnings
        ]
        key = mean_along(text, layer, rows, len(given.phrase))[given.place]
        weight = session.weight(session.staged(layer))
        query = query_of(key, self.moment).to(weight)
        replies = RepliesFrom.of(text, layer, [(row, given.answer) for row in rows])
        essence = RepliesFrom.of(
            text, layer, [(text.opened(text.encode(f"{fact['subject']} is")), text.encode(" a"))]
        )
        usual = weight @ key.to(weight)
        with torch.no_grad():
            before = essence.logits(NOTHING)[0].log_softmax(dim=1)
        value = torch.zeros_like(usual).requires_grad_(True)
        # The paper's rate and decay are for GPT-2 XL and GPT-J; here they are in units of this layer's answer.
        size = float(usual.norm()) / len(usual) ** 0.5
        descent = torch.optim.Adam([value], lr=RATE * size)
        for _ in range(STEPS):
            edited = Change(weights={layer: weight + answer(value, query, transposed=False).dense()})
            said = -replies.means(edited).mean()
            now = essence.logits(edited)[0].log_softmax(dim=1)
            kept = functional.kl_div(now, before, log_target=True, reduction="batchmean")
            decay = DECAY * value.norm() / usual.norm() ** 2
            loss = said + ESSENCE * kept + decay
            if float(loss.detach()) < 0.05:
                break
            descent.zero_grad()
            loss.backward()
            descent.step()
            with torch.no_grad():
                most = CLAMP * float(usual.norm())
                if float(value.norm()) > most:
                    value *= most / value.norm()
        return answer(value.detach(), query, transposed=False), given


def by_rome(rome: Rome, fact: dict[str, Any]) -> tuple[Rewritten, float]:
    factors, given = rome.edit(fact)
    session, layer = rome.session, rome.layer
    edited = factors.added_to(session.weight(session.staged(layer)))
    said = fluency(session, fact, Change(weights={layer: edited}))
    found = rewritten(
        rome.session,
        rome.layer,
        factors,
        fact["phrase"],
        fact["to"],
        given,
        given.place,
        fact["same"],
        fact["near"],
    )
    return found, said


def fluency(session: Session, fact: dict[str, Any], change: Change = NOTHING) -> float:
    """Of three texts that go on from the phrase: the mean entropy of their pairs and triples of words."""
    said = sampling.generate_batch(
        session.text,
        [fact["phrase"]] * 3,
        tokens=40,
        generator=torch.Generator().manual_seed(0),
        change=change,
    )
    return statistics.fmean((_entropy(one.text, 2) + 2 * _entropy(one.text, 3)) / 3 for one in said)


def _entropy(text: str, width: int) -> float:
    words: Sequence[str] = text.split()
    counted = Counter(zip(*(words[k:] for k in range(width)), strict=False))
    whole = sum(counted.values())
    return -sum(n / whole * math.log2(n / whole) for n in counted.values()) if whole else 0.0


def by_rewrite(
    session: Session, layer: int, fact: dict[str, Any], subject: str
) -> tuple[Rewritten, bool, float]:
    named = {"subject": fact["subject"]} if subject == "named" else {}
    edit = session.rewrite(
        layer, fact["phrase"], to=fact["to"], same=fact["same"], near=fact["near"], **named
    )
    said = math.nan
    if edit.applied:
        said = fluency(session, fact, Change(weights={layer: session.weight(session.memory(layer))}))
        session.undo()
    return edit.rewritten, edit.applied, said


def summary(found: list[Rewritten], spent: list[float]) -> dict[str, float]:
    def mean(values: list[float | None]) -> float:
        return statistics.fmean(value for value in values if value is not None)

    return {
        "facts": len(found),
        "probability of the answer": mean([one.asked.after for one in found]),
        "… in other words": mean([one.same_after for one in found]),
        "… of random values": mean([one.random for one in found]),
        "other words that say it first": mean(
            [
                float(each.first_after.strip() and one.answer.startswith(each.first_after.strip()))
                for one in found
                for each in one.same
            ]
        ),
        "neighbours that begin as before": mean([one.near_kept for one in found]),
        "probability of the answer at neighbours": mean([each.after for one in found for each in one.near]),
        "… before": mean([each.before for one in found for each in one.near]),
        "own replies, nats": mean([one.own_change for one in found]),
        "… largest": max(one.own_change or 0.0 for one in found),
        "held-out text, nats": mean([one.loss_change for one in found]),
        "… largest ": max(one.loss_change for one in found),
        "processor seconds, median": statistics.median(spent),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--layers", type=int, nargs="+", default=[8])
    parser.add_argument("--facts", type=int, default=100)
    parser.add_argument("--subject", choices=("named", "auto"), default="named")
    parser.add_argument("--rome-facts", type=int, default=100, help="of these, how many ROME is asked for")
    given = parser.parse_args()
    torch.set_num_threads(1)
    facts = [json.loads(line) for line in FACTS.read_text(encoding="utf-8").splitlines()][: given.facts]
    session = Session()
    session.load("smollm2")
    for layer in given.layers:
        rome = Rome(session, layer) if given.rome_facts else None
        ways: dict[str, tuple[list[Rewritten], list[float]]] = {"rewrite": ([], []), "rome": ([], [])}
        applied = 0
        fluent: dict[str, list[float]] = {"unedited": [], "rewrite": [], "rome": []}
        for number, fact in enumerate(facts):
            began = time.process_time()
            found, kept, said = by_rewrite(session, layer, fact, given.subject)
            fluent["rewrite"].append(said)
            applied += kept
            ways["rewrite"][0].append(found)
            ways["rewrite"][1].append(time.process_time() - began)
            fluent["unedited"].append(fluency(session, fact))
            if rome is not None and number < given.rome_facts:
                began = time.process_time()
                made, said = by_rome(rome, fact)
                ways["rome"][0].append(made)
                fluent["rome"].append(said)
                ways["rome"][1].append(time.process_time() - began)
            for name, (each, _) in ways.items():
                if len(each) > number:
                    one = each[-1]
                    print(
                        f"L{layer} {name:<8}{fact['phrase'][:44]:<46}{one.place!r:<12} {one.asked.before:.3f} → "
                        f"{one.asked.after:.3f} same {one.same_after:.2f} near {one.near_kept:.2f} "
                        f"own {one.own_change:+.4f} held {one.loss_change:+.4f}",
                        flush=True,
                    )
        for name, (each, spent) in ways.items():
            if each:
                print(
                    f"L{layer} {name}",
                    json.dumps({k: round(v, 4) for k, v in summary(each, spent).items()}, indent=1),
                )
        both = len(ways["rome"][0])
        if 0 < both < len(facts):
            each, spent = ways["rewrite"]
            print(
                f"L{layer} rewrite, the first {both}",
                json.dumps(summary(each[:both], spent[:both]), indent=1),
            )
        for name, values in fluent.items():
            known = [value for value in values if not math.isnan(value)]
            if known:
                print(f"L{layer} {name}: fluency {statistics.fmean(known):.2f} bits over {len(known)} facts")
        print(f"applied {applied} of {len(facts)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
