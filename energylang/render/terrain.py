"""A layer's basins drawn with characters: where they lie, how deep they are, how much flows into them. (PURE.)

One drawing for two rooms: ``landscape L`` prints it (``terrain``, with rich), ``explore L`` keeps it on the screen.
``draw`` gives rows of cells, a cell being a character and what it is; whoever shows them decides how that looks.

* the place is given by the first two coordinates of the map; each axis has its own scale, with its ends written on it;
* the character says how many starts end in the basin (``·`` few, ``•`` some, ``●`` many: thirds of the logarithm);
* the colour says the energy, from blue (deep) over grey to orange (shallow), which every kind of colour vision tells
  apart on dark and on light ground. Without colour, the table below the map has the energies;
* of basins that share a cell the most populated is drawn; names stand where there is room, the most populated first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.text import Text

from energylang import results

from .marks import known_basins, number, percent, reach_of, table
from .palette import DEPTHS

Cell = tuple[str, str]
"""A character and its kind: ``axis``, ``name``, ``chosen``, ``e0`` (deepest) … ``e4`` (shallowest), ``old`` (not
met by the last survey of the present weight), or nothing."""

GLYPHS = "·•●"
MARGIN = 9
"""Columns to the left of the map, for the ends of the second axis."""
_WIDEST, _NARROWEST = 108, 44
_NAMED, _LISTED = 12, 8


@dataclass(frozen=True)
class Frame:
    """From coordinates to cells: the ends of both axes and the size of the map in cells."""

    left: float
    right: float
    low: float
    high: float
    width: int
    height: int

    @staticmethod
    def around(points: Sequence[results.MapPoint], width: int, height: int) -> Frame:
        xs, ys = [point.x for point in points], [point.y for point in points]
        return Frame(min(xs), max(xs), min(ys), max(ys), max(width, 2), max(height, 2))

    def column(self, x: float) -> int:
        return _cell(x - self.left, self.right - self.left, self.width)

    def row(self, y: float) -> int:
        return _cell(self.high - y, self.high - self.low, self.height)


def _cell(offset: float, reach: float, count: int) -> int:
    if reach <= 0:
        return count // 2
    return min(count - 1, max(0, round((count - 1) * offset / reach)))


def depth(energy: float, energies: Sequence[float]) -> int:
    """Which fifth of the range of energies: 0 is the deepest."""
    low, high = min(energies), max(energies)
    return min(4, int(5 * (energy - low) / (high - low))) if high > low else 2


def steps(populations: Sequence[int]) -> tuple[int, int]:
    """From how many starts a basin is drawn as ``•`` and as ``●``."""
    most = max(populations, default=1)
    second = max(2, round(most ** (1 / 3)))
    return second, max(second + 1, round(most ** (2 / 3)))


def glyph(population: int, limits: tuple[int, int]) -> str:
    return GLYPHS[sum(population >= limit for limit in limits)]


def draw(
    points: Sequence[results.MapPoint],
    width: int,
    height: int,
    *,
    axes: tuple[str, str],
    chosen: int | None = None,
    named: int = _NAMED,
) -> list[list[Cell]]:
    """The map with its axes, ``width`` × ``height`` cells in all; ``chosen`` is the number of the marked basin."""
    frame = Frame.around(points, width - MARGIN, height - 3)
    ground: list[list[Cell]] = [[(" ", "")] * frame.width for _ in range(frame.height)]
    energies, limits = [point.energy for point in points], steps([point.population for point in points])
    order = sorted(points, key=lambda point: (point.current, point.population, -point.id))
    for point in order:
        kind = f"e{depth(point.energy, energies)}" if point.current else "old"
        cell = (glyph(point.population, limits), kind)
        ground[frame.row(point.y)][frame.column(point.x)] = cell
    first = [point for point in points if point.id == chosen]
    if first:
        place = frame.row(first[0].y), frame.column(first[0].x)
        ground[place[0]][place[1]] = (glyph(first[0].population, limits), "chosen")
    _name(ground, frame, first, kind="chosen", insist=True)
    _name(ground, frame, [p for p in reversed(order) if p.id != chosen][:named], kind="name", insist=False)
    return _framed(ground, frame, axes)


def _name(
    ground: list[list[Cell]],
    frame: Frame,
    points: Sequence[results.MapPoint],
    *,
    kind: str,
    insist: bool,
) -> None:
    """Write names beside their basins, to the right or else to the left, where nothing else stands (``insist``:
    also over other basins)."""
    for point in points:
        row, column, name = frame.row(point.y), frame.column(point.x), f"B{point.id}"
        for begin in (column + 1, column - len(name)):
            cells = ground[row][begin : begin + len(name)]
            free = all(cell[0] == " " for cell in cells) or insist
            if begin >= 0 and len(cells) == len(name) and free:
                ground[row][begin : begin + len(name)] = [(letter, kind) for letter in name]
                break


def _framed(ground: list[list[Cell]], frame: Frame, axes: tuple[str, str]) -> list[list[Cell]]:
    rows = [_cells(f" {axes[1]}", "axis")]
    for index, cells in enumerate(ground):
        label = {0: frame.high, frame.height - 1: frame.low}.get(index)
        text = "" if label is None else number(label)
        rows.append(_cells(f"{text[: MARGIN - 2]:>{MARGIN - 2}}{' │' if not text else ' ┤'}", "axis") + cells)
    rows.append(_cells(" " * (MARGIN - 1) + "└" + "─" * frame.width, "axis"))
    left, right = number(frame.left), number(frame.right)
    room = max(0, frame.width - len(left) - len(right))
    name = axes[0] if len(axes[0]) <= room - 2 else axes[0].split(" (")[0]
    middle = f"{name if len(name) <= room - 2 else '':^{room}}"
    rows.append(_cells(" " * MARGIN + left + middle + right, "axis"))
    return rows


def _cells(text: str, kind: str) -> list[Cell]:
    return [(letter, kind if letter != " " else "") for letter in text]


def axis_names(found: results.LandscapeMap) -> tuple[str, str]:
    """What the two axes are, and for principal components how much of the centres' variance each holds."""
    if not found.explained:
        return "UMAP 1 (no unit)", "UMAP 2 (no unit)"
    first, second = (
        f"component {k + 1} ({percent(share)} of variance)" for k, share in enumerate(found.explained[:2])
    )
    return first, second


def legend(points: Sequence[results.MapPoint]) -> list[Cell]:
    """What characters and colours mean, in one line."""
    populations, energies = [p.population for p in points], [p.energy for p in points]
    second, third = steps(populations)
    most = max(populations)
    parts = [("·", f"1–{second - 1}" if second > 2 else "1")]
    if most >= second:
        parts.append(("•", f"{second}–{min(third - 1, most)}"))
    if most >= third:
        parts.append(("●", f"{third}–{most}"))
    cells: list[Cell] = []
    for sign, words in parts:
        cells += [(f"{sign} ", ""), (f"{words}  ", "axis")]
    cells += [("starts     energy ", "axis"), (number(min(energies)) + " ", "")]
    cells += [("●", f"e{k}") for k in range(5)]
    return [*cells, (" " + number(max(energies)), "")]


class Terrain:
    """The drawing as something that rich prints, as wide as there is room."""

    def __init__(self, found: results.LandscapeMap) -> None:
        self.found = found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(_NARROWEST, min(_WIDEST, options.max_width))
        points = self.found.points
        for row in draw(points, width, max(12, width // 4), axes=axis_names(self.found)):
            yield as_text(row)
        yield as_text(legend(points))


def as_text(row: Sequence[Cell]) -> Text:
    """A row of cells for rich; blanks at its end are dropped."""
    styles = {
        "axis": "dim",
        "old": "dim",
        "name": "",
        "chosen": "reverse",
        **{f"e{k}": c for k, c in enumerate(DEPTHS)},
    }
    text = Text(no_wrap=True, end="\n")
    for letter, kind in row:
        text.append(letter, styles.get(kind, ""))
    text.rstrip()
    return text


def _about(found: results.LandscapeMap) -> list[str]:
    """What the numbers of starts add up to, and what the energies are where the weight is not symmetric."""
    lines = []
    if not found.surveyed:
        lines.append(f"starts are those before the edit (grey); `survey L{found.layer}` counts anew")
    elif found.num_starts is not None:
        counted = found.num_starts - (found.origin_population or 0) - (found.unsettled or 0)
        reached = sum(point.current and point.population > 0 for point in found.points)
        line = f"{counted} of {found.num_starts} starts rest in {reached} basins"
        line += f", {found.origin_population} went to zero" if found.origin_population else ""
        lines.append(line + (f", {found.unsettled} did not settle" if found.unsettled else ""))
        if found.met < found.known:
            lines.append(f"the last survey did not meet the other {found.known - found.met} (grey)")
    if found.minor:
        lines.append(f"{found.minor} more basins hold hardly a token each and are not drawn")
    if found.points and not found.symmetric:
        lines.append("the weight is not symmetric: energies are those of its symmetric part")
    return lines


def terrain(found: results.LandscapeMap) -> Group:
    """The whole picture: what it shows, the map, the legend, and the basins into which most flows."""
    largest = sorted(found.points, key=lambda point: (not point.current, -point.population, point.id))[
        :_LISTED
    ]
    rows = table("basin", "starts", "energy", "radius", right=(1, 2, 3))
    for point in largest:
        style = "cyan" if point.current else "dim"
        starts = str(point.population) if point.current or point.population else "–"
        rows.add_row(Text(f"B{point.id}", style=style), starts, f"{point.energy:.3f}", reach_of(point))
    title = Text.assemble((f"L{found.layer}", "bold"), f"  {known_basins(found)}, {found.method}")
    if found.dims == 3:
        title.append("; the third coordinate is not drawn", style="dim")
    more = len(found.points) - len(largest)
    rest = [Text(f"… and {more} more", style="dim")] if more else []
    rest += [Text(line, style="dim") for line in _about(found)]
    drawn = [Text(f"drawn in {found.path}", style="dim")] if found.path else []
    return Group(title, Terrain(found), Text(""), rows, *rest, *drawn)
