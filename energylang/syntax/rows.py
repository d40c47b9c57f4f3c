"""Whether a block gives rows to the sweep, or the script, that it belongs to."""

from __future__ import annotations

from . import ast


def gives_rows(body: tuple[ast.Statement, ...]) -> bool:
    """Is there a ``row`` without a table in the block? Those of a sweep within it are of that one."""
    pending: list[object] = [body]
    while pending:
        item = pending.pop()
        if isinstance(item, tuple):
            pending += item
        elif isinstance(item, ast.Row) and item.name is None:
            return True
        elif isinstance(item, ast.Statement):
            pending += vars(item).values()
    return False
