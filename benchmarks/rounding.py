"""What does another processor's rounding turn over?

    python benchmarks/rounding.py [SCRIPT.el …] [--settings avx2 other threads]

Runs scripts (all of ``examples/`` but the long one, ``make_polite``, if none is named) with this processor's own
kernels and with others, each in a process of its own, and compares their results field by field: how many fields
differ at all, and which by more than ``energylang.results.rounding`` lets them. A field that is named here needs an
algorithm that does not hang on the last bits, or a number that says how sure it is. The exit code is 1 if there is
one.

The settings are the kernels that libraries choose by the processor: ``avx2`` and ``plain`` (torch's own), ``tanh``
(numpy's), ``mkl`` (its products add in the order that all processors share), ``other`` (the last three at once) and
``threads`` (two of them). Environment variables are no other machine, but what they turn over, another machine may.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from energylang.results.rounding import Deviation, deviations

ROOT = Path(__file__).resolve().parents[1]
PLAIN_NUMPY = "X86_V3 X86_V4 AVX512_ICL AVX512_SPR AVX2 FMA3 AVX512F"
SETTINGS: dict[str, dict[str, str]] = {
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "plain": {"ATEN_CPU_CAPABILITY": "default"},
    "tanh": {"NPY_DISABLE_CPU_FEATURES": PLAIN_NUMPY},
    "mkl": {"MKL_CBWR": "COMPATIBLE"},
    "other": {
        "ATEN_CPU_CAPABILITY": "default",
        "NPY_DISABLE_CPU_FEATURES": PLAIN_NUMPY,
        "MKL_CBWR": "COMPATIBLE",
    },
    "threads": {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"},
}
VOLATILE = ("elapsed",)
SHOWN = 6


def results(script: Path, setting: str | None) -> Any:
    """What a script gives, as plain data, calculated with the kernels of a setting."""
    words = ["run", str(script), "--json", *(["--threads", "2"] if setting == "threads" else [])]
    done = subprocess.run(
        [sys.executable, "-m", "energylang", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
        env={**os.environ, "OMP_NUM_THREADS": "1", **SETTINGS.get(setting or "", {})},
    )
    if not done.stdout:
        raise SystemExit(f"{script} ({setting or 'own'}): {done.stderr}")
    return settled(json.loads(done.stdout))


def settled(value: Any) -> Any:
    """Plain data without times."""
    if isinstance(value, dict):
        return {name: settled(item) for name, item in value.items() if name not in VOLATILE}
    return [settled(item) for item in value] if isinstance(value, list) else value


def report(script: Path, settings: list[str]) -> int:
    """Print what differs; how many fields differ by more than they may."""
    own, wrong = results(script, None), 0
    for setting in settings:
        found = list(deviations(own, results(script, setting)))
        beyond = [item for item in found if item.used > 1]
        wrong += len(beyond)
        print(f"{script.stem:<20} {setting:<8} {len(found):>6} fields differ, {len(beyond):>4} too much")
        for item in beyond[:SHOWN]:
            print(f"    {named(own, item)}")
    return wrong


def named(own: Any, item: Deviation) -> str:
    """A deviation with the statement that it belongs to."""
    place = item.place.partition("]")[0]
    try:
        statement = own["results"][int(place.split("[")[1])].get("statement", "")
    except (KeyError, IndexError, ValueError, TypeError, AttributeError):
        statement = ""
    return f"{statement}: {item}" if statement else str(item)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scripts", nargs="*", type=Path, metavar="SCRIPT.el")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=["avx2", "other", "threads"])
    given = parser.parse_args()
    every = sorted((ROOT / "examples").glob("*.el"))
    scripts = given.scripts or [script for script in every if script.stem != "make_polite"]
    return 1 if sum(report(script.resolve(), given.settings) for script in scripts) else 0


if __name__ == "__main__":
    raise SystemExit(main())
