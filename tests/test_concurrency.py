"""Two at once: threads that share a session take turns, processes that want the same file are told who has it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from energylang import Session
from energylang.errors import ElError, FileError
from energylang.files.locks import held, lock_path
from energylang.files.storage import write_atomic
from energylang.repl import app, journal
from energylang.training.train import Options, train

ROOT = Path(__file__).resolve().parents[1]


# ------------------------------------------------------------------------------------------------ threads


def test_threads_take_turns_and_the_history_is_whole() -> None:
    session = Session("planted:32x2")
    session.survey(0, inits=30)
    original = session.staged_hash()
    ends = 6

    def work(number: int) -> int:
        for k in range(8):
            session.run(f"set inits {10 + number}\ninject L0 {100 * number + k} strength=0.01\nset seed {k}")
        return number

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(work, range(ends))) == list(range(ends))
    entries = session.history().entries
    assert [entry.id for entry in entries] == list(range(1, len(entries) + 1))
    assert len(entries) == ends * 8 * 3
    edits = [entry.statement for entry in entries if entry.statement.startswith("inject")]
    for place in range(0, len(entries), 3):  # nobody came between the three lines of a script
        assert [entries[place + k].statement.split()[0] for k in range(3)] == ["set", "inject", "set"]
    assert len(set(edits)) == ends * 8
    while session.timeline.undoable:
        session.undo()
    assert session.staged_hash() == session.live_hash() == original


def test_a_transaction_lets_nobody_in() -> None:
    session = Session("planted:16x2")
    inside, tried, order = threading.Event(), threading.Event(), []

    def other() -> None:
        inside.wait(300)
        tried.set()
        session.set("inits", 33)
        order.append("other")

    thread = threading.Thread(target=other)
    thread.start()
    with session.transaction():
        inside.set()
        tried.wait(300)
        thread.join(0.2)
        session.set("inits", 44)
        order.append("transaction")
    thread.join(300)
    assert order == ["transaction", "other"]
    assert session.setting("inits") == 33


def test_sessions_of_several_threads_are_independent() -> None:
    def work(number: int) -> str:
        session = Session("planted:32x2")
        session.run(
            f"survey L0 inits=30\ninject L0 {number % 2} strength=0.1 force=true reason='test'".replace(
                "'", '"'
            )
        )
        return session.staged_hash()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(8)))
    assert found[::2] == [found[0]] * 4
    assert found[1::2] == [found[1]] * 4
    assert found[0] != found[1]


def test_threads_writing_one_file_leave_one_of_them(tmp_path: Path) -> None:
    target = tmp_path / "file"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda k: write_atomic(target, bytes([k]) * 100_000), range(40)))
    data = target.read_bytes()
    assert len(data) == 100_000
    assert len(set(data)) == 1
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("threads", [1, 2])
def test_the_callers_thread_count_is_left_as_it_was(threads: int) -> None:
    before = torch.get_num_threads()
    seen = []
    session = Session("planted:16x2", threads=threads)
    session.survey(0, inits=10)
    with session.transaction():
        seen.append(torch.get_num_threads())
    assert seen == [before]
    assert torch.get_num_threads() == before


def test_one_thread_is_the_default_everywhere() -> None:
    import argparse

    from energylang.cli.main import _parser

    assert Session().threads == 1
    for words in (["run", "x.el"], ["repl"], ["train", "c.txt", "-o", "m.safetensors"]):
        chosen: argparse.Namespace = _parser(words[0]).parse_args(words)
        assert chosen.threads == 1


# ---------------------------------------------------------------------------------------------- processes

HOLDER = """
import sys, time
from pathlib import Path
{line}
print("held", flush=True)
sys.stdin.read()
"""


def holding(line: str, folder: Path) -> subprocess.Popen[str]:
    """Another process that holds something until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER.format(line=line)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, cwd=folder,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


LOCK = "from energylang.files.locks import held; hold = held(Path('work'), 'work'); hold.__enter__()"
JOURNAL = "from energylang.repl.journal import Journal; log = Journal(Path(), Path())"


def test_the_second_process_is_told_who_holds_it(tmp_path: Path) -> None:
    process = holding(LOCK, tmp_path)
    try:
        told = pytest.raises(FileError, match=rf"process {process.pid} on .*, since \d")
        with told as caught, held(tmp_path / "work", "work"):
            pass
        assert caught.value.code == "EL543"
        assert socket.gethostname() in caught.value.message
        process.kill()  # it ends without a chance to clean up
        process.wait()
        assert lock_path(tmp_path / "work").exists()
        with held(tmp_path / "work", "work"):
            pass
    finally:
        process.kill()
        process.wait()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"nonsense", b"[1]", b'{"pid": 1, "host": "elsewhere"}'])
def test_a_lock_file_that_nobody_holds_is_a_leftover(tmp_path: Path, content: bytes) -> None:
    lock_path(tmp_path / "work").write_bytes(content)
    with held(tmp_path / "work", "work"):
        assert json.loads(lock_path(tmp_path / "work").read_bytes())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_two_trainings_of_one_file(tmp_path: Path) -> None:
    corpus = tmp_path / "c.txt"
    corpus.write_text("the cat sat on the mat and looked at the dog.\n" * 60, encoding="utf-8")
    output = tmp_path / "m.safetensors"
    with (
        held(tmp_path / "m.safetensors.train", "the training"),
        pytest.raises(
            FileError, match=rf"the training of .*m\.safetensors is in use by process {os.getpid()}"
        ),
    ):
        train(corpus, output, Options(tokenizer="char"), steps=2)
    train(corpus, output, Options(tokenizer="char"), steps=2)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["c.txt", "m.safetensors"]


def test_two_prompts_on_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(journal, "state_folder", lambda: tmp_path)
    process = holding(JOURNAL, tmp_path)
    try:
        (theirs,) = tmp_path.glob("session-*.jsonl")
        assert journal.latest(tmp_path) is None
        with pytest.raises(ElError, match=rf"in use by process {process.pid} on") as caught:
            app.start(None, resume=True)
        assert caught.value.code == "EL543"
        assert f"process {process.pid}" in capsys.readouterr().out
        process.kill()
        process.wait()
        assert journal.latest(tmp_path) == theirs, "it can be taken up when its process is gone"
    finally:
        process.kill()
        process.wait()


def test_what_one_prompt_has_taken_up_no_other_does(tmp_path: Path) -> None:
    old = journal.Journal(tmp_path, tmp_path)
    old.begin("info")
    old.end("done")
    old.close()
    mine = journal.Journal(tmp_path, tmp_path, old.path)
    assert journal.latest(tmp_path) is None, "it is being taken up"
    mine.file.close()
    assert journal.latest(tmp_path) == old.path, "a kill before it had got all of it"
    again = journal.Journal(tmp_path, tmp_path, old.path)
    again.copy_from(journal.read(old.path))
    again.close()
    assert journal.latest(tmp_path) == again.path
    kinds = [event["kind"] for event in journal.read(again.path)]
    assert kinds == ["header", "begin", "end", "resumed"]
