"""The text files next to this module, read and checked.

``topics.txt`` holds what can be said about each topic, ``questions.txt`` the user's turns, and one file
for each register its marker words and its replies. ``#`` starts a comment line, ``[name]`` a section;
every other line is one entry. A mistake in them is a ``SourceError`` that names file and line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files

from energylang.training.corpus.templates import Template

REGISTERS = ("polite", "rude", "formal", "casual", "poetic")
INTENTS = ("open", "advise", "explain", "when", "tell", "choose", "request", "good", "bad", "close")
#: What a reply can do: every intent, and a request is agreed to or refused.
REPLY_SECTIONS = tuple(
    name for i in INTENTS for name in (("request.agree", "request.refuse") if i == "request" else (i,))
)

_FILLER = re.compile(r"[a-z]+(?:[ '][a-z]+)*")


class SourceError(ValueError):
    """A text file of the micro-world breaks its format."""


@dataclass(frozen=True, slots=True)
class Topic:
    """What can be said about one subject; everything goes with everything else in it."""

    things: tuple[str, ...]
    actions: tuple[str, ...]
    states: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Register:
    """A way of answering: the words that give it away, and its replies by section."""

    markers: frozenset[str]
    replies: dict[str, tuple[Template, ...]]


@dataclass(frozen=True, slots=True)
class World:
    """Everything the files say."""

    topics: dict[str, Topic]
    times: tuple[str, ...]
    questions: dict[str, tuple[Template, ...]]
    registers: dict[str, Register]

    def fillers(self) -> dict[str, tuple[str, ...]]:
        """All values of every slot."""
        every = {f.name: [v for t in self.topics.values() for v in getattr(t, f.name)] for f in fields(Topic)}
        things, actions, states, reasons = (tuple(dict.fromkeys(values)) for values in every.values())
        bare = tuple(bare_thing(t) for t in things)
        return {
            "n": things,
            "n0": bare,
            "n2": things,
            "a": actions,
            "a2": actions,
            "q": states,
            "w": reasons,
            "t": self.times,
        }


def bare_thing(thing: str) -> str:
    """``thing`` without its article."""
    return thing.removeprefix("the ")


@cache
def world() -> World:
    """The micro-world, read once."""

    def text(name: str) -> str:
        try:
            return files(__package__).joinpath(f"{name}.txt").read_text("utf-8")
        except FileNotFoundError:
            raise SourceError(f"{name}.txt is missing") from None

    return read_world(text)


@cache
def sentences() -> dict[str, tuple[str, ...]]:
    """register → sentences in it that no template of the corpus makes."""
    text = files(__package__).joinpath("sentences.txt").read_text("utf-8")
    return {
        name: tuple(line for _, line in lines) for name, lines in _sections("sentences.txt", text).items()
    }


def read_world(text: Callable[[str], str]) -> World:
    """The micro-world from ``text(name)``, the content of ``name.txt``."""
    topics, times = _topics(_sections("topics.txt", text("topics")))
    questions = _templates("questions.txt", _sections("questions.txt", text("questions")), INTENTS)
    registers = {name: _register(f"{name}.txt", text(name)) for name in REGISTERS}
    owner: dict[str, str] = {}
    for name, register in registers.items():
        for word in sorted(register.markers):
            if word in owner:
                raise SourceError(f"{name}.txt: the marker '{word}' belongs to {owner[word]}.txt already")
            owner[word] = name
    return World(topics, times, questions, registers)


def _sections(name: str, text: str) -> dict[str, list[tuple[str, str]]]:
    """section → (place, entry) of every line."""
    found: dict[str, list[tuple[str, str]]] = {}
    entries: list[tuple[str, str]] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        line, place = line.strip(), f"{name}:{number}"
        if not line or line.startswith("#"):
            continue
        if line.startswith("[") and line.endswith("]"):
            if line[1:-1] in found:
                raise SourceError(f"{place}: a second section {line}")
            entries = found[line[1:-1]] = []
        elif entries is None:
            raise SourceError(f"{place}: an entry before the first section")
        else:
            entries.append((place, line))
    return found


def _topics(sections: dict[str, list[tuple[str, str]]]) -> tuple[dict[str, Topic], tuple[str, ...]]:
    labels = tuple(f.name for f in fields(Topic))
    if "times" not in sections:
        raise SourceError("topics.txt: the section [times] is missing")
    times = _lists("[times]", sections["times"], ("times",))["times"]
    topics: dict[str, Topic] = {}
    home: dict[str, str] = {}
    for name, entries in sections.items():
        if name == "times":
            continue
        topic = topics[name] = Topic(**_lists(f"[{name}]", entries, labels))
        for thing in topic.things:
            if bare_thing(thing) == thing:
                raise SourceError(f"topics.txt: '{thing}' in [{name}] does not begin with 'the'")
        for value in (*topic.things, *topic.actions, *topic.reasons):
            if home.setdefault(value, name) != name:
                raise SourceError(f"topics.txt: '{value}' is in [{home[value]}] and in [{name}]")
        if min(len(topic.things), len(topic.actions)) < 2:
            raise SourceError(f"topics.txt: [{name}] needs two things and two actions")
    return topics, times


def _lists(
    section: str, entries: list[tuple[str, str]], labels: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    """label → its comma-separated values."""
    found: dict[str, tuple[str, ...]] = {}
    for place, line in entries:
        label, colon, rest = line.partition(":")
        if not colon or label not in labels or label in found:
            raise SourceError(f"{place}: expected one line each of {', '.join(labels)}, found '{line}'")
        values = found[label] = tuple(value.strip() for value in rest.split(","))
        for value in values:
            if not _FILLER.fullmatch(value) or values.count(value) > 1:
                raise SourceError(f"{place}: '{value}' is repeated or not lower-case words")
    if missing := [label for label in labels if label not in found]:
        raise SourceError(f"topics.txt: {section} has no {missing[0]}")
    return found


def _register(name: str, text: str) -> Register:
    sections = _sections(name, text)
    if "markers" not in sections:
        raise SourceError(f"{name}: the section [markers] is missing")
    markers = [word for _, line in sections.pop("markers") for word in line.split()]
    for word in markers:
        if not _FILLER.fullmatch(word):
            raise SourceError(f"{name}: the marker '{word}' is not a lower-case word")
    return Register(frozenset(markers), _templates(name, sections, REPLY_SECTIONS))


def _templates(
    name: str, sections: dict[str, list[tuple[str, str]]], expected: tuple[str, ...]
) -> dict[str, tuple[Template, ...]]:
    if different := sorted(set(expected) ^ set(sections)):
        kind = "missing" if different[0] in expected else "not known"
        raise SourceError(f"{name}: the section [{different[0]}] is {kind}")
    place_of: dict[str, str] = {}
    found: dict[str, tuple[Template, ...]] = {}
    for section in expected:
        if not sections[section]:
            raise SourceError(f"{name}: the section [{section}] is empty")
        templates = []
        for place, line in sections[section]:
            if (first := place_of.setdefault(line, place)) != place:
                raise SourceError(f"{place}: the same sentence as {first}")
            try:
                templates.append(Template.read(line))
            except ValueError as error:
                raise SourceError(f"{place}: {error}") from None
        found[section] = tuple(templates)
    return found
