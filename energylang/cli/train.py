"""``el train``: a language model from a text file.

    el train CORPUS -o model.safetensors [--size micro|tiny|small|base] [--arch hlm|transformer]
        [--tokenizer char|bpe:1024|word] [--minutes M | --steps N] [--seed 0] [--threads 1]
        [--turns "user:" "bot:"] [--keep-checkpoints N] [--resume] [--json]

Exit codes: 0 trained, 1 the input cannot be used, 2 usage, 130 interrupted (the state is saved and the
way to resume is printed). Ctrl-C is noticed between two steps, never inside one. torch is imported when
the command runs, not when its parser is built.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from energylang.diagnostics.visible import as_json, escaped, in_line
from energylang.errors import ElError

if TYPE_CHECKING:
    from energylang.models.model import Model
    from energylang.training import train as training
    from energylang.training.report import Report

INTERRUPTED = 130


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser], help: str = "") -> None:
    """Add ``train`` to the commands of ``el``."""
    parser = subparsers.add_parser(
        "train",
        help=help,
        description="Train a language model whose predictions are read from an energy landscape. "
        "The last tenth of the corpus is held out and measures the result.",
    )
    parser.add_argument("corpus", type=Path, metavar="CORPUS", help="a UTF-8 text file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="model.safetensors")
    parser.add_argument("--size", choices=("micro", "tiny", "small", "base"), default="tiny")
    parser.add_argument("--arch", choices=("hlm", "transformer"), default="hlm")
    parser.add_argument("--tokenizer", type=_tokenizer, default="bpe:1024", metavar="char|word|bpe:N")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=_minutes, metavar="M", help="about this long (default 10)")
    length.add_argument("--steps", type=_steps, metavar="N", help="exactly this many steps")
    parser.add_argument("--seed", type=_seed, default=0)
    parser.add_argument("--threads", type=_steps, default=1, help="processor threads (default 1)")
    parser.add_argument(
        "--turns",
        nargs=2,
        metavar=("USER", "BOT"),
        default=(),
        help='turn markers, as in --turns "user:" "bot:"',
    )
    parser.add_argument(
        "--keep-checkpoints",
        type=_count,
        default=0,
        metavar="N",
        help="also keep N models on the way, evenly spaced, as FILE's name with .step000500 in it (default none)",
    )
    parser.add_argument("--resume", action="store_true", help="continue an interrupted training of FILE")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    tuning = parser.add_argument_group("tuning")
    tuning.add_argument("--learning-rate", type=_positive, default=3e-3, metavar="R")
    tuning.add_argument("--mode", choices=("release", "drive"), default="release", help="how a state settles")
    tuning.add_argument("--iterations", type=_steps, default=4, metavar="K", help="steps of settling")
    tuning.add_argument("--free", type=_seed, default=2, metavar="R", help="of these, without the drive")
    tuning.add_argument("--settle", type=_weight, default=2.0, metavar="λ", help="weight of the residual")
    tuning.add_argument(
        "--deeper", type=_positive, default=6.0, metavar="X", help="that of the last layer over the first's"
    )
    tuning.add_argument(
        "--noise", type=_weight, default=0.3, metavar="ε", help="noise a state must return from"
    )
    tuning.add_argument("--returning", type=_steps, default=8, metavar="m", help="steps in which it must")
    tuning.add_argument("--diversity", type=_weight, default=0.15, metavar="μ", help="weight of the overlap")
    tuning.add_argument("--awake", type=_weight, default=1.0, metavar="ν", help="weight of dullness")
    tuning.add_argument("--beta-floor", type=_positive, default=2.0, metavar="β", help="lowest β of a layer")
    tuning.add_argument("--decay", type=_weight, default=0.1, metavar="D", help="weight decay")
    tuning.add_argument(
        "--decisions",
        type=_positive,
        default=4.0,
        metavar="X",
        help="weight of the first token of a bot's turn",
    )
    tuning.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train as asked; returns the exit code."""
    from rich.console import Console

    errors = Console(stderr=True)
    try:
        from energylang.training import train as training

        options = training.Options(
            size=args.size,
            arch=args.arch,
            tokenizer=args.tokenizer,
            seed=args.seed,
            turns=tuple(args.turns),
            learning_rate=args.learning_rate,
            mode=args.mode,
            iterations=args.iterations,
            free=args.free,
            settle=args.settle,
            noise=args.noise,
            returning=args.returning,
            diversity=args.diversity,
            deeper=args.deeper,
            awake=args.awake,
            decisions=args.decisions,
            beta_floor=args.beta_floor,
            decay=args.decay,
            bfloat16=args.precision == "bfloat16" or (args.precision == "auto" and training.bfloat16_helps()),
        )
        started = time.monotonic()
        interrupted: training.Interrupted | None = None
        with _interruptible() as stopped, _display(args.json) as show:
            try:
                model, found = training.train(
                    args.corpus,
                    args.output,
                    options,
                    steps=args.steps,
                    minutes=args.minutes,
                    resume=args.resume,
                    threads=args.threads,
                    on_progress=show,
                    should_stop=stopped,
                    keep_checkpoints=args.keep_checkpoints,
                )
            except training.Interrupted as stop:
                interrupted = stop
        if interrupted is not None:
            command = f"el train {shlex.quote(str(args.corpus))} -o {shlex.quote(str(args.output))} --resume"
            if args.keep_checkpoints:
                command += f" --keep-checkpoints {args.keep_checkpoints}"
            errors.print(
                f"Stopped at step {interrupted.step} of {interrupted.steps}; "
                f"saved in {in_line(str(interrupted.path))}.\n"
                f"Continue with: {in_line(command)}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
            return INTERRUPTED
    except ElError as error:
        hint = f"\n  hint: {error.hint}" if error.hint else ""
        errors.print(
            escaped(f"error[{error.code}]: {error.message}{hint}"),
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        return 1
    kept = _checkpoints(args.output, model, args.keep_checkpoints)
    if args.json:
        summary = {
            "output": str(args.output),
            "checkpoints": kept,
            "parameters": model.header.parameters,
            **found.to_dict(),
        }
        print(as_json(summary))
    else:
        _print_report(found, args.output, model.header.parameters, time.monotonic() - started)
        if kept:
            print(f"on the way: {in_line(', '.join(Path(path).name for path in kept))}")
    return 0


def _checkpoints(output: Path, model: Model, count: int) -> list[str]:
    """The files that a training has kept on its way."""
    from energylang.training.train import checkpoint_path, checkpoint_steps

    training = model.metadata["training"]
    assert isinstance(training, dict)
    return [str(checkpoint_path(output, step)) for step in checkpoint_steps(training["steps"], count)]


# ------------------------------------------------------------------------------------- display


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """A function that says whether Ctrl-C or a termination was asked for; a second Ctrl-C is immediate."""
    asked: list[int] = []

    def note(number: int, _: object) -> None:
        if asked and number == signal.SIGINT:
            raise SystemExit(INTERRUPTED)
        asked.append(number)

    before = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _display(quiet: bool) -> Iterator[Callable[[training.Progress], None]]:
    """A progress bar on a terminal, a line now and then when piped, nothing with --json."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    console = Console(stderr=True)
    if quiet:
        yield lambda _: None
    elif console.is_terminal:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[facts]}"),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("training", total=None, facts="measuring")

            def update(at: training.Progress) -> None:
                bar.update(task, total=at.steps, completed=at.step, facts=_facts(at))

            yield update
    else:
        last = [0.0]

        def line(at: training.Progress) -> None:
            if at.step == at.steps or time.monotonic() - last[0] >= 5:
                last[0] = time.monotonic()
                print(f"step {at.step}/{at.steps}  {_facts(at)}", file=sys.stderr, flush=True)

        yield line


def _facts(at: training.Progress) -> str:
    minutes, seconds = divmod(int(at.seconds_left), 60)
    return (
        f"loss {at.loss:.3f}  residual {at.residual:.4f}  {at.tokens_per_second:,.0f} tokens/s  "
        f"{minutes}:{seconds:02d} left{'  saved' if at.saved else ''}"
    )


def _print_report(found: Report, output: Path, parameters: int, seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(
        f"{in_line(str(output))}  ({os.path.getsize(output) / 1e6:.2f} MB, {parameters:,} parameters, "
        f"{seconds / 60:.1f} minutes)\n"
        f"held-out loss {found.loss:.4f} nats/token, {found.loss_per_character:.4f} nats/char, "
        f"perplexity {found.perplexity:.2f} ({found.tokens:,} tokens)",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    if not found.layers:
        return
    table = Table()
    for title in ("layer", "d", "β", "basins: tokens", "basins: 500 random", "residual", "settled"):
        table.add_column(title, justify="right")
    for at in found.layers:
        table.add_row(
            str(at.layer),
            str(at.dim),
            f"{at.beta:.2f}",
            str(at.basins_visited),
            str(at.basins_random),
            f"{at.residual:.1e}",
            f"{at.settled:.0%}",
        )
    console.print(table)
    console.print(
        "residual: median of ‖tanh(βWf(x)) − x‖/‖x‖ over held-out states; "
        "settled: share within cosine 0.95 of its basin",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


# ----------------------------------------------------------------------------- argument types


def _number(text: str, kind: type[int] | type[float], low: float, high: float, what: str) -> float:
    try:
        value = kind(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return value


def _steps(text: str) -> int:
    return int(_number(text, int, 1, 10**9, "a whole number from 1"))


def _count(text: str) -> int:
    return int(_number(text, int, 0, 10_000, "a whole number from 0 to 10,000"))


def _seed(text: str) -> int:
    return int(_number(text, int, 0, 2**63 - 1, "a whole number from 0"))


def _minutes(text: str) -> float:
    return _number(text, float, 1e-3, 1e6, "a number of minutes above 0")


def _positive(text: str) -> float:
    return _number(text, float, 1e-9, 1e6, "a number above 0")


def _weight(text: str) -> float:
    return _number(text, float, 0, 1e6, "a number from 0")


def _tokenizer(text: str) -> str:
    kind, _, size = text.partition(":")
    if text in ("char", "word") or (kind == "bpe" and size.isdecimal() and 256 <= int(size) <= 65536):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is not char, word, or bpe:N with N from 256 to 65536")
