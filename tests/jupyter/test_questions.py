"""The five research questions: each notebook runs on three trained seeds, what is claimed stands beside its controls,
and the tables in docs/questions.md say what a fresh run measures.

A notebook prints rows ``what, n = 3:`` with ``column mean ± std`` below. Laws are about what another processor's
rounding does not turn over: signs, the order of an effect, its control and its ceiling, and bounds.
``--update-examples`` writes the outputs of a fresh run into the notebooks and its figures into the tables.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import golden

nbformat = pytest.importorskip(
    "nbformat", reason="notebooks need nbformat: pip install 'energylang[notebook]'"
)
nbclient = pytest.importorskip("nbclient", reason="notebooks need nbclient")

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
PAGE = ROOT / "docs" / "questions.md"
QUESTIONS = ("composition", "locality", "portability", "training_dynamics", "causal_stability")

NUMBER = r"-?\d+\.\d+"
ROW = re.compile(r"^(?P<what>\S.*), n = (?P<n>\d+):\n    (?P<cells>.+)$", re.MULTILINE)
CELL = re.compile(rf"(?P<column>.+) (?P<mean>{NUMBER}) ± (?P<std>{NUMBER})")


class Value(NamedTuple):
    """Mean and standard deviation over n seeds, or pairs of seeds."""

    mean: float
    std: float
    n: int


Rows = dict[str, dict[str, Value]]


def rows(said: str) -> Rows:
    """What a notebook has reported: {row: {column: value}}."""
    found: Rows = {}
    for row in ROW.finditer(said):
        cells = [CELL.fullmatch(cell) for cell in row["cells"].split("   ")]
        found[row["what"]] = {
            cell["column"]: Value(float(cell["mean"]), float(cell["std"]), int(row["n"]))
            for cell in cells
            if cell is not None
        }
        assert len(found[row["what"]]) == len(cells), row[0]
    return found


def executed(name: str, place: Path, *, update: bool) -> str:
    """Run a notebook in a folder of its own beside the models that it reads; everything it printed."""
    shutil.copytree(EXAMPLES / "seeds", place / "seeds")
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


# ------------------------------------------------------------------------------------------- the page's tables


def block(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<=<!-- results: {name} -->\n).*?(?=<!-- end of results -->)", re.DOTALL)


def table(found: Rows) -> str:
    """A question's rows as a table: mean ± std and n."""
    columns = list(dict.fromkeys(column for row in found.values() for column in row))
    lines = [f"| | {' | '.join(columns)} | n |", "|---" * (len(columns) + 2) + "|"]
    for what, row in found.items():
        cells = [f"{row[c].mean:.3f} ± {row[c].std:.3f}" if c in row else "" for c in columns]
        lines.append(f"| {what} | {' | '.join(cells)} | {next(iter(row.values())).n} |")
    return "\n".join(lines) + "\n"


def table_rows(text: str) -> Rows:
    """A table as it stands in the page."""
    lines = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in text.strip().splitlines()]
    found: Rows = {}
    for what, *cells, n in lines[2:]:
        pairs = [(c, cell.split(" ± ")) for c, cell in zip(lines[0][1:-1], cells, strict=True) if cell]
        found[what] = {c: Value(float(mean), float(std), int(n)) for c, (mean, std) in pairs}
    return found


def check_page(name: str, fresh: Rows, *, update: bool) -> None:
    """The page's table holds what was measured: within a standard deviation, a tenth, or two hundredths."""
    text = PAGE.read_text(encoding="utf-8")
    if update:
        PAGE.write_text(block(name).sub(lambda _: table(fresh), text, count=1), encoding="utf-8")
        return
    match = block(name).search(text)
    assert match is not None, f"docs/questions.md has no table of {name}"
    kept = table_rows(match[0])
    assert kept.keys() == fresh.keys()
    for what, row in kept.items():
        assert row.keys() == fresh[what].keys()
        for column, there in row.items():
            here = fresh[what][column]
            room = max(0.02, 0.1 * abs(here.mean), here.std, there.std)
            assert abs(here.mean - there.mean) <= room, (what, column, here, there)
            assert here.n == there.n


def test_a_table_is_read_back_as_it_was_written() -> None:
    said = "a thing, n = 3:\n    real 0.500 ± 0.010   chance -0.020 ± 0.003\n"
    said += "said between\nother, share, n = 6:\n    real 12.000 ± 1.500\n"
    found = rows(said)
    assert found["a thing"]["chance"] == Value(-0.02, 0.003, 3)
    assert found["other, share"] == {"real": Value(12.0, 1.5, 6)}
    assert table_rows(table(found)) == found


# ------------------------------------------------------------------------------------------- laws


def composition(found: Rows) -> None:
    for kind in ("angle", "words"):
        detour = found[f"detour of the middle, in {kind}"]
        assert detour["not settled"].mean < detour["concepts"].mean, "settled, the middle leaves the way"
    assert found["detour of the middle, in angle"]["not settled"].mean == pytest.approx(1, abs=1e-3)
    steps = found["largest of eight steps, share of the way"]
    assert 1 / 8 <= steps["not settled"].mean < 0.2 < steps["concepts"].mean <= 1.0, "it goes in jumps"
    assert found["middles that rest where an end does, share"]["concepts"].mean > 0.5


def locality(found: Rows) -> None:
    for kind in ("words", "decisions"):
        half, most = (found[f"places that hold {share} % of {kind}"] for share in (50, 90))
        for column in half:
            assert 1 <= half[column].mean <= most[column].mean
        assert half["concept"].mean <= half["dealt out"].mean
        assert most["concept"].mean <= most["dealt out"].mean
    words, decisions = (
        found[f"places that hold 90 % of {kind}"]["concept"].mean for kind in ("words", "decisions")
    )
    assert words > 10 * decisions, "a reply is decided in few places and spoken in many"
    told = found["information of a decision's place about its register, nats"]
    assert told["dealt out"].mean < told["concept"].mean <= 1.61


def portability(found: Rows) -> None:
    for what in ("states before a reply", "states of words"):
        fit = found[f"fit of the rotation, {what}"]
        assert fit["shuffled texts"].mean < fit["carried"].mean <= 1
    cosine = found["concept, cosine to the target's own"]
    controls = max(cosine[column].mean for column in ("shuffled texts", "random directions"))
    assert controls + 0.1 < cosine["carried"].mean < cosine["surveyed again"].mean <= 1
    place = found["words whose place has a counterpart, share"]
    assert place["random directions"].mean <= place["carried"].mean < place["surveyed again"].mean <= 1


def training_dynamics(found: Rows) -> None:
    intervals = [what.removeprefix("found again, ") for what in found if what.startswith("found again")]
    assert len(intervals) == 4
    for interval in intervals:
        again = found[f"found again, {interval}"]
        assert again["measured"].mean <= again["same look"].mean, "a second survey loses less than training"
        fates = [
            found[f"followed, {fate}, {interval}"]["measured"].mean for fate in ("stays", "drifts", "jumps")
        ]
        assert sum(fates) == pytest.approx(1, abs=0.01)
        assert fates[2] < fates[0] + fates[1], "fewer jump than stay or drift"
        beside = found[f"followed, stays, {interval}"]
        assert beside["same look"].mean > 0.9 > 0.1 > beside["other order"].mean
    stays, change, jumps = (
        [found[f"{what}, {interval}"]["measured"].mean for interval in intervals]
        for what in ("followed, stays", "change of the weight, share of its norm", "followed, jumps")
    )
    assert stays[-1] > 0.5 > stays[0] and change[-1] < change[0], "a training settles"
    assert jumps[-1] < 0.1, "and its basins drift"


def causal_stability(found: Rows) -> None:
    for row in found.values():
        assert abs(row["renamed"].mean) < 0.15, "names that are dealt out have little in common"
        assert row["renamed"].mean < row["other seed"].mean < row["surveyed again"].mean <= 1
        assert row["random edits"].mean < row["other seed"].mean
    drifts = found["rank correlation of drifts"]
    assert drifts["cosines there"].mean > drifts["renamed"].mean + 0.1, "arrangement explains much of it"


LAWS = {
    "composition": composition,
    "locality": locality,
    "portability": portability,
    "training_dynamics": training_dynamics,
    "causal_stability": causal_stability,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_runs_its_laws_hold_and_the_page_says_so(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
):
    update = request.config.getoption("--update-examples")
    found = rows(executed(name, tmp_path, update=update))
    assert all(value.n >= 3 for row in found.values() for value in row.values()), "over three seeds, or more"
    LAWS[name](found)
    check_page(name, found, update=update)


def test_the_questions_are_kept_with_their_outputs_and_as_scripts():
    for name in QUESTIONS:
        notebook = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
        found = rows(printed(notebook))
        LAWS[name](found)
        check_page(name, found, update=False)
        assert (EXAMPLES / f"{name}.el").is_file() and (EXAMPLES / f"{name}.out").is_file()
        assert (EXAMPLES / f"{name}.ipynb").stat().st_size < 160_000


def test_the_readme_of_the_seeds_says_what_their_reports_say():
    from energylang.models.checkpoint import load

    said = (EXAMPLES / "seeds" / "README.md").read_text(encoding="utf-8")
    for seed, path in enumerate(sorted((EXAMPLES / "seeds").glob("small_?.safetensors"))):
        report = load(str(path)).metadata["report"]
        for at in report["layers"]:
            row = f"| {seed} | {report['loss']:.3f} | {at['layer']} | {at['beta']:.2f} | {at['basins_visited']:,} "
            row += f"| {at['basins_random']} | {100 * at['settled']:.0f} % |"
            assert row in said.splitlines()


def test_the_seeds_are_whole_models_of_one_recipe_and_small():
    from energylang.models.checkpoint import load

    files = sorted((EXAMPLES / "seeds").glob("small_?.safetensors"))
    recipes = []
    for seed, path in enumerate(files):
        assert path.stat().st_size < 1_000_000
        model = load(str(path))
        assert model.text is not None and model.text.heldout is not None and model.text.dialogue
        recipe = dict(model.metadata["training"])
        assert recipe.pop("seed") == seed
        recipes.append(recipe)
        for kept in (EXAMPLES / "seeds").glob(f"small_{seed}.step*.safetensors"):
            on_the_way = load(str(kept))
            assert on_the_way.dims == model.dims
            assert on_the_way.metadata["training"]["seed"] == seed
    assert len(recipes) >= 3 and all(recipe == recipes[0] for recipe in recipes)
    assert sum(path.stat().st_size for path in (EXAMPLES / "seeds").glob("*.safetensors")) < 4_500_000
