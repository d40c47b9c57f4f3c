"""How likely is a text?  What a model's states, or a change of them, do to the words that follow.

Replies are read behind what was said before them, and many replies have the same said before them: a conversation is
read once, and what all of them begin with once for all, with the keys and values kept for whatever comes behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile

import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.models.attention import Cache
from energylang.models.protocol import NOTHING, Change
from energylang.models.states import QUESTION_PAIRS, decision_rows
from energylang.models.text import BATCH, TextModel

_QUESTIONS = 16
_CONVERSATIONS = 4 * BATCH  # whose keys and values are kept at once


def concept_log_prob(
    model: TextModel,
    texts: Sequence[str],
    prompts: Sequence[str] | None = None,
    *,
    change: Change = NOTHING,
    only: int | None = None,
) -> Tensor:
    """(n,): mean log-probability per token (nats) of each text as the reply to neutral prompts, or,
    in a plain-text model, as what follows neutral passages; averaged over the prompts.

    With ``only`` the tokens of that id alone count. Gradients flow to ``change``.
    """
    asked = [model.prompt_ids(p) for p in prompts or model.measuring_prompts[:_QUESTIONS]]
    rows, spans = [], []
    for text in texts:
        reply = model.encode(text)[: model.max_length - 1]
        if not reply:
            raise LandscapeError("an empty text has no probability")
        for question in asked:
            kept = question[-max(1, model.max_length - len(reply)) :]
            rows.append(kept + reply)
            spans.append((len(kept) - 1, len(reply)))
    values = []
    for row, found in zip(rows, _log_probs(model, rows, spans, change), strict=True):
        target = torch.tensor(row[-len(found) :], device=found.device)
        values.append((found if only is None else found[target == only]).mean())
    return torch.stack(values).reshape(len(texts), len(asked)).mean(dim=1)


@torch.no_grad()
def reply_log_prob(
    model: TextModel,
    conversations: Sequence[Sequence[str]],
    replies: Sequence[Sequence[int]],
    change: Change = NOTHING,
) -> Tensor:
    """(n,): log-probability (nats) of each reply (token ids) and the end of its turn, after the turns (user,
    bot, user, …) of its conversation. Dialogue models only."""
    inside: list[list[int]] = []
    rows_behind: dict[tuple[int, ...], list[int]] = {}
    for row, (turns, reply) in enumerate(zip(conversations, replies, strict=True)):
        inside.append([*reply, model.encode("\n")[-1]][: model.max_length - 1])
        opening = model.conversation(turns)[-(model.max_length - len(inside[row])) :]
        rows_behind.setdefault(tuple(opening), []).append(row)
    sums = torch.zeros(len(inside), device=model.device)
    openings = list(rows_behind)
    for start in range(0, len(openings), _CONVERSATIONS):
        part = openings[start : start + _CONVERSATIONS]
        pairs = [(place, row) for place, opening in enumerate(part) for row in rows_behind[opening]]
        pairs.sort(key=lambda pair: len(inside[pair[1]]))  # rows of like length pad each other little
        read = _read_openings(model, part, len(inside[pairs[-1][1]]), change)
        for first in range(0, len(pairs), BATCH):
            places, rows = zip(*pairs[first : first + BATCH], strict=True)
            cache = replace(read)
            cache.keep(torch.tensor(places, device=model.device))
            texts = [[part[place][-1], *inside[row]] for place, row in zip(places, rows, strict=True)]
            spans = [(0, len(text) - 1) for text in texts]
            found = _log_probs(model, texts, spans, change, cache)
            sums[list(rows)] = torch.stack([values.sum() for values in found]).to(sums)
    return sums


@torch.no_grad()
def carried(model: TextModel, layer: int, texts: Sequence[str], state: Tensor) -> float:
    """How much of what the texts make the model say next passes through this layer's decision state.

    Where nothing was said yet, the decision state of the layer is replaced by ``state`` (d,). With P the
    mean next-token distribution after the texts, N the neutral one and R the one with the state
    replaced, the answer is ``1 − KL(P‖R)/KL(P‖N)``: 1 when the state carries everything, 0 when nothing.
    """
    after = _next_logs(model, decision_rows(model, texts, QUESTION_PAIRS))
    wanted = after.exp().mean(dim=0)
    if model.markers is None:
        rows = [row.tolist() for row in model.choosing_windows(_QUESTIONS)[:, : model.max_length // 2]]
    else:
        rows = [model.conversation([question]) for question in model.choosing_prompts[:_QUESTIONS]]
    place = {layer: _putting(state, [len(row) - 1 for row in rows])}
    before, changed = _next_logs(model, rows), _next_logs(model, rows, Change(state=place))

    def divergence(logs: Tensor) -> float:
        return float((wanted * (wanted.clamp_min(1e-12).log() - logs)).sum(dim=1).mean())

    base = divergence(before)
    return 1 - divergence(changed) / base if base > 0 else 0.0


def _read_openings(model: TextModel, openings: Sequence[tuple[int, ...]], room: int, change: Change) -> Cache:
    """What openings leave behind, without the last token of each, with ``room`` for as many tokens more. What all
    of them begin with is read once."""
    known = [list(opening[:-1]) for opening in openings]
    common = [ids[0] for ids in takewhile(lambda ids: len(set(ids)) == 1, zip(*known, strict=False))]
    longest = max(len(row) for row in known)
    cache = Cache.empty(1, longest + room, model.device)
    if common:
        model.run(torch.tensor([common], device=model.device), change, cache=cache)
        cache.lengths += len(common)
    cache.keep(torch.zeros(len(known), dtype=torch.int64, device=model.device))
    if longest > len(common):
        padded, lengths, _ = next(model.padded([row[len(common) :] for row in known], len(known)))
        model.run(padded, change, cache=cache)
        cache.lengths += torch.tensor(lengths, device=cache.lengths.device)
    return cache


def _log_probs(
    model: TextModel,
    rows: list[list[int]],
    spans: list[tuple[int, int]],
    change: Change,
    cache: Cache | None = None,
) -> Iterator[Tensor]:
    """For each row (n,): the log-probabilities (nats) of its last n tokens, for a span (place of the token before
    them, n). With a ``cache``, rows of one pass that come behind its own."""
    for padded, lengths, start in model.padded([row[:-1] for row in rows]):
        part = range(start, start + len(lengths))
        wanted = torch.zeros(padded.shape, dtype=torch.bool)
        for k, (first, count) in enumerate(spans[row] for row in part):
            wanted[k, first : first + count] = True
        targets = torch.tensor([id for row in part for id in rows[row][-spans[row][1] :]])
        logits = model.run(padded, change, cache=cache, wanted=wanted.to(padded.device)).logits.float()
        chosen = logits.gather(1, targets.to(logits.device)[:, None])[:, 0] - logits.logsumexp(dim=1)
        yield from torch.split(chosen, [spans[row][1] for row in part])


def _next_logs(model: TextModel, rows: list[list[int]], change: Change = NOTHING) -> Tensor:
    """(n, v): log-probabilities of what comes after each row; all rows go in one pass when changed."""
    found = []
    for padded, lengths, _ in model.padded(rows, len(rows) if change is not NOTHING else BATCH):
        logits = model.run(padded, change).logits.float()
        last = logits[torch.arange(len(lengths)), torch.tensor(lengths) - 1]
        found.append(last.log_softmax(dim=1))
    return torch.cat(found)


def _putting(state: Tensor, places: Sequence[int]) -> Callable[[Tensor], Tensor]:
    """A change of states (b, t, d) that puts ``state`` (d,) at one place of every row."""

    def put(states: Tensor) -> Tensor:
        changed = states.clone()
        changed[torch.arange(len(places)), torch.tensor(places)] = state.to(states)
        return changed

    return put
