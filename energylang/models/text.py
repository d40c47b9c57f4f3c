"""A model that reads and writes text: tokens in, logits and settled states out.

Tokens, prompts, windows and passes; where a text's *state* is read is the matter of ``energylang.models.states``, how
likely texts are that of ``energylang.models.likelihoods``, how they are sampled that of ``energylang.models.sampling``.

All passes read the live weights of the model; a ``Change`` changes one pass only. Sequences of
unequal length are padded on the right, which a causal model does not see. Sampling draws from the
given generator alone, on the CPU, so a seed means the same on every device.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from energylang.errors import LandscapeError
from energylang.models.attention import Cache
from energylang.models.dialogue import Dialogue
from energylang.models.protocol import NOTHING, Change, Network, Pass, Readable, Settled, Start
from energylang.models.splice import Spliced, spliced, streams, with_settled

BATCH = 64  # sequences per pass
READ = 3072  # tokens by which basins are read, in whole windows


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is read to measure something: ``questions`` before each text of a concept, ``prompts`` answered with
    ``reply`` tokens at most, ``windows`` of held-out text, ``judged`` of them by which the dose of an edit is judged,
    ``own`` replies that say how the model speaks by itself, and ``kept`` of them that an edit of the memory is to leave
    alone."""

    questions: int = 16
    prompts: int = 64
    reply: int = 24
    windows: int = 96
    judged: int = 96
    own: int = 512
    kept: int = 80


class Vocabulary(Protocol):
    """What a text model asks of its tokenizer. ``size`` counts tokens, ``unknown`` is the id of what it cannot write
    (or None), ``stops`` the ids at which writing ends."""

    size: int

    @property
    def unknown(self) -> int | None: ...
    @property
    def stops(self) -> frozenset[int]: ...
    def encode(self, text: str) -> list[int]: ...
    def decode(self, ids: Sequence[int]) -> str: ...
    def piece(self, token_id: int) -> str: ...


_UNLIKE = ("a", "Z", "7")  # questions that have nothing in common
_WORTH = 8  # tokens that are worth a pass of their own


class TextModel:
    """The text side of a ``Model``. Without ``dialogue`` it is a plain-text model.

    ``heldout`` (n,) are tokens that no training step saw; ``neutral_prompts`` first turns (or, for plain text,
    passages) that favour no concept; ``other_prompts`` first turns of other kinds, by which nothing is measured;
    ``kept_prompts`` such to which an edit is to leave the replies as they are (questions of fact, instructions);
    ``opening`` what every text begins with (a token for its beginning, where the model wants one). ``max_length`` is
    how many tokens it reads at once, ``window`` how many it is measured by; ``batch`` sequences share a pass, of at
    most ``room`` tokens with what pads them (the logits of many tokens and a large vocabulary take much memory).
    ``spoken_at`` is where concepts are read unless something else is asked for (see ``states``), ``sizes`` how much is
    read to measure.
    """

    def __init__(
        self,
        live: dict[str, Tensor],
        extra: dict[str, Tensor],
        spec: str,
        layers: int,
        network: Network,
        config: Any,
        tokenizer: Vocabulary,
        *,
        dialogue: Dialogue | None = None,
        neutral_prompts: Sequence[str] = (),
        other_prompts: Sequence[str] = (),
        kept_prompts: Sequence[str] = (),
        opening: Sequence[int] = (),
        window: int | None = None,
        batch: int = BATCH,
        room: int | None = None,
        spoken_at: str = "decision",
        sizes: Sizes | None = None,
    ) -> None:
        self.live = live
        self.extra = extra
        self.spec = spec
        self.network = network
        self.layers = layers
        self.config = config
        self.tokenizer = tokenizer
        self.dialogue = dialogue
        self.neutral_prompts: tuple[str, ...] = tuple(neutral_prompts)
        self.other_prompts: tuple[str, ...] = tuple(other_prompts)
        self._kept_prompts: tuple[str, ...] = tuple(kept_prompts)
        self.opening = list(opening)
        self.max_length: int = config.context
        self.window = min(window or self.max_length, self.max_length)
        self.batch = batch
        self.room = room
        self.spoken_at = spoken_at
        self.sizes = sizes or Sizes()
        self.landscapes: dict[int, Spliced] = {}  # those that were fitted, by layer

        self._own_prompts = self.neutral_prompts
        self._other: tuple[str, Tensor] | None = None  # held-out text to be measured by instead of its own

    def measured_by(self, prompts: Sequence[str], text: str, kept: Sequence[str] = ()) -> None:
        """Be measured by other neutral prompts and another held-out text; where they are empty, by its own. ``kept``
        are other prompts to which replies are to stay as they are."""
        self.neutral_prompts = tuple(prompts) or self._own_prompts
        self._kept_prompts = tuple(kept) or self._kept_prompts
        if not text:
            self._other = None
        elif self._other is None or self._other[0] != text:
            self._other = (text, torch.tensor(self.encode(text), dtype=torch.int64))

    @property
    def device(self) -> torch.device:
        return next(iter(self.live.values())).device

    @property
    def heldout(self) -> Tensor | None:
        """(n,) int64 tokens that training did not see, or None."""
        tokens = self.extra.get("heldout") if self._other is None else self._other[1]
        return None if tokens is None else tokens.to(self.device, torch.int64)

    @property
    def corpora(self) -> dict[str, Tensor]:
        """The held-out texts, (n,) int64 tokens by name: what the model came with, and another where one was given."""
        found = {"held-out text": self.extra.get("heldout")}
        if self._other is not None:
            found["the given held-out text"] = self._other[1]
        return {
            name: tokens.to(self.device, torch.int64)
            for name, tokens in found.items()
            if tokens is not None and len(tokens) > 1
        }

    # -------------------------------------------------------------------------------- tokens

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text``."""
        return self.tokenizer.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids."""
        return self.tokenizer.decode(ids)

    def token(self, token_id: int) -> str:
        """One token as it looks on its own."""
        return self.tokenizer.piece(token_id)

    def windows(self, limit: int | None = None, tokens: Tensor | None = None) -> Tensor:
        """(n, window + 1) consecutive windows of ``tokens`` (the held-out text without it)."""
        source = self.heldout_tokens() if tokens is None else tokens.to(self.device, torch.int64)
        step = self.window - len(self.opening)
        count = (len(source) - 1) // step
        if count < 1:
            length = max(2, len(source))
            found = source.reshape(1, -1) if len(source) >= 2 else source.new_zeros(0, length)
        else:
            count = min(count, limit or count)
            found = source[: count * step + 1].unfold(0, step + 1, step)
        if not self.opening:
            return found
        return torch.cat([source.new_tensor([self.opening]).expand(len(found), -1), found], dim=1)

    # -------------------------------------------------------------------------------- passes

    def forward(
        self, tokens: Tensor, *, change: Change = NOTHING, read: Collection[Readable] | None = None
    ) -> Pass:
        """(b, t) -> logits (b, t, v) and per layer (that is ``read``) x_K (b, t, d), with the live weights.

        Gradients flow (to ``change``); wrap in ``torch.no_grad()`` when they are not wanted.
        """
        self._check(tokens)
        return self.run(tokens, change, read=read)

    def _check(self, tokens: Tensor) -> None:
        """Raise ``LandscapeError`` for tokens that the model cannot read."""
        if tokens.dim() != 2 or not 1 <= tokens.shape[1] <= self.max_length:
            raise LandscapeError(
                f"the model reads (batch, 1 to {self.max_length}) tokens, not {list(tokens.shape)}"
            )
        if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < self.tokenizer.size:
            raise LandscapeError(f"a token is outside the vocabulary of {self.tokenizer.size}")

    def run(
        self,
        tokens: Tensor | None,
        change: Change = NOTHING,
        *,
        start: Start | None = None,
        cache: Cache | None = None,
        wanted: Tensor | None = None,
        read: Collection[Readable] | None = None,
        begins: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> Pass:
        """A pass with the live weights, its tokens unchecked (see ``protocol.Network``).

        ``begins`` (b,) says where the reply of each row begins (counted from its first token), ``lengths`` (b,) how
        long it is without what pads it: a change that acts at some positions only asks for them.
        """
        given = tokens if tokens is not None else start.stream if start is not None else None
        assert given is not None
        before = None if cache is None else cache.lengths
        change = self.placed(change, given, before=before, begins=begins, lengths=lengths)
        change, kept = spliced(change, self.landscapes, read)
        found = self.network.run(
            self.live,
            self.config,
            tokens,
            change,
            start=start,
            cache=cache,
            wanted=wanted,
            read=streams(read),
        )
        return with_settled(found, kept, read)

    def placed(
        self,
        change: Change,
        given: Tensor,
        *,
        before: Tensor | None = None,
        begins: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> Change:
        """The change as it acts on tokens (b, t), or on a stream (b, t, m) without them, that stand behind ``before``
        (b,) others: with the mask of its positions, which its tallies count."""
        every = (change, *change.also)
        if all(each.where is None and each.tally is None for each in every):
            return change
        rows, count = given.shape[:2]
        if before is None:
            before = torch.zeros(rows, dtype=torch.int64, device=given.device)
        places = before[:, None] + torch.arange(count, device=given.device)
        whole = before + count if lengths is None else lengths.to(given.device)
        begins = None if begins is None else begins.to(given.device)
        real = places < whole[:, None]
        tokens = given if given.dim() == 2 else None
        found = []
        for each in every:
            mask = real if each.where is None else each.where.mask(tokens, places, begins, whole) & real
            if each.tally is not None:
                each.tally.touched += int(mask.sum())
                each.tally.seen += int(real.sum())
            found.append(each if each.where is None else replace(each, mask=mask))
        return replace(found[0], also=tuple(found[1:]))

    def entering(self, tokens: Tensor, layer: int, cache: Cache | None = None) -> Tensor:
        """(b, t) -> (b, t, m): what enters a layer. Passes that differ from this layer on only can ``start`` here.
        With a ``cache`` the tokens come behind its own."""
        change, _ = spliced(NOTHING, self.landscapes, None)
        if change is NOTHING:
            return self.network.entering(self.live, self.config, tokens, layer, cache)
        return self.network.entering(self.live, self.config, tokens, layer, cache, change)

    def starting(self, layer: int, stream: Tensor) -> Start:
        """Where passes from a layer on begin, for the stream (b, t, m) that enters it, with all that does not depend on
        the layer's weight."""
        driven = getattr(self.network, "driven", None)
        drive = None if driven is None else driven(self.live, self.config, layer, stream)
        return Start(layer, stream, drive)

    def missed(
        self,
        start: Start | None,
        change: Change,
        goal: Tensor,
        rows: Tensor | None = None,
        *,
        tokens: Tensor | None = None,
        cache: Cache | None = None,
        wanted: Tensor | None = None,
        begins: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> Tensor:
        """(b, t): the cross-entropy (nats) of what a pass from a start on predicts at each place with its ``goal``:
        token ids (b·t,), or probabilities (k, v) of which the row ``rows`` (b·t,) is meant. Gradients flow to the
        change. The ``tokens`` (b, t) are what is read without a start; with one, a change that acts at some of them
        asks for them. With places that are ``wanted`` (b, t) the goal and the result are those of the n of them; the
        rest is as in ``run``."""
        found = getattr(self.network, "missed", None)
        if found is not None and not (self.landscapes or change.landscapes or change.basins):
            given = tokens if tokens is not None else start.stream if start is not None else None
            assert given is not None
            before = None if cache is None else cache.lengths
            change = self.placed(change, given, before=before, begins=begins, lengths=lengths)
            there: Tensor = found(self.live, self.config, tokens, change, start, goal, rows, cache, wanted)
            return there
        found = self.run(
            tokens, change, start=start, cache=cache, wanted=wanted, read=(), begins=begins, lengths=lengths
        )
        logits = found.logits.float()
        if wanted is not None and goal.dim() == 1:
            return logits.logsumexp(dim=1) - logits.gather(1, goal[:, None])[:, 0]
        goal = goal if rows is None else goal[rows]
        each = functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), goal, reduction="none")
        return each.view(logits.shape[:-1])

    def looks_back_from(self, layer: int) -> bool:
        """Whether any attention comes after a layer. Where none does, positions do not touch each other from the
        layer on, and a pass from it may take them one by one."""
        return self.network.looks_back_from(self.config, layer)

    def check_layer(self, layer: Readable) -> None:
        """Raise ``LandscapeError`` for a layer that there is not."""
        layer = layer.layer if isinstance(layer, Settled) else layer
        if not 0 <= layer < self.layers:
            raise LandscapeError(
                f"there is no layer {layer} in {self.spec}", hint=f"it has {self.layers} of them"
            )

    def loss(self, tokens: Tensor, *, change: Change = NOTHING) -> Tensor:
        """(b, t) windows -> (b, t − 1) negative log-likelihood of every next token, in nats."""
        rows = []
        for chunk in self.chunks(tokens):
            self._check(chunk[:, :-1])
            rows.append(self.missed(None, change, chunk[:, 1:].flatten(), tokens=chunk[:, :-1]))
        return torch.cat(rows) if rows else tokens.new_zeros(tokens.shape, dtype=torch.float32)

    def prompt_ids(self, prompt: str) -> list[int]:
        """What the model is given: in a dialogue the prompt as the user's turn, ready for a reply."""
        if self.dialogue is None:
            return self.opened(self.encode(prompt))
        return self.conversation([prompt])[-(self.max_length - 1) :]

    def opened(self, ids: list[int], room: int = 1) -> list[int]:
        """Tokens of a text on its own, the last of those that fit with ``room`` for more; at least one."""
        kept = self.max_length - room - len(self.opening)
        return (self.opening + ids[-kept:] if kept > 0 else self.opening) or [0]

    def shared(self, rows: Sequence[Sequence[int]]) -> int:
        """How many tokens at the front of prompts (token ids) are those with which every conversation begins, so that
        they may be read once for all of them; 0 where that spares little. Every row keeps one token or more."""
        if self.dialogue is None or len(rows) < 2:
            return 0
        both = (self.dialogue.ids([text]) for text in _UNLIKE)
        rows = [*both, *(row[:-1] for row in rows)]
        count = sum(1 for _ in takewhile(lambda ids: len(set(ids)) == 1, zip(*rows, strict=False)))
        return count if count >= _WORTH else 0

    def conversation_ids(self, turns: Sequence[str]) -> list[int]:
        """Tokens of the turns (user, bot, user, …) and the marker behind which the next one begins."""
        return self.conversation(turns)[-(self.max_length - 1) :]

    # ---- choosing and measuring, prompts and windows

    @property
    def choosing_prompts(self) -> tuple[str, ...]:
        """Neutral prompts by which states, doses and layers may be chosen (all of them where there are fewer
        than four)."""
        found = self.questions()
        return found[::2] if len(found) >= 4 else found

    @property
    def measuring_prompts(self) -> tuple[str, ...]:
        """Neutral prompts by which effects are measured (all of them where there are fewer than four)."""
        found = self.questions()
        return found[1::2] if len(found) >= 4 else found

    @property
    def spoken_prompts(self) -> tuple[str, ...]:
        """Prompts to which a concept's texts are put as replies, where something is chosen by them: of other kinds than
        those to which the replies are to stay as they are."""
        return self.other_prompts or self.choosing_prompts[::-1]

    @property
    def kept_prompts(self) -> tuple[str, ...]:
        """Prompts to which an edit of the memory is to leave the replies as they are."""
        return self._kept_prompts or self.choosing_prompts

    def choosing_windows(self, limit: int | None = None) -> Tensor:
        """(n, context + 1) windows of the first half of the held-out text (all of a single window)."""
        windows = self.windows()
        return windows[: max(1, len(windows) // 2)][:limit]

    def reading_windows(self) -> Tensor:
        """(n, context) windows, of choosing, by whose tokens it is read what a landscape's basins hold."""
        windows = self.choosing_windows()[:, :-1]
        return windows[: max(1, round(READ / windows.shape[1]))]

    def measuring_windows(self, limit: int | None = None) -> Tensor:
        """(n, context + 1) windows of the second half of the held-out text."""
        windows = self.windows()
        return windows[len(windows) // 2 :][:limit]

    def heldout_tokens(self) -> Tensor:
        tokens = self.heldout
        if tokens is None or len(tokens) < 2:
            raise LandscapeError(f"{self.spec} carries no held-out text")
        return tokens

    def questions(self) -> tuple[str, ...]:
        if not self.neutral_prompts:
            raise LandscapeError(f"{self.spec} carries no neutral prompts")
        return self.neutral_prompts

    def conversation(self, turns: Sequence[str]) -> list[int]:
        """Tokens of user, bot, user, … turns and the marker of the turn that comes next."""
        assert self.dialogue is not None  # callers have checked
        return self.dialogue.ids(turns)[-self.max_length :]

    @property
    def ending(self) -> tuple[int, ...]:
        """What a reply ends with (token ids)."""
        return () if self.dialogue is None else self.dialogue.end

    def chunks(self, rows: Tensor) -> list[Tensor]:
        """Rows in parts of one pass each."""
        step = self._fitting([rows[0].numel()] * min(len(rows), self.batch)) if len(rows) else 1
        return [rows[i : i + step] for i in range(0, len(rows), step)]

    def padded(
        self, rows: list[list[int]], batch: int | None = None
    ) -> Iterator[tuple[Tensor, list[int], int]]:
        """(tokens (b, t) padded on the right, lengths, number of the first row), batch by batch."""
        start = 0
        while start < len(rows):
            part = rows[start : start + (batch or self._fitting([len(row) for row in rows[start:]]))]
            lengths = [len(r) for r in part]
            padded = torch.zeros(len(part), max(lengths), dtype=torch.int64)
            for k, row in enumerate(part):
                padded[k, : len(row)] = torch.tensor(row)
            yield padded.to(self.device), lengths, start
            start += len(part)

    def _fitting(self, lengths: Sequence[int]) -> int:
        """How many of rows of these lengths, from the first on, share a pass."""
        count, longest = 0, 0
        for length in lengths[: self.batch]:
            longest = max(longest, length)
            if count and self.room is not None and (count + 1) * longest > self.room:
                break
            count += 1
        return count


def check_finite(values: Tensor, what: str) -> None:
    """Raise ``LandscapeError`` where a pass gives numbers that are none."""
    if not bool(torch.isfinite(values).all()):
        raise LandscapeError(
            f"the model's {what} are not finite numbers: a weight, or what was applied to it, is too large",
            hint="`status` shows what is applied; `restore` brings a layer back as it was loaded",
        )
