"""What does a user wait for?  Processor time of whole processes, from the command to its end.

    python benchmarks/processes.py                        all of them, 5 samples each
    python benchmarks/processes.py --only load --samples 9
    python benchmarks/processes.py --plot processes.svg   a picture of the medians beside the table

Samples go round in turn, so that what else the machine does falls on all rows alike. The seconds are those of the
kernel (user and system, of the process and its threads), not the clock's; with one thread unless ``--threads`` says
otherwise. Memory is the largest that a process of the row held.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

CASES: dict[str, tuple[str, ...]] = {
    "version": ("--version",),
    "check": ("check", "examples/make_polite.el"),
    "trivial": ("run", "{trivial}"),
    "load": ("run", "{load}"),
    "benchmark": ("run", "{benchmark}"),
    "scan": ("run", "{scan}"),
    "hello": ("run", "examples/hello_basins.el"),
    "make_polite": ("run", "examples/make_polite.el"),
}
SCRIPTS = {
    "trivial": "1 + 1\n",
    "load": "load tiny\n",
    "benchmark": "load tiny\nbenchmark\n",
    "scan": "load tiny\nsurvey L3\ncausal scan L3\n",
}


@dataclass
class Row:
    """Samples of one command: processor seconds, and the most memory (MiB)."""

    seconds: list[float] = field(default_factory=list)
    memory: float = 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def sample(arguments: list[str], threads: int) -> tuple[float, float]:
    """Processor seconds and the most memory (MiB) of ``el`` with these arguments. Raises ``RuntimeError`` where it
    fails: a command that fails early is fast."""
    command = [sys.executable, "-m", "energylang", *arguments]
    settings = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)) | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"el {' '.join(arguments)} ended with {process.returncode}")
    return _spent(used), used.ru_maxrss / 1024


def _spent(used: resource.struct_rusage) -> float:
    return used.ru_utime + used.ru_stime


def measured(names: list[str], samples: int, threads: int) -> dict[str, Row]:
    """The rows of these cases."""
    rows = {name: Row() for name in names}
    with tempfile.TemporaryDirectory() as folder:
        places = {name: str(Path(folder, f"{name}.el")) for name in SCRIPTS}
        for name, text in SCRIPTS.items():
            Path(places[name]).write_text(text, encoding="utf-8")
        for _ in range(samples):
            for name, row in rows.items():
                seconds, memory = sample([word.format_map(places) for word in CASES[name]], threads)
                row.seconds.append(seconds)
                row.memory = max(row.memory, memory)
    return rows


def table(rows: dict[str, Row]) -> str:
    """As Markdown."""
    lines = ["| command | median s | least | most | memory MiB |", "|---|--:|--:|--:|--:|"]
    for name, row in rows.items():
        words = " ".join(CASES[name]).replace(
            f"{{{name}}}", SCRIPTS.get(name, "").strip().replace("\n", "; ")
        )
        least, most = min(row.seconds), max(row.seconds)
        lines.append(f"| `el {words}` | {row.median:.2f} | {least:.2f} | {most:.2f} | {row.memory:.0f} |")
    return "\n".join(lines)


def plotted(rows: dict[str, Row], path: Path) -> None:
    """A picture of the medians, with all samples as dots (matplotlib, the extra ``plot``)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(rows)
    figure, axes = pyplot.subplots(figsize=(7, 0.5 + 0.4 * len(names)), layout="constrained")
    axes.barh(names, [rows[name].median for name in names], color="#3b6fb6")
    for place, name in enumerate(names):
        axes.plot(rows[name].seconds, [place] * len(rows[name].seconds), "k.", markersize=4)
    axes.set_xscale("log")
    axes.invert_yaxis()
    axes.set_xlabel("processor seconds of the whole process")
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=5, help="of each command (5)")
    parser.add_argument("--threads", type=int, default=1, help="of each process (1)")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    parser.add_argument("--plot", type=Path, help="where a picture is written (.svg, .png)")
    options = parser.parse_args()
    if options.samples < 1 or options.threads < 1:
        parser.error("samples and threads are at least 1")
    rows = measured(options.only, options.samples, options.threads)
    print(f"Processor seconds, {options.samples} samples each, {options.threads} thread(s)\n")
    print(table(rows))
    if options.plot is not None:
        plotted(rows, options.plot)


if __name__ == "__main__":
    main()
