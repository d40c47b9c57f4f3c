"""What becomes of short questions, when a concept is written into the memory of one layer, and of several together?

The replies that an edit is to keep answer how and why, at length. Questions that want a name or a number are none of
them, and nothing is chosen or judged by them: they are asked here, greedily, before and after, and beside random values
at the same keys and of the same norms. A reply counts as right when one of the expected words is in it.

    python benchmarks/short_questions.py [--model smollm2] [--concepts sea,sad,formal] [--layers L14,L12+L14+L16]

A concept and place costs some two minutes of a core.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from pathlib import Path

import torch

from energylang import Session
from energylang.concepts.memory import changed, memory_edit
from energylang.landscape.draws import stable_generator
from energylang.landscape.memory import other_values
from energylang.models import sampling
from energylang.models.pretrained.bundled import lines
from energylang.models.protocol import NOTHING, Change

QUESTIONS = {
    "What is the capital of Norway?": "Oslo",
    "What is the capital of France?": "Paris",
    "How many legs does a spider have?": "eight|8",
    "Who painted the Mona Lisa?": "Leonardo|Vinci",
    "Which planet is closest to the sun?": "Mercury",
    "What is the opposite of hot?": "cold|cool",
    "In which country is the city of Lisbon?": "Portugal",
    "How many days are there in a week?": "seven|7",
    "What is the chemical symbol for gold?": "Au",
    "Who wrote Romeo and Juliet?": "Shakespeare",
    "What language do people speak in Brazil?": "Portuguese",
    "Which animal gives us wool?": "sheep",
    "What is the largest ocean?": "Pacific",
    "How many minutes are there in an hour?": "sixty|60",
    "What colour do you get from blue and yellow?": "green",
    "Who was the first man on the moon?": "Armstrong",
    "What is the past tense of go?": "went",
    "Which month comes after June?": "July",
    "What do bees make?": "honey",
    "What is the plural of mouse?": "mice",
    "In which year did the Second World War end?": "1945",
    "What is the boiling point of water?": "100|212",
    "Which continent is Egypt in?": "Africa",
    "How many sides does a triangle have?": "three|3",
    "Who discovered penicillin?": "Fleming",
    "What is ten times twelve?": "120",
    "What is the Spanish word for house?": "casa",
    "What is the currency of Japan?": "yen",
    "Which organ pumps blood?": "heart",
    "What is the French word for thank you?": "merci",
    "What is the first letter of the Greek alphabet?": "alpha",
    "Which metal is liquid at room temperature?": "mercury",
    "What is a baby cat called?": "kitten",
    "What is seven plus six?": "13|thirteen",
    "Which gas do plants take in?": "carbon|CO2",
    "What is frozen water called?": "ice",
}
TOKENS, RANDOM = 24, 2


def right(session: Session, change: Change) -> tuple[int, list[str]]:
    """How many questions are answered with an expected word, and the replies."""
    asked = list(QUESTIONS)
    found = sampling.generate_batch(
        session.text, asked, tokens=TOKENS, topk=1, generator=torch.Generator(), change=change
    )
    replies = [each.text.strip() for each in found]
    good = [
        bool(re.search(rf"\b(?:{QUESTIONS[question]})\b", reply, re.IGNORECASE))
        for question, reply in zip(asked, replies, strict=True)
    ]
    return sum(good), replies


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--concepts", default="sea,sad,formal")
    parser.add_argument("--layers", default="L14,L12+L14+L16")
    parser.add_argument("--damage", type=float, default=0.02)
    given = parser.parse_args()
    torch.set_num_threads(1)
    places = [
        tuple(int(word.removeprefix("L")) for word in place.split("+")) for place in given.layers.split(",")
    ]
    bundled = {each["concept"]: each for each in map(json.loads, lines("concepts.jsonl"))}
    session = Session(given.model, threads=1)
    before, usual = right(session, NOTHING)
    print(
        f"{given.model}: {before} of {len(QUESTIONS)} short questions are answered with an expected word",
        flush=True,
    )

    def as_before(replies: list[str]) -> int:
        return sum(a == b for a, b in zip(usual, replies, strict=True))

    with tempfile.TemporaryDirectory() as folder:
        for name in given.concepts.split(","):
            path = Path(folder) / "concept.jsonl"
            rows = zip(bundled[name]["texts"], bundled[name]["contrasts"], strict=True)
            path.write_text("\n".join(json.dumps({"text": a, "contrast": b}) for a, b in rows) + "\n")
            session.capture_file(places[0][0], name, str(path), column="text", contrast="contrast")
            for layers in places:
                began = time.process_time()
                made = memory_edit(session, session.state.concepts[name], None, given.damage, layers=layers)
                weights = {layer: session.weight(session.memory(layer)) for layer in layers}
                after, replies = right(session, changed(weights, made.factors))
                generator = stable_generator("short questions", name, layers)
                transposed = session.model.header.transposed
                beside = []
                for _ in range(RANDOM):
                    other = {
                        layer: other_values(edit, generator, transposed=transposed)
                        for layer, edit in made.factors.items()
                    }
                    beside.append(right(session, changed(weights, other)))
                same = as_before(replies)
                where = "+".join(f"L{layer}" for layer in layers)
                print(
                    f"{name:8} {where:14} right {after:2}, random values {', '.join(str(good) for good, _ in beside)};"
                    f" word for word as before {same}, random values"
                    f" {', '.join(str(as_before(said)) for _, said in beside)}; dose {made.drafts[0].edit.dose:g},"
                    f" {time.process_time() - began:.0f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
