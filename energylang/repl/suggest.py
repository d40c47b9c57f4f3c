"""What could come next?  Completions and argument hints, from the text before the cursor and a session.

Pure: no terminal, no torch, nothing is computed in the session (a layer that was not surveyed has no basins to
offer). The prompt and the notebook both ask here.

1. The statement at the cursor is the part of the last line after ``;``, ``(``, ``let x =``, ``print``, ``with``.
2. Its first word (or two: ``causal scan``) names an operation; before that is complete, names are offered.
3. Otherwise the place of the cursor among the arguments says which parameter it is, and its type what fits.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from energylang.models.described.places import PUBLISHED
from energylang.models.header import bundled_names
from energylang.ops import TABLE
from energylang.signature import types as t
from energylang.signature.declaration import Op, Param
from energylang.signature.settings import SETTINGS

if TYPE_CHECKING:
    from energylang.session import Session

KEYWORDS = (
    "let print require assert attempt with quiet sweep return import pass if elif else for in def and or not true false"
).split()
SANDBOXES = ("random:256", "random:64x4", "planted:64x4", "planted:256x20")

_LEAD = re.compile(
    r"""(?:.*[;(:]\s+|.*[;(])?          # a statement or a group before
        \s*
        (?:let\s+[\w-]+\s*=\s*|[\w-]+\s*=\s+(?!=)|(?:print|with|return|require|assert)\s+)?""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Suggestion:
    """A word that fits, in place of the ``length`` characters before the cursor, and a note about it."""

    text: str
    length: int
    note: str = ""


@dataclass(frozen=True)
class Hint:
    """The operation being written: its usage, and the parameter at the cursor (``None``: all are given)."""

    op: Op
    param: Param | None


@dataclass(frozen=True)
class _Place:
    op: Op | None
    done: tuple[str, ...]  # complete words behind the operation
    word: str  # the word at the cursor
    start: str  # the statement up to the cursor
    base: Path | None = None  # where paths begin


def suggest(text: str, session: Session | None = None, *, base: Path | None = None) -> list[Suggestion]:
    """What may stand at the end of ``text``, best first; empty inside comments and texts. Without a session, paths
    begin at ``base``."""
    place = _place(text)
    if place is None:
        return []
    place = replace(place, base=base if session is None else session.base)
    if place.op is None:
        return list(_names(place, session))
    param = _parameter(place)
    key, equals, value = place.word.partition("=")
    if equals:
        named = place.op.param(key)
        return [] if named is None else list(_fitting(named, value, place, session))
    found = [] if param is None else list(_fitting(param, place.word, place, session))
    given = {word.partition("=")[0] for word in place.done if "=" in word}
    offered = [p for p in place.op.params if p.name not in given and (p.keyword_only or not p.required)]
    found += [
        Suggestion(f"{p.name}=", len(place.word), p.help)
        for p in offered
        if f"{p.name}=".startswith(place.word) and p.name not in ("force", "reason")
    ]
    if place.op.param("force") is not None and place.word.startswith("-"):
        found += _matching([("--force", "keep it even if the gate refuses"), ("--reason", "why")], place.word)
    return found


def hint(text: str) -> Hint | None:
    """The operation at the end of ``text`` and the parameter that is being written."""
    place = _place(text)
    if place is None or place.op is None:
        return None
    key, equals, _ = place.word.partition("=")
    return Hint(place.op, place.op.param(key) if equals else _parameter(place))


def _place(text: str) -> _Place | None:
    line = text.rsplit("\n", 1)[-1]
    if len(re.findall(r'(?<!\\)"', line)) % 2:
        return _in_string(line)
    if re.search(r"(?:^|\s)#", re.sub(r'"[^"]*"', '""', line)):
        return None
    lead = _LEAD.match(re.sub(r'"[^"]*"', lambda found: "_" * len(found[0]), line))
    statement = line[lead.end() :] if lead else line
    words = re.findall(r'[\w-]*=?(?:"[^"]*"|\[[^\]]*\]?)|\S+', statement)
    in_list = bool(words) and "[" in words[-1] and not words[-1].endswith("]")
    done = not words or (statement[-1].isspace() and not in_list)
    word = "" if done else words.pop()
    for count in (3, 2, 1):
        name = " ".join(words[:count])
        if len(words) >= count and name in TABLE:
            return _Place(TABLE[name], tuple(words[count:]), word, statement)
    return _Place(None, tuple(words), word, statement)


def _in_string(line: str) -> _Place | None:
    """Inside a text there is nothing to say, unless the text is a path."""
    before, _, inside = line.rpartition('"')
    place = _place(before if before.endswith(("=", " ")) else before + " ")
    if place is None or place.op is None:
        return None
    key = place.word.partition("=")[0]
    param = place.op.param(key) if "=" in place.word else _parameter(place)
    if param is None or param.type not in (t.PATH, t.MODEL):
        return None
    return _Place(place.op, place.done, f"{key}={inside}" if "=" in place.word else inside, line)


def _parameter(place: _Place) -> Param | None:
    assert place.op is not None
    done = [word for word in place.done if "=" not in word and not word.startswith("--")]
    count = len(done)
    if place.op.takes_layer_and_target and done and re.fullmatch(r"L\d+\.[BN]\d+", done[0]):
        count += 1  # a basin, or a neuron, stands for layer and target
    positional = place.op.positional
    return positional[count] if count < len(positional) else None


def _names(place: _Place, session: Session | None) -> Iterator[Suggestion]:
    """Operations, keywords, variables and procedures; of operations of two words also the second."""
    typed = " ".join((*place.done, place.word))
    for name, op in TABLE.items():
        if name.startswith(typed):
            yield Suggestion(name, len(typed), op.summary)
    if place.done:
        return
    if session is not None:
        for name, procedure in session.procedures.items():
            if name.startswith(place.word):
                yield Suggestion(name, len(place.word), procedure.usage())
        for name in session.variables:
            if name.startswith(place.word):
                yield Suggestion(name, len(place.word), "a variable")
    yield from _matching([(word, "") for word in KEYWORDS], place.word) if place.word else ()


def _matching(words: Iterable[tuple[str, str]], typed: str) -> list[Suggestion]:
    return [Suggestion(word, len(typed), note) for word, note in words if word.startswith(typed)]


def _fitting(param: Param, typed: str, place: _Place, session: Session | None) -> Iterator[Suggestion]:
    """The values that a parameter could have."""
    yield from _matching([(word, param.help) for word in param.choices], typed)
    kind = param.type
    if kind in (t.LAYER, t.LAYERS, t.STEPS):
        yield from _layers(typed, session, basins=bool(place.op and place.op.takes_layer_and_target))
        if kind == t.LAYER and place.op and place.op.takes_layer_and_target:
            yield from _neurons(typed, place.op.positional[1].type, session)
        if kind == t.LAYERS:
            yield from _matching([("layers", "all of them")], typed)
    elif kind in (t.BASIN, t.BASINS, t.DIRECTION, t.KEY, t.SOURCE):
        inside = typed.rpartition("[")[2].rpartition(",")[2].strip()
        layer = next((word for word in place.done if re.fullmatch(r"L\d+", word)), "")
        yield from _basins(inside, layer, session)
        yield from _neurons(inside, kind, session)
        if kind not in (t.BASIN, t.BASINS):
            yield from _concepts(typed, session)
        if kind in t.AIMED:
            yield from _matching([("seed", "a random direction: seed 42")], typed)
    elif kind == t.AT:
        yield from _matching([(word, "positions") for word in ("all", "reply", "last")], typed)
    elif kind in (t.CONCEPT, t.CONCEPTS, t.PARTS):
        yield from _concepts(typed.rpartition("@")[2] if kind != t.CONCEPT else typed, session)
    elif kind == t.BOOL:
        yield from _matching([("true", ""), ("false", "")], typed)
    elif kind == t.LABEL and session is not None:
        yield from _matching([(name, "a checkpoint") for name in session.timeline.checkpoints], typed)
    elif kind == t.VALUE and place.done and (setting := SETTINGS.get(place.done[0])) is not None:
        yield from _matching([(word, setting.help) for word in setting.choices], typed)
    elif kind in (t.PATH, t.MODEL):
        if kind == t.MODEL:
            yield from _matching([(name, "bundled") for name in bundled_names()], typed)
            yield from _matching([(name, "fetched by `el get`") for name in PUBLISHED], typed)
            yield from _matching([(name, "a sandbox") for name in SANDBOXES], typed)
        yield from _paths(typed, place.base or Path.cwd())


def _layers(typed: str, session: Session | None, *, basins: bool) -> Iterator[Suggestion]:
    if session is None or not session.has_model:
        return
    if "." in typed:
        if basins:
            yield from _basins(typed, "", session)
        return
    for index in range(session.model.num_layers):
        count = len(session.staged(index).registry.alive())
        note = f"d = {session.model.dims[index]}, " + (f"{count} known basins" if count else "not surveyed")
        yield from _matching([(f"L{index}", note)], typed)


def _basins(typed: str, layer: str, session: Session | None) -> Iterator[Suggestion]:
    """Basins with energy and what settles there, those with most tokens (then starts) first."""
    if session is None or not session.has_model:
        return
    found = re.match(r"L(\d+)", typed) or re.match(r"L(\d+)", layer)
    chosen = [int(found[1])] if found else range(session.model.num_layers)
    for index in chosen:
        if not 0 <= index < session.model.num_layers:
            continue
        registry = session.staged(index).registry
        for basin in sorted(registry.alive(), key=lambda known: (-known.tokens, -known.population)):
            tokens = f"{basin.tokens} tokens, " if registry.token_states else ""
            note = f"energy {basin.energy:.2f}, {tokens}{registry.counted(basin)}"
            yield from _matching([(f"L{index}.B{basin.id}", note)], typed)


def _neurons(typed: str, kind: t.Type, session: Session | None) -> Iterator[Suggestion]:
    """How a layer's neurons begin, where they are keys of a memory."""
    found = re.match(r"L(\d+)\.", typed)
    if found is None or kind not in (t.KEY, t.SOURCE) or session is None or not session.has_model:
        return
    index, counts = int(found[1]), session.model.header.neurons
    if index < len(counts) and counts[index]:
        yield from _matching([(f"L{index}.N", f"a neuron: N0 to N{counts[index] - 1}")], typed)


def _concepts(typed: str, session: Session | None) -> Iterator[Suggestion]:
    if session is not None:
        notes = [(c.name, f"L{c.layer}, {len(c.states)} texts") for c in session.state.concepts.values()]
        yield from _matching(notes, typed)


def _paths(typed: str, base: Path) -> Iterator[Suggestion]:
    """Files and folders that begin like ``typed``, folders with a slash."""
    folder, name = os.path.split(typed)
    where = base / Path(folder).expanduser()
    try:
        entries = sorted(os.scandir(where), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries[:1000]:
        if entry.name.startswith(name) and (name.startswith(".") or not entry.name.startswith(".")):
            tail = "/" if entry.is_dir() else ""
            yield Suggestion(os.path.join(folder, entry.name) + tail, len(typed), "folder" if tail else "")
