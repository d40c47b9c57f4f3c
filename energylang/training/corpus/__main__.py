"""``python -m energylang.training.corpus``: write a corpus to standard output."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from energylang.training.corpus import documents


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a corpus to standard output."""
    parser = argparse.ArgumentParser(
        prog="python -m energylang.training.corpus", description="write the micro-world"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--documents", type=int, default=9000, metavar="N")
    options = parser.parse_args(arguments)
    if options.documents < 1:
        parser.error("--documents must be at least 1")
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    sys.stdout.writelines(f"{text}\n" for text in documents(options.seed, options.documents))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
