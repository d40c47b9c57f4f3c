"""What the checker knows at a point of the script: the model, the variables, the procedures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from energylang import results
from energylang import types as t
from energylang.models.header import ModelHeader
from energylang.ops.declaration import Op
from energylang.syntax import ast
from energylang.values import BasinRef, Concept, Layer, Seed


@dataclass(frozen=True)
class ModelState:
    """Is a model loaded here, and which? ``header`` is ``None`` when that is not known before the run."""

    loaded: bool
    header: ModelHeader | None = None
    on_every_path: bool = True

    def join(self, other: ModelState) -> ModelState:
        """What is known where two paths meet."""
        if self == other:
            return self
        header = self.header if self.header == other.header else None
        return ModelState(
            self.loaded or other.loaded,
            header,
            self.on_every_path and other.on_every_path and self.loaded == other.loaded,
        )


NO_MODEL = ModelState(False)
SOME_MODEL = ModelState(True)


class Scope:
    """Variables and their types; a block sees those around it, and what it defines ends with it."""

    def __init__(self, parent: Scope | None = None, variables: Mapping[str, t.Type] | None = None) -> None:
        self.parent = parent
        self.variables: dict[str, t.Type] = dict(variables or {})

    def find(self, name: str) -> t.Type | None:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.variables:
                return scope.variables[name]
            scope = scope.parent
        return None

    def home(self, name: str) -> Scope | None:
        """The scope that defines a name."""
        scope: Scope | None = self
        while scope is not None and name not in scope.variables:
            scope = scope.parent
        return scope

    def names(self) -> list[str]:
        return list(self.variables) + (self.parent.names() if self.parent else [])


@dataclass
class Procedure:
    """A ``def``, with the types of its parameters.

    ``returns`` is inferred when its body is checked, ``calls`` are the bindings of the commands in it
    (kept here, because a procedure outlives the script that defined it).
    """

    definition: ast.Def
    parameters: tuple[tuple[str, t.Type, bool], ...]  # name, type, required
    returns: t.Type = t.NOTHING
    seen: dict[ModelState, ModelState] = field(default_factory=dict)
    seen_quietly: dict[ModelState, ModelState] = field(default_factory=dict)
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


def type_of_value(value: Any) -> t.Type:
    """The static type of a value that a session already holds."""
    if isinstance(value, bool):
        return t.BOOL
    if isinstance(value, results.Result):
        return t.record(type(value))
    if isinstance(value, list | tuple):
        items = {type_of_value(item) for item in value}
        return t.list_of(items.pop() if len(items) == 1 else t.ANY)
    simple = {int: t.INT, float: t.FLOAT, str: t.TEXT, Layer: t.LAYER, BasinRef: t.BASIN, Concept: t.CONCEPT, Seed: t.SEED}
    return simple.get(type(value), t.ANY)
