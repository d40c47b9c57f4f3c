"""Is a text complete, or does the Enter key begin another line of it?"""

from __future__ import annotations

import re

STEP = 4
_LONG = re.compile(r'"""(?:[^"\\]|\\.|"(?!""))*"""', re.DOTALL)


def is_complete(text: str) -> bool:
    """False inside brackets and texts in triple quotes, after a backslash, and inside a block until an empty
    line ends it."""
    if text.count('"""') % 2:
        return False
    text = _LONG.sub('""', text)
    lines = text.split("\n")
    code = [_code(line) for line in lines]
    if lines[-1].rstrip().endswith("\\"):
        return False
    whole = "\n".join(code)
    if sum(map(whole.count, "([{")) > sum(map(whole.count, ")]}")):
        return False
    if not any(line.rstrip().endswith(":") for line in code):
        return True
    return len(lines) > 1 and not lines[-1].strip()


def indentation(text: str) -> str:
    """The blanks with which the next line begins."""
    last = text.split("\n")[-1]
    before = last[: len(last) - len(last.lstrip())]
    return before + " " * STEP if _code(last).rstrip().endswith(":") else before


def _code(line: str) -> str:
    """A line without its texts and its comment."""
    return re.sub(r"(?:^|\s)#.*", "", re.sub(r'"(?:[^"\\]|\\.)*"', '""', line))
