"""Characters that a terminal, or a page, would obey instead of showing them: the one place that makes them visible.

Names, texts, tokens and metadata come from files and from strangers. A terminal that is sent ESC moves its cursor,
clears its screen or changes its title; marks for the direction of writing show a line in another order than it has.
Such characters are written as the language writes them, ``\\u{1b}``. Ends of lines and tabs are text, and so are the
joiners inside of emoji.
"""

from __future__ import annotations

import json
import re
from typing import Any

_OBEYED = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f"  # control characters, without the tab and the end of a line
    "\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb"  # direction, lines, no width
    "\\ud800-\\udfff\\U000e0000-\\U000e007f]"  # halves of characters, tags
)


def escaped(text: str) -> str:
    """``text`` as it can be shown anywhere."""
    return _OBEYED.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", text)


def in_line(text: str) -> str:
    """The same for what has to stay in its line: a name, a path, a token."""
    return escaped(text).replace("\n", "\\n").replace("\t", "\\t")


def blanked(text: str) -> str:
    """``text`` with a ``�`` for every character that is not visible: each keeps its column, for carets below."""
    return "".join(char if char.isprintable() else "�" for char in text)


def as_json(document: Any, *, indent: int | None = None) -> str:
    """JSON of the same value, in which no character is there that a terminal would obey."""
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    return _OBEYED.sub(lambda found: json.dumps(found[0])[1:-1], text)
