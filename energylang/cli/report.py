"""``el report``: what can be said about a model, written down.

    el report surgery MODEL [MODEL …] -o DIR [--concepts FILE.json] [--layer L3|auto] [--method aimed|redirect]
        [--damage 2%] [--replies 256] [--doses 0.25,0.5,0.75,1,1.25] [--seed 0] [--threads 1]

    el report surgery PRETRAINED -o DIR [--concepts FILE.json] [--layer L10,L14,L12+L14] [--damage 2%] [--replies 64]
        [--placebos 3] [--text FILE] [--seed 0] [--seeds 1] [--threads 1] [--jobs 1]

    el report words MODEL [MODEL …] -o DIR --patterns FILE.json [--text FILE] [--layer L2] [--damage 1%]
        [--seed 0] [--jobs 1]

``words`` is its counterpart for plain text and writes words.md and words.json; ``surgery`` writes surgery.md,
surgery.json and surgery.svg into DIR. Both write after every model anew, so that an interruption loses no more than
the model it met. What can be wrong with the command line, the concepts, the models and DIR is
checked before the long computation begins. Exit codes: 0 the report is written (whatever it says), 1 the input cannot
be used, 2 usage, 130 interrupted. torch is imported when the command runs.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energylang.errors import ElError

if TYPE_CHECKING:
    from energylang.studies.transfer import Carried

VERSION = 1
FILES = ("surgery.md", "surgery.json", "surgery.svg")
WORD_FILES = ("words.md", "words.json")
DOSES = (0.25, 0.5, 0.75, 1.0, 1.25)
REPLIES = 256


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser], help: str = "") -> None:
    """Add ``report`` to the commands of ``el``."""
    report = subparsers.add_parser("report", help=help)
    kinds = report.add_subparsers(title="reports", metavar="REPORT", required=True)
    parser = kinds.add_parser(
        "surgery",
        help="can concepts be written into models and taken out of them?",
        description="Install and remove every concept in every model, against placebos, and write surgery.md, "
        "surgery.json and surgery.svg. Without --concepts the concepts are the registers of the bundled micro-world. "
        "With several models, each gets the concepts of the one before it too. A pretrained transformer has memories "
        "instead of landscapes: these are edited, at one layer or several, with one seed or several.",
    )
    parser.add_argument(
        "models", nargs="+", metavar="MODEL", help="dialogue models: a bundled name or a path"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="created if missing")
    parser.add_argument(
        "--concepts", type=Path, metavar="FILE.json", help="texts and marker words per concept"
    )
    parser.add_argument(
        "--layer",
        type=_layers,
        default=None,
        metavar="L3|auto",
        help="default: auto (memories: L10,L14+L16,…: those with a + are edited together)",
    )
    parser.add_argument("--method", choices=("aimed", "redirect"), default="aimed")
    parser.add_argument(
        "--damage",
        type=_damage,
        default=0.02,
        metavar="SHARE",
        help="how much the loss may rise (default 2%%)",
    )
    parser.add_argument(
        "--replies",
        type=_replies,
        default=None,
        metavar="N",
        help=f"per condition (default {REPLIES}), 8 N for removals; of memories 64",
    )
    parser.add_argument(
        "--doses", type=_doses, default=DOSES, metavar="D,D,…", help="default 0.25,0.5,0.75,1,1.25"
    )
    parser.add_argument(
        "--placebos", type=_placebos, default=3, metavar="N", help="memories: random values (default 3)"
    )
    parser.add_argument(
        "--text", type=Path, action="append", default=[], metavar="FILE",
        help="memories: measure the loss on this text, too (as often as there are texts)",
    )  # fmt: skip
    parser.add_argument(
        "--prompts", type=Path, metavar="FILE",
        help="memories: neutral prompts, one a line, instead of the bundled ones; every other one measures",
    )  # fmt: skip
    parser.add_argument(
        "--kept", type=Path, metavar="FILE", help="memories: and prompts to which the replies are to stay"
    )
    parser.add_argument(
        "--seeds", type=_threads, default=1, metavar="N", help="memories: so many seeds (default 1)"
    )
    _add_common(parser)
    parser.add_argument(
        "--jobs", type=_threads, default=1, metavar="N", help="memories: processes (default 1)"
    )
    parser.set_defaults(run=surgery)
    parser = kinds.add_parser(
        "words",
        help="can kinds of words be made likelier, or less likely, in plain text?",
        description="Aim an edit at the tokens that a pattern tells, on one half of held-out text, measure it on the "
        "other half against controls of equal norm, and write words.md and words.json.",
    )
    parser.add_argument("models", nargs="+", metavar="MODEL", help="paths of plain-text models")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="created if missing")
    parser.add_argument(
        "--patterns", type=Path, required=True, metavar="FILE.json", help="a regular expression per concept"
    )
    parser.add_argument("--text", type=Path, metavar="FILE", help="measure on this text instead")
    parser.add_argument("--layer", type=_layer, default=None, metavar="L2|auto", help="default: auto")
    parser.add_argument(
        "--damage",
        type=_damage,
        default=0.01,
        metavar="SHARE",
        help="how much the loss may rise (default 1%%)",
    )
    _add_common(parser)
    parser.add_argument(
        "--jobs",
        type=_threads,
        default=1,
        metavar="N",
        help="models at a time, each in a process (default 1)",
    )
    parser.set_defaults(run=words)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=_seed, default=0)
    parser.add_argument("--threads", type=_threads, default=1, help="processor threads (default 1)")


def surgery(args: argparse.Namespace) -> int:
    """Examine the models and write the report; returns the exit code."""
    from .concepts import micro_world, read_concepts, study_from

    concepts = read_concepts(args.concepts) if args.concepts is not None else None
    for place, model in enumerate(args.models):
        if model in args.models[:place]:
            raise ElError(f"{model} is named twice", hint="name every model once")
    if of_memories(args.models):
        from .memory_report import memory_surgery

        check_memory(args)
        prepare(args.output)
        return memory_surgery(args)
    check_landscapes(args)
    layer = args.layer[0][0] if args.layer else None
    replies = args.replies or REPLIES
    for model in args.models:
        check_model(model, layer)
    prepare(args.output)

    from energylang.studies.bench import Thoroughness
    from energylang.studies.surgery import examine

    study = micro_world(args.seed) if concepts is None else study_from(concepts)
    options = Thoroughness(
        layer=layer,
        method=args.method,
        doses=args.doses,
        damage=args.damage,
        replies=replies,
        local=max(1, replies // 4),
        seed=args.seed,
        threads=args.threads,
    )
    asked = {
        "models": list(args.models),
        "concepts": None if args.concepts is None else str(args.concepts),
        "layer": layer,
        "method": args.method,
        "doses": list(args.doses),
        "damage": options.damage,
        "removal_damage": options.removal_damage,
        "replies": options.replies,
        "removal_replies": options.replies * options.proportions,
        "local": options.local,
        "seed": args.seed,
        "threads": args.threads,
        "command": command(args),
    }
    found: list[dict[str, Any]] = []
    donor: Carried | None = None
    with _progress() as show:
        for model in args.models:
            result = examine(model, study, options, donor=donor, progress=show)
            donor = result.pop("carry")
            found.append(result)
            summary = write(args.output, {**asked, "waiting": args.models[len(found) :]}, found)
    _print(args.output, summary)
    return 0


def words(args: argparse.Namespace) -> int:
    """Study words in plain text and write the report; returns the exit code."""
    from energylang.files.storage import write_atomic
    from energylang.render.words import markdown
    from energylang.training.data import read_text

    from .concepts import read_patterns

    patterns = read_patterns(args.patterns)
    for model in args.models:
        check_model(model, args.layer, talks=False)
    text = None if args.text is None else read_text(args.text)
    prepare(args.output, WORD_FILES)

    from energylang.studies.words import WordStudy, examine_words
    from energylang.sweeps.spread import in_order

    layers = None if args.layer is None else (args.layer,)
    study = WordStudy(patterns, args.damage, layers, args.seed)
    line = ["el", "report", "words", *args.models, "-o", str(args.output), "--patterns", str(args.patterns)]
    line += [] if args.text is None else ["--text", str(args.text)]
    line += [] if args.layer is None else ["--layer", f"L{args.layer}"]
    line += ["--damage", f"{100 * args.damage:g}%", "--seed", str(args.seed), "--threads", str(args.threads)]
    found: dict[str, Any] = {
        "version": VERSION,
        "options": {
            "damage": args.damage,
            "text": None if args.text is None else str(args.text),
            "patterns": {name: pattern.pattern for name, pattern in patterns.items()},
            "command": shlex.join(line),
        },
        "models": [],
    }
    with _progress() as show:
        examine = partial(examine_words, study=study, text=text, threads=args.threads)
        if args.jobs == 1:
            examine = partial(examine, progress=show)
        for model, result in zip(args.models, in_order(examine, args.models, args.jobs), strict=True):
            show(f"{model} is done")
            found["models"].append(_finite(result))
            document = json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
            for name, written in zip(WORD_FILES, (markdown(found), document), strict=True):
                write_atomic(args.output / name, written.encode("utf-8", "replace"))
    print(f"{args.output / WORD_FILES[0]}, {WORD_FILES[1]}")
    return 0


def of_memories(models: Sequence[str]) -> bool:
    """Whether the first of the models is a pretrained one, which has memories and no landscapes. (The house's own
    transformer is there to be compared with.)"""
    from energylang.models.header import read_header

    header = read_header(models[0])
    return header.capabilities & {"memory", "landscape"} == {"memory"} and header.kind != "transformer"


def check_memory(args: argparse.Namespace) -> None:
    """Refuse what cannot be studied in the memories of a pretrained model, from its header alone."""
    from energylang.models.header import read_header

    model = args.models[0]
    if len(args.models) > 1:
        raise ElError("memories are studied in one model at a time", code="EL209", hint=f"name {model} alone")
    header = read_header(model)
    if not {"text", "dialogue"} <= header.capabilities:
        raise ElError(
            f"{model} holds no conversations: there are no replies whose concept could be counted",
            code="EL250",
            hint="use `effect` on a plain-text model",
        )
    for layer in (layer for layers in args.layer or () for layer in layers):
        if layer >= len(header.dims):
            raise ElError(
                f"there is no L{layer} in {model}", code="EL302", hint=f"it has L0 to L{len(header.dims) - 1}"
            )


def check_landscapes(args: argparse.Namespace) -> None:
    """Refuse what belongs to a study of memories."""
    for option, given in (
        ("--seeds", args.seeds != 1),
        ("--jobs", args.jobs != 1),
        ("--text", bool(args.text)),
        ("--prompts", args.prompts is not None),
        ("--kept", args.kept is not None),
    ):
        if given:
            raise ElError(f"{option} belongs to pretrained models", code="EL209", hint="leave it out")
    if args.layer and sum(map(len, args.layer)) > 1:
        raise ElError("landscapes are studied at one layer", code="EL209", hint="--layer L3, or auto")


def check_model(spec: str, layer: int | None, *, talks: bool = True) -> None:
    """Refuse a model that cannot be examined, from the header of its file alone; ``talks``: it must hold
    conversations, otherwise it must not."""
    from energylang.models.header import is_pt, parse_spec, read_header
    from energylang.models.index import read_index

    header = read_header(spec)
    if "text" not in header.capabilities:
        raise ElError(
            f"{spec} is only weights: it reads and writes no text, so there are no replies to count",
            code="EL250",
            hint="name a dialogue model, such as the bundled one: tiny",
        )
    if "landscape" not in header.capabilities:
        raise ElError(
            f"{spec} is a {header.kind} without Hopfield layers: there is no landscape to operate on",
            code="EL250",
            hint="train one with `el train --arch hlm`",
        )
    if layer is not None and layer >= len(header.dims):
        raise ElError(
            f"there is no L{layer} in {spec}", code="EL302", hint=f"it has L0 to L{len(header.dims) - 1}"
        )
    path = parse_spec(spec).path
    dialogue = None if is_pt(path) else read_index(path)[1].get("dialogue")
    if not talks and dialogue is not None:
        raise ElError(
            f"{spec} holds conversations: its replies can be counted",
            code="EL250",
            hint="use `el report surgery`",
        )
    if talks and not is_pt(path) and dialogue is None:
        raise ElError(
            f"{spec} holds no conversations: there are no replies whose concept could be counted",
            code="EL250",
            hint='train one with --turns "user:" "bot:"',
        )


def prepare(folder: Path, names: Sequence[str] = FILES) -> None:
    """Create the folder, and make sure that the files of the report can be written into it."""
    from energylang.files.storage import check_writable

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        if isinstance(error, FileExistsError):
            reason = "a file is in its place"
        raise ElError(
            f"the folder {folder} cannot be created: {reason}", code="EL504", hint="name another one with -o"
        ) from None
    for name in names:
        try:
            check_writable(folder / name)
        except ElError as error:
            raise ElError(error.message, code="EL504", hint="name another folder with -o") from None


def write(folder: Path, options: dict[str, Any], models: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Summarise, and write the three files; the summary."""
    from energylang.files.storage import write_atomic
    from energylang.render.surgery import markdown, svg
    from energylang.studies.surgery_summary import summarise

    study = _finite({"version": VERSION, "options": options, "models": list(models)})
    study["summary"] = summarise(study["models"])
    document = json.dumps(study, indent=2, ensure_ascii=False, allow_nan=False)
    for name, text in zip(FILES, (markdown(study), document + "\n", svg(study)), strict=True):
        write_atomic(folder / name, text.encode("utf-8", "replace"))
    return dict(study["summary"])


def command(args: argparse.Namespace) -> str:
    """The command line that makes the report again."""
    words = ["el", "report", "surgery", *args.models, "-o", str(args.output)]
    if args.concepts is not None:
        words += ["--concepts", str(args.concepts)]
    words += ["--layer", f"L{args.layer[0][0]}" if args.layer else "auto", "--method", args.method]
    words += ["--damage", f"{100 * args.damage:g}%", "--replies", str(args.replies or REPLIES)]
    if args.doses != DOSES:
        words += ["--doses", ",".join(f"{dose:g}" for dose in args.doses)]
    return shlex.join([*words, "--seed", str(args.seed), "--threads", str(args.threads)])


def _finite(value: Any) -> Any:
    """A JSON value without NaN and infinities: they become null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# --------------------------------------------------------------------------------------------- display


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """What is being done: one line that changes on a terminal, plain lines with the seconds otherwise."""
    from rich.console import Console

    console, started = Console(stderr=True), time.monotonic()
    if console.is_terminal:
        with console.status("loading") as status:
            yield lambda text: status.update(text.replace("[", "\\["))
    else:
        yield lambda text: print(f"{time.monotonic() - started:6.0f} s  {text}", file=sys.stderr, flush=True)


def _print(folder: Path, summary: dict[str, Any]) -> None:
    for name, verdict in summary["verdicts"].items():
        met = "met" if verdict["met"] else f"missed in {verdict['cases'] - verdict['cases_met']}"
        print(f"{name:<28} {met} of {verdict['cases']}" if not verdict["met"] else f"{name:<28} {met}")
    print(f"{folder / FILES[0]}, {FILES[1]}, {FILES[2]}")


# ------------------------------------------------------------------------------------- argument types


def _layer(text: str) -> int | None:
    number = text.removeprefix("L")
    if text == "auto":
        return None
    if not number.isdecimal() or len(number) > 4:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a layer, such as L3, nor auto")
    return int(number)


def _layers(text: str) -> tuple[tuple[int, ...], ...] | None:
    """Places to edit, each of one layer or of several together: ``L14,L12+L14+L16``."""
    if text == "auto":
        return None
    places = [[_layer(word) for word in place.split("+")] for place in text.split(",")]
    found = [tuple(sorted({layer for layer in place if layer is not None})) for place in places]
    if any(None in place for place in places):
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor a list of layers, such as L10,L14")
    return tuple(dict.fromkeys(found))


def _placebos(text: str) -> int:
    return _whole(text, 0, 100)


def _damage(text: str) -> float:
    number, percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    value = _number(number, float) / (100 if percent else 1)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share above 0, such as 2% or 0.02")
    return value


def _doses(text: str) -> tuple[float, ...]:
    found = tuple(sorted({_number(word, float) for word in text.split(",")}))
    if not all(0 < dose <= 10 for dose in found):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of doses above 0, such as 0.5,1")
    return found


def _replies(text: str) -> int:
    return _whole(text, 4, 100_000)


def _seed(text: str) -> int:
    return _whole(text, 0, 2**63 - 1)


def _threads(text: str) -> int:
    return _whole(text, 1, 1024)


def _whole(text: str, low: int, high: int) -> int:
    value = _number(text, int)
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
    return int(value)


def _number(text: str, kind: type[int] | type[float]) -> float:
    try:
        return kind(text)
    except ValueError:
        return math.nan
