"""``el report surgery`` of a pretrained model: the memories of its layers are edited, not landscapes.

Every cell (a concept, a layer, a seed) is written into DIR/cells as soon as it is examined, and is not examined again:
a study that was killed goes on with the same command.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energylang.files.storage import json_bytes, read_json, seal_holds, sealed, write_atomic

if TYPE_CHECKING:
    from energylang.studies.memories import MemoryCell

FORMAT, VERSION = "energylang memory study", 1
FILES = ("surgery.md", "surgery.json", "surgery.svg")
REPLIES = 64
READ = 200_000  # characters of a further text


def memory_surgery(args: argparse.Namespace) -> int:
    """Examine every cell that is not examined yet, and write the report; the exit code."""
    from energylang.sweeps.spread import in_order, one_thread
    from energylang.training.data import read_text

    if args.threads == 1:
        one_thread()
    others = tuple((path.stem, read_text(path)[:READ]) for path in args.text)
    prompts, kept = (
        _lines(read_text(path)) if path is not None else () for path in (args.prompts, args.kept)
    )
    cells, options = _cells(args, others, prompts, kept)
    (args.output / "cells").mkdir(exist_ok=True)
    found = {cell: _kept(args.output, cell) for cell in cells}
    before = sum(each is not None for each in found.values())
    if before:
        print(f"{before} of {len(cells)} cells are finished already", file=sys.stderr, flush=True)
    from energylang.studies.memories import examine_memory

    missing = [cell for cell in cells if found[cell] is None]
    done, summary = before, None
    for cell, result in zip(missing, in_order(examine_memory, missing, args.jobs), strict=True):
        row = {"concept": cell.concept, "layers": cell.where, "seed": cell.seed, **result}
        found[cell] = row
        _keep(args.output, cell, row)
        done += 1
        print(f"{done} of {len(cells)} cells: {cell.name}", file=sys.stderr, flush=True)
        summary = _write(args.output, options, found)
    summary = summary or _write(args.output, options, found)  # nothing was missing
    for bar in summary["bars"]:
        value = "not measurable" if bar["value"] is None else f"{bar['value']:+.3f}"
        asked = f"at {'most' if bar['most'] else 'least'} {bar['limit']:g}"
        print(f"{bar['name']:<52} {value:>8}  {asked:<14} {'met' if bar['met'] else 'missed'}")
    print(f"{'undone bit for bit':<52} {summary['undone']:>8}  of {summary['cells']}")
    print(args.output / FILES[0])
    return 0


def _cells(
    args: argparse.Namespace,
    others: tuple[tuple[str, str], ...],
    prompts: tuple[str, ...],
    kept: tuple[str, ...],
) -> tuple[list[MemoryCell], dict[str, Any]]:
    """The cells of a study in their order, and what was asked for."""
    from energylang.models.header import read_header
    from energylang.studies.memories import MemoryCell

    [model] = args.models
    places = args.layer or (((len(read_header(model).dims) - 1) // 2,),)
    seeds = [args.seed + k for k in range(args.seeds)]
    concepts = _concepts(args.concepts)
    cells = [
        MemoryCell(
            model, name, tuple(each["texts"]), tuple(each["contrasts"]), each["words"], layers, seed, args.damage,
            args.replies or REPLIES, args.placebos, args.threads, others,
            prompts, kept,
        )
        for seed in seeds for layers in places for name, each in concepts.items()
    ]  # fmt: skip
    named = list(dict.fromkeys(cell.where for cell in cells))
    options = {
        "model": model,
        "names": list(concepts),
        "concepts": None if args.concepts is None else str(args.concepts),
        "layers": named,
        "seeds": seeds,
        "damage": args.damage,
        "replies": args.replies or REPLIES,
        "placebos": args.placebos,
        "threads": args.threads,
        "command": _command(args, named),
    }
    return cells, options


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _concepts(path: Path | None) -> dict[str, dict[str, Any]]:
    """Texts, contrasts and a regular expression of words by concept: of a file, or the bundled ones."""
    from .concepts import read_concepts

    if path is not None:
        return {
            name: {
                "texts": each["texts"],
                "contrasts": each.get("contrasts", []),
                "words": rf"\b({'|'.join(each['markers'])})\b",
            }
            for name, each in read_concepts(path).items()
        }
    from energylang.models.pretrained.bundled import lines

    return {each["concept"]: each for each in map(json.loads, lines("concepts.jsonl"))}


def _place(folder: Path, cell: MemoryCell) -> Path:
    return folder / "cells" / f"{cell.concept}-{cell.where}-{cell.seed}.json"


def _identity(cell: MemoryCell) -> str:
    return hashlib.sha256(json.dumps(asdict(cell), sort_keys=True).encode()).hexdigest()


def _kept(folder: Path, cell: MemoryCell) -> dict[str, Any] | None:
    """What was found of this very cell before; ``None`` where nothing was, or it is damaged."""
    try:
        data = read_json(_place(folder, cell))
    except (OSError, ValueError):
        return None
    if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("version") != VERSION:
        return None
    if data.get("identity") != _identity(cell) or not seal_holds(data):
        return None
    found: dict[str, Any] = data["found"]
    return found


def _keep(folder: Path, cell: MemoryCell, found: dict[str, Any]) -> None:
    document = {"format": FORMAT, "version": VERSION, "identity": _identity(cell), "found": found}
    write_atomic(_place(folder, cell), json_bytes(sealed(json.loads(json.dumps(document))), indent=1))


def _write(
    folder: Path, options: dict[str, Any], found: dict[MemoryCell, dict[str, Any] | None]
) -> dict[str, Any]:
    """Summarise what is there, and write the files; the summary."""
    from energylang.render.memory_report import markdown, shares
    from energylang.studies.memory_summary import summarise

    cells = [each for each in found.values() if each is not None]
    waiting = [cell.name for cell, each in found.items() if each is None]
    study: dict[str, Any] = {
        "version": VERSION, "options": {**options, "waiting": waiting}, "cells": cells, "summary": summarise(cells),
    }  # fmt: skip
    image = None
    if cells and not waiting:
        image = _drawn(shares(study))
    if image is not None:
        write_atomic(folder / FILES[2], image)
    document = json.dumps(study, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    for name, written in zip(FILES, (markdown(study, picture=image is not None), document), strict=False):
        write_atomic(folder / name, written.encode("utf-8", "replace"))
    summary: dict[str, Any] = study["summary"]
    return summary


def _drawn(plot: Any) -> bytes | None:
    """The picture, where matplotlib is there to draw it."""
    from energylang.render.charts import image

    if plot is None:
        return None
    try:
        return image(plot, ".svg")
    except ImportError:
        print("no picture: pip install 'energylang[plot]'", file=sys.stderr)
        return None


def _command(args: argparse.Namespace, places: Sequence[str]) -> str:
    """The command line that makes the report again."""
    words = ["el", "report", "surgery", *args.models, "-o", str(args.output)]
    if args.concepts is not None:
        words += ["--concepts", str(args.concepts)]
    words += [word for path in args.text for word in ("--text", str(path))]
    for option, path in (("--prompts", args.prompts), ("--kept", args.kept)):
        words += [] if path is None else [option, str(path)]
    words += ["--layer", ",".join(places), "--damage", f"{100 * args.damage:g}%"]
    words += ["--replies", str(args.replies or REPLIES), "--placebos", str(args.placebos)]
    words += ["--seed", str(args.seed), "--seeds", str(args.seeds), "--threads", str(args.threads)]
    return shlex.join(words)
