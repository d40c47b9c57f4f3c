"""Call every operation with what nobody would give it, through every door.

    python benchmarks/fuzz_doors.py --count 40000 [--seed 0] [--only survey] [--json figures.json]

One or two arguments of an operation are replaced by hostile values (numbers beyond all bounds, texts that are no
Unicode, lists of themselves, tensors, objects …); the others are sound. The call goes through the Python method,
through a statement, through `attempt`, through a variable, or through `execute`. What may happen: a result, or one
``ElError`` or ``ScriptError`` whose codes are known and whose message names neither Python nor torch. After a failure
the weights are what they were. Everything else is a finding: another exception, EL599, minutes of time. The bounded
version is tests/test_hostile_arguments.py.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from findings import Figures, add_options

from energylang import Session
from energylang.diagnostics.codes import CODES
from energylang.errors import ElError
from energylang.ops import TABLE
from energylang.run.doors import ScriptError
from energylang.signature import types as t
from energylang.signature.declaration import Effect, Op, Param
from energylang.signature.values import BasinRef, ConceptName, Layer, Seed

SECONDS = 240
MODELS = ("planted:16x2", "random:8x2")
_ENDLESS: list[Any] = []
_ENDLESS.append(_ENDLESS)
_DEEP: list[Any] = []
for _ in range(3000):
    _DEEP = [_DEEP]

# fmt: off
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 7, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**400, -(10**400),
    0.0, -0.0, 0.5, -1.5, 1e-320, 1e-45, 1e308, -1e308, float("nan"), float("inf"), float("-inf"),
    "", " ", "x", "L0", "L9", "L0.B0", "L0.B99999999999999999999", "seed 3", "layers", "auto", "all", "none",
    "\0", "\ud800",
    "a\nb", "\x1b[2J", "../../etc/passwd", "/dev/zero", "a" * 5000, "9" * 5000, "é" * 300, "0", "1e999", "nan",
    "5%", "-3",
    "x.json", "x.safetensors", "x.pt", "x.png", "x.html", "x.gguf", "random:9", "tiny", "{x}", "\u202e",
    "$(id)", b"x", bytearray(2),
    [], [[]], [None], [1, "a"], [0, 0], ["L0.B0"], [-1], [2**70], [float("nan")], [1e308], (1,), (), {},
    {"a": 1}, {1, 2},
    range(3), range(10**12), _ENDLESS, _DEEP, object(), object, len, 3j, Decimal(2), Fraction(1, 3), Path("x"),
    Path("/"),
    np.float32(0.5), np.int64(3), np.float64("nan"), np.zeros(3), np.array(1), torch.tensor(2.0), torch.zeros(2, 2),
    torch.tensor(3), Layer(0), Layer(-1), Layer(10**30), BasinRef(0, 0), BasinRef(10**9, -3), ConceptName("polite"),
    ConceptName("\ud800"), Seed(3), Seed(-1), Seed(10**40), iter(()), memoryview(b"ab"), Exception("x"),
    NotImplemented, ...,
)
WORDS = (
    "none", "true", "0", "-1", "1", "9223372036854775808", "1" + "0" * 400, "0.5", "-2.5", "1e308", "1e-320",
    "200%", "-5%",
    '""', '"x"', '"\\u{0}"', '"\\u{202e}"', '"../x"', '"/dev/zero"', '"/proc/self/mem"', '"x.json"',
    '"x.safetensors"', '"tiny"',
    "L0", "L9", "L0.B0", "L0.B99999999999999999999", "L0.N3", "L0.H99", "layers", "auto", "all", "seed 3", "seed -1",
    "seed 99999999999999999999", "[]", "[[]]", "[L0]", "[L0.B0, L0.B0]", "[1, 2]", "[0.5]", '["a"]', "0..3",
    "5..1", "1..1000000",
    "polite", "nobody", "(1 / 0)", "(2 * 3)", "(not true)", "(info)", "(survey L0)", "(survey L0).basins", "é",
    "$", "x=1",
    '"{1 / 0}"', "last", "reply", "3..7", '"' + "y" * 3000 + '"',
)
# fmt: on


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Raise ``TimeoutError`` where something takes longer."""

    def late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def sound(param: Param, draw: random.Random) -> Any:
    """A value that a parameter takes."""
    low = param.minimum if param.minimum is not None else (param.above or 0)
    found: dict[Any, Any] = {
        t.LAYER: 0, t.LAYERS: [0], t.BASIN: "L0.B0", t.BASINS: ["L0.B0"], t.DIRECTION: draw.choice([3, "L0.B0"]),
        t.STRENGTH: 0.1, t.LABEL: "here", t.TEXT: "good morning", t.BOOL: True, t.STEPS: 1, t.VALUE: 1,
        t.INT: int(low) + 1, t.FLOAT: low + 0.1, t.CONCEPT: "polite", t.CONCEPTS: ["polite"],
    }  # fmt: skip
    if param.choices and (param.type not in found or draw.random() < 0.3):
        return draw.choice(list(param.choices))
    return found.get(param.type, draw.choice(VALUES[:20]))


def written(value: Any) -> str:
    """A sound value as a script has it."""
    if isinstance(value, list):
        return "[" + ", ".join(written(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and not re.fullmatch(r"L\d+(\.B\d+)?|polite|here|[a-z]+(-[a-z]+)*", value):
        return f'"{value}"'
    return str(value)


def session_for(model: str, folder: Path) -> Session:
    """A session in which much has been done already."""
    session = Session(model, base=folder)
    session.run(
        "set inits 8\nsurvey L0\nprotect L0.B0\nguard max-changed 50%\ninject L0 7 strength=0.02\ncheckpoint here"
    )
    if model == "tiny":
        session.capture(0, "polite", "good morning")
    return session


#: What takes minutes with sound arguments where there are words; elsewhere they are refused behind their arguments.
_HEAVY = frozenset(
    {
        "inject-concept",
        "remove-concept",
        "steer",
        "effect",
        "causal counterfactual",
        "causal across",
        "patch",
        "transplant",
    }
)


def mutant(op: Op, draw: random.Random) -> tuple[str, dict[str, Any], dict[str, str]]:
    """A door, and the arguments as Python values and as words."""
    door = draw.choice(("python", "python", "statement", "attempt", "variable", "execute"))
    values: dict[str, Any] = {}
    words: dict[str, str] = {}
    names = [param.name for param in op.params]
    spoilt = set(draw.sample(names, min(len(names), draw.choice((1, 1, 1, 2)))))
    for param in op.params:
        if param.name in spoilt:
            values[param.name], words[param.name] = draw.choice(VALUES), draw.choice(WORDS)
        elif param.required or draw.random() < 0.1:
            value = sound(param, draw)
            values[param.name], words[param.name] = value, written(value)
    return door, values, words


def call(session: Session, op: Op, door: str, values: dict[str, Any], words: dict[str, str]) -> None:
    if door == "python":
        getattr(session, op.method)(**values)
    elif door == "execute":
        session.execute(op, values)
    elif door == "variable":
        session.variables.update({f"v{k}": value for k, value in enumerate(values.values())})
        try:
            session.run(f"{op.name} " + " ".join(f"{name}=v{k}" for k, name in enumerate(values)))
        finally:
            for k in range(len(values)):
                session.variables.pop(f"v{k}", None)
    else:
        line = f"{op.name} " + " ".join(f"{name}={word}" for name, word in words.items())
        session.run(line if door == "statement" else f"attempt:\n    {line}\nelse:\n    print error")


def trial(session: Session, op: Op, number: str, figures: Figures) -> bool:
    """One call; what happened goes into ``figures``. Whether the session is still good for another."""
    draw = random.Random(number)
    door, values, words = mutant(op, draw)
    before = session.staged_hash(), session.live_hash()
    outcome, fault = "done", ""
    try:
        with within(SECONDS):
            call(session, op, door, values, words)
    except ElError as error:
        outcome, fault = "refused", _unclear(error.code, error.message)
    except ScriptError as error:
        outcome = "refused"
        fault = next((found for d in error.diagnostics if (found := _unclear(d.code, d.message))), "")
    except TimeoutError:
        fault = f"took more than {SECONDS} s"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        fault = f"{type(error).__name__}: {str(error)[:200]}"
    if outcome == "refused" and session.has_model and (session.staged_hash(), session.live_hash()) != before:
        fault = fault or "it was refused and changed the weights"
    figures.outcomes[f"{door}: {'FINDING' if fault else outcome}"] += 1
    if fault:
        given = words if door in ("statement", "attempt") else values
        figures.findings.append(f"{op.name} #{number} by {door} {_short(given)}: {fault}")
        sys.stderr.write(f"{figures.findings[-1]}\n".encode("utf-8", "backslashreplace").decode())
    return outcome == "refused" and not fault


def _short(given: dict[str, Any]) -> str:
    parts = []
    for name, value in given.items():
        try:
            parts.append(f"{name}={value!a:.80}")
        except RecursionError:
            parts.append(f"{name}=(deep)")
    return ", ".join(parts)


_FOREIGN = re.compile(
    r"Traceback|object at 0x|aten::|torch\.|numpy\.|<class|TypeError|ValueError|Expected |not subscriptable|NoneType"
)


def _unclear(code: str, message: str) -> str:
    if code not in CODES or code == "EL599":
        return f"code {code}: {message[:300]}"
    if not message or len(message) > 10_000:
        return f"a message of {len(message)} characters"
    return f"unclear message: {message[:300]}" if _FOREIGN.search(message) else ""


def fuzz(count: int, seed: int, only: str = "") -> Figures:
    """``count`` calls, in turn of every operation."""
    figures = Figures()
    torch.set_num_threads(1)
    ops = [op for op in TABLE.values() if only in op.name]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sessions: dict[str, Session] = {}
        used: dict[str, int] = {}
        for number in range(count):
            op = ops[number % len(ops)]
            draw = random.Random(f"{seed} {number}")
            model = draw.choice(MODELS)
            if op.effects & Effect.TEXT and op.name not in _HEAVY and draw.random() < 0.3:
                model = "tiny"
            if model not in sessions:
                sessions[model], used[model] = session_for(model, folder), 0
            used[model] += 1
            kept = trial(sessions[model], op, f"{seed} {number}", figures)
            fits = sessions[model].has_model and sessions[model].model.spec == model
            if not fits or (used[model] > 400 and not kept):
                del sessions[model]
            if number % 1000 == 999:
                sys.stderr.write(f"{number + 1} calls, {len(figures.findings)} findings\n")
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=40_000)
    add_options(parser, "operations")
    chosen = parser.parse_args()
    began = time.perf_counter()
    figures = fuzz(chosen.count, chosen.seed, chosen.only)
    return figures.told(f"{chosen.count} calls in {time.perf_counter() - began:.0f} s", chosen.json)


if __name__ == "__main__":
    sys.exit(main())
