"""Whatever is written, the checker answers with diagnostics; and what it accepts does not fail for want of them.

``EL_FUZZ=25`` makes all runs of this file 25 times as long, with other inputs each time.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_errors import CASES
from test_grammar import GOLDEN
from typed import Writer

from energylang.checker import check
from energylang.diagnostics import Diagnostic
from energylang.diagnostics.codes import CODES
from energylang.diagnostics.source import Source
from energylang.render.diagnostics import render_diagnostics
from energylang.run.interpreter import ScriptError
from energylang.session import Session

pytestmark = pytest.mark.usefixtures("in_tmp")  # programs write files
TIMES = int(os.environ.get("EL_FUZZ", "1"))
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RELAXED = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "database": None,
    "derandomize": TIMES == 1,
}

CORPUS = [
    *(case.script for case in CASES),
    *(case[1] for case in GOLDEN),
    *(
        path.read_text(encoding="utf-8")
        for path in sorted([*ROOT.glob("examples/*.el"), *ROOT.glob("stdlib/*.el")])
    ),
]
TOKENS = sorted(
    {word for script in CORPUS for word in script.split()} | set("()[]{}:;=\"#\\.,-+*/%<>@!\t\r\n'\0β\u2028")
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A script of the corpus in which characters, words and lines were deleted, doubled, swapped and put in."""
    text = draw(st.sampled_from(CORPUS))
    for _ in range(draw(st.integers(1, 4))):
        unit = draw(st.sampled_from(("character", "word", "line")))
        parts = (
            list(text)
            if unit == "character"
            else text.split(" ")
            if unit == "word"
            else text.splitlines(True)
        )
        if not parts:
            continue
        here, there = draw(st.integers(0, len(parts) - 1)), draw(st.integers(0, len(parts) - 1))
        action = draw(st.sampled_from(("delete", "insert", "double", "swap", "cut")))
        if action == "delete":
            del parts[here]
        elif action == "insert":
            parts.insert(here, draw(st.sampled_from(TOKENS)))
        elif action == "double":
            parts.insert(there, parts[here])
        elif action == "swap":
            parts[here], parts[there] = parts[there], parts[here]
        else:
            del parts[here : here + 5]
        text = (" " if unit == "word" else "").join(parts)
    return text


def examine(text: str) -> None:
    source = Source(text, "fuzz.el", HERE / "modules")
    found = check(source).diagnostics
    for item in found:
        assert item.code in CODES
        assert item.code != "EL599"
        assert item.message
        if item.span is not None and item.span.source is source:
            assert 0 <= item.span.start <= item.span.end <= len(text) + 1
            line, column = item.span.start_location()
            assert 1 <= line <= text.count("\n") + 1
            assert 1 <= column <= len(source.line(line)) + 2
        item.to_dict()
    render_diagnostics(found)
    again = check(Source(text, "fuzz.el", HERE / "modules")).diagnostics
    assert [item.to_dict() for item in found] == [item.to_dict() for item in again]


@settings(max_examples=600 * TIMES, **RELAXED)
@given(mutated())
def test_mutated_scripts_give_diagnostics_and_nothing_else(text: str) -> None:
    examine(text)


@settings(max_examples=200 * TIMES, **RELAXED)
@given(st.text(max_size=60) | st.lists(st.sampled_from(TOKENS), max_size=30).map(" ".join))
def test_any_text_gives_diagnostics_and_nothing_else(text: str) -> None:
    examine(text)


STATISTICS = {"accepted": 0, "rejected": 0, "failed": 0}


@settings(max_examples=150 * TIMES, **RELAXED)
@given(st.integers(0, 2**32), st.sampled_from((0.0, 0.0, 0.03)))
def test_what_the_checker_accepts_fails_only_for_reasons_of_the_run(seed: int, wild: float) -> None:
    is_sound(seed, wild)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_eight_hundred_programs_more(part: int) -> None:
    for seed in range(100 * part, 100 * (part + 1)):
        is_sound(seed, (0.0, 0.0, 0.03)[seed % 3])


def is_sound(seed: int, wild: float) -> None:
    """What the checker accepts of a program made at random fails only for reasons of the run."""
    script = Writer(Random(seed), wild).script()
    wrong = [item for item in check(script).diagnostics if item.is_error]
    STATISTICS["rejected" if wrong else "accepted"] += 1
    if wrong:
        return
    session = Session()
    try:
        session.run(script)
    except ScriptError as error:
        STATISTICS["failed"] += 1
        assert error.checked, script
        assert error.diagnostics
        for item in error.diagnostics:  # of several cells of a sweep
            report = f"{render_diagnostics([item])}\n{script}"
            assert item.code >= "EL500", report
            assert "no checkpoint" not in item.message, report  # all of them are named in the text
            assert not used_after_removal(session, item, script), report


def used_after_removal(session: Session, item: Diagnostic, script: str) -> bool:
    """Did it fail because a basin was used that the script had removed by its number? (One that another edit
    happened to lose is the run's business, and so is that `s.basins[0]` and `L0.B3` are the same one.)"""
    lost = re.match(r"(L\d+\.B\d+) was lost in edit (\d+)", item.message)
    if lost is None:
        return False
    edit = next((entry for entry in session.history().entries if entry.id == int(lost[2])), None)
    if edit is None or lost[1] not in item.span.text if item.span is not None else True:
        return False
    by_number = edit.statement.startswith("remove") and lost[1] in edit.statement and edit.statement in script
    return by_number and not re.search(r"remove [^L]", script)


def test_the_generated_programs_were_worth_it() -> None:
    """Most were accepted, and most of those ran to their end; else the test above shows little."""
    programs = STATISTICS["accepted"] + STATISTICS["rejected"]
    if programs < 150:
        pytest.skip("the tests above were not run, or most of them by another worker")
    assert STATISTICS["accepted"] >= 0.4 * programs
    assert STATISTICS["rejected"] >= programs / 20
    assert STATISTICS["failed"] < 0.6 * STATISTICS["accepted"]
