"""What must be quick stays light: neither torch nor numpy is imported to check a script."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "numpy", "safetensors", "tokenizers", "joblib", "distributed", "submitit")

SCRIPTS = {
    "random": 'load random:64x3\nsurvey L2\nlet s = survey L0\nprint "{s.num_basins}"\n',
    "planted": "load planted:64x4\ninject L0 42\nimport audit\naudit-layers\n",
    "tiny": 'load "tiny"\ncapture L1 polite Thank you\ngenerate "Hello"\n',
    "file": "load model.safetensors\nsurvey L0\n",
    "sweep": "load planted:64x4\nlet t = sweep seed in 0..4, l in layers:\n    survey l seed=seed\nrow n=len(t)\n",
    "wrong": "load random:64\nsurvey L9\nlet = 3\n",
}

WATCH = """\
import sys
from energylang.cli import main
code = {call}
heavy = sorted({{name.partition(".")[0] for name in sys.modules}} & {heavy!r})
print("HEAVY", *heavy)
sys.exit(code)
"""


def loaded(call: str, folder: Path) -> tuple[int, list[str]]:
    """The exit code of a call, and which heavy modules it left in memory."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH.format(call=call, heavy=set(HEAVY))],
        capture_output=True, text=True, cwd=folder, timeout=600, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("HEAVY")]
    assert len(lines) == 1, done.stderr
    return done.returncode, lines[0].split()[1:]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a safetensors model in it."""
    from energylang.session import Session

    folder = tmp_path_factory.mktemp("startup")
    Session("random:16", base=folder).run('save "model.safetensors"')
    return folder


@pytest.mark.parametrize("name", SCRIPTS)
def test_checking_leaves_heavy_modules_alone(name: str, model: Path) -> None:
    (model / f"{name}.el").write_text(SCRIPTS[name])
    code, heavy = loaded(f"main(['check', '{name}.el'])", model)
    assert code == (2 if name == "wrong" else 0)
    assert heavy == []


@pytest.mark.parametrize(
    "call",
    [
        "__import__('energylang') and 0",
        "main(['explain', 'EL302'])",
        "main(['ops'])",
        "main(['completion', 'bash'])",
        "main(['sweep', 'no.el', '-o', 'x']) - 2",
        "__import__('energylang.sweeps.plan') and 0",
        "__import__('energylang.lsp.server') and 0",
    ],
)
def test_help_leaves_heavy_modules_alone(call: str, tmp_path: Path) -> None:
    assert loaded(call, tmp_path) == (0, [])


def test_the_test_can_fail(model: Path) -> None:
    """Running a script does import torch, and this file would see it."""
    (model / "run.el").write_text(SCRIPTS["random"])
    code, heavy = loaded("main(['run', 'run.el'])", model)
    assert code == 0
    assert "torch" in heavy


def test_version(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "energylang", "--version"],
        capture_output=True, text=True, cwd=tmp_path, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stdout.startswith("el ")
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "energylang" in imported
    assert not imported & set(HEAVY)


def test_an_error_stands_before_thousands_of_warnings(script: Callable[[str], ModuleType]) -> None:
    """(How long ten thousand lines take: benchmarks/checking.py.)"""
    from energylang.checker import check

    text = script("checking").lines(2000)
    assert check(text).ok
    late = check(text + "let = 1\n" * 30).diagnostics
    assert sum(item.is_error for item in late) == 20
    assert any(item.code == "EL207" for item in check(text + "print nothing\n").diagnostics)


def test_what_grows_at_run_time_does_not_grow_in_the_checker() -> None:
    import tracemalloc

    from energylang.checker import check

    lists = "let x0 = [1]\n" + "".join(f"let x{i + 1} = [x{i}, x{i}]\n" for i in range(60))
    for script in (
        'let t = "aaaaaaaaaa"\nfor i in 0..60:\n    t = "{t}{t}"\nprint t\n',
        "let x = 999999999999999999\nfor i in 0..60:\n    x = x * x\nprint x\n",
        lists + "print x60\nfor i in 0..5:\n    x60 = x60\n",
    ):
        tracemalloc.start()
        assert check(script).ok
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
        tracemalloc.stop()
