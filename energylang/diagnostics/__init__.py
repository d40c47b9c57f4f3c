"""What there is to say about a script: one ``Diagnostic`` per finding, each with a stable code.

A diagnostic is data. How it looks on a screen is decided in ``energylang.render``; what its code means
stands in ``energylang.diagnostics.codes``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from energylang.diagnostics.source import Span

from .codes import CODES


@dataclass(frozen=True)
class Note:
    """A second place (or just a sentence) that explains the finding."""

    message: str
    span: Span | None = None


@dataclass(frozen=True)
class Diagnostic:
    """One finding: its code, one sentence, the place, and what to do.

    ``span`` is ``None`` only when nothing was written that could be pointed at (a file that does not
    exist); then ``path`` names the file.
    """

    code: str
    message: str
    span: Span | None = None
    notes: tuple[Note, ...] = ()
    help: str = ""
    path: str | None = None

    @property
    def severity(self) -> str:
        return CODES[self.code].severity

    @property
    def is_error(self) -> bool:
        return self.severity == "error"

    def to_dict(self) -> dict[str, Any]:
        """JSON form; lines and columns count from 1."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "file": self.span.source.name if self.span else self.path,
            "span": _span_dict(self.span),
            "notes": [{"message": note.message, "span": _span_dict(note.span)} for note in self.notes],
            "help": self.help,
        }


def _span_dict(span: Span | None) -> dict[str, dict[str, int]] | None:
    if span is None:
        return None
    (line, column), (end_line, end_column) = span.start_location(), span.end_location()
    return {
        "start": {"line": line, "column": column},
        "end": {"line": end_line, "column": end_column},
    }


class Diagnostics:
    """Findings of one pass, in the order they were made; the same finding is kept once."""

    def __init__(self) -> None:
        self.items: list[Diagnostic] = []
        self.errors = 0
        self._known: set[tuple[str, str, int, int, int]] = set()

    def add(
        self, code: str, message: str, span: Span | None, *, help: str = "", notes: tuple[Note, ...] = ()
    ) -> None:
        self.append(Diagnostic(code, message, span, notes, help))

    def append(self, item: Diagnostic) -> None:
        span = item.span
        place = (id(span.source), span.start, span.end) if span else (0, 0, 0)
        key = (item.code, item.message, *place)
        if key not in self._known:
            self._known.add(key)
            self.items.append(item)
            self.errors += item.is_error

    @property
    def has_errors(self) -> bool:
        return self.errors > 0

    def sorted(self) -> list[Diagnostic]:
        return sorted(
            self.items, key=lambda item: (item.span.source.name, item.span.start) if item.span else ("", -1)
        )
