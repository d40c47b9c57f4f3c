"""The walkthrough notebook runs as written, what it says is true, and the script says the same."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from energylang import Session
from tests import golden

nbformat = pytest.importorskip(
    "nbformat", reason="the notebook needs nbformat: pip install 'energylang[notebook]'"
)
nbclient = pytest.importorskip("nbclient", reason="the notebook needs nbclient")
pytest.importorskip("umap", reason="the third cell needs umap-learn")

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "interpretability_notebook.ipynb"

ASKED = """
session = surgeon.session
facts = session.record("record.json").to_dict()
facts["verdict"] = surgeon.verify(layer=2, concept="polite").to_dict()
facts["edits"] = [entry.to_dict() for entry in session.history().entries if "inject" in entry.statement]
facts["hash"] = surgeon.model_weights_hash()
facts["controls"] = [control.to_dict() for control in trajectory_after["controls"]]
facts["active"] = list(session.state.interventions)
with open("facts.json", "w") as file:
    json.dump(facts, file)
"""


@pytest.fixture(scope="module")
def executed(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[Any, dict, dict]:
    """The notebook with its outputs, the experiment that it wrote, and what was asked afterwards."""
    place = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(ASKED, id="asked"))
    client = nbclient.NotebookClient(
        notebook, timeout=3600, kernel_name="python3", resources={"metadata": {"path": str(place)}}
    )
    client.execute(env={**os.environ, "PYTHONPATH": str(ROOT), "JUPYTER_PLATFORM_DIRS": "1"})
    notebook.cells.pop()
    if request.config.getoption("--update-examples"):
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)
        if not golden.same_notebook(notebook, nbformat.read(NOTEBOOK, as_version=4)):
            nbformat.write(notebook, NOTEBOOK)
    experiment = json.loads((place / "experiment.json").read_text())
    return notebook, experiment, json.loads((place / "facts.json").read_text())


@pytest.mark.slow
def test_the_seven_cells_run_and_show_their_pictures(executed):
    notebook, _, _ = executed
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) == 7
    pictures = [
        sum("application/vnd.plotly.v1+json" in output.get("data", {}) for output in cell.outputs)
        for cell in code
    ]
    assert pictures == [0, 0, 1, 1, 0, 1, 0]
    printed = "".join(output.get("text", "") for cell in code for output in cell.outputs)
    assert printed.count("basins, entropy=") == 4 and printed.count("probed with → ") == 5
    assert 'probed with → ""' not in printed


@pytest.mark.slow
def test_what_the_experiment_says_is_true(executed):
    _, experiment, facts = executed
    too_large, smallest = facts["edits"]
    assert too_large["state"] == "REFUSED" and too_large["detail"]
    assert smallest["state"] == "OK" and facts["verdict"]["is_basin"], "the concept landed"
    causal = experiment["causal_intervention"]
    before, after = causal["trajectory_before"], causal["trajectory_after"]
    assert before["tokens"] != after["tokens"] and before["interventions"] == [] != after["interventions"]
    assert len(facts["controls"]) == 3
    assert facts["active"] == [], "revert took the intervention away"
    assert experiment["checkpoint_hash"] == facts["hash"] == facts["checkpoint_hash"]
    assert len(experiment["injected_concept"]["states"]) == 3


@pytest.mark.slow
def test_the_script_gives_the_same_numbers(executed, in_tmp: Path):
    _, experiment, _ = executed
    session = Session("tiny")
    session.run((ROOT / "examples" / "interpretability.el").read_text(encoding="utf-8"))
    known = session.variables
    assert known["before"].to_dict(volatile=False)["basins"] == experiment["baseline_survey"]["basins"]
    assert known["after"].num_basins == experiment["post_injection_survey"]["num_basins"]
    assert known["first"] == experiment["causal_intervention"]["zeroed_basin"]
    for name, key in (("untouched", "trajectory_before"), ("changed", "trajectory_after")):
        assert known[name].to_dict()["tokens"] == experiment["causal_intervention"][key]["tokens"]
