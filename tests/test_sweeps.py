"""``el sweep``: cells that are run once, wherever and however often the work is interrupted, and tables of them."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from energylang.cli import main
from energylang.diagnostics.source import Source
from energylang.sweeps import worker
from energylang.sweeps.cells import Done, Folder
from energylang.sweeps.plan import Cell, Plan, planned
from energylang.sweeps.tables import all_rows, summarised
from energylang.sweeps.worker import Task

SCRIPT = """\
let seed = 0
let model = "planted:32x2"
let strength = 0.1

load model
quiet:
    survey L0 inits=60
    let e = inject L0 seed seed strength=strength --force --reason "a test"
    let v = verify L0 seed seed
print "cosine {v.cosine:.3f}"
row kept=e.applied cosine=v.cosine basin=v.basin
"""
SETTINGS = ("seed=0..4", "strength=0.05,0.1,0.4", "model=planted:32x2,planted:24x2,planted:32x3,planted:40x3")
TABLES = ("table.csv", "cells.csv", "table.svg")


def command(script: Path, folder: Path, *more: str, settings: tuple[str, ...] = SETTINGS) -> list[str]:
    return [
        "sweep",
        str(script),
        *(word for item in settings for word in ("--set", item)),
        "-o",
        str(folder),
        *more,
    ]


def cells_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "cells").glob("*.json")}


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "strength.el"
    path.write_text(SCRIPT)
    return path


# ------------------------------------------------------------------------------------------------ plan


def plan_of(text: str, *settings: str) -> Plan:
    return planned(Source(text, "x.el"), settings)


def test_cells_are_the_script_with_other_values() -> None:
    text = 'let a = 1\nlet b = (0.5)  # a share\nlet c = "x"\na * b\n'
    plan = plan_of(text, "a=1..2", "b=1,2.5,10%", 'c=p,"q, {r}"')
    assert [tuple(cell.values.values()) for cell in plan.cells[:4]] == [
        (1, 1.0, "p"), (1, 1.0, "q, {r}"), (1, 2.5, "p"), (1, 2.5, "q, {r}"),
    ]  # fmt: skip
    assert plan.cells[1].text == 'let a = 1\nlet b = (1.0)  # a share\nlet c = "q, \\{r\\}"\na * b\n'
    assert len({cell.name for cell in plan.cells}) == len(plan.cells) == 12
    assert plan.cells[0].name.startswith("a=1,b=1.0,c=p-")


def test_layers_lists_and_concepts_are_values() -> None:
    text = 'load "random:16x4"\nlet l = L0\nlet ls = [L0]\nlet on = true\n{l: l, n: len(ls), on: on}\n'
    plan = plan_of(text, "l=L1..L3", "ls=[L0, L1],[L2]", "on=true,false")
    assert [cell.values["l"] for cell in plan.cells[::4]] == ["L1", "L2", "L3"]
    assert "let ls = [L2]" in plan.cells[2].text and "let on = false" in plan.cells[3].text


def test_what_a_cell_runs_is_part_of_its_identity(tmp_path: Path) -> None:
    (tmp_path / "mine.el").write_text("let scale = 2\n")
    text = "import mine\nlet a = 1\na * scale\n"
    before = planned(Source(text, "x.el", tmp_path), ["a=1,2"])
    assert len({cell.identity for cell in before.cells}) == 2
    (tmp_path / "mine.el").write_text("let scale = 3\n")
    after = planned(Source(text, "x.el", tmp_path), ["a=1,2"])
    assert [cell.name for cell in before.cells] == [cell.name for cell in after.cells]
    assert not {cell.identity for cell in before.cells} & {cell.identity for cell in after.cells}


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("sede=0..4", "did you mean `seed`?"),
        ("seed", "names no values"),
        ("seed=", "names no values"),
        ("seed=1,1", "names a value twice"),
        ("seed=x", "no value that is written out"),
        ("seed=(", "no list of values"),
        ("seed=0..9999999", "no value that is written out"),
        ('seed="a"', "`seed` is Int in"),
        ("strength=-1", "strength=-1.0:"),
        ("model=planted:0x0", "model="),
        ("model=nowhere", "there is no model"),
    ],
)
def test_a_setting_that_does_not_fit_is_said_before_anything_runs(
    setting: str, said: str, script: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(script, tmp_path / "out", settings=(setting,))) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_script_without_a_result_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.el"
    path.write_text("let a = 1\nprint a\n")
    assert main(command(path, tmp_path / "out", settings=("a=1,2",))) == 2
    assert "EL217" in capsys.readouterr().err


# -------------------------------------------------------------------------------------------- one process


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sweep, run by one process without any interruption."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "strength.el").write_text(SCRIPT)
    assert main(command(folder / "strength.el", folder / "out")) == 0
    return folder


def test_the_table_is_what_the_scripts_give_one_by_one(whole: Path) -> None:
    from energylang.session import Session

    lines = (whole / "out" / "cells.csv").read_text().splitlines()
    assert lines[0] == "seed,strength,model,kept,cosine,basin" and len(lines) == 61
    own = Session()
    own.run(
        SCRIPT.replace("let seed = 0", "let seed = 3").replace("let strength = 0.1", "let strength = 0.4")
    )
    (line,) = (line for line in lines if line.startswith("3,0.4,planted:32x2,"))
    assert line.split(",")[3:] == ["true", repr(own.variables["v"].cosine), str(own.variables["v"].basin)]


def test_means_and_spreads_are_over_seeds(whole: Path) -> None:
    import csv
    from statistics import mean, stdev

    rows = list(csv.DictReader((whole / "out" / "cells.csv").open()))
    table = list(csv.DictReader((whole / "out" / "table.csv").open()))
    assert len(table) == 12 and {row["n"] for row in table} == {"5"}
    for row in table:
        cosines = [
            float(r["cosine"]) for r in rows if (r["strength"], r["model"]) == (row["strength"], row["model"])
        ]
        assert len(set(cosines)) > 1
        assert float(row["cosine_mean"]) == pytest.approx(mean(cosines), rel=1e-12)
        assert float(row["cosine_std"]) == pytest.approx(stdev(cosines), rel=1e-12)


def test_every_cell_is_a_record(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = sorted((whole / "out" / "cells").glob("*.record.json"))
    assert len(records) == 60
    assert main(["replay", str(records[7])]) == 0
    assert "identical" in capsys.readouterr().out


def test_finished_cells_are_not_run_again_and_new_ones_are(
    whole: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def noted(task: Task) -> Done:
        ran.append(task.cell.name)
        return worker.run(task)

    monkeypatch.setattr("energylang.sweeps.spread.run", noted)
    before = cells_of(whole / "out")
    assert main(command(whole / "strength.el", whole / "out")) == 0 and ran == []
    settings = ("seed=0..5", *SETTINGS[1:])
    damaged = sorted((whole / "out" / "cells").glob("seed=1*[!d].json"))[0]
    damaged.write_bytes(damaged.read_bytes().replace(b"cosine", b"cosimo"))
    assert main(command(whole / "strength.el", whole / "out", settings=settings)) == 0
    assert len(ran) == 13 and {name[:6] for name in ran} == {"seed=1", "seed=5"}
    after = cells_of(whole / "out")
    assert {name: after[name] for name in before} == before
    for name in set(after) - set(before):
        (whole / "out" / "cells" / name).unlink()
    assert (
        main(command(whole / "strength.el", whole / "out")) == 0
    )  # the table of sixty again, for the other tests


def test_cells_of_another_script_are_not_mixed_in(
    script: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("seed=0..1",)
    assert main(command(script, tmp_path / "out", settings=few)) == 0
    before = cells_of(tmp_path / "out")
    script.write_text(SCRIPT.replace("inits=60", "inits=61"))
    assert main(command(script, tmp_path / "out", settings=few)) == 2
    assert "another version" in capsys.readouterr().err and cells_of(tmp_path / "out") == before
    assert main(command(script, tmp_path / "out", "--again", settings=few)) == 0
    assert cells_of(tmp_path / "out").keys() == before.keys() and cells_of(tmp_path / "out") != before


def test_cells_of_a_later_format_are_refused(
    script: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from energylang.files.storage import json_bytes, sealed

    call = command(script, tmp_path / "out", settings=("seed=0",))
    assert main(call) == 0
    (name,) = (name for name in cells_of(tmp_path / "out") if not name.endswith(".record.json"))
    place = tmp_path / "out" / "cells" / name
    later = json_bytes(sealed({"format": "energylang cell", "version": 2}))
    place.write_bytes(later)
    assert main(call) == 1 and place.read_bytes() == later
    assert "another version of this format: 2" in capsys.readouterr().err


FAILING = """\
let seed = 0
let x = 1
load planted:32x2
let y = 1 / (seed - x)
write [{y: y}] "out.csv"
write [{y: y}] "deep/in.csv"
row y=y z="of {seed}"
"""


def test_cells_that_fail_are_in_the_table_and_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.el"
    path.write_text(FAILING)
    call = command(path, tmp_path / "out", settings=("seed=0..2", "x=1,3"))
    assert main(call) == 1
    told = capsys.readouterr()
    assert (
        "seed = 1, x = 1" in told.err and "division by zero" in told.err and "1 of 6 cells failed" in told.err
    )
    lines = (tmp_path / "out" / "cells.csv").read_text().splitlines()
    assert lines[0] == "seed,x,y,z,error" and lines[3] == "1,1,,,division by zero" and len(lines) == 7
    finished = cells_of(tmp_path / "out")
    assert main(call) == 1
    assert cells_of(tmp_path / "out") == finished
    assert "5 of 6 cells are finished already" in capsys.readouterr().err


def test_files_that_cells_write_are_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "x.el"
    path.write_text(FAILING)
    assert main(command(path, tmp_path / "out", settings=("seed=2,3",))) == 0
    kept = sorted(
        item.relative_to(tmp_path / "out" / "files") for item in (tmp_path / "out" / "files").rglob("*.csv")
    )
    assert [item.parts[0][:6] for item in kept] == ["seed=2", "seed=2", "seed=3", "seed=3"]
    assert [item.as_posix().partition("/")[2] for item in kept] == ["deep/in.csv", "out.csv"] * 2
    assert (tmp_path / "out" / "files" / kept[1]).read_text() == "y\n1.0\n"
    assert not (tmp_path / "out.csv").exists() and not (tmp_path / "deep").exists()


def test_a_model_is_loaded_once_and_comes_back_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from energylang.models import checkpoint

    loads: list[str] = []
    real = checkpoint.load

    def counted(spec: str, **more: object) -> object:
        loads.append(spec)
        return real(spec, **more)

    monkeypatch.setattr(checkpoint, "load", counted)
    path = tmp_path / "x.el"
    path.write_text(
        "let seed = 0\nload random:24x2\nset beta 3.0\n"
        'inject L0 seed seed strength=0.4 --force --reason "a test"\napply layers\n(status).live_hash\n'
    )
    assert main(command(path, tmp_path / "out", settings=("seed=0..3",))) == 0
    assert loads == ["random:24x2"]
    hashes = [
        line.rpartition(",")[2] for line in (tmp_path / "out" / "cells.csv").read_text().splitlines()[1:]
    ]
    worker._models.held.clear()
    assert main(command(path, tmp_path / "alone", settings=("seed=3",))) == 0
    assert len(loads) == 2 and len(set(hashes)) == 4
    assert (tmp_path / "alone" / "cells.csv").read_text().splitlines()[1].endswith(hashes[3])


def test_a_model_that_did_not_come_back_as_it_was_is_loaded_again() -> None:
    models = worker._Models()
    model = models.lend("random:16")
    key, hash = models.lent[id(model)]
    model.put(model.weight_key(0), model.weight(0) * 2)
    models.held = {key: (model, hash)}
    assert models.lend("random:16") is not model


def test_groups_of_texts_and_failures_count_where_they_belong() -> None:
    rows = all_rows([
        ({"seed": 0, "s": 1}, {"error": "no", "rows": []}),
        ({"seed": 0, "s": 2}, {"error": "", "rows": [{"l": "L0", "x": 1}, {"l": "L1", "x": 2}]}),
        ({"seed": 1, "s": 1}, {"error": "", "rows": [{"l": "L0", "x": 3.0}]}),
        ({"seed": 1, "s": 2}, {"error": "", "rows": [{"l": "L0", "x": 5}, {"l": "L1", "x": None}]}),
        ({"seed": 1, "s": 3}, {"error": "no", "rows": []}),
    ])  # fmt: skip
    found = summarised(rows, ("seed", "s"), ["seed"])
    assert found.table.columns == ("s", "l", "n", "x_mean", "x_std", "failed")
    assert found.table.rows == (
        (1, "L0", 1, 3.0, None, 1),
        (2, "L0", 2, 3.0, 8**0.5, 0),
        (2, "L1", 2, 2.0, None, 0),
        (3, None, 0, None, None, 1),
    )
    assert found.shown.rows[1] == (2, "L0", 2, "3 ± 2.8", 0)


def test_without_anything_to_average_there_is_a_table_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "x.el"
    path.write_text('let name = "a"\nrow shout=name.upper()\n')
    assert main(command(path, tmp_path / "out", settings=("name=a,b",))) == 0
    assert (tmp_path / "out" / "table.csv").read_text() == "name,shout,n\na,A,1\nb,B,1\n"
    assert not (tmp_path / "out" / "table.svg").exists()


# -------------------------------------------------------------------------- a cluster, as far as one is here


def test_the_array_script_runs_every_cell_once(
    script: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("energylang.sweeps.slurm.which", lambda name: None)
    monkeypatch.chdir(tmp_path)
    settings = ("seed=0..4",)
    assert main(command(script, Path("out"), "--on", "slurm", "--jobs", "2", settings=settings)) == 0
    told = capsys.readouterr().out
    text = (tmp_path / "out" / "sweep.sbatch").read_text()
    assert text in told and "#SBATCH --array=1-2" in text
    last = text.splitlines()[-1].removeprefix("exec el ")
    for number in (1, 2):
        words = last.replace('"$SLURM_ARRAY_TASK_ID/2"', f"{number}/2").split()
        assert main(words) == 0
    assert sorted(word for word in capsys.readouterr().out.split() if word.isdecimal()) == ["2", "3"]
    assert main(command(script, Path("out"), settings=settings)) == 0
    assert "5 of 5" not in capsys.readouterr().err
    assert len((tmp_path / "out" / "cells.csv").read_text().splitlines()) == 6


@pytest.mark.slow
def test_jobs_are_submitted_through_submitit(script: Path, tmp_path: Path) -> None:
    from energylang.sweeps.slurm import submitted

    plan = planned(Source(SCRIPT, str(script), tmp_path), ["seed=0..2"])
    folder = Folder(tmp_path / "out")
    folder.prepare(())
    tasks = [Task(cell, str(script), str(tmp_path)) for cell in plan.cells]
    said = list(submitted(tasks, folder, 2, cluster="local"))
    assert len(said) == 2 and all("is over" in line for line in said)
    assert all(folder.finished(cell) for cell in plan.cells)


# -------------------------------------------------------------------------------------- many processes


def start(*words: str, log: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as output:
        return subprocess.Popen([sys.executable, "-m", *words], stdout=output, stderr=output, env=environment)


def wait_for(there: Callable[[], object], process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    for _ in range(round(seconds / 0.05)):
        if there():
            return
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.05)
    raise AssertionError("it takes too long")


def finished_in(folder: Path) -> int:
    return sum(not path.name.endswith(".record.json") for path in (folder / "cells").glob("*.json"))


def children(pid: int) -> list[int]:
    """The processes that joblib has started for cells."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            line = status.read_text()
            called = (status.parent / "cmdline").read_text()
        except OSError:
            continue
        if int(line.rpartition(")")[2].split()[1]) == pid and "LokyProcess" in called:
            found.append(int(status.parent.name))
    return found


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def same(folder: Path, whole: Path) -> bool:
    assert cells_of(folder) == cells_of(whole / "out")
    return all((folder / name).read_bytes() == (whole / "out" / name).read_bytes() for name in TABLES)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes as Linux shows them")
def test_a_worker_is_killed_and_then_the_sweep_itself(whole: Path, tmp_path: Path) -> None:
    """Two processes; one is killed, then their parent; the same command goes on. All bytes are those of one process."""
    folder, script = tmp_path / "out", whole / "strength.el"
    call = ["energylang", *command(script, folder, "--jobs", "2")]
    first = start(*call, log=tmp_path / "first.log")
    wait_for(lambda: finished_in(folder) >= 8, first)
    os.kill(children(first.pid)[0], signal.SIGKILL)
    wait_for(lambda: finished_in(folder) >= 24, first)
    orphans = children(first.pid)
    first.kill()
    first.wait()
    before = cells_of(folder)
    assert 24 <= finished_in(folder) < 60 and orphans
    second = start(*call, log=tmp_path / "second.log")
    assert second.wait(120) == 0, (tmp_path / "second.log").read_text()
    after = cells_of(folder)
    assert {name: after[name] for name in before} == before
    assert same(folder, whole)
    assert not any(map(alive, orphans)), "processes outlive the sweep that started them"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A Dask scheduler with two workers on this machine: its address, and the workers."""
    pytest.importorskip("distributed")
    place = tmp_path / "scheduler.json"
    common = ("--scheduler-file", str(place), "--host", "127.0.0.1", "--no-dashboard")
    scheduler = start(
        "distributed.cli.dask_scheduler", "--port", "0", *common, log=tmp_path / "scheduler.log"
    )
    workers = [
        start(
            "distributed.cli.dask_worker",
            *common,
            "--nthreads",
            "1",
            "--no-nanny",
            log=tmp_path / f"worker{n}.log",
        )
        for n in range(2)
    ]
    try:
        wait_for(lambda: place.exists() and place.stat().st_size, scheduler)
        yield json.loads(place.read_text())["address"], workers
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


@pytest.mark.slow
def test_a_dask_worker_is_killed(
    whole: Path, tmp_path: Path, cluster: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    """A scheduler and two workers; one is killed half-way, the other takes its cells."""
    address, workers = cluster
    folder = tmp_path / "out"
    call = ["energylang", *command(whole / "strength.el", folder, "--on", address)]
    sweep = start(*call, log=tmp_path / "sweep.log")
    wait_for(lambda: finished_in(folder) >= 20, sweep)
    workers[0].kill()
    assert sweep.wait(120) == 0, (tmp_path / "sweep.log").read_text()
    assert same(folder, whole)


def test_what_processes_give_comes_in_order() -> None:
    from energylang.sweeps.spread import in_order

    items = [9.0, 4.0, 1.0, 0.0]
    assert list(in_order(math.sqrt, items, 2)) == list(in_order(math.sqrt, items, 1)) == [3.0, 2.0, 1.0, 0.0]
    found = in_order(math.sqrt, [4.0, -1.0, 9.0], 2)
    with pytest.raises(ValueError, match=r"math domain|nonnegative"):
        list(found)


def test_where_no_scheduler_listens_that_is_said(
    script: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("distributed")
    from energylang.sweeps import spread

    spread.PATIENCE = 0.5
    assert main(command(script, tmp_path / "out", "--on", "tcp://127.0.0.1:9", settings=("seed=0,1",))) == 1
    assert "there is no Dask scheduler at tcp://127.0.0.1:9" in capsys.readouterr().err


def test_a_worker_of_another_version_does_not_calculate() -> None:
    cell = Cell(0, "x", {}, "1\n", "")
    assert "this worker has energylang" in worker.run(Task(cell, "x.el", None, "0.0.0")).error


# ------------------------------------------------------------------------------------------------ docs


def test_the_commands_of_the_page(in_tmp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """docs/howto/sweeps.md: the second sweep runs the cells that are new, and its table is the one that is shown."""
    page = (Path(__file__).parents[1] / "docs" / "howto" / "sweeps.md").read_text(encoding="utf-8")
    shown = re.search(r'^```el title="strength.el"\n(.*?)^```', page, flags=re.DOTALL | re.MULTILINE)
    commands = re.search(r"^```sh\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    table = re.search(r"^```text\n(  strength .*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    assert shown and commands and table
    Path("strength.el").write_text(shown[1], encoding="utf-8")
    for line in commands[1].splitlines():
        capsys.readouterr()
        assert main(shlex.split(line.removeprefix("el ").replace("--jobs 2", ""))) == 0
    told = capsys.readouterr()
    assert "6 of 10 cells are finished already" in told.err
    assert told.out.startswith(table[1].rstrip() + "\n")
