"""What stands inside a quoted text: plain characters, escapes, and holes ``{expression:format}``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "{": "{", "}": "}"}
MAX_WIDTH = 500

_SPECIAL = re.compile(r"[\\{}]")
_CODE_POINT = re.compile(r"\{([0-9A-Fa-f]{1,6})\}")
_FORMAT = re.compile(
    r"(?:.?[<>=^])?[-+ ]?#?0?(?P<width>\d*)[,_]?(?:\.(?P<digits>\d+))?(?P<kind>[bdeEfFgGosxX%]?)"
)


@dataclass(frozen=True)
class HolePiece:
    """``{expression:format}``; ``start`` and ``end`` (exclusive) count from the start of the text."""

    start: int
    end: int
    expression: str
    format: str


class TextProblem(Exception):
    """Something in a text that cannot be read, ``length`` characters from ``start``."""

    def __init__(self, code: str, message: str, start: int, length: int, help: str) -> None:
        super().__init__(message)
        self.code, self.message, self.start, self.length, self.help = code, message, start, length, help


def multi_line(inner: str) -> list[str | HolePiece]:
    """The pieces of a text in triple quotes: without the line ends next to the quotes where nothing else stands on
    their lines, and without the blanks that all its lines begin with."""
    lines = inner.replace("\r\n", "\n").split("\n")
    if len(lines) < 2:
        return pieces(inner)
    full = [line for line in lines[1:-1] if line.strip()]
    last = lines[-1]
    full += [last]  # the line of the closing quotes counts: they stand where the text begins
    margin = min(len(line) - len(line.lstrip(" ")) for line in full)
    found = pieces(inner, margin)
    if not lines[0].strip() and isinstance(found[0], str):
        found[0] = re.sub(r"\A[ \t]*\n", "", found[0])
    if not last.strip() and isinstance(found[-1], str):
        found[-1] = re.sub(r"\n[ \t]*\Z", "", found[-1])
    return [piece for piece in found if piece != ""] or [""]


def pieces(inner: str, margin: int | None = None) -> list[str | HolePiece]:
    """The pieces of a text (without its quotes), in order; at least one. ``margin``: the text has several lines, which
    begin with so many blanks that are none of the text's."""

    def raw(part: str) -> str:
        if margin is None:
            return part
        return re.sub(rf"\n {{0,{margin}}}", "\n", part.replace("\r\n", "\n"))

    found: list[str | HolePiece] = []
    plain: list[str] = []
    position = 0
    while match := _SPECIAL.search(inner, position):
        start = match.start()
        plain.append(raw(inner[position:start]))
        if match[0] == "\\":
            character, position = _escape(inner, start)
            plain.append(character)
        elif match[0] == "{":
            hole = _hole(inner, start)
            if any(plain):
                found.append("".join(plain))
            plain = []
            found.append(hole)
            position = hole.end
        else:
            raise TextProblem(
                "EL103", "this `}` closes nothing", start, 1, "write `\\}` for a brace that is just a brace"
            )
    plain.append(raw(inner[position:]))
    if any(plain) or not found:
        found.append("".join(plain))
    return found


def _escape(inner: str, start: int) -> tuple[str, int]:
    character = inner[start + 1]
    if character in ESCAPES:
        return ESCAPES[character], start + 2
    if character == "u":
        match = _CODE_POINT.match(inner, start + 2)
        if match and int(match[1], 16) <= 0x10FFFF and not 0xD800 <= int(match[1], 16) <= 0xDFFF:
            return chr(int(match[1], 16)), match.end()
        raise TextProblem("EL107", "not a character: `\\u{…}` holds a hexadecimal code point", start, 2,
                          "for example `\\u{3b2}` for β")  # fmt: skip
    raise TextProblem("EL107", f"unknown escape `\\{character}`", start, 2,
                      'the escapes are \\n \\t \\" \\\\ \\{ \\} and \\u{…}')  # fmt: skip


def _hole(inner: str, start: int) -> HolePiece:
    end = _hole_end(inner, start)
    brace = "write `\\{` for a brace that is just a brace"
    if end is None:
        raise TextProblem("EL103", "this `{` is never closed in its text", start, 1,
                          f"{brace}; a text cannot stand inside braces: name it with `let`")  # fmt: skip
    content = inner[start + 1 : end]
    expression, colon, format = _split_format(content)
    if not expression.strip():
        raise TextProblem("EL103", "nothing stands between these braces", start, end + 1 - start, brace)
    if '\\"' in expression:
        place = start + 1 + expression.index('\\"')
        raise TextProblem("EL103", "a text cannot stand inside of another text's braces", place, 2,
                          "give it a name with `let` and use the name here")  # fmt: skip
    if colon and (wrong := format_problem(format)):
        place = start + 2 + len(expression)
        raise TextProblem(
            "EL107", wrong, place, max(1, len(format)), "formats are written as `.2f`, `.1%`, `6d` or `>12`"
        )
    return HolePiece(start, end + 1, expression, format)


def format_problem(format: str) -> Literal[""] | str:
    """What is wrong with a format, or an empty text. (Whether it fits its value is the checker's business.)"""
    match = _FORMAT.fullmatch(format)
    if match is None:
        return f"`{format[:40]}` is not a format"
    for number in (match["width"], match["digits"]):
        if number and (len(number) > 4 or int(number) > MAX_WIDTH):
            return f"this format is too wide: at most {MAX_WIDTH} characters"
    return ""


def _hole_end(text: str, start: int) -> int | None:
    """Where the brace opened at ``start`` closes, passing over braces inside."""
    depth = 0
    for match in re.compile("[{}]").finditer(text, start):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return match.start()
    return None


def _split_format(content: str) -> tuple[str, str, str]:
    """Split ``expression:format`` at the first colon outside of brackets."""
    depth = 0
    for match in re.finditer(r"[()\[\]{}:]", content):
        if match[0] in "([{":
            depth += 1
        elif match[0] in ")]}":
            depth -= 1
        elif depth <= 0:
            return content[: match.start()], ":", content[match.end() :]
    return content, "", ""
