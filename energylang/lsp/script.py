"""An open script: its text at one version, and what the checker finds out about it (once, when it is asked for)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import RLock
from urllib.parse import unquote, urlsplit

from energylang.checker import Checked, check
from energylang.checker.scope import NO_MODEL, Call, ModelState
from energylang.diagnostics import Diagnostic
from energylang.diagnostics.source import Source, Span
from energylang.syntax import ast

from .positions import same_lines


@dataclass(frozen=True)
class Level:
    """A block around a place: the statement whose block it is (``None``: the script's own statements), and the
    statements in it that begin before the place."""

    head: ast.Statement | None
    statements: tuple[ast.Statement, ...]


class Script:
    """``uri`` names the document. ``folder`` is where paths in one without a file begin."""

    def __init__(self, uri: str, text: str, version: int | None = None, folder: Path | None = None) -> None:
        self.uri, self.version, self.raw = uri, version, text
        self.path = path_of(uri)
        base = self.path.parent if self.path is not None else folder
        self.source = Source(same_lines(text).removeprefix("\ufeff"), str(self.path or uri), base)
        self._lock = RLock()

    @property
    def checked(self) -> Checked:
        with self._lock:  # whoever comes second waits for the first
            return self._checked

    @cached_property
    def _checked(self) -> Checked:
        try:
            return check(self.source, states=True)
        except Exception as error:  # the editor must go on, and say so
            if os.environ.get("EL_DEBUG"):
                raise
            where = Span(0, 0, self.source)
            said = Diagnostic("EL599", f"{type(error).__name__}: {error}", where, help="please report this")
            return Checked(ast.Program(where, ()), [said])

    @property
    def program(self) -> ast.Program:
        return self.checked.program

    @cached_property
    def calls(self) -> list[tuple[ast.Command | ast.Name, Call]]:
        """The commands with what they are bound to, in the order of the script."""
        bound = dict(self.checked.calls)
        for procedure in self.checked.procedures.values():
            bound.update(procedure.calls)
        return [
            (node, bound[id(node)])
            for node in nodes(self.program.statements)
            if isinstance(node, ast.Command | ast.Name) and id(node) in bound
        ]

    def around(self, offset: int) -> list[Level]:
        """The blocks around a place, the outermost first. A line that is indented deeper than a statement, behind its
        block, is taken to go on with the block."""
        column = self.column(offset)
        levels: list[Level] = []
        head: ast.Statement | None = None
        statements = self.program.statements
        while True:
            before = tuple(item for item in statements if item.span.start <= offset)
            levels.append(Level(head, before))
            if not before:
                return levels
            last = before[-1]
            begun = [block for block in blocks(last) if block and block[0].span.start <= offset]
            if not begun or (offset > last.span.end and column <= self.column(last.span.start)):
                return levels
            head, statements = last, begun[-1]

    def column(self, offset: int) -> int:
        """How far the line of a place is indented; an empty line as far as the place itself."""
        line, column = self.source.location(offset)
        text = self.source.line(line)
        return len(text) - len(text.lstrip()) if text.strip() else column - 1

    def state(self, offset: int) -> ModelState:
        """What is known of the session at a place."""
        states = self.checked.states
        for level in reversed(self.around(offset)):
            for statement in reversed(level.statements):
                if id(statement) in states:
                    before, behind = states[id(statement)]
                    return behind if offset > statement.span.end else before
        return NO_MODEL


def path_of(uri: str) -> Path | None:
    """The file that a document is, or ``None`` for a buffer without one."""
    parts = urlsplit(uri)
    if parts.scheme != "file":
        return None
    path = unquote(parts.path)
    if len(path) > 2 and path[0] == "/" and path[2] == ":":  # file:///C:/…
        path = path[1:]
    return Path(f"//{parts.netloc}{path}" if parts.netloc not in ("", "localhost") else path)


def blocks(node: ast.Statement) -> list[tuple[ast.Statement, ...]]:
    """The blocks of a statement, in order."""
    if isinstance(node, ast.If):
        return [*(body for _, body in node.branches), node.otherwise]
    if isinstance(node, ast.Attempt):
        return [node.body, node.otherwise]
    if isinstance(node, ast.For | ast.With | ast.Def | ast.Quiet):
        return [node.body]
    sweep = sweep_in(node)
    return [sweep.body] if sweep is not None else []


def sweep_in(node: ast.Statement | None) -> ast.Sweep | None:
    """The sweep that a statement displays or keeps."""
    value = node.command if isinstance(node, ast.Do) else node.value if isinstance(node, ast.Let) else None
    return value if isinstance(value, ast.Sweep) else None


def nodes(item: object) -> Iterator[ast.Node]:
    """All nodes in a tree, in the order of the script."""
    pending: list[object] = [item]
    while pending:
        current = pending.pop()
        if isinstance(current, tuple):
            pending.extend(reversed(current))
        elif isinstance(current, ast.Node):
            yield current
            pending.extend(reversed([value for name, value in vars(current).items() if name != "span"]))


def at(spans: Iterable[Span], offset: int) -> Span | None:
    """The first span that holds a place, or ends there."""
    return next((span for span in spans if span.start <= offset <= span.end), None)
