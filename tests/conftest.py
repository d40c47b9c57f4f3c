"""Settings for all tests: one torch thread, hypothesis profiles, and files written in temporary folders."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"

settings.register_profile(
    "energylang",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("energylang")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-examples", action="store_true", help="write the examples' expected outputs anew"
    )


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def script() -> Callable[[str], ModuleType]:
    """A script of ``benchmarks/`` as a module, by its name."""
    sys.path.append(str(ROOT / "benchmarks"))
    return importlib.import_module


@pytest.fixture
def in_tmp(tmp_path: Path) -> Iterator[Path]:
    """Run a test inside an empty folder."""
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)
