"""Commands: which operation or procedure a command means, and what it needs from the model and does to it."""

from __future__ import annotations

import difflib
from typing import Any

from energylang.errors import ElError
from energylang.models.header import read_header
from energylang.ops import TABLE
from energylang.ops.spelling import operation_named
from energylang.signature import types as t
from energylang.signature.coerce import suggestion
from energylang.signature.declaration import LACKS, NOT_FITTED, UNKNOWN_VALUE, Effect, Op
from energylang.signature.saving import unsavable
from energylang.syntax import ast

from .binding import bind, bind_procedure, constant, known
from .facts import UNKNOWN, replace
from .flow import find, know, leaves, needs_model, uses, without_landscape
from .known import argument_value
from .old import Use, differences, quoted
from .scope import SOME_MODEL, Argument, Call, Given, LayerOf, ModelState, SeedOf
from .tables import tabled
from .walk import Walk

ANY_NUMBER = 10**9
"""Of layers that a model may have which is not known before the run."""


def command(walk: Walk, node: ast.Command, key: int | None = None) -> t.Type:
    """Check a command; the type of its result. ``key`` is what it is known by, if not by its own id."""
    key, node = key or id(node), joined(walk, node)
    name = node.name
    op = operation_named(name) if name not in walk.procedures else None
    if op is not None:
        walk.commands.append(key)
        walk.places.append(node.span)
        problems = len(walk.problems.items)
        call, before = bind(walk, node, op), walk.calls.get(key)
        fits = len(walk.problems.items) == problems
        _read_alike(walk, key, node, call)
        walk.calls[key] = call if before is None else replace(call, shape=before.shape)
        kind = effects(walk, node, op, call)
        kind = (tabled(walk, node, op, call, key) if fits else t.ANY if op.name == "read" else None) or kind
        walk.commands.pop()
        walk.places.pop()
        return kind
    procedure = walk.procedures.get(name)
    if procedure is not None:
        call, types = bind_procedure(walk, node, procedure)
        _read_alike(walk, key, node, call)
        walk.calls[key] = call
        return walk.passes.enter(walk, procedure, node.name_span, call, key, types)
    unknown(walk, node)
    return t.ANY


def _read_alike(walk: Walk, key: int, node: ast.Command, call: Call) -> None:
    """EL201 where a command of a procedure reads its arguments in one way in one call of it and in another way in the
    next (``inject x 3`` for a layer and for a basin): one reading serves them all."""
    if walk.quiet or not walk.inside or not any(t.generic(kind) for _, kind, _ in walk.inside[-1].parameters):
        return
    before = walk.bound.setdefault(key, call)
    shapes = [
        {name: item.value if isinstance(item, Given) else type(item) is LayerOf or type(item) is SeedOf
         for name, item in one.arguments.items()}
        for one in (before, call)
    ]  # fmt: skip
    if shapes[0] != shapes[1]:
        find(
            walk, "EL201", f"what `{node.name}` is given here is read in another way in an earlier call", node.span,
            help="give the procedure's parameters their types: `def f(l: Layer, b: Basin):`",
        )  # fmt: skip


def joined(walk: Walk, node: ast.Command) -> ast.Command:
    """Two words that are one operation's name (``causal scan``) as one."""
    if node.arguments and isinstance(node.arguments[0], ast.Name) and not node.arguments[0].bracketed:
        name = f"{node.name} {node.arguments[0].name}"
        if operation_named(name) is not None:
            span = node.name_span.to(node.arguments[0].span)
            return ast.Command(node.span, name, span, node.arguments[1:], node.keywords)
    return node


_HABITS = {
    "range": "whole numbers from 0 to 4 are `0..4`, both ends included",
    "enumerate": "`for i in 0..len(xs) - 1:` counts, and `xs[i]` is an item",
    "table": "a table begins empty, `let t = table`, and `row t a=1 b=2` adds a row",
    "row": "`row t strength=s share=x` adds a row to the table `t`",
    "open": '`read "x.csv"` reads a file, `write t "x.csv"` writes one',
    "int": "`round(x)` is the nearest whole number",
    "float": "a whole number stands wherever a number can",
    "str": 'a text of any value is `"{x}"`',
    "type": "the checker knows the types; `el check` says what does not fit",
    "append": "a list grows by `xs = xs + [x]`",
    "export": '`write t "x.csv"` writes a table; `export-concept` a concept',
}
"""What is written out of habit, and what it is here."""


def unknown(walk: Walk, node: ast.Command) -> None:
    known = [*TABLE, *walk.procedures]
    habit = _HABITS.get(node.name)
    if habit is not None and walk.scope.find(node.name) is None:
        walk.problems.add("EL101", f"there is no operation `{node.name}`", node.name_span, help=habit)
        return
    help = suggestion(node.name, known) or suggestion(node.name.lower(), known)
    if not help and (close := difflib.get_close_matches(node.name.split("-")[0], known, n=1, cutoff=0.5)):
        help = f"did you mean `{close[0]}`?"
    if node.arguments and isinstance(node.arguments[0], ast.Int | ast.Float):
        number = node.arguments[0].value
        if number < 0 and walk.scope.find(node.name) is not None:
            help = f"binary minus needs a blank on both sides: `{node.name} - {-number}`"
    if (walk.incomplete and not help) or node.name in walk.lost:
        return
    walk.problems.add(
        "EL101",
        f"there is no operation `{node.name}`",
        node.name_span,
        help=help or "`el ops` lists them",
    )


def effects(walk: Walk, node: ast.Command, op: Op, call: Call) -> t.Type:
    """What an operation needs from the model, and what it does to it."""
    if op.needs_model:
        needs_model(walk, node.name_span, f"`{op.name}`")
    header = walk.model.header
    given = _given(walk, op, call)
    needed = op.needs(given)
    for need, (code, capability, lacking, help) in LACKS.items():
        if need in needed and header is not None and capability not in header.capabilities:
            said = f"`{op.name}` {lacking.format(header.spec)}"
            if need == Effect.LANDSCAPE:
                if Effect.NATIVE in op.effects:
                    layer, help = None, NOT_FITTED[1]
                    said = f"`{op.name}` {NOT_FITTED[0].format(header.spec)}"
                elif need in op.effects:
                    lacks = without_landscape(walk, op, call)
                    if lacks is None:
                        continue
                    layer = lacks[0]
                else:
                    layer, help = None, ""
                if layer is not None:
                    if layer >= len(header.dims):
                        continue  # said already
                    said = f"L{layer} of {header.spec} has no landscape"
                    help = f"`fit L{layer}` gives it one"
            place = node.name_span
            asking = op.asking(given, need)
            if asking is not None and need == Effect.MEMORY:
                subject, help = asking.subject
                said = f"{subject} {lacking.format(header.spec)}"
                place = getattr(call.places.get(asking.name), "span", place)
            find(walk, code, said, place, help=help)
    if op.flow.fits and header is not None and "landscape" in header.capabilities:
        find(walk, "EL253", f"the layers of {header.spec} are landscapes already", node.name_span,
             help="`survey` shows their basins")  # fmt: skip
    uses(walk, node, op, call)
    if node.span.source.legacy:
        compare_with_old(walk, node, op, call)
    if op.name == "save":
        path = path_in(walk, call, "path")
        walk.written.add(path if path is not None else "*")
        objection = (
            unsavable(path, not left_out(walk, call, "session"), None if header is None else header.kind)
            if path is not None
            else None
        )
        if objection is not None and not walk.quiet:
            walk.problems.add(objection.code, objection.message, node.span, help=objection.hint)
    if Effect.LOADS in op.effects:
        values, assigned = walk.facts.values, walk.facts.assigned
        if walk.model.loaded:
            before = walk.model.header
            walk.most_layers = max(walk.most_layers, len(before.dims) if before is not None else ANY_NUMBER)
        walk.model = header_of(walk, call, node)
        if not left_out(walk, call, "session"):  # what was done in the session that comes back is not known
            walk.model = replace(walk.model, facts=UNKNOWN)
        know(walk, values=values, assigned=assigned)
    leaves(walk, node, op, call)
    return t.NOTHING if op.name == "again" else op.result_type


def _given(walk: Walk, op: Op, call: Call) -> dict[str, Any]:
    """The values that a command is given; the type in the place of one that only the run knows, where that matters."""
    given = {name: known(value) for name, value in call.arguments.items()}
    for param in op.params:
        if param.instead and given.get(param.name) is UNKNOWN_VALUE:
            place, value = call.places.get(param.name), call.arguments[param.name]
            kind = walk.kinds.get(id(place), t.ANY) if place is not None else t.ANY
            given[param.name] = t.SEED if isinstance(value, SeedOf) else kind
        if "several" in param.needs and given.get(param.name) is UNKNOWN_VALUE:
            value = argument_value(walk, call.arguments[param.name])
            if type(value) in (list, tuple) and value:  # of none it is said already
                given[param.name] = value
    return given


def compare_with_old(walk: Walk, node: ast.Command, op: Op, call: Call) -> None:
    """Say what the command meant in the published tool, where that was something else."""
    given = {name: known(value) for name, value in call.arguments.items()}
    given = {name: None if value is UNKNOWN_VALUE else value for name, value in given.items()}
    use = Use(op.name, given, quoted(call.places), frozenset(walk.old_settings), frozenset(walk.old_guards))
    for name, difference in differences(use):
        if name not in walk.told and not walk.quiet:
            walk.told.add(name)
            walk.problems.add("EL407", difference.message, node.span, help=difference.help)
    if op.name == "set":
        walk.old_settings.add(str(given.get("setting")))
    if op.name == "guard":
        walk.old_guards.add(str(given.get("what")))


def left_out(walk: Walk, call: Call, name: str) -> bool:
    """Whether a switch is off for certain."""
    value: Argument | None = call.arguments.get(name)
    if isinstance(value, Given):
        return value.value is False
    return value is None or (isinstance(value, ast.Expr) and constant(value) is False)


def path_in(walk: Walk, call: Call, name: str) -> str | None:
    """A path or a model's name, where it can be known: written out, in a variable, or put together in a text."""
    value: Argument | None = call.arguments.get(name)
    if isinstance(value, Given):
        return str(value.value)
    found = argument_value(walk, value)
    return found if isinstance(found, str) else None


def header_of(walk: Walk, call: Call, node: ast.Command) -> ModelState:
    spec = path_in(walk, call, "model")
    if spec is None or spec in walk.written or "*" in walk.written:
        return ModelState(True)
    try:
        return ModelState(True, read_header(spec, walk.base))
    except ElError as error:
        span = node.arguments[0].span if node.arguments else node.span
        walk.problems.add(error.code, error.message, span, help=error.hint)
        return SOME_MODEL
