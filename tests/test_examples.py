"""The examples run, and print what is kept beside them.

Words, the shape of every table and the order of the lines must be equal. Numbers are compared with room for
another processor's rounding (a basin more or less at the edge); what a model says is prose and is not
compared. That the results are right is checked inside the examples, by ``require``.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from energylang import Session, check
from energylang.render.markdown import reference_pages
from energylang.syntax.source import Source

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / "examples").glob("*.el"))

NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)")
HASH = re.compile(r"\b[0-9a-f]{12,64}\b")
BASIN = re.compile(r"\b(?:L\d+\.)?B\d+\b")


def printed(script: Path) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "energylang", "run", f"examples/{script.name}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def skeleton(line: str) -> str:
    """A line without what may differ from one processor to another."""
    line = re.sub(r"[█▏▎▍▌▋▊▉]+", "▏", HASH.sub("HASH", line))
    line = re.sub(r"(?:BASIN(?:, | …)?)+|none(?=   )", "BASINS ", BASIN.sub("BASIN", line))
    line = re.sub(r"and \d+ more", "", line)
    return " ".join(NUMBER.sub("#", line.replace("<1e-5", "0.00001").replace("–", "BASINS ")).split())


def lines(text: str) -> list[str]:
    """The lines that are compared: all but what the model said."""
    return [line for line in text.splitlines() if not line.startswith(("  “", "  in known basins"))]


def numbers(line: str) -> list[float]:
    line = re.sub(r"and \d+ more", "", HASH.sub("", BASIN.sub("", line)))
    return [float(found.replace(",", "")) for found in NUMBER.findall(line)]


@pytest.mark.parametrize(
    "script",
    [pytest.param(s, marks=pytest.mark.slow) if s.stem == "make_polite" else s for s in SCRIPTS],
    ids=lambda path: path.stem,
)
def test_example_prints_what_is_kept_beside_it(script: Path, request: pytest.FixtureRequest):
    expected = script.with_suffix(".out")
    found = printed(script)
    if request.config.getoption("--update-examples"):
        expected.write_text(found, encoding="utf-8")
    wanted = expected.read_text(encoding="utf-8")
    pairs = list(zip(lines(found), lines(wanted), strict=True))
    for here, there in pairs:
        assert skeleton(here) == skeleton(there)
        for one, other in zip(numbers(here), numbers(there), strict=True):
            room = 100.0 if "% of 16 trials" in there else 3.0  # at an edge, all of them may go either way
            assert one == pytest.approx(other, rel=0.25, abs=room), (here, there)


def test_there_are_examples_and_each_has_its_output():
    assert {script.stem for script in SCRIPTS} >= {"hello_basins", "make_polite"}
    assert all(script.with_suffix(".out").is_file() for script in SCRIPTS)


@pytest.mark.parametrize("page", [pytest.param("README.md", marks=pytest.mark.slow), "docs/language.md"])
def test_programs_in_the_documents_check_and_run(page: str, in_tmp: Path):
    """Programs in the pages run one after the other in one session, as a reader would type them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    programs = re.findall(r"```el\n(.*?)```", text, flags=re.DOTALL)
    assert programs
    session = Session("tiny")
    for program in programs:
        if "s = survey L0" in program or "load planted" in program:
            session.load("planted:64x4")
        elif "capture" in program:
            session.load("tiny")
        session.run(program)


@pytest.mark.parametrize("name", ["operations.md", "codes.md", "grammar.md"])
def test_the_reference_pages_are_up_to_date(name: str):
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert page == reference_pages()[name], "run `python3 dev.py docs`"


def test_standard_library_checks_and_its_procedures_run():
    for module in sorted((ROOT / "stdlib").glob("*.el")):
        assert check(Source(module.read_text(encoding="utf-8"), module.name)).diagnostics == []
    session = Session("planted:64x4")
    session.run("import audit\naudit-layers least=3\naudit-undone\nsurvey L0\naudit-basin L0 L0.B0\n")
    session.run("inject L0 seed 42\naudit-basin L0 seed=42\n")
