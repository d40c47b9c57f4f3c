"""Scripts as they come: from files, from standard input, in odd bytes; exit codes; and limits at run time."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from energylang.cli import main
from energylang.run.interpreter import ScriptError
from energylang.session import Session


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def typed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


MARK = b"\xef\xbb\xbf"
FILES = {
    "empty": (b"", 0),
    "no final newline": (b"print 1", 0),
    "a byte order mark": (MARK + b"print 1\n", 0),
    "a mark in the middle": (b"print 1\n" + MARK + b"print 2\n", 2),
    "Windows line ends": (b"if true:\r\n    print 1\r\nprint 2\r\n", 0),
    "old line ends": (b"if true:\r    print 1\rprint 2\r", 0),
    "only blanks": (b"   \n\t\n  ", 0),
    "NUL": (b"print 1\0\n", 2),
    "Latin-1": (b'print "\xe9"\n', 2),
    "UTF-16": ("print 1\n".encode("utf-16"), 2),
    "a wrong name": (b"print x\n", 2),
    "false when it runs": (b"require 1 > 2\n", 1),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", ["check", "check --json", "run", "run --json"])
@pytest.mark.parametrize("place", ["file", "stdin"])
def test_exit_codes(
    name: str, how: str, place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, expected = FILES[name]
    if how.startswith("check") and expected == 1:
        expected = 0
    Path("script.el").write_bytes(data)
    typed(monkeypatch, data)
    assert main([*how.split(), "script.el" if place == "file" else "-"]) == expected
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err + printed.out
    assert "EL599" not in printed.err + printed.out
    if how.endswith("--json"):
        assert bool(json.loads(printed.out)["diagnostics"]) == (expected != 0)
    elif expected:
        assert printed.err.startswith("error[EL")


@pytest.mark.parametrize("how", ["check", "run"])
def test_files_that_are_none(how: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("folder").mkdir()
    for path, words in (
        ("nothing.el", "there is no file"),
        ("folder", "is a folder"),
        ("a\0b", "cannot be read"),
    ):
        assert main([how, path]) == 2
        assert words in capsys.readouterr().err


def test_a_file_whose_name_is_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    name = b"\xff.el".decode("utf-8", "surrogateescape")
    try:
        Path(name).write_text("print x\n")
    except OSError:
        pytest.skip("this file system takes no such name")
    assert main(["check", name]) == 2
    assert "EL207" in capsys.readouterr().err


@pytest.mark.parametrize("how", ["check", "run"])
def test_a_model_that_there_is_not_is_wrong_usage(how: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("script.el").write_text("survey L0\n")
    assert main([how, "--model", "nope", "script.el"]) == 2
    assert "error[EL501]: --model" in capsys.readouterr().err
    assert main([how, "--model", "random:16", "script.el"]) == 0


def fails(script: str) -> str:
    with pytest.raises(ScriptError) as caught:
        Session().run(script)
    assert caught.value.checked
    return caught.value.diagnostics[0].code


GROWTH = {
    "text": 'let t = "aaaaaaaaaa"\nfor i in 0..60:\n    t = t + t\n',
    "interpolation": 'let t = "aaaaaaaaaa"\nfor i in 0..60:\n    t = "{t}{t}"\n',
    "list": "let t = [1]\nfor i in 0..60:\n    t = t + t\n",
    "integer": "let x = 999999999999999999\nfor i in 0..60:\n    x = x * x\n",
    "float": "let x = 1e300\nx = x * x\n",
}


@pytest.mark.parametrize("name", GROWTH)
def test_nothing_grows_beyond_all_bounds(name: str) -> None:
    assert fails(GROWTH[name]) == "EL521"


def test_what_the_checker_lets_nest_the_interpreter_follows() -> None:
    calls = (
        "def p0():\n    return 7\n"
        + "".join(f"def p{i}():\n    return (p{i - 1})\n" for i in range(1, 46))
        + "p45\n"
    )
    assert Session().run(calls) == 7
    blocks = "\n".join(f"{' ' * i}if true:" for i in range(99)) + f"\n{' ' * 99}print 1\n"
    Session().run(blocks)
    assert Session().run(" + ".join(["1"] * 5000) + "\n") == 5000
    assert Session().run("not " * 90 + "true\n") is True


def test_a_name_in_brackets_is_a_value_and_not_a_concept() -> None:
    session = Session("planted:16x2")
    session.run("def pick():\n    return (survey L0).basins[0]\n")
    assert session.run("verify L0 (pick)").target == "L0.B0"
    assert session.run("energy (pick)").basin == 0
    with pytest.raises(ScriptError, match=r"\[EL305\] no concept `pick`"):
        session.run("verify L0 pick\n")


def test_a_variable_that_holds_a_concept_stands_for_it() -> None:
    session = Session("tiny")
    session.run("capture L1 polite Thank you\ndef look(c: Concept):\n    return (verify L1 c)\n")
    assert session.run("look polite").target == "polite"
    assert session.run("let c = @polite\nverify L1 c").target == "polite"
