"""``el completion``: the scripts for shells are whole, and in bash they complete."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from energylang.cli import completion, main
from energylang.cli.main import LATER


def made(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    pytest.importorskip("shtab")
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_a_script_names_commands_options_operations_and_codes(shell: str, capsys: pytest.CaptureFixture[str]):
    text = made(shell, capsys)
    for word in ("run", "check", *LATER, "keep-going", "survey-all", "EL204", "smollm2"):
        assert word in text, word


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    script = tmp_path / "el.bash"
    script.write_text(made("bash", capsys))
    (tmp_path / "mine.el").write_text("")

    def offered(*words: str) -> list[str]:
        line = f"""
            source {script}
            COMP_WORDS=({" ".join(repr(word) for word in words)}) COMP_CWORD={len(words) - 1} COMPREPLY=()
            _shtab_el el {words[-1]!r} {words[-2]!r}
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        done = subprocess.run(
            ["bash", "--norc", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    assert offered("el", "rep") == ["repl", "replay", "report"]
    assert offered("el", "ops", "survey-") == ["survey-all"]
    assert offered("el", "explain", "EL20") == [f"EL20{k}" for k in (1, 2, 3, 4, 5, 6, 7, 8, 9) if k != 0]
    assert "--keep-going" in offered("el", "run", "--k") and "mine.el" in offered("el", "run", "mi")
    assert offered("el", "completion", "f") == ["fish"]


def test_without_the_library_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 1
    assert 'pip install "energylang[completion]"' in capsys.readouterr().err
