"""A model that reads and writes text: tokens in, logits and settled states out.

Tokens, prompts, windows and passes; where a text's *state* is read is the matter of ``energylang.models.states``, how
likely texts are that of ``energylang.models.likelihoods``, how they are sampled that of ``energylang.models.sampling``.

All passes read the live weights of the model; a ``Change`` changes one pass only. Sequences of
unequal length are padded on the right, which a causal model does not see. Sampling draws from the
given generator alone, on the CPU, so a seed means the same on every device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from energylang.errors import LandscapeError
from energylang.models.attention import Cache
from energylang.models.protocol import NOTHING, Change, Network, Pass, Start
from energylang.models.tokenizer import Tokenizer

BATCH = 64  # sequences per pass
READ = 3072  # tokens by which basins are read, in whole windows


class TextModel:
    """The text side of a ``Model``. Without ``markers`` it is a plain-text model.

    ``markers`` are the user's and the bot's turn marker; ``heldout`` (n,) tokens that no training
    step saw; ``neutral_prompts`` first turns (or, for plain text, passages) that favour no concept.
    """

    def __init__(
        self,
        live: dict[str, Tensor],
        extra: dict[str, Tensor],
        spec: str,
        layers: int,
        network: Network,
        config: Any,
        tokenizer: Tokenizer,
        *,
        markers: tuple[str, str] | None = None,
        neutral_prompts: Sequence[str] = (),
    ) -> None:
        self.live = live
        self.extra = extra
        self.spec = spec
        self.network = network
        self.layers = layers
        self.config = config
        self.tokenizer = tokenizer
        self.markers = markers
        self.neutral_prompts: tuple[str, ...] = tuple(neutral_prompts)
        self.max_length: int = config.context

    @property
    def device(self) -> torch.device:
        return next(iter(self.live.values())).device

    @property
    def heldout(self) -> Tensor | None:
        """(n,) int64 tokens that training did not see, or None."""
        tokens = self.extra.get("heldout")
        return None if tokens is None else tokens.to(self.device, torch.int64)

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
        """(n, context + 1) consecutive windows of ``tokens`` (the held-out text without it)."""
        source = self.heldout_tokens() if tokens is None else tokens.to(self.device, torch.int64)
        count = (len(source) - 1) // self.max_length
        if count < 1:
            length = max(2, len(source))
            return source.reshape(1, -1) if len(source) >= 2 else source.new_zeros(0, length)
        count = min(count, limit or count)
        return source[: count * self.max_length + 1].unfold(0, self.max_length + 1, self.max_length)

    # -------------------------------------------------------------------------------- passes

    def forward(self, tokens: Tensor, *, change: Change = NOTHING) -> Pass:
        """(b, t) -> logits (b, t, v) and per layer x_K (b, t, d), with the live weights.

        Gradients flow (to ``change``); wrap in ``torch.no_grad()`` when they are not wanted.
        """
        if tokens.dim() != 2 or not 1 <= tokens.shape[1] <= self.max_length:
            raise LandscapeError(
                f"the model reads (batch, 1 to {self.max_length}) tokens, not {list(tokens.shape)}"
            )
        if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < self.tokenizer.size:
            raise LandscapeError(f"a token is outside the vocabulary of {self.tokenizer.size}")
        return self.run(tokens, change)

    def run(
        self,
        tokens: Tensor | None,
        change: Change = NOTHING,
        *,
        start: Start | None = None,
        cache: Cache | None = None,
        wanted: Tensor | None = None,
    ) -> Pass:
        """A pass with the live weights, its tokens unchecked (see ``protocol.Network``)."""
        return self.network.run(
            self.live, self.config, tokens, change, start=start, cache=cache, wanted=wanted
        )

    def entering(self, tokens: Tensor, layer: int) -> Tensor:
        """(b, t) -> (b, t, m): what enters a layer. Passes that differ from this layer on only can ``start`` here."""
        return self.network.entering(self.live, self.config, tokens, layer)

    def looks_back_from(self, layer: int) -> bool:
        """Whether any attention comes after a layer. Where none does, positions do not touch each other from the
        layer on, and a pass from it may take them one by one."""
        return self.network.looks_back_from(self.config, layer)

    def check_layer(self, layer: int) -> None:
        """Raise ``LandscapeError`` for a layer that there is not."""
        if not 0 <= layer < self.layers:
            raise LandscapeError(
                f"there is no layer {layer} in {self.spec}", hint=f"it has {self.layers} of them"
            )

    def loss(self, tokens: Tensor, *, change: Change = NOTHING) -> Tensor:
        """(b, t) windows -> (b, t − 1) negative log-likelihood of every next token, in nats."""
        rows = []
        for chunk in chunks(tokens):
            logits = self.forward(chunk[:, :-1], change=change).logits
            rows.append(
                functional.cross_entropy(logits.transpose(1, 2).float(), chunk[:, 1:], reduction="none")
            )
        return torch.cat(rows) if rows else tokens.new_zeros(tokens.shape, dtype=torch.float32)

    def prompt_ids(self, prompt: str) -> list[int]:
        """What the model is given: in a dialogue the prompt as the user's turn, ready for a reply."""
        if self.markers is None:
            return (self.encode(prompt) or [0])[-(self.max_length - 1) :]
        return self.conversation([prompt])[-(self.max_length - 1) :]

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
        assert self.markers is not None  # callers have checked
        text = "".join(f"{self.markers[k % 2]} {turn.strip()}\n" for k, turn in enumerate(turns))
        ids = self.encode(f"{text}{self.markers[len(turns) % 2]} ")
        return ids[-self.max_length :]

    def padded(self, rows: list[list[int]], batch: int = BATCH) -> Iterator[tuple[Tensor, list[int], int]]:
        """(tokens (b, t) padded on the right, lengths, number of the first row), batch by batch."""
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            lengths = [len(r) for r in part]
            padded = torch.zeros(len(part), max(lengths), dtype=torch.int64)
            for k, row in enumerate(part):
                padded[k, : len(row)] = torch.tensor(row)
            yield padded.to(self.device), lengths, start


def check_finite(values: Tensor, what: str) -> None:
    """Raise ``LandscapeError`` where a pass gives numbers that are none."""
    if not bool(torch.isfinite(values).all()):
        raise LandscapeError(
            f"the model's {what} are not finite numbers: a weight, or what was applied to it, is too large",
            hint="`status` shows what is applied; `restore` brings a layer back as it was loaded",
        )


def chunks(rows: Tensor) -> list[Tensor]:
    """Rows in parts of one pass each."""
    return [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]
