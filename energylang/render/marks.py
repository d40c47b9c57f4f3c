"""The small pieces that pictures are made of: numbers, bars, tables, pairs of label and value."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from energylang import results

BAR = 16
NONE = "–"
_FAR = 99


def number(value: float) -> str:
    """A number as short as it can be said."""
    return f"{value:.4g}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.1e}"


def small(value: float) -> str:
    """A quantity that is noise below 1e-5."""
    return f"{value:.0e}" if value >= 1e-5 else "<1e-5"


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def stable(value: float) -> str:
    """A stability, rounded so that it never crosses 1: below 1 it attracts."""
    text = f"{value:.2f}"
    if (float(text) < 1.0) == (value < 1.0):
        return text
    thousandths = math.floor(1000 * value) if value < 1.0 else math.ceil(1000 * value)
    return f"{thousandths / 1000:.3f}" if value != 1.0 else text


def known_basins(found: results.LandscapeMap) -> str:
    """How many basins a map shows, and how many of them the last survey met."""
    total = found.known or len(found.points)
    basins = f"{'main ' if found.minor else ''}basin{'' if total == 1 else 's'}"
    if not found.surveyed:
        return f"{total} known {basins}, no survey since the edit"
    if found.met == found.known:
        return f"{total} {basins}"
    return f"{total} known {basins}, {found.met} in the last survey"


def starts_of(point: results.MapPoint, surveyed: bool) -> str:
    """How many starts rest in a basin, and of which survey."""
    if point.current:
        return f"{point.population} starts"
    if surveyed or not point.population:
        return "not met by the last survey"
    return f"{point.population} starts before the edit"


class HasRadius(Protocol):
    """What has a radius: a basin of a survey, of a map, or the one looked at."""

    @property
    def radius(self) -> float | None: ...
    @property
    def radius_low(self) -> float | None: ...
    @property
    def radius_high(self) -> float | None: ...
    @property
    def radius_reached(self) -> bool | None: ...


def reach_of(basin: HasRadius) -> str:
    """A radius with its interval: ``0.84 (0.80–0.90)``, ``> 2`` where it lies beyond the range, or a dash."""
    if basin.radius is None or math.isnan(basin.radius):
        return "–"
    if basin.radius_reached is False:
        return "> 2"
    if basin.radius_low is None:
        return f"{basin.radius:.2f}"
    high = "> 2" if basin.radius_high is None else f"{basin.radius_high:.2f}"
    return f"{basin.radius:.2f} ({basin.radius_low:.2f}–{high})"


def give_or_take(value: float, error: float | None, digits: int, unit: str = "", sign: str = "") -> str:
    """A value with its error or spread, where it has one: ``1.5 ± 0.2 %``."""
    spread = "" if error is None else f" ± {error:.{digits}f}"
    return f"{value:{sign}.{digits}f}{spread}{unit}"


def percents(value: float, error: float | None, digits: int = 1, sign: str = "") -> str:
    """``give_or_take`` of shares, in per cent."""
    return give_or_take(100 * value, None if error is None else 100 * error, digits, " %", sign)


def distance(z: float | None) -> str:
    """A distance in standard deviations; none where there is no spread to measure by, and no digits where it is far
    beyond what a spread of a few dozen says."""
    if z is None:
        return NONE
    return f"{z:+.1f}" if abs(z) < _FAR else f"{'>' if z > 0 else '<'} {'+' if z > 0 else '-'}{_FAR}"


def chance(p: float | None) -> str:
    """A p- or q-value."""
    if p is None:
        return NONE
    return f"{p:.3f}" if p >= 1e-3 else f"{p:.0e}"


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


class HasRead(Protocol):
    """What says how much of a text was read."""

    @property
    def given(self) -> int: ...
    @property
    def read(self) -> int: ...
    @property
    def unknown(self) -> int: ...


def how_read(found: HasRead, of: str, kept: str = "the last") -> list[Text]:
    """A loud line where something was left out, or is not known to the tokenizer; else nothing."""
    lines = []
    given, read = found.given, found.read
    if read < given:
        words = f"read {read:,} of {given:,} tokens of {of}, {kept} that fit; {given - read:,} were left out"
        lines.append(Text(words, style="yellow"))
    if found.unknown:
        share = percent(found.unknown / given)
        words = f"{found.unknown:,} of {given:,} tokens ({share}) are not known to the tokenizer"
        lines.append(Text(words, style="yellow"))
    return lines


def facts(**values: str) -> Text:
    """Label and value pairs on one line."""
    text = Text()
    for index, (label, value) in enumerate(values.items()):
        if index:
            text.append("   ")
        text.append(label.replace("_", " ") + " ", style="dim")
        text.append(value)
    return text
