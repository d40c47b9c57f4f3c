"""What a script that breaks things found: the counts, the findings, and the exit code."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Figures:
    """``outcomes`` counts what happened; every one of the ``findings`` is a fault."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def told(self, summary: str, path: Path | None) -> int:
        """Print them, with a summary behind, and write them to ``path``; the exit code."""
        for name, count in sorted(self.outcomes.items()):
            print(f"{count:7}  {name}")
        for finding in self.findings[:100]:
            print(finding)
        print(f"{summary}, {len(self.findings)} findings")
        if path is not None:
            data = {**vars(self), "outcomes": dict(self.outcomes)}
            path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        return 1 if self.findings else 0


def add_options(parser: argparse.ArgumentParser, what: str) -> None:
    """``--seed``, ``--only`` (names of ``what``) and ``--json``."""
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help=f"{what} whose name contains this")
    parser.add_argument("--json", type=Path, help="write the figures here")
