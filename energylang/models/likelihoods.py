"""How likely is a text?  What a model's states, or a change of them, do to the words that follow.

Replies are read behind what was said before them, and many replies have the same said before them: a conversation is
read once, and what all of them begin with once for all, with the keys and values kept for whatever comes behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import takewhile

import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.models.attention import Cache
from energylang.models.beginning import LATER
from energylang.models.behind import Behind
from energylang.models.protocol import NOTHING, Change
from energylang.models.states import QUESTION_PAIRS, decision_rows
from energylang.models.text import TextModel

_QUESTIONS = 16
_TOGETHER = 4  # batches of conversations whose keys and values are kept at once


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
    openings, replies = _texts_behind(model, texts, prompts)
    if torch.is_grad_enabled():
        rows = [opening + reply for opening, reply in zip(openings, replies, strict=True)]
        spans = [(len(o) - 1, len(r)) for o, r in zip(openings, replies, strict=True)]
        found = list(_log_probs(model, rows, spans, change))
    else:
        found = _log_probs_behind(model, openings, replies, change)
    return _averaged(replies, found, len(texts), only)


class Texts:
    """``concept_log_prob`` of the same texts under one change after another, from a ``layer`` on: what lies below it is
    computed once."""

    def __init__(self, model: TextModel, texts: Sequence[str], layer: int, only: int | None = None) -> None:
        self.count, self.only = len(texts), only
        openings, self.replies = _texts_behind(model, texts, None)
        self.behind: Behind | None = None
        if all(len(opening) > 1 for opening in openings):  # a text that fills the context leaves one token
            self.behind = Behind(model, layer, list(zip(openings, self.replies, strict=True)))
        self.whole = partial(concept_log_prob, model, texts, only=only)

    def log_prob(self, change: Change) -> Tensor:
        """(n,): the mean log-probability per token (nats) of each text."""
        if self.behind is None:
            return self.whole(change=change)
        return _averaged(self.replies, self.behind.log_probs(change), self.count, self.only)


def _texts_behind(
    model: TextModel, texts: Sequence[str], prompts: Sequence[str] | None
) -> tuple[list[list[int]], list[list[int]]]:
    """Every text behind every prompt: openings and replies, in token ids."""
    asked = [model.prompt_ids(p) for p in prompts or model.measuring_prompts[: model.sizes.questions]]
    openings, replies = [], []
    for text in texts:
        reply = model.encode(text)[: model.max_length - 1]
        if not reply:
            raise LandscapeError("an empty text has no probability")
        openings += [question[-max(1, model.max_length - len(reply)) :] for question in asked]
        replies += [reply] * len(asked)
    return openings, replies


def _averaged(
    replies: Sequence[Sequence[int]], found: Iterable[Tensor], texts: int, only: int | None
) -> Tensor:
    """(texts,): the mean over the tokens of each reply (those that are ``only``), and over the replies of a text."""
    values = []
    for reply, here in zip(replies, found, strict=True):
        target = torch.tensor(reply, device=here.device)
        values.append((here if only is None else here[target == only]).mean())
    return torch.stack(values).reshape(texts, -1).mean(dim=1)


@torch.no_grad()
def reply_log_prob(
    model: TextModel,
    conversations: Sequence[Sequence[str]],
    replies: Sequence[Sequence[int]],
    change: Change = NOTHING,
) -> Tensor:
    """(n,): log-probability (nats) of each reply (token ids) and the end of its turn, after the turns (user,
    bot, user, …) of its conversation. Dialogue models only."""
    inside = [[*reply, *model.ending][: model.max_length - 1] for reply in replies]
    openings = [
        model.conversation(turns)[-(model.max_length - len(reply)) :]
        for turns, reply in zip(conversations, inside, strict=True)
    ]
    found = _log_probs_behind(model, openings, inside, change)
    return torch.stack([each.sum() for each in found]) if found else torch.zeros(0, device=model.device)


class Openings:
    """Openings (token ids) that were read under a change, ready for replies of at most ``room`` tokens behind them.
    What all of them begin with is read once."""

    def __init__(
        self, model: TextModel, openings: Sequence[Sequence[int]], room: int, change: Change = NOTHING
    ) -> None:
        self.model, self.change = model, change
        self.last = [opening[-1] for opening in openings]
        self.cache = _read_openings(model, openings, room, change)

    def log_probs(self, numbers: Sequence[int], replies: Sequence[Sequence[int]]) -> list[Tensor]:
        """The log-probabilities (nats) of the tokens of each reply, behind the opening of this number."""
        found: list[Tensor] = []
        for first in range(0, len(replies), self.model.batch):
            part = slice(first, first + self.model.batch)
            cache = replace(self.cache)
            cache.keep(torch.tensor(numbers[part], device=self.model.device))
            texts = [[self.last[n], *r] for n, r in zip(numbers[part], replies[part], strict=True)]
            spans = [(0, len(text) - 1) for text in texts]
            found += _log_probs(self.model, texts, spans, self.change, cache)
        return found


def _log_probs_behind(
    model: TextModel, openings: Sequence[Sequence[int]], replies: Sequence[Sequence[int]], change: Change
) -> list[Tensor]:
    """The log-probabilities (nats) of the tokens of each reply behind its opening, both token ids. An opening that
    several replies have is read once."""
    behind: dict[tuple[int, ...], list[int]] = {}
    for row, opening in enumerate(openings):
        behind.setdefault(tuple(opening), []).append(row)
    found: dict[int, Tensor] = {}
    together = _TOGETHER * model.batch
    distinct = list(behind)
    for start in range(0, len(distinct), together):
        part = distinct[start : start + together]
        pairs = [(place, row) for place, opening in enumerate(part) for row in behind[opening]]
        pairs.sort(key=lambda pair: len(replies[pair[1]]))  # rows of like length pad each other little
        read = Openings(model, part, len(replies[pairs[-1][1]]), change)
        rows = [row for _, row in pairs]
        values = read.log_probs([place for place, _ in pairs], [replies[row] for row in rows])
        found |= zip(rows, values, strict=True)
    return [found[row] for row in range(len(replies))]


@torch.no_grad()
def carried(model: TextModel, layer: int, texts: Sequence[str], state: Tensor) -> float:
    """How much of what the texts make the model say next passes through this layer's decision state.

    Where nothing was said yet, the decision state of the layer is replaced by ``state`` (d,). With P the
    mean next-token distribution after the texts, N the neutral one and R the one with the state
    replaced, the answer is ``1 − KL(P‖R)/KL(P‖N)``: 1 when the state carries everything, 0 when nothing.
    """
    after = _next_logs(model, decision_rows(model, texts, QUESTION_PAIRS))
    wanted = after.exp().mean(dim=0)
    if model.dialogue is None:
        rows = [row.tolist() for row in model.choosing_windows(_QUESTIONS)[:, : model.max_length // 2]]
    else:
        rows = [model.conversation([question]) for question in model.choosing_prompts[:_QUESTIONS]]
    place = {layer: _putting(state, [len(row) - 1 for row in rows])}
    before, changed = _next_logs(model, rows), _next_logs(model, rows, Change(state=place))

    def divergence(logs: Tensor) -> float:
        return float((wanted * (wanted.clamp_min(1e-12).log() - logs)).sum(dim=1).mean())

    base = divergence(before)
    return 1 - divergence(changed) / base if base > 0 else 0.0


def _read_openings(model: TextModel, openings: Sequence[Sequence[int]], room: int, change: Change) -> Cache:
    """What openings leave behind, without the last token of each, with ``room`` for as many tokens more. What all
    of them begin with is read once."""
    known = [list(opening[:-1]) for opening in openings]
    common = [ids[0] for ids in takewhile(lambda ids: len(set(ids)) == 1, zip(*known, strict=False))]
    longest = max(len(row) for row in known)
    cache = Cache.empty(1, longest + room, model.device)
    if common:
        _into(model, cache, torch.tensor([common], device=model.device), [len(common)], change)
    cache.keep(torch.zeros(len(known), dtype=torch.int64, device=model.device))
    if longest > len(common):
        padded, lengths, _ = next(model.padded([row[len(common) :] for row in known], len(known)))
        _into(model, cache, padded, lengths, change)
    return cache


def _into(model: TextModel, cache: Cache, tokens: Tensor, lengths: Sequence[int], change: Change) -> None:
    """Read tokens (b, t) of an opening into a cache: rows of these lengths. Its last token comes later, so none of them
    is where a reply begins."""
    ends = cache.lengths + torch.tensor(lengths, device=cache.lengths.device)
    nowhere = torch.zeros_like(tokens, dtype=torch.bool)
    model.run(
        tokens,
        change,
        cache=cache,
        wanted=nowhere,
        read=(),  # all layers keep something
        begins=torch.full_like(ends, LATER),
        lengths=ends,
    )
    cache.lengths = ends


def _log_probs(
    model: TextModel,
    rows: list[list[int]],
    spans: list[tuple[int, int]],
    change: Change,
    cache: Cache | None = None,
) -> Iterator[Tensor]:
    """For each row (n,): the log-probabilities (nats) of its last n tokens, for a span (place of the token before
    them, n). With a ``cache``, rows of one pass that come behind its own."""
    together = None if cache is None else len(rows)
    for padded, lengths, start in model.padded([row[:-1] for row in rows], together):
        part = range(start, start + len(lengths))
        wanted = torch.zeros(padded.shape, dtype=torch.bool)
        for k, (first, count) in enumerate(spans[row] for row in part):
            wanted[k, first : first + count] = True
        targets = torch.tensor([id for row in part for id in rows[row][-spans[row][1] :]])
        missed = model.missed(
            None,
            change,
            targets.to(padded.device),
            tokens=padded,
            cache=cache,
            wanted=wanted.to(padded.device),
            begins=torch.tensor([spans[row][0] + 1 for row in part])
            + (0 if cache is None else cache.lengths),
            lengths=torch.tensor(lengths) + (0 if cache is None else cache.lengths),
        )
        yield from torch.split(-missed, [spans[row][1] for row in part])


def _next_logs(model: TextModel, rows: list[list[int]], change: Change = NOTHING) -> Tensor:
    """(n, v): log-probabilities of what comes after each row; all rows go in one pass when changed."""
    found = []
    for padded, lengths, _ in model.padded(rows, len(rows) if change is not NOTHING else None):
        ends = torch.tensor(lengths)
        wanted = torch.zeros_like(padded, dtype=torch.bool)
        wanted[torch.arange(len(lengths)), ends - 1] = True
        result = model.run(padded, change, wanted=wanted, read=(), begins=ends, lengths=ends)
        found.append(result.logits.float().log_softmax(dim=1))
    return torch.cat(found)


def _putting(state: Tensor, places: Sequence[int]) -> Callable[[Tensor], Tensor]:
    """A change of states (b, t, d) that puts ``state`` (d,) at one place of every row."""

    def put(states: Tensor) -> Tensor:
        changed = states.clone()
        changed[torch.arange(len(places)), torch.tensor(places)] = state.to(states)
        return changed

    return put
