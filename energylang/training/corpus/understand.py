"""Reading replies: which register (``classify``), and which sentence of the grammar (``parse``).

``classify`` counts marker words and so has an answer for broken sentences too. ``parse`` accepts a reply
only when it is, word by word, a template of its register with fillers of the micro-world in its slots:
the share of replies that parse is the share that is fluent. Blanks and capitals do not count.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal, TypeAlias

from energylang.training.corpus.sources import REGISTERS, bare_thing, world
from energylang.training.corpus.templates import Template, spaced, words

Stance: TypeAlias = Literal["agree", "refuse"]

#: One in so many combinations is reserved for the held-out text …
RESERVED_SHARE = 8
#: … chosen by this, and not by the seed of a corpus: what is reserved is the same in all of them.
RESERVED_SALT = "held out 0"

_OF_REPLY = {"n": "n", "n0": "n", "n2": "n", "a": "a", "a2": "a"}


@dataclass(frozen=True, slots=True)
class Parsed:
    """A reply understood.

    ``stance`` is the answer to a request and None for any other intent. ``topics`` are those of its
    things, actions and reasons: one, unless the speaker mixes them up, none when it has no such slot.
    ``reserved`` tells that it contains a combination no training text of ``documents`` contains.
    """

    register: str
    intent: str
    stance: Stance | None
    topics: tuple[str, ...]
    template: str
    reserved: bool


@dataclass(frozen=True)
class _Entry:
    section: str
    template: Template

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Compiled when it is first needed: all of them take seconds."""
        return self.template.pattern(world().fillers())


def classify(text: str) -> str | None:
    """The register with the most marker words in ``text``; None when none or several have the most."""
    owner = _owner()
    counts = dict.fromkeys(REGISTERS, 0)
    for word in words(text):
        if word in owner:
            counts[owner[word]] += 1
    best = max(counts.values())
    leaders = [r for r in REGISTERS if counts[r] == best]
    return leaders[0] if best and len(leaders) == 1 else None


def parse(reply: str) -> Parsed | None:
    """The sentence of the grammar that ``reply`` is, or None when it is none."""
    return next(readings(reply), None)


def readings(reply: str) -> Iterator[Parsed]:
    """Every way to understand ``reply``; the files are written so that there is at most one."""
    register = classify(reply)
    text = spaced(reply)
    if register is None:
        return
    for entry in _index()[register].get(text.partition(" ")[0], ()):
        if match := entry.pattern.fullmatch(text):
            values = {slot: value.rstrip() for slot, value in match.groupdict().items()}
            if _consistent(values):
                intent, _, stance = entry.section.partition(".")
                yield Parsed(
                    register,
                    intent,
                    "agree" if stance == "agree" else "refuse" if stance else None,
                    _topics_of(values),
                    entry.template.source,
                    is_reserved(register, entry.section, entry.template, values),
                )


def is_reserved(register: str, section: str, template: Template, values: dict[str, str]) -> bool:
    """Whether one of the things or actions that ``template`` shows is reserved with it."""
    return any(
        _combination(f"{register} {section} {template.source}", bare_thing(values[slot]))
        for slot in _OF_REPLY
        if slot in template.slots
    )


@cache
def _combination(template: str, value: str) -> bool:
    digest = hashlib.sha256(f"{RESERVED_SALT}\n{template}\n{value}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % RESERVED_SHARE == 0


def _consistent(values: dict[str, str]) -> bool:
    """{n} and {n0} name one thing; {n2} and {a2} are second ones."""
    return (
        values.get("n0") in (None, bare_thing(values.get("n", values.get("n0", ""))))
        and (values.get("n2") is None or bare_thing(values["n2"]) not in map(bare_thing, _first(values)))
        and (values.get("a2") is None or values["a2"] != values.get("a"))
    )


def _first(values: dict[str, str]) -> list[str]:
    return [values[slot] for slot in ("n", "n0") if slot in values]


def _topics_of(values: dict[str, str]) -> tuple[str, ...]:
    home = _home()
    found = {home[v] for v in values.values() if v in home}
    return tuple(topic for topic in world().topics if topic in found)


@cache
def _home() -> dict[str, str]:
    """thing (with and without article), action or reason → its topic. States are shared by topics."""
    return {
        value: name
        for name, topic in world().topics.items()
        for value in (*topic.things, *map(bare_thing, topic.things), *topic.actions, *topic.reasons)
    }


@cache
def _owner() -> dict[str, str]:
    """marker word → its register."""
    return {word: name for name, register in world().registers.items() for word in register.markers}


@cache
def _index() -> dict[str, dict[str, list[_Entry]]]:
    """register → first word of a reply → the templates that can begin so."""
    fillers = world().fillers()
    index: dict[str, dict[str, list[_Entry]]] = {}
    for name, register in world().registers.items():
        heads: dict[str, list[_Entry]] = {}
        for section, templates in register.replies.items():
            for template in templates:
                entry = _Entry(section, template)
                for word in template.openings(fillers):
                    heads.setdefault(word, []).append(entry)
        index[name] = heads
    return index
