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

import re
from typing import Any

from energylang.diagnostics.source import Span
from energylang.signature import types as t
from energylang.signature.coerce import suggestion
from energylang.signature.declaration import Effect, Op
from energylang.signature.values import ConceptName
from energylang.syntax import ast

from .commands import command
from .expressions import expect, may_be_none, see_present, type_of, value_of
from .facts import ALL, UNKNOWN, Place, Symbol, either, replace, without_layer
from .flow import know, layer_value, learn
from .known import argument_value, fleeting, known
from .procedures import declare, enter
from .rules import Rules
from .scope import SOME_MODEL, UNREACHABLE, Call, ModelState, Scope
from .sweeps import axis_columns, ends_with, table_of_sweep
from .walk import MAX_NESTING, Passes, Swept, Walk

MAX_TURNS = 60
MAX_LOOPS = 4
MAX_ROUNDS = 128
"""So many rounds of loops within each other are walked one by one, each with its own value of the variable."""


_FILE = re.compile(r"\.\w{1,8}\Z")
_statement = Rules()


def top_level(walk: Walk, program: ast.Program) -> None:
    """Check a program: its procedures are known everywhere in it."""
    for statement in program.statements:
        if isinstance(statement, ast.Def):
            declare(walk, statement)
    for statement in program.statements:
        if walk.full:
            return
        outermost(walk, statement)
    for procedure in list(walk.procedures.values()):
        if not procedure.seen and not walk.full:  # never called: check it for a model that is not known
            before = walk.model
            walk.model = SOME_MODEL
            enter(walk, procedure, procedure.definition.name_span)
            walk.model = before


def outermost(walk: Walk, node: ast.Statement) -> None:
    """Check a statement of the program itself. The limits on nesting make sure that Python's own is not
    reached, unless the caller is deep in recursion already; then that is said, and all is as before."""
    scope, quiet, problems = walk.scope, walk.quiet, walk.problems
    try:
        check_statement(walk, node)
    except RecursionError:
        walk.scope, walk.quiet, walk.problems = scope, quiet, problems
        walk.depth = walk.nesting = 0
        problems.add("EL109", "this is nested too deeply", node.span, help="split it with `let`")


def block(walk: Walk, statements: tuple[ast.Statement, ...], **variables: t.Type) -> None:
    """Check a block in a scope of its own."""
    block_in(walk, Scope(walk.scope, variables), statements)


def block_in(walk: Walk, scope: Scope, statements: tuple[ast.Statement, ...]) -> None:
    """Check a block in a scope that was made for it."""
    outer, nesting = walk.scope, walk.nesting
    walk.scope = scope
    walk.depth += 1
    walk.go_deeper(1)
    if walk.nesting > MAX_NESTING and statements:
        walk.problems.add("EL109", "blocks and calls are nested too deeply here", statements[0].span)
        statements = ()
    for statement in statements:
        if walk.full:
            break
        walk.visits += 1
        check_statement(walk, statement)
    walk.depth -= 1
    walk.nesting = nesting
    walk.scope = outer
    if scope.parent is outer:
        learn(walk, walk.facts.to_level(outer.level))


def check_statement(walk: Walk, node: ast.Statement) -> None:
    before = walk.model
    _statement.of(node)(walk, node)
    if walk.keeps_states:
        walk.states[id(node)] = before, walk.model


@_statement
def _do(walk: Walk, node: ast.Do) -> None:
    if isinstance(node.command, ast.Command):
        bare = not node.command.arguments and not node.command.keywords
        variable = walk.scope.find(node.command.name) if bare else None
        kind = command(walk, node.command) if variable is None else variable
    else:
        kind = type_of(walk, node.command)
    walk.ended = kind


@_statement
def _let(walk: Walk, node: ast.Let) -> None:
    kind = value_of(walk, node.value)
    if id(node) in walk.gathered:
        _gathered(walk, node, kind)
        return
    value = known(walk, node.value)
    if node.new:
        walk.scope.variables[node.name] = walk.types[id(node)] = kind
        walk.scope.lets[node.name] = node
        if not walk.quiet:
            walk.lets.setdefault(id(node), node)
        walk.scope.pinned.discard(node.name)
        if value is not None and not isinstance(value, Symbol) and fleeting(walk, node.value):
            walk.scope.pinned.add(node.name)
        learn(walk, walk.facts.with_value(walk.scope.level, node.name, value))
        return
    home = walk.scope.written(node.name)
    if home is None and node.name in walk.lost:
        return
    if home is None:
        walk.problems.add(
            "EL207", f"there is no variable `{node.name}`", node.name_span,
            help=suggestion(node.name, walk.scope.names()) or f"define it with `let {node.name} = …`",
        )  # fmt: skip
        return
    if _ends_with_the_cell(walk, home, node.name, node.name_span):
        return
    if not home.assign(node.name, kind):
        walk.problems.add(
            "EL201", f"`{node.name}` is {home.variables[node.name]} and cannot become {kind}",
            node.value.span, help="give the new value a name of its own",
        )  # fmt: skip
    learn(walk, walk.facts.with_value(home.level, node.name, value, assigned=True))


@_statement
def _row(walk: Walk, node: ast.Row) -> None:
    """``row t a=1``: the table gets another value, with a row more."""
    kind = value_of(walk, node.value)
    if node.name is None:
        _row_of_the_cell(walk, node, kind)
        return
    home = walk.scope.written(node.name)
    if home is None:
        if node.name not in walk.lost:
            walk.problems.add(
                "EL207", f"there is no table `{node.name}`", node.name_span,
                help=suggestion(node.name, walk.scope.names()) or f"begin with an empty one: `let {node.name} = table`",
            )  # fmt: skip
        return
    table = home.variables[node.name]
    if not isinstance(table, t.TableOf):
        if not t.unknown(table):
            walk.problems.add("EL201", f"`{node.name}` is {table}, not a table", node.name_span,
                              help="a table begins empty: `let t = table`")  # fmt: skip
        return
    if _ends_with_the_cell(walk, home, node.name, node.name_span):
        return
    grown = _with_row(walk, node, table, kind)
    if grown is not None:
        home.assign(node.name, grown)
        learn(walk, walk.facts.with_value(home.level, node.name, None, assigned=True))


def _with_row(walk: Walk, node: ast.Row, table: t.TableOf, kind: t.Type) -> t.TableOf | None:
    """The type of a table with the row that the statement adds; ``None`` where it does not fit, and is reported."""
    if not isinstance(kind, t.RecordOf):
        if not t.unknown(kind):
            walk.problems.add("EL201", f"a row is a record, not {kind}", node.value.span,
                              help="`row t strength=s share=x`, or a record: {strength: s, share: x}")  # fmt: skip
        return None
    for name, held in kind.entries or ():
        if isinstance(t.present(held), t.Record | t.TableOf) and t.present(held) != t.SURVEYED:
            fields = list(t.fields_of(t.present(held)) or ())[1:5]
            walk.problems.add("EL201", f"a cell holds one value, and `{name}` is {held}", node.value.span,
                              help=f"name one of its fields: {', '.join(fields)}")  # fmt: skip
    grown = t.with_row(table, kind)
    if isinstance(grown, str):
        here, there = dict(kind.entries or ())[grown], dict(table.columns or ())[grown]
        walk.problems.add("EL201", f"the column `{grown}` holds {there}, and this is {here}", node.value.span,
                          help="a column has one type; give this value a column of its own")  # fmt: skip
        return None
    return grown


def _row_of_the_cell(walk: Walk, node: ast.Row, kind: t.Type) -> None:
    """``row a=1``: a row of the sweep around it, or of the script."""
    if not walk.swept:
        walk.problems.add("EL212", "a `row` without a table stands in a sweep or the script, in no procedure",
                          node.name_span,
                          help="`return` the values, and write the `row` where they arrive")  # fmt: skip
        return
    swept = walk.swept[-1]
    twice = set(dict(swept.columns)) & set(kind.fields if isinstance(kind, t.RecordOf) else ())
    for name in sorted(twice):
        walk.problems.add("EL209", f"the sweep has a column `{name}` already: its variable", node.value.span,
                          help="a variable of the sweep is in every row; leave it out here")  # fmt: skip
    grown = _with_row(walk, node, swept.kind, kind)
    swept.kind = grown or swept.kind


def _ends_with_the_cell(walk: Walk, home: Scope, name: str, span: Span) -> bool:
    """EL216 for a variable from outside of the sweep that is assigned to in its block."""
    swept = walk.swept[-1] if walk.swept else None
    if swept is None or swept.node is None or home.level >= swept.level:
        return False
    walk.problems.add(
        "EL216", f"each cell starts from the state before the sweep: what `{name}` becomes here ends with the cell",
        span, help=f"`let {name} = …` makes a variable of the cell; `row {name}=…` puts a value into the sweep's table",
    )  # fmt: skip
    return True


def sweep(walk: Walk, node: ast.Sweep) -> t.Type:
    """``sweep a in xs, b in ys:``: a loop within a loop, whose block starts from the state before the sweep."""
    loops = walk.loops_of_sweeps.get(id(node))
    if loops is None:
        loops = []
        body: ast.Statement = ast.Cell(node.span, node)
        for axis in reversed(node.axes):
            body = ast.For(node.span, axis.name, axis.name_span, axis.items, (body,))
            loops.insert(0, body)
        walk.loops_of_sweeps[id(node)] = loops
    _same_name_twice(walk, node)
    before = walk.model
    swept = Swept(node, walk.scope.level + 1)
    walk.swept.append(swept)
    try:
        _for(walk, loops[0])
    finally:
        walk.swept.pop()
    walk.model = before
    for axis, loop in zip(node.axes, loops, strict=True):
        walk.types[id(axis)] = walk.types.get(id(loop), t.ANY)
    return table_of_sweep(swept)


def _same_name_twice(walk: Walk, node: ast.Sweep) -> None:
    seen: set[str] = set()
    for axis in node.axes:
        if axis.name in seen:
            walk.problems.add("EL209", f"two variables of the sweep are called `{axis.name}`", axis.name_span)
        seen.add(axis.name)


@_statement
def _cell(walk: Walk, node: ast.Cell) -> None:
    """The block of a sweep, in one cell: it leaves nothing behind."""
    swept, before, body = walk.swept[-1], walk.model, node.of.body
    loops = walk.loops_of_sweeps[id(node.of)]
    swept.columns = tuple(
        column
        for axis, loop in zip(node.of.axes, loops, strict=True)
        for column in axis_columns(walk, axis, walk.types[id(loop)])
    )
    walk.ended = None
    block(walk, body)
    if not node.of.rows:
        ends_with(walk, swept, walk.ended if isinstance(body[-1], ast.Do) else None, body[-1].span)
    walk.model = before


@_statement
def _quiet(walk: Walk, node: ast.Quiet) -> None:
    nesting = walk.nesting
    walk.go_deeper(1)
    if walk.nesting > MAX_NESTING:
        walk.problems.add("EL109", "blocks and calls are nested too deeply here", node.span)
    else:
        for statement in node.body:
            walk.visits += 1
            check_statement(walk, statement)
    walk.nesting = nesting


def each(walk: Walk, node: ast.Each) -> t.Type:
    """``[f(x) for x in xs if c]``: a loop that gathers what its body gives."""
    made = walk.loops_of_lists.get(id(node))
    if made is None:
        gather = ast.Let(node.item.span, "_", node.item.span, node.item)
        body: ast.Statement = gather
        if node.condition is not None:
            body = ast.If(node.span, ((node.condition, (gather,)),), ())
        made = ast.For(node.span, node.name, node.name_span, node.items, (body,)), gather
        walk.loops_of_lists[id(node)] = made
    loop, gather = made
    walk.gathered[id(gather)] = t.NEVER
    _for(walk, loop)
    return t.list_of(walk.gathered[id(gather)])


def _gathered(walk: Walk, node: ast.Let, kind: t.Type) -> None:
    joined = t.join(walk.gathered[id(node)], kind)
    if joined is None:
        walk.problems.add("EL201", f"the items of a list have one type; this is {kind} among "
                          f"{walk.gathered[id(node)]}", node.value.span)  # fmt: skip
    walk.gathered[id(node)] = joined or t.ANY


@_statement
def _print(walk: Walk, node: ast.Print) -> None:
    value = node.value
    if isinstance(value, ast.Compare) and len(value.rest) == 1 and value.rest[0][0] == ">":
        target = value.rest[0][1]
        if isinstance(target, ast.Text) and _FILE.search(target.constant or ""):
            walk.problems.add(
                "EL210", "`print` writes on the screen, not into a file", value.span,
                help=f"`write t {target.span.text}` writes a table, a result or a text into a file",
            )  # fmt: skip
            return
    value_of(walk, node.value)


@_statement
def _require(walk: Walk, node: ast.Require) -> None:
    expect(walk, node.condition, t.BOOL, "a requirement" if node.word == "require" else "an assertion")
    see_present(walk, node.condition, True)
    if node.message is not None:
        expect(walk, node.message, t.TEXT, "the message")
    if isinstance(node.condition, ast.Bool) and not node.condition.value:
        walk.model = UNREACHABLE.with_values(walk.facts)


@_statement
def _pass(walk: Walk, node: ast.Pass) -> None:
    pass


@_statement
def _if(walk: Walk, node: ast.If) -> None:
    ends: list[ModelState] = []
    outer = walk.scope
    rest = walk.scope = Scope(outer)  # where the conditions so far are false
    for condition, body in node.branches:
        expect(walk, condition, t.BOOL, "a condition")
        before = walk.model
        decided = known(walk, condition) if fleeting(walk, condition) else None
        if decided is False:
            walk.model = UNREACHABLE.with_values(before.facts)
        else:
            assume(walk, condition, True)
        walk.scope = inside = Scope(rest)
        see_present(walk, condition, True)
        walk.scope = rest
        block_in(walk, inside, body)
        see_present(walk, condition, False)
        ends.append(walk.model)
        walk.model = before
        if decided is True:
            walk.model = UNREACHABLE.with_values(before.facts)
        else:
            assume(walk, condition, False)
    block(walk, node.otherwise)
    walk.scope = outer
    for (condition, _), end in zip(node.branches, ends, strict=True):
        if end.reachable:
            break
        see_present(walk, condition, False)  # behind `if x == none: return`
    for end in ends:
        walk.model = walk.model.join(end)


def assume(walk: Walk, condition: ast.Expr, truth: bool) -> None:
    """Where an edit is known to have been refused, the basin is still there."""
    while isinstance(condition, ast.Unary) and condition.operator == "not":
        condition, truth = condition.operand, not truth
    if truth or not isinstance(condition, ast.Field) or condition.name != "applied":
        return
    edit = known(walk, condition.value)
    if isinstance(edit, Symbol) and edit[0] == "do":
        now = walk.facts.now
        kept = {key: loss for key, loss in now.gone.items() if loss.by != edit[1]}
        know(walk, now=replace(now, gone=kept))


@_statement
def _for(walk: Walk, node: ast.For) -> None:
    items = value_of(walk, node.items)
    if (found := t.item_of(items)) is not None:
        item = found
    else:
        item = items if items == t.NEVER else t.ANY
        if not t.unknown(items):
            walk.problems.add("EL201", f"`for` goes through a list, not through {items}", node.items.span,
                              help=may_be_none(node.items, items)
                              or "for example `layers`, `0..3`, or `s.basins`")  # fmt: skip
    values = known(walk, node.items)
    entry = walk.model
    with walk.silence() as already:
        head = repeat(walk, node, item, values)
    if already:
        walk.model = after_rounds(walk, node, entry, head, walk.model, values)
        return
    single = isinstance(values, tuple) and not isinstance(values, Symbol)
    if single and values and walk.visits < walk.most_visits and walk.rounds * len(values) <= MAX_ROUNDS:
        walk.model = entry
        walk.rounds *= len(values)
        for value in values:
            round(walk, node, item, value)
        walk.rounds //= len(values)
        return
    walk.model = head
    round(walk, node, item, round_symbol(walk, node, values))
    walk.model = after_rounds(walk, node, entry, head, walk.model, values)


def repeat(walk: Walk, node: ast.For, item: t.Type, values: Any) -> ModelState:
    """Walk the body until a round changes nothing any more: what one round leaves behind, the next one
    finds. The state at the head of the loop; ``model`` is that at the end of a round."""
    entry = head = walk.model
    walk.loops += 1
    for turn in range(MAX_TURNS):
        hurry = turn == MAX_TURNS - 1 or walk.visits > walk.most_visits or walk.loops > MAX_LOOPS
        if hurry:  # there is no time to find out more: nothing is known of the session from here on
            head = replace(head, facts=replace(UNKNOWN, values=head.facts.values[:1]))
        before = head, walk.scope.visible()
        walk.model = head
        round(walk, node, item, round_symbol(walk, node, values))
        end = walk.model
        joined = head.join(end)
        if end.reachable and end.loaded:
            joined = replace(joined, facts=head.facts.widened(entry.facts, end.facts))
        head = joined
        if hurry or (head, walk.scope.visible()) == before:
            break
    walk.loops -= 1
    return head


def round(walk: Walk, node: ast.For, item: t.Type, value: Any) -> None:
    """Walk the body of a loop once."""
    walk.types[id(node)] = item
    scope = Scope(walk.scope, {node.name: item})
    if isinstance(value, Symbol):
        learn(walk, walk.facts.renewed(value))
    elif value is not None:
        scope.pinned.add(node.name)
    learn(walk, walk.facts.with_value(scope.level, node.name, value))
    block_in(walk, scope, node.body)


def round_symbol(walk: Walk, node: ast.For, values: Any) -> Symbol:
    """What the loop's variable stands for when its rounds are not walked one by one."""
    walk.items_of_loops[id(node)] = values if isinstance(values, Symbol) else None
    return Symbol(("round", id(node)))


def after_rounds(
    walk: Walk, node: ast.For, entry: ModelState, head: ModelState, end: ModelState, values: Any
) -> ModelState:
    """The state behind a loop: that at the end of a round, and that before it where there may be none."""
    listed = isinstance(values, tuple) and not isinstance(values, Symbol)
    rounds = isinstance(node.items, ast.LayersRef) or (listed and len(values) > 0)
    last = node.items
    if isinstance(last, ast.Range):
        first, final = known(walk, last.first), known(walk, last.last)
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
def _attempt(walk: Walk, node: ast.Attempt) -> None:
    if node.name is not None:
        type_of(walk, node.name)
    entry = walk.model
    block(walk, node.body)
    end = walk.model
    # What failed is undone; surveys and checkpoints stay, as far as they were made.
    facts = entry.facts
    checkpoints = dict(facts.checkpoints)
    for name, place in end.facts.checkpoints.items():
        if name in checkpoints and checkpoints[name] != place:
            checkpoints[name] = checkpoints[name].join(place)
    ahead = ((Place(end.facts.now, end.facts.past), 0), *facts.ahead)[:4] if end.reachable else facts.ahead
    walk.model = replace(
        entry, facts=replace(facts, checkpoints=checkpoints, ahead=ahead, stale=True, next_number=None)
    )
    block(walk, node.otherwise, error=t.TEXT)
    walk.model = walk.model.join(end)


@_statement
def _with(walk: Walk, node: ast.With) -> None:
    command = node.command
    before = walk.facts
    type_of(walk, command)
    call = walk.calls.get(id(command))
    layer: Any = None
    if call is not None and isinstance(call.target, Op):
        layer = layer_value(walk, call.target, call)
    if call is not None and not _can_be_undone(call):
        name = command.name if isinstance(command, ast.Command) else "this"
        walk.problems.add(
            "EL214", f"`{name}` changes nothing that could be undone", command.span,
            help="`with` takes an operation that edits or sets something, such as `with set beta 4.0:`",
        )  # fmt: skip
    block(walk, node.body)
    facts = walk.facts
    now = facts.now
    if layer is not None and layer != ALL and call is not None and isinstance(call.target, Op):
        now = without_layer(now, before.now, layer)
        given = {key: fit for key, fit in now.fitted.items() if key != layer}
        was = before.now.fitted
        now = replace(now, fitted={**given, layer: was[layer]} if layer in was else given)
    elif call is not None and isinstance(call.target, Op) and _about_layers(call.target):
        now = replace(now, gone=either(now.gone, before.now.gone))  # what was revived is gone again
    gone = {key: loss for key, loss in now.gone.items() if loss.by != id(command)}
    concepts = dict(now.concepts)
    if call is not None and isinstance(call.target, Op) and call.target.flow.creates:
        made = argument_value(walk, call.arguments.get(call.target.flow.creates))
        if isinstance(made, ConceptName):
            concepts.pop(made.name, None)
            if made.name in before.now.concepts:
                concepts[made.name] = before.now.concepts[made.name]
    if walk.model.reachable:
        ends = (layer, before.past) if layer is not None else None
        learn(walk, facts.changed(replace(now, gone=gone, concepts=concepts), ends=ends))


@_statement
def _def(walk: Walk, node: ast.Def) -> None:
    if walk.depth or walk.inside:
        walk.problems.add("EL212", "a procedure is defined at the outermost level", node.name_span,
                          help="move the `def` out of the block")  # fmt: skip


@_statement
def _return(walk: Walk, node: ast.Return) -> None:
    kind = value_of(walk, node.value) if node.value is not None else t.NOTHING
    if walk.swept and walk.swept[-1].node is not None:
        walk.problems.add("EL212", "`return` cannot leave a sweep", node.span,
                          help="end the cell with the value, and `return` behind the sweep")  # fmt: skip
        return
    if walk.inside:
        walk.returned_values.append(known(walk, node.value) if node.value is not None else None)
        walk.exits.append(replace(walk.model, facts=walk.facts.to_level(0)))
        walk.model = UNREACHABLE.with_values(walk.facts)
    else:
        walk.problems.add("EL212", "`return` stands outside of a procedure", node.span,
                          help="`return` ends a `def`; to end a script, end its text")  # fmt: skip
    walk.returned.append(kind)
    walk.return_places.append(node)


@_statement
def _import(walk: Walk, node: ast.Import) -> None:
    if walk.depth or walk.inside:
        walk.problems.add("EL212", "`import` stands at the outermost level", node.span,
                          help="move it to the top of the script")  # fmt: skip
        return
    if node.name in walk.imported:
        return
    walk.imported.add(node.name)
    statements = walk.modules.load(node, walk.base, walk.problems)
    walk.incomplete = walk.incomplete or walk.modules.broken or statements is None
    for statement in statements or ():
        if isinstance(statement, ast.Def):
            declare(walk, statement)
        else:
            check_statement(walk, statement)
            walk.constants.setdefault(id(node), []).append(statement)


def _about_layers(op: Op) -> bool:
    return bool(op.flow.revives) or Effect.EDITS in op.effects


def _can_be_undone(call: Call) -> bool:
    if not isinstance(call.target, Op):
        return False
    effects = call.target.effects
    return bool(effects & (Effect.EDITS | Effect.CHANGES)) and not effects & (Effect.LOADS | Effect.TRAVELS)


PASSES = Passes(type_of, command, enter, block_in, each, sweep)
