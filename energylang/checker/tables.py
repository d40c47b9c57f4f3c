"""What is in tables: of a file that is read, of one that the script wrote, and which columns a picture can name.

A file that `read` names is read when the script is checked, so that its columns are known like the fields of a result.
Where the path is not known by then, what the table holds is not either, and that is an error (EL215). The run compares
what it reads with what was seen here.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from energylang.errors import ElError
from energylang.files.examples import suffix_of
from energylang.files.storage import located, permitted
from energylang.files.tables import READ, WRITTEN, read_table
from energylang.signature import types as t
from energylang.signature.coerce import suggestion
from energylang.signature.declaration import Op
from energylang.syntax import ast

from .known import argument_value
from .scope import Call, Given, type_of_value
from .walk import Walk

DRAWN = (".svg", ".png", ".pdf", ".html")
_AS_TEXT = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson")


def tabled(walk: Walk, node: ast.Command, op: Op, call: Call, key: int) -> t.Type | None:
    """The type of the result of an operation on tables; ``None`` where its declaration says it."""
    if op.name == "read":
        return _read(walk, node, call, key)
    if op.name == "write":
        _write(walk, call)
    if op.name == "plot":
        _plot(walk, call)
    return None


def _path(walk: Walk, call: Call, name: str) -> str | None:
    value = call.arguments.get(name)
    found = value.value if isinstance(value, Given) else argument_value(walk, value)
    return found if isinstance(found, str) else None


def _place(call: Call, name: str) -> ast.Expr | None:
    return call.places.get(name)


def _read(walk: Walk, node: ast.Command, call: Call, key: int) -> t.Type:
    path = _path(walk, call, "path")
    kind: t.Type
    if path is None:
        return _not_known(walk, node)
    if path in walk.tables:
        kind = walk.tables[path]
    else:
        place = located(path, walk.base)
        try:
            kind = _in_file(path, str(place), _stamp(place), os.getcwd())
        except ElError as error:
            span = (_place(call, "path") or node).span
            walk.problems.add(error.code, error.message, span, help=error.hint)
            return t.ANY
    before = walk.calls[key].shape
    shape = kind if before is None else t.join(before, kind)
    walk.calls[key] = replace(call, shape=shape)
    return kind


def _not_known(walk: Walk, node: ast.Command) -> t.Type:
    if walk.quiet:
        return t.NEVER  # what the rounds that are looked at one by one make of it
    if any(
        procedure.definition.name_span is call
        for procedure, call in zip(walk.inside, walk.call_spans, strict=True)
    ):
        return t.ANY  # in a procedure that nobody calls
    walk.problems.add(
        "EL215", "which file this reads is not known before the run, and so is what it holds", node.span,
        help='write the path out, `read "sweep.csv"`, or keep it in a variable or a list that is written out',
    )  # fmt: skip
    return t.ANY


def _stamp(place: Path) -> tuple[int, int]:
    try:
        found = os.stat(permitted(place))
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=32)
def _in_file(path: str, place: str, stamp: tuple[int, int], folder: str) -> t.Type:
    """The type of the table in a file; ``stamp`` and ``folder`` say which state of which file it is."""
    return type_of_value(read_table(Path(place), path))


def _write(walk: Walk, call: Call) -> None:
    place, expr = _place(call, "path"), _place(call, "data")
    kind = walk.kinds.get(id(expr), t.ANY)
    path = _path(walk, call, "path")
    if path is None:
        return
    suffix = suffix_of(Path(path))
    if kind != t.TEXT and not t.unknown(kind) and suffix not in (*WRITTEN, ".ndjson") and place is not None:
        walk.problems.add("EL504", f"a table cannot be written to {path}", place.span,
                          help=suggestion(suffix, WRITTEN) or f"end the path in {', '.join(WRITTEN)}")  # fmt: skip
    if suffix in READ:
        walk.tables[path] = _read_again(kind, suffix)


def _read_again(kind: t.Type, suffix: str) -> t.Type:
    """The type of a table once it was written and read."""
    table = table_type(kind)
    if table is None or table.columns is None or suffix == ".txt":
        return t.table_of((("text", t.TEXT),))
    return t.table_of(tuple((name, _cell_again(held, suffix)) for name, held in table.columns))


def _cell_again(kind: t.Type, suffix: str) -> t.Type:
    if isinstance(kind, t.Maybe):
        held = _cell_again(kind.item, suffix)
        return held if held == t.TEXT and suffix in (".csv", ".tsv") else t.maybe(held)
    return kind if kind in (t.INT, t.FLOAT, t.BOOL, t.TEXT) else t.TEXT


def table_type(kind: t.Type) -> t.TableOf | None:
    """The type of a table, a list of records or a result as a table."""
    item = kind.item if isinstance(kind, t.ListOf) else kind
    if isinstance(kind, t.TableOf):
        return kind
    if isinstance(item, t.RecordOf):
        return t.table_of(item.entries)
    if isinstance(item, t.Record):
        return t.table_of_result(item.name)
    return None


def _plot(walk: Walk, call: Call) -> None:
    expr = _place(call, "data")
    kind = walk.kinds.get(id(expr), t.ANY)
    if kind == t.TEXT and expr is not None:
        walk.problems.add(
            "EL201", "a text cannot be plotted", expr.span, help="plot takes a table: `plot t x=a y=b`"
        )
        return
    table = table_type(kind)
    save, place = _path(walk, call, "save"), _place(call, "save")
    if save is not None and place is not None and not save.lower().endswith(DRAWN):
        walk.problems.add(
            "EL504", f"cannot draw into {save}", place.span, help=f"end the path in {', '.join(DRAWN)}"
        )
    if table is None or table.columns is None or not table.columns:
        return
    columns = dict(table.columns)
    for name in ("x", "y", "by"):
        column, place = _path(walk, call, name), _place(call, name)
        if column is None or place is None:
            continue
        if column not in columns:
            walk.problems.add("EL205", f"the table has no column `{column}`", place.span,
                              help=suggestion(column, columns) or f"its columns: {', '.join(columns)}")  # fmt: skip
        elif (
            name == "y" and not t.unknown(held := t.present(columns[column])) and held not in (t.INT, t.FLOAT)
        ):
            walk.problems.add("EL201", f"`y` is drawn, and `{column}` is {held}, not a number", place.span)
