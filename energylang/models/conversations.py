"""The conversations in a dialogue model's held-out text.

What one model says and another one understands must be compared by something that both can read, whatever their
tokens: the turns of conversations, up to where the bot is to speak.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from energylang.models.dialogue import Markers

if TYPE_CHECKING:
    from .text import TextModel


def heldout_conversations(text: TextModel, limit: int) -> list[list[str]]:
    """At most ``limit`` beginnings of conversations: user, bot, …, user turns after which the bot speaks. They come
    from the half of the held-out text by which choices may be made, and every one is another. None without
    conversations or held-out text.
    """
    if not isinstance(text.dialogue, Markers) or text.heldout is None:
        return []
    markers = text.dialogue.user, text.dialogue.bot
    said = text.decode(text.choosing_windows()[:, :-1].flatten().tolist())
    found: dict[tuple[str, ...], None] = {}
    for document in re.split(r"\n\s*\n", said)[1:]:  # the first may have begun before
        turns: list[str] = []
        for line in document.splitlines():
            marker = markers[len(turns) % 2].strip()
            if not line.startswith(marker):
                break
            if len(turns) % 2:
                found.setdefault(tuple(turns))
            turns.append(line[len(marker) :].strip())
    return [list(turns) for turns in found][:limit]


def shared_conversations(*texts: TextModel, limit: int) -> list[list[str]]:
    """Beginnings of conversations for several dialogue models to read: at most ``limit`` of the first that has some in
    its held-out text; where none has, the neutral prompts of all."""
    for text in texts:
        if found := heldout_conversations(text, limit):
            return found
    return [[prompt] for text in texts for prompt in text.neutral_prompts]
