"""Damage files, at random, and hand them to everything that reads files.

    python benchmarks/fuzz_files.py --count 20000 [--seed 0] [--json figures.json]

One sound file of every kind is made (``samples``), damaged in a dozen ways (``damage``) and given to its loader. What
may happen: it is read, or refused with an ``ElError`` that names the file. Everything else is a finding: another
exception, a message without the file, a second of time too many, memory out of proportion, a file written that was
not asked for. The bounded version is tests/test_hostile_files.py.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import resource
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from findings import Figures, add_options
from safetensors.torch import save as to_bytes

from energylang import Session
from energylang.cli.concepts import read_concepts
from energylang.concepts import published
from energylang.errors import ElError
from energylang.files.storage import sealed
from energylang.models import header, load
from energylang.models.checkpoint import serialise
from energylang.models.hopfield.network import HLMConfig, initial
from energylang.models.hopfield.sandbox import generator
from energylang.models.index import METADATA_KEY
from energylang.models.tokenizer import Tokenizer, train_tokenizer
from energylang.repl import journal
from energylang.training.data import read_corpus
from energylang.training.train import Options, Trainer

SLOW = 20.0  # seconds for one file, on a busy machine
GROWTH = 2**30  # bytes that one file of a few kilobytes may not take
NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    7,
    255,
    256,
    2**31 - 1,
    2**31,
    2**32,
    2**53,
    2**60,
    2**63 - 1,
    2**63,
    2**64,
    -(2**63),
)
VALUES: tuple[Any, ...] = (
    None, True, False, "", "x", "\0", "\ud800", "../../etc/passwd", [], {}, [[]], [None], 1.5, -1.5, 1e308,
    float("nan"), float("inf"), 10**400, "9" * 5000, *NUMBERS,
)  # fmt: skip
WORDS = (
    b"NaN", b"-Infinity", b"1e999", b"null", b"[]", b"{}", b"[" * 3000, b'{"a":' * 3000, b'"', b"\\", b"\0",
    b"\xff\xfe", b"\xed\xa0\x80", b"PK\x03\x04", b"\x80\x02", b"cposix\nsystem\n", b"F64",
    b"I8", b"9" * 4400, b"\n", b",", b"-0",
)  # fmt: skip
TEXT = "the cat sat on the mat. a dog ran to the tree, and the bird sang of rain.\n" * 60


@dataclass(frozen=True)
class Kind:
    """A kind of file: its name, a sound one, and what reads it."""

    name: str
    suffix: str
    sound: bytes
    read: Callable[[Path], object]
    again: Callable[[bytes], bytes] = field(default=lambda data: data)
    """Signs a damaged file anew, so that what lies behind its checksum is met too."""


# ------------------------------------------------------------------------------------------------ damage


def damage(data: bytes, draw: random.Random, other: bytes) -> bytes:
    """``data`` with one to four wounds."""
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        data = draw.choice(_WAYS)(data, draw, other)
    return data


def _flip(data: bytes, draw: random.Random, other: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice((1, 2, 16))):
        if changed:
            changed[_early(len(changed), draw)] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _cut(data: bytes, draw: random.Random, other: bytes) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def _extend(data: bytes, draw: random.Random, other: bytes) -> bytes:
    return data + draw.choice((b"\0", b"\n", draw.randbytes(9), data[: draw.randrange(len(data) + 1)]))


def _remove(data: bytes, draw: random.Random, other: bytes) -> bytes:
    start = _early(len(data), draw)
    return data[:start] + data[start + draw.choice((1, 4, 100)) :]


def _repeat(data: bytes, draw: random.Random, other: bytes) -> bytes:
    start = _early(len(data), draw)
    piece = data[start : start + draw.choice((1, 8, 200))]
    return data[:start] + piece * draw.choice((2, 50)) + data[start:]


def _zeros(data: bytes, draw: random.Random, other: bytes) -> bytes:
    start, size = _early(len(data), draw), draw.choice((4, 64, 4096))
    return (
        data[:start] + draw.choice((b"\0", b"\xff")) * len(data[start : start + size]) + data[start + size :]
    )


def _number(data: bytes, draw: random.Random, other: bytes) -> bytes:
    start = draw.choice((0, _early(len(data), draw)))
    raw = struct.pack("<Q", draw.choice(NUMBERS) % 2**64)[: draw.choice((1, 2, 4, 8))]
    return data[:start] + raw + data[start + len(raw) :]


def _word(data: bytes, draw: random.Random, other: bytes) -> bytes:
    start = _early(len(data), draw)
    return data[:start] + draw.choice(WORDS) + data[start + draw.choice((0, 0, 1, 4)) :]


def _splice(data: bytes, draw: random.Random, other: bytes) -> bytes:
    return data[: _early(len(data), draw)] + other[_early(len(other), draw) :]


def _header(data: bytes, draw: random.Random, other: bytes) -> bytes:
    """The JSON in the header of a safetensors file with a value changed, and its length put right."""
    with suppress(ValueError, struct.error, RecursionError, AttributeError, TypeError):
        (length,) = struct.unpack("<Q", data[:8])
        described = json.loads(data[8 : 8 + length])
        inner = described.get("__metadata__", {}).get(METADATA_KEY)
        if inner is not None and draw.random() < 0.6:
            described["__metadata__"][METADATA_KEY] = json.dumps(_changed(json.loads(inner), draw))
        else:
            described = _changed(described, draw)
        raw = json.dumps(described).encode("utf-8", "surrogatepass")
        return struct.pack("<Q", len(raw)) + raw + data[8 + length :]
    return _json(data, draw, other)


def _json(data: bytes, draw: random.Random, other: bytes) -> bytes:
    """A JSON file (or a line of one) with a value changed."""
    lines = data.split(b"\n")
    for number in draw.sample(range(len(lines)), len(lines)):
        with suppress(ValueError, RecursionError):
            lines[number] = json.dumps(_changed(json.loads(lines[number]), draw)).encode(
                "utf-8", "surrogatepass"
            )
            return b"\n".join(lines)
    with suppress(ValueError, RecursionError):
        return json.dumps(_changed(json.loads(data), draw)).encode("utf-8", "surrogatepass")
    return _word(data, draw, other)


_WAYS = (
    _flip,
    _cut,
    _extend,
    _remove,
    _repeat,
    _zeros,
    _number,
    _word,
    _splice,
    _header,
    _header,
    _json,
    _json,
)


def _early(length: int, draw: random.Random) -> int:
    """A place, more often near the beginning, where files say what they are."""
    return min(max(0, length - 1), int(length * draw.random() ** draw.choice((1, 3))))


def _changed(value: Any, draw: random.Random) -> Any:
    """A JSON value with one of its parts replaced, removed, renamed or repeated."""
    places = list(_places(value))
    if not places:
        return draw.choice(VALUES)
    container, key = draw.choice(places)
    way = draw.randrange(6)
    if way == 0:
        del container[key]
    elif way == 1 and isinstance(container, dict):
        container[draw.choice(("", "x", "extra.x", "blocks.99999999999.hopfield.W", key + "x"))] = (
            container.pop(key)
        )
    elif way == 2 and isinstance(container, list):
        container.extend([container[key]] * draw.choice((1, 1000)))
    elif way == 3:
        container[key] = [container[key]]
    else:
        container[key] = draw.choice(VALUES)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from _places(inner)


# ----------------------------------------------------------------------------------------------- samples


def samples(folder: Path) -> list[Kind]:
    """A sound file of every kind, and what reads it."""
    tokenizers = {
        kind: train_tokenizer(kind, TEXT, ("user:", "bot:")) for kind in ("char", "word", "bpe:260")
    }
    models = {name: _model(tokenizer) for name, tokenizer in tokenizers.items()}
    session = Session("planted:16x2", base=folder)
    session.run("survey L0 inits=20\ninject L0 42\nset inits 30\nundo\nrecord record.json")
    (folder / "word.safetensors").write_bytes(models["word"])
    text = Session("word.safetensors", base=folder)
    text.run('capture L0 mood "the cat sat"\ncapture L0 mood "a dog ran"')
    for name in ("concept.json", "concept.safetensors"):
        text.export_concept("mood", name)
    weights = {
        "blocks.0.hopfield.W": torch.eye(4), "blocks.0.hopfield.log_beta": torch.tensor(1.0),
        "blocks.10.hopfield.W": torch.ones(4, 4), "blocks.10.hopfield.log_beta": torch.tensor([1.0]),
    }  # fmt: skip
    for name, zipped in (("new.pt", True), ("old.pt", False)):
        torch.save({"model_state": weights, "epoch": 3}, folder / name, _use_new_zipfile_serialization=zipped)
    np.savez(folder / "arrays.npz", **{name: tensor.numpy() for name, tensor in weights.items()})
    shards = {name: f"m-0000{1 if '.0.' in name else 2}-of-00002.safetensors" for name in weights}
    for shard in set(shards.values()):
        (folder / shard).write_bytes(to_bytes({n: t for n, t in weights.items() if shards[n] == shard}))
    (folder / "m.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": shards}))
    concept = {"name": "mood", "states": [torch.ones(16)], "centroid": torch.ones(16), "layer": 0}
    torch.save({"concepts": {"mood": concept}, "model_state": weights}, folder / "published.pt")
    log = journal.Journal(folder, folder)
    for line in ('load "random:8"', "survey L0 inits=5", "inject L0 42"):
        log.begin(line)
        log.operation({"operation": "info", "arguments": {}, "statement": "info", "at": 0, "status": "OK"})
        log.end("done")
    log.close()
    (folder / "corpus.txt").write_text(TEXT, encoding="utf-8")
    corpus = read_corpus(folder / "corpus.txt")
    study = {name: {"texts": ["a b"], "markers": [name], "contexts": ["c"]} for name in ("sun", "rain")}
    (folder / "study.json").write_text(json.dumps(study), encoding="utf-8")

    def take(name: str) -> bytes:
        return (folder / name).read_bytes()

    def model(path: Path) -> object:
        with suppress(ElError):
            header.read_header(str(path))
        return load(str(path))

    kinds = [Kind(f"model {name}", ".safetensors", data, model) for name, data in models.items()]
    kinds += [
        Kind("weights", ".safetensors", to_bytes(weights), model),
        Kind("weights .pt", ".pt", take("new.pt"), model),
        Kind("weights .pt, old format", ".pt", take("old.pt"), model),
        Kind("weights .npz", ".npz", take("arrays.npz"), model),
        Kind("index of shards", ".index.json", take("m.safetensors.index.json"), model),
        Kind("published .pt", ".pt", take("published.pt"), published.read_published),
        Kind("concept .json", ".json", take("concept.json"), lambda path: text.import_concept(str(path)), resealed),
        Kind("concept .safetensors", ".safetensors", take("concept.safetensors"),
             lambda path: text.import_concept(str(path))),
        Kind("record", ".json", take("record.json"), lambda path: Session(base=folder).replay(str(path))),
        Kind("journal", ".jsonl", log.path.read_bytes(), _taken_up, chained),
        Kind("corpus", ".txt", take("corpus.txt"), read_corpus),
        Kind("concepts of a study", ".json", take("study.json"), read_concepts),
        Kind("training", ".train", Trainer(corpus, Options(tokenizer="char"), 3).state(),
             lambda path: Trainer.restore(corpus, path)),
    ]  # fmt: skip
    for name, tokenizer in tokenizers.items():
        kinds.append(Kind(f"tokenizer {name}", ".json", json.dumps(tokenizer.to_json()).encode(), _tokenizer))
    return kinds


def _model(tokenizer: Tokenizer) -> bytes:
    config = HLMConfig(tokenizer.size, context=16, layers=2, width=8, dim=16, heads=2, steps=2)
    metadata = {
        "version": 1,
        "kind": "hlm",
        "config": dataclasses.asdict(config),
        "tokenizer": tokenizer.to_json(),
        "dialogue": ["user:", "bot:"],
        "neutral_prompts": ["hello", "the cat"],
    }
    heldout = torch.tensor(tokenizer.encode(TEXT[:600]), dtype=torch.int32)
    return b"".join(serialise({**initial(config, generator("fuzz", 0)), "extra.heldout": heldout}, metadata))


def _tokenizer(path: Path) -> object:
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None  # inside of a model file it is JSON already
    found = Tokenizer.from_json(value, str(path))
    return found.decode([i for i in found.encode(TEXT[:80]) if i < found.size])


def _taken_up(path: Path) -> object:
    return journal.take_up(Session(base=path.parent), journal.read(path))


def chained(data: bytes) -> bytes:
    """A journal with its checksums computed anew."""
    lines, before = [], ""
    for line in data.split(b"\n"):
        with suppress(ValueError, RecursionError, TypeError, AttributeError):
            event = json.loads(line)
            before = event["sum"] = journal.chained(before, event)
            line = json.dumps(event).encode()
        lines.append(line)
    return b"\n".join(lines)


def resealed(data: bytes) -> bytes:
    """A JSON object with its checksum computed anew."""
    with suppress(ValueError, RecursionError, TypeError, AttributeError):
        return json.dumps(sealed(json.loads(data))).encode()
    return data


# ------------------------------------------------------------------------------------------------- trial


@dataclass
class FileFigures(Figures):
    """What became of the files: the slowest (s), and the largest growth of memory (bytes)."""

    slowest: float = 0.0
    growth: int = 0


def trial(
    kind: Kind, number: int, seed: int, folder: Path, others: list[bytes], figures: FileFigures
) -> None:
    """Damage one file and read it; what happened goes into ``figures``."""
    draw = random.Random(f"{seed} {kind.name} {number}")
    data = damage(kind.sound, draw, draw.choice(others))
    if draw.random() < 0.5:
        data = kind.again(data)
    path = folder / f"case{kind.suffix}"
    path.write_bytes(data)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    try:
        kind.read(path)
        outcome = "read"
    except ElError as error:
        outcome = "refused"
        named = path.name in error.message
        if not named or "Traceback" in error.message or len(error.message) > 2000:
            outcome = f"unclear message: {error.message[:200]}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        outcome = f"{type(error).__name__}: {str(error)[:200]}"
    seconds = time.perf_counter() - began
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    figures.slowest, figures.growth = max(figures.slowest, seconds), max(figures.growth, grown)
    if seconds > SLOW:
        outcome = f"took {seconds:.1f} s"
    if grown > GROWTH:
        outcome = f"took {grown / 2**20:.0f} MiB"
    figures.outcomes[f"{kind.name}: {outcome if outcome in ('read', 'refused') else 'FINDING'}"] += 1
    if outcome not in ("read", "refused"):
        figures.findings.append(f"{kind.name} #{number}: {outcome}")
        sys.stderr.write(f"{figures.findings[-1]}\n")


def fuzz(count: int, seed: int, only: str = "") -> FileFigures:
    """Read ``count`` damaged files, in turn of every kind."""
    figures = FileFigures()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kinds = [kind for kind in samples(folder) if only in kind.name]
        listed = {item.name for item in folder.iterdir()}
        others = [kind.sound for kind in kinds]
        for number in range(count):
            trial(kinds[number % len(kinds)], number, seed, folder, others, figures)
            if number % 1000 == 999:
                sys.stderr.write(f"{number + 1} files, {len(figures.findings)} findings\n")
        written = {item.name for item in folder.iterdir()} - listed - {f"case{kind.suffix}" for kind in kinds}
        figures.findings += [f"a file was written: {item}" for item in sorted(written)]
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    add_options(parser, "kinds")
    chosen = parser.parse_args()
    began = time.perf_counter()
    figures = fuzz(chosen.count, chosen.seed, chosen.only)
    return figures.told(
        f"{chosen.count} files in {time.perf_counter() - began:.0f} s, slowest {figures.slowest:.2f} s, largest growth "
        f"{figures.growth / 2**20:.0f} MiB",
        chosen.json,
    )


if __name__ == "__main__":
    sys.exit(main())
