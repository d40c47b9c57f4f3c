"""The names under which an operation goes, and old spellings made canonical.

``_`` and ``-`` are the same in the name of an operation, and a few operations have had another name. A script that
uses an old spelling means the same; ``el fmt`` writes the new one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from energylang.signature import types as t
from energylang.signature.declaration import Op
from energylang.syntax import ast

from . import TABLE

ALIASES: Mapping[str, str] = {"surveyall": "survey-all", "restoreall": "restore-all", "gen": "generate"}

_OLD_SANDBOX = re.compile(r"__random_(\d+)\Z")


def operation_named(name: str) -> Op | None:
    """The operation that goes by this name, or ``None``."""
    return TABLE.get(name) or TABLE.get(name.replace("_", "-")) or TABLE.get(ALIASES.get(name, ""))


def parse_names() -> Iterator[tuple[str, Op]]:
    """Every name with its operation, for the parser's terminals."""
    for name, op in TABLE.items():
        yield name, op
    for name, canonical in ALIASES.items():
        yield name, TABLE[canonical]


def respellings(statements: Iterable[ast.Statement]) -> dict[int, tuple[str, str]]:
    """The old spellings in a tree: at which place stands what, and what it should be."""
    found: dict[int, tuple[str, str]] = {}
    for node in _nodes(tuple(statements)):
        if isinstance(node, ast.Command):
            _command(node, found)
    return found


def _command(node: ast.Command, found: dict[int, tuple[str, str]]) -> None:
    arguments = list(node.arguments)
    op = operation_named(node.name)
    written = node.name_span.text
    if op is None and arguments and isinstance(arguments[0], ast.Name):
        op = operation_named(f"{node.name} {arguments[0].name}")
        if op is not None:
            arguments.pop(0)
    elif op is not None and " ".join(written.split()) != op.name:
        found[node.name_span.start] = written, op.name
    if op is None:
        return
    kinds = [param.type for param in op.positional]
    for kind, argument in zip(kinds[:1], arguments[:1], strict=False):
        if kind in (t.LAYER, t.LAYERS) and isinstance(argument, ast.Int) and argument.value >= 0:
            found[argument.span.start] = argument.span.text, f"L{argument.value}"
    for argument in arguments:
        if isinstance(argument, ast.Word) and (match := _OLD_SANDBOX.match(argument.value)):
            found[argument.span.start] = argument.value, f"random:{match[1]}"
    for keyword in node.keywords:
        if keyword.name == "reason" and isinstance(keyword.value, ast.Text) and keyword.value.raw:
            text = keyword.value.span.text
            plain = (
                text.strip("'")
                .replace("\\", "\\\\")
                .replace('"', '\\"')
                .replace("{", "\\{")
                .replace("}", "\\}")
            )
            found[keyword.value.span.start] = text, f'"{plain}"'


def _nodes(item: object) -> Iterator[ast.Node]:
    pending = [item]
    while pending:
        current = pending.pop()
        if isinstance(current, tuple):
            pending += current
        elif isinstance(current, ast.Node):
            yield current
            pending += [value for name, value in vars(current).items() if name != "span"]
