"""Files from strangers: whatever is in them, they are read, or refused in one message that names them; nothing in them
runs, nothing is written, and no more memory or time is spent than the file is worth. (Checkpoints in detail:
tests/models/test_bad_files.py. The long run of the same: benchmarks/fuzz_files.py.)"""

from __future__ import annotations

import faulthandler
import json
import os
import pickle
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from energylang import Session
from energylang.cli import main
from energylang.errors import CheckpointError, ElError
from energylang.files.storage import check_memory, read_bytes
from energylang.models import load, save
from energylang.models.tokenizer import Tokenizer, train_tokenizer
from energylang.repl import journal

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def fuzz_files(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("fuzz_files")


def test_hundreds_of_damaged_files_of_every_kind(fuzz_files: ModuleType) -> None:
    figures = fuzz_files.fuzz(340, 7)
    assert figures.findings == []
    assert sum(figures.outcomes.values()) == 340
    kinds = {name.split(":")[0] for name in figures.outcomes}
    assert len(kinds) >= 14, "every kind had its turn"
    assert any(name.endswith(": read") for name in figures.outcomes)


# --------------------------------------------------------------------------- not even files


def _commands(path: str) -> dict[str, list[str]]:
    return {
        "info": ["info", path],
        "replay": ["replay", path],
        "check": ["check", path],
        "run": ["run", path],
    }


@pytest.mark.parametrize("command", ["info", "replay", "check", "run"])
@pytest.mark.parametrize("what", ["fifo", "device", "folder", "loop", "nothing", "empty"])
def test_what_is_no_file_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, what: str
) -> None:
    path = tmp_path / {"info": "x.safetensors", "replay": "x.json"}.get(command, "x.el")
    if what == "fifo":
        os.mkfifo(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    elif what == "folder":
        path.mkdir()
    elif what == "loop":
        path.symlink_to(path)
    elif what == "empty":
        path.write_bytes(b"")
    code = main(_commands(str(path))[command])
    said = capsys.readouterr()
    if what == "empty" and command in ("check", "run"):
        assert code == 0  # an empty script does nothing
        return
    assert code == {"info": 1, "replay": 1}.get(command, 2)
    assert said.err.count("error[") == 1 and str(path) in said.err and "Traceback" not in said.err


@pytest.mark.parametrize(
    "line", ['import-concept "F"', 'capture-file L0 a "F"', 'benchmark "F"', 'replay "F"']
)
@pytest.mark.parametrize("what", ["fifo", "device", "folder"])
def test_operations_do_not_wait_for_a_pipe_either(tmp_path: Path, line: str, what: str) -> None:
    session = Session("tiny", base=tmp_path)
    path = tmp_path / "f.json"
    if what == "fifo":
        os.mkfifo(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(Exception, match=r"f\.json"):
        session.run(line.replace("F", "f.json"))


def test_an_input_that_is_larger_than_it_may_be_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    path.write_bytes(b"{}")
    os.truncate(path, 2**40)  # a hole: it takes no room on the disk
    for action in (
        lambda: Session(base=tmp_path).replay("large.json"),
        lambda: Session("random:8", base=tmp_path).import_concept("large.json"),
        lambda: journal.read(path),
        lambda: Session("tiny", base=tmp_path).benchmark("large.json"),
    ):
        with pytest.raises(ElError, match=r"large\.json.*larger than"):
            action()
    (tmp_path / "m.safetensors").write_bytes(b"x")
    os.truncate(tmp_path / "m.safetensors", 2**40)
    with pytest.raises(CheckpointError, match="larger than 64 GiB"):
        load(str(tmp_path / "m.safetensors"))


def test_memory_is_asked_for_before_it_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("energylang.files.storage.free_memory", lambda: 100 * 2**20)
    check_memory(2**20, "small")
    with pytest.raises(OSError, match="200 MiB of memory, and 100 MiB are free"):
        check_memory(200 * 2**20, "large")
    layers = 10
    header: dict[str, object] = {}
    at = 0
    for layer in range(layers):
        for name, shape in (("W", [4000, 4000]), ("log_beta", [])):
            size = 4 * 4000**2 if shape else 4
            header[f"blocks.{layer}.hopfield.{name}"] = {
                "dtype": "F32", "shape": shape, "data_offsets": [at, at + size],
            }  # fmt: skip
            at += size
    raw = json.dumps(header).encode()
    path = tmp_path / "sparse.safetensors"
    path.write_bytes(struct.pack("<Q", len(raw)) + raw)
    os.truncate(path, 8 + len(raw) + at)
    with pytest.raises(CheckpointError, match=r"sparse\.safetensors.*of memory, and 100 MiB are free"):
        load(str(path))
    with pytest.raises(ElError, match=r"1,000,000 starts of dimension 64 do not fit"):
        Session("random:64").survey(0, inits=1_000_000)
    with pytest.raises(ElError, match=r"surveys of 2 layers do not fit: it needs about .* GiB of memory"):
        Session("random:64x2").survey_all(inits=1_000_000)


# --------------------------------------------------------------------------- nothing runs, nothing is written


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.target}",)


def test_a_pickle_runs_nowhere(tmp_path: Path) -> None:
    target = tmp_path / "ran"
    raw = pickle.dumps(Bomb(target))
    torch.save({"states": Bomb(target)}, tmp_path / "zip")
    session = Session("random:8", base=tmp_path)
    for content in (raw, (tmp_path / "zip").read_bytes()):
        for name in (
            "m.pt",
            "m.pth",
            "m.bin",
            "m.safetensors",
            "c.json",
            "c.safetensors",
            "r.json",
            "s.jsonl",
        ):
            (tmp_path / name).write_bytes(content)
            for action in (
                lambda name=name: session.load(str(tmp_path / name)),
                lambda name=name: session.import_concept(name),
                lambda name=name: session.replay(name),
                lambda name=name: journal.read(tmp_path / name),
            ):
                with pytest.raises(ElError):
                    action()
    assert not target.exists()
    assert session.status().model == "random:8"


def _record(folder: Path, statements: str) -> dict[str, object]:
    session = Session("random:8", base=folder)
    session.run(statements)
    session.record("r.json")
    found: dict[str, object] = json.loads((folder / "r.json").read_text(encoding="utf-8"))
    return found


def test_a_record_overwrites_nothing(tmp_path: Path) -> None:
    _record(tmp_path, 'inject L0 42\nsave "mine.safetensors"\nload "mine.safetensors"')
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(b"something of mine")
    assert Session(base=tmp_path).replay("r.json").identical, (
        "what it wrote is read from where it was set aside"
    )
    assert mine.read_bytes() == b"something of mine"
    mine.unlink()
    assert Session(base=tmp_path).replay("r.json").identical
    assert not mine.exists()


def test_a_session_that_is_taken_up_overwrites_nothing(tmp_path: Path) -> None:
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(b"something of mine")
    log = journal.Journal(tmp_path, tmp_path)
    log.begin(f'load "random:8"\nsave "{mine}"\nif true:\n    save "{mine}"')
    log.end("done")
    log.close()
    session = Session(base=tmp_path)
    assert journal.take_up(session, journal.read(log.path)) == []
    assert session.status().model == "random:8"
    assert mine.read_bytes() == b"something of mine"


# --------------------------------------------------------------------------- checksums


def test_one_changed_bit_of_a_saved_model_is_noticed(tmp_path: Path) -> None:
    path = save(load("random:8"), tmp_path / "m.safetensors")
    data = bytearray(path.read_bytes())
    load(str(path))
    for place in (-1, -100, -200):
        changed = bytearray(data)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(CheckpointError, match="does not match its own checksum"):
            load(str(path))


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_one_changed_digit_of_a_concept_is_noticed(tmp_path: Path, suffix: str) -> None:
    session = Session("tiny", base=tmp_path)
    session.run(
        f'capture L0 mood "good morning"\nexport-concept mood "c{suffix}"\nimport-concept "c{suffix}"'
    )
    path = tmp_path / f"c{suffix}"
    raw = path.read_bytes().replace(b"good morning", b"food morning")
    path.write_bytes(raw)
    with pytest.raises(ElError, match="checksum"):
        session.import_concept(path.name)


def test_a_record_that_was_changed_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = _record(tmp_path, "inject L0 42")
    assert Session(base=tmp_path).replay("r.json").intact
    data["script"] = {"name": "another.el", "sha256": "0" * 64}
    (tmp_path / "r.json").write_text(json.dumps(data), encoding="utf-8")
    found = Session(base=tmp_path).replay("r.json")
    assert found.identical and not found.intact
    assert main(["replay", str(tmp_path / "r.json")]) == 1
    assert "checksum does not hold" in capsys.readouterr().out
    del data["sha256"]
    (tmp_path / "r.json").write_text(json.dumps(data), encoding="utf-8")
    assert Session(base=tmp_path).replay("r.json").intact, "without one there is nothing to compare"


# --------------------------------------------------------------------------- containers and tokenizers


def test_records_of_a_zip_that_overlap_are_refused(tmp_path: Path) -> None:
    state = {"blocks.0.hopfield.W": torch.eye(64), "blocks.0.hopfield.log_beta": torch.tensor(1.0)}
    torch.save(state, tmp_path / "m.pt")
    with zipfile.ZipFile(tmp_path / "m.pt") as source, zipfile.ZipFile(tmp_path / "bomb.pt", "w") as bomb:
        for item in source.infolist():
            bomb.writestr(item.filename, source.read(item.filename))
        largest = max(bomb.infolist(), key=lambda item: item.file_size)
        for number in range(1000):  # a thousand names for the same bytes
            again = zipfile.ZipInfo(f"m/data/{100 + number}")
            again.file_size, again.compress_size = largest.file_size, largest.compress_size
            again.CRC, again.header_offset = largest.CRC, largest.header_offset
            bomb.filelist.append(again)
    with pytest.raises(CheckpointError, match=r"bomb\.pt has records that overlap"):
        load(str(tmp_path / "bomb.pt"))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("ending", [b"\nx\n", b""])
def test_a_long_name_in_a_pickle_takes_no_time(tmp_path: Path, zipped: bool, ending: bytes) -> None:
    """torch alone needs seconds for a name of 4,400 letters; this one has two hundred thousand."""
    state = {"blocks.0.hopfield.W": torch.eye(4), "blocks.0.hopfield.log_beta": torch.tensor(1.0)}
    torch.save(state, tmp_path / "m.pt", _use_new_zipfile_serialization=zipped)
    long = b"c" + b"torch._utils." + b"9" * 200_000 + ending
    path = tmp_path / "long.pt"
    if zipped:
        with zipfile.ZipFile(tmp_path / "m.pt") as source, zipfile.ZipFile(path, "w") as target:
            for item in source.infolist():
                data = source.read(item)
                target.writestr(
                    item.filename, b"\x80\x02" + long + b"." if "data.pkl" in item.filename else data
                )
    else:
        data = (tmp_path / "m.pt").read_bytes()
        place = data.index(b"ctorch._utils")
        path.write_bytes(data[:place] + long + data[place:] if ending else data[:place] + long)
    faulthandler.dump_traceback_later(600, exit=True)  # a reader that stumbles here would need hours
    try:
        with pytest.raises(CheckpointError, match=r"long\.pt"):
            load(str(path))
    finally:
        faulthandler.cancel_dump_traceback_later()


def test_a_tokenizer_brings_no_patterns_of_its_own() -> None:
    described = train_tokenizer("bpe:260", "the cat sat on the mat").to_json()
    assert Tokenizer.from_json(described, "here").encode("the cat")
    state = json.loads(str(described["state"]))
    slow = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
    for part, value in (
        ("pre_tokenizer", slow),
        ("normalizer", {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": "b"}),
        ("decoder", {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": "b"}),
        ("added_tokens", [{"id": 0, "content": "x"}]),
        ("model", {**state["model"], "vocab": {**state["model"]["vocab"], "zz": 2**31}}),
        ("model", {**state["model"], "type": "Unigram"}),
        ("model", []),
    ):
        forged = {**described, "state": json.dumps({**state, part: value})}
        with pytest.raises(CheckpointError, match=r"here has an unreadable tokenizer: not a byte"):
            Tokenizer.from_json(forged, "here")


@pytest.mark.parametrize(
    "spec",
    [
        "random:" + "9" * 5000,
        "planted:9x" + "9" * 5000,
        "~nobody-at-all/x.pt",
        "x" * 5000,
        "a\0b.pt",
        "/",
        ".",
    ],
)
def test_names_of_models_that_cannot_be(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", spec]) == 1
    assert re.search(r"error\[EL501\]", capsys.readouterr().err)


def test_reading_stops_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"12345")
    assert read_bytes(path, 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_bytes(path, 4)
