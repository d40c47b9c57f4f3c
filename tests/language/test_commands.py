"""The command line: keep going, watch, JSON; and scripts of the published tool."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from energylang.checker import check
from energylang.cli import main
from energylang.cli.tools import watch
from energylang.diagnostics.source import Source
from energylang.ops import TABLE
from energylang.ops.spelling import ALIASES, operation_named
from energylang.session import Session


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_keep_going_reports_all_and_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.el").write_text(
        "load random:16\nlet s = (survey L0).basins[999]\nprint 1\nprint s\nrequire 1 > 2\n"
        "print 2\nlet t = s\nt = s\n"
    )
    assert main(["run", "a.el"]) == 1
    assert capsys.readouterr().out.splitlines()[-1:] != ["2"]
    assert main(["run", "--keep-going", "a.el"]) == 1
    printed = capsys.readouterr()
    assert [line for line in printed.out.splitlines() if line in ("1", "2")] == ["1", "2"]
    assert [line[:12] for line in printed.err.splitlines() if line.startswith("error")] == [
        "error[EL521]", "error[EL523]", "error[EL520]", "error[EL523]", "error[EL523]"
    ]  # fmt: skip
    assert "5 errors" in printed.err
    assert main(["run", "--keep-going", "--json", "a.el"]) == 1
    assert len(json.loads(capsys.readouterr().out)["diagnostics"]) == 5


def test_an_error_shows_the_way_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.el").write_text(
        "def inner(n: Int):\n    print 1 / n\ndef outer():\n    for i in [1, 0]:\n        inner i\nouter\n"
    )
    assert main(["run", "a.el"]) == 1
    printed = capsys.readouterr().err
    assert "error[EL521]: division by zero" in printed
    assert [line for line in printed.splitlines() if "here" in line or "round" in line] == [
        "  |     --- in the round with i = 0".replace("    ---", "        -"),
        "  |         ------- in `inner`, called here",
        "  | ----- in `outer`, called here",
    ]


def test_watch_checks_again_when_a_file_changes() -> None:
    path = Path("a.el")
    path.write_text("survey L0\n")
    seen: list[str] = []
    steps = iter(["", "load random:8\nsurvey L0\n", "", "let = 1\n", "stop"])

    def check_once() -> int:
        seen.append(path.read_text())
        return len(seen)

    def wait(seconds: float) -> None:
        assert 0 < seconds < 1
        step = next(steps)
        if step == "stop":
            raise KeyboardInterrupt
        if step:
            path.write_text(step)

    assert watch(["a.el"], check_once, wait=wait) == 3
    assert seen == ["survey L0\n", "load random:8\nsurvey L0\n", "let = 1\n"]
    assert main(["check", "--watch", "-"]) == 2


def test_everything_speaks_json(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.el").write_text("load random:8\nsurvey   L0\n")
    for call, kind in (
        (["ops", "--json"], list), (["ops", "survey", "--json"], dict), (["explain", "EL304", "--json"], dict),
        (["explain", "--json"], list), (["fmt", "--check", "--json", "a.el"], dict),
        (["check", "--json", "a.el"], dict),
        (["info", "random:8", "--json"], dict), (["run", "--json", "a.el"], dict),
    ):  # fmt: skip
        assert main(call) in (0, 1)
        assert isinstance(json.loads(capsys.readouterr().out), kind)


def test_explain_lists_the_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    assert "EL304  use after removal" in capsys.readouterr().out
    assert main(["explain", "el304"]) == 0
    printed = capsys.readouterr().out
    assert "wrong" in printed
    assert "right" in printed


# ------------------------------------------------------------------------ scripts of the published tool

OLD = """# an old script
LOAD __random_16
   survey 0
Set beta 3.0
inject 0 42 0.05 --force --reason I want to see it
inject 0 43 --force --reason 'quoted once'
remove_basin_is_no_command = 1
"""

SAMPLES = {
    "survey": "survey 0", "survey-all": "surveyall", "verify": "verify 0 42", "energy": "energy 0 42",
    "inject": "inject 0 42 auto", "remove": "remove 0 42 0.1", "capture": "capture 1 polite Thank you # so much",
    "inject-concept": "inject_concept 1 polite 0.1", "remove-concept": "remove_concept 1 polite", "load": "load tiny",
    "apply": "apply 0", "restore": "restore 0", "restore-all": "restoreall", "save": "save a.safetensors",
    "status": "status", "info": "info", "concepts": "concepts", "set": "set inits 100", "diff": "diff 0",
    "history": "history", "generate": "gen Hello there",
}  # fmt: skip


@pytest.mark.parametrize("name", SAMPLES)
def test_old_spellings_mean_the_same(name: str) -> None:
    before = "load tiny\nsurveyall\ncapture 1 polite Thank you\n"
    script = f"{before}   {SAMPLES[name].replace(name, name.upper())}\n"
    checked = check(Source(script, "old.hlm"))
    assert [item for item in checked.diagnostics if item.is_error] == []
    calls = [call.target.name for call in checked.calls.values()]
    assert calls[-1] == name
    everywhere = check(before + SAMPLES[name] + "\n")
    assert [item for item in everywhere.diagnostics if item.is_error] == []


@pytest.mark.parametrize("name", TABLE)
def test_every_operation_may_be_written_with_underscores(name: str) -> None:
    assert operation_named(name.replace("-", "_")) is TABLE[name]
    assert all(operation_named(alias) is TABLE[canonical] for alias, canonical in ALIASES.items())


def test_an_old_script_runs(capsys: pytest.CaptureFixture[str]) -> None:
    Path("old.hlm").write_text(
        OLD.rpartition("remove_basin")[0] + "help me\nhistory\n  QUIT\nnothing (of this\n"
    )
    assert main(["run", "--json", "old.hlm"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert [item["type"] for item in results] == ["Info", "Survey", "Setting", "Edit", "Edit", "History"]
    statements = [entry["statement"] for entry in results[-1]["result"]["entries"]]
    assert statements[1] == "inject 0 42 0.05 --force --reason I want to see it"
    assert main(["check", "old.hlm"]) == 0


def test_what_is_wrong_in_an_old_script_is_said() -> None:
    found = check(
        Source("load tiny\n  SURVEY\n  frobnicate 3\nsurvey 9\nload tiny extra\n", "old.hlm")
    ).diagnostics
    assert [(item.code, item.span.start_location()[0]) for item in found if item.span] == [
        ("EL202", 2), ("EL101", 3), ("EL302", 4), ("EL203", 5)
    ]  # fmt: skip


def test_the_same_line_at_the_prompt() -> None:
    session = Session("random:16")
    assert session.run("survey 0").num_basins == session.run("survey L0").num_basins
    assert session.run("surveyall").num_layers == 1
