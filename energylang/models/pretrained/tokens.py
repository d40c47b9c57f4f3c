"""The tokens of a pretrained model, and how it holds conversations: what its own tokenizer and template say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from energylang.errors import LandscapeError

from .library import explained

_ENDS = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>", "<|endoftext|>", "</s>", "<|return|>")


class PretrainedTokens:
    """A tokenizer of the transformers library as ``text.Vocabulary``. ``size`` is the number of the embedding's rows,
    which may be more than there are tokens."""

    def __init__(self, library: Any, size: int, ends: Sequence[int]) -> None:
        self.library, self.size = library, size
        self._ends = frozenset(ends)
        self._special = frozenset(library.all_special_ids)

    @property
    def unknown(self) -> int | None:
        """None: what the tokenizer knows nothing of it writes as bytes; its unknown token is never banned."""
        return None

    @property
    def stops(self) -> frozenset[int]:
        return self._ends

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without a beginning or an end."""
        text = text.encode("utf-8", "replace").decode("utf-8")
        found: list[int] = self.library(text, add_special_tokens=False, verbose=False)["input_ids"]
        return found

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self.library.decode(
            [i for i in ids if i not in self._special], clean_up_tokenization_spaces=False
        )
        return text

    def piece(self, token_id: int) -> str:
        if token_id >= len(self.library):
            return f"<{token_id}>"
        text: str = self.library.decode([token_id], clean_up_tokenization_spaces=False)
        return text


class ChatTemplate:
    """Conversations by the chat template that comes with a model. ``end`` is the first token of what closes a turn."""

    def __init__(self, tokens: PretrainedTokens, where: str) -> None:
        self.tokens, self.where = tokens, where
        self.known: dict[tuple[str, ...], list[int]] = {}
        self.end = self._end()

    def ids(self, turns: Sequence[str]) -> list[int]:
        """Tokens of user, bot, user, … turns and of the beginning of the turn that comes next."""
        key = tuple(turns)
        if key not in self.known:
            if len(self.known) >= 4096:
                self.known.clear()
            self.known[key] = self._written(turns)
        return list(self.known[key])

    def _written(self, turns: Sequence[str]) -> list[int]:
        said = [
            {"role": "assistant" if k % 2 else "user", "content": turn.strip()}
            for k, turn in enumerate(turns)
        ]
        if not said:
            raise LandscapeError("a conversation has a first turn", hint="say something")
        mine = len(turns) % 2 == 1  # the bot speaks next
        with explained(
            f"{self.where}: its chat template fails",
            "the template in tokenizer_config.json or chat_template.jinja is at fault",
        ):
            text = self.tokens.library.apply_chat_template(said, add_generation_prompt=mine, tokenize=False)
        return self.tokens.encode(str(text)) or [0]  # a template may write nothing

    def _end(self) -> tuple[int, ...]:
        """What comes behind a reply in the template, up to the first token that ends writing."""
        mark = "energy"
        rows = [self._written(["hello", mark, "hello"]), self._written(["hello"])]
        behind = rows[0][len(rows[1]) :]
        place = next((k for k, id in enumerate(behind) if id in self.tokens.stops), None)
        if place is None:
            return tuple(sorted(self.tokens.stops))[:1]
        return (behind[place],)


def ends_of(library: Any, generation: Any) -> list[int]:
    """The tokens at which a model stops writing: those of its generation settings, its end-of-text token, and the usual
    ends of a turn that its tokenizer has as special tokens."""
    found: set[int] = set()
    for given in (getattr(generation, "eos_token_id", None), library.eos_token_id):
        found |= set(given) if isinstance(given, list | tuple) else ({given} if given is not None else set())
    special = set(library.all_special_ids)
    vocabulary = library.get_vocab()
    found |= {vocabulary[end] for end in _ENDS if end in vocabulary and vocabulary[end] in special}
    return sorted(int(token) for token in found)
