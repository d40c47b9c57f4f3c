"""The table of diagnostic codes: each code's wrong script gives it, its right script does not, and the table
and the sources agree on which codes there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import energylang
from energylang.checker import check
from energylang.diagnostics.codes import CODES, Code
from energylang.diagnostics.source import Source
from energylang.run.interpreter import ScriptError
from energylang.session import Session

PACKAGE = Path(energylang.__file__).parent
STATIC = [code for code in CODES.values() if code.code < "EL500"]
DYNAMIC = [code for code in CODES.values() if code.code >= "EL500"]


def run(script: str, folder: Path) -> list[str]:
    """The codes that checking and running a script gives."""
    try:
        Session(base=folder).run(script)
    except ScriptError as error:
        return [item.code for item in error.diagnostics]
    return []


def _name(code: Code) -> str:
    return code.code


@pytest.mark.parametrize("code", STATIC, ids=_name)
def test_codes_below_500_are_found_before_anything_runs(code: Code) -> None:
    assert code.wrong, "a code of the checker has a script that is wrong"
    assert code.right, "a code of the checker has a script that is right"
    assert code.code in [item.code for item in check(Source(code.wrong, code.file)).diagnostics]
    assert [item.code for item in check(Source(code.right, code.file)).diagnostics] == []


@pytest.mark.parametrize("code", [code for code in STATIC if code.code not in ("EL109",)], ids=_name)
def test_a_wrong_script_is_wrong_in_one_way_only(code: Code) -> None:
    """It explains one thing. (EL109's is too large to explain anything.)"""
    assert {item.code for item in check(Source(code.wrong, code.file)).diagnostics} == {code.code}


@pytest.mark.parametrize(
    "code",
    [pytest.param(c, marks=[pytest.mark.slow] if c.code == "EL513" else []) for c in DYNAMIC if c.wrong],
    ids=_name,
)
def test_codes_from_500_happen_while_a_script_runs(code: Code, tmp_path: Path) -> None:
    assert run(code.wrong, tmp_path) == [code.code]
    assert run(code.right, tmp_path) == []


def test_what_runs_checks() -> None:
    """Of the codes from 500, only a model that cannot be found is seen by the checker, too."""
    early = [code.code for code in DYNAMIC if code.wrong and check(Source(code.wrong, code.file)).diagnostics]
    assert early == ["EL501"]


@pytest.mark.parametrize("code", CODES.values(), ids=_name)
def test_codes_are_written_alike(code: Code) -> None:
    assert re.fullmatch(r"EL\d{3}", code.code)
    assert code.title[0].islower() or code.title[0] == "`"
    assert not code.title.endswith(".")
    assert code.explanation.endswith(".")
    assert bool(code.wrong) == bool(code.right)
    for script in (code.wrong, code.right):
        assert not script or script.endswith("\n")


def test_the_table_and_the_sources_agree() -> None:
    used: set[str] = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        if path != PACKAGE / "diagnostics" / "codes.py":
            used.update(re.findall(r"\bEL\d{3}\b", path.read_text(encoding="utf-8")))
    assert used == set(CODES)
