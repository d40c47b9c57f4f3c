"""``el schema``: the JSON schema of what ``el run --json`` writes, or of one kind of result. It imports no torch."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from energylang.diagnostics.visible import as_json

from .shared import OK, WRONG, complain

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add_parser(commands: _SubParsersAction[argparse.ArgumentParser], help: str = "") -> None:
    parser = commands.add_parser("schema", help=help)
    parser.add_argument(
        "name",
        nargs="*",
        help="an operation (`survey`) or a kind of result (`Survey`); without one, the whole document",
    )
    parser.add_argument("--list", action="store_true", help="only say which kinds of results there are")
    parser.set_defaults(run=_schema)


def _schema(options: argparse.Namespace) -> int:
    from energylang.ops import TABLE
    from energylang.ops.spelling import operation_named
    from energylang.render.document import document_schema
    from energylang.results.schema import kinds, result_schema
    from energylang.signature.coerce import suggestion

    known = kinds()
    if options.list:
        print("\n".join(known))
        return OK
    if not options.name:
        print(as_json(document_schema(), indent=2))
        return OK
    name = " ".join(options.name)
    op = operation_named(name)
    found = known.get(name) or (op.result if op else None)
    if found is None:
        hint = suggestion(name, [*known, *TABLE]) or "`el schema --list` lists the kinds of results"
        complain("EL101", f"there is no operation and no kind of result `{name}`", hint)
        return WRONG
    print(as_json(result_schema(found), indent=2))
    return OK
