"""``el replay FILE``: run a record again and compare it digest by digest.

The exit code is 0 where all is identical, or equal within rounding, and 1 where something is different."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from energylang.diagnostics.visible import as_json

if TYPE_CHECKING:
    from argparse import _SubParsersAction

DIFFERENT = 1


def add_parser(commands: _SubParsersAction[argparse.ArgumentParser], help: str = "") -> None:
    parser = commands.add_parser("replay", help=help)
    parser.add_argument("record", help="a file that `record` wrote")
    parser.add_argument("--on", help="another place of the same model")
    parser.add_argument("--key", help="the key of the record's watermarks")
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON")
    parser.set_defaults(run=_replay)


def _replay(options: argparse.Namespace) -> int:
    from energylang.ops import TABLE
    from energylang.session import Session

    values = {"path": options.record, "on": options.on, "key": options.key}
    found = Session().execute(
        TABLE["replay"], {name: value for name, value in values.items() if value is not None}
    )
    if options.json:
        print(as_json(found.to_dict()))
    else:
        from energylang.render.terminal import Screen

        Screen().display(found)
    return 0 if found.equal and found.intact else DIFFERENT
