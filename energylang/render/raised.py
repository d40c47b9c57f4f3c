"""What a notebook says of an error that Python code has caused: the message that a script would get, and the line of
the notebook that it is about, in place of a traceback through this package.

Only a shell that asks for it (IPython) shows errors so. A program's traceback is what it always was.
"""

from __future__ import annotations

import traceback
from pathlib import Path

from energylang.diagnostics import Diagnostic
from energylang.errors import ElError

from .diagnostics import render_diagnostics

_HOME = str(Path(__file__).resolve().parents[1])


def raised(error: Exception) -> list[str]:
    """The lines that are shown of an ``ElError`` or a ``ScriptError``, with ANSI colours."""
    if isinstance(error, ElError):
        found = [Diagnostic(error.code, error.message, None, (), error.hint)]
    else:
        found = list(getattr(error, "diagnostics", ()))
    lines = render_diagnostics(found, color=True).rstrip("\n").splitlines()
    return [*lines, *_place(error)]


def _place(error: Exception) -> list[str]:
    """The user's own line that led here: the last that is not of this package."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_HOME)
    ]
    if not frames or not frames[-1].line:
        return []
    last = frames[-1]
    inside = "" if last.name.startswith("<") else f" in {last.name}"
    return [f"  \x1b[34m-->\x1b[0m line {last.lineno}{inside}: {last.line}"]
