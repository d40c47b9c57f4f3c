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

from typing import Any

from energylang.signature import types as t
from energylang.signature.coerce import suggestion
from energylang.signature.declaration import Effect, Op
from energylang.signature.values import ConceptName
from energylang.syntax import ast

from .facts import ALL, UNKNOWN, Place, Symbol, either, replace, without_layer
from .procedures import Procedures
from .rules import Rules
from .scope import SOME_MODEL, UNREACHABLE, Call, ModelState, Scope
from .state import MAX_NESTING

MAX_TURNS = 60
MAX_LOOPS = 4
MAX_ROUNDS = 128
"""So many rounds of loops within each other are walked one by one, each with its own value of the variable."""


_statement = Rules()


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
        self.block_in(Scope(self.scope, variables), statements)

    def block_in(self, scope: Scope, statements: tuple[ast.Statement, ...]) -> None:
        """Check a block in a scope that was made for it."""
        outer, nesting = self.scope, self.nesting
        self.scope = scope
        self.depth += 1
        self.go_deeper(1)
        if self.nesting > MAX_NESTING and statements:
            self.problems.add("EL109", "blocks and calls are nested too deeply here", statements[0].span)
            statements = ()
        for statement in statements:
            if self.full:
                break
            self.visits += 1
            self.statement(statement)
        self.depth -= 1
        self.nesting = nesting
        self.scope = outer
        if scope.parent is outer:
            self.learn(self.facts.to_level(outer.level))

    def statement(self, node: ast.Statement) -> None:
        _statement.of(node)(self, node)

    @_statement
    def _do(self, node: ast.Do) -> None:
        if isinstance(node.command, ast.Command):
            bare = not node.command.arguments and not node.command.keywords
            if not bare or self.scope.find(node.command.name) is None:
                self.command(node.command)
        else:
            self.type_of(node.command)

    @_statement
    def _let(self, node: ast.Let) -> None:
        kind = self.value_of(node.value)
        value = self.known(node.value)
        if node.new:
            self.scope.variables[node.name] = kind
            self.scope.lets[node.name] = node
            if not self.quiet:
                self.lets.setdefault(id(node), node)
            self.scope.pinned.discard(node.name)
            if value is not None and not isinstance(value, Symbol) and self.fleeting(node.value):
                self.scope.pinned.add(node.name)
            self.learn(self.facts.with_value(self.scope.level, node.name, value))
            return
        home = self.scope.written(node.name)
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
        self.learn(self.facts.with_value(home.level, node.name, value, assigned=True))

    @_statement
    def _print(self, node: ast.Print) -> None:
        self.value_of(node.value)

    @_statement
    def _require(self, node: ast.Require) -> None:
        self.expect(node.condition, t.BOOL, "a requirement" if node.word == "require" else "an assertion")
        if node.message is not None:
            self.expect(node.message, t.TEXT, "the message")
        if isinstance(node.condition, ast.Bool) and not node.condition.value:
            self.model = UNREACHABLE.with_values(self.facts)

    @_statement
    def _pass(self, node: ast.Pass) -> None:
        pass

    @_statement
    def _if(self, node: ast.If) -> None:
        ends: list[ModelState] = []
        for condition, body in node.branches:
            self.expect(condition, t.BOOL, "a condition")
            before = self.model
            decided = self.known(condition) if self.fleeting(condition) else None
            if decided is False:
                self.model = UNREACHABLE.with_values(before.facts)
            else:
                self.assume(condition, True)
            self.block(body)
            ends.append(self.model)
            self.model = before
            if decided is True:
                self.model = UNREACHABLE.with_values(before.facts)
            else:
                self.assume(condition, False)
        self.block(node.otherwise)
        for end in ends:
            self.model = self.model.join(end)

    def assume(self, condition: ast.Expr, truth: bool) -> None:
        """Where an edit is known to have been refused, the basin is still there."""
        while isinstance(condition, ast.Unary) and condition.operator == "not":
            condition, truth = condition.operand, not truth
        if truth or not isinstance(condition, ast.Field) or condition.name != "applied":
            return
        edit = self.known(condition.value)
        if isinstance(edit, Symbol) and edit[0] == "do":
            now = self.facts.now
            kept = {key: loss for key, loss in now.gone.items() if loss.by != edit[1]}
            self.know(now=replace(now, gone=kept))

    @_statement
    def _for(self, node: ast.For) -> None:
        items = self.value_of(node.items)
        if isinstance(items, t.ListOf):
            item = items.item
        else:
            item = t.ANY
            if items != t.ANY:
                self.problems.add("EL201", f"`for` goes through a list, not through {items}", node.items.span,
                                  help="for example `layers`, `0..3`, or `s.basins`")  # fmt: skip
        values = self.known(node.items)
        entry = self.model
        with self.silence() as already:
            head = self.repeat(node, item, values)
        if already:
            self.model = self.after_rounds(node, entry, head, self.model, values)
            return
        single = isinstance(values, tuple) and not isinstance(values, Symbol)
        if single and values and self.visits < self.most_visits and self.rounds * len(values) <= MAX_ROUNDS:
            self.model = entry
            self.rounds *= len(values)
            for value in values:
                self.round(node, item, value)
            self.rounds //= len(values)
            return
        self.model = head
        self.round(node, item, self.round_symbol(node, values))
        self.model = self.after_rounds(node, entry, head, self.model, values)

    def repeat(self, node: ast.For, item: t.Type, values: Any) -> ModelState:
        """Walk the body until a round changes nothing any more: what one round leaves behind, the next one
        finds. The state at the head of the loop; ``model`` is that at the end of a round."""
        entry = head = self.model
        self.loops += 1
        for turn in range(MAX_TURNS):
            hurry = turn == MAX_TURNS - 1 or self.visits > self.most_visits or self.loops > MAX_LOOPS
            if hurry:  # there is no time to find out more: nothing is known of the session from here on
                head = replace(head, facts=replace(UNKNOWN, values=head.facts.values[:1]))
            before = head, self.scope.visible()
            self.model = head
            self.round(node, item, self.round_symbol(node, values))
            end = self.model
            joined = head.join(end)
            if end.reachable and end.loaded:
                joined = replace(joined, facts=head.facts.widened(entry.facts, end.facts))
            head = joined
            if hurry or (head, self.scope.visible()) == before:
                break
        self.loops -= 1
        return head

    def round(self, node: ast.For, item: t.Type, value: Any) -> None:
        """Walk the body of a loop once."""
        scope = Scope(self.scope, {node.name: item})
        if isinstance(value, Symbol):
            self.learn(self.facts.renewed(value))
        elif value is not None:
            scope.pinned.add(node.name)
        self.learn(self.facts.with_value(scope.level, node.name, value))
        self.block_in(scope, node.body)

    def round_symbol(self, node: ast.For, values: Any) -> Symbol:
        """What the loop's variable stands for when its rounds are not walked one by one."""
        self.items_of_loops[id(node)] = values if isinstance(values, Symbol) else None
        return Symbol(("round", id(node)))

    def after_rounds(
        self, node: ast.For, entry: ModelState, head: ModelState, end: ModelState, values: Any
    ) -> ModelState:
        """The state behind a loop: that at the end of a round, and that before it where there may be none."""
        listed = isinstance(values, tuple) and not isinstance(values, Symbol)
        rounds = isinstance(node.items, ast.LayersRef) or (listed and len(values) > 0)
        last = node.items
        if isinstance(last, ast.Range):
            first, final = self.known(last.first), self.known(last.last)
            rounds = isinstance(first, int) and isinstance(final, int) and first <= final
        after = end if rounds and end.reachable else head.join(end)
        variable = Symbol(("round", id(node)))
        if isinstance(node.items, ast.LayersRef) and variable in end.facts.surveyed:
            facts = after.facts
            after = replace(after, facts=replace(
                facts, surveyed=facts.surveyed | {ALL}, seen=facts.seen | {ALL}
            ))  # fmt: skip
        return after

    @_statement
    def _attempt(self, node: ast.Attempt) -> None:
        if node.name is not None:
            self.type_of(node.name)
        entry = self.model
        self.block(node.body)
        end = self.model
        # What failed is undone; surveys and checkpoints stay, as far as they were made.
        facts = entry.facts
        checkpoints = dict(facts.checkpoints)
        for name, place in end.facts.checkpoints.items():
            if name in checkpoints and checkpoints[name] != place:
                checkpoints[name] = checkpoints[name].join(place)
        ahead = (
            ((Place(end.facts.now, end.facts.past), 0), *facts.ahead)[:4] if end.reachable else facts.ahead
        )
        self.model = replace(
            entry, facts=replace(facts, checkpoints=checkpoints, ahead=ahead, stale=True, next_number=None)
        )
        self.block(node.otherwise, error=t.TEXT)
        self.model = self.model.join(end)

    @_statement
    def _with(self, node: ast.With) -> None:
        command = node.command
        before = self.facts
        self.type_of(command)
        call = self.calls.get(id(command))
        layer: Any = None
        if call is not None and isinstance(call.target, Op):
            layer = self.layer_value(call.target, call)
        if call is not None and not _can_be_undone(call):
            name = command.name if isinstance(command, ast.Command) else "this"
            self.problems.add(
                "EL214", f"`{name}` changes nothing that could be undone", command.span,
                help="`with` takes an operation that edits or sets something, such as `with set beta 4.0:`",
            )  # fmt: skip
        self.block(node.body)
        facts = self.facts
        now = facts.now
        if layer is not None and layer != ALL and call is not None and isinstance(call.target, Op):
            now = without_layer(now, before.now, layer)
        elif call is not None and isinstance(call.target, Op) and _about_layers(call.target):
            now = replace(now, gone=either(now.gone, before.now.gone))  # what was revived is gone again
        gone = {key: loss for key, loss in now.gone.items() if loss.by != id(command)}
        concepts = dict(now.concepts)
        if call is not None and isinstance(call.target, Op) and call.target.flow.creates:
            made = self.argument_value(call.arguments.get(call.target.flow.creates))
            if isinstance(made, ConceptName):
                concepts.pop(made.name, None)
                if made.name in before.now.concepts:
                    concepts[made.name] = before.now.concepts[made.name]
        if self.model.reachable:
            ends = (layer, before.past) if layer is not None else None
            self.learn(facts.changed(replace(now, gone=gone, concepts=concepts), ends=ends))

    @_statement
    def _def(self, node: ast.Def) -> None:
        if self.depth or self.inside:
            self.problems.add("EL212", "a procedure is defined at the outermost level", node.name_span,
                              help="move the `def` out of the block")  # fmt: skip

    @_statement
    def _return(self, node: ast.Return) -> None:
        kind = self.value_of(node.value) if node.value is not None else t.NOTHING
        if self.inside:
            self.returned_values.append(self.known(node.value) if node.value is not None else None)
            self.exits.append(replace(self.model, facts=self.facts.to_level(0)))
            self.model = UNREACHABLE.with_values(self.facts)
        else:
            self.problems.add("EL212", "`return` stands outside of a procedure", node.span,
                              help="`return` ends a `def`; to end a script, end its text")  # fmt: skip
        self.returned.append(kind)
        self.return_places.append(node)

    @_statement
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


def _about_layers(op: Op) -> bool:
    return bool(op.flow.revives) or Effect.EDITS in op.effects


def _can_be_undone(call: Call) -> bool:
    if not isinstance(call.target, Op):
        return False
    effects = call.target.effects
    return bool(effects & (Effect.EDITS | Effect.CHANGES)) and not effects & (Effect.LOADS | Effect.TRAVELS)
