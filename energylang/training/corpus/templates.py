"""A sentence with gaps: ``(a|b|c)`` is a choice, ``{n}`` a slot.

A template is read once into parts. It can be filled in (``fill``) and, the other way round, turned into a
regular expression that accepts exactly its sentences (``pattern``). Both ends meet in ``spaced``, which
writes a text as lower-cased words and punctuation marks, each with one blank behind it: what differs only
in blanks and capitals, as texts do that come from a word tokenizer, is the same sentence.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

#: {n} a thing ("the soup"), {n0} the same without its article, {n2} a second thing, {a} something to do,
#: {a2} a second thing to do, {q} how the thing is, {w} why, {t} when.
SLOTS = ("n", "n0", "n2", "a", "a2", "q", "w", "t")

_PART = re.compile(r"\{(?P<slot>[^{}()]*)\}|\((?P<choice>[^{}()]*)\)|(?P<text>[^{}()]+)|(?P<bad>.)")
_PLAIN = re.compile(r"[A-Za-z ,.?!'|]*")
_TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)*|\S")
_START = re.compile(r"(?:^|(?<=[.?!] ))[a-z]")
_LOOSE = re.compile(r" +(?=[ ,.?!])")


@dataclass(frozen=True, slots=True)
class Slot:
    """A gap for a value of one kind."""

    name: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several wordings; one of them may be empty."""

    options: tuple[str, ...]


@dataclass(frozen=True)
class Template:
    """A sentence with gaps, as written (``source``) and in parts."""

    source: str
    parts: tuple[str | Slot | Choice, ...]

    @classmethod
    def read(cls, source: str) -> Template:
        """The template written ``source``; raises ``ValueError`` with what is wrong with it."""
        parts: list[str | Slot | Choice] = []
        for match in _PART.finditer(source):
            if match["bad"] is not None:
                raise ValueError(f"unmatched or nested '{match['bad']}' in '{source}'")
            if not _PLAIN.fullmatch(match["choice"] or match["text"] or ""):
                raise ValueError(f"'{source}' contains a character other than letters and , . ? ! '")
            if match["slot"] is not None:
                if match["slot"] not in SLOTS:
                    raise ValueError(f"unknown slot '{match[0]}' in '{source}'")
                parts.append(Slot(match["slot"]))
            elif match["choice"] is not None:
                options = tuple(match["choice"].split("|"))
                if len(options) < 2 or len(set(options)) < len(options):
                    raise ValueError(f"'{match[0]}' in '{source}' is not a choice of different wordings")
                parts.append(Choice(options))
            else:
                if "|" in match[0]:
                    raise ValueError(f"'|' outside parentheses in '{source}'")
                parts.append(match[0])
        template = cls(source, tuple(parts))
        for wordings in product(*map(_wordings, template.parts)):
            if spaced("".join(wordings)) != "".join(map(spaced, wordings)):
                raise ValueError(f"a slot or choice touches a word in '{source}'")
        return template

    @cached_property
    def slots(self) -> frozenset[str]:
        """The names of its slots."""
        return frozenset(p.name for p in self.parts if isinstance(p, Slot))

    def fill(self, draw: random.Random, values: Mapping[str, str]) -> str:
        """A sentence: drawn wordings, the given values, capitals where sentences start."""
        text = "".join(
            part
            if isinstance(part, str)
            else values[part.name]
            if isinstance(part, Slot)
            else draw.choice(part.options)
            for part in self.parts
        )
        return _START.sub(lambda m: m[0].upper(), _LOOSE.sub("", text).strip())

    def pattern(self, fillers: Mapping[str, Sequence[str]]) -> re.Pattern[str]:
        """Matches ``spaced(text)`` in full when ``text`` is this template filled in from ``fillers``.

        Every slot is a group of its name; a slot that occurs twice is twice the same.
        """
        written, seen = "", set[str]()
        for part in self.parts:
            if isinstance(part, str):
                written += re.escape(spaced(part))
            elif isinstance(part, Choice):
                written += _either(part.options)
            elif part.name in seen:
                written += f"(?P={part.name})"
            else:
                written += f"(?P<{part.name}>{_either(fillers[part.name])})"
                seen.add(part.name)
        return re.compile(written)

    def openings(self, fillers: Mapping[str, Sequence[str]]) -> frozenset[str]:
        """The words (or marks) its sentences can begin with."""
        found: set[str] = set()
        for part in self.parts:
            heads = {spaced(w).split(" ")[0] for w in _wordings(part, fillers)}
            found |= heads - {""}
            if "" not in heads:
                break
        return frozenset(found)


def words(text: str) -> list[str]:
    """The words of ``text`` in lower case and its punctuation marks."""
    return _TOKEN.findall(text.lower())


def spaced(text: str) -> str:
    """The words and marks of ``text``, each with one blank behind it."""
    return "".join(f"{word} " for word in words(text))


def _either(options: Iterable[str]) -> str:
    return f"(?:{'|'.join(re.escape(spaced(option)) for option in options)})"


def _wordings(
    part: str | Slot | Choice, fillers: Mapping[str, Sequence[str]] | None = None
) -> tuple[str, ...]:
    """What can stand for one part; without ``fillers`` a slot is some word."""
    if isinstance(part, str):
        return (part,)
    if isinstance(part, Choice):
        return part.options
    return ("word",) if fillers is None else tuple(fillers[part.name])
