"""What every name in a script stands for: variables, parameters and procedures, where they are made and where they are
used.

The rules are the checker's: a block sees the variables around it, and what it makes ends with it; the body of a
procedure sees its parameters and the variables of the script itself, wherever these are made. A name that an operation
takes as a word (a concept, a choice, a label) is no use of a variable.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Literal

from energylang.checker import Checked
from energylang.checker.scope import Call, Given, Procedure, SeedOf
from energylang.diagnostics.source import Span
from energylang.ops.spelling import operation_named
from energylang.syntax import ast
from energylang.syntax.build import WHOLE

from .script import Script

Kind = Literal["variable", "parameter", "procedure"]


@dataclass(eq=False)
class Meaning:
    """One variable, parameter or procedure. ``made`` are the statements that make it (or give it a new value under
    the same name) with the places of its name there, ``used`` the other places."""

    name: str
    kind: Kind
    made: list[tuple[ast.Node, Span]] = field(default_factory=list)
    used: list[Span] = field(default_factory=list)
    procedure: Procedure | None = None  # that has this parameter, or is meant

    @property
    def places(self) -> list[Span]:
        return [*(span for _, span in self.made), *self.used]


Scope = dict[str, Meaning]


class Names:
    """The names of one script; ``meanings`` in the order in which they are met."""

    def __init__(self, script: Script) -> None:
        self.source = script.source
        self.checked: Checked = script.checked
        self.meanings: list[Meaning] = []
        self.globals: Scope = {}
        self.procedures: dict[str, Meaning] = {}
        self._words = {
            id(call.places[name])
            for _, call in script.calls
            for name, argument in call.arguments.items()
            if isinstance(argument, Given) and name in call.places
        } | {id(word) for node, call in script.calls for word in _seed_words(node, call)}
        self._parameters: dict[str, Scope] = {}
        for procedure in self.checked.procedures.values():
            self._declare(procedure)
        self._block(script.program.statements, [self.globals])
        for name, meaning in self.procedures.items():
            for node, span in meaning.made:
                if isinstance(node, ast.Def) and span.source is self.source:
                    self._block(node.body, [self.globals, self._parameters[name]])

    def at(self, offset: int) -> tuple[Meaning, Span] | None:
        """What the name at a place means, and where the name stands."""
        return next(
            ((meaning, span) for span, meaning in self._places if span.start <= offset <= span.end), None
        )

    @cached_property
    def _places(self) -> list[tuple[Span, Meaning]]:
        return [
            (span, meaning)
            for meaning in self.meanings
            for span in meaning.places
            if span.source is self.source
        ]

    def _declare(self, procedure: Procedure) -> None:
        node = procedure.definition
        self.procedures[node.name] = meaning = Meaning(
            node.name, "procedure", [(node, node.name_span)], procedure=procedure
        )
        self.meanings.append(meaning)
        scope = self._parameters[node.name] = {}
        for parameter in node.parameters:
            span = parameter.span
            named = Span(span.start, span.start + len(parameter.name), span.source)
            self._make(scope, parameter.name, parameter, named, "parameter").procedure = procedure
            if parameter.default is not None and span.source is self.source:
                self._expression(parameter.default, [self.globals])

    def _make(self, scope: Scope, name: str, node: ast.Node, span: Span, kind: Kind = "variable") -> Meaning:
        meaning = scope.get(name)
        if meaning is None:
            meaning = scope[name] = Meaning(name, kind)
            self.meanings.append(meaning)
        meaning.made.append((node, span))
        return meaning

    # -- statements ----------------------------------------------------------------------------------

    def _block(self, statements: tuple[ast.Statement, ...], scopes: list[Scope]) -> None:
        for statement in statements:
            self._statement(statement, scopes)

    def _statement(self, node: ast.Statement, scopes: list[Scope]) -> None:
        if isinstance(node, ast.Let):
            self._expression(node.value, scopes)
            if node.new:
                self._make(scopes[-1], node.name, node, node.name_span)
            else:
                self._use(node.name, node.name_span, scopes)
        elif isinstance(node, ast.For):
            self._expression(node.items, scopes)
            inner: Scope = {}
            if node.name != WHOLE:
                self._make(inner, node.name, node, node.name_span)
            self._block(node.body, [*scopes, inner])
        elif isinstance(node, ast.Row):
            self._expression(node.value, scopes)
            if node.name is not None:
                self._use(node.name, node.name_span, scopes)
        elif isinstance(node, ast.Quiet):  # no block of its own: what it makes stays
            for inside in node.body:
                self._statement(inside, scopes)
        elif isinstance(node, ast.If):
            for condition, body in node.branches:
                self._expression(condition, scopes)
                self._block(body, [*scopes, {}])
            self._block(node.otherwise, [*scopes, {}])
        elif isinstance(node, ast.Attempt):
            self._expression(node.name, scopes)
            self._block(node.body, [*scopes, {}])
            self._block(node.otherwise, [*scopes, {}])
        elif isinstance(node, ast.With):
            self._expression(node.command, scopes)
            self._block(node.body, [*scopes, {}])
        elif isinstance(node, ast.Import):
            for constant in self.checked.constants.get(id(node), ()):
                if isinstance(constant, ast.Let):
                    self._make(self.globals, constant.name, constant, constant.name_span)
        elif not isinstance(node, ast.Def):
            self._expression(tuple(value for name, value in vars(node).items() if name != "span"), scopes)

    # -- expressions ---------------------------------------------------------------------------------

    def _expression(self, item: object, scopes: list[Scope]) -> None:
        if isinstance(item, tuple):
            for part in item:
                self._expression(part, scopes)
        elif isinstance(item, ast.Command):
            self._command(item, scopes)
        elif isinstance(item, ast.Each):
            self._expression(item.items, scopes)
            inner: Scope = {}
            self._make(inner, item.name, item, item.name_span)
            self._expression((item.item, item.condition), [*scopes, inner])
        elif isinstance(item, ast.Sweep):
            inside: Scope = {}
            for axis in item.axes:
                self._expression(axis.items, [*scopes, inside])
                self._make(inside, axis.name, axis, axis.name_span)
            self._block(item.body, [*scopes, inside])
        elif isinstance(item, ast.Name):
            if id(item) not in self._words and not self._use(item.name, item.span, scopes):
                self._call(item.name, item.span)
        elif isinstance(item, ast.Word):
            if id(item) not in self._words:
                self._use(item.value, item.span, scopes)
        elif isinstance(item, ast.Node):
            self._expression(tuple(value for name, value in vars(item).items() if name != "span"), scopes)

    def _command(self, node: ast.Command, scopes: list[Scope]) -> None:
        arguments = node.arguments
        bare = not arguments and not node.keywords
        if not (bare and self._use(node.name, node.name_span, scopes)):
            self._call(node.name, node.name_span)
        if (
            arguments
            and isinstance(arguments[0], ast.Name)
            and operation_named(f"{node.name} {arguments[0].name}")
        ):
            arguments = arguments[1:]  # the second word of the operation's name
        self._expression(arguments, scopes)
        parameters = self._parameters.get(node.name, {})
        for keyword in node.keywords:
            if keyword.name in parameters:
                parameters[keyword.name].used.append(keyword.name_span)
            self._expression(keyword.value, scopes)

    def _use(self, name: str, span: Span, scopes: list[Scope]) -> bool:
        for scope in reversed(scopes):
            if name in scope:
                scope[name].used.append(span)
                return True
        return False

    def _call(self, name: str, span: Span) -> None:
        if name in self.procedures:
            self.procedures[name].used.append(span)


def _seed_words(node: ast.Command | ast.Name, call: Call) -> list[ast.Expr]:
    """The word in ``seed 42`` (and the first one in ``seed seed``), which is no variable's name."""
    written = node.arguments if isinstance(node, ast.Command) else ()
    numbers = [item.number for item in call.arguments.values() if isinstance(item, SeedOf)]
    return [
        word for word, number in pairwise(written)
        if isinstance(word, ast.Name) and word.name == "seed" and any(number is item for item in numbers)
    ]  # fmt: skip
