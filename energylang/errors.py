"""The one family of errors that a user can cause and should read.

Everything below the language (the landscape engine, the models, the checkpoint reader) raises
an ``ElError`` when the *input* is at fault: a file that is not a checkpoint, a state of the wrong
dimension, an edit that leaves no room. The front ends add what they know (a span of the script, a
path) and print it; any other exception is a defect of this package.
"""

from __future__ import annotations

import re
from importlib import import_module

_LONGEST = 1500
_HALVES = re.compile("[\ud800-\udfff]")


class ElError(Exception):
    """An error with a stable code, one clear sentence and, where there is one, a way out.

    ``code`` is a key of the table in ``energylang.diagnostics.codes``; ``hint`` says what to do.
    """

    code = "EL500"

    def __init__(self, message: str, *, hint: str = "", code: str | None = None) -> None:
        if len(message) > _LONGEST:  # it quotes a file, and the file is made of nothing else
            message = f"{message[:_LONGEST]}…"
        message, hint = _printable(message), _printable(hint)
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return self.message

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows in place of a traceback through this package. Only ``render`` knows how; it is found by
        name, because errors know nothing of what shows them."""
        lines: list[str] = import_module("energylang.render.raised").raised(self)
        return lines


def _printable(text: str) -> str:
    """Halves of characters cannot be printed: they are written as the language writes them, ``\\u{d800}``."""
    return _HALVES.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", text)


class CheckpointError(ElError):
    """A model file that cannot be read: missing, truncated, unsafe, or not in a known layout."""

    code = "EL501"


class LandscapeError(ElError):
    """A request that the energy landscape cannot answer (wrong dimension, no room for an edit)."""

    code = "EL502"


class CorpusError(ElError):
    """A training corpus that cannot be used: missing, unreadable, or too short."""

    code = "EL503"


class FileError(CheckpointError):
    """A file that cannot be written, or that a contained script must not touch. (Where it is a model's, whoever
    expects a ``CheckpointError`` gets one.)"""

    code = "EL504"
