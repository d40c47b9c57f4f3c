"""What nobody would give an operation is refused in words, through every door. (The long run of the same:
benchmarks/fuzz_doors.py.)"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from energylang import Session
from energylang.errors import ElError

ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)


def test_hundreds_of_calls_through_every_door(script: Callable[[str], ModuleType]) -> None:
    figures = script("fuzz_doors").fuzz(700, 11)
    assert figures.findings == []
    doors = {name.split(":")[0] for name in figures.outcomes}
    assert doors == {"python", "statement", "attempt", "variable", "execute"}
    assert sum(count for name, count in figures.outcomes.items() if name.endswith("done")) > 50


@pytest.mark.parametrize("threads", [0, -1, 10**5, 2**31, 2**70, 1.5, "2", None, True])
def test_threads_that_are_none(threads: Any) -> None:
    with pytest.raises(ElError, match="from 1 to 1024"):
        Session(threads=threads)


@pytest.mark.parametrize("base", [5, b"x", ["here"]])
def test_a_folder_that_is_none(base: Any) -> None:
    with pytest.raises(ElError, match="must be a folder"):
        Session(base=base)


@pytest.mark.parametrize("text", [None, 5, b"info", ["info"]])
def test_a_script_is_a_text(text: Any) -> None:
    with pytest.raises(ElError, match="a script is a text"):
        Session().run(text)


@pytest.mark.parametrize(
    ("inits", "code"),
    [
        (2**63, "EL206"),
        (10**400, "EL206"),
        (ENDLESS, "EL201"),
        ([[1]], "EL201"),
        (object(), "EL201"),
        (3.0, "EL201"),
    ],
)
def test_whole_numbers_that_are_none(inits: Any, code: str) -> None:
    with pytest.raises(ElError) as caught:
        Session("random:8").survey(0, inits=inits)
    assert caught.value.code == code
    assert "0x" not in caught.value.message


@pytest.mark.parametrize("beta", [float("inf"), Fraction(10**400), 10**400, float("nan")])
def test_numbers_that_are_none(beta: Any) -> None:
    with pytest.raises(ElError) as caught:
        Session("random:8").set("beta", beta)
    assert caught.value.code == "EL206"


def test_half_of_a_character_can_be_printed() -> None:
    with pytest.raises(ElError) as caught:
        Session("\ud800")
    str(caught.value).encode("utf-8")


def test_numbers_of_numpy_are_written_down_as_numbers(tmp_path: Path) -> None:
    session = Session("planted:16x2", base=tmp_path)
    session.survey(np.int64(0), inits=np.int32(9))
    session.inject(np.int64(0), 3, strength=np.float32(0.25))
    session.record("r.json")
    assert Session(base=tmp_path).replay("r.json").identical


def test_a_number_beyond_all_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session("planted:16x2")
    before = session.staged_hash()

    def beyond(*given: object, **named: object) -> None:
        raise OverflowError(34, "Numerical result out of range")

    monkeypatch.setattr("energylang.work.observe.find_basins", beyond)
    with pytest.raises(ElError) as caught:
        session.survey(0)
    assert caught.value.code == "EL502" and "out of range" in caught.value.message
    assert session.staged_hash() == before
