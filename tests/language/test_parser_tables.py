"""The parser's tables that were kept are those that would be worked out, and what was damaged is worked out again."""

from __future__ import annotations

from pathlib import Path

import pytest
from lark import Lark

from energylang.checker import parser
from energylang.diagnostics.source import Source
from energylang.files import cache
from energylang.files.cache import Shelf
from energylang.syntax import tables
from energylang.syntax.parser import Parser

SCRIPTS = (
    "load tiny\nfor i in 1..3:\n    inject L0 i strength=0.1\nlet x = [1, 2]\n",
    'capture L3 polite I appreciate "your" kindness.\nif 1 < 2:\n    print "{1 + 1}"\n',
    "survey L0 inits=\n  inject )\nlet = 3\n",
)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setenv("ENERGYLANG_CACHE", str(tmp_path))
    return Shelf()


def said(parser: Parser) -> list[str]:
    return [repr(parser.parse(Source(text, "script.el", None))) for text in SCRIPTS]


def test_kept_tables_parse_as_those_that_were_worked_out(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tails = parser().tails
    first = said(Parser(tails, shelf))
    (place,) = (tmp_path / "kept").iterdir()
    whole = place.read_bytes()
    damaged = whole[:200] + whole[201:]
    place.write_bytes(damaged)
    assert said(Parser(tails, shelf)) == first
    assert place.read_bytes() != damaged

    def made(*_: object, **__: object) -> None:
        raise AssertionError("it is kept")

    monkeypatch.setattr(tables.Lark, "__init__", made)
    assert said(Parser(tails, shelf)) == first


def test_another_grammar_has_other_tables_and_few_are_kept(shelf: Shelf, tmp_path: Path) -> None:
    for word in "abcde":
        made = tables.lark_of(f'start: "{word}"', shelf, parser="lalr", start=["start"])
        assert isinstance(made, Lark)
        assert made.parse(word).data == "start"
    assert len(list((tmp_path / "kept").iterdir())) == cache._VERSIONS


def test_where_nothing_can_be_kept_nothing_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ENERGYLANG_CACHE", str(tmp_path / "file"))
    made = tables.lark_of('start: "a"', Shelf(), parser="lalr", start=["start"])
    assert made.parse("a").data == "start"
    assert (tmp_path / "file").read_text() == "in the way"
