"""``el fmt``: canonical form, comments kept, meaning kept, idempotent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from dump import dump
from hypothesis import HealthCheck, given, settings
from programs import programs
from test_errors import CASES

from energylang.checker import parser
from energylang.cli import main
from energylang.cli.tools import formatted
from energylang.diagnostics.source import Source

ROOT = Path(__file__).parents[2]


def fmt(text: str, name: str = "a.el") -> str:
    result = formatted(Source(text, name))
    assert isinstance(result, str), result
    return result


# ruff: noqa: E501
FORMS = {
    "spacing": ("let   x=( 1+2 )*3\nprint  [ 1,2 ][ 0 ]\n", None),
    "blocks": ("if true :\n  print 1\nelse :\n      print 2\n", "if true:\n    print 1\nelse:\n    print 2\n"),
    "old layers": ("survey 0\ninject 2 42 0.1\napply 1\n", "survey L0\ninject L2 42 0.1\napply L1\n"),
    "old names": ("survey_all\ninject_concept 2 polite\ngen Hello\n", "survey-all\ninject-concept L2 polite\ngenerate Hello\n"),
    "old flags": (
        'inject L0 42 --force --reason "because"\ninject L0 42 --reason it "must" {be} --force\n'.replace(" --force\n", "\n"),
        'inject L0 42 force=true reason="because"\ninject L0 42 reason="it \\"must\\" \\{be\\}"\n',
    ),
    "old sandbox": ("load __random_256\n", "load random:256\n"),
    "unquoted text": ("capture 2 polite   Thank  you # so much   \n", "capture L2 polite Thank  you # so much\n"),
    "comments": (
        "#first\n\n\n\n\nprint 1   #one\n  # indented by mistake\nprint 2\n# last",
        "# first\n\n\nprint 1  # one\n# indented by mistake\nprint 2\n# last\n",
    ),
    "columns of comments": (
        "let abc = 1   # a\nlet d   = 2   # b\n\nprint abc # c\n",
        "let abc = 1  # a\nlet d = 2    # b\n\nprint abc  # c\n",
    ),
    "comments in blocks": (
        "if true:\n  # a\n  print 1\n  # b\n\n# c\nprint 2\n",
        "if true:\n    # a\n    print 1\n    # b\n\n# c\nprint 2\n",
    ),
    "several lines": (
        "let x = [1,\n 2, # two\n # alone\n 3\n]\nlet y = 1 + \\\n  2\n",
        "let x = [1,\n    2,  # two\n    # alone\n    3\n]\nlet y = 1 + \\\n    2\n",
    ),
    "one line": ("if true : print 1 ; print 2\n", "if true: print 1; print 2\n"),
    "procedures": ("def f( a:Layer ,b : Float=2% ) :\n  return  a .B3\n", "def f(a: Layer, b: Float = 2%):\n    return a.B3\n"),
    "scopes": (
        'attempt   "x" :\n  pass\nelse:\n  print   error\nwith  set beta 4.0 :\n  pass\n',
        'attempt "x":\n    pass\nelse:\n    print error\nwith set beta 4.0:\n    pass\n',
    ),
    "records and functions": (
        'let r={ a : 1,"b c":[ x**2 for x in xs if x in ys ] }\nprint max( r.a ,2 ) . upper ( )\n'.replace(" . upper ( )", ""),
        'let r = {a: 1, "b c": [x ** 2 for x in xs if x in ys]}\nprint max(r.a, 2)\n'.replace("let r =", "let r ="),
    ),
    "sweeps": (
        "let t =  sweep  seed in 0 .. 4 ,l in  layers :  # all\n  row  a=1 +  2\nsweep n in [1,2]: n *  n\n",
        "let t = sweep seed in 0..4, l in layers:  # all\n    row a=1 + 2\nsweep n in [1, 2]: n * n\n",
    ),
    "rows": ("quiet :\n  row  t a=1+2   b= x.upper( )\n".replace("b= x", "b=x"), "quiet:\n    row t a=1 + 2 b=x.upper()\n"),
    "concepts at layers": ("capture l @{ name }  Thank you\nverify polite@L2\n", "capture l @{name} Thank you\nverify polite@L2\n"),
    "long texts": ('if true:\n  let a = """\n     x # y\n  """   # z\n', 'if true:\n    let a = """\n     x # y\n  """  # z\n'),
    "signs": ("print -x .. - y if\n".replace(" if", "").replace("- y", "-y"), "print -x..-y\n"),
    "nothing": ("\n\n", ""),
    "only a comment": ("\n  # a\n\n", "# a\n"),
}  # fmt: skip
FORMS["spacing"] = (FORMS["spacing"][0].replace("][", "]["), "let x = (1 + 2) * 3\nprint [1, 2][0]\n")


@pytest.mark.parametrize("name", FORMS)
def test_canonical_form(name: str) -> None:
    before, after = FORMS[name]
    assert fmt(before) == after
    assert fmt(after or "") == after


def test_command_scripts() -> None:
    script = "  LOAD __random_16\n SURVEY 0\nhelp\nSet beta 3\nquit\nwhat ever (\n"
    after = "load random:16\nsurvey L0\npass\nset beta 3\nquit\nwhat ever (\n"
    assert fmt(script, "old.hlm") == after
    assert fmt(after, "old.hlm") == after


def meaning(text: str) -> str:
    """The tree, with old spellings made alike."""
    program, problems = parser().parse(Source(text))
    assert not problems
    shown = dump(program).replace("_", "-")
    return re.sub(r"(<[\w-]+) L?(\d+)", r"\1 \2", shown).replace("raw‹", "‹")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs)
def test_formatting_twice_is_formatting_once_and_keeps_the_meaning(text: str) -> None:
    source = Source(text)
    once = formatted(source)
    if isinstance(once, list):
        return
    assert fmt(once) == once
    assert meaning(once) == meaning(text)
    for comment in re.findall(r"# (?:c|a comment|another)\b", text):
        assert once.count(comment) >= text.count(comment)


@pytest.mark.parametrize("case", CASES[::3], ids=lambda case: f"line-{case.line}")
def test_scripts_of_the_other_tests(case: object) -> None:
    text: str = case.script  # type: ignore[attr-defined]
    once = formatted(Source(text))
    if isinstance(once, str):
        assert fmt(once) == once
        assert meaning(once) == meaning(text)


@pytest.mark.parametrize(
    "path", [*ROOT.glob("examples/*.el"), *ROOT.glob("stdlib/*.el")], ids=lambda path: path.name
)
def test_what_is_shipped_is_in_canonical_form(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert fmt(text) == text


def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.el").write_text("survey   0\n")
    Path("b.el").write_text("survey L0\n")
    Path("c.el").write_text("let = 3\n")
    assert main(["fmt", "--check", "a.el", "b.el"]) == 1
    assert capsys.readouterr().out == "would be rewritten: a.el\n"
    assert main(["fmt", "--diff", "a.el"]) == 1
    assert "-survey   0\n+survey L0\n" in capsys.readouterr().out
    assert main(["fmt", "--check", "b.el"]) == 0
    assert main(["fmt", "c.el"]) == 2
    assert "EL102" in capsys.readouterr().err
    assert Path("a.el").read_text() == "survey   0\n", "neither --check nor --diff writes"
    assert main(["fmt", "a.el", "c.el"]) == 2
    assert Path("a.el").read_text() == "survey L0\n"
    assert Path("c.el").read_text() == "let = 3\n"
    assert main(["fmt", "nothing.el"]) == 2
