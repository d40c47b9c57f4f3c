"""Tables, records, functions and files: what they are in a script, in Python and on the screen."""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from energylang import results
from energylang.checker import check
from energylang.checker.scope import type_of_value
from energylang.cli import main
from energylang.diagnostics.source import Source
from energylang.errors import ElError
from energylang.run.interpreter import ScriptError
from energylang.session import Session
from energylang.signature import types as t
from energylang.signature.functions import FUNCTIONS

ROOT = Path(__file__).parents[2]


def value(expression: str, before: str = "") -> Any:
    session = Session()
    session.run(f"{before}let found = {expression}\n")
    return session.variables["found"]


def errors(script: str, base: Path | None = None) -> list[tuple[int, str]]:
    return [
        (item.span.start_location()[0] if item.span else 0, item.code)
        for item in check(Source(script, "a.el", base)).diagnostics
        if item.is_error
    ]


# ------------------------------------------------------------------------------------------ functions

VALUES = {
    "len([1, 2])": 2,
    'len("abc")': 3,
    "len({a: 1})": 1,
    "len(table)": 0,
    "sum([1, 2])": 3,
    "sum([0.1, 0.2, 0.3])": 0.6,
    "sum([])": 0,
    "mean([1, 2])": 1.5,
    "std([1, 3])": 2**0.5,
    "std([1])": None,
    "std([])": None,
    "min([3, 1])": 1,
    "max(1, 2.5)": 2.5,
    'max(["a", "b"])': "b",
    "abs(-3)": 3,
    "sqrt(9)": 3.0,
    "log(8, 2)": 3.0,
    "exp(0)": 1.0,
    "round(2.6)": 3,
    "round(2.345, 1)": 2.3,
    "sorted([3, 1, 2])": [1, 2, 3],
    "sorted([3, 1, 2], reverse=true)": [3, 2, 1],
    '"a b".split()': ["a", "b"],
    '"a,b".split(",")': ["a", "b"],
    '"-".join(["a", "b"])': "a-b",
    '" Ab ".strip().upper()': "AB",
    '"Ab".lower().replace("a", "b")': "bb",
    "{a: 1, b: 2}.keys()": ["a", "b"],
    "{a: 1, b: 2}.values()": [1, 2],
    "[x ** 2 for x in 1..4 if x != 3]": [1, 4, 16],
    '["{x}" for x in [1, 2]]': ["1", "2"],
    "-2 ** 2": -4,
    "2 ** 3 ** 2": 512,
    "2 ** -1": 0.5,
    "2 in [1, 2]": True,
    '"b" not in "abc"': False,
    '"{true:>6}|{1:.2f}|{none:>6}|{[1]:>5}"': "  true|1.00|  none|  [1]",
    '"""\n    a\n      b\n    """': "a\n  b",
    '"""one"""': "one",
    "{a: {b: [1, 2]}}.a.b[1]": 2,
    '{"a b": 3}["a b"]': 3,
    "[x.first + x.second for x in zip([1, 2], [3, 4])]": [4, 6],
}


@pytest.mark.parametrize("expression", VALUES)
def test_what_expressions_give(expression: str):
    found, wanted = value(expression), VALUES[expression]
    assert found == pytest.approx(wanted) if isinstance(wanted, float) else found == wanted
    assert type(found) is type(wanted)


UNDEFINED = (
    "sqrt(-1)", "log(0)", "log(2, 1)", "exp(1000)", "mean([])", "min([])", "0 ** -1", "(-8) ** 0.5", "10.0 ** 400",
    "9 ** 9 ** 9", "zip([1], [1, 2])", "round(1e308 * 10, 2)", '"a".replace("", "b")', '"a".split("")',
    "round(1.5, 1000)", "sum([1e308, 1e308])",
)  # fmt: skip


@pytest.mark.parametrize("expression", UNDEFINED)
def test_what_has_no_value_is_an_error_of_the_run(expression: str):
    assert errors(f"print {expression}\n") == []
    with pytest.raises(ScriptError, match="EL521"):
        Session().run(f"print {expression}\n")


WRONG = {
    'sqrt("a")': "EL201",
    "mean(3)": "EL201",
    'sum(["a"])': "EL201",
    "max(1)": "EL201",
    "sorted([[1]])": "EL201",
    "len(1)": "EL201",
    '", ".join([1])': "EL201",
    "round(1.5, 0.5)": "EL201",
    "sqrt()": "EL202",
    "sqrt(1, 2)": "EL203",
    "sqrt(x=1)": "EL204",
    "[1].append(2)": "EL101",
    '"a".uper()': "EL101",
    "[1].len()": "EL101",
    "range(3)": "EL101",
    "std([1, 2]) + 1": "EL210",
    "{a: 1}.b": "EL205",
    '{a: 1}["b"]': "EL205",
    "1 in 2": "EL210",
    '"{true:.2f}"': "EL210",
    '[x for x in 1..3 if "a"]': "EL201",
    "table.a": "EL205",
    '[1, "a"]': "EL201",
    '2 ** "a"': "EL210",
}


@pytest.mark.parametrize("expression", WRONG)
def test_what_does_not_fit_is_found_before_anything_runs(expression: str):
    assert [code for _, code in errors(f"print {expression}\n")] == [WRONG[expression]]


def test_help_for_habits():
    def said(script: str) -> str:
        return check(script).diagnostics[0].help

    assert said("for i in range(3): print i\n").startswith("whole numbers from 0 to 4 are `0..4`")
    assert said("let xs = [1]\nprint xs.append(2)\n") == "a list grows by `xs = xs + [x]`"
    assert said("let t = table\nprint t.append(2)\n") == "`row t a=1` adds a row"
    assert said("print [1].len()\n") == "`len([1])`"
    assert said('print "a" > "out.csv"\n').startswith('`write t "out.csv"`')
    assert said("load random:16\nsurvey LO\n") == "did you mean `L0`? (a zero)"
    assert said("load random:16\nsurvey l0\n") == "did you mean `L0`?"
    assert (
        said('load random:16\nlet name = "a"\nverify L0 name\n') == "`@{name}` is the concept that it names"
    )
    assert said("let t = table\nrow t sahre=1\nprint t.share\n") == "did you mean `sahre`?"


def test_every_function_is_explained(capsys: pytest.CaptureFixture[str]):
    for name, function in FUNCTIONS.items():
        assert main(["ops", name]) == 0
        assert capsys.readouterr().out.startswith(function.usage)


# --------------------------------------------------------------------------------------------- tables


def test_rows_make_columns_of_one_type_each():
    session = Session()
    session.run("let t = table\nfor i in 1..3:\n    row t a=i b=i / 2\nrow t a=4\n")
    table = session.variables["t"]
    assert table.columns == ("a", "b")
    assert table.column("b") == [0.5, 1.0, 1.5, None]
    assert str(table).splitlines()[0].split() == ["a", "b"]
    session.run("print sum(t.a)\nprint [r.b + 1 for r in t if r.b != none]\n")
    for line in ("print t.c", "print t[0].b + 1", 'row t a="x"', "row t a=survey", "row x a=1"):
        with pytest.raises(ScriptError):
            session.run(line)


def test_what_an_attempt_adds_is_gone_with_it():
    script = "let t = table\nrow t a=1\nattempt:\n    row t a=2\n    require false\nlet n = len(t)\n"
    session = Session()
    session.run(script)
    assert session.variables["n"] == 1


def test_a_table_that_a_procedure_was_given_stays_as_it_is():
    session = Session()
    session.run(
        "def more(t: Table):\n    row t a=2\n    return t\nlet t = table\nrow t a=1\nlet u = (more t)\n"
        "print u.a[1] + t.a[0]\n"
    )
    assert (len(session.variables["t"].rows), len(session.variables["u"].rows)) == (1, 2)


def test_every_kind_of_result_is_a_table_as_the_checker_says():
    session = Session("planted:32x3")
    for command in (
        "survey L0",
        "inject L0 7",
        "diff L0",
        "history",
        "info",
        "status",
        "verify L0 7",
        "guards",
    ):
        result = session.run(command)
        table = result.table
        assert isinstance(table, results.Table)
        known = dict(t.table_of_result(type(result).__name__).columns or ())
        assert set(table.columns) == set(known)
        for row in table.records:
            for name, held in row.items():
                assert held is None or t.fits(type_of_value(held), t.present(known[name])), (command, name)
    assert session.run("print (survey L0).table.energy[0] + 1\nsurvey L0").table.rows


def test_a_frame_needs_pandas(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        results.Table(("a",), ((1,),)).to_frame()


# ---------------------------------------------------------------------------------------------- files

TABLE = (
    'let t = table\nrow t layer=L0 share=0.1 ok=true note="=1+1"\n'
    'row t layer=L1 share=-2.5 ok=false note="a, \\"b\\""\n'
)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json", ".jsonl"])
def test_what_is_written_is_read_again(suffix: str, in_tmp: Path):
    session = Session()
    session.run(
        f'{TABLE}write t "a{suffix}"\nlet u = read "a{suffix}"\nprint u.share[1] + 1\nprint u.layer[0].lower()\n'
    )
    assert session.variables["u"].columns == ("layer", "share", "ok", "note")
    assert session.variables["u"].rows == (("L0", 0.1, True, "=1+1"), ("L1", -2.5, False, 'a, "b"'))
    session.run(f'let v = read "a{suffix}"')  # with what is in the file now
    assert session.variables["v"] == session.variables["u"]


def test_a_cell_that_a_spreadsheet_would_calculate_is_quoted(in_tmp: Path):
    Session().run(f'{TABLE}write t "a.csv"\n')
    assert "'=1+1" in Path("a.csv").read_text() and "-2.5," in Path("a.csv").read_text()


def test_tables_for_papers_and_pages(in_tmp: Path):
    session = Session()
    session.run(
        f'{TABLE}write t "a.tex"\nwrite t "b/c/a.md"\nwrite t "a.txt"\nwrite "50 % of it" "say.txt"\nwrite t "a.json"\n'
    )
    assert r"L0 & 0.1 & true & =1+1 \\" in Path("a.tex").read_text()
    assert Path("b/c/a.md").read_text().splitlines()[1] == "| --- | ---: | --- | --- |"
    assert Path("say.txt").read_text() == "50 % of it\n"
    assert json.loads(Path("a.json").read_text())[0] == {
        "layer": "L0",
        "share": 0.1,
        "ok": True,
        "note": "=1+1",
    }


def test_a_folder_of_formats_that_are_not_there(in_tmp: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ScriptError, match="pyarrow is not installed"):
        Session().run('write [{a: 1}] "a.parquet"')
    assert errors('write [{a: 1}] "a.xlsx"\n') == [(1, "EL504")]
    assert not list(Path().iterdir())


READ = {
    "mark and line ends": (b"\xef\xbb\xbfa,b\r\n1,x\r\n2,y\r\n", ((1, "x"), (2, "y"))),
    "old line ends": (b"a,b\r1,x\r", ((1, "x"),)),
    "missing": (b"a,b\n1,\n,y\n", ((1, ""), (None, "y"))),
    "numbers": (b"a,b\n1,2.5\n2,nan\n", ((1, 2.5), (2, None))),
    "names": (b"a,b\n007,true\n012,FALSE\n", (("007", True), ("012", False))),
    "large": (b"a,b\n12345678901234567890,1e400\n", ((12345678901234567890.0, "1e400"),)),
    "short rows": (b"a,b\n1\n", ((1, ""),)),
    "quotes": (b'a,b\n"x, y","z\nz"\n', (("x, y", "z\nz"),)),
}


@pytest.mark.parametrize("name", READ)
def test_what_a_file_holds(name: str, in_tmp: Path):
    content, rows = READ[name]
    Path("a.csv").write_bytes(content)
    Path("b.csv.gz").write_bytes(gzip.compress(content))
    session = Session()
    assert session.read("a.csv").rows == rows == session.read("b.csv.gz").rows
    session.run('for r in read "a.csv": print "{r.a} {r.b}"')


BAD = {
    "a.csv": ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
    "b.csv": (b"a,b\n1,2,3\n", "line 2 of b.csv has 3 cells"),
    "c.csv": (b"a,a\n1,2\n", "two columns called `a`"),
    "d.csv": (b"a,\n1,2\n", "a column without a name"),
    "e.csv": (b"", "empty"),
    "f.json": (b"[1, 2", "not JSON"),
    "g.json": (b"[1, 2]", "no record"),
    "h.csv.gz": (b"a,b\n", "not compressed by gzip"),
    "i.csv": (gzip.compress(b"a\n1\n"), "compressed by gzip"),
    "j.xlsx": (b"PK", "no file of a kind that is read"),
    "k.csv": (None, "cannot read"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_with_a_file_is_said_before_anything_runs(name: str, in_tmp: Path):
    content, said = BAD[name]
    if content is not None:
        Path(name).write_bytes(content)
    (item,) = check(f'let t = read "{name}"\nprint t\n').diagnostics
    assert item.code == "EL503" and said in item.message


def test_records_of_json_keep_what_they_hold(in_tmp: Path):
    Path("a.jsonl").write_text('{"text": "hi", "n": 1}\n{"text": "ho", "tags": ["a"], "at": {"l": 2}}\n')
    session = Session()
    session.run(
        'let d = read "a.jsonl"\nlet n = [r.n + 1 for r in d if r.n != none]\n'
        "let tags = [r.tags for r in d if r.tags != none]"
    )
    assert session.variables["n"] == [2]
    assert session.variables["tags"] == [["a"]]
    assert errors('for r in read "a.jsonl":\n    print r.txt\n') == [(2, "EL205")]
    assert errors('for r in read "a.jsonl":\n    print r.n + 1\n') == [(2, "EL210")]
    Path("b.json").write_text('[{"a": 1}, {"a": "x"}, {"a": [1, "b"]}, {"a": NaN}]')
    assert session.read("b.json").column("a") == ["1", "x", '[1, "b"]', None]


def test_a_file_that_changes_between_check_and_run(in_tmp: Path):
    from energylang.run.doors import check_in, run_checked

    def run(then: str) -> None:
        Path("a.csv").write_text("a\n1\n2\n")
        session = Session()
        checked = check_in(session, Source('for r in read "a.csv": print r.a + 1\n'))
        assert checked.ok
        Path("a.csv").write_text(then)
        run_checked(session, checked, lambda *shown: None)

    run("a\n7\n")
    run("a,b\n7,x\n")
    for then in ("b\n1\n", "a\nx\n", "a\n1.5\n"):
        with pytest.raises(ScriptError, match="not what it was when the script was checked"):
            run(then)


def test_which_file_is_read_must_be_known(in_tmp: Path):
    for number in (1, 2):
        Path(f"a{number}.csv").write_text(f"x{number}\n{number}\n")
    assert errors('for n in 1..2:\n    let t = read "a{n}.csv"\n    print t.columns\n') == []
    assert errors('for n in 1..2:\n    let t = read "a{n}.csv"\n    print t.x1\n') == [(3, "EL205")]
    assert errors('def get(p: Text):\n    return read p\nprint (get "a1.csv").x1\n') == []
    assert errors('def get(p: Text):\n    return (read "{p}")\nprint (get "a1.csv").x1\n') == []
    assert errors('def get(p: Text):\n    return (read "{p}")\n') == []
    assert errors('load random:16\nlet m = (info).model\nprint (read "{m}.csv").a\n') == [(3, "EL215")]


# ---------------------------------------------------------------------------------------------- plots

PLOT = (
    "let t = table\nfor s in [0.1, 0.2, 0.4]:\n    for l in [L0, L1]:\n"
    "        row t strength=s layer=l share=s ** 2\n"
)


def test_a_plot_in_the_terminal(capsys: pytest.CaptureFixture[str], in_tmp: Path):
    Path("a.el").write_text(f"{PLOT}plot t x=strength y=share by=layer\nplot t x=layer y=share\n")
    assert main(["run", "a.el"]) == 0
    said = capsys.readouterr().out
    assert "strength" in said and "layer: ⠿ L0  ⠿ L1" in said and "0.16 │" in said


@pytest.mark.parametrize(
    ("suffix", "start"),
    [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF"), (".html", b"<!doctype html")],
)
def test_a_plot_in_a_file(suffix: str, start: bytes, in_tmp: Path):
    pytest.importorskip("plotly" if suffix == ".html" else "matplotlib")
    for name in ("a", "b"):
        Session().run(f'{PLOT}plot t x=strength y=share by=layer save="{name}{suffix}"')
    assert Path(f"a{suffix}").read_bytes().startswith(start)
    if suffix == ".svg":
        assert Path("a.svg").read_bytes() == Path("b.svg").read_bytes()


def test_a_plot_without_its_library_or_columns(in_tmp: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ScriptError, match="matplotlib is not installed"):
        Session().run(f'{PLOT}plot t x=strength y=share save="a.svg"')
    assert errors(f"{PLOT}plot t x=strenght y=share\n") == [(5, "EL205")]
    assert errors(f"{PLOT}plot t x=strength y=layer\n") == [(5, "EL201")]
    assert errors(f'{PLOT}plot t x=strength y=share save="a.gif"\n') == [(5, "EL504")]
    assert errors(f"{PLOT}plot t x=strength y=share save=a.svg\n") == []


# ------------------------------------------------------------------------- quiet, again, and what is said


def shown(script: str, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    Path("a.el").write_text(script)
    assert main(["run", *flags, "a.el"]) == 0
    return capsys.readouterr().out


def test_a_quiet_block_shows_what_it_prints_alone(capsys: pytest.CaptureFixture[str], in_tmp: Path):
    script = (
        "load random:16\nquiet:\n    let s = survey L0 inits=5\n    survey L0\n    print 1\nprint s.inits\n"
    )
    assert "▸ survey" not in shown(script, capsys) and errors(script) == []
    assert shown(script, capsys, "--quiet") == "1\n5\n"


def test_records_of_a_loop_are_one_table(capsys: pytest.CaptureFixture[str], in_tmp: Path):
    said = shown("for i in 1..2:\n    for k in 1..2:\n        {i: i, k: k}\n", capsys)
    assert said == "▸ {i: i, k: k}\n  i  k\n  1  1\n  1  2\n  2  1\n  2  2\n\n"
    assert shown("for i in 1..2:\n    {i: i}\n", capsys, "-q") == "▸ {i: i}\n  i\n  1\n  2\n\n"


def test_json_of_tables_and_records(capsys: pytest.CaptureFixture[str], in_tmp: Path):
    found = json.loads(shown("{a: 1}\nlet t = table\nrow t a=L0\nt\n", capsys, "--json"))["results"]
    assert [item["result"] for item in found] == [{"a": 1}, {"columns": ["a"], "rows": [["L0"]]}]


def test_the_words_of_a_requirement_are_its_message():
    with pytest.raises(ScriptError) as caught:
        Session().run('require 1 > 2, "too much damage"')
    (item,) = caught.value.diagnostics
    assert (item.message, item.help) == ("too much damage", "")
    assert [note.message for note in item.notes] == ["`1 > 2` does not hold (1 > 2 is false)"]
    session = Session()
    session.run('let said = ""\nattempt:\n    require 1 > 2, "no"\nelse:\n    said = error\n')
    assert session.variables["said"] == "no"


def test_an_operation_once_more():
    session = Session("planted:32x3")
    session.run("set inits 50\nset inits 60\nundo\nagain 2")
    assert session.setting("inits") == 60
    assert session.again(1).to_dict()["value"] == 50
    for line in ("again 99", "again 1\nlet x = again 1"):
        with pytest.raises(ScriptError):
            session.run(line)
    assert errors("load random:16\nset inits 5\nprint (again 1)\n") == [(3, "EL211")]


def test_a_record_replays_what_was_run_again(tmp_path: Path):
    session = Session("planted:32x3", base=tmp_path)
    session.run(
        'write [{a: 0.1}] "a.csv"\nlet d = read "a.csv"\ninject L0 7 strength=d[0].a\nundo\nagain 1\nrecord "w.json"'
    )
    (tmp_path / "a.csv").unlink()
    assert Session(base=tmp_path).replay("w.json").identical


# ------------------------------------------------------------------------------------ concepts and layers


def test_a_concept_has_a_state_for_each_layer():
    session = Session("tiny")
    session.run(
        'for l in [L1, L2]:\n    for name in ["warm", "cold"]:\n        capture l @{name} "it is {name}"\n'
        "let a = similarity warm cold layer=L2\nlet b = similarity warm@L2 cold@L2\nlet c = similarity warm cold\n"
        "let v = verify L2 warm\n"
    )
    kept = session.variables
    assert kept["a"].cosine == kept["b"].cosine != kept["c"].cosine
    assert (kept["a"].layer, kept["c"].layer) == (2, 1)
    assert session.concepts().table.column("name") == ["warm", "cold", "warm@L2", "cold@L2"]
    session.run("capture L2 warm It is so warm")
    assert session.concepts().concepts[2].samples == 2
    session.run("undo 2")
    assert session.concepts().table.column("name") == ["warm", "cold", "warm@L2"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("verify L2 polite", []),
        ("verify L3 polite", ["EL305"]),
        ("verify L2 polite@L2", []),
        ("verify L1 polite@L2", ["EL305"]),
        ("similarity polite@L1 polite@L2", []),
        ("similarity polite@L1 polite@L3", ["EL305"]),
        ("similarity polite@L9 polite", ["EL302", "EL305"]),
        ("capture L2 polite@L1 Thank you", ["EL305"]),
        ("capture L3 polite@L3 Thank you", []),
        ('verify L2 @{"polite"}', []),
        ('verify L2 @{"rude"}', ["EL305"]),
        ('verify L2 @{"not a name"}', ["EL201"]),
        ("verify L2 @{3}", ["EL201"]),
    ],
)
def test_which_state_of_a_concept_is_there(line: str, found: list[str]):
    script = f"load tiny\nfor l in [L1, L2]:\n    capture l polite Thank you so much\n{line}\n"
    assert sorted(code for _, code in errors(script)) == found


def test_a_name_that_only_the_run_knows():
    script = 'load tiny\nlet n = (info).model\ncapture L2 @{n} "Thank you"\nverify L2 @{n}\nverify L2 tiny\n'
    assert errors(script) == []
    Session().run(script)
    with pytest.raises(ScriptError, match="EL511"):
        Session().run('load tiny\nlet n = (info).model\ncapture L2 @{"{n} b"} "Thank you"\n')


def test_a_variable_that_is_taken_as_a_word_is_warned_of():
    said = [
        (item.code, item.help)
        for item in check(
            'load tiny\nfor name in ["a"]:\n    capture L2 name Thank you\n    capture L2 b name\n'
            '    capture L2 b "{name}"\n'
        ).diagnostics
    ]
    assert said == [
        ("EL408", "`@{name}` is the concept that it names"),
        ("EL408", 'for its value write "{name}"'),
    ]


def test_texts_with_labels_in_fields_of_any_name(in_tmp: Path):
    kinds = (("glad", "Thanks"), ("sad", "Sorry"))
    rows = [{"what": kind, "said": f"{word} {n}"} for kind, word in kinds for n in range(5)]
    session = Session("tiny")
    session.write(rows, "a.csv")
    found = session.classify(2, labels="a.csv", column="said", label="what")
    assert found.labels == ("glad", "sad")
    with pytest.raises(ElError, match="record without `text`"):
        session.classify(2, labels="a.csv")


# --------------------------------------------------------------------------------------------- the pages


def test_no_example_of_the_pages_is_warned_of():
    """Programs of the pages, each page from top to bottom, and the operations' own examples."""
    found = []
    for page in (
        "README.md",
        "docs/index.md",
        "docs/language.md",
        "docs/repl.md",
        "docs/tutorial.md",
        *sorted(f"docs/howto/{p.name}" for p in (ROOT / "docs/howto").glob("*.md")),
    ):
        text = (ROOT / page).read_text(encoding="utf-8")
        for program in re.findall(r"```el\n(.*?)```", text, flags=re.DOTALL):
            found += [(page, item.code, program) for item in check(program).diagnostics if not item.is_error]
    for script in [*(ROOT / "examples").glob("*.el"), *(ROOT / "stdlib").glob("*.el")]:
        source = Source(script.read_text(encoding="utf-8"), script.name, script.parent)
        found += [(script.name, item.code, item.message) for item in check(source).diagnostics]
    from energylang.ops import TABLE

    for op in TABLE.values():
        for example in op.examples:
            items = check(f"load {example.on}\n{example.script}\n").diagnostics
            found += [(op.name, item.code, example.script) for item in items if not item.is_error]
    assert found == []
