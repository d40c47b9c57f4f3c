"""Is an example's output the one that is kept, although another processor rounds otherwise?

Two outputs are compared statement by statement (``▸ …``), and in a statement token by token. Words must be equal. A
number has a label: in a table its column, elsewhere the words before it (or, where there are none, behind it).
``ROOM`` says how far numbers under a label may be apart; all other whole numbers must be equal, and all other numbers
with a fraction may differ by one in the last digit that is printed. Basins are compared by their names, rows of a
table of basins are found by them, hashes must be equal unless the edited weights have them, and what a model says is
prose: it is not compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, NamedTuple

from energylang.results.rounding import REAL, Tolerance, compared

ROOM: tuple[tuple[str, Tolerance], ...] = (
    # percentages of words, of decisions, of weights: printed without, or with one, digit behind the point
    (r"one word in \||at random in \||weight changed by \|", Tolerance(0, 1.01)),
    (r"\| % of decisions change", Tolerance(0.05, 0.6)),
    # counts of starts, and of basins that few of them find: some starts lie near a border
    (r"^(starts|basins|fixed)$|^unsettled \||^to zero \||^unsettled$", Tolerance(0.03, 1.01)),
    (r"\| basins$|^basins before|\| basins , then|# basins , then \||^… and .* (more|starts)", Tolerance(0.03, 1.01)),
    (r"protected basins|^basins kept|known basins are visited", Tolerance(0.05, 1.01)),
    (r"^share$", Tolerance(0.04, 0.51)),
    (r"^usage( \||$)", Tolerance(0, 0.06)),
    (r"^iterations \|", Tolerance(0.02, 0.11)),
    # above 1, a basin holds several states that are hardly apart; which of them is found is chance
    (r"^stability( \||$)", Tolerance(0.2, 0.021)),
    (r"^energy( \||$)|rests at energy", Tolerance(1e-3, 0.0011)),
    (r"^residual( \||$)", Tolerance(0, 1.1e-5)),
    # shares of 16 or 64 samples, and what is derived from few of them
    (r"^returns from noise of # % \| %$", Tolerance(0, 6.3)),
    (r"^replies", Tolerance(0, 8)),
    (r"^z$", Tolerance(0.15, 0.3)),
    (r"^damage( \| ±|$)|^damage # ± \|", Tolerance(0, 0.15)),
    (r"^log-probability", Tolerance(0, 0.02)),
    (r"^largest drift", Tolerance(0.5, 1.1e-5)),
    (r"^(lost|gained).* and \| more", Tolerance(0.2, 2)),
    (r"\| bytes", Tolerance(0.01, 64)),
    # means over three trained seeds with their spread: some states of each lie near a border
    (r"\( n = #", Tolerance(0.02, 0.011)),
    (r"\| matched basins", Tolerance(0, 1.01)),
    # what a survey of a text model found, and what is made of it
    (r"^found$|\| basins found|\| found by random|\| met once", Tolerance(0.03, 1.01)),
    (r"^in all$|in all \(|^coverage|coverage \||coverage # %", Tolerance(0.1, 2.1)),
)  # fmt: skip
"""Labels (regular expressions) and how far apart two of their numbers may be."""

FREE = r"\b(live|end) \|"
"""Hashes of edited weights: another processor has others."""
NAMES = Tolerance(0.03, 0)
"""Numbers of basins: behind a hundred others, each counts those before it, and moves as their count does."""
LISTS = r"^(lost|gained|kept)$"
"""Lists of basins: most of them must be in both."""
STRAY_ROWS = 1 / 6
"""Of a table of basins, so many rows may show other basins: those with hardly fewer starts."""

_HASH = re.compile(r"(?<!\w)[0-9a-f]{12,64}(?!\w)")
_BASIN = re.compile(r"(?<!\w)(?:L\d+\.)?B\d+(?!\w)")
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)")
_TOKEN = re.compile(
    rf"(?P<hash>{_HASH.pattern})|(?P<basin>{_BASIN.pattern})|(?P<number>{NUMBER.pattern})"
    r"|(?P<word>[^\s,;:()<%±→]+|[,;:()<%±→])"
)
_SHOWN = {"number": "#", "basin": "B", "hash": "HASH"}
_CELL = re.compile(r"\S+(?: \S+)*")
_PROSE = ("  “", "  in known basins")
_HEADS = ("basin ", "layer ", "effect ", "placebos ", "model ", "checkpoint ")


class Token(NamedTuple):
    kind: str
    text: str
    label: str


class Wrong(AssertionError):
    """Two outputs differ."""


def compare(found: str, wanted: str) -> None:
    """Raise ``Wrong`` at the first place where an output is not the one that is kept."""
    for here, there in zip_longest(blocks(found), blocks(wanted)):
        if here is None or there is None:
            raise Wrong(f"one output has more statements: {(here or there or [''])[0]!r}")
        if here[0] != there[0]:
            raise Wrong(f"{here[0]!r} instead of {there[0]!r}")
        ours, theirs = (parts(_entries_sorted(side[1:])) for side in (here, there))
        if [type(part) for part in ours] != [type(part) for part in theirs]:
            raise Wrong(f"{here[0]!r}: other tables, or texts between them")
        for one, other in zip(ours, theirs, strict=True):
            if isinstance(one, Table) and isinstance(other, Table):
                _same_table(one, other)
            else:
                _same_tokens(list(tokens(str(one))), list(tokens(str(other))), str(other))


def same_notebook(found: Any, kept: Any) -> bool:
    """Whether a notebook's code cells show what the kept one's do: texts as ``compare`` has it, the
    data of figures within rounding (their still pictures are drawn from it)."""
    ours, theirs = ([cell for cell in side.cells if cell.cell_type == "code"] for side in (found, kept))
    if [cell.source for cell in ours] != [cell.source for cell in theirs]:
        return False
    for one, other in zip(ours, theirs, strict=True):
        shown = [
            [
                {kind: data for kind, data in output.get("data", {}).items() if kind != "image/png"}
                for output in cell.outputs
            ]
            for cell in (one, other)
        ]
        texts = ["".join(output.get("text", "") for output in cell.outputs) for cell in (one, other)]
        if compared(*shown).beyond is not None:
            return False
        try:
            compare(*texts)
        except Wrong:
            return False
    return True


def blocks(text: str) -> list[list[str]]:
    """The lines of every statement, the statement first; what a model says is left out."""
    made: list[list[str]] = [[""]]
    for line in text.splitlines():
        if line.startswith("▸"):
            made.append([line])
        elif not line.startswith(_PROSE):
            made[-1].append(line)
    return made


def _entries_sorted(lines: list[str]) -> list[str]:
    """The lines with entries of a weight (``W[3, 4]  0.1``) sorted: entries of one size may come in any order."""
    entries = iter(sorted(line for line in lines if line.startswith("  W[")))
    return [next(entries) if line.startswith("  W[") else line for line in lines]


class Table(NamedTuple):
    head: str
    rows: tuple[str, ...]


def parts(lines: list[str]) -> list[Table | str]:
    """Tables, and the texts between them, each in one piece: where a line is wrapped does not matter."""
    made: list[Table | str] = []
    text: list[str] = []
    index = 0
    while index < len(lines):
        line = lines[index]
        index += 1
        if not line.strip().startswith(_HEADS) or "   " not in line.strip():
            text.append(line)
            continue
        rows = []
        while index < len(lines) and _is_row(lines[index], line):
            rows.append(lines[index])
            index += 1
        made += ["\n".join(text), Table(line, tuple(rows))]
        text = []
    return [*made, "\n".join(text)]


def _is_row(line: str, head: str) -> bool:
    return len(_CELL.findall(line)) > 2 and not line.strip().startswith((*_HEADS, "…", "note", "damage"))


def columns(head: str, row: str) -> Iterator[tuple[str, str]]:
    """(name of the column, cell) for the cells of a row: a cell ends or begins with its column's name, or lies next to
    it."""
    names = [(match.start(), match.end(), match[0]) for match in _CELL.finditer(head)]
    row = re.sub(r"[█▏▎▍▌▋▊▉]", " ", row)
    for match in _CELL.finditer(row):
        start, end = match.start(), match.end()
        _, name = min((min(abs(end - e), abs(start - s)), n) for s, e, n in names)
        yield name, match[0]


def _same_table(ours: Table, theirs: Table) -> None:
    if ours.head.split() != theirs.head.split():
        raise Wrong(f"another head: {ours.head!r} instead of {theirs.head!r}")
    basins = theirs.head.strip().startswith("basin ")
    pairs: list[tuple[str, str]]
    if basins:
        here, there = ({row.split()[0]: row for row in side.rows} for side in (ours, theirs))
        strays = len(here.keys() ^ there.keys()) / 2
        if len(here) != len(there) or strays > STRAY_ROWS * len(there):
            raise Wrong(f"other basins: {sorted(here)} instead of {sorted(there)}")
        order = [name for name in here if name in there]
        known = [name for name in there if name in here]
        pairs = [(here[name], there[name]) for name in known]
        for place, name in enumerate(known):
            if abs(place - order.index(name)) > 2:
                raise Wrong(f"{name} stands in another place of the table")
    else:
        if len(ours.rows) != len(theirs.rows):
            raise Wrong(f"{len(ours.rows)} rows instead of {len(theirs.rows)} under {theirs.head!r}")
        pairs = list(zip(ours.rows, theirs.rows, strict=True))
    for one, other in pairs:
        cells, wanted = list(columns(ours.head, one)), list(columns(theirs.head, other))
        if [name for name, _ in cells] != [name for name, _ in wanted]:
            raise Wrong(f"other columns: {one!r} instead of {other!r}")
        for (name, cell), (_, kept) in zip(cells, wanted, strict=True):
            _same_tokens(_labelled(cell, name), _labelled(kept, name), other)


def _labelled(text: str, label: str) -> list[Token]:
    return [token._replace(label=label) for token in tokens(text)]


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a text. A label is ``words before | words behind``, up to the next gap of three blanks, with
    ``#`` for other numbers and ``B`` for basins; where a gap is followed by no words, those before it count."""
    carried = ""
    for segment in (part for line in text.split("\n") for part in re.split(r" {3,}", line.strip())):
        found = [match for match in _TOKEN.finditer(segment) if match[0] != "<"]
        shown = [_SHOWN.get(str(match.lastgroup), match[0]) for match in found]
        if any(match.lastgroup == "word" and match[0].isalpha() for match in found):
            carried = ""
        for place, match in enumerate(found):
            before = " ".join([carried, *shown[:place]]).strip()
            yield Token(str(match.lastgroup), match[0], f"{before} | {' '.join(shown[place + 1 :])}".strip())
        if carried == "":
            carried = " ".join(shown)


def _same_tokens(ours: list[Token], theirs: list[Token], line: str) -> None:
    ours, theirs = _without_lists(ours), _without_lists(theirs)
    for one, other in zip_longest(ours, theirs):
        if one is None or other is None or one.kind != other.kind:
            raise Wrong(f"{one and one.text!r} instead of {other and other.text!r} in {line!r}")
        if not _same(one, other):
            raise Wrong(f"{one.text} instead of {other.text} ({other.label or 'no label'}) in {line!r}")


def _same(one: Token, other: Token) -> bool:
    if one.kind == "number":
        return room(other.text, other.label).used(value(one.text), value(other.text)) <= 1
    if one.kind == "basin":
        (layer, number), (kept_layer, kept) = (token.text.split("B") for token in (one, other))
        return layer == kept_layer and NAMES.used(int(number), int(kept)) <= 1
    if one.kind == "hash" and re.search(FREE, other.label):
        return True
    if one.kind == "list":
        ours, theirs = set(one.text.split()), set(other.text.split())
        return len(ours & theirs) >= 0.7 * max(len(ours), len(theirs))
    return one.text == other.text


def _without_lists(found: list[Token]) -> list[Token]:
    """Lists of basins under a label of ``LISTS`` as two tokens each: the names, and the number in ``and 26 more``."""
    made: list[Token] = []
    names: list[str] = []
    label, more = "", Token("number", "0", "lost and | more")
    for token in found:
        if token.kind == "word" and re.search(LISTS, token.text):
            label = token.text
            made.append(token)
        elif label and (token.kind == "basin" or token.text in ("none", ",", ":", "…", "and", "more")):
            names += [token.text] if token.kind == "basin" else []
        elif label and names and token.kind == "number" and "more" in token.label:
            more = token
        else:
            if label:
                made += [Token("list", " ".join(names), label), more]
                label, names = "", []
            made.append(token)
    return [*made, Token("list", " ".join(names), label), more] if label else made


def room(text: str, label: str) -> Tolerance:
    """How far a number may lie from one that is printed like this under a label."""
    for pattern, allowed in ROOM:
        if re.search(pattern, label):
            return allowed
    if "." not in text and "e" not in text:
        return Tolerance(0, 0)
    digits = re.split("e", text)[0]
    unit = 10.0 ** -len(digits.split(".")[1]) if "." in digits else 1.0
    if "e" in text:
        unit *= 10.0 ** int(text.split("e")[1])
    return Tolerance(REAL.relative, 1.01 * unit)


def value(text: str) -> float:
    return float(text.replace(",", ""))
