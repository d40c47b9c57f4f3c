"""One rule for each kind of node: a table from the type of a node to the function that deals with it.

``functools.singledispatch`` says the same and costs more than most of the rules do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from energylang.syntax import ast

F = TypeVar("F", bound=Callable[..., Any])


class Rules:
    """Collects functions by the annotation of their parameter ``node``: ``ast.Int`` or ``ast.Int | ast.Float``."""

    def __init__(self) -> None:
        self.table: dict[type, Callable[..., Any]] = {}

    def __call__(self, function: F) -> F:
        for name in function.__annotations__["node"].split(" | "):
            self.table[getattr(ast, name.removeprefix("ast."))] = function
        return function

    def of(self, node: ast.Node) -> Callable[..., Any]:
        """The rule for a node. Raises ``TypeError`` when there is none."""
        rule = self.table.get(type(node))
        if rule is None:
            raise TypeError(f"no rule for {type(node).__name__}")
        return rule
