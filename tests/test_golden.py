"""The comparison of outputs sees every wrong number, and passes over what another processor rounds otherwise."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests import golden

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
OUTPUTS = sorted(EXAMPLES.glob("*.out"))
WIDE = 0.15
"""At most this share of an output's numbers lie under labels that ``golden.ROOM`` gives more room than the change."""


def differs(found: str, wanted: str) -> bool:
    try:
        golden.compare(found, wanted)
    except golden.Wrong:
        return True
    return False


def numbered(block: list[str]) -> list[tuple[str, re.Match[str]]]:
    """Every number of a block's output."""
    text = "\n".join(block)
    spared = [match.span() for match in re.finditer(f"{golden._HASH.pattern}|{golden._BASIN.pattern}", text)]
    return [
        (text, match)
        for match in golden.NUMBER.finditer(text, len(block[0]))
        if not any(a <= match.start() < b for a, b in spared)
    ]


def changed(text: str, match: re.Match[str], number: float) -> str:
    return f"{text[: match.start()]}{number:+.6f}{text[match.end() :]}"


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda path: path.stem)
def test_an_output_is_itself(output: Path):
    text = output.read_text(encoding="utf-8")
    golden.compare(text, text)


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda path: path.stem)
def test_no_number_can_be_moved_or_change_its_sign(output: Path):
    numbers, passed, undeclared = 0, 0, []
    for block in golden.blocks(output.read_text(encoding="utf-8")):
        for text, match in numbered(block):
            value = golden.value(match[0])
            numbers += 1
            others = [other for other in (value + 1.5, value - 1.5, -value) if other != value]
            slipped = [other for other in others if not differs(changed(text, match, other), text)]
            passed += bool(slipped)
            undeclared += [
                (match[0], other, block[0]) for other in slipped if not declared(block, match[0], other)
            ]
    assert numbers
    assert undeclared == [], "these can be changed although no label declares it"
    assert passed <= WIDE * numbers


def declared(block: list[str], number: str, other: float) -> bool:
    """Whether ``ROOM`` has a label of this number in the block, with so much room."""
    labels = []
    for part in golden.parts(block[1:]):
        if isinstance(part, golden.Table):
            cells = [cell for row in part.rows for cell in golden.columns(part.head, row)]
            labels += [name for name, cell in cells for token in golden.tokens(cell) if token.text == number]
        else:
            labels += [token.label for token in golden.tokens(part) if token.text == number]
    rooms = [allowed for pattern, allowed in golden.ROOM for label in labels if re.search(pattern, label)]
    return any(allowed.used(golden.value(number), other) <= 1 for allowed in rooms)


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda path: path.stem)
def test_neighbouring_columns_cannot_be_swapped(output: Path):
    for block in golden.blocks(output.read_text(encoding="utf-8")):
        for part in golden.parts(block[1:]):
            if not isinstance(part, golden.Table):
                continue
            for row in part.rows:
                cells = [cell for cell in golden._CELL.finditer(row) if golden.NUMBER.search(cell[0])]
                for one, other in pairwise(cells):
                    if {one[0], other[0]} == {"<1e-5", "0.00"}:
                        continue  # both are zero
                    wider = max(len(one[0]), len(other[0]))
                    there = (
                        row[: one.end() - wider]
                        + other[0].rjust(wider)
                        + row[one.end() : other.end() - wider]
                        + one[0].rjust(wider)
                        + row[other.end() :]
                    )
                    if there.split() != row.split():
                        whole = "\n".join(["▸", part.head, *part.rows])
                        assert differs(whole.replace(row, there, 1), whole), there


def test_basins_keep_their_names_but_for_those_behind_many_others():
    for then, now, same in (
        ("L3.B145", "L3.B144", True),
        ("B27", "B28", False),
        ("L3.B145", "L2.B145", False),
    ):
        text = f"▸ verify\n  ✓ a basin {then}\n"
        assert differs(text.replace(then, now), text) is not same
    assert differs("▸ verify\n  ✓ a basin B160\n", "▸ verify\n  ✓ a basin B145\n")


TABLE = """\
▸ survey L0
  L0  20 basins
  basin   starts                     share   energy  residual  stability  mirror
  L0.B0       60  ████████████████  15.0 %  -23.013     <1e-5       0.00  B3
  L0.B1       22  ███████████▍      11.0 %  -23.201     <1e-5       0.00  B7
  L0.B2       21  ███████████       10.5 %  -23.138     <1e-5       1.40  B4
  L0.B3       21  ███████████       10.5 %  -23.013     <1e-5       0.00  B0
  L0.B4       21  ███████████       10.5 %  -23.138     <1e-5       0.00  B2
  L0.B5        5  ██▉                2.5 %  -17.494     <1e-5       0.56  –
  … and 8 more, with 14 of the starts
"""


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ("60  ████████████████  15.0", "61  ███████████████▏  15.2"),
        ("-23.013     <1e-5       0.00  B3", "-23.014      1e-05       0.00  B3"),
        ("1.40", "1.21"),
        ("20 basins", "21 basins"),
        ("8 more, with 14", "7 more, with 15"),
        (
            "L0.B5        5  ██▉                2.5 %  -17.494",
            "L0.B8        5  ██▉                2.5 %  -16.289",
        ),
    ],
)
def test_what_rounding_changes_is_passed_over(then: str, now: str):
    assert then in TABLE
    golden.compare(TABLE.replace(then, now), TABLE)


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ("60  ████████████████  15.0", "66  ████████████████  15.0"),
        ("15.0 %", "16.0 %"),
        ("-23.013     <1e-5       0.00  B3", "-23.213     <1e-5       0.00  B3"),
        ("0.00  B7", "0.30  B7"),
        ("0.00  B7", "0.00  B6"),
        ("1.40", "0.40"),
        ("20 basins", "30 basins"),
        ("survey L0", "survey L1"),
        ("L0.B5", "L0.B55"),
    ],
)
def test_what_rounding_does_not_change_is_seen(then: str, now: str):
    assert then in TABLE
    assert differs(TABLE.replace(then, now, 1), TABLE) == (then != "L0.B5"), "one basin of six may be another"
    assert differs(TABLE.replace("L0.B5", "L0.B55").replace("L0.B4", "L0.B44"), TABLE)


def test_notebooks_are_compared_by_what_they_show():
    nbformat = pytest.importorskip("nbformat", reason="notebooks need nbformat")
    path = EXAMPLES / "composition.ipynb"
    kept, found = (nbformat.read(path, as_version=4) for _ in range(2))
    assert golden.same_notebook(found, kept)
    cell = next(cell for cell in found.cells if cell.cell_type == "code" and golden.NUMBER.search(said(cell)))
    output = next(output for output in cell.outputs if golden.NUMBER.search(output.get("text", "")))
    text = output.text
    output.text = golden.NUMBER.sub(lambda match: str(golden.value(match[0]) + 1.5), text, count=1)
    assert not golden.same_notebook(found, kept)
    output.text = text
    assert golden.same_notebook(found, kept)
    cell.source += "\n"
    assert not golden.same_notebook(found, kept)


def said(cell: Any) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)
