"""Do edits of the memory hold on a second model? A Qwen3 with random weights is taught the bundled micro-world.

    python benchmarks/second_model.py -o DIR [--steps 1200] [--width 128] [--layers 4]

Needs the extra ``hf``. Minutes of processor time: a small Qwen3 (its library's own class, a BPE tokenizer of 1,000
pieces, a chat template) learns the conversations of ``energylang.training.corpus``, and DIR gets

    model/          the model as a Hugging Face folder
    concepts.json   the five registers: texts, contrasts (the same kinds of replies in other registers), marker words
    prompts.txt     questions of half of the kinds (``INTENTS``), to which the registers are to be spoken
    kept.txt        questions of the other half, to which replies are to stay as they are
    heldout.txt     conversations that it did not learn

and the command that makes the study of them is printed:  ``el report surgery DIR/model --concepts …``.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import torch

from energylang.training import corpus

PIECES, CONTEXT, BATCH, RATE = 1000, 96, 24, 2e-3
DOCUMENTS, TEXTS, PROMPTS = 6000, 24, 120
TEMPLATE = (
    "{% for m in messages %}{{ m.role + ':\n' + m.content + '<end>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:\n' }}{% endif %}"
)
ROLES = {"user": "user", "bot": "assistant"}
SPOKEN = ("open", "advise", "tell", "good", "bad")  # kinds of questions to which registers are to be spoken


def tokenizer_of(texts: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=PIECES,
            special_tokens=["<end>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    found = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>")
    found.chat_template = TEMPLATE
    return found


def said(seed: int, count: int) -> list[str]:
    """Conversations as the template writes them."""
    found = []
    for text in corpus.documents(seed, count):
        turns = [line.split(": ", 1) for line in text.splitlines() if line.strip()]
        found.append("".join(f"{ROLES[role]}:\n{content}<end>\n" for role, content in turns))
    return found


def trained(ids: torch.Tensor, vocabulary: int, given: argparse.Namespace) -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=vocabulary,
            hidden_size=given.width,
            intermediate_size=3 * given.width,
            num_hidden_layers=given.layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=given.width // 4,
            max_position_embeddings=512,
            tie_word_embeddings=True,
        )
    )
    descent = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.05)
    draw = torch.Generator().manual_seed(1)
    began = time.process_time()
    for step in range(given.steps):
        for group in descent.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 50, (given.steps - step) / (0.3 * given.steps))
        places = torch.randint(len(ids) - CONTEXT, (BATCH,), generator=draw)
        rows = torch.stack([ids[place : place + CONTEXT] for place in places])
        loss = model(rows, labels=rows).loss
        descent.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        descent.step()
        if step % 100 == 0 or step == given.steps - 1:
            print(
                f"step {step}: loss {float(loss.detach()):.3f}, {time.process_time() - began:.0f} processor s",
                flush=True,
            )
    return model.eval()


def questions(draw: random.Random, kinds: tuple[str, ...]) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < PROMPTS:
        topic = draw.choice(sorted(corpus.TOPICS))
        found.setdefault(corpus.exchange(draw, "polite", topic, draw.choice(kinds))[0])
    return list(found)


def concepts(draw: random.Random) -> dict[str, Any]:
    """Replies in each register, beside replies to the same kinds of questions in another one."""
    found = {}
    for name in corpus.REGISTERS:
        others = [other for other in corpus.REGISTERS if other != name]
        pairs = []
        for _ in range(TEXTS):
            topic, intent = draw.choice(sorted(corpus.TOPICS)), draw.choice(SPOKEN)
            pairs.append([
                corpus.exchange(draw, register, topic, intent)[1] for register in (name, draw.choice(others))
            ])  # fmt: skip
        words = sorted(word for word in corpus.MARKERS[name] if word.isalpha())
        found[name] = {"texts": [a for a, _ in pairs], "contrasts": [b for _, b in pairs], "markers": words}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    given = parser.parse_args()
    torch.set_num_threads(1)
    out: Path = given.output
    out.mkdir(parents=True, exist_ok=True)
    texts = said(0, DOCUMENTS)
    tokenizer = tokenizer_of(texts)
    ids = torch.tensor(tokenizer("".join(texts))["input_ids"])
    print(f"{len(ids)} tokens")
    model = trained(ids, len(tokenizer), given)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(out / "model")
    tokenizer.save_pretrained(out / "model")
    draw = random.Random(7)
    rest = tuple(kind for kind in corpus.INTENTS if kind not in SPOKEN)
    (out / "prompts.txt").write_text("\n".join(questions(draw, SPOKEN)) + "\n", encoding="utf-8")
    (out / "kept.txt").write_text("\n".join(questions(draw, rest)) + "\n", encoding="utf-8")
    (out / "concepts.json").write_text(json.dumps(concepts(draw), indent=1), encoding="utf-8")
    (out / "heldout.txt").write_text("\n".join(said(99, 120)), encoding="utf-8")
    print(
        f"el report surgery {out}/model -o {out}/report --concepts {out}/concepts.json --prompts {out}/prompts.txt "
        f"--kept {out}/kept.txt --text {out}/heldout.txt --layer L1,L2"
    )


if __name__ == "__main__":
    main()
