"""How many threads? Surveys with one torch thread and with several, on a quiet machine and on a busy one.

    python benchmarks/threads.py [--threads 1 2 4] [--load 2] [--repeats 5]

``--load`` processes that do nothing but calculate run beside every second measurement. The default of this package, one
thread, is a consequence: see docs/reliability.md.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from energylang import Session

MODELS = ("planted:64x4", "random:256", "random:1024", "random:4096")


def _calculate() -> None:
    value = 1.0
    while True:
        value = value * 1.0000001 % 10.0


@contextmanager
def load(count: int) -> Iterator[None]:
    """``count`` processes that calculate for the time inside."""
    processes = [multiprocessing.Process(target=_calculate, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
            process.join()


def seconds(model: str, threads: int, repeats: int) -> list[float]:
    """The times of some surveys."""
    session = Session(model, threads=threads)
    session.survey(0, inits=50, radius=False)
    found = []
    for seed in range(repeats):
        began = time.perf_counter()
        session.survey(0, inits=200, seed=seed, radius=False)
        found.append(time.perf_counter() - began)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--load", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the start")
    for model in MODELS:
        for beside in (0, chosen.load):
            with load(beside):
                parts = []
                for threads in chosen.threads:
                    found = seconds(model, threads, chosen.repeats)
                    parts.append(f"{threads}: {statistics.median(found):.3f} s, worst {max(found):.3f} s")
            print(f"{model:14} beside {beside} processes   " + "   ".join(parts), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
