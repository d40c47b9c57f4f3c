"""Diagnostics as a person reads them: the code, the line, a caret under the place, what to do."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from energylang.diagnostics import Diagnostic, Note
from energylang.diagnostics.source import Source, Span
from energylang.diagnostics.visible import blanked, in_line

from .operation import filled

MAX_SHOWN = 50
MAX_LINE = 160
_AROUND = 60  # how much of a long line is shown before the place

_STYLES = {"error": "1;31", "warning": "1;33", "bold": "1", "frame": "34", "help": "36"}


def render_diagnostics(
    diagnostics: Iterable[Diagnostic], *, color: bool = False, width: int | None = None
) -> str:
    """The diagnostics, one under the other (the first of them, if there are very many), and their number. With
    ``width``, what is said (not the script's own lines) is wrapped between words to so many columns."""
    items = list(diagnostics)
    blocks = [render_diagnostic(item, color=color, width=width) for item in items[:MAX_SHOWN]]
    errors = sum(item.is_error for item in items)
    warnings = len(items) - errors
    if len(items) > 1:
        counts = [_count(errors, "error"), _count(warnings, "warning")]
        shown = f"; the first {MAX_SHOWN} are shown" if len(items) > MAX_SHOWN else ""
        blocks.append(", ".join(text for text in counts if text) + shown + "\n")
    return "\n".join(blocks)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}" if number else ""


def render_diagnostic(item: Diagnostic, *, color: bool = False, width: int | None = None) -> str:
    """One diagnostic, with the source line it is about."""

    def style(text: str, name: str) -> str:
        return f"\x1b[{_STYLES[name]}m{text}\x1b[0m" if color else text

    def said_below(label: str, text: str) -> list[str]:
        """A note or a help, in lines that go on under the text's beginning."""
        lead = f"{' ' * margin} = {label}"
        if width is not None:
            text = filled(lead + text, width, " " * len(lead))[len(lead) :]
        colour = "help" if "note" not in label else ""
        return [f"{' ' * margin} {style('=', 'frame')} {style(label, colour) if colour else label}{text}"]

    head, margin = f"{item.severity}[{item.code}]", 1
    said = f": {in_line(item.message)}"
    if width is not None:
        said = filled(head + said, width, "  ")[len(head) :]
    lines = [style(head, item.severity) + style(said, "bold")]
    inside = _shown_inside(item)
    if item.span is not None:
        spans = [item.span, *(note.span for note in item.notes if note.span)]
        margin = max(len(str(span.start_location()[0])) for span in spans)
        marks = [_Mark(item.span, "", "^", item.severity)]
        marks += [_Mark(note.span, note.message, "-", "frame") for note in inside if note.span is not None]
        lines += _excerpt(marks, margin, style)
    elif item.path:
        lines.append(f"{' ' * margin}{style('-->', 'frame')} {in_line(item.path)}")
    for note in item.notes:
        if note in inside:
            continue
        lines += said_below("note: ", in_line(note.message))
        if note.span is not None:
            lines += _excerpt([_Mark(note.span, "", "^", "frame")], margin, style)
    if item.help:
        for position, text in enumerate(item.help.splitlines()):
            label = "help: " if position == 0 else "      "
            lines += said_below(label, in_line(text))
    return "\n".join(lines) + "\n"


def columns(text: str) -> int:
    """How many columns of a terminal a text takes: wide characters two, accents none."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


@dataclass(frozen=True)
class _Mark:
    """A place to underline, and what is said beside the line."""

    span: Span
    label: str
    sign: str
    style: str


def _shown_inside(item: Diagnostic) -> list[Note]:
    """The notes about the same script, which are shown beside its lines."""
    if item.span is None or len(item.span.source.line(item.span.start_location()[0])) > MAX_LINE:
        return []
    found = []
    for note in item.notes:
        span = note.span
        if (
            span is not None
            and span.source is item.span.source
            and len(span.source.line(span.start_location()[0])) <= MAX_LINE
        ):
            found.append(note)
    return found


def _excerpt(marks: list[_Mark], width: int, style: Callable[[str, str], str]) -> list[str]:
    """The lines in which the marked spans start, each underlined; ``marks[0]`` is what it is about."""
    source = marks[0].span.source
    line, column = marks[0].span.start_location()
    bar, margin = style("|", "frame"), " " * width
    rows = [
        f"{margin}{style('-->', 'frame')} {in_line(source.name)}:{line}:{column}",
        f"{margin} {bar}",
    ]
    by_line: dict[int, list[_Mark]] = {}
    for mark in marks:
        by_line.setdefault(mark.span.start_location()[0], []).append(mark)
    last = None
    for number in sorted(by_line):
        if last is not None and number == last + 2:
            rows.append(f"{style(f'{last + 1:>{width}} ', 'frame')}{bar} {_plain(source, last + 1)}".rstrip())
        elif last is not None and number > last + 1:
            rows.append(style("…".rjust(width), "frame"))
        last = number
        rows += _marked(source, number, by_line[number], width, style)
    return rows


def _plain(source: Source, line: int) -> str:
    return blanked(source.line(line).replace("\t", " "))[:MAX_LINE]


def _marked(
    source: Source, line: int, marks: list[_Mark], width: int, style: Callable[[str, str], str]
) -> list[str]:
    """A line with the marks under it, from left to right; of a long line, what is around the first."""
    text = blanked(source.line(line).replace("\t", " "))
    bar, cut, before = style("|", "frame"), 0, ""
    start = marks[0].span.start_location()[1] - 1
    if len(text) > MAX_LINE:
        cut = max(0, start - _AROUND)
        before, after = "…" if cut else "", "…" if len(text) > cut + MAX_LINE - 20 else ""
        text = before + text[cut : cut + MAX_LINE - 20] + after
    rows = [f"{style(f'{line:>{width}} ', 'frame')}{bar} {text}".rstrip()]
    for mark in sorted(marks, key=lambda mark: mark.span.start):
        end_line, end_column = mark.span.end_location()
        first = mark.span.start_location()[1] - 1 - cut + len(before)
        last = end_column - 1 - cut + len(before) if end_line == line else len(text)
        signs = mark.sign * max(1, columns(text[first:last]))
        said = f" {in_line(mark.label)}" if mark.label else ""
        rows.append(f"{' ' * width} {bar} {' ' * columns(text[:first])}{style(signs + said, mark.style)}")
    return rows
