"""The standard library: every module checks, is in canonical form, and does what its comments say."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energylang.checker import check
from energylang.cli.tools import formatted
from energylang.diagnostics.source import Source
from energylang.run.interpreter import ScriptError
from energylang.session import Session
from tests.real import fewer_random_edits

STDLIB = Path(__file__).parents[2] / "stdlib"
MODULES = sorted(path.stem for path in STDLIB.glob("*.el"))
FORCE = 'force=true reason="for the test"'


def test_the_modules_there_are() -> None:
    assert MODULES == ["audit", "causal", "consolidate", "controls", "persona", "statistics"]


@pytest.mark.parametrize("name", MODULES)
def test_a_module_checks_and_is_documented(name: str) -> None:
    assert check(f"import {name}\n").diagnostics == []
    source = Source((STDLIB / f"{name}.el").read_text(encoding="utf-8"), f"{name}.el")
    assert formatted(source) == source.text
    lines = source.text.splitlines()
    assert lines[0].startswith(f"# {name}.el: ")
    for number, line in enumerate(lines):
        if line.startswith("def "):
            assert lines[number - 1].startswith("#"), f"{line} is not explained"


@pytest.mark.parametrize("name", MODULES)
def test_the_example_at_the_top_checks(name: str) -> None:
    lines = (STDLIB / f"{name}.el").read_text(encoding="utf-8").splitlines()
    example = [line[6:] for line in lines[: lines.index("", 1)] if line.startswith("#     ")]
    found = [item for item in check("\n".join(example) + "\n").diagnostics if item.is_error]
    assert found == []


@pytest.fixture
def session() -> Session:
    made = Session("planted:64x4")
    made.run("survey L0")
    return made


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=8))
def test_mean_and_spread_are_those_of_python(xs: list[float]) -> None:
    made = Session()
    made.variables["xs"] = xs
    made.run("import statistics\nlet mean = (mean-of xs)\nlet std = (std-of xs)")
    size = max(abs(x) for x in xs) + 1e-6
    assert made.variables["mean"] == pytest.approx(statistics.fmean(xs), rel=1e-9, abs=1e-9 * size)
    assert made.variables["std"] == pytest.approx(statistics.stdev(xs), rel=1e-6, abs=1e-6 * size)


@pytest.mark.parametrize("line", ["mean-of []", "std-of [3]", "root-of (0 - 1)"])
def test_a_statistic_of_too_little_is_an_error(line: str) -> None:
    with pytest.raises(ScriptError):
        Session().run(f"import statistics\n{line}")


def test_causal_leaves_nothing_behind(session: Session) -> None:
    before = session.state
    session.run("import causal")
    assert session.run("knock-out L0.B0 strength=50%") >= 0
    assert session.run("knock-out-all L0 most=2") >= 0
    assert 0 <= session.run("leads-to L0.B0 L0.B2") <= 1
    assert session.state.layers == before.layers
    assert session.state.settings == before.settings


def test_controls_tell_a_basin_from_chance(session: Session) -> None:
    before = session.state
    session.run("import controls")
    assert session.run("better-than-chance L0 L0.B0") is True
    assert session.run("better-than-chance L0 seed 4711") is False
    lost, by_chance = session.run("removal-against-random L0.B0")
    assert lost >= 0
    assert by_chance >= 0
    assert session.run("stable-count L0 tolerance=100%") is True
    assert session.state.layers == before.layers


def test_consolidate_keeps_what_holds(session: Session) -> None:
    session.run("import consolidate")
    assert session.run("install-all L0 [1, 2]") == 0, "the gate refuses both"
    session.run("set max_changed 10%")
    kept = session.run("install-all L0 [1, 2]")
    assert 1 <= kept <= 2
    assert session.run("all-hold L0 [1]") is True
    assert session.run("make-live L0 most=100%") is True
    assert session.live_hash() == session.staged_hash() != session.original_hash
    session.run(f"remove L0.B0 strength=0.9 {FORCE}")
    assert session.run("make-live L0 most=0") is False
    assert session.status().is_original


def test_audit_stops_a_script(session: Session) -> None:
    session.run("import audit\naudit-undone\naudit-layers")
    with pytest.raises(ScriptError, match="no basin at seed 99"):
        session.run("audit-basin L0 seed=99")


@pytest.mark.slow
def test_persona_installs_or_leaves_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    fewer_random_edits(monkeypatch)
    session = Session("tiny")
    session.run(
        'import persona\nteach polite L3 ["Thank you so much, I am happy to help.", "It would be my pleasure."]'
    )
    before = session.state
    assert session.run("persona polite L3 least=1000") is False
    assert session.state is before
    installed = session.run("persona polite L3")
    assert (session.live_hash() != session.original_hash) is installed
    if installed:
        session.run('assert (persona-holds polite L3)\nhear-both "What should I do about the tulip?" L3')
        assert session.live_hash() == session.staged_hash()
