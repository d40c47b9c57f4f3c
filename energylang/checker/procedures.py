"""Procedures: their declarations, and their bodies as seen from where they are called.

A body is checked once for every state of the model (with what is known of the session and of the arguments) in
which the procedure is called, and again when an outer variable that it reads has another type by then. A name in
it means the same in every call: where a variable of that name comes into being between two calls, that is an
error, because one binding of names to parameters serves them all. Procedures do not call themselves, and they
nest at most so deep that the interpreter can follow.
"""

from __future__ import annotations

from typing import Any

from energylang.diagnostics import Note
from energylang.diagnostics.source import Span
from energylang.ops import TABLE
from energylang.signature import types as t
from energylang.signature.coerce import suggestion
from energylang.signature.values import BasinRef, ConceptName, Layer
from energylang.syntax import ast

from .expressions import expect, value_of
from .facts import Place, Symbol, Values, replace, same
from .flow import find, know, learn
from .known import argument_value, known
from .scope import Call, Outcome, Procedure, Scope
from .walk import MAX_NESTING, Walk

MAX_OUTCOMES = 200
"""So often a body is walked for calls that differ; then its effect on the session is only estimated."""


def declare(walk: Walk, node: ast.Def) -> None:
    """Make a procedure known."""
    if node.name in TABLE:
        walk.problems.add("EL209", f"`{node.name}` is an operation", node.name_span,
                          help="give the procedure another name")  # fmt: skip
        return
    known = walk.procedures.get(node.name)
    if (
        known is not None
        and known.definition is not node
        and known.definition.span.source is node.span.source
    ):
        line = known.definition.name_span.start_location()[0]
        walk.problems.add("EL209", f"`{node.name}` is defined twice", node.name_span,
                          notes=(Note(f"first defined in line {line}", known.definition.name_span),))  # fmt: skip
        return
    procedure = Procedure(node, ())
    calls, walk.calls = walk.calls, procedure.calls
    parameters = []
    names: set[str] = set()
    for parameter in node.parameters:
        if parameter.name in names:
            walk.problems.add("EL209", f"two parameters are called `{parameter.name}`", parameter.span)
        names.add(parameter.name)
        kind = t.ANY
        if parameter.type_name is not None:
            found = t.annotation(parameter.type_name)
            if found is None:
                walk.problems.add(
                    "EL201", f"there is no type `{parameter.type_name}`",
                    parameter.type_span or parameter.span,
                    help=suggestion(parameter.type_name, [*t.ANNOTATIONS, *t.record_names()])
                    or "the types are " + ", ".join(t.ANNOTATIONS) + ", List[…] and the kinds of results",
                )  # fmt: skip
            kind = found or t.ANY
        if parameter.default is not None and not (
            isinstance(parameter.default, ast.Name)
            and (
                kind in (t.CONCEPT, t.DIRECTION) or (kind == t.STRENGTH and parameter.default.name == "auto")
            )
        ):
            expect(walk, parameter.default, kind, f"the default of `{parameter.name}`")
            if t.generic(kind):
                with walk.silence():
                    procedure.defaults[parameter.name] = value_of(walk, parameter.default)
        parameters.append((parameter.name, kind, parameter.default is None))
    walk.calls = calls
    procedure.parameters = tuple(parameters)
    walk.procedures[node.name] = procedure


def enter(
    walk: Walk,
    procedure: Procedure,
    call: Span,
    binding: Call | None = None,
    key: int = 0,
    types: tuple[t.Type, ...] | None = None,
) -> t.Type:
    """Check a procedure's body as called here; the type of what it returns. ``key`` stands for the command, ``types``
    are those of the parameters in this call."""
    if types is None:
        types = tuple(kind for _, kind, _ in procedure.parameters)
    if procedure.running:
        names = [p.name for p in walk.inside]
        cycle = [*names[names.index(procedure.name) :], procedure.name]
        chain = " → ".join(cycle if len(cycle) <= 8 else [*cycle[:4], "…", *cycle[-3:]])
        walk.problems.add("EL307", f"`{procedure.name}` calls itself: {chain}", call,
                          help="every script terminates: use `for` to repeat")  # fmt: skip
        return t.ANY
    many = walk.visits > walk.most_visits or len(procedure.seen) + len(procedure.seen_quietly) > MAX_OUTCOMES
    if many and (rough := _any_outcome(procedure, types)) is not None:
        return _roughly(walk, rough)
    caller = walk.facts
    values = _argument_values(walk, procedure, binding)
    know(
        walk,
        values=(caller.values[0], Values(values)),
        assigned=frozenset(item for item in caller.assigned if item[0] == 0),
    )
    outcome = _known(walk, procedure, types)
    if outcome is None:
        if walk.nesting + 3 > MAX_NESTING:
            learn(walk, caller)
            return _too_deep(walk, call)
        entered = walk.model
        outcome = _walk(walk, procedure, call, binding, values, types)
        (procedure.seen_quietly if walk.quiet else procedure.seen)[entered, types] = outcome
        _compare_reads(walk, procedure, outcome, call)
    elif walk.nesting + outcome.height > MAX_NESTING:
        learn(walk, caller)
        return _too_deep(walk, call)
    walk.deepest = max(walk.deepest, walk.nesting + outcome.height)
    _replay(walk, outcome)
    know(
        walk,
        values=(walk.facts.values[0], *caller.values[1:]),
        assigned=walk.facts.assigned | caller.assigned,
    )
    if outcome.value is not None:
        walk.returned_by[key] = outcome.value
    else:
        walk.returned_by.pop(key, None)
        if key in walk.evaluated:
            learn(walk, walk.facts.renewed(Symbol(("do", key))))
        walk.evaluated.add(key)
    return outcome.returns


def _argument_values(walk: Walk, procedure: Procedure, binding: Call | None) -> dict[str, Any]:
    """The known values of a procedure's parameters; a symbol for those that only the run knows."""
    values: dict[str, Any] = {}
    definitions = {parameter.name: parameter for parameter in procedure.definition.parameters}
    for name, kind, _ in procedure.parameters:
        argument = binding.arguments.get(name) if binding is not None else None
        default = definitions[name].default
        value = argument_value(walk, argument)
        if argument is None and default is not None and binding is not None:
            named = isinstance(default, ast.Name) and kind in (t.CONCEPT, t.DIRECTION)
            value = (
                ConceptName(default.name) if named and isinstance(default, ast.Name) else known(walk, default)
            )
        if kind == t.LAYER and isinstance(value, int):
            value = Layer(value)
        if kind == t.DIRECTION and isinstance(value, int):
            value = None  # the number of a seed
        if value is None:
            symbol = Symbol(("argument", procedure.name, name))
            learn(walk, walk.facts.renewed(symbol))
            value = symbol
        values[name] = value
    return values


def _any_outcome(procedure: Procedure, types: tuple[t.Type, ...]) -> Outcome | None:
    """The last outcome for arguments of these types."""
    for seen in (procedure.seen, procedure.seen_quietly):
        for (_, kinds), outcome in reversed(seen.items()):
            if kinds == types:
                return outcome
    return None


def _roughly(walk: Walk, outcome: Outcome) -> t.Type:
    """The effect of a call whose body there is no time to walk again: what was gone after another call of it
    may be gone, what is there is taken to stay."""
    if outcome.model.reachable:
        place = Place(outcome.model.facts.now, None)
        learn(walk, walk.facts.travelled(place))
        if not walk.facts.now.open:
            know(walk, now=replace(walk.facts.now, open=True))
    return outcome.returns


def _known(walk: Walk, procedure: Procedure, types: tuple[t.Type, ...]) -> Outcome | None:
    """The outcome for the model, the variables and the arguments as they are here, if there is one."""
    outcome = (procedure.seen_quietly if walk.quiet else procedure.seen).get((walk.model, types))
    variables = walk.scope.outermost().variables
    if outcome is None or any(variables.get(name) != kind for name, kind in outcome.reads.items()):
        return None
    return outcome


def _walk(
    walk: Walk,
    procedure: Procedure,
    call: Span,
    binding: Call | None,
    values: dict[str, Any],
    types: tuple[t.Type, ...],
) -> Outcome:
    """Check the body; everything but the problems, the bindings and the types of assigned outer
    variables is afterwards as it was before."""
    outer = walk.scope, walk.returned, walk.exits, walk.depth, walk.calls
    outer_values, outer_places = walk.returned_values, walk.return_places
    swept, walk.swept = walk.swept, []
    nesting, deepest, entered = walk.nesting, walk.deepest, walk.model
    globals_ = walk.scope.outermost()
    globals_.reads.append({})
    globals_.writes.append({})
    walk.scope, walk.returned, walk.exits, walk.depth, walk.calls = globals_, [], [], 0, procedure.calls
    walk.deepest = nesting
    walk.go_deeper(2)
    procedure.running = True
    walk.inside.append(procedure)
    walk.callers.append(outer[0])
    walk.arguments.append(binding.places if binding is not None else {})
    walk.call_spans.append(call)
    walk.returned_values, walk.return_places = [], []
    pinned = frozenset(name for name, value in values.items() if not isinstance(value, Symbol))
    body = Scope(
        globals_,
        {name: kind for (name, _, _), kind in zip(procedure.parameters, types, strict=True)},
        parameters=frozenset(values),
        pinned=pinned,
    )
    reported = len(walk.problems.items)
    try:
        walk.passes.block_in(walk, body, procedure.definition.body)
        kinds, end, given, places = walk.returned, walk.model, walk.returned_values, walk.return_places
        partial = end.reachable and not _always_returns(procedure.definition.body)
        for model in walk.exits:
            end = end.join(model)
        height = walk.deepest - nesting
    finally:
        walk.inside.pop()
        walk.callers.pop()
        walk.arguments.pop()
        walk.call_spans.pop()
        walk.returned_values, walk.return_places = outer_values, outer_places
        walk.swept = swept
        procedure.running = False
        reads, writes = globals_.reads.pop(), globals_.writes.pop()
        walk.scope, walk.returned, walk.exits, walk.depth, walk.calls = outer
        walk.nesting, walk.deepest, walk.model = nesting, deepest, entered
    if any(t.generic(kind) for _, kind, _ in procedure.parameters):
        _say_which_call(walk, reported, call)
    filled = [(kind, place) for kind, place in zip(kinds, places, strict=True) if kind != t.NOTHING]
    result = filled[0][0] if filled else t.NOTHING
    for kind, place in filled[1:]:
        joined = t.join(result, kind)
        if joined is None:
            _mixed(walk, procedure, result, filled[0][1], kind, place)
        result = joined or t.ANY
    value = given[0] if given and all(same(item, given[0]) for item in given) else None
    if filled and (partial or len(filled) < len(kinds)):
        result, value = t.Perhaps(f"{result} or nothing", result), None
    if not isinstance(value, Layer | BasinRef | ConceptName | int | str):
        value = None
    return Outcome(end, result, reads, writes, height, value)


def _say_which_call(walk: Walk, reported: int, call: Span) -> None:
    """Where a parameter has no type of its own, what is wrong in the body is so for this call."""
    items = walk.problems.items
    items[reported:] = [
        item
        if any(note.span == call for note in item.notes)
        else replace(item, notes=(*item.notes, Note("in the call here", call)))
        for item in items[reported:]
    ]


def _mixed(
    walk: Walk, procedure: Procedure, first: t.Type, place: ast.Return, kind: t.Type, other: ast.Return
) -> None:
    """EL201: what a procedure returns has one type."""
    line = place.span.start_location()[0]
    find(walk,
        "EL201", f"`{procedure.name}` returns {first} in line {line}, and {kind} here", other.span,
        help="what a procedure returns has one type",
    )  # fmt: skip


def _replay(walk: Walk, outcome: Outcome) -> None:
    """What a call leaves behind, and what the procedure around the call has thereby read and written."""
    walk.model = outcome.model
    globals_ = walk.scope.outermost()
    for name, kind in outcome.reads.items():
        globals_.note_read(name, kind)
    for name, kind in outcome.writes.items():
        if name in globals_.variables:
            globals_.assign(name, kind)


def _compare_reads(walk: Walk, procedure: Procedure, outcome: Outcome, call: Span) -> None:
    if walk.quiet:
        return
    for name, kind in outcome.reads.items():
        before = procedure.reads.setdefault(name, kind)
        alike = ((before, kind) == (t.ANY, t.ANY)) or (
            t.ANY not in (before, kind) and before and kind and t.join(before, kind) is not None
        )
        if alike or before is kind is None:
            continue
        if before is None or kind is None:
            now, then = ("is a variable", "was none") if before is None else ("is no variable", "was one")
        else:
            now, then = f"is {kind}", f"was {before}"
        walk.problems.add(
            "EL207", f"`{name}` {now} in this call of `{procedure.name}`, and {then} in an earlier one", call,
            help=f"define `{name}` once, before the first call, or pass it as a parameter",
        )  # fmt: skip


def _too_deep(walk: Walk, call: Span) -> t.Type:
    if not walk.too_deep:
        walk.too_deep = not walk.quiet
        walk.problems.add("EL109", "procedures call each other too deeply here", call,
                          help="at most about 50 procedures, each called by the one before")  # fmt: skip
    return t.ANY


def _always_returns(body: tuple[ast.Statement, ...]) -> bool:
    """Does every way through the block end in a ``return``?"""
    return any(
        isinstance(statement, ast.Return)
        or (
            isinstance(statement, ast.If)
            and all(_always_returns(block) for _, block in statement.branches)
            and _always_returns(statement.otherwise)
        )
        or (isinstance(statement, ast.With) and _always_returns(statement.body))
        or (
            isinstance(statement, ast.Attempt)
            and _always_returns(statement.body)
            and _always_returns(statement.otherwise)
        )
        for statement in body
    )
