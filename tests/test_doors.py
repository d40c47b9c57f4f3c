"""One door's values are every door's: names, files of examples, tasks, magics."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energylang import ElError, Session
from energylang.checker import check
from energylang.concepts import captured
from energylang.diagnostics.source import Source
from energylang.files.examples import examples
from energylang.signature.coerce import check_name

# ------------------------------------------------------------------------------------------------- names


@given(
    st.one_of(
        st.text(max_size=8), st.sampled_from(["a b", "L3", "L3.B1", "if", "layers", "../x", "a--b", "ä-1"])
    )
)
def test_what_is_a_name_can_be_written(name: str) -> None:
    try:
        check_name(name)
    except ElError as error:
        assert error.code == "EL201"
        return
    checked = check(Source(f'load "tiny"\ncapture L3 {name} "x"\n', "<test>"))
    assert not [found for found in checked.diagnostics if found.is_error]


@pytest.fixture(scope="module")
def tiny() -> Session:
    return Session("tiny")


@pytest.mark.parametrize("name", ["a b", "", "L3", "if", 'a"b', "a\nb", "../x", "\x1b[2J", "\ud800"])
def test_a_name_that_no_script_can_write_is_refused(tiny: Session, name: str) -> None:
    with pytest.raises(ElError) as caught:
        tiny.capture(3, name, "Thank you so much")
    assert caught.value.code == "EL201"


# ---------------------------------------------------------------------------------------- files of examples


def test_examples_of_every_kind_of_file(tmp_path: Path) -> None:
    wanted = ["That game", "I can see"]
    records = [{"id": i, "text": text} for i, text in enumerate(wanted)]
    files = {
        "a.txt": "That game\r\n\r\n  I can see\n",
        "bom.txt": "\ufeffThat game\nI can see",
        "a.json": json.dumps(["", *wanted]),
    }
    tables = {
        "b.json": json.dumps(records),
        "b.jsonl": "\n".join(json.dumps(r) for r in records),
        "b.csv": 'id,text\n0,"That game"\n1,I can see\n',
        "b.tsv": "id\ttext\n0\tThat game\n1\tI can see\n",
        "one.json": json.dumps({"text": wanted}),
    }
    for name, content in {**files, **tables}.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        column = "text" if name in tables else None
        assert examples(tmp_path / name, name, column) == wanted, name


@pytest.mark.parametrize(
    ("name", "content", "column", "word"),
    [
        ("a.json", '[\n  {"text": "a"}\n]', None, "text"),
        ("a.json", '[{"txt": "a"}]', "text", "txt"),
        ("a.json", "[1, 2]", None, "number"),
        ("a.json", "[1, 2", None, "JSON"),
        ("a.jsonl", '{"text": null}', "text", "nothing"),
        ("a.txt", "a\n", "text", "column"),
        ("a.txt", "\n \n", None, "no line"),
    ],
)
def test_what_is_no_example_is_said(
    name: str, content: str, column: str | None, word: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ElError) as caught:
        examples(tmp_path / name, name, column)
    assert word in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("raw", "word"), [("Thank you\n".encode("utf-16"), "iconv"), (b"\x1f\x8b\x08\x00", "gunzip")]
)
def test_an_encoding_is_named_with_a_way_out(raw: bytes, word: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(raw)
    with pytest.raises(ElError) as caught:
        examples(tmp_path / "a.txt", "a.txt", None)
    assert word in str(caught.value.hint)


def test_lines_are_read_in_one_pass_and_equal_one_by_one(tiny: Session, tmp_path: Path) -> None:
    lines = [f"Thank you number {i}" for i in range(12)]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    calls = 0
    read = captured.text_states_at

    def counted(*args: object, **keywords: object) -> object:
        nonlocal calls
        calls += 1
        return read(*args, **keywords)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(captured, "text_states_at", counted)
        tiny.capture_file(3, "lines", str(tmp_path / "a.txt"))
    assert calls == 1
    for line in lines:
        tiny.capture(3, "single", line)
    one, other = tiny.state.concepts["lines"], tiny.state.concepts["single"]
    assert one.texts == other.texts
    assert (one.states - other.states).abs().max() < 1e-4


# ------------------------------------------------------------------------------------------------ tasks


def test_a_task_does_not_join_another_one_s_transaction() -> None:
    session = Session("random:16x2")
    before = session.info().hash
    said: list[str] = []

    async def failing() -> None:
        with suppress(RuntimeError), session.transaction():
            session.inject(0, 77, force=True, reason="x")
            await asyncio.sleep(0.02)
            raise RuntimeError

    async def other() -> None:
        await asyncio.sleep(0)
        try:
            session.inject(1, 5, force=True, reason="y")
        except ElError as error:
            said.append(error.code)

    async def both() -> None:
        await asyncio.gather(failing(), other())
        assert session.inject(1, 5, force=True, reason="y").applied  # the way is free again

    asyncio.run(both())
    assert said == ["EL544"]
    assert session.status().staged_hash != before


@settings(max_examples=20, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=4))
def test_blocks_of_one_task_nest(fails: list[bool]) -> None:
    session = Session("random:16x2")

    def nest(rest: list[bool]) -> None:
        if not rest:
            session.set("inits", 60)
            return
        try:
            with session.transaction():
                nest(rest[1:])
                if rest[0]:
                    raise ValueError
        except ValueError:
            pass

    nest(fails)
    assert session.setting("inits") == (200 if any(fails) else 60)


# ------------------------------------------------------------------------------------------- statements


def test_lists_in_the_history_read_back_as_what_they_were() -> None:
    session = Session("planted:64x4")
    session.run("survey L0\nprotect [L0.B0, L0.B2]")
    statement = session.history().entries[-1].statement
    assert statement.endswith("[L0.B0, L0.B2]")
    again = Session("planted:64x4")
    again.run(f"survey L0\n{statement}")
    assert again.guards().protected == session.guards().protected


@pytest.mark.parametrize(
    ("name", "pack", "words"),
    [
        ("t.txt", lambda text: text.encode("utf-16"), ["iconv", "-f", "UTF-16", "-t", "UTF-8"]),
        ("t.txt", lambda text: gzip.compress(text.encode()), ["gzip", "-dc"]),
        ("t.txt.gz", lambda text: gzip.compress(text.encode()), ["gunzip", "-c"]),
    ],
)
def test_who_follows_the_advice_gets_on(
    tmp_path: Path, name: str, pack: Callable[[str], bytes], words: list[str]
) -> None:
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not there")
    (tmp_path / name).write_bytes(pack("Thank you so much.\n" * 3))
    session = Session("tiny", base=tmp_path)
    with pytest.raises(ElError) as caught:
        session.capture_file(0, "polite", name)
    assert words[0] in caught.value.message + caught.value.hint
    with (tmp_path / "plain.txt").open("wb") as file:
        subprocess.run([*words, name], cwd=tmp_path, stdout=file, check=True)
    assert session.capture_file(0, "polite", "plain.txt").name == "polite"
