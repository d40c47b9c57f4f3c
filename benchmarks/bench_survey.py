"""How fast is a survey, against the published package and against the machine's own matrix product?

    python benchmarks/bench_survey.py [--rounds 7] [--starts 200]

One thread. For every dimension the two surveys run interleaved on the same planted weight (β = 7, the
package's default), and the table gives medians and their ratio. Ours also polishes every basin and computes
both energies, the stability and the mirrors; theirs draws its starts from the global generator. The last
column is the rate of useful work (2·d² operations per start and iteration of the settling alone; polishing
and measuring count as overhead) as a fraction of the measured rate of one (starts, d) × (d, d) product.
The package (`pip install qriton-hlm`, BSL licence) is optional and only its public survey is called.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from energylang.landscape.dynamics import Landscape, stable_generator, starts
from energylang.landscape.survey import survey

DIMENSIONS = (64, 128, 256, 512)
BETA = 7.0


def published_survey() -> Callable[[torch.Tensor], Callable[[], int]] | None:
    """A function that prepares the package's survey of a weight, or None when it is not installed."""
    try:
        from qriton_hlm import BasinSurgeon
    except ImportError:
        return None

    def prepare(weight: torch.Tensor) -> Callable[[], int]:
        surgeon = BasinSurgeon.from_W(weight.clone())
        return lambda: int(surgeon.survey(0)["num_basins"])

    return prepare


def seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def gemm_rate(n: int, d: int, rounds: int) -> float:
    """Measured operations per second of one (n, d) × (d, d) float32 product."""
    a, b = torch.randn(n, d), torch.randn(d, d)
    repeats = max(1, int(2e8 / (2 * n * d * d)))
    times = [seconds(lambda: [a @ b for _ in range(repeats)]) for _ in range(rounds)]
    return repeats * 2 * n * d * d / statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--starts", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    theirs = published_survey() if options.starts == 200 else None
    print("| d | basins | energylang | qriton-hlm | ratio | of GEMM rate |")
    print("|---|---|---|---|---|---|")
    for d in DIMENSIONS:
        generator = stable_generator("bench", d)
        patterns = torch.sign(torch.randn(max(3, d // 32), d, generator=generator))
        layer = Landscape(patterns.T @ patterns / d, BETA)
        begin = starts(options.starts, d, generator, layer.weight)
        other = theirs(layer.weight) if theirs else None
        found = survey(layer, begin)
        their_count = other() if other else 0
        ours_s: list[float] = []
        theirs_s: list[float] = []
        for _ in range(options.rounds):
            ours_s.append(seconds(lambda layer=layer, begin=begin: survey(layer, begin)))
            if other:
                theirs_s.append(seconds(other))
        mine = statistics.median(ours_s)
        work = found.mean_iterations * found.num_starts * 2 * d * d
        share = work / mine / gemm_rate(options.starts, d, options.rounds)
        if other:
            their = statistics.median(theirs_s)
            times = f"{mine * 1e3:.1f} ms | {their * 1e3:.1f} ms | {their / mine:.1f}×"
            columns = f"{len(found)} / {their_count} | {times}"
        else:
            columns = f"{len(found)} | {mine * 1e3:.1f} ms | not installed | |"
        print(f"| {d} | {columns} | {share:.0%} |")


if __name__ == "__main__":
    main()
