"""A model that reads and writes text: tokens in, logits and settled states out.

Passes, losses and sampling; where a text's *state* is read is the matter of ``energylang.models.states``, how
likely texts are that of ``energylang.models.likelihoods``.

All passes read the live weights of the model; an ``Intervention`` changes one pass only. Sequences of
unequal length are padded on the right, which a causal model does not see. Sampling draws from the
given generator alone, on the CPU, so a seed means the same on every device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from energylang.errors import CheckpointError, LandscapeError
from energylang.models import hlm
from energylang.models.architectures import Config, network, read_config
from energylang.models.attention import Cache
from energylang.models.likelihoods import Likelihoods
from energylang.models.protocol import Forward, Generation, Intervention, Model
from energylang.models.states import chunks
from energylang.models.tokenizer import Tokenizer

_TOGETHER = 256  # rows that are sampled together
_PRESENT = 0.75  # share of unfinished rows at which the finished ones leave


class TextModel(Likelihoods):
    """The text side of a ``Model``. Without ``markers`` it is a plain-text model.

    ``markers`` are the user's and the bot's turn marker; ``heldout`` (n,) tokens that no training
    step saw; ``neutral_prompts`` first turns (or, for plain text, passages) that favour no concept.
    """

    def __init__(
        self,
        model: Model,
        config: Config,
        tokenizer: Tokenizer,
        *,
        markers: tuple[str, str] | None = None,
        neutral_prompts: Sequence[str] = (),
    ) -> None:
        self._model = model
        self._network = network(model.header.kind)
        self.config = config
        self.tokenizer = tokenizer
        self.markers = markers
        self.neutral_prompts: tuple[str, ...] = tuple(neutral_prompts)
        self.max_length: int = config.context

    @property
    def heldout(self) -> Tensor | None:
        """(n,) int64 tokens that training did not see, or None."""
        tokens = self._model.extra.get("heldout")
        return None if tokens is None else tokens.to(self._model.device, torch.int64)

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
        source = self._heldout() if tokens is None else tokens.to(self._model.device, torch.int64)
        count = (len(source) - 1) // self.max_length
        if count < 1:
            length = max(2, len(source))
            return source.reshape(1, -1) if len(source) >= 2 else source.new_zeros(0, length)
        count = min(count, limit or count)
        return source[: count * self.max_length + 1].unfold(0, self.max_length + 1, self.max_length)

    # -------------------------------------------------------------------------------- passes

    def forward(self, tokens: Tensor, *, intervention: Intervention | None = None) -> Forward:
        """(b, t) -> logits (b, t, v) and per layer x_K (b, t, d), with the live weights.

        Gradients flow (to ``intervention``); wrap in ``torch.no_grad()`` when they are not wanted.
        """
        if tokens.dim() != 2 or not 1 <= tokens.shape[1] <= self.max_length:
            raise LandscapeError(
                f"the model reads (batch, 1 to {self.max_length}) tokens, not {list(tokens.shape)}"
            )
        if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < self.tokenizer.size:
            raise LandscapeError(f"a token is outside the vocabulary of {self.tokenizer.size}")
        return self._pass(tokens, intervention)

    def stream_before(self, tokens: Tensor, layer: int) -> Tensor:
        """(b, t) -> (b, t, m): what enters a layer. Passes that differ from this layer on only can
        begin here (``forward_from``)."""
        self._model.block(layer)
        assert isinstance(self.config, hlm.HLMConfig)  # a model with layers is one
        return hlm.stream_before(self._model.live, self.config, tokens, layer)

    def looks_back_from(self, layer: int) -> bool:
        """Whether any attention comes after a layer. Where none does, positions do not touch each other from the
        layer on, and a pass from it may take them one by one."""
        assert isinstance(self.config, hlm.HLMConfig)
        return any(hlm.has_attention(self.config, block) for block in range(layer + 1, self.config.layers))

    def forward_from(self, layer: int, stream: Tensor, intervention: Intervention | None = None) -> Forward:
        """The rest of a pass, from the stream (b, t, m) that enters a layer: the same bits as the whole
        pass, and the states of this layer and the later ones."""
        assert isinstance(self.config, hlm.HLMConfig)
        return hlm.forward_from(self._model.live, self.config, layer, stream, intervention)

    def loss(self, tokens: Tensor, *, intervention: Intervention | None = None) -> Tensor:
        """(b, t) windows -> (b, t − 1) negative log-likelihood of every next token, in nats."""
        rows = []
        for chunk in chunks(tokens):
            logits = self.forward(chunk[:, :-1], intervention=intervention).logits
            rows.append(
                functional.cross_entropy(logits.transpose(1, 2).float(), chunk[:, 1:], reduction="none")
            )
        return torch.cat(rows) if rows else tokens.new_zeros(tokens.shape, dtype=torch.float32)

    def _pass(
        self,
        tokens: Tensor,
        intervention: Intervention | None,
        cache: Cache | None = None,
        wanted: Tensor | None = None,
    ) -> Forward:
        result: Forward = self._network.forward(
            self._model.live, self.config, tokens, intervention=intervention, cache=cache, wanted=wanted
        )
        return result

    # ---------------------------------------------------------------------------- generation

    def prompt_ids(self, prompt: str) -> list[int]:
        """What the model is given: in a dialogue the prompt as the user's turn, ready for a reply."""
        if self.markers is None:
            return (self.encode(prompt) or [0])[-(self.max_length - 1) :]
        return self._conversation([prompt])[-(self.max_length - 1) :]

    def conversation_ids(self, turns: Sequence[str]) -> list[int]:
        """Tokens of the turns (user, bot, user, …) and the marker behind which the next one begins."""
        return self._conversation(turns)[-(self.max_length - 1) :]

    def generate(
        self,
        prompt: str,
        *,
        tokens: int = 50,
        temp: float = 0.8,
        topk: int = 40,
        generator: torch.Generator,
        intervention: Intervention | None = None,
    ) -> Generation:
        """A sampled continuation; in a dialogue the bot's reply, which ends with its turn.

        ``temp`` > 0 and ``topk`` ≥ 1 (1 is greedy). A function of its arguments and the live weights.
        """
        return self.generate_batch(
            [prompt], tokens=tokens, temp=temp, topk=topk, generator=generator, intervention=intervention
        )[0]

    @torch.no_grad()
    def generate_batch(
        self,
        prompts: Sequence[str],
        *,
        tokens: int = 50,
        temp: float = 0.8,
        topk: int = 40,
        generator: torch.Generator,
        intervention: Intervention | None = None,
    ) -> list[Generation]:
        """``generate`` for many prompts at once, in shared passes."""
        if tokens < 1 or topk < 1 or not 0 < temp < float("inf"):
            raise LandscapeError(
                f"cannot sample with tokens={tokens}, temp={temp}, topk={topk}",
                hint="tokens and topk are at least 1 and temp is above 0",
            )
        ids = [self.prompt_ids(p) for p in prompts]
        return self._sample_all(ids, tokens, temp, topk, generator, intervention)

    @torch.no_grad()
    def replies(
        self,
        conversations: Sequence[Sequence[str]],
        *,
        tokens: int = 50,
        temp: float = 1.0,
        topk: int = 2**20,
        generator: torch.Generator,
        intervention: Intervention | None = None,
    ) -> list[Generation]:
        """The bot's next turn after each list of turns (user, bot, user, …), drawn from the model's own
        distribution unless ``temp`` or ``topk`` narrow it. Dialogue models only."""
        if self.markers is None:
            raise LandscapeError(f"{self._model.spec} holds no conversations")
        ids = [self._conversation(turns)[-(self.max_length - 1) :] for turns in conversations]
        return self._sample_all(ids, tokens, temp, topk, generator, intervention)

    @property
    def line_end(self) -> int:
        """The token that ends a turn."""
        return self.encode("\n")[-1]

    def _sample_all(
        self,
        ids: list[list[int]],
        tokens: int,
        temp: float,
        topk: int,
        generator: torch.Generator,
        intervention: Intervention | None,
    ) -> list[Generation]:
        """Continuations of rows of any lengths; ``_TOGETHER`` rows share their passes."""
        made: list[Generation] = []
        for start in range(0, len(ids), _TOGETHER):
            part = ids[start : start + _TOGETHER]
            made += self._sample(part, tokens, temp, topk, generator, intervention)
        return made

    def _sample(
        self,
        rows: list[list[int]],
        tokens: int,
        temp: float,
        topk: int,
        generator: torch.Generator,
        intervention: Intervention | None,
    ) -> list[Generation]:
        """Sampling with cached keys and values. Rows that have ended leave the passes by and by."""
        rows = [list(row) for row in rows]
        chosen: list[list[int]] = [[] for _ in rows]
        read: list[tuple[list[int], tuple[Tensor, ...]]] = []  # the rows of each step, and their states
        stops = set(range(len(self.tokenizer.specials)))
        present = list(range(len(rows)))  # which rows the passes hold
        live = set(present)
        cache, result = self._read(rows, intervention)
        for step in range(tokens):
            token = self._draw(result.logits[:, -1], temp, topk, generator)
            read.append((present, tuple(state[:, -1] for state in result.states)))
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
                cache.keep(torch.tensor(kept, device=self._model.device))
            if (
                max(len(rows[k]) for k in present) > self.max_length
            ):  # forget the older half, read the rest anew
                for k in present:
                    rows[k] = rows[k][-max(1, self.max_length // 2) :]
                cache, result = self._read([rows[k] for k in present], intervention)
            else:
                pending = torch.tensor(token, device=self._model.device)[:, None]
                result = self._pass(pending, intervention, cache)
                cache.lengths += 1
        states = [state.new_zeros(len(rows), len(read), state.shape[1]) for state in read[0][1]]
        for step, (those, found) in enumerate(read):
            for layer, state in zip(states, found, strict=True):
                layer[those, step] = state
        texts = [self.decode(ids) for ids in chosen]
        return [
            Generation(
                texts[k].strip() if self.markers else texts[k],
                tuple(chosen[k]),
                tuple(layer[k, : len(chosen[k])] for layer in states),
            )
            for k in range(len(rows))
        ]

    def _draw(self, logits: Tensor, temp: float, topk: int, generator: torch.Generator) -> list[int]:
        """A token for each row of logits (b, v)."""
        logits = logits.float().cpu() / temp
        check_finite(logits, "logits")
        if self.tokenizer.unknown is not None:
            logits[:, self.tokenizer.unknown] = -float("inf")
        if topk >= logits.shape[1]:
            return torch.multinomial(logits.softmax(dim=1), 1, generator=generator)[:, 0].tolist()
        best = logits.topk(topk, dim=1)
        draw = torch.multinomial(best.values.softmax(dim=1), 1, generator=generator)
        return best.indices.gather(1, draw)[:, 0].tolist()

    def _read(self, rows: list[list[int]], intervention: Intervention | None) -> tuple[Cache, Forward]:
        """Pass prompts of unequal lengths: the cache, and what the pass gave at the last token of each."""
        cache = Cache.empty(len(rows), self.max_length, self._model.device)
        padded, lengths, _ = next(self._padded(rows, len(rows)))
        result = self._pass(padded, intervention, cache)
        cache.lengths += torch.tensor(lengths, device=cache.lengths.device)
        last = (torch.arange(len(rows)), torch.tensor(lengths) - 1)
        return cache, Forward(
            result.logits[last][:, None], tuple(state[last][:, None] for state in result.states)
        )


def check_finite(values: Tensor, what: str) -> None:
    """Raise ``LandscapeError`` where a pass gives numbers that are none."""
    if not bool(torch.isfinite(values).all()):
        raise LandscapeError(
            f"the model's {what} are not finite numbers: a weight, or what was applied to it, is too large",
            hint="`status` shows what is applied; `restore` brings a layer back as it was loaded",
        )


def attach_text(model: Model, where: str) -> None:
    """Give a freshly loaded model its text side from its metadata."""
    if model.header.kind not in ("hlm", "transformer"):
        raise CheckpointError(f"{where} has a tokenizer and no language model")
    config = read_config(where, model.metadata)
    tokenizer = Tokenizer.from_json(model.metadata.get("tokenizer"), where)
    if tokenizer.size != config.vocabulary:
        raise CheckpointError(
            f"{where}: its tokenizer has {tokenizer.size} tokens and its embedding {config.vocabulary}"
        )
    dialogue = model.metadata.get("dialogue")
    markers = None
    prompts: object = model.metadata.get("neutral_prompts", [])
    if dialogue is not None:
        if not isinstance(dialogue, list) or len(dialogue) != 2:
            raise CheckpointError(f"{where} has unreadable turn markers")
        markers = (str(dialogue[0]), str(dialogue[1]))
    if not isinstance(prompts, list) or not all(isinstance(p, str) for p in prompts):
        raise CheckpointError(f"{where} has unreadable neutral prompts")
    heldout = model.extra.get("heldout")
    if heldout is not None and (
        heldout.dim() != 1
        or heldout.is_floating_point()
        or (len(heldout) and not 0 <= int(heldout.min()) <= int(heldout.max()) < tokenizer.size)
    ):
        raise CheckpointError(f"{where}: its held-out text is not a list of tokens")
    model.text = TextModel(model, config, tokenizer, markers=markers, neutral_prompts=prompts)
