"""Columns of the protocol and characters of a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energylang.diagnostics.source import Source
from energylang.lsp.positions import UTF8, UTF16, UTF32, characters, same_lines, to_offset, to_place, width
from energylang.lsp.script import path_of

SIZES = {UTF8: ("utf-8", 1), UTF16: ("utf-16-le", 2), UTF32: ("utf-32-le", 4)}


@pytest.mark.parametrize("encoding", SIZES)
@given(text=st.text(alphabet="aé€😀𝔼\n\t\u2028", max_size=40))
def test_there_and_back(encoding: str, text: str):
    source = Source(text)
    codec, size = SIZES[encoding]
    for offset in range(len(text) + 1):
        line, column = to_place(source, offset, encoding)
        before = text[:offset]
        assert line == before.count("\n")
        assert column == len(before.rpartition("\n")[2].encode(codec)) // size
        assert to_offset(source, line, column, encoding) == offset


def test_an_emoji_is_two_columns_wide():
    assert width("😀") == 2 and width("😀", UTF8) == 4 and width("😀", UTF32) == 1
    assert [characters("a😀b", units) for units in range(6)] == [0, 1, 1, 2, 3, 3]


def test_places_outside_of_the_text():
    source = Source("ab\ncd")
    assert to_offset(source, 0, 99) == 2 and to_offset(source, 9, 0) == 5
    assert to_offset(source, -1, 3) == 0 and to_offset(source, 1, -4) == 3
    assert to_place(source, 99) == (1, 2)


def test_line_ends_keep_places():
    assert same_lines("a\r\nb\rc\n") == "a\nb\nc\n"


def test_addresses_of_files():
    assert str(path_of("file:///tmp/a%20b/%F0%9F%98%80.el")) == "/tmp/a b/😀.el"
    assert path_of("untitled:Untitled-1") is None
    assert path_of("file:///c%3A/x.el").parts[-1] == "x.el"  # type: ignore[union-attr]
