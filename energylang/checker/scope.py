"""What the checker knows at a point of the script: the model, the variables, the procedures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from energylang import results
from energylang.models.header import ModelHeader
from energylang.signature import types as t
from energylang.signature.declaration import Op
from energylang.signature.values import BasinRef, ConceptName, Layer, Seed
from energylang.syntax import ast

from .facts import NOTHING, UNKNOWN, Facts, replace


@dataclass(frozen=True)
class ModelState:
    """Is a model loaded here, and which? ``header`` is ``None`` when that is not known before the run; where it is one
    of several that are known, ``least`` is the one with the fewest layers: what it lacks may be missing.

    ``reachable`` is false behind a ``return``: no path comes from there. ``facts`` is what is known about the
    session with this model.
    """

    loaded: bool
    header: ModelHeader | None = None
    on_every_path: bool = True
    reachable: bool = True
    facts: Facts = NOTHING
    least: ModelHeader | None = None

    @property
    def fewest(self) -> ModelHeader | None:
        """The model with the fewest layers among those that may be loaded here; ``None`` where one is not known."""
        return self.header or self.least

    def with_values(self, facts: Facts) -> ModelState:
        """The same, with the known values of variables from ``facts``."""
        return replace(self, facts=replace(self.facts, values=facts.values, assigned=facts.assigned))

    def join(self, other: ModelState) -> ModelState:
        """What is known where two paths meet."""
        if self == other or not other.reachable:
            return self
        if not self.reachable:
            return other
        header = self.header if self.header == other.header else None
        mine, others = self.fewest, other.fewest
        least = min((mine, others), key=lambda each: len(each.dims)) if mine and others else None
        return ModelState(
            self.loaded or other.loaded,
            header,
            self.on_every_path and other.on_every_path and self.loaded == other.loaded,
            facts=self.facts.join(other.facts),
            least=None if header is not None else least,
        )


_DEEPEST = 16  # lists in lists that are looked at
NO_MODEL = ModelState(False)
SOME_MODEL = ModelState(True, facts=UNKNOWN)
"""A model of which nothing is known."""
UNREACHABLE = ModelState(True, reachable=False)


class Scope:
    """Variables and their types; a block sees those around it, and what it defines ends with it.

    The outermost scope keeps, for every procedure that is being checked (innermost last), which of its
    variables were looked for and what was found first (``reads``), and what was assigned (``writes``).
    """

    def __init__(
        self,
        parent: Scope | None = None,
        variables: Mapping[str, t.Type] | None = None,
        *,
        parameters: frozenset[str] | None = None,
        pinned: frozenset[str] = frozenset(),
    ) -> None:
        self.parent = parent
        self.level: int = parent.level + 1 if parent is not None else 0
        self.parameters = parameters  # of a procedure whose body this is, else None
        self.pinned = set(pinned)  # variables whose value is known for this round, or this call, only
        self.lets: dict[str, ast.Let] = {}
        self.used: set[int] = parent.used if parent is not None else set()  # the `let`s that were looked up
        self.variables: dict[str, t.Type] = dict(variables or {})
        self.versions: dict[str, int] = {}  # how often a variable was assigned to
        self.present: dict[tuple[str, ...], tuple[Scope, int]] = {}  # what is not none here (`see_present`)
        self.reads: list[dict[str, t.Type | None]] = []
        self.writes: list[dict[str, t.Type]] = []

    def find(self, name: str) -> t.Type | None:
        home = self.home(name)
        return home.variables[name] if home else None

    def home(self, name: str) -> Scope | None:
        """The scope that defines a name."""
        scope = self
        while name not in scope.variables:
            if scope.parent is None:
                scope.note_read(name, None)
                return None
            scope = scope.parent
        if scope.parent is None:
            scope.note_read(name, scope.variables[name])
        if name in scope.lets:
            scope.used.add(id(scope.lets[name]))
        return scope

    def place(self, name: str) -> Scope | None:
        """The scope that defines a name; nothing is noted."""
        scope: Scope | None = self
        while scope is not None and name not in scope.variables:
            scope = scope.parent
        return scope

    def written(self, name: str) -> Scope | None:
        """The scope that defines a name that is about to be assigned to: no use of its value."""
        home = self.place(name)
        used = home is not None and id(home.lets.get(name)) in self.used
        found = self.home(name)
        if not used and home is not None:
            self.used.discard(id(home.lets.get(name)))
        return found

    def note_read(self, name: str, kind: t.Type | None) -> None:
        if self.reads:
            self.reads[-1].setdefault(name, kind)

    def assign(self, name: str, kind: t.Type) -> bool:
        """Give a variable of this scope a value of a type; false if it cannot become that."""
        joined = t.join(self.variables[name], kind)
        if joined is None:
            return False
        self.variables[name] = joined
        self.versions[name] = self.versions.get(name, 0) + 1
        if self.writes:
            self.writes[-1][name] = joined
        return True

    def see_present(self, path: tuple[str, ...]) -> None:
        """A variable, or a field of one (``("s", "at")``), has turned out not to be none: so it is until the variable
        gets another value, or to the end of this block."""
        home = self.place(path[0])
        if home is not None:
            self.present[path] = home, home.versions.get(path[0], 0)

    def is_present(self, path: tuple[str, ...]) -> bool:
        """Has this turned out not to be none, in this block or one around it (of the same procedure)?"""
        home = self.place(path[0])
        scope: Scope | None = self
        while scope is not None and home is not None:
            if scope.present.get(path) == (home, home.versions.get(path[0], 0)):
                return True
            scope = None if scope.parameters is not None else scope.parent
        return False

    def outermost(self) -> Scope:
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope

    def visible(self) -> tuple[tuple[str, t.Type], ...]:
        """All variables of this scope and those around it: what a loop may change."""
        found: list[tuple[str, t.Type]] = []
        scope: Scope | None = self
        while scope is not None:
            found += scope.variables.items()
            scope = scope.parent
        return tuple(found)

    def names(self) -> list[str]:
        return list(self.variables) + (self.parent.names() if self.parent else [])


@dataclass(frozen=True)
class Outcome:
    """What checking a procedure's body has shown, for one state of the model and of the variables it reads.

    ``height`` is how deep blocks and calls nest in it.
    """

    model: ModelState
    returns: t.Type
    reads: Mapping[str, t.Type | None]
    writes: Mapping[str, t.Type]
    height: int
    value: Any = None  # what it returns, where that is known


Entrance = tuple[ModelState, tuple[t.Type, ...]]
"""What a procedure is entered with: the state of the model, and the types of the arguments."""


@dataclass
class Procedure:
    """A ``def``, with the types of its parameters.

    ``seen`` are the outcomes of checking its body by the state of the model, and the types of the arguments, with
    which it was called
    (``seen_quietly`` without a report), ``reads`` are the outer variables its names were bound to, ``calls``
    the bindings of the commands in it (kept here, because a procedure outlives the script that defined it).
    """

    definition: ast.Def
    parameters: tuple[tuple[str, t.Type, bool], ...]  # name, type, required
    seen: dict[Entrance, Outcome] = field(default_factory=dict)
    seen_quietly: dict[Entrance, Outcome] = field(default_factory=dict)
    defaults: dict[str, t.Type] = field(default_factory=dict)  # their types
    reads: dict[str, t.Type | None] = field(default_factory=dict)
    running: bool = False
    calls: dict[int, Call] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.definition.name

    def usage(self) -> str:
        words = [f"<{name}>" if required else f"[{name}]" for name, _, required in self.parameters]
        return " ".join([self.name, *words])


# ------------------------------------------------------------- how arguments reach their parameters


@dataclass(frozen=True)
class Given:
    """The argument is a value that is known already (a concept's name, a choice, a path)."""

    value: Any


@dataclass(frozen=True)
class LayerOf:
    """The argument is the layer of a basin that stands alone."""

    basin: ast.Expr


@dataclass(frozen=True)
class SeedOf:
    """The argument is a seeded direction: ``seed 42``, ``seed=42``."""

    number: ast.Expr


Argument = Given | LayerOf | SeedOf | ast.Expr


@dataclass(frozen=True)
class Call:
    """A command whose arguments have found their parameters."""

    target: Op | Procedure
    arguments: Mapping[str, Argument]
    places: Mapping[str, ast.Expr] = field(default_factory=dict)  # where the arguments are written
    shape: t.Type | None = None  # what the file that is read here held when it was checked


def type_of_value(value: Any, depth: int = 0) -> t.Type:
    """The static type of a value that a session already holds."""
    if isinstance(value, bool):
        return t.BOOL
    if isinstance(value, results.Record):
        return t.record_of(tuple((name, type_of_value(item)) for name, item in value.items()))
    if isinstance(value, results.Table):
        columns = ((name, type_of_value(value.column(name))) for name in value.columns)
        return t.table_of(
            tuple((name, kind.item if isinstance(kind, t.ListOf) else t.ANY) for name, kind in columns)
        )
    if isinstance(value, results.Result):
        return t.record(type(value))
    if isinstance(value, list | tuple):
        if depth > _DEEPEST:  # Python put it there: no operation takes it
            return t.list_of(t.ANY)
        kind: t.Type | None = t.NEVER
        for item in value:
            kind = t.join(kind, type_of_value(item, depth + 1)) if kind is not None else None
        return t.list_of(kind or t.ANY)
    if value is None:
        return t.NONE
    simple = {
        int: t.INT,
        float: t.FLOAT,
        str: t.TEXT,
        Layer: t.LAYER,
        BasinRef: t.BASIN,
        ConceptName: t.CONCEPT,
        Seed: t.SEED,
    }
    return simple.get(type(value), t.ANY)
