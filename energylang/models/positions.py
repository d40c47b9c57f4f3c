"""At which positions of a text does a change act, or is a state read?

    all       every position
    reply     where the model speaks: the position from which a reply's first token is chosen, and those of its tokens
    last      the one from which the reply's first token is chosen
    "word"    where the tokens of a word stand
    3..7      these places, counted from 0 in what the model is given

In a text without a reply (windows of held-out text) ``reply`` is every position and ``last`` the last one of each row.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from energylang.errors import LandscapeError

ALL, REPLY, LAST = "all", "reply", "last"
WORDS = (ALL, REPLY, LAST)
_RANGE = re.compile(r"(\d{1,6})\.\.(\d{1,6})")


@dataclass
class Tally:
    """How many positions a change touched, of how many that were read."""

    touched: int = 0
    seen: int = 0


@dataclass(frozen=True, slots=True)
class Where:
    """Positions by their meaning. ``spelled`` is as it was written; ``words`` holds the spellings of a word, as tokens;
    ``between`` the first and the last place."""

    spelled: str
    words: tuple[tuple[int, ...], ...] = ()
    between: tuple[int, int] | None = None

    def mask(self, tokens: Tensor | None, places: Tensor, begins: Tensor | None, lengths: Tensor) -> Tensor:
        """(b, t) bool, for tokens (b, t) at places (b, t) of rows whose replies begin at ``begins`` (b,) (``None``: no
        replies) and which are ``lengths`` (b,) long."""
        if self.between is not None:
            return (places >= self.between[0]) & (places <= self.between[1])
        if self.words:
            if tokens is None:
                raise LandscapeError("a word is looked for in tokens", hint="this pass has none")
            return _standing(tokens, self.words)
        if self.spelled == LAST:
            last = lengths - 1 if begins is None else begins - 1
            return places == last[:, None]
        if self.spelled == REPLY and begins is not None:
            return places >= (begins - 1)[:, None]
        return torch.ones_like(places, dtype=torch.bool)


def where(text: str, encode: Callable[[str], list[int]]) -> Where | None:
    """The positions that ``text`` names; ``None`` for all. Anything but ``all``, ``reply``, ``last`` and a range is a
    word. Raises ``LandscapeError`` (EL201) for an empty one and for a range that is none."""
    text = text.strip()
    if text in ("", ALL):
        if text:
            return None
        raise LandscapeError("no position is named", code="EL201", hint='all, reply, last, a "word" or 3..7')
    if text in WORDS:
        return Where(text)
    if match := _RANGE.fullmatch(text):
        low, high = int(match[1]), int(match[2])
        if low > high:
            raise LandscapeError(
                f"{text} holds no position", code="EL201", hint="the first place is not behind the last"
            )
        return Where(text, between=(low, high))
    spellings = {
        tuple(encode(form)) for form in (text, f" {text}", text.capitalize(), f" {text.capitalize()}")
    }
    return Where(text, words=tuple(sorted(found for found in spellings if found)))


def _standing(tokens: Tensor, words: tuple[tuple[int, ...], ...]) -> Tensor:
    """Where one of the words (token ids) stands in tokens (b, t)."""
    found = torch.zeros_like(tokens, dtype=torch.bool)
    for word in words:
        if len(word) > tokens.shape[1]:
            continue
        spans = tokens.unfold(1, len(word), 1)
        here = (spans == torch.tensor(word, device=tokens.device)).all(dim=2)
        for k in range(len(word)):
            found[:, k : k + here.shape[1]] |= here
    return found
