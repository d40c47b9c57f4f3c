"""Sampling: what a model says, token by token, with cached keys and values.

Draws come from the given generator alone, on the CPU, so a seed means the same on every device.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.models.attention import Cache
from energylang.models.beginning import Beginning
from energylang.models.protocol import NOTHING, Change, Pass, Readable, Sample, Start, of_rows, of_weights
from energylang.models.text import TextModel, check_finite

_TOGETHER = 4  # batches of rows that are sampled together
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
    read: Collection[Readable] = (),
    heard: Callable[[str], None] | None = None,
) -> Sample:
    """A sampled continuation; in a dialogue the bot's reply, which ends with its turn.

    ``temp`` > 0 and ``topk`` ≥ 1 (1 is greedy). A function of its arguments and the live weights. The states of the
    layers that are ``read`` are kept; ``heard`` is told every piece of text as it is said.
    """
    return generate_batch(
        model,
        [prompt],
        tokens=tokens,
        temp=temp,
        topk=topk,
        generator=generator,
        change=change,
        read=read,
        heard=heard,
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
    read: Collection[Readable] = (),
    heard: Callable[[str], None] | None = None,
    prepared: Prepared | None = None,
) -> list[Sample]:
    """``generate`` for many prompts at once, in shared passes. They may be ``prepared`` for a change from a layer on;
    then nothing is read."""
    if tokens < 1 or topk < 1 or not 0 < temp < float("inf"):
        raise LandscapeError(
            f"cannot sample with tokens={tokens}, temp={temp}, topk={topk}",
            hint="tokens and topk are at least 1 and temp is above 0",
        )
    ids = [model.prompt_ids(p) for p in prompts]
    if prepared is not None:
        return _sample(model, ids, tokens, temp, topk, [generator], change, (), heard, prepared)
    return _sample_all(model, ids, tokens, temp, topk, generator, change, read, heard)


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
    if model.dialogue is None:
        raise LandscapeError(f"{model.spec} holds no conversations")
    ids = [model.conversation(turns)[-(model.max_length - 1) :] for turns in conversations]
    return _sample_all(model, ids, tokens, temp, topk, generator, change)


@torch.no_grad()
def generate_each(
    model: TextModel,
    prompts: Sequence[str],
    change: Change,
    variants: int,
    layer: int,
    *,
    tokens: int,
    temp: float = 0.8,
    topk: int = 40,
    generators: Sequence[torch.Generator],
) -> list[list[Sample]]:
    """Replies to the prompts under several changes at once: ``change`` has a drive for every row, those of a variant
    together, and acts from ``layer`` on, so that what lies below it is read once. Each variant has a generator."""
    ids = [model.prompt_ids(prompt) for prompt in prompts]
    made: list[list[Sample]] = []
    step = max(1, _TOGETHER * model.batch // max(1, len(ids)))
    prepared = Prepared.of(model, ids, layer, tokens)
    for first in range(0, variants, step):
        last = min(variants, first + step)
        rows = ids * (last - first)
        here = of_rows(change, torch.arange(first * len(ids), last * len(ids)))
        found = _sample(model, rows, tokens, temp, topk, generators[first:last], here, (), None, prepared)
        made += [found[k : k + len(ids)] for k in range(0, len(found), len(ids))]
    return made


@torch.no_grad()
def generate_edited(
    model: TextModel,
    prompts: Sequence[str],
    weight: Tensor,
    left: Tensor,
    right: Tensor,
    prepared: Prepared,
    *,
    tokens: int,
    temp: float = 0.8,
    topk: int = 40,
    generators: Sequence[torch.Generator],
) -> list[list[Sample]]:
    """What ``generate_batch`` says to the prompts under each of m edits of the ``weight`` (d, d) of the layer for which
    they are ``prepared``, ``left`` and ``right`` (m, r, d), in shared passes. Each edit has a generator, and its rows
    leave the passes when they would if they were alone, so the draws are those."""
    ids = [model.prompt_ids(prompt) for prompt in prompts]
    made: list[list[Sample]] = []
    step = max(1, _TOGETHER * model.batch // max(1, len(ids)))
    for first in range(0, len(left), step):
        sides = [side[first : first + step].mT.repeat_interleave(len(ids), 0) for side in (left, right)]
        here = Change(weights={prepared.layer: weight}, edits={prepared.layer: (sides[0], sides[1])})
        drawn = generators[first : first + step]
        rows = ids * len(drawn)
        found = _sample(model, rows, tokens, temp, topk, drawn, here, (), None, prepared, apart=True)
        made += [found[k : k + len(ids)] for k in range(0, len(found), len(ids))]
    return made


def prepare(model: TextModel, prompts: Sequence[str], layer: int, tokens: int) -> Prepared | None:
    """Prompts ready to be answered with so many ``tokens`` under any change from a layer on; ``None`` where they are
    too many for one batch."""
    if not 0 < len(prompts) <= _TOGETHER * model.batch:
        return None
    return Prepared.of(model, [model.prompt_ids(prompt) for prompt in prompts], layer, tokens)


@dataclass(frozen=True, eq=False)
class Prepared:
    """Prompts that were read by the model as it is up to a layer: what enters it, and what lies below in a cache."""

    layer: int
    tokens: Tensor
    stream: Tensor
    lengths: Tensor
    cache: Cache
    beginning: Beginning | None

    @classmethod
    @torch.no_grad()
    def of(cls, model: TextModel, ids: list[list[int]], layer: int, tokens: int) -> Prepared:
        size = min(model.max_length, max(map(len, ids)) + tokens)
        shared, beginning = model.shared(ids), None
        if shared:
            beginning = Beginning.of(model, layer, ids[0][:shared])
            cache = beginning.below(size, len(ids))
        else:
            cache = Cache.empty(len(ids), size, model.device)
        padded, lengths, _ = next(model.padded([row[shared:] for row in ids], len(ids)))
        stream = model.entering(padded, layer, cache)
        whole = torch.tensor(lengths, device=model.device) + shared
        return cls(layer, padded, stream, whole, cache, beginning)

    def read(self, model: TextModel, change: Change, rows: int) -> tuple[Cache, Pass]:
        """The cache and the logits behind the prompts, said ``rows`` / prompts times, under a change from the layer
        on."""
        each = len(self.lengths)
        again = torch.arange(rows, device=model.device) % each
        cache = Cache(
            torch.zeros(rows, dtype=torch.int64, device=model.device),
            self.cache.size,
            {block: pair.index_select(1, again) for block, pair in self.cache.store.items()},
            {block: keys.index_select(0, again) for block, keys in self.cache.own.items()},
        )
        shared = 0
        if self.beginning is not None:
            shared = self.beginning.tokens.shape[1]
            firsts = torch.arange(0, rows, each)
            above = self.beginning.read(model, of_rows(change, firsts), self.cache.size, len(firsts))
            above.keep(torch.arange(rows, device=model.device) // each)
            cache.lengths = above.lengths
            cache.store |= above.store
            cache.own |= above.own
        lengths = self.lengths[again]
        tokens = self.tokens[again]
        wanted = torch.zeros_like(tokens, dtype=torch.bool)
        wanted[torch.arange(rows, device=model.device), lengths - shared - 1] = True
        result = model.run(
            tokens,
            change,
            start=Start(self.layer, self.stream[again]),
            cache=cache,
            wanted=wanted,
            read=(),
            begins=lengths,
            lengths=lengths,
        )
        cache.lengths = lengths.clone()
        return cache, Pass(result.logits[:, None], {})


def _sample_all(
    model: TextModel,
    ids: list[list[int]],
    tokens: int,
    temp: float,
    topk: int,
    generator: torch.Generator,
    change: Change,
    read: Collection[Readable] = (),
    heard: Callable[[str], None] | None = None,
) -> list[Sample]:
    """Continuations of rows of any lengths; ``_TOGETHER`` batches of rows share their passes."""
    made: list[Sample] = []
    for start in range(0, len(ids), _TOGETHER * model.batch):
        part = ids[start : start + _TOGETHER * model.batch]
        made += _sample(model, part, tokens, temp, topk, [generator], change, read, heard)
    return made


def _sample(
    model: TextModel,
    rows: list[list[int]],
    tokens: int,
    temp: float,
    topk: int,
    generators: Sequence[torch.Generator],
    change: Change,
    layers: Collection[Readable],
    heard: Callable[[str], None] | None,
    prepared: Prepared | None = None,
    apart: bool = False,
) -> list[Sample]:
    """Sampling with cached keys and values. Rows that have ended leave the passes by and by. Of several generators each
    belongs to as many rows as the others, those together; ``apart`` lets these leave as if they were alone."""
    rows = [list(row) for row in rows]
    chosen: list[list[int]] = [[] for _ in rows]
    read: list[tuple[list[int], dict[Readable, Tensor]]] = []  # the rows of each step, and their states
    stops = model.tokenizer.stops
    present = list(range(len(rows)))  # which rows the passes hold
    live = set(present)
    begins = torch.tensor([len(row) for row in rows])
    whole = change
    if prepared is None:
        cache, result = _read(model, rows, change, tokens, layers, begins)
    else:
        cache, result = prepared.read(model, change, len(rows))
    for step in range(tokens):
        token = _drawn(model, result.logits[:, -1], temp, topk, generators, present, len(rows))
        read.append((present, {layer: state[:, -1] for layer, state in result.states.items()}))
        for k, id in zip(present, token, strict=True):
            rows[k].append(id)
            if id in stops:
                live.discard(k)
            if k in live:
                chosen[k].append(id)
        if heard is not None and 0 in live:
            _tell(model, chosen[0], heard)
        if not live or step == tokens - 1:
            break
        kept = _going_on(present, live, len(rows) // len(generators) if apart else len(rows))
        if len(kept) < len(present):
            present, token = [present[place] for place in kept], [token[place] for place in kept]
            cache.keep(torch.tensor(kept, device=model.device))
            change = of_rows(whole, torch.tensor(present))
        if max(len(rows[k]) for k in present) > model.max_length:  # forget the older half, read the rest anew
            for k in present:
                rest = rows[k][-max(1, model.max_length // 2) :]
                begins[k] = max(1, int(begins[k]) - len(rows[k]) + len(rest))
                rows[k] = rest
            here = [rows[k] for k in present]
            cache, result = _read(model, here, change, tokens, layers, begins[present])
        else:
            pending = torch.tensor(token, device=model.device)[:, None]
            result = model.run(pending, change, cache=cache, read=layers, begins=begins[present])
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
            texts[k].strip() if model.dialogue else texts[k],
            tuple(chosen[k]),
            {layer: state[k, : len(chosen[k])] for layer, state in states.items()},
        )
        for k in range(len(rows))
    ]


def _going_on(present: Sequence[int], live: Collection[int], each: int) -> list[int]:
    """The places in a pass of the rows that stay: finished ones leave when they are a quarter of those of their group
    of ``each`` rows."""
    groups: dict[int, list[int]] = {}
    for place, row in enumerate(present):
        groups.setdefault(row // each, []).append(place)
    kept: list[int] = []
    for places in groups.values():
        going = [place for place in places if present[place] in live]
        kept += going if len(going) <= _PRESENT * len(places) else places
    return kept


def _drawn(
    model: TextModel,
    logits: Tensor,
    temp: float,
    topk: int,
    generators: Sequence[torch.Generator],
    present: list[int],
    rows: int,
) -> list[int]:
    """A token for each of the rows that are present, with the generator that each belongs to."""
    if len(generators) == 1:
        return _draw(model, logits, temp, topk, generators[0])
    each = rows // len(generators)
    found: list[int] = []
    for k, generator in enumerate(generators):
        places = [place for place, row in enumerate(present) if row // each == k]
        if places:
            found += _draw(model, logits[places], temp, topk, generator)
    return found


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


def _tell(model: TextModel, ids: list[int], heard: Callable[[str], None]) -> None:
    """What the last token added to the text; nothing yet where it ends inside a character."""
    before, now = model.decode(ids[:-1]), model.decode(ids)
    if not now.endswith("�"):
        heard(now[len(before.rstrip("�")) :])


def _read(
    model: TextModel,
    rows: list[list[int]],
    change: Change,
    tokens: int,
    layers: Collection[Readable],
    begins: Tensor,
) -> tuple[Cache, Pass]:
    """Pass prompts of unequal lengths: the cache, with room for ``tokens`` more, and what the pass gave at the last
    token of each. Prompts that are the same are read once."""
    if of_weights(change):
        keys = [(tuple(row), begin) for row, begin in zip(rows, begins.tolist(), strict=True)]
        place = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        if len(place) < len(rows):
            again = torch.tensor([place[key] for key in keys], device=model.device)
            first = torch.tensor([begin for _, begin in place])
            cache, found = _read(model, [list(row) for row, _ in place], change, tokens, layers, first)
            cache.keep(again)
            states = {layer: state[again] for layer, state in found.states.items()}
            return cache, Pass(found.logits[again], states)
    longest = max(len(row) for row in rows)
    size = min(model.max_length, longest + tokens)
    shared = model.shared(rows) if of_weights(change) else 0
    if shared:
        cache = Cache.empty(1, size, model.device)
        model.run(
            torch.tensor([rows[0][:shared]], device=model.device),
            change,
            cache=cache,
            wanted=torch.zeros(1, shared, dtype=torch.bool, device=model.device),
            read=(),  # all layers keep something
        )
        cache.lengths += shared
        cache.keep(torch.zeros(len(rows), dtype=torch.int64, device=model.device))
    else:
        cache = Cache.empty(len(rows), size, model.device)
    padded, lengths, _ = next(model.padded([row[shared:] for row in rows], len(rows)))
    ends = torch.tensor(lengths, device=cache.lengths.device)
    last = (torch.arange(len(rows)), torch.tensor(lengths) - 1)
    wanted = torch.zeros_like(padded, dtype=torch.bool)
    wanted[last] = True
    whole = ends + shared
    result = model.run(padded, change, cache=cache, wanted=wanted, read=layers, begins=begins, lengths=whole)
    cache.lengths = whole.clone()
    return cache, Pass(
        result.logits[:, None], {layer: state[last][:, None] for layer, state in result.states.items()}
    )
