"""The notebook of surgery on the real model says what its script says, whose output is tested, and gave all back.

To run it takes minutes, so it is run anew when it changes (``--update-examples``), and here it is read.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.jupyter.test_questions import joined

nbformat = pytest.importorskip(
    "nbformat", reason="notebooks need nbformat: pip install 'energylang[notebook]'"
)

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NOTEBOOK = EXAMPLES / "surgery_smollm2.ipynb"
ROW = re.compile(
    r"^  (?:same |near )?(?P<prompt>[A-Z].*?) +(?P<before>\d\.\d{3})  (?P<after>\d\.\d{3})  \S+ +\S+$",
    re.MULTILINE,
)
RANDOM = re.compile(r"random values at the same key: (?P<mean>\d\.\d+) on average, (?P<most>\d\.\d+) at most")


@pytest.fixture(scope="module")
def cells(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The notebook's cells by name."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    if request.config.getoption("--update-examples"):
        import nbclient

        client = nbclient.NotebookClient(
            notebook, timeout=3600, kernel_name="python3", resources={"metadata": {"path": str(EXAMPLES)}}
        )
        client.execute(env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent), "JUPYTER_PLATFORM_DIRS": "1"})
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)
            if cell.cell_type == "code":
                cell.outputs = joined(cell.outputs)
        nbformat.write(notebook, NOTEBOOK)
    return {cell.id: cell for cell in notebook.cells}


def printed(cell: Any) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


def drawn(cell: Any) -> dict[str, list[float]]:
    """What a figure shows: its values by the name of the column."""
    data = next(output.data for output in cell.outputs if "data" in output and "image/png" in output.data)
    return {trace["name"]: trace["x"] for trace in data["application/vnd.plotly.v1+json"]["data"]}


def test_the_figure_shows_what_the_script_measures(cells: dict[str, Any]):
    out = (EXAMPLES / "surgery_smollm2.out").read_text(encoding="utf-8")
    rows = list(ROW.finditer(out))
    assert len(rows) == 6
    shown = drawn(cells["rewrite-drawn"])
    for column in ("before", "after"):
        assert shown[column] == pytest.approx([float(row[column]) for row in rows], abs=0.02), column
    random = RANDOM.search(out)
    assert random is not None
    assert shown["random values, mean"] == pytest.approx([float(random["mean"])], abs=0.02)
    assert shown["random values, largest"] == pytest.approx([float(random["most"])], abs=0.02)
    assert shown["after"][0] > 10 * shown["random values, largest"][0]


def test_the_fact_is_another_one_in_conversation(cells: dict[str, Any]):
    before, after = printed(cells["before"]), printed(cells["after"])
    assert "Paris" in before and "Rome" not in before
    pairs = re.findall(r"before: (.*)\n +after:  (.*)", after)
    assert len(pairs) == 3 and all(old in before for old, _ in pairs)
    assert "Rome" in pairs[0][1] and "Paris" not in pairs[0][1], "asked where the Eiffel Tower is"
    assert re.search("Rom[ae]|Ital", pairs[1][1]), "asked about the Eiffel Tower"
    assert "Paris" in pairs[2][1] and "Rome" not in pairs[2][1], "asked about the Louvre"


def test_all_of_it_was_taken_back(cells: dict[str, Any]):
    assert "the first hash again: True" in printed(cells["undo"])
    assert "the first replies again: True" in printed(cells["undo"])
    said = dict(line.split(":", 1) for line in printed(cells["save"]).splitlines() if ": " in line)
    assert said["transformers"].strip() == said["energylang"].strip() and "Rome" in said["transformers"]
    assert said["read back with the same hash"].strip() == "True"
