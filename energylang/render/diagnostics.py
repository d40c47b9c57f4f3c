"""Diagnostics as a person reads them: the code, the line, a caret under the place, what to do."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable

from energylang.diagnostics import Diagnostic
from energylang.syntax.source import Span

MAX_SHOWN = 50
MAX_LINE = 160
_AROUND = 60  # how much of a long line is shown before the place

_STYLES = {"error": "1;31", "warning": "1;33", "bold": "1", "frame": "34", "help": "36"}


def render_diagnostics(diagnostics: Iterable[Diagnostic], *, color: bool = False) -> str:
    """The diagnostics, one under the other (the first of them, if there are very many), and their number."""
    items = list(diagnostics)
    blocks = [render_diagnostic(item, color=color) for item in items[:MAX_SHOWN]]
    errors = sum(item.is_error for item in items)
    warnings = len(items) - errors
    if len(items) > 1:
        counts = [_count(errors, "error"), _count(warnings, "warning")]
        shown = f"; the first {MAX_SHOWN} are shown" if len(items) > MAX_SHOWN else ""
        blocks.append(", ".join(text for text in counts if text) + shown + "\n")
    return "\n".join(blocks)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}" if number else ""


def render_diagnostic(item: Diagnostic, *, color: bool = False) -> str:
    """One diagnostic, with the source line it is about."""

    def style(text: str, name: str) -> str:
        return f"\x1b[{_STYLES[name]}m{text}\x1b[0m" if color else text

    lines = [
        style(f"{item.severity}[{item.code}]", item.severity) + style(f": {visible(item.message)}", "bold")
    ]
    width = 1
    if item.span is not None:
        spans = [item.span, *(note.span for note in item.notes if note.span)]
        width = max(len(str(span.start_location()[0])) for span in spans)
        lines += _excerpt(item.span, width, style, item.severity)
    elif item.path:
        lines.append(f"{' ' * width}{style('-->', 'frame')} {visible(item.path)}")
    for note in item.notes:
        lines.append(f"{' ' * width} {style('=', 'frame')} note: {visible(note.message)}")
        if note.span is not None:
            lines += _excerpt(note.span, width, style, "frame")
    if item.help:
        for position, text in enumerate(item.help.splitlines()):
            label = "help: " if position == 0 else "      "
            lines.append(f"{' ' * width} {style('=', 'frame')} {style(label, 'help')}{visible(text)}")
    return "\n".join(lines) + "\n"


def visible(text: str) -> str:
    """``text`` with every character that is not visible (a terminal might obey it) as `�`."""
    return "".join(char if char.isprintable() else "�" for char in text)


def columns(text: str) -> int:
    """How many columns of a terminal a text takes: wide characters two, accents none."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def _excerpt(span: Span, width: int, style: Callable[[str, str], str], mark: str) -> list[str]:
    """The line a span starts in, with carets under it; of a long line, what is around the place."""
    line, column = span.start_location()
    end_line, end_column = span.end_location()
    text = visible(span.source.line(line).replace("\t", " "))
    start = column - 1
    end = end_column - 1 if end_line == line else len(text)
    if len(text) > MAX_LINE:
        cut = max(0, start - _AROUND)
        before, after = "…" if cut else "", "…" if len(text) > cut + MAX_LINE - 20 else ""
        text = before + text[cut : cut + MAX_LINE - 20] + after
        start, end = start - cut + len(before), end - cut + len(before)
    carets = max(1, columns(text[start:end]))
    bar = style("|", "frame")
    gutter = style(f"{line:>{width}} ", "frame")
    return [
        f"{' ' * width}{style('-->', 'frame')} {visible(span.source.name)}:{line}:{column}",
        f"{' ' * width} {bar}",
        f"{gutter}{bar} {text}".rstrip(),
        f"{' ' * width} {bar} {' ' * columns(text[:start])}{style('^' * carets, mark)}",
    ]
