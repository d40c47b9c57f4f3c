"""The examples run, and print what is kept beside them.

``tests/golden.py`` says what may differ from one processor to another; tests/test_golden.py that nothing else may.
That the results are right is checked inside the examples, by ``require``. ``--update-examples`` writes an output anew
where it is not the one that is kept, and leaves it alone where it is, within rounding.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from energylang import Session, check
from energylang.diagnostics.source import Source
from energylang.ops import TABLE
from energylang.render.markdown import reference_pages
from tests import documents, golden
from tests.real import little_is_read_of_smollm2

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / "examples").glob("*.el"))


SLOW = ("make_polite", "keep_if_good", "interpretability", "portability")
ON_REAL = [script for script in SCRIPTS if script.stem.endswith("smollm2")]


# As `el run`, but what a long operation writes to standard error now and then, by the clock, is not there, and a file
# gets what `--json` would have written.
AS_RUN = """
import json, sys
from energylang.cli import main, output
from energylang.render import waiting


class Both(output.Recorder):
    def __init__(self, **given):
        super().__init__(**given)
        self.document = Document(json=True)

    def show(self, *given):
        super().show(*given)
        self.document.show(*given)

    def keep(self, *given):
        self.document.keep(*given)

    def __exit__(self, *error):
        super().__exit__(*error)
        with open(sys.argv[1], "w", encoding="utf-8") as file:
            json.dump(self.document.items, file)


Document, output.Recorder, waiting.EVERY = output.Recorder, Both, 1e9
sys.exit(main(sys.argv[2:]))
"""


def printed(script: Path, document: Path) -> str:
    result = subprocess.run(
        [sys.executable, "-c", AS_RUN, str(document), "run", f"examples/{script.name}"],
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
def test_example_prints_what_is_kept_beside_it(script: Path, request: pytest.FixtureRequest, tmp_path: Path):
    """And what it says as JSON is as ``el schema`` says."""
    expected = script.with_suffix(".out")
    found = printed(script, tmp_path / "document.json")
    entries = json.loads((tmp_path / "document.json").read_text(encoding="utf-8"))
    assert entries
    documents.is_a_document(entries)
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
    session = Session(base=script.parent)
    documents.is_a_document(documents.run(session, script.read_text(encoding="utf-8"), script.name))
    kept = script.with_suffix(".out").read_text(encoding="utf-8")
    said = re.findall(r"^▸ (?:with )?([a-z-]+)", kept, flags=re.MULTILINE)
    written = re.findall(r"^(?:with |    )?([a-z-]+)", script.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert [word for word in said if word in TABLE] == [word for word in written if word in TABLE]
    assert kept.rstrip().endswith("undone: the model has its first hash again")


def test_there_are_examples_and_each_has_its_output():
    assert {script.stem for script in SCRIPTS} >= {"hello_basins", "make_polite"}
    assert all(script.with_suffix(".out").is_file() for script in SCRIPTS)


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
