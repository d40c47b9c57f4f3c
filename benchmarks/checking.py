"""How long does it take to check a long script?

    python benchmarks/checking.py [--lines 10000] [--repeats 3]

Processor time of ``check``, which imports neither torch nor numpy; the smallest of the repeats.
"""

from __future__ import annotations

import argparse
import time

from energylang.checker import check

BLOCK = """\
let s{i} = survey L0 inits=50 seed={i}   # comment
print "{{s{i}.num_basins}} basins {{s{i}.usage_entropy_nats:.2f}} nats"
if s{i}.num_basins > {i} and not s{i}.symmetric:
    inject L0 {i} strength=0.1
    apply L0
else:
    let x = ({i} + 2.5) * 3 - 1 / 7
    require x > 0, "positive"
for b in s{i}.basins:
    verify b
"""


def lines(count: int) -> str:
    """A sound script of about so many lines, with a warning in every tenth."""
    blocks = max(1, count // BLOCK.count("\n"))
    return "load random:16\n" + "".join(BLOCK.format(i=i) for i in range(blocks))


def seconds(script: str, repeats: int) -> float:
    """Processor time of a check: the smallest of some."""
    found = []
    for _ in range(repeats):
        began = time.process_time()
        check(script)
        found.append(time.process_time() - began)
    return min(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    script = lines(given.lines)
    kinds = {"sound": script, "30 errors at the end": script + "let = 1\n" * 30}
    for name, text in kinds.items():
        print(f"{text.count(chr(10)):,} lines, {name}: {seconds(text, given.repeats):.2f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
