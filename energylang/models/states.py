"""Where is a text's state read?  Everything that turns texts into states of a layer.

*Where* a state is read decides what it means. The **decision state** is the one from which the model is about
to speak. In a dialogue model that is the state at the marker that opens the bot's turn; what a text does to
it is seen by making the text an earlier reply of the conversation:

    user: <neutral question>   bot: <text>   user: <another neutral question>   bot: ← here

averaged over a few pairs of neutral questions. In a plain-text model it is the state at the last token of the
text. Other **positions** are the last token of the text, the mean over its tokens, and a token that is named;
the text is then the bot's turn of a conversation, or stands alone. Neutral states are those of
``user: <neutral question> bot:`` or of seeded positions of the held-out text.

**Choosing and measuring** are kept apart: neutral prompts alternate between the two, held-out windows are
halved. What a state, a dose or a layer is chosen by never meets what an effect is measured by.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.models.protocol import Forward, Intervention
from energylang.models.sandbox import generator as seeded

if TYPE_CHECKING:
    from energylang.models.attention import Cache
    from energylang.models.protocol import Model
    from energylang.models.tokenizer import Tokenizer

BATCH = 64  # sequences per pass
READ = 3072  # tokens by which basins are read, in whole windows
DECISION, LAST, MEAN = "decision", "last", "mean"
POSITIONS = (DECISION, LAST, MEAN)
QUESTION_PAIRS = 4


class States(ABC):
    """The part of a ``TextModel`` that reads states; see the module's text."""

    _model: Model
    tokenizer: Tokenizer
    markers: tuple[str, str] | None
    neutral_prompts: tuple[str, ...]
    max_length: int

    @property
    @abstractmethod
    def heldout(self) -> Tensor | None:
        """(n,) int64 tokens that training did not see, or None."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Token ids of ``text``."""

    @abstractmethod
    def prompt_ids(self, prompt: str) -> list[int]:
        """What the model is given: in a dialogue the prompt as the user's turn, ready for a reply."""

    @abstractmethod
    def windows(self, limit: int | None = None, tokens: Tensor | None = None) -> Tensor:
        """(n, context + 1) consecutive windows of ``tokens`` (the held-out text without it)."""

    @abstractmethod
    def _pass(
        self,
        tokens: Tensor,
        intervention: Intervention | None,
        cache: Cache | None = None,
        wanted: Tensor | None = None,
    ) -> Forward: ...

    # ---------------------------------------------------------------------- choosing and measuring

    @property
    def choosing_prompts(self) -> tuple[str, ...]:
        """Neutral prompts by which states, doses and layers may be chosen (all of them where there are fewer
        than four)."""
        found = self._questions()
        return found[::2] if len(found) >= 4 else found

    @property
    def measuring_prompts(self) -> tuple[str, ...]:
        """Neutral prompts by which effects are measured (all of them where there are fewer than four)."""
        found = self._questions()
        return found[1::2] if len(found) >= 4 else found

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

    # ---------------------------------------------------------------------------------- states

    @torch.no_grad()
    def turn_states(self, conversations: Sequence[Sequence[str]], layer: int) -> Tensor:
        """(n, d): the state from which the next turn is about to be spoken after each conversation (user, bot, user, …
        turns). Dialogue models only."""
        rows = [self._conversation(turns) for turns in conversations]
        return self._states_at(rows, layer, [(len(row) - 1, len(row)) for row in rows])

    @torch.no_grad()
    def decision_states(self, texts: Sequence[str], layer: int, *, pairs: int = QUESTION_PAIRS) -> Tensor:
        """(n, d): the state from which the model is about to speak, having just heard each text.

        In a dialogue it is the mean over ``pairs`` pairs of neutral questions around the text.
        """
        states = self.decision_samples(texts, layer, pairs=pairs)
        return states.reshape(len(texts), -1, states.shape[-1]).mean(dim=1)

    @torch.no_grad()
    def decision_samples(self, texts: Sequence[str], layer: int, *, pairs: int = QUESTION_PAIRS) -> Tensor:
        """(n·pairs, d): the decision states that ``decision_states`` averages, those of a text together."""
        rows = self._decision_rows(texts, pairs)
        return self._states_at(rows, layer, [(len(row) - 1, len(row)) for row in rows])

    @torch.no_grad()
    def text_states(self, texts: Sequence[str], layer: int, position: str) -> Tensor:
        """(n, d): the state of each text at a position: ``decision``, ``last``, ``mean``, or the last place
        of a token that is named (``LandscapeError`` EL201 when it is not one token, or not in the text).
        """
        if position == DECISION:
            return self.decision_states(texts, layer)
        rows, spans = [], []
        for text in texts:
            opening = self.prompt_ids(self.choosing_prompts[0]) if self.markers else []
            inside = self.encode(text) or [0]
            rows.append((opening + inside)[-self.max_length :])
            first = max(0, len(rows[-1]) - len(inside))
            spans.append(self._span(text, rows[-1], first, position))
        return self._states_at(rows, layer, spans)

    def named_token(self, text: str, position: str) -> int:
        """The id of the token that ``position`` names, which must occur in ``text``."""
        named = self.encode(position.strip())
        inside = self.encode(text)
        for candidate in (named, self.encode(f" {position.strip()}")):
            if len(candidate) == 1 and candidate[0] in inside and candidate[0] != self.tokenizer.unknown:
                return candidate[0]
        known = ", ".join(POSITIONS)
        raise LandscapeError(
            f"'{position}' is not a token of \"{text}\"",
            code="EL201",
            hint=f"a position is {known}, or one token of the text",
        )

    @torch.no_grad()
    def neutral_states(self, layer: int, n: int = 64) -> Tensor:
        """(k, d) with k ≤ n: decision states where nothing was said yet (one per choosing prompt), or
        states at ``n`` seeded positions of the held-out text."""
        if self.markers is None:
            return self.token_states(layer, n, seeded("neutral", layer, n))
        return self.turn_states([[question] for question in self.choosing_prompts[:n]], layer)

    @torch.no_grad()
    def token_states(self, layer: int, n: int, generator: torch.Generator) -> Tensor:
        """(k, d) with k ≤ n: states of real held-out tokens, drawn without repetition."""
        self._model.block(layer)
        windows = self.choosing_windows()[:, :-1]
        order = torch.randperm(len(windows), generator=generator).to(windows.device)
        needed = min(len(windows), -(-n // windows.shape[1]) * 4)
        found = [self._pass(c, None).states[layer].flatten(0, 1) for c in chunks(windows[order[:needed]])]
        states = torch.cat(found)
        pick = torch.randperm(len(states), generator=generator)[:n].to(states.device)
        return states[pick]

    @torch.no_grad()
    def window_states(self, windows: Tensor, intervention: Intervention | None = None) -> tuple[Tensor, ...]:
        """Per layer (w, t, d): the state of every token of the windows (w, t). The logits are not computed."""
        nowhere = torch.zeros_like(windows, dtype=torch.bool)
        passed = [
            self._pass(part, intervention, wanted=none).states
            for part, none in zip(chunks(windows), chunks(nowhere), strict=True)
        ]
        return tuple(torch.cat(parts) for parts in zip(*passed, strict=True))

    @torch.no_grad()
    def reply_states(
        self, texts: Sequence[str], layer: int, intervention: Intervention | None = None
    ) -> tuple[list[list[int]], Tensor]:
        """The tokens of each text, and the states (n, d) of all of them in order, where the texts are what the model
        itself says: in a dialogue the bot's turn after neutral questions, in plain text on their own. Of a text too
        long for the context the last tokens that fit."""
        rows, lengths = [], []
        for k, text in enumerate(texts):
            opening = (
                self.prompt_ids(self.choosing_prompts[k % len(self.choosing_prompts)]) if self.markers else []
            )
            inside = self.encode(text)
            rows.append((opening + inside)[-self.max_length :] or [0])
            lengths.append(min(len(inside), self.max_length))
        found, tokens = [], []
        for padded, ends, start in self._padded(rows):
            states = self._pass(padded, intervention).states[layer]
            for k, end in enumerate(ends):
                begin = end - lengths[start + k]
                found.append(states[k, begin:end])
                tokens.append(rows[start + k][begin:end])
        return tokens, torch.cat(found)

    # ------------------------------------------------------------------------------- helpers

    def _heldout(self) -> Tensor:
        tokens = self.heldout
        if tokens is None or len(tokens) < 2:
            raise LandscapeError(f"{self._model.spec} carries no held-out text")
        return tokens

    def _questions(self) -> tuple[str, ...]:
        if not self.neutral_prompts:
            raise LandscapeError(f"{self._model.spec} carries no neutral prompts")
        return self.neutral_prompts

    def _conversation(self, turns: Sequence[str]) -> list[int]:
        """Tokens of user, bot, user, … turns and the marker of the turn that comes next."""
        assert self.markers is not None  # callers have checked
        text = "".join(f"{self.markers[k % 2]} {turn.strip()}\n" for k, turn in enumerate(turns))
        ids = self.encode(f"{text}{self.markers[len(turns) % 2]} ")
        return ids[-self.max_length :]

    def _decision_rows(self, texts: Sequence[str], pairs: int) -> list[list[int]]:
        """Token rows that end where the model is about to speak, ``pairs`` of them per text."""
        if self.markers is None:
            return [(self.encode(text) or [0])[-self.max_length :] for text in texts]
        asked = self.choosing_prompts
        around = [(asked[k % len(asked)], asked[(k + 1) % len(asked)]) for k in range(pairs)]
        return [self._conversation([first, text, second]) for text in texts for first, second in around]

    def _span(self, text: str, row: list[int], first: int, position: str) -> tuple[int, int]:
        """The tokens of a row, from one index up to another, whose states a position means."""
        if position == LAST:
            return len(row) - 1, len(row)
        if position == MEAN:
            return first, len(row)
        named = self.named_token(text, position)
        place = max((k for k in range(first, len(row)) if row[k] == named), default=len(row) - 1)
        return place, place + 1

    def _states_at(self, rows: list[list[int]], layer: int, spans: list[tuple[int, int]]) -> Tensor:
        """(n, d): the mean state of a layer over each row's span of tokens."""
        self._model.block(layer)
        found = []
        for padded, lengths, start in self._padded(rows):
            states = self._pass(padded, None).states[layer]
            for k in range(len(lengths)):
                low, high = spans[start + k]
                found.append(states[k, low] if high == low + 1 else states[k, low:high].mean(dim=0))
        if not found:
            raise LandscapeError("no text was given")
        return torch.stack(found)

    def _padded(self, rows: list[list[int]], batch: int = BATCH) -> Iterator[tuple[Tensor, list[int], int]]:
        """(tokens (b, t) padded on the right, lengths, number of the first row), batch by batch."""
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            lengths = [len(r) for r in part]
            padded = torch.zeros(len(part), max(lengths), dtype=torch.int64)
            for k, row in enumerate(part):
                padded[k, : len(row)] = torch.tensor(row)
            yield padded.to(self._model.device), lengths, start


def chunks(rows: Tensor) -> list[Tensor]:
    """Rows in parts of one pass each."""
    return [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]
