"""The values of expressions, as far as they can be known before the script runs.

A layer, a basin, a concept or a number that is written out, or kept in a variable, is known by itself. What only
the run can tell is known by where it comes from (``Symbol``), so that the basin that is removed and the basin that
is used afterwards are seen to be the same one: ``let b = s.basins[0]``, ``remove b``, ``verify b``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from energylang.signature.coerce import is_name
from energylang.signature.values import BasinRef, ConceptName, Layer, PartName
from energylang.syntax import ast

from .facts import Symbol
from .rules import Rules
from .scope import Argument, Given, LayerOf, SeedOf
from .walk import Walk

MAX_ITEMS = 64
MAX_TEXT = 1000
_LARGEST = 10**18
_ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "%": operator.mod,
}  # fmt: skip
_COMPARISON: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


BASIN_NAME = re.compile(r"B(\d{1,9})\Z")
_value = Rules()


def argument_value(walk: Walk, argument: Argument | None) -> Any:
    """The value of an argument that has found its parameter."""
    if isinstance(argument, Given):
        return argument.value
    if isinstance(argument, LayerOf):
        return layer_of(walk, known(walk, argument.basin))
    if argument is None or isinstance(argument, SeedOf):
        return None
    return known(walk, argument)


def layer_of(walk: Walk, value: Any) -> Any:
    """The layer (a number, or a symbol) of a basin or a survey; ``None`` where it cannot be known."""
    while isinstance(value, Symbol):
        if value[0] == "basin":
            value = value[1]
            return value.index if isinstance(value, Layer) else value
        if value[0] == "do":
            return walk.layers_of_commands.get(value[1])
        if value[0] == "layers":
            return None
        value = walk.items_of_loops.get(value[1]) if value[0] == "round" else value[1]
    if isinstance(value, BasinRef | PartName):
        return value.layer
    return value.index if isinstance(value, Layer) else None


def fleeting(walk: Walk, node: ast.Expr) -> bool:
    """Does the value hang on a variable that is known for one round of a loop, or one call, only?"""
    if isinstance(node, ast.Name):
        home = walk.scope.place(node.name)
        return home is not None and node.name in home.pinned
    return any(fleeting(walk, part) for part in _parts(node))


def known(walk: Walk, node: ast.Expr) -> Any:
    """The value of an expression, a symbol, or ``None``."""
    rule = _value.table.get(type(node))
    return rule(walk, node) if rule is not None else None


@_value
def _(walk: Walk, node: ast.Int | ast.Float | ast.Bool) -> Any:
    return node.value


@_value
def _(walk: Walk, node: ast.Text) -> Any:
    parts: list[str] = []
    length = 0
    for part in node.parts:
        if isinstance(part, str):
            parts.append(part)
        else:
            value = known(walk, part.value)
            plain = isinstance(value, int | str | Layer | BasinRef) and not isinstance(value, bool)
            if part.format or not plain:
                return None
            parts.append(str(value))
        length += len(parts[-1])
        if length > MAX_TEXT:  # a text that takes itself in, in a loop, doubles
            return None
    return "".join(parts)


@_value
def _(walk: Walk, node: ast.Word) -> Any:
    return _variable(walk, node.value) if walk.scope.place(node.value) else node.value


@_value
def _(walk: Walk, node: ast.Name) -> Any:
    if walk.scope.place(node.name):
        return _variable(walk, node.name)
    if node.name in ("none", "table") and node.name not in walk.procedures:
        return None
    return walk.returned_by.get(id(node), Symbol(("do", id(node))))


def _variable(walk: Walk, name: str) -> Any:
    home = walk.scope.place(name)
    return walk.facts.value(home.level, name) if home is not None else None


@_value
def _(walk: Walk, node: ast.ConceptName) -> ConceptName:
    return ConceptName(node.name)


@_value
def _(walk: Walk, node: ast.ComputedConcept) -> Any:
    name = known(walk, node.name)
    if isinstance(name, ConceptName):
        return name
    return ConceptName(name) if isinstance(name, str) and is_name(name) else None


@_value
def _(walk: Walk, node: ast.LayerRef) -> Layer:
    return Layer(node.index)


@_value
def _(walk: Walk, node: ast.LayersRef) -> Any:
    header = walk.model.header
    if header is None or len(header.dims) > MAX_ITEMS:
        return Symbol(("layers",))
    return tuple(Layer(index) for index in range(len(header.dims)))


@_value
def _(walk: Walk, node: ast.BasinRef) -> BasinRef:
    return BasinRef(node.layer, node.basin)


@_value
def _(walk: Walk, node: ast.PartRef) -> PartName:
    return PartName(node.layer, node.kind, node.index)


@_value
def _(walk: Walk, node: ast.List) -> Any:
    if len(node.items) > MAX_ITEMS:
        return None
    items = [known(walk, item) for item in node.items]
    return tuple(None if type(item) is tuple else item for item in items)  # lists in lists are not followed


@_value
def _(walk: Walk, node: ast.Range) -> Any:
    first, last = known(walk, node.first), known(walk, node.last)
    if isinstance(first, Layer) and isinstance(last, Layer) and last.index - first.index < MAX_ITEMS:
        return tuple(Layer(index) for index in range(first.index, last.index + 1))
    if not _is_int(first) or not _is_int(last) or last - first >= MAX_ITEMS:
        return None
    return tuple(range(first, last + 1))


@_value
def _(walk: Walk, node: ast.Unary) -> Any:
    value = known(walk, node.operand)
    if node.operator == "not":
        return not value if isinstance(value, bool) else None
    return -value if _is_number(value) else None


@_value
def _(walk: Walk, node: ast.Binary) -> Any:
    spine = [node]
    while isinstance(spine[-1].left, ast.Binary):
        spine.append(spine[-1].left)
    value = known(walk, spine[-1].left)
    for part in reversed(spine):
        value = _calculated(part.operator, value, known(walk, part.right))
        if value is None:
            return None
    return value


@_value
def _(walk: Walk, node: ast.Logical) -> Any:
    spine = [node]
    while isinstance(spine[-1].left, ast.Logical):
        spine.append(spine[-1].left)
    value = known(walk, spine[-1].left)
    for part in reversed(spine):
        right = known(walk, part.right)
        decides = part.operator == "or"
        if value is decides or right is decides:
            value = decides
        elif not isinstance(value, bool) or not isinstance(right, bool):
            value = None
        else:
            value = not decides
    return value


@_value
def _(walk: Walk, node: ast.Compare) -> Any:
    left, result = known(walk, node.first), True
    for sign, operand in node.rest:
        right = known(walk, operand)
        alike = (_is_number(left) and _is_number(right)) or (
            type(left) is type(right) and isinstance(left, str | bool | Layer | BasinRef | ConceptName)
        )
        if not alike or (sign not in ("==", "!=") and not isinstance(left, int | float | str)):
            return None
        result = result and _COMPARISON[sign](left, right)
        left = right
    return result


@_value
def _(walk: Walk, node: ast.Field) -> Any:
    value = known(walk, node.value)
    if isinstance(value, Layer | Symbol) and (basin := BASIN_NAME.match(node.name)):
        number = int(basin[1])
        return BasinRef(value.index, number) if isinstance(value, Layer) else Symbol(("basin", value, number))
    if isinstance(value, BasinRef):
        return {"layer": value.layer, "id": value.basin}.get(node.name)
    if isinstance(value, Symbol):
        return Symbol(("field", value, node.name))
    return len(value) if isinstance(value, tuple) and node.name == "count" else None


@_value
def _(walk: Walk, node: ast.Index) -> Any:
    items, index = known(walk, node.value), known(walk, node.index)
    if isinstance(items, Symbol):
        return Symbol(("item", items, index)) if _is_int(index) or isinstance(index, Symbol) else None
    if isinstance(items, tuple) and _is_int(index) and -len(items) <= index < len(items):
        return items[index]
    return None


@_value
def _(walk: Walk, node: ast.Command) -> Any:
    return walk.returned_by.get(id(node), Symbol(("do", id(node))))


def _parts(node: Any) -> list[ast.Expr]:
    found: list[ast.Expr] = []
    for item in fields(node):
        value = getattr(node, item.name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, ast.Expr):
                found.append(part)
            elif isinstance(part, ast.Keyword | ast.Hole | ast.Entry):
                found.append(part.value)
            elif isinstance(part, tuple):  # the operands of a comparison
                found += [piece for piece in part if isinstance(piece, ast.Expr)]
    return found


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _calculated(sign: str, left: Any, right: Any) -> Any:
    if (
        sign == "+"
        and type(left) is type(right)
        and isinstance(left, str)
        and len(left) + len(right) <= MAX_TEXT
    ):
        return left + right
    if sign == "+" and type(left) is type(right) is tuple and len(left) + len(right) <= MAX_ITEMS:
        return left + right
    if not _is_number(left) or not _is_number(right) or (sign in "/%" and right == 0):
        return None
    if sign == "**":
        whole = isinstance(left, int) and isinstance(right, int) and 0 <= right <= 64
        return left**right if whole and abs(left) ** right < _LARGEST else None
    try:
        value = _ARITHMETIC[sign](left, right)
    except OverflowError:
        return None
    return value if abs(value) < _LARGEST else None
