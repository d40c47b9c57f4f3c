"""``el completion SHELL``: what a shell has to know to complete command lines of ``el``, written by shtab.

It is made from the command line's own parser, so it knows every command and option, and with them the operations for
``el ops``, the codes for ``el explain``, and where a file belongs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .shared import FAILED, OK, complain

if TYPE_CHECKING:
    from argparse import _SubParsersAction

EXTRA = 'pip install "energylang[completion]"'
SHELLS = ("bash", "zsh", "fish")
_FILES = ("script", "scripts", "record", "model", "models", "output", "corpus", "on")
"""Arguments, by the name of what they set, that are files."""


def add_parser(commands: _SubParsersAction[argparse.ArgumentParser], help: str = "") -> None:
    parser = commands.add_parser("completion", help=help)
    parser.add_argument("shell", choices=SHELLS, help="for which shell")
    parser.set_defaults(run=_completion)


def _completion(options: argparse.Namespace) -> int:
    try:
        shtab: Any = import_module("shtab")
    except ImportError as error:
        if error.name != "shtab":
            raise
        complain("EL500", "completion of command lines needs the shtab library", EXTRA)
        return FAILED
    print(script(shtab, options.shell), end="")
    return OK


def script(shtab: Any, shell: str) -> str:
    """The script for a shell."""
    from energylang.diagnostics.codes import CODES
    from energylang.models.described.places import PUBLISHED
    from energylang.ops import TABLE

    from .main import whole_parser

    words = {
        ("ops", "name"): list(dict.fromkeys(word for name in TABLE for word in name.split())),
        ("explain", "code"): list(CODES),
        ("get", "name"): list(PUBLISHED),
    }
    parser = whole_parser()
    for command, action in _arguments(parser):
        if (command, action.dest) in words:
            action.choices = words[command, action.dest]
        elif action.dest in _FILES and action.nargs != 0:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell=shell)).rstrip("\n") + "\n"


def _arguments(parser: argparse.ArgumentParser, command: str = "") -> Iterator[tuple[str, argparse.Action]]:
    """Every argument of every command, with the command's name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from _arguments(inner, name)
        else:
            yield command, action
