"""End writers at every moment, and look at what they leave.

    python benchmarks/crash.py --points 200 [--seed 0] [--json figures.json]

A *writer* puts one version of a file after another at the same path. It runs in a process of its own, which is

* killed (SIGKILL) after a random time, or just before its n-th call of the operating system;
* or, instead, told that the disk is full at its n-th call (a write that gets through by half first).

Afterwards the file has to be there, to load, and to be one of the versions, and a next write has to succeed. A journal
has to hold a beginning of what was written, up to the last event that was reported as written. What a crash of the
whole machine keeps is up to the file system; the order of the calls (write, sync, rename, sync the folder) is tested
in tests/test_crash_safety.py. Needs ``os.fork``.
"""

from __future__ import annotations

import argparse
import errno
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from findings import Figures, add_options

from energylang import Session
from energylang.errors import ElError
from energylang.files.storage import write_atomic
from energylang.models import load, save
from energylang.repl import journal
from energylang.training.data import Corpus
from energylang.training.train import Options, Trainer, state_path

CALLS = ("open", "write", "fsync", "replace", "close", "unlink")
TEXT = "the cat sat on the mat. a dog ran to the tree, and the bird sang of rain.\n" * 60
ENDLESS = 10**9


@dataclass(frozen=True)
class Writer:
    """``write(folder, k)`` writes version ``k``; ``found(folder)`` reads it, and raises what is wrong with it."""

    name: str
    write: Callable[[Path, int], None]
    found: Callable[[Path], object]


# ----------------------------------------------------------------------------------------------- writers


def writers() -> list[Writer]:
    """Everything that writes files which people would miss."""
    models = [load(f"random:{32 + k}") for k in range(2)]
    session = Session("planted:16x2")
    session.run("survey L0 inits=20\ninject L0 42")
    text = Session("tiny")
    text.run('capture L0 mood "good morning"\ncapture L0 mood "hello"')

    def concept(folder: Path, suffix: str, k: int) -> None:
        text.export_concept("mood", str(folder / f"c{suffix}"))

    def replayed(folder: Path) -> object:
        found = Session().replay(str(folder / "r.json"))
        assert (found.identical, found.intact) == (True, True)
        return found

    corpus = Corpus("corpus", "0" * 64, TEXT, TEXT)
    trainer = Trainer(corpus, Options(tokenizer="char"), ENDLESS)
    trainer.advance()

    def train(folder: Path, k: int) -> None:
        trainer.step = k
        write_atomic(state_path(folder / "t.safetensors"), trainer.state())

    return [
        Writer(
            "save",
            lambda folder, k: save(models[k % 2], folder / "m.safetensors") and None,
            lambda folder: load(str(folder / "m.safetensors")),
        ),
        Writer("record", lambda folder, k: session.record(str(folder / "r.json")) and None, replayed),
        Writer(
            "export-concept .json",
            lambda folder, k: concept(folder, ".json", k),
            lambda folder: text.import_concept(str(folder / "c.json")),
        ),
        Writer(
            "export-concept .safetensors",
            lambda folder, k: concept(folder, ".safetensors", k),
            lambda folder: text.import_concept(str(folder / "c.safetensors")),
        ),
        Writer(
            "training", train, lambda folder: Trainer.restore(corpus, state_path(folder / "t.safetensors"))
        ),
        Writer("journal", _log, _logged),
    ]


def _log(folder: Path, k: int) -> None:
    """Forty events of a journal; each is counted in a file of its own when it was reported as written."""
    for old in folder.glob("session-*"):
        os.remove(old)  # not among the calls that fail: it is no part of the writer
    log = journal.Journal(folder, folder)
    for number in range(40):
        log.begin(f'print "{number}"')
        if log.failure:
            raise ElError(log.failure)
        (folder / f"written-{k}").write_text(str(number), encoding="ascii")
    log.close()


def _logged(folder: Path) -> object:
    path = next(iter(folder.glob("session-*.jsonl")), None)
    if path is None or not path.stat().st_size:
        return None  # killed before its first line
    events = journal.read(path)
    texts = [event["text"] for event in events[1:]]
    assert texts == [f'print "{number}"' for number in range(len(texts))]
    return texts


# ----------------------------------------------------------------------------------------------- crashes


@contextmanager
def at_call(number: int, then: Callable[[str, Any, tuple[Any, ...]], Any]) -> Iterator[list[int]]:
    """Inside, the ``number``-th call of ``CALLS`` does ``then(name, function, arguments)`` instead; gives the count."""
    count, before = [0], {name: getattr(os, name) for name in CALLS}

    def counted(name: str, function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            count[0] += 1
            if count[0] == number:
                return then(name, function, arguments)
            return function(*arguments, **named)

        return call

    for name, function in before.items():
        setattr(os, name, counted(name, function))
    try:
        yield count
    finally:
        for name, function in before.items():
            setattr(os, name, function)


def full(name: str, function: Any, arguments: tuple[Any, ...]) -> Any:
    """The disk is full: half of what should be written gets through."""
    if name == "write":
        with suppress(OSError):
            function(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
    if name == "close":
        function(*arguments)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def killed_at(writer: Writer, folder: Path, *, after: float | None, call: int) -> bool:
    """Run a writer in a child and kill it after a time, or before a call; whether it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 0
        try:
            os.close(reading)
            devnull = os.open(os.devnull, os.O_WRONLY)
            os.dup2(devnull, 2)
            os.write(writing, b"x")
            with at_call(call, lambda name, function, arguments: os.kill(os.getpid(), signal.SIGKILL)):
                for k in range(ENDLESS if after is not None else 2):
                    writer.write(folder, k)
        except BaseException:  # noqa: BLE001 - a child ends here, whatever it was
            code = 3
        finally:
            os._exit(code)
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError(f"{writer.name} failed by itself")
    return os.WIFSIGNALED(status)


def crash(points: int, seed: int, only: str = "", longest: float = 0.05) -> Figures:
    """``points`` crashes of every writer: a third by time, a third by call, a third with a full disk."""
    torch.set_num_threads(1)
    figures = Figures()
    for writer in writers():
        if only not in writer.name:
            continue
        calls = _calls_of(writer)
        for number in range(points):
            draw = random.Random(f"{seed} {writer.name} {number}")
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                writer.write(folder, 1)  # there is an old file
                try:
                    _one(writer, folder, number % 3, draw, calls, longest, figures)
                except BaseException as error:
                    if isinstance(error, KeyboardInterrupt):
                        raise
                    figures.findings.append(f"{writer.name} #{number}: {type(error).__name__}: {error}")
    return figures


def _calls_of(writer: Writer) -> int:
    """How many calls it takes to write one version over another."""
    with tempfile.TemporaryDirectory() as name:
        writer.write(Path(name), 1)
        with at_call(ENDLESS, full) as count:
            writer.write(Path(name), 0)
    return count[0]


def _one(
    writer: Writer, folder: Path, way: int, draw: random.Random, calls: int, longest: float, figures: Figures
) -> None:
    if way == 0:
        killed_at(writer, folder, after=draw.random() * longest, call=ENDLESS)
        figures.outcomes[f"{writer.name}: killed after a time"] += 1
    elif way == 1:
        hit = killed_at(writer, folder, after=None, call=draw.randint(1, calls))
        figures.outcomes[f"{writer.name}: {'killed at a call' if hit else 'ended before'}"] += 1
    else:
        with at_call(draw.randint(1, calls), full):
            try:
                writer.write(folder, 0)
                outcome = "full disk not felt"
            except ElError as error:
                if "space" not in error.message:
                    raise
                outcome = "full disk refused"
        figures.outcomes[f"{writer.name}: {outcome}"] += 1
    writer.found(folder)
    writer.write(folder, 0)
    writer.found(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--points", type=int, default=200, help="crashes of every writer")
    add_options(parser, "writers")
    chosen = parser.parse_args()
    began = time.perf_counter()
    figures = crash(chosen.points, chosen.seed, chosen.only)
    crashes = sum(figures.outcomes.values())
    return figures.told(f"{crashes} crashes in {time.perf_counter() - began:.0f} s", chosen.json)


if __name__ == "__main__":
    sys.exit(main())
