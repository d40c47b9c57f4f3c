"""What the checker carries along while it walks through a program: one record.

Whoever reads a pass (``expressions``, ``commands``, ``procedures``, ``program``; ``known`` and ``flow`` below them)
finds here what it may read and write. The passes call each other in a circle, as the language does: an expression may
be a command, a command the call of a procedure, a procedure holds statements, and statements hold expressions. The
circle is closed in one place, ``Passes``, which ``program`` fills in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energylang.diagnostics import Diagnostics
from energylang.diagnostics.source import Span
from energylang.signature import types as t
from energylang.syntax import ast

from .facts import Facts, Place
from .scope import NO_MODEL, Call, ModelState, Procedure, Scope

if TYPE_CHECKING:
    from .modules import Modules

MAX_PROBLEMS = 200
MAX_NESTING = 150
MAX_VISITS = 30_000
"""After so many statements (and five for each line), loops and calls are no longer walked for each of their rounds
and arguments."""


@dataclass(frozen=True)
class Passes:
    """The passes that are called from below themselves: the type of an expression, of a command's result (``key``: what
    it is known by, if not by its own id), the call of a procedure, and a block in a scope that was made for it."""

    type_of: Callable[[Walk, ast.Expr], t.Type]
    command: Callable[..., t.Type]
    enter: Callable[..., t.Type]
    block_in: Callable[[Walk, Scope, tuple[ast.Statement, ...]], None]
    each: Callable[[Walk, ast.Each], t.Type]
    sweep: Callable[[Walk, ast.Sweep], t.Type]


@dataclass
class Swept:
    """A sweep whose cells are being walked (``node`` None: the script, whose rows stand outside of any): the types of
    its variables' columns, and those of the rows so far. Variables of scopes below ``level`` are not the cell's own."""

    node: ast.Sweep | None = None
    level: int = 0
    columns: tuple[tuple[str, t.Type], ...] = ()
    kind: t.TableOf = t.EMPTY_TABLE


@dataclass
class Walk:
    """``base`` is the folder of the script. ``lost`` are the names that a statement with a syntax error
    would have defined, ``incomplete`` says that procedures may be missing for the same reason: what is only
    wrong because of them is not reported."""

    modules: Modules
    passes: Passes
    base: Path | None = None
    model: ModelState = NO_MODEL
    scope: Scope = field(default_factory=Scope)
    procedures: dict[str, Procedure] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()
    incomplete: bool = False
    problems: Diagnostics = field(default_factory=Diagnostics)
    calls: dict[int, Call] = field(default_factory=dict)
    constants: dict[int, list[ast.Statement]] = field(default_factory=dict)
    imported: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)  # the files that `save` may have written by now
    told: set[str] = field(default_factory=set)  # differences from the published tool that were said (`old`)
    old_settings: set[str] = field(default_factory=set)  # what an old script has set, and which guards
    old_guards: set[str] = field(default_factory=set)
    # Where the walk is: inside of which procedures, what they returned, how deep blocks and calls nest.
    inside: list[Procedure] = field(default_factory=list)
    returned: list[t.Type] = field(default_factory=list)
    returned_values: list[Any] = field(default_factory=list)
    return_places: list[ast.Return] = field(default_factory=list)
    exits: list[ModelState] = field(default_factory=list)
    depth: int = 0
    nesting: int = 0
    deepest: int = 0
    too_deep: bool = False
    quiet: bool = False
    judged: dict[int, t.Type] = field(default_factory=dict)
    kinds: dict[int, t.Type] = field(default_factory=dict)  # of the operands of comparisons
    bound: dict[int, Call] = field(default_factory=dict)  # commands as they were bound and reported on
    # What the analysis of the flow remembers: the commands under way with their places, the calls that lead to
    # the statement with their arguments, what has been reported where, and what commands and loops stand for.
    commands: list[int] = field(default_factory=list)
    places: list[Span] = field(default_factory=list)
    call_spans: list[Span] = field(default_factory=list)
    arguments: list[Mapping[str, ast.Expr]] = field(default_factory=list)
    callers: list[Scope] = field(default_factory=list)
    missing: set[tuple[Any, str]] = field(
        default_factory=set
    )  # what a model was said not to have: layers and parts
    found: set[tuple[str, int, int]] = field(default_factory=set)
    evaluated: set[int] = field(default_factory=set)
    layers_of_commands: dict[int, Any] = field(default_factory=dict)
    items_of_loops: dict[int, Any] = field(default_factory=dict)
    returned_by: dict[int, Any] = field(default_factory=dict)
    captured: dict[str, Span] = field(default_factory=dict)
    loops_of_lists: dict[int, tuple[ast.For, ast.Let]] = field(
        default_factory=dict
    )  # what `[f(x) for x in xs]` does
    swept: list[Swept] = field(default_factory=lambda: [Swept()])  # innermost last; none in a procedure
    loops_of_sweeps: dict[int, list[ast.For]] = field(default_factory=dict)  # outermost first
    ended: t.Type | None = None  # the type of the last value that stood alone
    gathered: dict[int, t.Type] = field(
        default_factory=dict
    )  # by the `let` in such a loop: the type of the items
    tables: dict[str, t.Type] = field(default_factory=dict)  # by the file that `write` writes: what is in it
    most_layers: int = 0  # of the models so far
    claims: list[ast.Field] = field(default_factory=list)  # fields of effects that are read
    lets: dict[int, ast.Let] = field(default_factory=dict)
    # For editors: the types of variables, by the `let` or `for` that made them; what is known around statements.
    types: dict[int, t.Type] = field(default_factory=dict)
    states: dict[int, tuple[ModelState, ModelState]] = field(default_factory=dict)
    keeps_states: bool = False
    named: dict[str, Span] = field(default_factory=dict)
    everywhere: list[Place] = field(default_factory=list)
    numbered: dict[int, Place] = field(default_factory=dict)
    unsurveyed: set[Any] = field(default_factory=set)  # what this command was told about
    kept: frozenset[Span] | None = (
        None  # the edits that were in force when `save` or `record` wrote them down
    )
    visits: int = 0
    most_visits: int = MAX_VISITS
    loops: int = 0  # how many loops within each other are walked until nothing changes
    rounds: int = 1  # how many rounds of loops are walked one by one around the statement

    @property
    def facts(self) -> Facts:
        return self.model.facts

    @property
    def full(self) -> bool:
        """Enough errors have been found; more would help nobody."""
        return self.problems.errors >= MAX_PROBLEMS

    def go_deeper(self, levels: int) -> None:
        self.nesting += levels
        self.deepest = max(self.deepest, self.nesting)

    @contextmanager
    def silence(self) -> Iterator[bool]:
        """Report nothing inside; gives whether that was so already."""
        before, problems = self.quiet, self.problems
        self.quiet, self.problems = True, Diagnostics()
        try:
            yield before
        finally:
            self.quiet, self.problems = before, problems
