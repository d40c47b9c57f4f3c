"""The types of expressions."""

from __future__ import annotations

import re

from energylang.ops import TABLE
from energylang.ops.spelling import operation_named
from energylang.signature import types as t
from energylang.signature.coerce import article, suggestion
from energylang.syntax import ast

from .flow import layer_exists, needs_model, part_exists
from .known import BASIN_NAME
from .rules import Rules
from .walk import Walk

NUMBERS = (t.INT, t.FLOAT)
MAX_RANGE = 1_000_000


_type = Rules()


def _meant_layer(name: str) -> str:
    """``LO`` with a letter O looks like ``L0``."""
    word = name.upper().replace("O", "0")
    return f"did you mean `{word}`? (a zero)" if re.fullmatch(r"L[0O\d]*O[0O\d]*", name.upper()) else ""


def expect(walk: Walk, expr: ast.Expr, wanted: t.Type, what: str) -> None:
    found = value_of(walk, expr)
    if not t.fits(found, wanted):
        walk.problems.add("EL201", f"{what} must be {article(wanted)}, not {found}", expr.span)


def once(walk: Walk, expr: ast.Expr) -> t.Type:
    """The type of an argument that may be looked at twice: judged, and reported on, the first time."""
    kind = walk.judged.get(id(expr))
    if kind is None:
        kind = walk.judged[id(expr)] = type_of(walk, expr)
    return kind


def value_of(walk: Walk, expr: ast.Expr) -> t.Type:
    """The type of an expression whose value is used."""
    kind = type_of(walk, expr)
    if kind == t.NOTHING:
        walk.problems.add("EL211", "this gives no value", expr.span, help="a procedure gives what it returns")
        return t.ANY
    return kind


def type_of(walk: Walk, node: ast.Expr) -> t.Type:
    kind: t.Type = _type.of(node)(walk, node)
    return kind


@_type
def _(walk: Walk, node: ast.Int) -> t.Type:
    return t.INT


@_type
def _(walk: Walk, node: ast.Float) -> t.Type:
    return t.FLOAT


@_type
def _(walk: Walk, node: ast.Bool) -> t.Type:
    return t.BOOL


@_type
def _(walk: Walk, node: ast.Text) -> t.Type:
    for part in node.parts:
        if isinstance(part, ast.Hole):
            _hole(walk, part)
    return t.TEXT


def _hole(walk: Walk, hole: ast.Hole) -> None:
    kind = value_of(walk, hole.value)
    samples = {t.INT: 1, t.FLOAT: 1.5, t.TEXT: "a"}
    if hole.format and kind != t.ANY:
        try:
            if kind not in samples:
                raise ValueError
            format(samples[kind], hole.format)
        except ValueError:
            walk.problems.add(
                "EL210", f"the format `{hole.format}` does not fit {kind}", hole.span,
                help="whole numbers take formats such as `6d`, numbers `.2f` or `.1%`, texts `>12`",
            )  # fmt: skip


@_type
def _(walk: Walk, node: ast.Word) -> t.Type:
    return walk.scope.find(node.value) or t.TEXT


@_type
def _(walk: Walk, node: ast.Name) -> t.Type:
    found = walk.scope.find(node.name)
    if found is not None:
        return found
    if node.name in walk.procedures or operation_named(node.name) is not None:
        command = ast.Command(node.span, node.name, node.span, (), ())
        return walk.passes.command(walk, command, id(node))
    if node.name in walk.lost:
        return t.ANY
    walk.problems.add(
        "EL207", f"there is no variable `{node.name}` here", node.span,
        help=_meant_layer(node.name)
        or suggestion(node.name, [*walk.scope.names(), *TABLE])
        or f"a concept is written `@{node.name}` where any value can stand",
    )  # fmt: skip
    return t.ANY


@_type
def _(walk: Walk, node: ast.ConceptName) -> t.Type:
    return t.CONCEPT


@_type
def _(walk: Walk, node: ast.LayerRef) -> t.Type:
    layer_exists(walk, node.index, node.span)
    return t.LAYER


@_type
def _(walk: Walk, node: ast.LayersRef) -> t.Type:
    needs_model(walk, node.span, "`layers`")
    return t.list_of(t.LAYER)


@_type
def _(walk: Walk, node: ast.BasinRef) -> t.Type:
    layer_exists(walk, node.layer, node.span)
    return t.BASIN


@_type
def _(walk: Walk, node: ast.PartRef) -> t.Type:
    part_exists(walk, node)
    return t.NEURON if node.kind == "N" else t.HEAD


@_type
def _(walk: Walk, node: ast.List) -> t.Type:
    kinds = [value_of(walk, item) for item in node.items]
    item = kinds[0] if kinds else t.ANY
    for position, kind in enumerate(kinds):
        joined = t.join(item, kind)
        if joined is None:
            walk.problems.add(
                "EL201", f"the items of a list have one type; this is {kind} among {item}",
                node.items[position].span,
            )  # fmt: skip
            return t.list_of(t.ANY)
        item = joined
    return t.list_of(item)


@_type
def _(walk: Walk, node: ast.Range) -> t.Type:
    first, last = node.first, node.last
    if isinstance(first, ast.LayerRef) and isinstance(last, ast.LayerRef):
        value_of(walk, first)
        value_of(walk, last)
        if last.index < first.index:
            walk.problems.add(
                "EL206", "this range holds no layer", node.span, help="the lower layer comes first"
            )
        return t.list_of(t.LAYER)
    expect(walk, first, t.INT, "the start of a range")
    expect(walk, last, t.INT, "the end of a range")
    if isinstance(first, ast.Int) and isinstance(last, ast.Int) and last.value - first.value >= MAX_RANGE:
        walk.problems.add("EL206", f"a range holds at most {MAX_RANGE:,} numbers", node.span)
    return t.list_of(t.INT)


@_type
def _(walk: Walk, node: ast.Unary) -> t.Type:
    kind = value_of(walk, node.operand)
    if node.operator == "not":
        _operator(walk, "not", kind == t.BOOL or kind == t.ANY, node, (kind,))
        return t.BOOL
    _operator(walk, "-", kind in (*NUMBERS, t.ANY), node, (kind,))
    return kind


@_type
def _(walk: Walk, node: ast.Binary) -> t.Type:
    # Sums lean to the left, and a long one leans far: walk its spine instead of recurring.
    spine = [node]
    while isinstance(spine[-1].left, ast.Binary):
        spine.append(spine[-1].left)
    kind = value_of(walk, spine[-1].left)
    for part in reversed(spine):
        kind = _arithmetic(walk, part, kind, value_of(walk, part.right))
    return kind


def _arithmetic(walk: Walk, node: ast.Binary, left: t.Type, right: t.Type) -> t.Type:
    if t.ANY in (left, right):
        return t.ANY
    if left in NUMBERS and right in NUMBERS:
        if node.operator == "/":
            return t.FLOAT
        return t.FLOAT if t.FLOAT in (left, right) else t.INT
    if node.operator == "+" and left == right == t.TEXT:
        return left
    if node.operator == "+" and isinstance(left, t.ListOf) and isinstance(right, t.ListOf):
        joined = t.join(left, right)  # `[]` is a list of anything
        if joined is not None:
            return joined
    _operator(walk, node.operator, False, node, (left, right))
    return t.ANY


@_type
def _(walk: Walk, node: ast.Logical) -> t.Type:
    spine = [node]
    while isinstance(spine[-1].left, ast.Logical):
        spine.append(spine[-1].left)
    _truth(walk, spine[-1].operator, spine[-1].left)
    for part in reversed(spine):
        _truth(walk, part.operator, part.right)
    return t.BOOL


def _truth(walk: Walk, operator: str, operand: ast.Expr) -> None:
    kind = value_of(walk, operand)
    _operator(walk, operator, kind in (t.BOOL, t.ANY), operand, (kind,))


@_type
def _(walk: Walk, node: ast.Compare) -> t.Type:
    left = value_of(walk, node.first)
    for operator, operand in node.rest:
        right = value_of(walk, operand)
        if operator in ("==", "!="):
            fine = t.join(left, right) is not None
        else:
            ordered = (left in NUMBERS and right in NUMBERS) or left == right == t.TEXT
            fine = ordered or t.ANY in (left, right)
        _operator(walk, operator, fine, node, (left, right))
        left = right
    return t.BOOL


def _operator(walk: Walk, operator: str, fine: bool, node: ast.Expr, kinds: tuple[t.Type, ...]) -> None:
    if not fine:
        names = " and ".join(str(kind) for kind in kinds)
        help = 'interpolate instead: "{a}{b}"' if operator == "+" and t.TEXT in kinds else ""
        walk.problems.add("EL210", f"`{operator}` is not defined for {names}", node.span, help=help)


@_type
def _(walk: Walk, node: ast.Field) -> t.Type:
    kind = value_of(walk, node.value)
    if node.name.startswith(("share_", "log_prob_", "placebos", "controls")) and not walk.quiet:
        walk.claims.append(node)
    if kind == t.ANY:
        return t.ANY
    if kind == t.LAYER and BASIN_NAME.match(node.name):
        return t.BASIN
    if isinstance(kind, t.ListOf):
        known = {"count": t.INT}
    else:
        known = dict(t.fields_of(kind) or {})
    if node.name in known:
        return known[node.name]
    if kind == t.BASIN and node.name in t.record_fields("Basin"):
        help = "this basin is only a name; one out of a survey is measured: `s.basins[0]`"
    elif known:
        help = suggestion(node.name, known) or f"its fields: {', '.join(known)}"
    else:
        help = "only results have fields"
    walk.problems.add("EL205", f"{kind} has no field `{node.name}`", node.name_span, help=help)
    return t.ANY


@_type
def _(walk: Walk, node: ast.Index) -> t.Type:
    kind = value_of(walk, node.value)
    expect(walk, node.index, t.INT, "an index")
    if isinstance(kind, t.ListOf):
        return kind.item
    if kind != t.ANY:
        walk.problems.add("EL210", f"only lists have items; this is {kind}", node.value.span)
    return t.ANY


@_type
def _(walk: Walk, node: ast.Command) -> t.Type:
    return walk.passes.command(walk, node)
