"""``el``: the language at the command line.

Exit codes: 0 all went well; 1 the script failed while it ran; 2 it did not check, or the command line is
wrong. Subcommands import what they need when they run, so that ``el --version`` and ``el check`` are quick
and leave torch alone.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from energylang import __version__
from energylang.diagnostics import Diagnostic
from energylang.errors import ElError
from energylang.render.diagnostics import render_diagnostics
from energylang.syntax.source import Source, decode

if TYPE_CHECKING:
    from energylang.checker.scope import ModelState

OK, FAILED, WRONG = 0, 1, 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without β shows a `?`, not a traceback
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if not hasattr(chosen, "run"):
        parser.print_help()
        return WRONG
    try:
        return int(chosen.run(chosen))
    except ElError as error:
        _complain(error.code, error.message, error.hint)
        return FAILED
    except KeyboardInterrupt:
        _complain("EL590", "interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if os.environ.get("EL_DEBUG"):
            raise
        message = f"{type(error).__name__}: {error}"
        _complain("EL599", message, "please report this; EL_DEBUG=1 shows where it happened")
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="el", description="Survey and edit the energy landscape of a neural network."
    )
    parser.add_argument("--version", action="version", version=f"el {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    run = commands.add_parser("run", help="check a script, then run it")
    run.add_argument("script", help="a .el file; - reads from standard input")
    run.add_argument("--model", help="load this model first")
    run.add_argument("--json", action="store_true", help="print the results as JSON")
    run.add_argument("--threads", type=_threads, default=1, help="torch threads (default: 1)")
    run.set_defaults(run=_run)

    check = commands.add_parser("check", help="say what is wrong with a script, without running it")
    check.add_argument("scripts", nargs="+", metavar="script")
    check.add_argument("--json", action="store_true", help="print the diagnostics as JSON")
    check.add_argument("--model", help="the model that will be loaded when the script starts")
    check.set_defaults(run=_check)

    info = commands.add_parser("info", help="what a model is and what it can do")
    info.add_argument("model", help="a bundled name, random:D, planted:DxK, or a path")
    info.add_argument("--json", action="store_true")
    info.set_defaults(run=_info)

    ops = commands.add_parser("ops", help="the operations")
    ops.add_argument("name", nargs="*", help="the operation to explain")
    ops.set_defaults(run=_ops)

    explain = commands.add_parser("explain", help="what a diagnostic code means")
    explain.add_argument("code")
    explain.set_defaults(run=_explain)

    from . import replay, report, train

    replay.add_parser(commands)
    train.add_parser(commands)
    report.add_parser(commands)
    return parser


def _threads(text: str) -> int:
    count = int(text)
    if not 1 <= count <= 1024:
        raise argparse.ArgumentTypeError("1 to 1024")
    return count


def _report(diagnostics: list[Diagnostic]) -> None:
    color = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    sys.stderr.write(render_diagnostics(diagnostics, color=color))
    sys.stderr.flush()


def _complain(code: str, message: str, help: str = "") -> None:
    """Report something that no line of a script is to blame for."""
    _report([Diagnostic(code, message, None, help=help)])


def read_source(path: str) -> Source | Diagnostic:
    """A script from a file or from standard input, or what is wrong with it."""
    name = "<stdin>" if path == "-" else path
    try:
        if path == "-":
            return Source(decode(sys.stdin.buffer.read()), "<stdin>", Path.cwd())
        return Source(decode(Path(path).read_bytes()), path, Path(path).resolve().parent)
    except UnicodeDecodeError as error:
        return Diagnostic("EL530", f"{name} is not UTF-8 text (byte {error.start})", None, path=name)
    except FileNotFoundError:
        return Diagnostic("EL530", f"there is no file {path}", None, path=path)
    except IsADirectoryError:
        return Diagnostic("EL530", f"{path} is a folder", None, path=path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return Diagnostic("EL530", f"{path} cannot be read: {reason}", None, path=path)


def _model(chosen: argparse.Namespace) -> ModelState | Diagnostic:
    """What `--model` says about the model a script starts with, or what is wrong with it."""
    from energylang.checker.scope import NO_MODEL, ModelState
    from energylang.models.header import read_header

    try:
        return ModelState(True, read_header(chosen.model)) if chosen.model is not None else NO_MODEL
    except ElError as error:
        return Diagnostic(error.code, f"--model: {error.message}", None, help=error.hint)


def _check(chosen: argparse.Namespace) -> int:
    from energylang.checker import check

    state = _model(chosen)
    found = [state] if isinstance(state, Diagnostic) else []
    for path in chosen.scripts:
        if isinstance(state, Diagnostic):
            break
        source = read_source(path)
        found += [source] if isinstance(source, Diagnostic) else check(source, model=state).diagnostics
    wrong = any(item.is_error for item in found)
    if chosen.json:
        print(json.dumps({"diagnostics": [item.to_dict() for item in found]}, indent=2, ensure_ascii=False))
    elif found:
        _report(found)
    else:
        count = len(chosen.scripts)
        print("no problems found" if count == 1 else f"no problems found in {count} scripts")
    return WRONG if wrong else OK


def _run(chosen: argparse.Namespace) -> int:
    from energylang.checker import check

    source, state = read_source(chosen.script), _model(chosen)
    if isinstance(source, Diagnostic):
        return _finish(chosen, [], [source], WRONG)
    if isinstance(state, Diagnostic):
        return _finish(chosen, [], [state], WRONG)
    checked = check(source, model=state)
    if not checked.ok:
        return _finish(chosen, [], checked.diagnostics, WRONG)

    from energylang.runtime.run import ScriptError, run_checked
    from energylang.runtime.session import Session

    from .output import Recorder

    session = Session(chosen.model, base=source.base, threads=chosen.threads)
    found, code = checked.diagnostics, OK
    with Recorder(json=chosen.json) as recorder:
        try:
            run_checked(session, checked, recorder.show, recorder.begin)
        except ScriptError as error:
            found, code = error.diagnostics, FAILED
        except KeyboardInterrupt:
            message = "interrupted; the statement that was running left no trace"
            found, code = [Diagnostic("EL590", message, None)], INTERRUPTED
    return _finish(chosen, recorder.items, found, code)


def _finish(chosen: argparse.Namespace, items: list[object], diagnostics: list[Diagnostic], code: int) -> int:
    if chosen.json:
        document = {
            "script": chosen.script,
            "ok": code == OK,
            "results": items,
            "diagnostics": [item.to_dict() for item in diagnostics],
        }
        print(json.dumps(document, indent=2, ensure_ascii=False))
    elif diagnostics:
        sys.stdout.flush()
        _report(diagnostics)
    return code


def _info(chosen: argparse.Namespace) -> int:
    from energylang.runtime.session import Session

    from .output import Recorder

    info = Session(chosen.model).info()
    if chosen.json:
        print(json.dumps(info.to_dict(), indent=2, ensure_ascii=False))
    else:
        Recorder.print(info)
    return OK


def _ops(chosen: argparse.Namespace) -> int:
    from energylang.ops import TABLE
    from energylang.ops.coerce import suggestion

    from .output import list_operations, show_operation

    if not chosen.name:
        list_operations(TABLE)
        return OK
    name = " ".join(chosen.name)
    op = TABLE.get(name) or TABLE.get(name.replace("_", "-"))
    if op is None:
        _complain(
            "EL101", f"there is no operation `{name}`", suggestion(name, TABLE) or "`el ops` lists them"
        )
        return WRONG
    show_operation(op)
    return OK


def _explain(chosen: argparse.Namespace) -> int:
    from energylang.diagnostics.codes import CODES
    from energylang.ops.coerce import suggestion

    from .output import show_code

    code = CODES.get(chosen.code.upper())
    if code is None:
        _complain("EL101", f"there is no code {chosen.code}", suggestion(chosen.code.upper(), CODES))
        return WRONG
    show_code(code)
    return OK
