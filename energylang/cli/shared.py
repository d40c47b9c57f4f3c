"""What the subcommands have in common: exit codes, reading a script, reporting."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from energylang.diagnostics import Diagnostic
from energylang.diagnostics.source import Source, decode
from energylang.errors import ElError
from energylang.files.storage import MAX_SCRIPT_BYTES, MIB, not_utf8, read_bytes
from energylang.render.diagnostics import render_diagnostics

if TYPE_CHECKING:
    from energylang.checker.scope import ModelState

OK, FAILED, WRONG = 0, 1, 2
INTERRUPTED = 130


def report(diagnostics: list[Diagnostic]) -> None:
    """Print diagnostics for people."""
    color = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    sys.stdout.flush()
    width = shutil.get_terminal_size().columns if sys.stderr.isatty() else None
    sys.stderr.write(render_diagnostics(diagnostics, color=color, width=width))
    sys.stderr.flush()


def complain(code: str, message: str, help: str = "") -> None:
    """Report something that no line of a script is to blame for."""
    report([Diagnostic(code, message, None, help=help)])


def read_source(path: str) -> Source | Diagnostic:
    """A script from a file or from standard input, or what is wrong with it."""
    name = "<stdin>" if path == "-" else path
    try:
        if path == "-":
            data = sys.stdin.buffer.read(MAX_SCRIPT_BYTES + 1)
            if len(data) > MAX_SCRIPT_BYTES:
                return Diagnostic(
                    "EL530", f"{name} is larger than {MAX_SCRIPT_BYTES // MIB} MiB", None, path=name
                )
            return Source(decode(data), "<stdin>", Path.cwd())
        return Source(decode(read_bytes(path, MAX_SCRIPT_BYTES)), path, Path(path).resolve().parent)
    except UnicodeDecodeError as error:
        what, way = not_utf8(error)
        return Diagnostic("EL530", f"{name} {what}", None, path=name, help=way)
    except FileNotFoundError:
        return Diagnostic("EL530", f"there is no file {path}", None, path=path)
    except IsADirectoryError:
        return Diagnostic("EL530", f"{path} is a folder", None, path=path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return Diagnostic("EL530", f"{path} cannot be read: {reason}", None, path=path)


def starting_model(spec: str | None) -> ModelState | Diagnostic:
    """What ``--model`` says about the model a script starts with, or what is wrong with it."""
    from energylang.checker.scope import NO_MODEL, ModelState
    from energylang.models.header import read_header

    try:
        return ModelState(True, read_header(spec)) if spec is not None else NO_MODEL
    except ElError as error:
        return Diagnostic(error.code, f"--model: {error.message}", None, help=error.hint)
