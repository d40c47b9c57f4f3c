"""The types of expressions."""

from __future__ import annotations

import re
from typing import Any

from energylang.errors import ElError
from energylang.ops import TABLE
from energylang.ops.spelling import operation_named
from energylang.signature import types as t
from energylang.signature.coerce import article, check_name, suggestion
from energylang.signature.functions import FUNCTIONS, Misfit
from energylang.syntax import ast

from .flow import find, layer_exists, needs_model, part_exists
from .known import BASIN_NAME, known
from .rules import Rules
from .scope import Scope
from .walk import Walk

NUMBERS = (t.INT, t.FLOAT)
MAX_RANGE = 1_000_000


_type = Rules()


def meant_layer(name: str) -> str:
    """``LO`` with a letter O, or ``l0``, looks like ``L0``; an empty text for any other name."""
    word = name.upper().replace("O", "0")
    if name == word or not re.fullmatch(r"L\d+", word):
        return ""
    return f"did you mean `{word}`?" + (" (a zero)" if "O" in name.upper() else "")


def expect(walk: Walk, expr: ast.Expr, wanted: t.Type, what: str) -> None:
    found = value_of(walk, expr)
    if not t.fits(found, wanted):
        walk.problems.add(
            "EL201",
            f"{what} must be {article(wanted)}, not {found}",
            expr.span,
            help=may_be_none(expr, found),
        )


def may_be_none(expr: ast.Expr, kind: t.Type) -> str:
    """What to do about a value that may be none."""
    if not isinstance(kind, t.Maybe):
        return ""
    written = " ".join(expr.span.text.split())
    if path_of(expr) is None:
        return "it may be none; keep it in a variable `x`, and use that behind `if x != none:`"
    return f"`{written}` may be none: use it behind `if {written} != none:` or `require {written} != none`"


def path_of(expr: ast.Expr) -> tuple[str, ...] | None:
    """A variable, or a field of one, as the names that lead to it."""
    fields: list[str] = []
    while isinstance(expr, ast.Field):
        fields.append(expr.name)
        expr = expr.value
    return (expr.name, *fields[::-1]) if isinstance(expr, ast.Name) else None


def see_present(walk: Walk, condition: ast.Expr, truth: bool) -> None:
    """What is compared and found to be so is not none."""
    waiting = [(condition, truth)]
    while waiting:
        condition, truth = waiting.pop()
        if isinstance(condition, ast.Unary) and condition.operator == "not":
            waiting.append((condition.operand, not truth))
        elif isinstance(condition, ast.Logical) and (condition.operator == "and") is truth:
            waiting += [(condition.left, truth), (condition.right, truth)]
        elif isinstance(condition, ast.Compare):
            _see_compared(walk, condition, truth)


def _see_compared(walk: Walk, condition: ast.Compare, truth: bool) -> None:
    """``x != none`` and ``x > 3`` hold for what is there only, and so does ``x == 3``; ``x == none`` fails for it."""
    if not truth and len(condition.rest) > 1:
        return
    operands = [condition.first, *(operand for _, operand in condition.rest)]
    for (operator, _), left, right in zip(condition.rest, operands, operands[1:], strict=False):
        for side, other in ((left, right), (right, left)):
            path, kind = path_of(side), walk.kinds.get(id(other), t.ANY)
            if path is None:
                continue
            differs = (operator == "!=") is truth
            if operator in ("==", "!="):
                there = kind == t.NONE if differs else not (
                    isinstance(kind, t.Maybe) or kind == t.NONE or t.unknown(kind)
                )  # fmt: skip
            else:
                there = truth
            if there:
                walk.scope.see_present(path)


def _narrowed(walk: Walk, node: ast.Expr, kind: t.Type) -> t.Type:
    """The type of a variable or a field, where it may be none and has turned out not to be."""
    if isinstance(kind, t.Maybe) and (path := path_of(node)) is not None and walk.scope.is_present(path):
        return kind.item
    return kind


def once(walk: Walk, expr: ast.Expr) -> t.Type:
    """The type of an argument that may be looked at twice: judged, and reported on, the first time."""
    kind = walk.judged.get(id(expr))
    if kind is None:
        kind = walk.judged[id(expr)] = value_of(walk, expr)
    return kind


def value_of(walk: Walk, expr: ast.Expr) -> t.Type:
    """The type of an expression whose value is used."""
    kind = type_of(walk, expr)
    if kind == t.NOTHING:
        walk.problems.add("EL211", "this gives no value", expr.span, help="a procedure gives what it returns")
        return t.ANY
    if isinstance(kind, t.Perhaps):
        walk.problems.add(
            "EL211", "this may give no value: not every way through the procedure ends in a `return` of one", expr.span,
            help="let its last line return a value, too",
        )  # fmt: skip
        return kind.item
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
    samples: dict[t.Type, Any] = {t.INT: 1, t.FLOAT: 1.5, t.NONE: 1.5}
    if hole.format and not t.unknown(kind):
        try:
            format(
                samples.get(t.present(kind), "a"), hole.format
            )  # what is no number is formatted as its text
        except ValueError:
            walk.problems.add(
                "EL210", f"the format `{hole.format}` does not fit {kind}", hole.span,
                help="whole numbers take formats such as `6d`, numbers `.2f` or `.1%`, all else `>12`",
            )  # fmt: skip


@_type
def _(walk: Walk, node: ast.Word) -> t.Type:
    found = walk.scope.find(node.value)
    return _narrowed(walk, ast.Name(node.span, node.value), found) if found is not None else t.TEXT


@_type
def _(walk: Walk, node: ast.Name) -> t.Type:
    found = walk.scope.find(node.name)
    if found is not None:
        return _narrowed(walk, node, found)
    if node.name in walk.procedures or operation_named(node.name) is not None:
        command = ast.Command(node.span, node.name, node.span, (), ())
        return walk.passes.command(walk, command, id(node))
    if node.name in walk.lost:
        return t.ANY
    if node.name == "none":
        return t.NONE
    if node.name == "table":
        return t.EMPTY_TABLE
    walk.problems.add(
        "EL207", f"there is no variable `{node.name}` here", node.span,
        help=meant_layer(node.name)
        or suggestion(node.name, [*walk.scope.names(), *TABLE])
        or f"a concept is written `@{node.name}` where any value can stand",
    )  # fmt: skip
    return t.ANY


@_type
def _(walk: Walk, node: ast.ConceptName) -> t.Type:
    return t.CONCEPT


@_type
def _(walk: Walk, node: ast.ComputedConcept) -> t.Type:
    kind = value_of(walk, node.name)
    if kind != t.CONCEPT and not t.fits(kind, t.TEXT):
        walk.problems.add("EL201", f"the name of a concept is a text, not {kind}", node.name.span,
                          help=may_be_none(node.name, kind) or '`@{"{x}"}` makes a text of it')  # fmt: skip
    name = known(walk, node.name)
    if isinstance(name, str):
        try:
            check_name(name)
        except ElError as error:
            find(walk, error.code, error.message, node.name, help=error.hint)
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
    item = kinds[0] if kinds else t.NEVER
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
def _(walk: Walk, node: ast.Each) -> t.Type:
    return walk.passes.each(walk, node)


@_type
def _(walk: Walk, node: ast.Sweep) -> t.Type:
    return walk.passes.sweep(walk, node)


@_type
def _(walk: Walk, node: ast.Record) -> t.Type:
    return t.record_of(tuple((entry.name, value_of(walk, entry.value)) for entry in node.entries))


@_type
def _(walk: Walk, node: ast.Part) -> t.Type:
    """A part of what ``for a, b in …`` goes through: of records with as many fields."""
    kind = value_of(walk, node.value)
    if t.unknown(kind) or kind == t.RECORD:
        return t.ANY
    entries = kind.entries if isinstance(kind, t.RecordOf) else None
    if entries is None or len(entries) != node.count or any(isinstance(of, t.Maybe) for _, of in entries):
        walk.problems.add(
            "EL201", f"{kind} cannot be taken apart into {node.count} names", node.span,
            help="`for a, b in zip(xs, ys):` goes through two lists side by side",
        )  # fmt: skip
        return t.ANY
    return entries[node.index][1]


@_type
def _(walk: Walk, node: ast.Function) -> t.Type:
    kinds = [value_of(walk, item) for item in node.arguments]
    named = [(entry.name, value_of(walk, entry.value)) for entry in node.keywords]
    function = FUNCTIONS.get(node.name)
    if function is None or function.method != node.method:
        walk.problems.add("EL101", f"there is no function `.{node.name}()`", node.name_span,
                          help=_other_function(node, kinds))  # fmt: skip
        return t.ANY
    usage = f"usage: {function.usage}"
    if node.keywords and node.name == "sorted" and len(kinds) == 1:
        return _sorted(walk, node, kinds[0], dict(named))
    if node.keywords:
        walk.problems.add("EL204", f"`{node.name}` has no parameter `{node.keywords[0].name}`",
                          node.keywords[0].name_span, help=usage)  # fmt: skip
        return t.ANY
    if len(kinds) < function.least:
        walk.problems.add("EL202", f"`{node.name}` needs more arguments", node.span, help=usage)
        return t.ANY
    if function.most is not None and len(kinds) > function.most:
        walk.problems.add("EL203", f"`{node.name}` takes fewer arguments", node.span, help=usage)
        return t.ANY
    found = function.rule(kinds)
    if isinstance(found, Misfit):
        place, kind = node.arguments[found.place], kinds[found.place]
        walk.problems.add("EL201", f"`{node.name}` takes {found.wanted}, not {kind}", place.span,
                          help=may_be_none(place, kind) or _items_may_be_none(kind) or usage)  # fmt: skip
        return t.ANY
    return found


def _sorted(walk: Walk, node: ast.Function, kind: t.Type, named: dict[str, t.Type]) -> t.Type:
    """``sorted(t, by="share", reverse=true)``: of a table or a list of records, by one of their fields."""
    places = {entry.name: entry for entry in node.keywords}
    for name, entry in places.items():
        wanted = {"by": t.TEXT, "reverse": t.BOOL}.get(name)
        if wanted is None:
            walk.problems.add("EL204", f"`sorted` has no parameter `{name}`", entry.name_span,
                              help="usage: sorted(xs, by=…, reverse=true)")  # fmt: skip
        elif not t.fits(named[name], wanted):
            walk.problems.add(
                "EL201", f"`{name}` must be {article(wanted)}, not {named[name]}", entry.value.span
            )
    row = t.item_of(kind)
    if "by" not in places:
        found = FUNCTIONS["sorted"].rule([kind])
    elif kind in (t.TABLE, t.list_of(t.RECORD)):
        return kind
    elif isinstance(row, t.RecordOf) and row.entries is not None:
        by = places["by"].value
        field = by.constant if isinstance(by, ast.Text) else None
        held = t.present(dict(row.entries).get(field or "", t.NONE))
        if held not in (*NUMBERS, t.TEXT) and not t.unknown(held):
            names = [name for name, of in row.entries if t.present(of) in (*NUMBERS, t.TEXT)]
            walk.problems.add("EL205", f"there is no column of numbers or texts `{field or '…'}` to sort by", by.span,
                              help=suggestion(field or "", names) or f"there are: {', '.join(names)}")  # fmt: skip
        return kind
    else:
        found = (
            kind
            if t.unknown(kind) or t.unknown(row or t.NONE)
            else Misfit(0, "a table or a list of records with `by=`")
        )
    if isinstance(found, Misfit):
        walk.problems.add("EL201", f"`sorted` takes {found.wanted}, not {kind}", node.arguments[0].span)
        return t.ANY
    return found


def _items_may_be_none(kind: t.Type) -> str:
    if isinstance(kind, t.ListOf) and isinstance(kind.item, t.Maybe):
        return "some items may be none; `[x for x in xs if x != none]` leaves these out"
    return ""


def _other_function(node: ast.Function, kinds: list[t.Type]) -> str:
    written = " ".join(node.arguments[0].span.text.split())
    if node.name in FUNCTIONS:
        return f"`{node.name}({written})`"
    if node.name in ("format", "str"):
        return 'a value is put into a text by braces: `"{x:.2f}"`'
    if node.name in ("append", "add", "push", "extend"):
        table = kinds and isinstance(kinds[0], t.TableOf)
        return (
            f"`row {written} a=1` adds a row" if table else f"a list grows by `{written} = {written} + [x]`"
        )
    methods = [name for name, function in FUNCTIONS.items() if function.method]
    return suggestion(node.name, methods) or f"texts have {', '.join(f'.{name}()' for name in methods)}"


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
        _operator(walk, "not", kind == t.BOOL or t.unknown(kind), node, ((node.operand, kind),))
        return t.BOOL
    _operator(walk, "-", kind in NUMBERS or t.unknown(kind), node, ((node.operand, kind),))
    return t.present(kind)


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
    if t.NEVER in (left, right):
        return t.NEVER
    if left in NUMBERS and right in NUMBERS:
        if node.operator == "/":
            return t.FLOAT
        if node.operator == "**":  # a power of whole numbers is one where the exponent is not below 0
            whole = left == right == t.INT and isinstance(node.right, ast.Int) and node.right.value >= 0
            return t.INT if whole else t.FLOAT
        return t.FLOAT if t.FLOAT in (left, right) else t.INT
    if node.operator == "+" and left == right == t.TEXT:
        return left
    if node.operator == "+" and isinstance(left, t.ListOf) and isinstance(right, t.ListOf):
        joined = t.join(left, right)
        if joined is not None:
            return joined
    _operator(walk, node.operator, False, node, ((node.left, left), (node.right, right)))
    return t.ANY


@_type
def _(walk: Walk, node: ast.Logical) -> t.Type:
    spine = [node]
    while isinstance(spine[-1].left, ast.Logical):
        spine.append(spine[-1].left)
    _truth(walk, spine[-1].operator, spine[-1].left)
    outer, left, operator = walk.scope, spine[-1].left, ""
    for part in reversed(spine):  # what stands on the right is only asked where the left does not decide
        if part.operator != operator:
            walk.scope, operator = Scope(outer), part.operator
        see_present(walk, left, operator == "and")
        _truth(walk, operator, part.right)
        left = part.right if len(spine) > 1 else left
    walk.scope = outer
    return t.BOOL


def _truth(walk: Walk, operator: str, operand: ast.Expr) -> None:
    kind = value_of(walk, operand)
    _operator(walk, operator, kind == t.BOOL or t.unknown(kind), operand, ((operand, kind),))


@_type
def _(walk: Walk, node: ast.Compare) -> t.Type:
    former, left = node.first, value_of(walk, node.first)
    walk.kinds[id(former)] = left
    for operator, operand in node.rest:
        right = walk.kinds[id(operand)] = value_of(walk, operand)
        if operator in ("==", "!="):
            fine = t.join(left, right) is not None
        else:  # with none, a comparison is false
            sides = t.present(left), t.present(right)
            ordered = (sides[0] in NUMBERS and sides[1] in NUMBERS) or sides[0] == sides[1] == t.TEXT
            fine = ordered or any(side == t.NONE or t.unknown(side) for side in sides)
        _operator(walk, operator, fine, node, ((former, left), (operand, right)))
        former, left = operand, right
    return t.BOOL


@_type
def _(walk: Walk, node: ast.Within) -> t.Type:
    kind, items = value_of(walk, node.value), value_of(walk, node.items)
    if isinstance(items, t.ListOf):
        fine = t.join(t.present(kind), items.item) is not None
    else:
        fine = t.unknown(items) or (items == t.TEXT and (kind == t.TEXT or t.unknown(kind)))
    _operator(walk, "in", fine, node, ((node.value, kind), (node.items, items)))
    return t.BOOL


def _operator(
    walk: Walk, operator: str, fine: bool, node: ast.Expr, operands: tuple[tuple[ast.Expr, t.Type], ...]
) -> None:
    if not fine:
        kinds = [kind for _, kind in operands]
        names = " and ".join(str(kind) for kind in kinds)
        help = 'interpolate instead: "{a}{b}"' if operator == "+" and t.TEXT in kinds else ""
        help = next((said for item in operands if (said := may_be_none(*item))), help)
        walk.problems.add("EL210", f"`{operator}` is not defined for {names}", node.span, help=help)


@_type
def _(walk: Walk, node: ast.Field) -> t.Type:
    kind = value_of(walk, node.value)
    if node.name.startswith(("share_", "log_prob_", "placebos", "controls")) and not walk.quiet:
        walk.claims.append(node)
    if t.unknown(kind) or kind == t.NONE or kind in (t.RECORD, t.TABLE):
        return kind if t.unknown(kind) or kind == t.NONE else t.ANY
    if isinstance(kind, t.Maybe):  # what none has is none
        return _narrowed(walk, node, t.maybe(_field(walk, node, kind.item)))
    return _narrowed(walk, node, _field(walk, node, kind))


def _field(walk: Walk, node: ast.Field, kind: t.Type) -> t.Type:
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
    elif isinstance(kind, t.TableOf):
        columns = [name for name, _ in kind.columns or ()]
        listed = f"its columns: {', '.join(columns)}" if columns else "`row` adds rows, and with them columns"
        help = suggestion(node.name, known) or listed
    elif known:
        help = suggestion(node.name, known) or f"its fields: {', '.join(known)}"
    else:
        help = "only results have fields"
    walk.problems.add("EL205", f"{kind} has no field `{node.name}`", node.name_span, help=help)
    return t.ANY


@_type
def _(walk: Walk, node: ast.Index) -> t.Type:
    kind = value_of(walk, node.value)
    if isinstance(node.index, ast.Text) and isinstance(kind, t.RecordOf | t.TableOf):
        return _by_name(walk, node, kind)
    expect(walk, node.index, t.INT, "an index")
    if (item := t.item_of(kind)) is not None:
        return item
    if not t.unknown(kind):
        walk.problems.add(
            "EL210",
            f"only lists have items; this is {kind}",
            node.value.span,
            help=may_be_none(node.value, kind),
        )
    return kind if kind == t.NEVER else t.ANY


def _by_name(walk: Walk, node: ast.Index, kind: t.RecordOf | t.TableOf) -> t.Type:
    """``r["a name"]``, a field; ``t["a name"]``, a column."""
    value_of(walk, node.index)
    name = node.index.constant if isinstance(node.index, ast.Text) else None
    entries = kind.entries if isinstance(kind, t.RecordOf) else kind.columns
    if entries is None:
        return t.ANY
    found = dict(entries).get(name or "")
    if found is None:
        what = "this record" if isinstance(kind, t.RecordOf) else "this table"
        message = (
            f"{what} has no `{name}`" if name is not None else "a name in brackets is a text without braces"
        )
        known = [known for known, _ in entries]
        walk.problems.add("EL205", message, node.index.span,
                          help=suggestion(name or "", known) or f"there are: {', '.join(known)}")  # fmt: skip
        return t.ANY
    return found if isinstance(kind, t.RecordOf) else t.list_of(found)


@_type
def _(walk: Walk, node: ast.Command) -> t.Type:
    return walk.passes.command(walk, node)
