"""Promises that are easily said: records that were touched, other thread counts, full and closed disks, links put in
the way of a sandbox, scripts that start nothing. (SECURITY.md names these tests.)"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from energylang import Session
from energylang.cli import main
from energylang.errors import CheckpointError, ElError, FileError
from energylang.files import storage
from energylang.files.storage import contained, read_bytes, seal_holds, write_atomic
from energylang.models import checkpoint
from energylang.workspace.ledger import digest
from tests.watching import nothing_is_started

ROOT = Path(__file__).resolve().parents[1]
HERE = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("record")
    session = Session("planted:16x2", base=folder)
    session.run('survey L0 inits=9\ninject L0 3 strength=0.02\nset inits 12\nundo\nrecord "r.json"')
    return (folder / "r.json").read_bytes()


# ------------------------------------------------------------------------------------------------- records


def test_a_byte_that_was_changed_anywhere_in_a_record_is_noticed(recorded: bytes) -> None:
    """At every place another byte: it is no JSON any more, or its seal is broken, or it says what it said."""
    draw, whole = Random(4), json.loads(recorded)
    assert seal_holds(whole)
    unnoticed = 0
    for place in range(len(recorded)):
        other = draw.choice(
            [byte for byte in (*b' \n"{}[]:,0123456789-.eEabcdefL', 0, 255) if byte != recorded[place]]
        )
        raw = recorded[:place] + bytes([other]) + recorded[place + 1 :]
        try:
            data = json.loads(raw.decode("utf-8"))
        except (ValueError, RecursionError):
            continue
        if not isinstance(data, dict) or "sha256" not in data or not seal_holds(data):
            continue  # (another name in the place of the seal's is refused by the schema)
        unnoticed += 1
        assert digest(data) == digest(whole), raw[max(0, place - 30) : place + 30]
    assert unnoticed < len(recorded) / 20  # blanks and ends of lines between the values


def test_el_replay_says_so(recorded: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(recorded)
    assert main(["replay", str(path)]) == 0
    for old, new in ((b'"inits": 9', b'"inits": 8'), (b"0.02", b"0.03"), (b"planted:16x2", b"planted:16x1")):
        assert old in recorded
        path.write_bytes(recorded.replace(old, new, 1))
        assert main(["replay", str(path)]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_another_checkpoint_and_a_checkpoint_that_was_edited(tmp_path: Path) -> None:
    Session("random:16", base=tmp_path).save("m.safetensors")
    session = Session("m.safetensors", base=tmp_path)
    session.run('inject L0 3 force=true reason="test"\nrecord "r.json"\nsave "m.safetensors"')
    with pytest.raises(ElError, match="was made on a checkpoint with hash"):
        Session(base=tmp_path).replay("r.json")
    with pytest.raises(ElError, match="was made on a checkpoint with hash"):
        Session(base=tmp_path).replay("r.json", on="random:8")


@pytest.mark.parametrize("threads", [1, 2])
def test_a_record_replays_with_the_threads_that_it_was_made_with(tmp_path: Path, threads: int) -> None:
    session = Session("random:48", base=tmp_path, threads=threads)
    session.run('survey L0 inits=40\ninject L0 3 strength=0.02\nsurvey L0 inits=40\nrecord "r.json"')
    assert json.loads((tmp_path / "r.json").read_bytes())["threads"] == threads
    for other in (1, 2):
        found = Session(base=tmp_path, threads=other).replay("r.json")
        assert (found.identical, found.equal, found.first_difference) == (True, True, None)


def test_two_threads_find_what_one_finds_within_rounding() -> None:
    one, two = (Session("planted:32x3", threads=threads) for threads in (1, 2))
    found = [session.survey(0, inits=40) for session in (one, two)]
    assert found[0].num_basins == found[1].num_basins
    assert [b.population for b in found[0].basins] == [b.population for b in found[1].basins]
    assert [b.energy for b in found[0].basins] == pytest.approx([b.energy for b in found[1].basins], rel=1e-5)


# ----------------------------------------------------------------------------------------- disks that take nothing

WRITERS: dict[str, tuple[str, Callable[[Session, str], Any]]] = {
    "save": ("m.safetensors", lambda session, path: session.save(path)),
    "session": ("s.safetensors", lambda session, path: session.save(path, session=True)),
    "record": ("r.json", lambda session, path: session.record(path)),
    "concept": ("c.json", lambda session, path: session.export_concept("mood", path)),
    "concept, safetensors": ("c.safetensors", lambda session, path: session.export_concept("mood", path)),
    "control vector": ("c.gguf", lambda session, path: session.export_concept("mood", path)),
    "map": ("p.html", lambda session, path: session.landscape(0, save=path)),
    "causal graph": ("g.json", lambda session, path: session.causal_scan(0, placebos=1, save=path)),
}


@pytest.fixture(scope="module")
def busy() -> Session:
    session = Session("tiny")
    session.run("set inits 8\nsurvey L0")
    session.capture(0, "mood", "good morning")
    session.capture(0, "mood", "hello")
    return session


@pytest.mark.parametrize("fault", ["ENOSPC", "EROFS", "EDQUOT", "EIO"])
@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_on_a_disk_that_takes_nothing(
    busy: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, fault: str
) -> None:
    """A full disk fails as bytes are written, a read-only one as a file is made; either is one message, and what was
    there stays."""
    file, write = WRITERS[name]
    target = tmp_path / file
    target.write_bytes(b"old")
    number, real = getattr(errno, fault), {"write": os.write, "open": os.open}

    def fail_write(handle: int, data: Any) -> int:
        raise OSError(number, os.strerror(number))

    def fail_open(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if flags & os.O_CREAT:
            raise OSError(number, os.strerror(number), str(path))
        return real["open"](path, flags, *rest, **named)

    state = busy.state
    if fault == "EROFS":
        monkeypatch.setattr(os, "open", fail_open)
    else:
        monkeypatch.setattr(os, "write", fail_write)
    try:
        with pytest.raises(ElError, match=os.strerror(number)) as caught:
            write(busy, str(target))
    finally:
        monkeypatch.undo()
    if caught.value.code == "EL502":
        pytest.skip(caught.value.message)
    assert caught.value.code == "EL504" and str(target) in caught.value.message
    assert target.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == [file]
    assert busy.state is state


def test_el_train_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """`el train` itself, as a user starts it, ended by SIGKILL: `--resume` goes on and ends with a whole model. (What
    was being written at that moment may lie beside it under a hidden name, and is swept away by a later writer.)"""
    (tmp_path / "c.txt").write_text("the cat sat on the mat and looked at the dog.\n" * 200, encoding="utf-8")
    words = [
        "train",
        "c.txt",
        "-o",
        "m.safetensors",
        "--steps",
        "40",
        "--size",
        "micro",
        "--tokenizer",
        "char",
    ]
    code = (  # saved after every step instead of every minute
        "import sys; from functools import partial; from energylang.cli import main\n"
        "from energylang.training import train as t; t.train = partial(t.train, save_every=0.0)\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        env=HERE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    state = tmp_path / "m.safetensors.train"
    try:
        for _ in range(3000):
            if state.exists() or process.poll() is not None:
                break
            threading.Event().wait(0.1)
    finally:
        process.kill()
        said = process.communicate()[0].decode()
    assert not (tmp_path / "m.safetensors").exists(), said
    assert state.exists(), said
    done = subprocess.run(
        [sys.executable, "-c", code, *words, "--resume"],
        cwd=tmp_path,
        env=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert Session(tmp_path / "m.safetensors").info().num_layers > 0
    assert sorted(item.name for item in tmp_path.iterdir() if item.suffix not in (".lock", ".tmp")) == [
        "c.txt",
        "m.safetensors",
    ]


# ----------------------------------------------------------------------------------------------------- sandbox


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    """``in`` with a folder ``way``, and ``outside`` with the same file and another content."""
    for place, content in (("in/way", b"mine"), ("outside", b"secret")):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "f.txt").write_bytes(content)
    return tmp_path


def swapped(sandbox: Path) -> None:
    """The folder becomes a link that leads out."""
    (sandbox / "in" / "way").rename(sandbox / "in" / "gone")
    (sandbox / "in" / "way").symlink_to(sandbox / "outside", target_is_directory=True)


@pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="the system does not show where an open file lies"
)
@pytest.mark.parametrize("door", ["read", "write"])
def test_a_link_that_is_put_in_the_way_after_the_look_is_not_followed(
    sandbox: Path, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    real = storage.permitted

    def late(path: Any, *, write: bool = False) -> Path:
        found = real(path, write=write)
        monkeypatch.setattr(storage, "permitted", real)
        swapped(sandbox)
        return found

    with contained(sandbox / "in", overwrite=True):
        monkeypatch.setattr(storage, "permitted", late)
        use = {"read": lambda path: read_bytes(path, 100), "write": lambda path: write_atomic(path, b"new")}[
            door
        ]
        with pytest.raises(FileError) as caught:
            use(sandbox / "in" / "way" / "f.txt")
    assert caught.value.code == "EL541"
    assert (sandbox / "outside" / "f.txt").read_bytes() == b"secret"
    assert [item.name for item in (sandbox / "outside").iterdir()] == ["f.txt"]


@pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="the system does not show where an open file lies"
)
def test_a_program_that_swaps_links_all_the_time_gains_nothing(sandbox: Path) -> None:
    inside, ended = sandbox / "in", threading.Event()

    def swap() -> None:
        link = inside / "link"
        link.symlink_to(sandbox / "outside", target_is_directory=True)
        while not ended.is_set():
            os.rename(inside / "way", inside / "aside")
            os.rename(link, inside / "way")
            os.rename(inside / "way", link)
            os.rename(inside / "aside", inside / "way")

    thread = threading.Thread(target=swap)
    thread.start()
    outcomes = {"mine": 0, "refused": 0}
    try:
        with contained(inside, overwrite=True):
            for number in range(600):
                try:
                    if number % 2:
                        data = read_bytes(inside / "way" / "f.txt", 100)
                        assert data == b"mine"
                    else:
                        write_atomic(inside / "way" / "f.txt", b"mine")
                    outcomes["mine"] += 1
                except (OSError, FileError):
                    outcomes["refused"] += 1
    finally:
        ended.set()
        thread.join()
    assert [item.name for item in (sandbox / "outside").iterdir()] == ["f.txt"]
    assert (sandbox / "outside" / "f.txt").read_bytes() == b"secret"
    assert outcomes["mine"] and outcomes["refused"], outcomes


WATCHED = """
from tests.watching import nothing_is_started
with nothing_is_started():
    from energylang import Session
    from energylang.ops import TABLE
    ran = 0
    for op in TABLE.values():
        for example in op.examples:
            if example.slow or example.on != "planted:64x4":
                continue
            session = Session(example.on)
            try:
                session.run(example.script)
            except Exception:
                pass
            ran += 1
print("ran", ran)
"""


def test_no_operation_starts_a_program_or_opens_a_connection(tmp_path: Path) -> None:
    """Nor what it imports, in a process that has imported nothing before. (``test_operations`` watches every example of
    every operation in the same way.)"""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED],
        cwd=tmp_path,
        env=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split("ran ")[1]) > 30


def test_what_is_started_is_heard() -> None:
    with pytest.raises(AssertionError, match=r"subprocess\.Popen"), nothing_is_started():
        subprocess.run([sys.executable, "-c", ""], check=True)


# ---------------------------------------------------------------------------------------- processes on one folder

SAVER = """
import sys
from energylang import Session
session = Session(sys.argv[1])
for _ in range(5):
    session.save("m.safetensors")
    session.record("r.json")
    assert Session("m.safetensors").info().dims[0] in (8, 9, 10)
"""


def test_a_file_that_is_replaced_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its header and its tensors, and every time in the end."""
    path, other = tmp_path / "m.safetensors", tmp_path / "other.safetensors"
    Session("random:8").save(str(path))
    Session("random:9").save(str(other))
    usual, left = checkpoint.read_index, [1]

    def replaced(where: Path) -> Any:
        found = usual(where)
        if left[0]:
            left[0] -= 1
            (tmp_path / "new").write_bytes(other.read_bytes())
            (tmp_path / "new").replace(path)
        return found

    monkeypatch.setattr(checkpoint, "read_index", replaced)
    assert Session(str(path)).info().dims == (9,)
    left[0] = 1000
    with pytest.raises(CheckpointError, match="written again and again"):
        Session(str(path))


def test_processes_that_write_the_same_files_leave_whole_ones(tmp_path: Path) -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SAVER, f"random:{size}"], cwd=tmp_path, env=HERE, stderr=subprocess.PIPE
        )
        for size in (8, 9, 10)
    ]
    said = [process.communicate()[1].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    assert sorted(item.name for item in tmp_path.iterdir()) == ["m.safetensors", "r.json"]
    assert Session(tmp_path / "m.safetensors").info().dims[0] in (8, 9, 10)
    assert seal_holds(json.loads((tmp_path / "r.json").read_bytes()))
