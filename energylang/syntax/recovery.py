"""After a syntax error: set the statement at fault aside, so that the rest can be looked at.

The statement is replaced by one that does nothing, of equal length and with its line ends in place, so that
every span behind it stays right. The head of a block becomes the head of an empty condition, so that the
lines under it are still looked at; lines that are indented without a block become comments.
"""

from __future__ import annotations

import re

_BLOCK_HEAD = re.compile(
    r"(if|elif|else|for|def|while|attempt|with|try|except|finally|class)(?![\w-])|.*:[ ]*(#.*)?$"
)
_NEXT_LINE = re.compile(r"\n(?:[ \t]*(?:#[^\n]*)?\n)*([ ]*)[^\s#]")
_LEXICAL = re.compile(r'"(?:[^"\\\n]|\\.)*"|#[^\n]*|[()\[\]\n]')


def set_aside(text: str, place: int, cut: int, line: int, code: str) -> str:
    """``text`` from ``cut`` on, without the statement around ``place`` that starts on the line at ``line``."""
    if code == "EL105":
        return re.sub(r"(?m)^[ \t]+", lambda blank: blank[0].replace("\t", " "), text[cut:])
    place = min(place, len(text) - 1)
    start = max(line, cut)
    end = _end(text, start, place)
    if not text[start:end].strip():  # an empty line: the culprit stands before it
        end = len(text[:start].rstrip())
        start = max(text.rfind("\n", 0, end) + 1, cut)
    first, _, _ = text[start:end].partition("\n")
    indentation = len(first) - len(first.lstrip(" \t"))
    following = _NEXT_LINE.match(text, end)
    if code == "EL104":
        end = _end_of_block(text, end, max(indentation, 1))
        return text[cut:start] + _blank(text[start:end]) + text[end:]
    body = _blank(text[start + indentation : end])
    head = _BLOCK_HEAD.match(first, indentation)
    new = "pass" if code != "EL108" else ""
    if following is not None and len(following[1]) > indentation:
        goes_on = head and head[1] in ("elif", "else") and place > start + indentation  # it has its `if`
        if head and not goes_on and len(body) >= 8:
            new = "if true:"
        elif goes_on and len(body) >= 5:
            new = "else:"
        else:  # no room for a head: the lines under it are set aside, too
            end = _end_of_block(text, end, indentation + 1)
            body = _blank(text[start + indentation : end])
    if "\n" not in body[: len(new)] and len(body) >= len(new):
        body = new + body[len(new) :]
    return text[cut:start] + text[start : start + indentation] + body + text[end:]


def _end_of_block(text: str, end: int, indentation: int) -> int:
    """The end of the last of the lines after ``end`` that are indented at least so far."""
    following = _NEXT_LINE.match(text, end)
    while following and len(following[1]) >= indentation:
        end = text.find("\n", following.end())
        following = _NEXT_LINE.match(text, end)
    return end


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", "#", text)


def _end(text: str, start: int, place: int) -> int:
    """The end of the statement: of its line, or of the line on which its brackets close.

    A bracket that is not closed before the next line without further indentation is not waited for.
    """
    end = text.find("\n", place)
    while text[start:end].rstrip().endswith("\\") and text.find("\n", end + 1) > 0:
        end = text.find("\n", end + 1)
    first = text[start:end]
    width = len(first) - len(first.lstrip(" \t"))
    depth = 0
    for match in _LEXICAL.finditer(text, start):
        if match[0] in "([":
            depth += 1
        elif match[0] in ")]":
            depth -= 1
        elif match[0] == "\n":
            if depth <= 0:
                return max(end, match.start())
            following = re.compile(r"\n([ \t]*)([^\s#])").match(text, match.start())
            if following and len(following[1]) <= width and following[2] not in ")]":
                return end
    return end
