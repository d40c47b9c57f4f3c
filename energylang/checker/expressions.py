"""The types of expressions."""

from __future__ import annotations

import re

from energylang.ops import TABLE
from energylang.ops.spelling import operation_named
from energylang.signature import types as t
from energylang.signature.coerce import suggestion
from energylang.syntax import ast

from .rules import Rules
from .state import State

NUMBERS = (t.INT, t.FLOAT)
BASIN_NAME = re.compile(r"B(\d{1,9})\Z")
MAX_RANGE = 1_000_000


_type = Rules()


def _meant_layer(name: str) -> str:
    """``LO`` with a letter O looks like ``L0``."""
    word = name.upper().replace("O", "0")
    return f"did you mean `{word}`? (a zero)" if re.fullmatch(r"L[0O\d]*O[0O\d]*", name.upper()) else ""


class Expressions(State):
    """The part of the checker that gives every expression a type."""

    def type_of(self, node: ast.Expr) -> t.Type:
        kind: t.Type = _type.of(node)(self, node)
        return kind

    @_type
    def _(self, node: ast.Int) -> t.Type:
        return t.INT

    @_type
    def _(self, node: ast.Float) -> t.Type:
        return t.FLOAT

    @_type
    def _(self, node: ast.Bool) -> t.Type:
        return t.BOOL

    @_type
    def _(self, node: ast.Text) -> t.Type:
        for part in node.parts:
            if isinstance(part, ast.Hole):
                self._hole(part)
        return t.TEXT

    def _hole(self, hole: ast.Hole) -> None:
        kind = self.value_of(hole.value)
        samples = {t.INT: 1, t.FLOAT: 1.5, t.TEXT: "a"}
        if hole.format and kind != t.ANY:
            try:
                if kind not in samples:
                    raise ValueError
                format(samples[kind], hole.format)
            except ValueError:
                self.problems.add(
                    "EL210", f"the format `{hole.format}` does not fit {kind}", hole.span,
                    help="whole numbers take formats such as `6d`, numbers `.2f` or `.1%`, texts `>12`",
                )  # fmt: skip

    @_type
    def _(self, node: ast.Word) -> t.Type:
        return self.scope.find(node.value) or t.TEXT

    @_type
    def _(self, node: ast.Name) -> t.Type:
        found = self.scope.find(node.name)
        if found is not None:
            return found
        if node.name in self.procedures or operation_named(node.name) is not None:
            command = ast.Command(node.span, node.name, node.span, (), ())
            return self.command(command, id(node))
        if node.name in self.lost:
            return t.ANY
        self.problems.add(
            "EL207", f"there is no variable `{node.name}` here", node.span,
            help=_meant_layer(node.name)
            or suggestion(node.name, [*self.scope.names(), *TABLE])
            or f"a concept is written `@{node.name}` where any value can stand",
        )  # fmt: skip
        return t.ANY

    @_type
    def _(self, node: ast.ConceptName) -> t.Type:
        return t.CONCEPT

    @_type
    def _(self, node: ast.LayerRef) -> t.Type:
        self.layer_exists(node.index, node.span)
        return t.LAYER

    @_type
    def _(self, node: ast.LayersRef) -> t.Type:
        self.needs_model(node.span, "`layers`")
        return t.list_of(t.LAYER)

    @_type
    def _(self, node: ast.BasinRef) -> t.Type:
        self.layer_exists(node.layer, node.span)
        return t.BASIN

    @_type
    def _(self, node: ast.List) -> t.Type:
        kinds = [self.value_of(item) for item in node.items]
        item = kinds[0] if kinds else t.ANY
        for position, kind in enumerate(kinds):
            joined = t.join(item, kind)
            if joined is None:
                self.problems.add(
                    "EL201", f"the items of a list have one type; this is {kind} among {item}",
                    node.items[position].span,
                )  # fmt: skip
                return t.list_of(t.ANY)
            item = joined
        return t.list_of(item)

    @_type
    def _(self, node: ast.Range) -> t.Type:
        self.expect(node.first, t.INT, "the start of a range")
        self.expect(node.last, t.INT, "the end of a range")
        first, last = node.first, node.last
        if isinstance(first, ast.Int) and isinstance(last, ast.Int) and last.value - first.value >= MAX_RANGE:
            self.problems.add("EL206", f"a range holds at most {MAX_RANGE:,} numbers", node.span)
        return t.list_of(t.INT)

    @_type
    def _(self, node: ast.Unary) -> t.Type:
        kind = self.value_of(node.operand)
        if node.operator == "not":
            self._operator("not", kind == t.BOOL or kind == t.ANY, node, (kind,))
            return t.BOOL
        self._operator("-", kind in (*NUMBERS, t.ANY), node, (kind,))
        return kind

    @_type
    def _(self, node: ast.Binary) -> t.Type:
        # Sums lean to the left, and a long one leans far: walk its spine instead of recurring.
        spine = [node]
        while isinstance(spine[-1].left, ast.Binary):
            spine.append(spine[-1].left)
        kind = self.value_of(spine[-1].left)
        for part in reversed(spine):
            kind = self._arithmetic(part, kind, self.value_of(part.right))
        return kind

    def _arithmetic(self, node: ast.Binary, left: t.Type, right: t.Type) -> t.Type:
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
        self._operator(node.operator, False, node, (left, right))
        return t.ANY

    @_type
    def _(self, node: ast.Logical) -> t.Type:
        spine = [node]
        while isinstance(spine[-1].left, ast.Logical):
            spine.append(spine[-1].left)
        self._truth(spine[-1].operator, spine[-1].left)
        for part in reversed(spine):
            self._truth(part.operator, part.right)
        return t.BOOL

    def _truth(self, operator: str, operand: ast.Expr) -> None:
        kind = self.value_of(operand)
        self._operator(operator, kind in (t.BOOL, t.ANY), operand, (kind,))

    @_type
    def _(self, node: ast.Compare) -> t.Type:
        left = self.value_of(node.first)
        for operator, operand in node.rest:
            right = self.value_of(operand)
            if operator in ("==", "!="):
                fine = t.join(left, right) is not None
            else:
                ordered = (left in NUMBERS and right in NUMBERS) or left == right == t.TEXT
                fine = ordered or t.ANY in (left, right)
            self._operator(operator, fine, node, (left, right))
            left = right
        return t.BOOL

    def _operator(self, operator: str, fine: bool, node: ast.Expr, kinds: tuple[t.Type, ...]) -> None:
        if not fine:
            names = " and ".join(str(kind) for kind in kinds)
            help = 'interpolate instead: "{a}{b}"' if operator == "+" and t.TEXT in kinds else ""
            self.problems.add("EL210", f"`{operator}` is not defined for {names}", node.span, help=help)

    @_type
    def _(self, node: ast.Field) -> t.Type:
        kind = self.value_of(node.value)
        if node.name.startswith(("share_", "log_prob_", "placebos", "controls")) and not self.quiet:
            self.claims.append(node)
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
        self.problems.add("EL205", f"{kind} has no field `{node.name}`", node.name_span, help=help)
        return t.ANY

    @_type
    def _(self, node: ast.Index) -> t.Type:
        kind = self.value_of(node.value)
        self.expect(node.index, t.INT, "an index")
        if isinstance(kind, t.ListOf):
            return kind.item
        if kind != t.ANY:
            self.problems.add("EL210", f"only lists have items; this is {kind}", node.value.span)
        return t.ANY

    @_type
    def _(self, node: ast.Command) -> t.Type:
        return self.command(node)
