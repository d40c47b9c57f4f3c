"""HTML for a notebook, from the same pictures that a terminal shows.

A picture is made of rich's tables, texts and groups. Tables become HTML tables, texts become spans with the styles
that they have, anything else is printed and kept as it looks, colours included (see ``palette``).
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from html import escape
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.style import Style
from rich.table import Table
from rich.text import Text

from energylang.diagnostics import Diagnostic
from energylang.diagnostics.visible import escaped

from .bundle import of_result
from .diagnostics import render_diagnostics
from .gallery import render
from .palette import SPOKEN

_PAGE = "font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:13px;line-height:1.45"
_CELL = "padding:1px 14px 1px 0;border:none;background:none;text-align:{};white-space:{}"


def to_html(value: Any) -> str:
    """A value as HTML that needs no script and no network."""
    return f'<div style="{_PAGE}">{_html(render(value))}</div>'


def in_notebook(value: Any) -> str | None:
    """A value as HTML; ``None`` for what a notebook shows as a figure."""
    return to_html(value) if of_result(value) is None else None


def problems_to_html(diagnostics: Iterable[Diagnostic]) -> str:
    """Diagnostics with their carets, as a terminal shows them."""
    text = Text.from_ansi(render_diagnostics(diagnostics, color=True))
    return f'<pre style="{_PAGE};margin:0">{_spans(text)}</pre>'


def _html(picture: RenderableType) -> str:
    if isinstance(picture, Group):
        return "".join(_html(part) for part in picture.renderables)
    if isinstance(picture, Padding):
        inside = picture.renderable
        return (
            _html(inside) if isinstance(inside, Group | Text | Table | str | Padding) else _printed(picture)
        )
    if isinstance(picture, str):
        return f'<div style="white-space:pre-wrap">{_spans(Text.from_markup(picture))}</div>'
    if isinstance(picture, Text):
        return f'<div style="white-space:pre-wrap">{_spans(picture)}</div>'
    if isinstance(picture, Table):
        return _table(picture)
    return _printed(picture)


def _table(table: Table) -> str:
    columns = table.columns
    head = ""
    if table.show_header and any(str(column.header) for column in columns):
        cells = "".join(
            f'<th style="{_CELL.format(_side(column.justify), "nowrap")};font-weight:normal;opacity:.6">'
            f"{_inline(column.header)}</th>"
            for column in columns
        )
        head = f"<thead><tr>{cells}</tr></thead>"
    rows = []
    for cells_of_row in zip(*(column.cells for column in columns), strict=True):
        cells = "".join(
            f'<td style="{_CELL.format(_side(column.justify), "pre" if column.no_wrap else "pre-wrap")}">'
            f"{_inline(cell)}</td>"
            for column, cell in zip(columns, cells_of_row, strict=True)
        )
        rows.append(f"<tr>{cells}</tr>")
    return f'<table style="border-collapse:collapse;border:none">{head}<tbody>{"".join(rows)}</tbody></table>'


def _side(justify: str) -> str:
    return justify if justify in ("left", "right", "center") else "left"


def _inline(cell: RenderableType) -> str:
    if isinstance(cell, str):
        return _spans(Text.from_markup(cell))
    return _spans(cell) if isinstance(cell, Text) else _html(cell)


def _spans(text: Text) -> str:
    console = Console(file=io.StringIO(), width=10_000, color_system="truecolor")
    whole = Style.parse(text.style) if isinstance(text.style, str) and text.style else text.style or Style()
    parts = []
    for piece in text.render(console):
        style = piece.style or Style()
        css = _css(whole + style if isinstance(whole, Style) else style)
        words = escape(escaped(piece.text))
        parts.append(f'<span style="{css}">{words}</span>' if css else words)
    return "".join(parts)


def _css(style: Style) -> str:
    rules = []
    if style.color is not None and not style.color.is_default:
        triplet = style.color.triplet
        if colour := SPOKEN.get(style.color.name) or (triplet and triplet.hex):
            rules.append(f"color:{colour}")
    if style.bold:
        rules.append("font-weight:bold")
    if style.italic:
        rules.append("font-style:italic")
    if style.dim:
        rules.append("opacity:.65")
    return ";".join(rules)


def _printed(picture: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=110, color_system="truecolor", force_terminal=True)
    with console.capture() as captured:
        console.print(picture)
    return f'<pre style="{_PAGE};margin:0">{_spans(Text.from_ansi(captured.get()))}</pre>'
