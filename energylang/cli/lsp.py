"""``el lsp``: the language server, over standard input and output. It imports no torch."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .shared import FAILED, OK, complain

if TYPE_CHECKING:
    from argparse import _SubParsersAction

EXTRA = 'pip install "energylang[lsp]"'
NEEDED = ("pygls", "lsprotocol", "cattrs", "attr", "attrs")


def add_parser(commands: _SubParsersAction[argparse.ArgumentParser], help: str = "") -> None:
    parser = commands.add_parser("lsp", help=help)
    parser.add_argument(
        "--stdio", action="store_true", help="speak over standard input and output (as always)"
    )
    parser.set_defaults(run=_lsp)


def _lsp(options: argparse.Namespace) -> int:
    try:
        from energylang.lsp.server import serve
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in NEEDED:
            raise
        complain("EL500", "the language server needs the pygls library", EXTRA)
        return FAILED
    serve()
    return OK
