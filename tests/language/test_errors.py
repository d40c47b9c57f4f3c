"""The checker's errors as data: ``errors.md`` holds scripts with the errors that are expected on their lines.

Warnings are looked at only in scripts that expect one (``# warning: [EL4xx]``).

Around it: every operation's errors, derived from its declaration, and what diagnostics look like on a screen.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from energylang.checker import check
from energylang.checker.facts import UNKNOWN
from energylang.checker.scope import NO_MODEL, ModelState
from energylang.diagnostics import Diagnostic
from energylang.diagnostics.source import Source
from energylang.diagnostics.visible import blanked
from energylang.models.header import read_header
from energylang.ops import TABLE
from energylang.render.diagnostics import columns, render_diagnostics
from energylang.signature import types as t
from energylang.signature.declaration import Op, Param
from tests.statements import home

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MODULES = HERE / "modules"


class Case(NamedTuple):
    line: int
    heading: str
    model: str
    script: str
    expected: list[tuple[int, str, str]]  # line, code, words of the message or the help


def _cases() -> list[Case]:
    found, heading = [], ""
    text = "".join((HERE / f"{name}.md").read_text(encoding="utf-8") for name in ("errors", "flow"))
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        if line.startswith("#"):
            heading = line.lstrip("# ")
        if not line.startswith("```el"):
            continue
        script: list[str] = []
        expected = []
        for _, inner in lines:
            if inner == "```":
                break
            kind = "# warning: " if "# warning: " in inner else "# error: "
            plain, marker, remark = inner.partition(kind)
            script.append(plain.rstrip() if marker else inner)
            for item in remark.split(" | ") if marker else ():
                match = re.fullmatch(r"\[(EL\d{3})\] ?(.*)", item)
                assert match, f"errors.md: cannot read the remark {item!r}"
                expected.append((len(script), match[1], match[2]))
        found.append(Case(number, heading, line[5:].strip(), "\n".join(script) + "\n", expected))
    return found


CASES = _cases()


def findings(script: str, model: str = "") -> list[Diagnostic]:
    state = ModelState(True, read_header(model), facts=UNKNOWN) if model else NO_MODEL
    return check(Source(script, "test.el", MODULES), model=state).diagnostics


def codes(script: str, model: str = "") -> list[str]:
    """The codes of the errors in a script."""
    return [item.code for item in findings(script, model) if item.is_error]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"line-{case.line}")
def test_errors_are_reported_where_they_are(case: Case) -> None:
    found = findings(case.script, case.model)
    if not any("EL4" in code for _, code, _ in case.expected):
        found = [item for item in found if item.is_error]
    report = render_diagnostics(found)
    places = sorted((item.span.start_location()[0], item.code) for item in found)
    assert places == sorted((line, code) for line, code, _ in case.expected), report
    for line, code, words in case.expected:
        said = [
            f"{item.message} {item.help} {' '.join(note.message for note in item.notes)}"
            for item in found
            if item.code == code and item.span.start_location()[0] == line
        ]
        assert any(words in text for text in said), f"line {line}: {words!r} is not in {said}"


def test_there_are_enough_cases() -> None:
    assert sum(len(case.expected) for case in CASES) >= 200
    assert sum(not case.expected for case in CASES) >= 20


# ------------------------------------------------------- every operation, from its declaration

FINE = {
    t.LAYER: "L0", t.LAYERS: "L0", t.DIRECTION: "L0.B0", t.CONCEPT: "polite", t.TEXT: '"a"', t.PATH: '"a.safetensors"',
    t.MODEL: '"random:8"', t.STRENGTH: "0.5", t.INT: "3", t.FLOAT: "0.5", t.BOOL: "true", t.VALUE: "50",
    t.BASIN: "L0.B0", t.NUMBERS: "[0.5]", t.STEPS: "1", t.LABEL: "here", t.BASINS: "[L0.B0]",
    t.CONCEPTS: "[@polite]", t.list_of(t.TEXT): '["a"]', t.PARTS: "L0.H1", t.AT: "reply", t.DATA: "[{here: 1}]",
    t.KEY: "L0.B0", t.SOURCE: "L0.B0",
}  # fmt: skip
WRONG = {
    t.LAYER: "(1.5)", t.LAYERS: "(true)", t.DIRECTION: "(1.5)", t.CONCEPT: "(3)", t.TEXT: "(3)", t.PATH: "(3)",
    t.MODEL: "(3)", t.STRENGTH: "(true)", t.INT: "(2.5)", t.FLOAT: "(true)", t.BOOL: "(3)", t.CHOICE: "(3)",
    t.VALUE: "(true)", t.BASIN: "(1.5)", t.NUMBERS: "(true)", t.STEPS: "(true)", t.LABEL: "(3)",
    t.BASINS: "(1.5)", t.CONCEPTS: "(3)", t.list_of(t.TEXT): "(3)", t.PARTS: "(1.5)", t.AT: "(1.5)", t.DATA: "(3)",
    t.KEY: "(1.5)", t.SOURCE: "(1.5)",
}  # fmt: skip
OWN = {"read": {"path": f'"{ROOT / "examples/data/concepts.csv"}"'}, "write": {"path": '"a.csv"'}}
"""Files that are looked at when a script is checked, and kinds of files that are."""


def value(param: Param) -> str:
    if param.type == t.CHOICE:
        return "inits" if "inits" in param.choices else param.choices[0]
    return FINE[param.type]


def command(op: Op, /, **instead: str | None) -> str:
    """The operation with all it needs, by keyword, some of it replaced or (with ``None``) left out."""
    values = (
        {param.name: value(param) for param in op.params if param.required} | OWN.get(op.name, {}) | instead
    )
    return (
        " ".join([op.name, *(f"{name}={text}" for name, text in values.items() if text is not None)]) + "\n"
    )


OPS = list(TABLE.values())
PARAMS = [(op, param) for op in OPS for param in op.params]


def _name(item: object) -> str | None:
    return item.name if isinstance(item, Op | Param) else None


@pytest.mark.parametrize("op", OPS, ids=_name)
def test_an_operation_with_what_it_needs_checks(op: Op) -> None:
    assert codes(command(op), home(op)) == []


@pytest.mark.parametrize("op", OPS, ids=_name)
def test_an_operation_without_a_model(op: Op) -> None:
    assert codes(command(op)) == (["EL301"] if op.needs_model else [])


@pytest.mark.parametrize("op", [op for op in OPS if op.needs_model], ids=_name)
def test_an_operation_on_a_model_of_weights_only(op: Op) -> None:
    from energylang.signature.declaration import Effect

    needs = {"fit": "EL253", "rewrite": "EL254"}  # and what weights alone lack, too
    lacking = ["EL250"] if Effect.TEXT in op.effects else []
    assert codes(command(op), "random:16") == sorted(
        {*lacking, *([needs[op.name]] if op.name in needs else [])}
    )


@pytest.mark.parametrize("op", OPS, ids=_name)
def test_surplus_arguments_are_errors(op: Op) -> None:
    words = ["(L0)" if param.type == t.LAYER else f"({value(param)})" for param in op.positional]
    if any(param.type in (t.CHOICE, t.CONCEPT, t.LABEL) for param in op.positional):
        words = [value(param) for param in op.positional]
    if op.tail is not None:
        leading = " ".join(["L0", "polite"][: op.tail.leading])
        assert codes(f'{op.name} {leading} "a.safetensors" "surplus"\n', home(op)) == ["EL102"]
    else:
        named = [f"{p.name}={value(p)}" for p in op.params if p.keyword_only and p.required]
        assert codes(" ".join([op.name, *words, "(3)", *named]) + "\n", home(op)) == ["EL203"]


@pytest.mark.parametrize("op", OPS, ids=_name)
def test_unknown_keywords_are_errors(op: Op) -> None:
    (item,) = findings(command(op, nonsense="3"), home(op))
    assert item.code == "EL204"
    assert item.span.text == "nonsense"


@pytest.mark.parametrize(("op", "param"), [pair for pair in PARAMS if pair[1].required], ids=_name)
def test_missing_arguments_are_named(op: Op, param: Param) -> None:
    found = findings(command(op, **{param.name: None}), home(op))
    assert {item.code for item in found} == {"EL202"}
    assert f"`{op.name}` needs `{param.name}`: {param.help}" in found[0].message
    assert op.usage() in found[0].help


@pytest.mark.parametrize(("op", "param"), PARAMS, ids=_name)
def test_a_value_of_another_type_is_an_error(op: Op, param: Param) -> None:
    found = findings(command(op, **{param.name: WRONG[param.type]}), home(op))
    found = [
        item for item in found if item.code != "EL254" or "*" not in param.needs
    ]  # any value asks for a memory
    (item, *others) = found
    assert not [other for other in others if other.code != "EL202"]  # `force` asks for its reason, too
    assert item.code in ("EL201", "EL208")
    assert f"`{param.name}`" in item.message or param.type == t.VALUE
    assert item.span.text == WRONG[param.type].strip("()")


@pytest.mark.parametrize(("op", "param"), PARAMS, ids=_name)
def test_a_parameter_is_given_once(op: Op, param: Param) -> None:
    text = value(param)
    twice = f"{command(op, **{param.name: text}).strip()} {param.name}={text}\n"
    assert "EL209" in codes(twice, home(op))


LIMITS = [
    (op, param, limit)
    for op, param in PARAMS
    for limit in (param.minimum, param.maximum, param.above)
    if limit is not None and param.type in (t.INT, t.FLOAT, t.STRENGTH)
]


@pytest.mark.parametrize(("op", "param", "limit"), LIMITS, ids=lambda item: _name(item) or f"{item:g}")
def test_values_are_checked_at_their_limits(op: Op, param: Param, limit: float) -> None:
    def fits(number: float) -> bool:
        return "EL206" not in codes(command(op, **{param.name: f"({number})"}), home(op))

    step = 1 if param.type == t.INT else 1e-3
    whole = int if param.type == t.INT else float
    if limit == param.minimum:
        assert fits(whole(limit))
        assert not fits(whole(limit - step))
    elif limit == param.maximum and limit < 1e18:  # longer numbers cannot be written
        assert fits(whole(limit))
        assert not fits(whole(limit + step))
    elif limit == param.above:
        assert not fits(whole(limit))
        assert fits(whole(limit + step))


# ------------------------------------------------------------------------------------- modules


def test_errors_in_a_module_point_into_the_module() -> None:
    found = findings("import broken\nzyzzyva 1\nother\nzzz\n")
    assert [
        (Path(item.span.source.name).name, item.span.start_location()[0], item.code) for item in found
    ] == [
        ("broken.el", 1, "EL102"),
        ("broken.el", 5, "EL102"),
    ]


def test_modules_that_import_each_other() -> None:
    (item,) = findings("import loop-a\n")
    assert item.code == "EL213"
    assert "loop-a → loop-b → loop-a" in item.message
    assert Path(item.span.source.name).name == "loop-b.el"


def test_a_module_that_does_something_points_at_it() -> None:
    (item,) = findings("import acts\nfine\n")
    assert (item.code, item.span.text) == ("EL213", "print 1")


def test_a_module_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "latin.el").write_bytes(b'def zyzzyva():\n    print "\xe9"\n')
    (item,) = check(Source("import latin\nzyzzyva\n", "test.el", tmp_path)).diagnostics
    assert item.code == "EL213"
    assert "not UTF-8" in item.message


def test_a_module_with_a_mark_and_other_line_ends(tmp_path: Path) -> None:
    (tmp_path / "windows.el").write_bytes(b"\xef\xbb\xbfdef f():\r\n    print 1\r\n")
    assert check(Source("import windows\nf\n", "test.el", tmp_path)).diagnostics == []


# ------------------------------------------------------------------------------ size and depth


def nested(depth: int) -> str:
    lines = [f"{'    ' * level}if true:" for level in range(depth)]
    return "\n".join([*lines, f"{'    ' * depth}print 1"]) + "\n"


def chain(length: int, *, upwards: bool = False) -> str:
    definitions = "".join(f"def p{i}():\n    p{i - 1}\n" for i in range(1, length))
    calls = "".join(f"p{i}\n" for i in range(length)) if upwards else f"p{length - 1}\n"
    return f"def p0():\n    print 0\n{definitions}{calls}"


FITS = {
    "brackets": "print " + "(" * 99 + "1" + ")" * 99 + "\n",
    "sum": "print " + " + ".join(["1"] * 5000) + "\n",
    "conjunction": "print " + " and ".join(["true"] * 5000) + "\n",
    "comparison": "print " + " < ".join(map(str, range(2000))) + "\n",
    "not": "print " + "not " * 90 + "true\n",
    "blocks": nested(99),
    "loops": "\n".join(f"{' ' * i}for i{i} in 0..0:" for i in range(60)) + f"\n{' ' * 60}print i59\n",
    "calls": chain(45),
    "doubling calls": "def p0():\n    pass\n"
    + "".join(f"def p{i}():\n    p{i - 1}\n    p{i - 1}\n" for i in range(1, 40)),
    "many procedures": "".join(f"def p{i}():\n    print {i}\n" for i in range(3000)) + "p0\np2999\n",
    "a long text": f'print "{"a" * 1_000_000}"\n',
}
TOO_MUCH = {
    "brackets": "print " + "(" * 101 + "1" + ")" * 101 + "\n",
    "open brackets": "print " + "(" * 50_000,
    "not": "print " + "not " * 5000 + "true\n",
    "fields": "let a = 1\nprint a" + ".b" * 5000 + "\n",
    "indices": "let a = [1]\nprint a" + "[0]" * 5000 + "\n",
    "commands": "print " + "(survey " * 99 + "L0" + ")" * 99 + "\n" + "print " + "not " * 101 + "true\n",
    "blocks": nested(101),
    "calls": chain(3000),
    "calls, each checked before": chain(3000, upwards=True),
    "characters": "#" * 5_000_001,
}


@pytest.mark.parametrize("name", FITS)
def test_what_is_large_but_fits(name: str) -> None:
    assert codes(FITS[name]) == []


@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_is_too_much_is_said_once_and_soon(name: str) -> None:
    assert codes(TOO_MUCH[name]).count("EL109") == 1


def test_commands_nested_in_arguments_do_not_take_exponential_time() -> None:
    script = "let x = " + "(verify " * 60 + "L0" + " 1)" * 60 + "\n"
    assert set(codes(script, "random:16")) == {"EL201"}


def test_names_are_not_endless() -> None:
    (item,) = findings(f"print {'a' * 1_000_000}\n")
    assert item.code == "EL102"
    assert len(render_diagnostics([item])) < 1000


def test_very_many_errors_are_cut_short() -> None:
    found = findings("".join(f"foo{i}\n" for i in range(10_000)))
    assert len(found) == 200
    report = render_diagnostics(found)
    assert report.endswith("\n200 errors; the first 50 are shown\n")
    assert report.count("error[EL101]") == 50
    assert len(findings("let = 1\n" * 10_000)) == 20


def test_characters_that_cannot_be_seen_are_named_and_not_printed() -> None:
    for char, name in (
        ("\0", "U+0000"),
        ("\x1b", "U+001B"),
        ("\ufeff", "U+FEFF"),
        ("\u00a0", "U+00A0"),
        ("\u2028", "U+2028"),
    ):
        (item,) = findings(f"print {char}1\n")
        assert item.code == "EL102"
        assert name in item.message
        assert item.span.text == char
    assert "\x1b" not in render_diagnostics(findings('print "\x1b[31m" + 3\n'))


# ------------------------------------------------------------------- what diagnostics look like

RENDERED = {
    "a caret under the word, and a help": (
        'load "random:16"\nsurvey L0\nlet s = survay L0   # comment\n',
        """\
error[EL101]: there is no operation `survay`
 --> test.el:3:9
  |
3 | let s = survay L0   # comment
  |         ^^^^^^
  = help: did you mean `survey`?
""",
    ),
    "a note with a place of its own": (
        "def twice():\n    pass\n" + "\n" * 8 + "def twice():\n    pass\n",
        """\
error[EL209]: `twice` is defined twice
  --> test.el:11:5
   |
 1 | def twice():
   |     ----- first defined in line 1
 …
11 | def twice():
   |     ^^^^^
""",
    ),
    "the end of a line": (
        "if 1 < 2\n    pass\n",
        """\
error[EL106]: `if` needs a `:` at the end of its line
 --> test.el:1:9
  |
1 | if 1 < 2
  |         ^
  = help: add `:`
""",
    ),
    "several errors, counted": (
        "print x\nprint y\n",
        """\
error[EL207]: there is no variable `x` here
 --> test.el:1:7
  |
1 | print x
  |       ^
  = help: a concept is written `@x` where any value can stand

error[EL207]: there is no variable `y` here
 --> test.el:2:7
  |
2 | print y
  |       ^
  = help: a concept is written `@y` where any value can stand

2 errors
""",
    ),
    "an expression over two lines: the carets stay on the first": (
        'let x = ("a" *\n    2)\n',
        """\
error[EL210]: `*` is not defined for Text and Int
 --> test.el:1:10
  |
1 | let x = ("a" *
  |          ^^^^^
""",
    ),
    "a long line is cut around the place": (
        "print " + "1 + " * 50 + "x" + " + 1" * 50 + "\n",
        f"""\
error[EL207]: there is no variable `x` here
 --> test.el:1:207
  |
1 | …{"1 + " * 15}x{" + 1" * 19} + …
  | {" " * 61}^
  = help: a concept is written `@x` where any value can stand
""",
    ),
    "wide characters take two columns": (
        'print "日本é" + 3\n',
        """\
error[EL210]: `+` is not defined for Text and Int
 --> test.el:1:7
  |
1 | print "日本é" + 3
  |       ^^^^^^^^^^^
  = help: interpolate instead: "{a}{b}"
""",
    ),
    "inside a text": (
        'print "basins: {s.num_basins}"\n',
        """\
error[EL207]: there is no variable `s` here
 --> test.el:1:17
  |
1 | print "basins: {s.num_basins}"
  |                 ^
  = help: a concept is written `@s` where any value can stand
""",
    ),
    "an operation's usage": (
        'load "random:16"\ninject L0\n',
        """\
error[EL202]: `inject` needs `target`: a basin (L0.B3), a concept, or the seed of a random direction
 --> test.el:2:1
  |
2 | inject L0
  | ^^^^^^^^^
  = help: usage: inject <layer> <target> [strength=setting strength] [noise=none] \
[radius=false] [force=false] [reason=]   """
        "for example: inject L0 42\n",
    ),
    "a tab is one column wide": (
        "if true:\n\tprint x\n",
        """\
error[EL105]: a tab in the indentation
 --> test.el:2:1
  |
2 |  print x
  | ^
  = help: indent with spaces: four for each block

error[EL207]: there is no variable `x` here
 --> test.el:2:8
  |
2 |  print x
  |        ^
  = help: a concept is written `@x` where any value can stand

2 errors
""",
    ),
}


@pytest.mark.parametrize("name", RENDERED)
def test_rendered(name: str) -> None:
    script, expected = RENDERED[name]
    assert render_diagnostics(findings(script)) == expected


def test_colour_adds_nothing_but_colour() -> None:
    found = findings("print x\n")
    coloured = render_diagnostics(found, color=True)
    assert coloured != render_diagnostics(found)
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == render_diagnostics(found)


def test_columns_and_what_is_not_visible() -> None:
    assert columns("ab") == 2
    assert columns("日本") == 4
    assert columns("e\u0301") == 1
    assert blanked("a\x1b[0m\u202eb") == "a�[0m�b"


def test_json_form() -> None:
    (item,) = findings('let x = "a" *\\\n  2\n')
    assert item.to_dict() == {
        "code": "EL210",
        "severity": "error",
        "message": "`*` is not defined for Text and Int",
        "file": "test.el",
        "span": {"start": {"line": 1, "column": 9}, "end": {"line": 2, "column": 4}},
        "notes": [],
        "help": "",
    }
