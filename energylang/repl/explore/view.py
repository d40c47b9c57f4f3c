"""How an exploration looks: every part of the screen as styled text for prompt_toolkit. (PURE: no terminal.)"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prompt_toolkit.formatted_text import StyleAndTextTuples

from energylang.render.marks import bar, known_basins, number, reach_of, small, stable
from energylang.render.palette import DEPTHS
from energylang.render.terrain import Cell, axis_names, depth, draw, legend

if TYPE_CHECKING:
    from energylang.results import Context, TokenScore
    from energylang.work.overview import BasinFacts

    from .state import Exploration

LIST_WIDTH, _ROOMY = 30, 90
DETAILS = 8
"""Lines below list and map; fewer on a low screen."""

STYLE = {
    "head": "bold",
    "dim": "ansibrightblack",
    "good": "ansigreen",
    "bad": "ansired",
    "key": "bold",
    "mark": "bold ansicyan",
    "row": "reverse",
    "map.axis": "ansibrightblack",
    "map.old": "ansibrightblack",
    "map.name": "",
    "map.chosen": "reverse bold",
    **{f"map.e{k}": colour for k, colour in enumerate(DEPTHS)},
}

KEYS = (
    ("↑↓←→", "move"),
    ("s", "strengthen"),
    ("w", "weaken"),
    ("x", "remove"),
    ("i", "inject"),
    ("u", "undo"),
    ("r", "redo"),
    ("?", "help"),
    ("q", "leave"),
)

HELP = """\
  ↑ ↓  k j  PgUp PgDn  Home End   another basin of the list
  ← →  h l           the nearest basin on the map to the left, to the right
  Tab                order of the list: tokens, starts, energy, number
  [  ]               the layer before, the layer after
  s w x i a          strengthen, weaken, remove, inject, apply: shown first,
                     change it if you like, Enter runs it, Esc leaves it
  :                  any other statement
  u  r               undo, redo
  Ctrl-C             stop what is running; it leaves no trace
  q  Ctrl-D          back to the prompt

  All of it runs in the session of the prompt: through the gate and the guards,
  into history, record and journal. Edits are staged; texts are those of the
  live model (`a` applies). Dots say how many starts end in a basin, colours
  the energy, from blue (deep) to orange (shallow); grey ones the last survey
  did not meet. After an edit all are grey until the next `survey`."""


def header(seen: Exploration, place: StyleAndTextTuples) -> StyleAndTextTuples:
    """The layer, how many basins, and the prompt's own words about model and history (``place``)."""
    order = seen.order
    if order == "tokens" and not any(point.tokens for point in seen.found.points):
        order = "starts"  # without text there are no tokens, and starts break the tie
    return [
        ("class:head", f" L{seen.layer}"),
        ("", f"  {known_basins(seen.found)}; by {order}   "),
        *place[:-1],
    ]


def basins(seen: Exploration, height: int) -> StyleAndTextTuples:
    """The part of the list around the chosen basin."""
    rows, place = seen.rows(), seen.place()
    if not rows:
        return [("class:dim", " no basin is known here\n")]
    first = max(0, min(place - height // 2, len(rows) - height))
    by_tokens = seen.by == "tokens"
    counts = {point.id: point.tokens if by_tokens else point.population for point in rows}
    most = max(1, *counts.values())
    energies = [point.energy for point in rows]
    parts: StyleAndTextTuples = [
        ("class:dim", f" {'basin':<6}{'tokens' if by_tokens else 'starts'}{'energy':>16}\n")
    ]
    for point in rows[first : first + height]:
        now = point.id == seen.chosen
        style = "class:row" if now else "" if point.current else "class:dim"
        counted = str(counts[point.id]) if point.current or counts[point.id] else "–"
        parts += [
            ("class:mark" if now else "", "▸" if now else " "),
            (style, f"{'B' + str(point.id):<6}"),
            (style, f"{counted:>5} "),
            ("", f"{bar(counts[point.id] / most, 6) if counts[point.id] else '':<6} "),
            (f"class:map.e{depth(point.energy, energies)}" if point.current else "class:map.old", "●"),
            ("", f"{point.energy:>8.2f}\n"),
        ]
    return parts


def terrain(seen: Exploration, width: int, height: int) -> StyleAndTextTuples:
    """The map, its legend below."""
    points = seen.found.points
    if not points:
        return []
    rows = draw(points, width - 1, height - 1, axes=axis_names(seen.found), chosen=seen.chosen)
    return [part for row in [*rows, legend(points)] for part in (*_joined(row), ("", "\n"))]


def _joined(row: Iterable[Cell]) -> StyleAndTextTuples:
    parts: list[tuple[str, str]] = []
    for letter, kind in row:
        style = f"class:map.{kind}" if kind else ""
        if parts and parts[-1][0] == style:
            parts[-1] = (style, parts[-1][1] + letter)
        else:
            parts.append((style, letter))
    return [*parts]


def details(seen: Exploration, width: int, height: int) -> StyleAndTextTuples:
    """What is known about the chosen basin, and what text settles there."""
    facts = seen.facts
    if seen.chosen is None:
        return []
    if facts is None:
        return [("class:head", f" L{seen.layer}.B{seen.chosen}"), ("class:dim", "  …")]
    lines: list[StyleAndTextTuples] = [_numbers(seen, facts)]
    meaning = facts.meaning
    if meaning is None:
        return [*lines[0], ("class:dim", f"\n {facts.silent}"[: width - 1])]
    lines.append([("class:dim", " says   "), ("", _tokens(meaning.says))])
    if not meaning.visits:
        lines.append([("class:dim", " holds  "), ("", "no token of the held-out text settles here")])
    else:
        share = f"{100 * meaning.share:.1f} % of the tokens: "
        lines.append([("class:dim", " holds  "), ("class:dim", share), ("", _tokens(meaning.holds))])
        contexts = meaning.contexts[: max(0, height - 3)]
        lines += [_context(context, width) for context in contexts]
    return [part for line in lines for part in (*_cut(line, width - 1), ("", "\n"))]


def _numbers(seen: Exploration, facts: BasinFacts) -> StyleAndTextTuples:
    values = {
        "energy": f"{facts.energy:.3f}" + ("" if facts.symmetric else " (of the symmetric part)"),
        "starts": _starts(facts),
        "radius": reach_of(facts),
        "stability": stable(facts.stability)
        + (" (attracts)" if facts.stability < 1 else " (does not attract)"),
        "residual": small(facts.residual),
        "drift": number(round(facts.drift, 4)),
    }
    parts: StyleAndTextTuples = [("class:head", f" L{seen.layer}.B{facts.id}")]
    for name, value in values.items():
        parts += [("class:dim", f"   {name} "), ("", value)]
    return [*parts, ("", "   installed by an edit")] if facts.installed else parts


def _starts(facts: BasinFacts) -> str:
    if facts.current:
        return str(facts.population)
    if facts.surveyed or not facts.population:
        return "0 in the last survey" if facts.surveyed else "none yet"
    return f"{facts.population} before the edit"


def _tokens(scores: Iterable[TokenScore]) -> str:
    shown = [score for k, score in enumerate(scores) if k == 0 or score.score >= 0.005]
    return "  ".join(f"{score.token.strip() or '⏎'} {100 * score.score:.0f} %" for score in shown)


def _context(context: Context, width: int) -> StyleAndTextTuples:
    room = max(10, (width - 20) // 2)
    before = context.before[-room:]
    return [
        ("", f" {before:>{room}} "),
        ("class:mark", context.token.strip() or "⏎"),
        ("", f" {context.after}"),
    ]


def _cut(line: StyleAndTextTuples, width: int) -> StyleAndTextTuples:
    """A line no longer than the screen is wide."""
    parts: StyleAndTextTuples = []
    for style, text, *_ in line:
        if width <= 0:
            break
        text = text.replace("\n", "⏎")
        parts.append((style, text[:width]))
        width -= len(text)
    return parts


def answer(seen: Exploration, width: int) -> StyleAndTextTuples:
    """What runs, or what the last statement gave."""
    if seen.running is not None:
        return [("class:mark", " … "), ("", seen.running), ("class:dim", "   Ctrl-C stops it")]
    return [
        part
        for style, text in seen.said
        for part in (*_cut([(f"class:{style}" if style else "", f" {text}")], width - 1), ("", "\n"))
    ]


def keys(width: int) -> StyleAndTextTuples:
    """The keys at the foot of the screen, with more room between them where there is some."""
    room = "  " if width >= _ROOMY else " "
    parts: StyleAndTextTuples = [("", " ")]
    for key, meaning in KEYS:
        parts += [("class:key", key), ("class:dim", f" {meaning}{room}")]
    return parts
