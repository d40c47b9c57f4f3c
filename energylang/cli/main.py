"""``el``: the language at the command line.

Exit codes: 0 all went well; 1 the script failed while it ran; 2 it did not check, or the command line is
wrong. Subcommands import what they need when they run, so that ``el --version`` and ``el check`` are quick
and leave torch alone.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from energylang.diagnostics import Diagnostic
from energylang.diagnostics.visible import as_json
from energylang.errors import ElError
from energylang.signature.settings import MAX_THREADS
from energylang.version import __version__

from . import limits, tools
from .shared import FAILED, INTERRUPTED, OK, WRONG, complain, read_source, report, starting_model

if TYPE_CHECKING:
    from energylang.checker.scope import ModelState
    from energylang.diagnostics.source import Source


LATER = {
    "sweep": "run a script for every combination of values, on several processes or machines",
    "replay": "run a record again and compare digest by digest",
    "train": "train a language model from a text file",
    "report": "examine models and write down what was found",
    "get": "fetch a pretrained model once",
    "lsp": "the language server, for editors",
    "schema": "the JSON schema of what --json writes",
    "completion": "what a shell needs to complete these commands",
}
"""Commands with a module of their own, and what the list of commands says of them."""


_OBJECTS = 50_000  # more than there were, until garbage is looked for


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without β shows a `?`, not a traceback
    if arguments is None:
        _search_less_for_garbage()
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser(words[0] if words else "")
    chosen = parser.parse_args(words)
    if not hasattr(chosen, "run"):
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            parser.print_help()
            return WRONG
        chosen = parser.parse_args(["repl"])
    try:
        return int(chosen.run(chosen))
    except ElError as error:
        complain(error.code, error.message, error.hint)
        return FAILED
    except KeyboardInterrupt:
        complain("EL590", "interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if os.environ.get("EL_DEBUG"):
            raise
        message = f"{type(error).__name__}: {error}"
        complain("EL599", message, "please report this; EL_DEBUG=1 shows where it happened")
        return FAILED


def _search_less_for_garbage() -> None:
    """In a process of its own. What an import makes stays, so looking through it again and again for reference cycles
    finds nothing; and what is left at the end need not be looked through before it goes. (Torch makes half a million
    objects: a quarter of its import's processor time, and as much again at the exit.)"""
    gc.set_threshold(_OBJECTS, 10, 10)
    atexit.register(gc.freeze)


def whole_parser() -> argparse.ArgumentParser:
    """The parser with everything that there is."""
    return _parser(None)


def _parser(word: str | None) -> argparse.ArgumentParser:
    """The parser for a command line whose first word is ``word``: what only other commands need is not imported.
    ``None``: for all."""
    parser = argparse.ArgumentParser(
        prog="el", description="Survey and edit the energy landscape of a neural network."
    )
    parser.add_argument("--version", action="version", version=f"el {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    run = commands.add_parser("run", help="check a script, then run it")
    run.add_argument("script", help="a .el file; - reads from standard input")
    run.add_argument("--model", help="load this model first")
    run.add_argument("--json", action="store_true", help="print the results as JSON (see el schema)")
    run.add_argument(
        "--quiet",
        "-q",
        action="store_true",
        help="show what is printed, and tables; no results of operations",
    )
    run.add_argument(
        "--keep-going", action="store_true", help="after an error, go on with the next statement"
    )
    run.add_argument("--threads", type=_threads, default=1, help="torch threads (default: 1)")
    limits.add_options(run)
    run.set_defaults(run=_run)

    repl = commands.add_parser("repl", help="the prompt (also: `el` alone)")
    repl.add_argument("model", nargs="?", help="load this model first")
    repl.add_argument("--resume", action="store_true", help="take up the last session where it ended")
    repl.add_argument("--threads", type=_threads, default=1, help="torch threads (default: 1)")
    repl.set_defaults(run=_repl)

    tools.add_parsers(commands)

    info = commands.add_parser("info", help="what a model is and what it can do")
    info.add_argument("model", help="a bundled name, random:D, planted:DxK, or a path")
    info.add_argument("--json", action="store_true")
    info.set_defaults(run=_info)

    ops = commands.add_parser("ops", help="the operations")
    ops.add_argument("name", nargs="*", help="the operation to explain")
    ops.add_argument("--json", action="store_true", help="print the declarations as JSON")
    ops.set_defaults(run=_ops)

    explain = commands.add_parser("explain", help="what a diagnostic code means")
    explain.add_argument("code", nargs="?", help="such as EL304; without one, all are listed")
    explain.add_argument("--json", action="store_true")
    explain.set_defaults(run=_explain)

    for name, said in LATER.items():
        if word is None or name == word:
            import_module(f"energylang.cli.{name}").add_parser(commands, said)
        else:
            commands.add_parser(name, help=said)
    return parser


def _threads(text: str) -> int:
    count = int(text)
    if not 1 <= count <= MAX_THREADS:
        raise argparse.ArgumentTypeError(f"1 to {MAX_THREADS}")
    return count


def _run(chosen: argparse.Namespace) -> int:
    problem = limits.problem(chosen)
    if problem:
        return _finish(chosen, [], [Diagnostic("EL209", problem, None)], WRONG)
    source, state = read_source(chosen.script), starting_model(chosen.model)
    if isinstance(source, Diagnostic):
        return _finish(chosen, [], [source], WRONG)
    if isinstance(state, Diagnostic):
        return _finish(chosen, [], [state], WRONG)
    items: list[object] = []
    with limits.TimeLimit(chosen.timeout) as time:
        try:
            found, code = _run_source(chosen, source, state, items)
        except KeyboardInterrupt:
            if time.over:
                message = f"{time.message}; the statement that was running left no trace"
                found, code = [Diagnostic("EL591", message, None)], FAILED
            else:
                message = "interrupted; the statement that was running left no trace"
                found, code = [Diagnostic("EL590", message, None)], INTERRUPTED
    return _finish(chosen, items, found, code)


def _run_source(
    chosen: argparse.Namespace, source: Source, state: ModelState, items: list[object]
) -> tuple[list[Diagnostic], int]:
    """Check and run a script within its limits; what is to be said at the end, and the exit code."""
    from energylang.checker import check

    folder = source.base if chosen.sandbox else None
    with limits.sandboxed(folder, force=chosen.force):
        checked = check(source, model=state)
    if not checked.ok:
        return checked.diagnostics, WRONG

    from energylang.run.doors import ScriptError, run_checked
    from energylang.session import Session

    from .output import Recorder

    session = Session(chosen.model, base=source.base, threads=chosen.threads)
    limits.limit_memory(chosen.memory)
    with (
        limits.sandboxed(folder, force=chosen.force),
        Recorder(json=chosen.json, quiet=chosen.quiet) as recorder,
    ):
        recorder.items = items
        session.watcher = recorder.count
        try:
            run_checked(
                session,
                checked,
                recorder.show,
                recorder.begin,
                keep_going=chosen.keep_going,
                kept=recorder.keep,
            )
        except ScriptError as error:
            return error.diagnostics, FAILED
    return checked.diagnostics, OK


def _finish(chosen: argparse.Namespace, items: list[object], diagnostics: list[Diagnostic], code: int) -> int:
    if chosen.json:
        document = {
            "script": chosen.script,
            "ok": code == OK,
            "results": items,
            "diagnostics": [item.to_dict() for item in diagnostics],
        }
        print(as_json(document, indent=2))
    elif diagnostics:
        sys.stdout.flush()
        report(diagnostics)
    return code


def _repl(chosen: argparse.Namespace) -> int:
    from energylang.repl.app import start

    if chosen.resume and chosen.model is not None:
        complain("EL209", "--resume takes up a session with its model: leave the model out")
        return WRONG
    return start(chosen.model, resume=chosen.resume, threads=chosen.threads)


def _info(chosen: argparse.Namespace) -> int:
    from energylang.models.header import parse_spec, read_header

    from .output import Recorder

    if parse_spec(chosen.model).form == "pretrained":  # large: its files say what it is
        from energylang.looking.about import about

        info = about(read_header(chosen.model))
    else:
        from energylang.session import Session

        info = Session(chosen.model).info()
    if chosen.json:
        print(as_json(info.to_dict(), indent=2))
    else:
        Recorder.print(info)
    return OK


def _ops(chosen: argparse.Namespace) -> int:
    from energylang.ops import TABLE
    from energylang.ops.spelling import operation_named
    from energylang.signature.coerce import suggestion
    from energylang.signature.functions import FUNCTIONS

    from .output import list_operations, operation_dict, show_function, show_operation

    if not chosen.name:
        if chosen.json:
            print(as_json([operation_dict(op) for op in TABLE.values()], indent=2))
        else:
            list_operations(TABLE)
        return OK
    name = " ".join(chosen.name)
    op = operation_named(name)
    if op is None and name in FUNCTIONS and not chosen.json:
        show_function(FUNCTIONS[name])
        return OK
    if op is None:
        complain("EL101", f"there is no operation `{name}`", suggestion(name, TABLE) or "`el ops` lists them")
        return WRONG
    if chosen.json:
        print(as_json(operation_dict(op), indent=2))
    else:
        show_operation(op)
    return OK


def _explain(chosen: argparse.Namespace) -> int:
    from energylang.diagnostics.codes import CODES
    from energylang.signature.coerce import suggestion

    from .output import list_codes, show_code

    if chosen.code is None:
        if chosen.json:
            print(as_json([vars(code) for code in CODES.values()], indent=2))
        else:
            list_codes(CODES)
        return OK
    code = CODES.get(chosen.code.upper())
    if code is None:
        complain("EL101", f"there is no code {chosen.code}", suggestion(chosen.code.upper(), CODES))
        return WRONG
    if chosen.json:
        print(as_json(vars(code), indent=2))
    else:
        show_code(code)
    return OK
