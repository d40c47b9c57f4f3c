"""Nothing is lost: whenever a writer ends, by a kill or a full disk, the old file or the new one is there and loads.
(The long run of the same: benchmarks/crash.py.)"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from energylang import Session
from energylang.cli import main
from energylang.errors import ElError, FileError
from energylang.files.storage import check_writable, write_atomic
from energylang.repl import journal
from energylang.training.data import read_corpus
from energylang.training.train import Options, Trainer, train

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def crash(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("crash")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it forks")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_writers_that_are_ended_leave_the_old_file_or_the_new_one(crash: ModuleType) -> None:
    figures = crash.crash(3, 3)
    assert figures.findings == []
    assert sum(figures.outcomes.values()) == 18
    assert sum(count for name, count in figures.outcomes.items() if "killed" in name) >= 10


def test_every_call_of_a_write_may_fail(crash: ModuleType, tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with crash.at_call(10**9, crash.full) as count:
        write_atomic(target, b"old")
    outcomes = set()
    for number in range(1, count[0] + 1):
        target.write_bytes(b"old")
        with crash.at_call(number, crash.full):
            try:
                write_atomic(target, b"new")
                outcomes.add("written")
            except FileError as error:
                assert str(target) in error.message and "No space left" in error.message
                outcomes.add("refused")
        assert target.read_bytes() in (b"old", b"new")
        for item in tmp_path.iterdir():
            if item != target:
                item.unlink()  # where not even the removal got through
    assert outcomes == {"written", "refused"}


def test_the_order_is_write_sync_rename_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    for name in ("write", "fsync", "replace"):
        function = getattr(os, name)

        def noted(*arguments: Any, name: str = name, function: Any = function) -> Any:
            folder = name == "fsync" and stat.S_ISDIR(os.fstat(arguments[0]).st_mode)
            done.append("fsync folder" if folder else name)
            return function(*arguments)

        monkeypatch.setattr(os, name, noted)
    write_atomic(tmp_path / "file", b"new")
    assert done == ["write", "fsync", "replace", "fsync folder"]


# ------------------------------------------------------------------------------ places that take nothing

FULL = """
import resource, sys
from energylang.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))
sys.exit(main(["run", sys.argv[1]]))
"""


@pytest.mark.parametrize(
    "line", ['save "f.safetensors"', 'record "f.json"', 'causal scan L0 placebos=1 save="f.json"']
)
def test_a_file_that_may_not_grow(tmp_path: Path, line: str) -> None:
    name = line.split('"')[1]
    (tmp_path / name).write_bytes(b"old")
    script = tmp_path / "s.el"
    script.write_text(f'load "planted:64x4"\nsurvey L0 inits=50\n{line}\n', encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(script)], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("error[EL504]") == 1 and "cannot be written: File too large" in done.stderr
    assert (tmp_path / name).read_bytes() == b"old"
    assert sorted(item.name for item in tmp_path.iterdir()) == sorted([name, "s.el"])


@pytest.mark.parametrize("place", ["file/f", "gone/f", "folder", "/proc/self/f", "pipe"])
def test_places_where_nothing_can_be_written(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_bytes(b"a file, not a folder")
    session = Session("planted:16x2", base=tmp_path)
    for suffix, line in ((".safetensors", 'save "{}"'), (".json", 'record "{}"')):
        path = f"{place}{suffix}"
        if place == "folder":
            (tmp_path / path).mkdir()
        elif place == "pipe":
            os.mkfifo(tmp_path / path)
        with pytest.raises(Exception, match="EL504") as caught:
            session.run(line.format(path))
        assert path in str(caught.value)
    names = {item.name for item in tmp_path.iterdir()}
    assert not any(name.endswith(".tmp") for name in names)


def test_a_long_name_and_a_mode_survive(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 240 + ".json")
    write_atomic(path, b"1")
    path.chmod(0o640)
    write_atomic(path, b"2")
    assert path.read_bytes() == b"2"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_what_killed_writers_left_is_swept_up(tmp_path: Path) -> None:
    target = tmp_path / "m.json"
    left, young, foreign = (
        tmp_path / f".m.json.{name}.tmp" for name in ("0123456789ab", "ba9876543210", "x")
    )
    for path in (left, young, foreign):
        path.write_bytes(b"half")
    old = time.time() - 3600
    os.utime(left, (old, old))
    os.utime(foreign, (old, old))
    write_atomic(target, b"whole")
    assert not left.exists()
    assert young.exists() and foreign.exists()


def test_a_link_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("real")
    write_atomic(tmp_path / "link", b"new")
    assert (tmp_path / "real").read_bytes() == b"mine"
    assert (tmp_path / "link").read_bytes() == b"new" and not (tmp_path / "link").is_symlink()


def test_writing_is_tried_without_leaving_anything(tmp_path: Path) -> None:
    assert check_writable(tmp_path / "f") == tmp_path / "f"
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------ journals, formatting, training


def test_a_journal_stops_whole_on_a_full_disk(
    crash: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = journal.Journal(tmp_path, tmp_path)
    log.begin("info")
    real = os.fsync

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    log.end("done")
    monkeypatch.setattr(os, "fsync", real)
    assert log.failure == "No space left on device"
    log.begin("survey L0")  # the disk has room again: a journal with a hole in it would be worse
    assert [event["kind"] for event in journal.read(log.path)] == ["header", "begin"]


@pytest.mark.parametrize("damage", ["changed", "lost", "moved", "added"])
def test_a_line_of_a_journal_that_was_touched_is_noticed(tmp_path: Path, damage: str) -> None:
    log = journal.Journal(tmp_path, tmp_path)
    for number in range(4):
        log.begin(f"set inits {number + 1}")
        log.end("done")
    log.close()
    lines = log.path.read_bytes().splitlines(keepends=True)
    if damage == "changed":
        lines[3] = lines[3].replace(b"inits 2", b"inits 9")
    elif damage == "lost":
        del lines[3]
    elif damage == "moved":
        lines[3], lines[5] = lines[5], lines[3]
    else:
        lines.insert(3, lines[3])
    log.path.write_bytes(b"".join(lines))
    with pytest.raises(ElError, match=r"damaged in line [45]"):
        journal.read(log.path)


def test_a_journal_cut_anywhere_gives_what_came_before(tmp_path: Path) -> None:
    log = journal.Journal(tmp_path, tmp_path)
    for text in ("info", "survey L0 # β", "undo"):
        log.begin(text)
        log.end("done")
    log.close()
    whole, events = log.path.read_bytes(), journal.read(log.path)
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole) + 1):
        log.path.write_bytes(whole[:cut])
        found = journal.read(log.path)
        assert found == events[: len(found)]
        assert len(found) >= whole[:cut].count(b"\n")


def test_formatting_is_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.el"
    path.write_text("print   1\n", encoding="utf-8")

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    assert main(["fmt", str(path)]) == 1
    assert path.read_text(encoding="utf-8") == "print   1\n"


def test_a_training_that_diverges_stops_and_keeps_the_state_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = tmp_path / "c.txt"
    corpus.write_text("the cat sat on the mat and looked at the dog.\n" * 60, encoding="utf-8")
    real = Trainer.advance

    def advance(self: Trainer) -> tuple[float, float]:
        loss, residual = real(self)
        return (float("nan") if self.step == 3 else loss), residual

    monkeypatch.setattr(Trainer, "advance", advance)
    output = tmp_path / "m.safetensors"
    with pytest.raises(ElError, match=r"diverged: the loss of step 3 is nan; .*m\.safetensors\.train holds"):
        train(corpus, output, Options(tokenizer="char"), steps=5, save_every=0.0)
    assert not output.exists()
    assert Trainer.restore(read_corpus(corpus), tmp_path / "m.safetensors.train").step == 2
