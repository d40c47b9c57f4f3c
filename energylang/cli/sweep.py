"""``el sweep``: a script over all combinations of values, on as many processes and machines as there are.

    el sweep script.el --set seed=0..4 --set strength=0.1,0.2 -o DIR --jobs 4

Exit codes: 0 all cells gave their rows, 1 some failed (the table says which, and why), 2 the script does not check or
the command line is wrong, 130 interrupted. Cells that are finished are not run again: the same command goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energylang.diagnostics import Diagnostic
from energylang.diagnostics.visible import as_json
from energylang.errors import ElError

from .shared import FAILED, OK, WRONG, complain, read_source, report

if TYPE_CHECKING:
    from energylang.results import Table
    from energylang.sweeps.cells import Done, Folder
    from energylang.sweeps.plan import Plan
    from energylang.sweeps.tables import Summary
    from energylang.sweeps.worker import Task

CELLS, TABLE, PICTURE = "cells.csv", "table.csv", "table.svg"
MAX_JOBS = 1024
SHOWN = 5  # failures that are reported in full

EPILOG = """\
A parameter is a `let` at the outermost level of the script; what a cell gives is what the script says with `row a=…`,
or the value that it ends with. DIR gets cells/ (a result and a record for every cell), cells.csv (all rows), table.csv
(mean and standard deviation over seeds, with n) and table.svg.

  el sweep strength.el --set seed=0..4 --set s=0.1,0.2,0.5 -o out/strength --jobs 2
  el sweep strength.el --set seed=0..99 -o out/strength --on tcp://10.0.0.1:8786
  el sweep strength.el --set seed=0..99 -o out/strength --on slurm --jobs 20
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser], help: str = "") -> None:
    parser = commands.add_parser(
        "sweep", help=help, description="Run a script for every combination of values, and make a table of its rows.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("script", help="a .el file")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUES", dest="settings",
        help="values for a `let` of the script: 0..4, or 0.1,0.2, or L0..L3; as often as there are parameters",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="created if missing")
    parser.add_argument(
        "--jobs", type=_jobs, default=1, metavar="N", help="processes, or jobs of a cluster (default: 1)"
    )
    parser.add_argument(
        "--on", metavar="WHERE", help="tcp://ADDRESS of a Dask scheduler, or slurm (default: this machine)"
    )
    parser.add_argument(
        "--part", type=_part, metavar="K/N", help="run this part of the cells and make no table"
    )
    parser.add_argument(
        "--over", action="append", metavar="NAME", help="average over this parameter (default: seed)"
    )
    parser.add_argument(
        "--by",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a column of the rows that is a condition, too",
    )
    parser.add_argument("--x", metavar="NAME", help="the condition across the picture")
    parser.add_argument("--y", metavar="NAME", help="what the picture shows")
    parser.add_argument(
        "--again",
        action="store_true",
        help="run cells anew that were finished with another version of the script",
    )
    parser.add_argument("--json", action="store_true", help="print the tables as JSON")
    parser.set_defaults(run=sweep)


def sweep(chosen: argparse.Namespace) -> int:
    """Run what is not finished, and make the tables; the exit code."""
    from energylang.sweeps.cells import Folder
    from energylang.sweeps.plan import Unchecked, planned

    problem = _clash(chosen)
    source = Diagnostic("EL209", problem, None) if problem else read_source(chosen.script)
    if isinstance(source, Diagnostic):
        report([source])
        return WRONG
    try:
        plan = planned(source, chosen.settings)
    except Unchecked as error:
        if error.setting:
            print(f"with --set {error.setting}:", file=sys.stderr)
        report(error.diagnostics)
        return WRONG
    except ElError as error:
        complain(error.code, error.message, error.hint)
        return WRONG
    unknown = next((name for name in chosen.over or () if name not in plan.parameters), None)
    if unknown is not None:
        names = ", ".join(plan.parameters) or "nothing"
        complain("EL207", f"--over {unknown} is not among what is set", f"there is {names}")
        return WRONG
    folder = Folder(chosen.output)
    folder.prepare((CELLS, TABLE, PICTURE))
    strangers = folder.strangers(plan)
    if strangers and not chosen.again:
        complain(
            "EL504", f"{chosen.output} holds {len(strangers)} finished cells of another version of {chosen.script}",
            "name another folder with -o, or run them anew with --again",
        )  # fmt: skip
        return WRONG
    return _run(chosen, plan, folder)


def _clash(chosen: argparse.Namespace) -> str:
    if chosen.on is not None and chosen.on != "slurm" and "://" not in chosen.on:
        return f"--on {chosen.on} is neither slurm nor an address such as tcp://127.0.0.1:8786"
    if chosen.part is not None and chosen.on is not None:
        return "--part belongs to one machine: leave --on out"
    if chosen.script == "-":
        return "a sweep runs a script from a file, not from standard input"
    return ""


def _run(chosen: argparse.Namespace, plan: Plan, folder: Folder) -> int:
    from energylang.sweeps.slurm import array_script, can_submit, part_of, submitted
    from energylang.sweeps.spread import here, in_processes, on_scheduler, one_thread
    from energylang.sweeps.worker import Task

    base = None if plan.script.base is None else str(plan.script.base)
    tasks = [Task(cell, plan.script.name, base) for cell in plan.cells if folder.finished(cell) is None]
    if chosen.part is not None:
        every = [Task(cell, plan.script.name, base) for cell in plan.cells]
        mine = {task.cell.name for task in part_of(every, *chosen.part)}
        tasks = [task for task in tasks if task.cell.name in mine]
    if chosen.on == "slurm" and tasks and not can_submit():
        place, text = array_script(_command(chosen), chosen.output, min(chosen.jobs, len(tasks)), _write)
        print(f"{place}: submit it with  sbatch {place}\n\n{text}", end="")
        return OK
    one_thread()
    if chosen.on == "slurm":
        for said in submitted(tasks, folder, chosen.jobs):
            print(said, file=sys.stderr, flush=True)
    elif tasks:
        if chosen.on is not None:
            found = on_scheduler(tasks, chosen.on)
        else:
            found = in_processes(tasks, chosen.jobs) if chosen.jobs > 1 and len(tasks) > 1 else here(tasks)
        _keep(folder, tasks, found, len(plan.cells))
    if chosen.part is not None:
        failed = [task for task in tasks if folder.finished(task.cell) is None]
        print(f"{len(tasks) - len(failed)} cells finished" + (f", {len(failed)} failed" if failed else ""))
        return FAILED if failed else OK
    return _tables(chosen, plan, folder)


def _keep(folder: Folder, tasks: Sequence[Task], found: Iterator[Done], total: int) -> None:
    """Write down what comes, and say how far it is."""
    from energylang.render.terminal import Screen

    cells = {task.cell.name: task.cell for task in tasks}
    before, failed = total - len(tasks), 0
    if before:
        print(f"{before} of {total} cells are finished already", file=sys.stderr, flush=True)
    with Screen(quiet=not sys.stdout.isatty()) as screen:
        screen.wait_for("sweep")
        for number, done in enumerate(found, 1):
            folder.keep(cells[done.name], done)
            failed += bool(done.error)
            screen.count(number, len(tasks), f"cells, {failed} failed" if failed else "cells")


def _tables(chosen: argparse.Namespace, plan: Plan, folder: Folder) -> int:
    """The tables and the picture of all that is finished, or has failed."""
    from energylang.sweeps.tables import all_rows, summarised

    found = [(cell, folder.found(cell)) for cell in plan.cells]
    there = [(cell, data) for cell, data in found if data is not None and data["identity"] == cell.identity]
    rows = all_rows((cell.values, data) for cell, data in there)
    summary = summarised(rows, plan.parameters, chosen.over or ["seed"], chosen.by)
    _write(folder.path / CELLS, _csv(rows))
    _write(folder.path / TABLE, _csv(summary.table))
    drawn = _picture(chosen, summary, folder)
    failed = [(cell, data) for cell, data in there if data["error"]]
    missing = len(plan.cells) - len(there)
    if chosen.json:
        print(as_json({
            "cells": rows.to_dict(), "table": summary.table.to_dict(), "failed": len(failed), "missing": missing,
            "folder": str(folder.path),
        }, indent=2))  # fmt: skip
    else:
        _show(summary, [folder.path / name for name in (TABLE, CELLS, *([PICTURE] if drawn else []))])
    for _, data in failed[:SHOWN]:
        values = ", ".join(f"{name} = {value}" for name, value in data["values"].items()) or "the only one"
        why = data["report"].rstrip() or f"error[{data['code']}]: {data['error']}"
        print(f"\ncell {values}:\n{why}", file=sys.stderr)
    if failed or missing:
        said = [f"{len(failed)} of {len(plan.cells)} cells failed"] if failed else []
        said += [f"{missing} of {len(plan.cells)} cells are not finished"] if missing else []
        complain("EL521", " and ".join(said), "the same command runs those again, and no others")
        return FAILED
    return OK


def _show(summary: Summary, places: Sequence[Path]) -> None:
    from energylang.render.terminal import Screen

    Screen().display(summary.shown)
    print("  ".join(map(str, places)))


def _picture(chosen: argparse.Namespace, summary: Summary, folder: Folder) -> bool:
    """Draw the picture, where there is something to draw and matplotlib to draw it with."""
    from energylang.render.charts import image
    from energylang.sweeps.tables import picture

    plot = picture(summary, chosen.x, chosen.y)
    if plot is None:
        return False
    try:
        _write(folder.path / PICTURE, image(plot, ".svg"))
    except ImportError:
        print("no picture: pip install 'energylang[plot]'", file=sys.stderr)
        return False
    return True


def _csv(table: Table) -> bytes:
    from energylang.files.tables import encoded

    return encoded(table, Path("x.csv"))


def _write(place: Path, content: bytes) -> None:
    from energylang.files.storage import write_atomic

    write_atomic(place, content)


def _command(chosen: argparse.Namespace) -> list[str]:
    """The command line again, as it goes on where this one ended."""
    words = ["el", "sweep", chosen.script]
    for name, values in (("--set", chosen.settings), ("--over", chosen.over or []), ("--by", chosen.by)):
        words += [word for value in values for word in (name, value)]
    words += ["-o", str(chosen.output)]
    for option in ("x", "y"):
        value: Any = getattr(chosen, option)
        words += [] if value is None else [f"--{option}", value]
    return words


# ------------------------------------------------------------------------------------- argument types


def _jobs(text: str) -> int:
    if not text.isdecimal() or not 1 <= len(text) <= 4 or not 1 <= int(text) <= MAX_JOBS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of jobs from 1 to {MAX_JOBS}")
    return int(text)


def _part(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and len(parts) <= 6 and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a part such as 3/20")
    return int(part), int(parts)
