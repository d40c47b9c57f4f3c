"""Another library in the same process does not take anything from this one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import nnsight  # hangs a `save` on every object
assert hasattr(object, "save"), "it hangs it there no longer: this test tests nothing"
from energylang import Session
from energylang.models import load, save
session = Session("random:16")
session.inject(0, 7)
session.save("edited.safetensors")
save(load("edited.safetensors"), "again.safetensors")
assert Session("again.safetensors").live_hash() == session.staged_hash()
"""


def test_nnsight_may_be_imported_first(tmp_path: Path) -> None:
    pytest.importorskip("nnsight", reason="nnsight is not installed: the extra `test` has it")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
