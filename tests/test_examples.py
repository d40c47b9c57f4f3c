"""The examples run, and print what is kept beside them.

``tests/golden.py`` says what may differ from one processor to another; tests/test_golden.py that nothing else may.
That the results are right is checked inside the examples, by ``require``. ``--update-examples`` writes an output anew
where it is not the one that is kept, and leaves it alone where it is, within rounding.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from energylang import Session, check
from energylang.diagnostics.source import Source
from energylang.ops import TABLE
from energylang.render.markdown import reference_pages
from tests import golden
from tests.real import little_is_read_of_smollm2

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / "examples").glob("*.el"))
REAL = "load smollm2\n"


SLOW = ("make_polite", "keep_if_good")
ON_REAL = [script for script in SCRIPTS if script.stem.endswith("smollm2")]


# What a long operation writes to standard error now and then depends on the machine's speed.
QUIET = """
import sys
from energylang.cli import main
from energylang.render import waiting

waiting.EVERY = 1e9
sys.exit(main(sys.argv[1:]))
"""


def printed(script: Path) -> str:
    result = subprocess.run(
        [sys.executable, "-c", QUIET, "run", f"examples/{script.name}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


@pytest.mark.parametrize(
    "script",
    [pytest.param(s, marks=pytest.mark.slow) if s.stem in SLOW else s for s in SCRIPTS if s not in ON_REAL],
    ids=lambda path: path.stem,
)
def test_example_prints_what_is_kept_beside_it(script: Path, request: pytest.FixtureRequest):
    expected = script.with_suffix(".out")
    found = printed(script)
    wanted = expected.read_text(encoding="utf-8") if expected.is_file() else ""
    try:
        golden.compare(found, wanted)
    except golden.Wrong:
        if not request.config.getoption("--update-examples"):
            raise
        expected.write_text(found, encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("script", ON_REAL, ids=lambda path: path.stem)
def test_an_example_on_the_real_model_runs(script: Path, monkeypatch: pytest.MonkeyPatch):
    """With little text, so that it is quick; what it prints is drawn from the model, and another processor may draw
    otherwise, so the output beside it is compared in its statements and its last line alone."""
    little_is_read_of_smollm2(monkeypatch)
    Session(base=script.parent).run(script.read_text(encoding="utf-8"), name=script.name)
    kept = script.with_suffix(".out").read_text(encoding="utf-8")
    said = re.findall(r"^▸ (?:with )?([a-z-]+)", kept, flags=re.MULTILINE)
    written = re.findall(r"^(?:with |    )?([a-z-]+)", script.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert [word for word in said if word in TABLE] == [word for word in written if word in TABLE]
    assert kept.rstrip().endswith("undone: the model has its first hash again")


def test_there_are_examples_and_each_has_its_output():
    assert {script.stem for script in SCRIPTS} >= {"hello_basins", "make_polite"}
    assert all(script.with_suffix(".out").is_file() for script in SCRIPTS)


@pytest.mark.parametrize("page", [pytest.param("README.md", marks=pytest.mark.slow), "docs/language.md"])
def test_programs_in_the_documents_check_and_run(page: str, in_tmp: Path):
    """Programs in the pages run one after the other in one session, as a reader would type them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"```el\n(.*?)```", text, flags=re.DOTALL)
    programs = [program for program in found if REAL not in program]  # those have a test of their own
    assert programs
    session = Session("tiny")
    for program in programs:
        if "s = survey L0" in program or "load planted" in program:
            session.load("planted:64x4")
        elif "capture" in program:
            session.load("tiny")
        session.run(program)


@pytest.mark.slow
def test_programs_on_the_real_model_run(in_tmp: Path, monkeypatch: pytest.MonkeyPatch):
    """The README's programs on a pretrained model, where this machine has it; it is fetched by nothing but `el get`."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    programs = [p for p in re.findall(r"```el\n(.*?)```", text, flags=re.DOTALL) if REAL in p]
    assert programs
    little_is_read_of_smollm2(monkeypatch)
    for program in programs:
        Session().run(program)


@pytest.mark.parametrize("name", ["operations.md", "levels.md", "codes.md", "grammar.md"])
def test_the_reference_pages_are_up_to_date(name: str):
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert page == reference_pages()[name], "run `python3 dev.py docs`"


def test_standard_library_checks_and_its_procedures_run():
    for module in sorted((ROOT / "stdlib").glob("*.el")):
        assert check(Source(module.read_text(encoding="utf-8"), module.name)).diagnostics == []
    session = Session("planted:64x4")
    session.run("import audit\naudit-layers least=3\naudit-undone\nsurvey L0\naudit-basin L0 L0.B0\n")
    session.run("inject L0 seed 42\naudit-basin L0 seed=42\n")
