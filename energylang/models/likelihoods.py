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
from energylang.models.protocol import Intervention
from energylang.models.states import BATCH, QUESTION_PAIRS, States

_QUESTIONS = 16
_CONVERSATIONS = 4 * BATCH  # whose keys and values are kept at once


class Likelihoods(States):
    """The part of a ``TextModel`` that tells how likely texts are; see the module's text."""

    def concept_log_prob(
        self,
        texts: Sequence[str],
        prompts: Sequence[str] | None = None,
        *,
        intervention: Intervention | None = None,
        only: int | None = None,
    ) -> Tensor:
        """(n,): mean log-probability per token (nats) of each text as the reply to neutral prompts, or,
        in a plain-text model, as what follows neutral passages; averaged over the prompts.

        With ``only`` the tokens of that id alone count. Gradients flow to ``intervention``.
        """
        asked = [self.prompt_ids(p) for p in prompts or self.measuring_prompts[:_QUESTIONS]]
        rows, spans = [], []
        for text in texts:
            reply = self.encode(text)[: self.max_length - 1]
            if not reply:
                raise LandscapeError("an empty text has no probability")
            for question in asked:
                kept = question[-max(1, self.max_length - len(reply)) :]
                rows.append(kept + reply)
                spans.append((len(kept) - 1, len(reply)))
        values = []
        for row, found in zip(rows, self._log_probs(rows, spans, intervention), strict=True):
            target = torch.tensor(row[-len(found) :], device=found.device)
            values.append((found if only is None else found[target == only]).mean())
        return torch.stack(values).reshape(len(texts), len(asked)).mean(dim=1)

    @torch.no_grad()
    def reply_log_prob(
        self,
        conversations: Sequence[Sequence[str]],
        replies: Sequence[Sequence[int]],
        intervention: Intervention | None = None,
    ) -> Tensor:
        """(n,): log-probability (nats) of each reply (token ids) and the end of its turn, after the turns (user,
        bot, user, …) of its conversation. Dialogue models only."""
        inside: list[list[int]] = []
        rows_behind: dict[tuple[int, ...], list[int]] = {}
        for row, (turns, reply) in enumerate(zip(conversations, replies, strict=True)):
            inside.append([*reply, self.encode("\n")[-1]][: self.max_length - 1])
            opening = self._conversation(turns)[-(self.max_length - len(inside[row])) :]
            rows_behind.setdefault(tuple(opening), []).append(row)
        sums = torch.zeros(len(inside), device=self._model.device)
        openings = list(rows_behind)
        for start in range(0, len(openings), _CONVERSATIONS):
            part = openings[start : start + _CONVERSATIONS]
            pairs = [(place, row) for place, opening in enumerate(part) for row in rows_behind[opening]]
            pairs.sort(key=lambda pair: len(inside[pair[1]]))  # rows of like length pad each other little
            read = self._read_openings(part, len(inside[pairs[-1][1]]), intervention)
            for first in range(0, len(pairs), BATCH):
                places, rows = zip(*pairs[first : first + BATCH], strict=True)
                cache = replace(read)
                cache.keep(torch.tensor(places, device=self._model.device))
                texts = [[part[place][-1], *inside[row]] for place, row in zip(places, rows, strict=True)]
                spans = [(0, len(text) - 1) for text in texts]
                found = self._log_probs(texts, spans, intervention, cache)
                sums[list(rows)] = torch.stack([values.sum() for values in found]).to(sums)
        return sums

    @torch.no_grad()
    def carried(self, layer: int, texts: Sequence[str], state: Tensor) -> float:
        """How much of what the texts make the model say next passes through this layer's decision state.

        Where nothing was said yet, the decision state of the layer is replaced by ``state`` (d,). With P the
        mean next-token distribution after the texts, N the neutral one and R the one with the state
        replaced, the answer is ``1 − KL(P‖R)/KL(P‖N)``: 1 when the state carries everything, 0 when nothing.
        """
        after = self._next_logs(self._decision_rows(texts, QUESTION_PAIRS))
        wanted = after.exp().mean(dim=0)
        if self.markers is None:
            rows = [row.tolist() for row in self.choosing_windows(_QUESTIONS)[:, : self.max_length // 2]]
        else:
            rows = [self._conversation([question]) for question in self.choosing_prompts[:_QUESTIONS]]
        place = {layer: _putting(state, [len(row) - 1 for row in rows])}
        before, changed = self._next_logs(rows), self._next_logs(rows, Intervention(state=place))

        def divergence(logs: Tensor) -> float:
            return float((wanted * (wanted.clamp_min(1e-12).log() - logs)).sum(dim=1).mean())

        base = divergence(before)
        return 1 - divergence(changed) / base if base > 0 else 0.0

    # ------------------------------------------------------------------------------- helpers

    def _read_openings(
        self, openings: Sequence[tuple[int, ...]], room: int, intervention: Intervention | None
    ) -> Cache:
        """What openings leave behind, without the last token of each, with ``room`` for as many tokens more. What all
        of them begin with is read once."""
        known = [list(opening[:-1]) for opening in openings]
        common = [ids[0] for ids in takewhile(lambda ids: len(set(ids)) == 1, zip(*known, strict=False))]
        longest = max(len(row) for row in known)
        cache = Cache.empty(1, longest + room, self._model.device)
        if common:
            self._pass(torch.tensor([common], device=self._model.device), intervention, cache)
            cache.lengths += len(common)
        cache.keep(torch.zeros(len(known), dtype=torch.int64, device=self._model.device))
        if longest > len(common):
            padded, lengths, _ = next(self._padded([row[len(common) :] for row in known], len(known)))
            self._pass(padded, intervention, cache)
            cache.lengths += torch.tensor(lengths, device=cache.lengths.device)
        return cache

    def _log_probs(
        self,
        rows: list[list[int]],
        spans: list[tuple[int, int]],
        intervention: Intervention | None,
        cache: Cache | None = None,
    ) -> Iterator[Tensor]:
        """For each row (n,): the log-probabilities (nats) of its last n tokens, for a span (place of the token before
        them, n). With a ``cache``, rows of one pass that come behind its own."""
        for padded, lengths, start in self._padded([row[:-1] for row in rows]):
            part = range(start, start + len(lengths))
            wanted = torch.zeros(padded.shape, dtype=torch.bool)
            for k, (first, count) in enumerate(spans[row] for row in part):
                wanted[k, first : first + count] = True
            targets = torch.tensor([id for row in part for id in rows[row][-spans[row][1] :]])
            logits = self._pass(padded, intervention, cache, wanted.to(padded.device)).logits.float()
            chosen = logits.gather(1, targets.to(logits.device)[:, None])[:, 0] - logits.logsumexp(dim=1)
            yield from torch.split(chosen, [spans[row][1] for row in part])

    def _next_logs(self, rows: list[list[int]], intervention: Intervention | None = None) -> Tensor:
        """(n, v): log-probabilities of what comes after each row; all rows go in one pass when changed."""
        found = []
        for padded, lengths, _ in self._padded(rows, len(rows) if intervention else BATCH):
            logits = self._pass(padded, intervention).logits.float()
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
