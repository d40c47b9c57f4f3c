"""Checking a script before anything runs. Pure: never loads weights, never imports torch for bundled,
sandbox and safetensors models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from energylang.diagnostics import Diagnostic
from energylang.diagnostics.source import Source
from energylang.files.cache import Shelf
from energylang.ops.spelling import parse_names
from energylang.signature import types as t
from energylang.syntax import ast
from energylang.syntax.parser import Parser

from .advice import advise, silenced
from .modules import Modules
from .program import PASSES, top_level
from .scope import NO_MODEL, SOME_MODEL, Call, ModelState, Procedure, Scope
from .walk import Walk

__all__ = ["Checked", "check", "parser"]


@lru_cache(maxsize=1)
def parser() -> Parser:
    """The parser for the operations there are."""
    return Parser({name: op.tail for name, op in parse_names() if op.tail is not None}, Shelf())


@dataclass
class Checked:
    """A program, what was found wrong with it, and what the interpreter needs to run it.

    ``constants`` are the ``let`` statements of imported modules, by ``import`` statement. For editors, ``types``
    holds what the variables are, by the ``let`` or ``for`` that makes them, and ``states`` what is known before and
    behind each statement (in the last round of a loop, in the last call of a procedure).
    """

    program: ast.Program
    diagnostics: list[Diagnostic]
    calls: Mapping[int, Call] = field(default_factory=dict)
    procedures: dict[str, Procedure] = field(default_factory=dict)
    constants: Mapping[int, list[ast.Statement]] = field(default_factory=dict)
    types: Mapping[int, t.Type] = field(default_factory=dict)
    states: Mapping[int, tuple[ModelState, ModelState]] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not any(diagnostic.is_error for diagnostic in self.diagnostics)


def check(
    source: Source | str,
    *,
    model: ModelState = NO_MODEL,
    variables: Mapping[str, t.Type] | None = None,
    procedures: Mapping[str, Procedure] | None = None,
    whole: bool = True,
    states: bool = False,
) -> Checked:
    """Parse and check a script. ``model``, ``variables`` and ``procedures`` are what is there already; a script
    that is not the ``whole`` (a line at a prompt) is not told what it leaves unused or unsaved. ``states``: keep what
    is known around every statement, for an editor (it takes much memory)."""
    if isinstance(source, str):
        source = Source(source)
    program, problems = parser().parse(source)
    lost = _lost(problems)
    walk = Walk(
        Modules(parser().parse),
        PASSES,
        source.base,
        SOME_MODEL if "load" in lost and not model.loaded else model,
        Scope(variables=variables),
        dict(procedures or {}),
        lost,
        incomplete=bool(lost & {"def", "import"}),
        keeps_states=states,
    )
    walk.most_visits += 5 * len(source.line_starts)
    top_level(walk, program)
    if whole and not problems and not walk.problems.has_errors:
        advise(walk, program)
    found = silenced([*problems, *walk.problems.sorted()], source, program)
    found.sort(key=lambda item: item.span.start if item.span and item.span.source is source else -1)
    return Checked(program, found, walk.calls, walk.procedures, walk.constants, walk.types, walk.states)


def _lost(problems: list[Diagnostic]) -> frozenset[str]:
    """All words on the lines that could not be read: what they would have defined or loaded is missing, and
    what is wrong for want of it is not worth a word."""
    words: set[str] = set()
    for problem in problems:
        if problem.span is not None and problem.code != "EL105":
            line, _ = problem.span.start_location()
            words.update(re.findall(r"[^\W\d][\w-]*", problem.span.source.line(line)[:10_000]))
    return frozenset(words)
