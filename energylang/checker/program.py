"""The checker: what can be said about a script before anything runs.

It walks the tree once, in the order in which the script would run, and carries along what is known: the
types of the variables, the procedures, and the model (its header, read from the file's first bytes; never
its weights). Where two paths meet, only what holds on both is kept; behind a ``return`` there is no path.
The body of a loop is walked until a round changes nothing: what one round leaves behind is known to the
next. A procedure's body is walked where it is called, once for each state of the model and of the variables
it reads; procedures do not call themselves, so this ends.

What it finds goes into ``problems``; what it learns about the arguments of each command goes into ``calls``,
for the interpreter.
"""

from __future__ import annotations

from functools import singledispatchmethod

from energylang import types as t
from energylang.ops.coerce import suggestion
from energylang.syntax import ast

from .procedures import Procedures
from .scope import SOME_MODEL, UNREACHABLE, ModelState, Scope
from .state import MAX_NESTING


class Checker(Procedures):
    """One pass over a program."""

    def top_level(self, program: ast.Program) -> None:
        """Check a program: its procedures are known everywhere in it."""
        for statement in program.statements:
            if isinstance(statement, ast.Def):
                self.declare(statement)
        for statement in program.statements:
            if self.full:
                return
            self.outermost(statement)
        for procedure in list(self.procedures.values()):
            if not procedure.seen and not self.full:  # never called: check it for a model that is not known
                before = self.model
                self.model = SOME_MODEL
                self.enter(procedure, procedure.definition.name_span)
                self.model = before

    def outermost(self, node: ast.Statement) -> None:
        """Check a statement of the program itself. The limits on nesting make sure that Python's own is not
        reached, unless the caller is deep in recursion already; then that is said, and all is as before."""
        scope, quiet, problems = self.scope, self.quiet, self.problems
        try:
            self.statement(node)
        except RecursionError:
            self.scope, self.quiet, self.problems = scope, quiet, problems
            self.depth = self.nesting = 0
            problems.add("EL109", "this is nested too deeply", node.span, help="split it with `let`")

    # -- statements --------------------------------------------------------------------------------

    def block(self, statements: tuple[ast.Statement, ...], **variables: t.Type) -> None:
        """Check a block in a scope of its own."""
        outer, nesting = self.scope, self.nesting
        self.scope = Scope(outer, variables)
        self.depth += 1
        self.go_deeper(1)
        if self.nesting > MAX_NESTING and statements:
            self.problems.add("EL109", "blocks and calls are nested too deeply here", statements[0].span)
            statements = ()
        for statement in statements:
            if self.full:
                break
            self.statement(statement)
        self.depth -= 1
        self.nesting = nesting
        self.scope = outer

    @singledispatchmethod
    def statement(self, node: ast.Statement) -> None:
        raise TypeError(f"no rule for {type(node).__name__}")

    @statement.register
    def _do(self, node: ast.Do) -> None:
        if isinstance(node.command, ast.Command):
            bare = not node.command.arguments and not node.command.keywords
            if not bare or self.scope.find(node.command.name) is None:
                self.command(node.command)
        else:
            self.type_of(node.command)

    @statement.register
    def _let(self, node: ast.Let) -> None:
        kind = self.value_of(node.value)
        if node.new:
            self.scope.variables[node.name] = kind
            return
        home = self.scope.home(node.name)
        if home is None and node.name in self.lost:
            return
        if home is None:
            self.problems.add(
                "EL207", f"there is no variable `{node.name}`", node.name_span,
                help=suggestion(node.name, self.scope.names()) or f"define it with `let {node.name} = …`",
            )  # fmt: skip
            return
        if not home.assign(node.name, kind):
            self.problems.add(
                "EL201", f"`{node.name}` is {home.variables[node.name]} and cannot become {kind}",
                node.value.span, help="give the new value a name of its own",
            )  # fmt: skip

    @statement.register
    def _print(self, node: ast.Print) -> None:
        self.value_of(node.value)

    @statement.register
    def _require(self, node: ast.Require) -> None:
        self.expect(node.condition, t.BOOL, "a requirement")
        if node.message is not None:
            self.expect(node.message, t.TEXT, "the message")

    @statement.register
    def _pass(self, node: ast.Pass) -> None:
        pass

    @statement.register
    def _if(self, node: ast.If) -> None:
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
    def _for(self, node: ast.For) -> None:
        items = self.value_of(node.items)
        if isinstance(items, t.ListOf):
            item = items.item
        else:
            item = t.ANY
            if items != t.ANY:
                self.problems.add("EL201", f"`for` goes through a list, not through {items}", node.items.span,
                                  help="for example `layers`, `0..3`, or `s.basins`")  # fmt: skip
        # What one round leaves behind, the next one finds: go round until nothing changes any more.
        while True:
            before = self.model, self.scope.visible()
            with self.silence() as already:
                self.block(node.body, **{node.name: item})
            self.model = before[0].join(self.model)
            if (self.model, self.scope.visible()) == before:
                break
        if not already:
            self.block(node.body, **{node.name: item})
            self.model = before[0].join(self.model)

    @statement.register
    def _def(self, node: ast.Def) -> None:
        if self.depth or self.inside:
            self.problems.add("EL212", "a procedure is defined at the outermost level", node.name_span,
                              help="move the `def` out of the block")  # fmt: skip

    @statement.register
    def _return(self, node: ast.Return) -> None:
        kind = self.value_of(node.value) if node.value is not None else t.NOTHING
        if self.inside:
            self.exits.append(self.model)
            self.model = UNREACHABLE
        else:
            self.problems.add("EL212", "`return` stands outside of a procedure", node.span,
                              help="`return` ends a `def`; to end a script, end its text")  # fmt: skip
        self.returned.append(kind)

    @statement.register
    def _import(self, node: ast.Import) -> None:
        if self.depth or self.inside:
            self.problems.add("EL212", "`import` stands at the outermost level", node.span,
                              help="move it to the top of the script")  # fmt: skip
            return
        if node.name in self.imported:
            return
        self.imported.add(node.name)
        statements = self.modules.load(node, self.base, self.problems)
        self.incomplete = self.incomplete or self.modules.broken or statements is None
        for statement in statements or ():
            if isinstance(statement, ast.Def):
                self.declare(statement)
            else:
                self.statement(statement)
                self.constants.setdefault(id(node), []).append(statement)
