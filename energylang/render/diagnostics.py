"""Diagnostics as a person reads them: the code, the line, a caret under the place, what to do."""

from __future__ import annotations

from collections.abc import Iterable

from energylang.diagnostics import Diagnostic
from energylang.syntax.source import Span

_STYLES = {"error": "1;31", "warning": "1;33", "bold": "1", "frame": "34", "help": "36"}


def render_diagnostics(diagnostics: Iterable[Diagnostic], *, color: bool = False) -> str:
    """All diagnostics, one under the other, and a line that counts them."""
    items = list(diagnostics)
    blocks = [render_diagnostic(item, color=color) for item in items]
    errors = sum(item.is_error for item in items)
    warnings = len(items) - errors
    if len(items) > 1:
        counts = [_count(errors, "error"), _count(warnings, "warning")]
        blocks.append(", ".join(text for text in counts if text) + "\n")
    return "\n".join(blocks)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}" if number else ""


def render_diagnostic(item: Diagnostic, *, color: bool = False) -> str:
    """One diagnostic, with the source line it is about."""

    def style(text: str, name: str) -> str:
        return f"\x1b[{_STYLES[name]}m{text}\x1b[0m" if color else text

    lines = [style(f"{item.severity}[{item.code}]", item.severity) + style(f": {item.message}", "bold")]
    width = 1
    if item.span is not None:
        spans = [item.span, *(note.span for note in item.notes if note.span)]
        width = max(len(str(span.start_location()[0])) for span in spans)
        lines += _excerpt(item.span, width, style, item.severity)
    elif item.path:
        lines.append(f"{' ' * width}{style('-->', 'frame')} {item.path}")
    for note in item.notes:
        lines.append(f"{' ' * width} {style('=', 'frame')} note: {note.message}")
        if note.span is not None:
            lines += _excerpt(note.span, width, style, "frame")
    if item.help:
        for position, text in enumerate(item.help.splitlines()):
            label = "help: " if position == 0 else "      "
            lines.append(f"{' ' * width} {style('=', 'frame')} {style(label, 'help')}{text}")
    return "\n".join(lines) + "\n"


def _excerpt(span: Span, width: int, style, mark: str) -> list[str]:  # type: ignore[no-untyped-def]
    """The line a span starts in, with carets under it."""
    line, column = span.start_location()
    end_line, end_column = span.end_location()
    text = span.source.line(line).replace("\t", " ")
    length = (end_column if end_line == line else len(text) + 1) - column
    length = max(1, min(length, len(text) + 1 - column + (column > len(text))))
    start = column - 1
    if len(text) > 160:  # a long line: show what is around the place
        cut = max(0, start - 60)
        text, start = ("…" if cut else "") + text[cut : cut + 140] + "…", start - cut + (1 if cut else 0)
        length = min(length, max(1, len(text) - start))
    bar = style("|", "frame")
    gutter = style(f"{line:>{width}} ", "frame")
    return [
        f"{' ' * width}{style('-->', 'frame')} {span.source.name}:{line}:{column}",
        f"{' ' * width} {bar}",
        f"{gutter}{bar} {text}".rstrip(),
        f"{' ' * width} {bar} {' ' * start}{style('^' * length, mark)}",
    ]
