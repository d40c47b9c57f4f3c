"""The five research questions: each notebook runs, controls stand beside what is claimed, and the laws in it hold.

What comes out depends on the bundled model, so figures are not compared here. ``--update-examples`` writes the outputs
of the present model into the notebooks.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tests import golden

nbformat = pytest.importorskip(
    "nbformat", reason="notebooks need nbformat: pip install 'energylang[notebook]'"
)
nbclient = pytest.importorskip("nbclient", reason="notebooks need nbclient")

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
QUESTIONS = ("composition", "locality", "portability", "training_dynamics", "causal_stability")


def executed(name: str, place: Path, *, update: bool) -> str:
    """Run a notebook in a folder of its own beside the checkpoints that it reads; everything it printed."""
    shutil.copytree(EXAMPLES / "training_run", place / "training_run")
    path = EXAMPLES / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=3600, kernel_name="python3", resources={"metadata": {"path": str(place)}}
    )
    client.execute(env={**os.environ, "PYTHONPATH": str(ROOT), "JUPYTER_PLATFORM_DIRS": "1"})
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
    if update and not golden.same_notebook(notebook, nbformat.read(path, as_version=4)):
        nbformat.write(notebook, path)
    return printed(notebook)


def joined(outputs: list) -> list:
    """Outputs with what was printed in one piece: how it was cut depends on the moment."""
    found: list = []
    for output in outputs:
        if output.get("name") == "stderr":
            continue
        if found and output.output_type == found[-1].output_type == "stream":
            found[-1].text += output.text
        else:
            found.append(output)
    return found


def printed(notebook: object) -> str:
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]  # type: ignore[attr-defined]
    return "".join(output.get("text", "") for cell in cells for output in cell.outputs)


def numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"[-+]?\d+(?:\.\d+)?", text)]


@pytest.mark.slow
@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_runs_and_its_laws_hold(name: str, tmp_path: Path, request: pytest.FixtureRequest):
    said = executed(name, tmp_path, update=request.config.getoption("--update-examples"))
    LAWS[name](said)


def composition(said: str) -> None:
    rows = [numbers(line) for line in said.splitlines() if re.match(r"^ +[01]\.\d{3} ", line)]
    assert len(rows) == 9
    first, last = rows[0], rows[-1]
    assert first[1] > 0.99 and first[3] < 0.02, "no share of the second concept is the first"
    assert last[2] > 0.99 and last[4] < 0.02, "and nothing but it the second"
    assert "random (n=20)" in said and "of 20 random middles" in said


def locality(said: str) -> None:
    for line in (line for line in said.splitlines() if "registers at random" in line):
        found, _, spread, *_ = numbers(line)
        assert found > 0 and spread >= 0
    assert said.count("registers at random") == 4
    assert len(re.findall(r"places for 24 texts", said)) == 5


def portability(said: str) -> None:
    assert "to itself: 1.0" in said and "EL511" in said
    texts, found, mixed = numbers(said.split("found again among", 1)[1])[:3]
    assert texts > 50 and 0 <= found <= 100 and 0 <= mixed <= 100
    assert "shuffled: " in said and "applied:" in said


def training_dynamics(said: str) -> None:
    rows = [numbers(line) for line in said.splitlines() if "→" in line and line.startswith("L")]
    assert len(rows) == 15
    for _, before, after, basins, *fates in rows:
        assert after == before + 500 and sum(fates[:3]) == sum(fates[3:]) == basins
    stays, control = sum(row[4] for row in rows), sum(row[7] for row in rows)
    assert stays > 10 * control, "basins stay because they have a history, not by chance"


def causal_stability(said: str) -> None:
    rows = [numbers(line.split("shared basins")[1]) for line in said.splitlines() if "shared basins" in line]
    assert len(rows) == 6
    for overlap, renamed, *_ in rows:
        assert 0 <= renamed < overlap <= 1, "the graph is more than its number of edges"


LAWS = {
    "composition": composition,
    "locality": locality,
    "portability": portability,
    "training_dynamics": training_dynamics,
    "causal_stability": causal_stability,
}


def test_the_questions_are_kept_with_their_outputs_and_as_scripts():
    for name in QUESTIONS:
        notebook = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
        LAWS[name](printed(notebook))
        assert (EXAMPLES / f"{name}.el").is_file() and (EXAMPLES / f"{name}.out").is_file()
        assert (EXAMPLES / f"{name}.ipynb").stat().st_size < 60_000


def test_the_checkpoints_of_the_training_load_and_are_small():
    from energylang.models.checkpoint import load

    files = sorted((EXAMPLES / "training_run").glob("*.safetensors"))
    assert len(files) == 7 and sum(file.stat().st_size for file in files) < 1_000_000
    for file in files:
        assert load(str(file)).dims == (64, 64, 64)
