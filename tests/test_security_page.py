"""SECURITY.md promises nothing without a test, and the tests that it names exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_every_promise_names_tests_that_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 30
    for file, test in named:
        source = (ROOT / file).read_text(encoding="utf-8")
        assert f"def {test}(" in source, f"{file} has no {test}"


def test_every_promise_has_one() -> None:
    promises = re.split(r"^\d+\. \*\*", PAGE, flags=re.MULTILINE)[1:]
    assert len(promises) == 15
    without = [promise.split("**")[0] for promise in promises if "`tests/" not in promise]
    assert without == []
