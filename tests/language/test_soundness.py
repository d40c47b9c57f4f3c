"""What the checker lets through does not fail for want of a type, and what it stops would have failed.

Each kind of value that is hard to follow has scripts that must be refused and scripts that must be accepted; what is
accepted is also run. `test_fuzz` does the same with programs made at random.
"""

from __future__ import annotations

import pytest

from energylang.checker import check
from energylang.run.interpreter import ScriptError
from energylang.session import Session

REFUSED = {
    "a basin that was removed, in a list of basins": (
        'load random:16x2\nsurvey L0\nremove L0.B0 force=true reason="x"\nprotect L0.B0\nprotect L1.B0\n',
        [(4, "EL304"), (5, "EL303")],
    ),
    "the same, in a list that is put together": (
        'load random:16x2\nsurvey L0\nlet b = [L0.B0] + [L0.B1]\nremove L0.B1 force=true reason="x"\nprotect b\n',
        [(5, "EL304")],
    ),
    "a layer of the model before": (
        "load random:16x4\nfor l in layers:\n    survey l\n    load random:16\n",
        [(3, "EL302")],
    ),
    "a layer in a variable": (
        "load random:16x4\nlet l = L3\nload random:16\nsurvey l\n",
        [(4, "EL302")],
    ),
    "a layer that depends on the way": (
        "load random:16x4\nlet l = L3\nif (info).parameters > 5:\n    l = L0\nload random:16\nsurvey l\n",
        [(6, "EL302")],
    ),
    "a model that may be loaded": (
        "load random:16x2\nif (info).parameters > 5:\n    load random:16\nsurvey L1\n",
        [(4, "EL302")],
    ),
    "a model that may be loaded in a loop over the layers": (
        "load random:16x2\nfor l in layers:\n    survey l\n    attempt:\n        load random:16\n",
        [(3, "EL302")],
    ),
    "a basin in a variable": (
        "load random:16x4\nlet b = L3.B0\nload random:16\nsurvey L0\nprotect [b]\n",
        [(5, "EL302")],
    ),
    "a layer in a parameter": (
        "def f(l: Layer):\n    load random:16\n    survey l\nload random:16x4\nf L3\n",
        [(5, "EL302")],
    ),
    "nothing on some way": (
        "def f(b: Bool):\n    if b:\n        return 1\nlet x = (f false)\nprint x + 1\n",
        [(4, "EL211")],
    ),
    "a return without a value": (
        "def f(b: Bool):\n    if b:\n        return\n    return 1\nprint (f true) + 1\n",
        [(5, "EL211")],
    ),
    "nothing, handed on": ("def f():\n    pass\ndef g(x):\n    print x\ng (f)\n", [(5, "EL211")]),
    "a list that begins empty": (
        'let xs = []\nxs = xs + [1]\nxs = xs + ["a"]\nfor y in xs:\n    print y + 1\n',
        [(3, "EL210")],
    ),
    "a list that grows in a loop": (
        'let xs = []\nfor i in 0..2:\n    xs = xs + [i]\nlet ys = xs + ["a"]\nprint ys\n',
        [(4, "EL210")],
    ),
    "a list that becomes another on another way": (
        'let xs = []\nif (1 < 2) == true:\n    xs = [1]\nelse:\n    xs = ["a"]\n',
        [(5, "EL201")],
    ),
    "a list in a list": ('let xs = [[]]\nxs = xs + [[1]]\nxs = xs + [["a"]]\n', [(3, "EL210")]),
    "a field that may be none": ("load planted:32x3\nlet s = survey L0\nprint s.at + 1\n", [(3, "EL210")]),
    "the same as an argument": (
        "load planted:32x3\nsurvey L0\nlet e = remove L0.B0\nverify L0 (e.basin)\n",
        [(4, "EL201")],
    ),
    "the same as a condition": (
        "load planted:32x3\nlet b = (survey L0).basins[0]\nif b.radius_reached:\n    pass\n",
        [(3, "EL201")],
    ),
    "a field of what may be none": (
        "load tiny\ncapture L3 polite Thank you\nlet e = inject-concept L3 polite\nprint e.effect.share_z * 2\n",
        [(4, "EL210")],
    ),
    "a test that is over": (
        "load planted:32x3\nlet x = (survey L0).at\nif x != none:\n    x = (survey L0).at\n    print x + 1\n",
        [(5, "EL210")],
    ),
    "a test on another way": (
        "load planted:32x3\nlet x = (survey L0).at\nif x != none:\n    pass\nprint x + 1\n",
        [(5, "EL210")],
    ),
    "a test of the round before": (
        "load planted:32x3\nlet x = (survey L0).at\nrequire x != none\nfor i in 0..1:\n    print x + 1\n"
        "    x = (survey L0).at\n",
        [(5, "EL210")],
    ),
    "a test with `or`": (
        "load planted:32x3\nlet x = (survey L0).at\nif x != none or true:\n    print x + 1\n",
        [(4, "EL210")],
    ),
    "a model's name in a text": ('let m = "random:16"\nload "{m}"\ngenerate "hi"\n', [(3, "EL250")]),
    "models' names in a loop": (
        'for m in ["tiny", "random:16"]:\n    load "{m}"\n    generate "hi"\n',
        [(3, "EL250")],
    ),
    "a name that is put together": ('let n = 16\nload "random:{n}"\ngenerate "hi"\n', [(3, "EL250")]),
    "a parameter without a type": ('def f(x):\n    return x + 1\nprint (f "a")\n', [(2, "EL210")]),
    "the second of two calls": (
        'def f(x):\n    return x + 1\nprint (f 1)\nprint (f "a")\n',
        [(2, "EL210")],
    ),
    "a call in a call": (
        'def f(x):\n    return x + 1\ndef g(x):\n    return (f x)\nprint (g "a")\n',
        [(2, "EL210")],
    ),
    "what such a call gives": ('def f(x):\n    return x\nprint (f "a") + 1\n', [(3, "EL210")]),
    "a default that has a type": ('def f(x = "a"):\n    return x + 1\nprint (f)\n', [(2, "EL210")]),
    "a command that reads its arguments in two ways": (
        "def f(x):\n    inject x 3\nload random:16\nsurvey L0\nf L0\nf L0.B0\n",
        [(2, "EL201")],
    ),
    "a choice out of a list": (
        'load random:16\nfor d in ["float32", "floot"]:\n    set dtype d\n',
        [(3, "EL208")],
    ),
    "a choice that is a number": ("load random:16\nlet d = 3\nset dtype d\n", [(3, "EL201")]),
    "a seed that is none": ("load random:16\nsurvey-all\nmove L0.B0 to=seed 1.5\n", [(3, "EL201")]),
    "a seed where none can be": ("load random:16\nsurvey L0 inits=seed 3\n", [(2, "EL201")]),
    "a layer in a list that is made of another": (
        "load random:16x4\nlet ls = [l for l in layers if true]\nload random:16\nsurvey ls[3]\n",
        [(4, "EL302")],
    ),
    "a layer in a table": (
        "load random:16x4\nlet t = table\nfor l in layers:\n    row t a=l\nload random:16\n"
        "for r in t:\n    survey r.a\n",
        [(7, "EL302")],
    ),
    "a layer in a record, before any model": (
        "let r = {a: L3}\nload random:16\nsurvey r.a\n",
        [(3, "EL302")],
    ),
    "a basin of the model before, out of a list": (
        "load random:16x4\nlet bs = [b for b in (survey L3).basins]\nload random:16\nsurvey L0\nverify bs[0]\n",
        [(5, "EL302")],
    ),
    "a column that some rows leave out": (
        "let t = table\nrow t a=1\nrow t b=2\nprint t[0].a + 1\n",
        [(4, "EL210")],
    ),
    "a column of another type": (
        'let t = table\nfor i in 0..1:\n    row t a=i\nrow t a="x"\n',
        [(4, "EL201")],
    ),
    "a column that is not there": ("let t = table\nrow t a=1\nprint t.b\n", [(3, "EL205")]),
    "a table of a procedure": (
        "def f(t: Table):\n    print t.b\nlet t = table\nrow t a=1\nf t\n",
        [(2, "EL205")],
    ),
    "records with other fields": ("let xs = [{a: 1}, {b: 2}]\nprint xs[0].a + 1\n", [(2, "EL210")]),
    "what a list made of another holds": (
        'let xs = ["{x}" for x in 1..2]\nprint xs[0] + 1\n',
        [(2, "EL210")],
    ),
    "a list made of many kinds": ("let xs = [x for x in [1, true]]\n", [(1, "EL201")]),
    "a removed basin, in a list made of another": (
        'load random:16\nsurvey L0\nlet xs = [(remove L0.B0 force=true reason="x").applied for i in 0..1]\n',
        [(3, "EL304")],
    ),
    "a deviation of one number": ("print std([1.0]) + 1\n", [(1, "EL210")]),
    "a power that may be no whole number": (
        "let n = len([1])\nlet xs = [1][2 ** n]\nprint xs\n",
        [(2, "EL201")],
    ),
    "what an operation does that is run once more": (
        "load random:16\nset inits 5\nlet x = again 1\n",
        [(3, "EL211")],
    ),
}

ACCEPTED = {
    "items that are not none": (
        "let t = table\nrow t a=1\nrow t b=2\nprint sum([r.a for r in t if r.a != none]) + 1\n"
        "for r in t:\n    if r.b != none: print r.b + 1\n"
    ),
    "a table of rounds": (
        "load random:16x2\nlet t = table\nfor l in layers:\n    for s in [1, 2.5]:\n        row t l=l s=s\n"
        "print sum(t.s) + 1\nfor r in sorted(t, by=\"s\"):\n    survey r.l inits=5\n"
    ),
    "a list of lists that are made": "let xs = [[y * x for y in 0..x] for x in 1..3]\nprint xs[2][1] + 1\n",
    "two lists side by side": "for a, b in zip([1, 2], [\"x\", \"y\"]):\n    print \"{a + 1} {b.upper()}\"\n",
    "a procedure for tables": (
        "def best(t: Table):\n    return max(t.a)\nlet t = table\nrow t a=1\nlet u = table\nrow u a=0.5 b=1\n"
        "print (best t) + best(u)\n"
    ),
    "an operation once more": "load random:16\nset inits 5\nagain 1\nsurvey L0\n",
    "quiet lets stay": "quiet:\n    let x = 1\nprint x + 1\n",
    "another model of as many layers": (
        "load random:16x2\nfor l in layers:\n    load random:8x2\n    survey l inits=5\n"
    ),
    "a procedure that returns on every way it is called": (
        "def f(b: Bool):\n    if b:\n        return 1\nprint (f true) + 1\nf false\n"
    ),
    "a way that ends": (
        'def f(b: Bool):\n    if b:\n        return 1\n    require false, "no"\nattempt:\n    print (f false)\n'
    ),
    "empty lists": (
        "let xs = []\nfor x in xs:\n    print x + 1\nxs = xs + [1] + []\nprint xs[0] + 1\n"
        'let ys = []\nys = ys + ["a"]\nprint ys[0] + "b"\nlet zs = [[]]\nzs = zs + [[1]]\nprint zs[1][0] + 1\n'
    ),
    "tests for none": (
        "load planted:32x3\nlet s = survey L0\n"
        "if s.at != none:\n    print s.at + 1\n"
        "if s.at == none:\n    print 0\nelse:\n    print s.at + 1\n"
        "if s.at > 0 and s.at + 1 > 0:\n    print -s.at\n"
        "if s.at == 3:\n    print s.at + 1\n"
        "if not s.at == none:\n    print s.at + 1\n"
        "if s.at == none or s.at + 1 > 0:\n    pass\n"
        "attempt:\n    require s.at != none\n    print s.at + 1\n"
        'print "{s.at} {s.at:3d} {s.at == none} {none}"\n'
        "survey L0 until=none\nlet best = none\nfor i in 0..2:\n    if best == none or best < i:\n        best = i\n"
        "require best == 2\nrequire not (s.at > 0) and not (s.at <= 0)\n"
    ),
    "an early return": (
        "def f(s: Survey):\n    if s.at == none:\n        return 0\n    return s.at + 1\n"
        "load planted:32x3\nrequire (f (survey L0)) == 0\n"
    ),
    "a field of none": "load planted:32x3\nsurvey L0\nlet e = inject L0 7\nrequire not (e.effect.share_z > 2)\n",
    "models by variables": 'for m in ["planted:32x3", "random:16"]:\n    load "{m}"\n    survey L0 inits=5\n',
    "a procedure for any type": (
        'def twice(x):\n    return x + x\nrequire (twice 2) == 4\nrequire (twice "a") == "aa"\n'
        'let xs = (twice [1])\nrequire xs[1] + 1 == 2\nprint (twice 0.5) + 1\n'
    ),
    "a choice in a variable": 'load planted:32x3\nfor d in ["float32", "float64"]:\n    set dtype d\n',
    "a choice that is called like a variable": (
        'load planted:32x3\nlet float64 = "x"\nprint float64\nset dtype float64\n'
    ),
    "a seed in a keyword": (
        "load random:16x2\nsurvey-all\nmove L0.B0 to=seed 3\nlet n = 4\nmove L0.B1 to=seed n strength=5%\n"
        "def f(l: Layer, d: Direction, n: Int = 1):\n    verify l d\nf L0 d=seed 3 n=2\nf d=seed 3 l=L0\n"
    ),
}  # fmt: skip


def errors(script: str) -> list[tuple[int, str]]:
    return [
        (item.span.start_location()[0] if item.span else 0, item.code)
        for item in check(script).diagnostics
        if item.is_error
    ]


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_fail_is_refused(name: str) -> None:
    script, expected = REFUSED[name]
    assert errors(script) == expected


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_right_is_accepted_and_runs(name: str) -> None:
    assert errors(ACCEPTED[name]) == []
    try:
        Session().run(ACCEPTED[name])
    except ScriptError as error:
        raise AssertionError(str(error)) from None


def test_a_refusal_says_what_to_do() -> None:
    (item,) = check("load planted:32x3\nlet s = survey L0\nprint s.at + 1\n").diagnostics
    assert item.help == "`s.at` may be none: use it behind `if s.at != none:` or `require s.at != none`"
    (item,) = check('def f(x):\n    return x + 1\nprint (f "a")\n').diagnostics
    assert [(note.message, note.span.text) for note in item.notes if note.span] == [("in the call here", "f")]


def test_a_comparison_with_none_that_does_not_hold_says_so() -> None:
    with pytest.raises(ScriptError, match=r"does not hold \(none > 2 is false\)"):
        Session().run("load planted:32x3\nlet s = survey L0\nrequire s.at > 2\n")


def test_a_line_at_the_prompt_knows_the_types_of_what_is_there() -> None:
    session = Session("planted:32x3")
    session.run("let at = (survey L0).at\nlet xs = []\nlet mixed = [none, 1]")
    for line in ("print at + 1", "print mixed[0] + 1"):
        with pytest.raises(ScriptError, match="EL210"):
            session.run(line)
    session.run("xs = xs + [1]\nprint xs[0] + 1")


def test_what_a_seed_was_goes_into_the_history_as_it_is_written() -> None:
    session = Session("random:16x2")
    session.run("survey-all\nlet n = 3\nmove L0.B0 to=seed n")
    again = Session("random:16x2")
    again.run("survey-all")
    again.run(session.history().entries[-1].statement)
    assert again.info().hash == session.info().hash
