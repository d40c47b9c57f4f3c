"""How does a model hold conversations?  What turns a user's and a bot's turns into tokens, and ends a turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


class Dialogue(Protocol):
    """A way of writing conversations down. ``end`` (token ids) is what a reply ends with."""

    @property
    def end(self) -> tuple[int, ...]: ...

    def ids(self, turns: Sequence[str]) -> list[int]:
        """Tokens of user, bot, user, … turns and of the beginning of the turn that comes next."""


@dataclass(frozen=True)
class Markers:
    """Turns of one line each behind the user's and the bot's marker, as ``el train`` learns them."""

    user: str
    bot: str
    encode: Callable[[str], list[int]]

    @property
    def end(self) -> tuple[int, ...]:
        return (self.encode("\n")[-1],)

    def ids(self, turns: Sequence[str]) -> list[int]:
        both = (self.user, self.bot)
        text = "".join(f"{both[k % 2]} {turn.strip()}\n" for k, turn in enumerate(turns))
        return self.encode(f"{text}{both[len(turns) % 2]} ")
