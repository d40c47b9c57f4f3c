"""Command scripts of the published tool (``.hlm``), made readable for this parser without moving a character.

There, a line is a command: blanks before it mean nothing, its first word may be written in capitals, ``quit``,
``exit`` and ``q`` end the script and ``help`` is for people; ``load`` takes single quotes. All else is valid here as it
stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_FIRST_WORD = re.compile(r"(?m)^([ \t]*)([A-Za-z][\w-]*)")
_QUOTED_MODEL = re.compile(r"(?m)^([ \t]*load[ \t]+)'([^'\"\\\n]*)'")
_END = re.compile(r"(?mi)^[ \t]*(?:quit|exit|q)[ \t]*(?:#[^\n]*)?$")
_HELP = re.compile(r"(?m)^([ \t]*)help\b[^\n]*")


def modernised(text: str) -> str:
    """The text of a command script, of the same length, line by line."""
    text = _FIRST_WORD.sub(lambda match: match[1] + match[2].lower(), text)
    text = _QUOTED_MODEL.sub(r'\1"\2"', text)
    text = _HELP.sub(lambda match: f"{match[1]}pass".ljust(len(match[0])), text)
    end = end_of_script(text)
    return text[:end] + re.sub(r"[^\n]", " ", text[end:])


def as_typed(text: str, is_operation: Callable[[str], bool]) -> str:
    """A line at the prompt, its first word in small letters where that makes it an operation (``SURVEY 0``)."""
    match = _FIRST_WORD.match(text)
    if match is None or is_operation(match[2]) or not is_operation(match[2].lower()):
        return text
    return match[1] + match[2].lower() + text[match.end() :]


def end_of_script(text: str) -> int:
    """Where a command ends the script, or the end of the text."""
    end = _END.search(text)
    return end.start() if end else len(text)
