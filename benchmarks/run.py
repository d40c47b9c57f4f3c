"""How fast is the engine, how good are its edits, and do causal scans find what is there?

    python benchmarks/run.py            writes docs/benchmarks.md and docs/benchmarks.svg
    python benchmarks/run.py --quick    fewer rounds, prints only

Everything runs in one process with one thread. Where the published package is installed (`pip install qriton-hlm`,
the extra ``bench``; BSL licence: its public methods are called, nothing else) its calls are interleaved with ours on
the same weights; the tables give medians and their ratio. On a machine with CUDA the survey is timed there as well.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
from pathlib import Path

import quality
import speed
import torch
from plot import bars

SURVEY = ("d", "basins ours / theirs (attractors)", "ours", "theirs", "ratio", "products")
ROOT = Path(__file__).resolve().parents[1]


def machine() -> str:
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{model}, {cuda}; {platform.system()}, Python {platform.python_version()}, PyTorch {torch.__version__}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=9, help="measurements of a survey (9)")
    parser.add_argument(
        "--trials", type=int, default=20, help="edits of the quality table, per dimension (20)"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    before = os.getloadavg()[0]
    rounds = 3 if options.quick else options.rounds
    dimensions = (64, 128, 256) if options.quick else (64, 128, 256, 512, 1024)
    survey_rows, ratios = speed.surveys(rounds, dimensions, speed.planted)
    full_rows, full = speed.surveys(rounds, dimensions[2:], speed.full_rank)
    edit_rows, more = speed.edits(3 if options.quick else max(3, rounds - 2))
    causal_rows, scans = speed.causal_scans(
        1 if options.quick else max(1, rounds // 3), (20, 40) if options.quick else (20, 40, 100, 200)
    )
    parts = [
        "# Benchmarks\n",
        "Written by `python benchmarks/run.py`; one thread, one process, interleaved with the published package "
        "(qriton-hlm) where that has the operation, medians. Load of the machine moves both columns.\n",
        f"Machine: {machine()}. Load average before {before:.1f}, after {os.getloadavg()[0]:.1f}: times are those of a "
        "busy machine where it exceeds 1.\n",
        "![ratios](benchmarks.svg)\n",
        "## Surveys (200 random starts)\n",
        "In brackets: how many of the states reported as basins are attractors (polished, they stay within cosine 0.95 "
        "and attract; each counted once). The rest are states that pass slowly.\n",
        "Planted (Hebbian) landscapes of d/32 patterns. Their weight is of low rank, which the engine finds, checks "
        "and uses (d ≥ 128): it makes a fraction of the operations. Products: all matrix products that were made "
        "(settling, polishing, stability), in operations per second, as a share of the rate of one (200, d) × (d, d) "
        "product.\n",
        table(SURVEY, survey_rows),
        "The same with symmetric noise of a tenth of the weight's norm. Such a weight is of full rank, as those of "
        "trained layers are, and every product is made in full.\n",
        table(SURVEY, full_rows),
        "## Edits (d = 256, 20 planted patterns)\n",
        table(("operation", "ours", "theirs", "ratio"), edit_rows),
        "## Causal scans (d = 256)\n",
        "Ours includes 40 random edits of equal norm for every basin, 20 plain and 20 aimed ones (a basin and its "
        "mirror share theirs); theirs has no control, and surveys itself.\n",
        table(("basins ours / theirs", "ours", "theirs", "ratio (per pair)"), causal_rows),
        "## Edit quality on planted landscapes\n",
        quality.EXPLAINED + "\n",
        table(quality.COLUMNS, quality.edits(6 if options.quick else options.trials)),
        "## Wider basins\n",
        quality.WIDER_EXPLAINED + "\n",
        table(quality.WIDER_COLUMNS, quality.wider(2 if options.quick else max(1, options.trials // 3))),
        "## Causal structure: precision and recall\n",
        quality.CAUSAL_EXPLAINED + "\n",
        table(quality.CAUSAL_COLUMNS, quality.causal(2 if options.quick else 8)),
        "## Memory\n",
        table(("", ""), [*speed.memory(), ("peak of this process", f"{peak():.0f} MiB")]),
    ]
    page = "\n".join(parts)
    print(page)
    if not options.quick:
        (ROOT / "docs" / "benchmarks.md").write_text(page, encoding="utf-8")
        (ROOT / "docs" / "benchmarks.svg").write_text(
            bars({**ratios, **full, **more, **scans}), encoding="utf-8"
        )


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


if __name__ == "__main__":
    main()
