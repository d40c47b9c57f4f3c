"""A sweep as jobs of a Slurm cluster.

Where submitit is installed, it submits them and waits. Elsewhere the array script is written, for ``sbatch``. Either
way each job runs a part of the cells (``--part 3/20``) and writes them into the folder, which all machines must see;
the command without ``--part`` makes the tables when they are done.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

from .cells import Folder
from .spread import one_thread
from .worker import Task, run

MINUTES = 24 * 60


def can_submit() -> bool:
    """Is there a cluster, and the library that speaks to it?"""
    return find_spec("submitit") is not None and which("sbatch") is not None


def part_of(tasks: Sequence[Task], part: int, parts: int) -> list[Task]:
    """Part ``part`` (from 1) of ``parts``: neighbours in the table go to different ones."""
    return [task for place, task in enumerate(tasks) if place % parts == part - 1]


def run_part(tasks: Sequence[Task], folder: Path) -> int:
    """Run cells and write them down as they finish; how many there were."""
    one_thread()
    for task in tasks:
        Folder(folder).keep(task.cell, run(task))
    return len(tasks)


def submitted(tasks: Sequence[Task], folder: Folder, jobs: int, cluster: str | None = None) -> Iterator[str]:
    """Submit the cells in ``jobs`` jobs and wait for them; says when one of them is over. A job that is lost leaves its
    cells unfinished. ``cluster`` is submitit's word for where (``None``: Slurm)."""
    import submitit

    executor: Any = submitit.AutoExecutor(folder=folder.path / "slurm" / "%j", cluster=cluster or "slurm")
    executor.update_parameters(name="el-sweep", timeout_min=MINUTES, cpus_per_task=1)
    parts = [part for number in range(1, jobs + 1) if (part := part_of(tasks, number, jobs))]
    with executor.batch():
        waiting = [executor.submit(run_part, part, folder.path.resolve()) for part in parts]
    for job in submitit.helpers.as_completed(waiting):
        error = job.exception()
        yield (
            f"job {job.job_id} is over"
            if error is None
            else f"job {job.job_id} was lost: {_last_line(error)}"
        )


def _last_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def array_script(
    command: Sequence[str], folder: Path, jobs: int, write: Callable[[Path, bytes], None]
) -> tuple[Path, str]:
    """Write the script for ``sbatch``; its place and text. ``command`` is the sweep's own, without ``--on``."""
    place = folder / "sweep.sbatch"
    whole = shlex.join(command)
    text = f"""#!/bin/sh
#SBATCH --job-name=el-sweep
#SBATCH --array=1-{jobs}
#SBATCH --cpus-per-task=1
#SBATCH --time=24:00:00
#SBATCH --output={folder}/slurm-%A_%a.out
# Submit it in the folder where it was written:   sbatch {place}
# When all jobs are over, make the tables with:   {whole}
exec {whole} --part "$SLURM_ARRAY_TASK_ID/{jobs}"
"""
    write(place, text.encode())
    return place, text
