"""Settings for all tests: one torch thread, hypothesis profiles, and files written in temporary folders."""

from __future__ import annotations

import importlib
import os
import struct
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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several workers the slow tests come first, shared among them: none waits for another's last one. (Each
    begins with its part of the list, and takes from the end of another's when it is through.) Those of a file that
    share what is made once for the file stay together."""
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    slow = [item for item in items if item.get_closest_marker("slow")]
    if workers < 2 or not slow:
        return
    together: dict[object, list[pytest.Item]] = {}
    for item in slow:
        together.setdefault(item.path if _shares(item) else item, []).append(item)
    groups = list(together.values())
    others = [item for item in items if not item.get_closest_marker("slow")]
    size, ordered = -(-len(items) // workers), []
    for worker in range(workers):
        dear = [item for group in groups[worker::workers] for item in group]
        ordered += dear + [others.pop(0) for _ in range(min(len(others), size - len(dear)))]
    items[:] = ordered + others


def _shares(item: pytest.Item) -> bool:
    """Whether a test is given something that is made once for its file."""
    info = getattr(item, "_fixtureinfo", None)
    made = info.name2fixturedefs.values() if info is not None else ()
    return any(each.scope in ("module", "package") for found in made for each in found[-1:])


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _no_lines_by_the_clock() -> None:
    """What is written to standard error while an operation runs depends on how fast the machine is: here nothing is.
    (Its own tests give the log its pause.)"""
    from energylang.render import waiting

    waiting.EVERY = 1e9


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


@pytest.fixture(scope="session", autouse=True)
def _smollm2_can_be_checked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Scripts that load smollm2 can be checked everywhere: where the model is not, a file says what it is, and holds no
    weights. (Tests that run it ask for the model itself, and are left out.)"""
    from energylang.errors import CheckpointError
    from energylang.models.described.places import PUBLISHED, published_file

    try:
        published_file("smollm2")
    except CheckpointError:
        where = tmp_path_factory.mktemp("cache")
        (where / "models").mkdir()
        (where / "models" / PUBLISHED["smollm2"].file).write_bytes(_beginning())
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ENERGYLANG_CACHE", str(where))
            yield
        return
    yield


def _beginning() -> bytes:
    """What SmolLM2's file says of itself, without its tensors."""
    numbers = {
        "block_count": 30,
        "embedding_length": 576,
        "feed_forward_length": 1536,
        "attention.head_count": 9,
        "context_length": 8192,
    }

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    pairs = [text("general.architecture") + struct.pack("<I", 8) + text("llama")]
    pairs += [text("tokenizer.chat_template") + struct.pack("<I", 8) + text("{{ messages }}")]
    pairs += [text(f"llama.{name}") + struct.pack("<II", 4, value) for name, value in numbers.items()]
    vocabulary = b"".join(text(f"<{k}>") for k in range(16))
    pairs += [text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 16) + vocabulary]
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + b"".join(pairs) + bytes(64)
