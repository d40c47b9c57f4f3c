"""The small pieces that pictures are made of: numbers, bars, tables, pairs of label and value."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

BAR = 16


def number(value: float) -> str:
    """A number as short as it can be said."""
    return f"{value:.4g}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.1e}"


def small(value: float) -> str:
    """A quantity that is noise below 1e-5."""
    return f"{value:.0e}" if value >= 1e-5 else "<1e-5"


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def short(digest: str) -> str:
    return digest[:12]


def bar(fraction: float, width: int = BAR) -> str:
    """A horizontal bar in eighths of a character."""
    eighths = round(max(0.0, min(1.0, fraction)) * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")) or "▏"


def table(*columns: str, right: tuple[int, ...] = (), wrap: tuple[int, ...] = ()) -> Table:
    """A table without a frame; ``right`` are the columns with numbers, ``wrap`` those with text of any length:
    they give way when the screen is narrow, so that no other column does."""
    made = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for index, name in enumerate(columns):
        made.add_column(name, justify="right" if index in right else "left", no_wrap=index not in wrap)
    return made


def facts(**values: str) -> Text:
    """Label and value pairs on one line."""
    text = Text()
    for index, (label, value) in enumerate(values.items()):
        if index:
            text.append("   ")
        text.append(label.replace("_", " ") + " ", style="dim")
        text.append(value)
    return text
