"""The tables of the LALR parser, worked out once for a grammar and kept for the next process.

Working them out takes five times as long as reading them. They are plain numbers and names (JSON), as Lark writes its
parsers down; whoever keeps them says where. They belong to one text of the grammar and one version of Lark, and what
was damaged is worked out again.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Protocol

import lark
from lark import Lark
from lark.grammar import Rule
from lark.lexer import TerminalDef

_OWN = ("postlex", "transformer")  # options that are objects of this process


class Shelf(Protocol):
    """Where data is kept between processes, as long as it lasts."""

    def kept(self, name: str) -> bytes | None:
        """What was kept under this name."""

    def keep(self, name: str, data: bytes) -> None:
        """Keep it; where that is impossible, nothing happens."""


def lark_of(grammar: str, shelf: Shelf | None, **options: Any) -> Lark:
    """The parser of a grammar."""
    plain = {name: value for name, value in options.items() if name not in _OWN}
    whole = json.dumps([grammar, lark.__version__, plain], sort_keys=True)
    name = f"parser-{hashlib.sha256(whole.encode()).hexdigest()[:32]}"
    found = None if shelf is None else shelf.kept(name)
    if found is not None:
        own = {name: value for name, value in options.items() if name in _OWN}
        try:
            return Lark._load_from_dict(*_read(found), **own)  # type: ignore[no-untyped-call,no-any-return]  # as it has it
        except (ValueError, KeyError, TypeError, AttributeError, AssertionError):
            pass  # damaged
    made = Lark(grammar, **options)
    if shelf is not None:
        shelf.keep(name, _written(made))
    return made


def _written(made: Lark) -> bytes:
    """The tables as JSON behind a checksum."""
    data, memo = made.memo_serialize([TerminalDef, Rule])
    data["options"] = {name: value for name, value in data["options"].items() if name not in _OWN}
    text = json.dumps([data, memo], separators=(",", ":")).encode()
    return hashlib.sha256(text).hexdigest().encode() + b"\n" + text


def _read(found: bytes) -> tuple[Any, Any]:
    """What ``_written`` wrote, its numbers as numbers again. Raises ``ValueError`` where it was damaged."""
    said, _, text = found.partition(b"\n")
    if hashlib.sha256(text).hexdigest().encode() != said:
        raise ValueError("the checksum does not hold")
    data, memo = json.loads(text)
    table = data["parser"]["parser"]
    table["tokens"] = {int(key): value for key, value in table["tokens"].items()}
    table["states"] = {
        int(state): {int(token): tuple(action) for token, action in actions.items()}
        for state, actions in table["states"].items()
    }
    return data, {int(key): value for key, value in memo.items()}
