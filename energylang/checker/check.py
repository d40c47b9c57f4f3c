"""The checker: what can be said about a script before anything runs.

It walks the tree once, in the order in which the script would run, and carries along what is known: the
types of the variables, the procedures, and the model (its header, read from the file's first bytes; never
its weights). Where two paths meet, only what holds on both is kept. The body of a loop is walked twice: what
its first round changes is known to its second. A procedure's body is walked once for every state of the
model in which it is called; procedures do not call themselves, so this ends.

What it finds goes into ``problems``; what it learns about the arguments of each command goes into ``calls``,
for the interpreter.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import singledispatchmethod
from pathlib import Path
from typing import TYPE_CHECKING

from energylang import types as t
from energylang.diagnostics import Diagnostics, Note
from energylang.errors import ElError
from energylang.models.header import read_header
from energylang.ops import TABLE
from energylang.ops.coerce import article, suggestion
from energylang.ops.declaration import Effect, Op
from energylang.syntax import ast
from energylang.syntax.source import Span

from .binding import NO_CONSTANT, bind, bind_procedure, constant
from .expressions import Expressions
from .scope import NO_MODEL, SOME_MODEL, Argument, Call, Given, LayerOf, ModelState, Procedure, Scope

if TYPE_CHECKING:
    from .modules import Modules


@dataclass
class Checker(Expressions):
    """One pass over a program. ``base`` is the folder of the script."""

    modules: Modules
    base: Path | None = None
    model: ModelState = NO_MODEL
    scope: Scope = field(default_factory=Scope)
    procedures: dict[str, Procedure] = field(default_factory=dict)
    problems: Diagnostics = field(default_factory=Diagnostics)
    calls: dict[int, Call] = field(default_factory=dict)
    imported: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    inside: list[Procedure] = field(default_factory=list)
    returned: list[t.Type] = field(default_factory=list)
    depth: int = 0
    quiet: bool = False
    constants: dict[int, list[ast.Statement]] = field(default_factory=dict)

    # -- statements --------------------------------------------------------------------------------

    def block(self, statements: tuple[ast.Statement, ...], **variables: t.Type) -> None:
        """Check a block in a scope of its own."""
        self.scope = Scope(self.scope, variables)
        self.depth += 1
        for statement in statements:
            self.statement(statement)
        self.depth -= 1
        assert self.scope.parent is not None
        self.scope = self.scope.parent

    def top_level(self, program: ast.Program) -> None:
        """Check a program: its procedures are known everywhere in it."""
        for statement in program.statements:
            if isinstance(statement, ast.Def):
                self.declare(statement)
        for statement in program.statements:
            try:
                self.statement(statement)
            except RecursionError:
                self.problems.add("EL109", "this is nested too deeply", statement.span,
                                  help="split it with `let`")  # fmt: skip
        for procedure in list(self.procedures.values()):
            if not procedure.seen:  # never called: check it for a model that is not known
                before = self.model
                self.model = SOME_MODEL
                self.enter(procedure, procedure.definition.name_span)
                self.model = before

    @singledispatchmethod
    def statement(self, node: ast.Statement) -> None:
        raise TypeError(f"no rule for {type(node).__name__}")

    @statement.register
    def _(self, node: ast.Do) -> None:
        if isinstance(node.command, ast.Command):
            if self.scope.find(node.command.name) is not None and not node.command.arguments:
                return  # a variable, displayed
            self.command(node.command)
        else:
            self.type_of(node.command)

    @statement.register
    def _(self, node: ast.Let) -> None:
        kind = self.value_of(node.value)
        if node.new:
            self.scope.variables[node.name] = kind
            return
        home = self.scope.home(node.name)
        if home is None:
            self.problems.add(
                "EL207", f"there is no variable `{node.name}`", node.name_span,
                help=suggestion(node.name, self.scope.names()) or f"define it with `let {node.name} = …`",
            )  # fmt: skip
            return
        joined = t.join(home.variables[node.name], kind)
        if joined is None:
            self.problems.add(
                "EL201", f"`{node.name}` is {home.variables[node.name]} and cannot become {kind}",
                node.value.span, help="give the new value a name of its own",
            )  # fmt: skip
        else:
            home.variables[node.name] = joined

    @statement.register
    def _(self, node: ast.Print) -> None:
        self.value_of(node.value)

    @statement.register
    def _(self, node: ast.Require) -> None:
        self.expect(node.condition, t.BOOL, "a requirement")
        if node.message is not None:
            self.expect(node.message, t.TEXT, "the message")

    @statement.register
    def _(self, node: ast.Pass) -> None:
        pass

    @statement.register
    def _(self, node: ast.If) -> None:
        ends: list[ModelState] = []
        for condition, body in node.branches:
            self.expect(condition, t.BOOL, "a condition")
            before = self.model
            self.block(body)
            ends.append(self.model)
            self.model = before
        self.block(node.otherwise)
        for end in ends:
            self.model = self.model.join(end)

    @statement.register
    def _(self, node: ast.For) -> None:
        items = self.value_of(node.items)
        if isinstance(items, t.ListOf):
            item = items.item
        else:
            item = t.ANY
            if items != t.ANY:
                self.problems.add("EL201", f"`for` goes through a list, not through {items}", node.items.span,
                                  help="for example `layers`, `0..3`, or `s.basins`")  # fmt: skip
        before = self.model
        with self.silence() as already:  # the first round: for what it leaves behind
            self.block(node.body, **{node.name: item})
        self.model = before.join(self.model)
        if not already:
            self.block(node.body, **{node.name: item})
            self.model = before.join(self.model)

    @statement.register
    def _(self, node: ast.Def) -> None:
        if self.depth or self.inside:
            self.problems.add("EL212", "a procedure is defined at the outermost level", node.name_span,
                              help="move the `def` out of the block")  # fmt: skip

    @statement.register
    def _(self, node: ast.Return) -> None:
        kind = self.value_of(node.value) if node.value is not None else t.NOTHING
        if not self.inside:
            self.problems.add("EL212", "`return` stands outside of a procedure", node.span)
        self.returned.append(kind)

    @statement.register
    def _(self, node: ast.Import) -> None:
        if self.depth or self.inside:
            self.problems.add("EL212", "`import` stands at the outermost level", node.span)
            return
        if node.name in self.imported:
            return
        self.imported.add(node.name)
        for statement in self.modules.load(node, self.base, self.problems):
            if isinstance(statement, ast.Def):
                self.declare(statement)
            else:
                self.statement(statement)
                self.constants.setdefault(id(node), []).append(statement)

    # -- procedures ---------------------------------------------------------------------------------

    def declare(self, node: ast.Def) -> None:
        """Make a procedure known."""
        if node.name in TABLE:
            self.problems.add("EL209", f"`{node.name}` is an operation", node.name_span,
                              help="give the procedure another name")  # fmt: skip
            return
        known = self.procedures.get(node.name)
        if known is not None and known.definition is not node and known.definition.span.source is node.span.source:
            line = known.definition.name_span.start_location()[0]
            self.problems.add("EL209", f"`{node.name}` is defined twice", node.name_span,
                              notes=(Note(f"first defined in line {line}", known.definition.name_span),))  # fmt: skip
            return
        procedure = Procedure(node, ())
        calls, self.calls = self.calls, procedure.calls
        parameters = []
        names: set[str] = set()
        for parameter in node.parameters:
            if parameter.name in names:
                self.problems.add("EL209", f"two parameters are called `{parameter.name}`", parameter.span)
            names.add(parameter.name)
            kind = t.ANY
            if parameter.type_name is not None:
                found = t.ANNOTATIONS.get(parameter.type_name)
                if found is None:
                    self.problems.add(
                        "EL201", f"there is no type `{parameter.type_name}`", parameter.span,
                        help=suggestion(parameter.type_name, t.ANNOTATIONS)
                        or "the types are " + ", ".join(t.ANNOTATIONS),
                    )  # fmt: skip
                kind = found or t.ANY
            if parameter.default is not None and not (
                isinstance(parameter.default, ast.Name)
                and (kind in (t.CONCEPT, t.DIRECTION) or (kind == t.STRENGTH and parameter.default.name == "auto"))
            ):
                self.expect(parameter.default, kind, f"the default of `{parameter.name}`")
            parameters.append((parameter.name, kind, parameter.default is None))
        self.calls = calls
        procedure.parameters = tuple(parameters)
        self.procedures[node.name] = procedure

    def enter(self, procedure: Procedure, call: Span) -> t.Type:
        """Check a procedure's body as called here; the type of what it returns."""
        if procedure.running:
            chain = " → ".join([p.name for p in self.inside if p.running] + [procedure.name])
            self.problems.add("EL307", f"`{procedure.name}` calls itself: {chain}", call,
                              help="every script terminates: use `for` to repeat")  # fmt: skip
            return t.ANY
        seen = procedure.seen_quietly if self.quiet else procedure.seen
        if self.model in seen:
            self.model = seen[self.model]
            return procedure.returns
        entered = self.model
        outer = self.scope, self.returned, self.depth, self.calls
        globals_ = self.scope
        while globals_.parent is not None:
            globals_ = globals_.parent
        self.scope, self.returned, self.depth, self.calls = globals_, [], 0, procedure.calls
        procedure.running = True
        self.inside.append(procedure)
        self.block(procedure.definition.body, **{name: kind for name, kind, _ in procedure.parameters})
        self.inside.pop()
        procedure.running = False
        kinds = self.returned
        self.scope, self.returned, self.depth, self.calls = outer
        result = kinds[0] if kinds else t.NOTHING
        for kind in kinds[1:]:
            result = t.join(result, kind) or t.ANY
        if kinds and not _always_returns(procedure.definition.body):
            result = t.ANY if result != t.NOTHING else result
        procedure.returns = result
        seen[entered] = self.model
        return result

    # -- commands ----------------------------------------------------------------------------------------

    def command(self, node: ast.Command) -> t.Type:
        """Check a command; the type of its result."""
        key, node = id(node), self.joined(node)
        name = node.name
        op = TABLE.get(name) or TABLE.get(name.replace("_", "-"))
        if op is not None:
            call = bind(self, node, op)
            self.calls[key] = call
            return self.effects(node, op, call)
        procedure = self.procedures.get(name)
        if procedure is not None:
            self.calls[key] = bind_procedure(self, node, procedure)
            return self.enter(procedure, node.name_span)
        self.unknown(node)
        return t.ANY

    def joined(self, node: ast.Command) -> ast.Command:
        """Two words that are one operation's name (``causal scan``) as one."""
        if node.arguments and isinstance(node.arguments[0], ast.Name):
            name = f"{node.name} {node.arguments[0].name}"
            if name in TABLE:
                span = node.name_span.to(node.arguments[0].span)
                return ast.Command(node.span, name, span, node.arguments[1:], node.keywords)
        return node

    def unknown(self, node: ast.Command) -> None:
        known = [*TABLE, *self.procedures]
        help = suggestion(node.name, known)
        if not help and (close := difflib.get_close_matches(node.name.split("-")[0], known, n=1, cutoff=0.5)):
            help = f"did you mean `{close[0]}`?"
        if node.arguments and isinstance(node.arguments[0], ast.Int | ast.Float):
            number = node.arguments[0].value
            if number < 0 and self.scope.find(node.name) is not None:
                help = f"binary minus needs a blank on both sides: `{node.name} - {-number}`"
        self.problems.add(
            "EL101", f"there is no operation `{node.name}`", node.name_span, help=help or "`el ops` lists them"
        )
        for keyword in node.keywords:
            self.quiet_type(keyword.value)

    def effects(self, node: ast.Command, op: Op, call: Call) -> t.Type:
        """What an operation needs from the model, and what it does to it."""
        if op.needs_model:
            self.needs_model(node.name_span, f"`{op.name}`")
        if Effect.TEXT in op.effects and self.model.header is not None:
            if "text" not in self.model.header.capabilities:
                self.problems.add(
                    "EL250",
                    f"`{op.name}` needs a text model, and {self.model.header.spec} has weights only",
                    node.name_span,
                    help='load a text model such as "tiny", or one made by `el train`',
                )
        if op.name == "save":
            path = self.path_in(call, "path")
            self.written.add(path if path is not None else "*")
        if Effect.LOADS in op.effects:
            self.model = self.header_of(call, node)
        return op.result_type

    def path_in(self, call: Call, name: str) -> str | None:
        value: Argument | None = call.arguments.get(name)
        if isinstance(value, Given):
            return str(value.value)
        found = constant(value) if isinstance(value, ast.Expr) else NO_CONSTANT
        return found if isinstance(found, str) else None

    def header_of(self, call: Call, node: ast.Command) -> ModelState:
        spec = self.path_in(call, "model")
        if spec is None or spec in self.written or "*" in self.written:
            return SOME_MODEL
        try:
            return ModelState(True, read_header(spec, self.base))
        except ElError as error:
            span = node.arguments[0].span if node.arguments else node.span
            self.problems.add(error.code, error.message, span, help=error.hint)
            return SOME_MODEL

    def needs_model(self, span: Span, what: str) -> None:
        """Report EL301 where no model is loaded, once for each way of not being loaded."""
        if not self.model.loaded:
            self.problems.add("EL301", f"{what} needs a model, and none is loaded", span,
                              help='begin with `load "tiny"`')  # fmt: skip
            self.model = SOME_MODEL
        elif not self.model.on_every_path:
            self.problems.add("EL301", f"{what} needs a model, and on some way to here none is loaded", span,
                              help="load one before the branch, or in every branch")  # fmt: skip
            self.model = ModelState(True, self.model.header)

    def check_layer(self, value: Argument, place: ast.Expr | None) -> None:
        """Report EL302 for a layer, or a basin's layer, that the model does not have."""
        node = value.basin if isinstance(value, LayerOf) else value
        if isinstance(node, ast.LayerRef):
            index = node.index
        elif isinstance(node, ast.BasinRef):
            index = node.layer
        elif isinstance(node, ast.Int):
            index = node.value
        else:
            return
        self.layer_exists(index, (place or node).span)

    def layer_exists(self, index: int, span: Span) -> None:
        header = self.model.header
        if header is None or 0 <= index < len(header.dims):
            return
        count = len(header.dims)
        has = "one layer, L0" if count == 1 else f"layers L0 to L{count - 1}"
        self.problems.add("EL302", f"there is no L{index}: {header.spec} has {has}", span)

    # -- helpers --------------------------------------------------------------------------------------------

    def expect(self, expr: ast.Expr, wanted: t.Type, what: str) -> None:
        found = self.value_of(expr)
        if not t.fits(found, wanted):
            self.problems.add("EL201", f"{what} must be {article(wanted)}, not {found}", expr.span)

    @contextmanager
    def silence(self) -> Iterator[bool]:
        """Report nothing inside; gives whether that was so already."""
        before, problems = self.quiet, self.problems
        self.quiet, self.problems = True, Diagnostics()
        yield before
        self.quiet, self.problems = before, problems

    def quiet_type(self, expr: ast.Expr) -> t.Type:
        """The type of an expression, without reporting what is wrong with it."""
        model = self.model
        with self.silence():
            kind = self.type_of(expr)
        self.model = model
        return kind

    def value_of(self, expr: ast.Expr) -> t.Type:
        """The type of an expression whose value is used."""
        kind = self.type_of(expr)
        if kind == t.NOTHING:
            self.problems.add("EL211", "this gives no value", expr.span, help="a procedure gives what it returns")
            return t.ANY
        return kind


def _always_returns(body: tuple[ast.Statement, ...]) -> bool:
    """Does every way through the block end in a ``return``?"""
    if not body:
        return False
    last = body[-1]
    if isinstance(last, ast.If):
        return all(_always_returns(b) for _, b in last.branches) and _always_returns(last.otherwise)
    return isinstance(last, ast.Return)
