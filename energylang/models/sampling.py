"""Sampling: what a model says, token by token, with cached keys and values.

Draws come from the given generator alone, on the CPU, so a seed means the same on every device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.models.attention import Cache
from energylang.models.protocol import NOTHING, Change, Pass, Sample
from energylang.models.text import TextModel, check_finite

_TOGETHER = 256  # rows that are sampled together
_PRESENT = 0.75  # share of unfinished rows at which the finished ones leave


def generate(
    model: TextModel,
    prompt: str,
    *,
    tokens: int = 50,
    temp: float = 0.8,
    topk: int = 40,
    generator: torch.Generator,
    change: Change = NOTHING,
) -> Sample:
    """A sampled continuation; in a dialogue the bot's reply, which ends with its turn.

    ``temp`` > 0 and ``topk`` ≥ 1 (1 is greedy). A function of its arguments and the live weights.
    """
    return generate_batch(
        model, [prompt], tokens=tokens, temp=temp, topk=topk, generator=generator, change=change
    )[0]


@torch.no_grad()
def generate_batch(
    model: TextModel,
    prompts: Sequence[str],
    *,
    tokens: int = 50,
    temp: float = 0.8,
    topk: int = 40,
    generator: torch.Generator,
    change: Change = NOTHING,
) -> list[Sample]:
    """``generate`` for many prompts at once, in shared passes."""
    if tokens < 1 or topk < 1 or not 0 < temp < float("inf"):
        raise LandscapeError(
            f"cannot sample with tokens={tokens}, temp={temp}, topk={topk}",
            hint="tokens and topk are at least 1 and temp is above 0",
        )
    ids = [model.prompt_ids(p) for p in prompts]
    return _sample_all(model, ids, tokens, temp, topk, generator, change)


@torch.no_grad()
def replies(
    model: TextModel,
    conversations: Sequence[Sequence[str]],
    *,
    tokens: int = 50,
    temp: float = 1.0,
    topk: int = 2**20,
    generator: torch.Generator,
    change: Change = NOTHING,
) -> list[Sample]:
    """The bot's next turn after each list of turns (user, bot, user, …), drawn from the model's own
    distribution unless ``temp`` or ``topk`` narrow it. Dialogue models only."""
    if model.markers is None:
        raise LandscapeError(f"{model.spec} holds no conversations")
    ids = [model.conversation(turns)[-(model.max_length - 1) :] for turns in conversations]
    return _sample_all(model, ids, tokens, temp, topk, generator, change)


def line_end(model: TextModel) -> int:
    """The token that ends a turn."""
    return model.encode("\n")[-1]


def _sample_all(
    model: TextModel,
    ids: list[list[int]],
    tokens: int,
    temp: float,
    topk: int,
    generator: torch.Generator,
    change: Change,
) -> list[Sample]:
    """Continuations of rows of any lengths; ``_TOGETHER`` rows share their passes."""
    made: list[Sample] = []
    for start in range(0, len(ids), _TOGETHER):
        part = ids[start : start + _TOGETHER]
        made += _sample(model, part, tokens, temp, topk, generator, change)
    return made


def _sample(
    model: TextModel,
    rows: list[list[int]],
    tokens: int,
    temp: float,
    topk: int,
    generator: torch.Generator,
    change: Change,
) -> list[Sample]:
    """Sampling with cached keys and values. Rows that have ended leave the passes by and by."""
    rows = [list(row) for row in rows]
    chosen: list[list[int]] = [[] for _ in rows]
    read: list[tuple[list[int], dict[int, Tensor]]] = []  # the rows of each step, and their states
    stops = set(range(len(model.tokenizer.specials)))
    present = list(range(len(rows)))  # which rows the passes hold
    live = set(present)
    cache, result = _read(model, rows, change)
    for step in range(tokens):
        token = _draw(model, result.logits[:, -1], temp, topk, generator)
        read.append((present, {layer: state[:, -1] for layer, state in result.states.items()}))
        for k, id in zip(present, token, strict=True):
            rows[k].append(id)
            if id in stops:
                live.discard(k)
            if k in live:
                chosen[k].append(id)
        if not live or step == tokens - 1:
            break
        if len(live) <= _PRESENT * len(present):
            kept = [place for place, k in enumerate(present) if k in live]
            present, token = [present[place] for place in kept], [token[place] for place in kept]
            cache.keep(torch.tensor(kept, device=model.device))
        if max(len(rows[k]) for k in present) > model.max_length:  # forget the older half, read the rest anew
            for k in present:
                rows[k] = rows[k][-max(1, model.max_length // 2) :]
            cache, result = _read(model, [rows[k] for k in present], change)
        else:
            pending = torch.tensor(token, device=model.device)[:, None]
            result = model.run(pending, change, cache=cache)
            cache.lengths += 1
    states = {
        layer: state.new_zeros(len(rows), len(read), state.shape[1]) for layer, state in read[0][1].items()
    }
    for step, (those, found) in enumerate(read):
        for layer, state in found.items():
            states[layer][those, step] = state
    texts = [model.decode(ids) for ids in chosen]
    return [
        Sample(
            texts[k].strip() if model.markers else texts[k],
            tuple(chosen[k]),
            {layer: state[k, : len(chosen[k])] for layer, state in states.items()},
        )
        for k in range(len(rows))
    ]


def _draw(model: TextModel, logits: Tensor, temp: float, topk: int, generator: torch.Generator) -> list[int]:
    """A token for each row of logits (b, v)."""
    logits = logits.float().cpu() / temp
    check_finite(logits, "logits")
    if model.tokenizer.unknown is not None:
        logits[:, model.tokenizer.unknown] = -float("inf")
    if topk >= logits.shape[1]:
        return torch.multinomial(logits.softmax(dim=1), 1, generator=generator)[:, 0].tolist()
    best = logits.topk(topk, dim=1)
    draw = torch.multinomial(best.values.softmax(dim=1), 1, generator=generator)
    return best.indices.gather(1, draw)[:, 0].tolist()


def _read(model: TextModel, rows: list[list[int]], change: Change) -> tuple[Cache, Pass]:
    """Pass prompts of unequal lengths: the cache, and what the pass gave at the last token of each."""
    cache = Cache.empty(len(rows), model.max_length, model.device)
    padded, lengths, _ = next(model.padded(rows, len(rows)))
    result = model.run(padded, change, cache=cache)
    cache.lengths += torch.tensor(lengths, device=cache.lengths.device)
    last = (torch.arange(len(rows)), torch.tensor(lengths) - 1)
    return cache, Pass(
        result.logits[last][:, None], {layer: state[last][:, None] for layer, state in result.states.items()}
    )
