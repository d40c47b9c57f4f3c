"""Diagnostics as they are printed, whole: ``rendered.txt`` holds what every code's wrong script, and some longer
scripts, look like. After a change that is meant, ``EL_UPDATE=1 pytest tests/language/test_rendered.py`` writes it
anew, and the difference is read.
"""

from __future__ import annotations

import os
from pathlib import Path

from energylang.checker import check
from energylang.diagnostics.codes import CODES
from energylang.diagnostics.source import Source
from energylang.render.diagnostics import render_diagnostics
from energylang.run.interpreter import ScriptError
from energylang.session import Session

GOLDEN = Path(__file__).parent / "rendered.txt"

SCRIPTS = {
    "removed in a procedure": (
        'load "tiny"\nsurvey L2\ndef cut(b: Basin):\n    remove b\n\ncut L2.B3\nverify L2.B3\n'
    ),
    "removed, and used through a procedure": (
        'load "tiny"\nsurvey L2\ndef look(b: Basin):\n    verify b\n\nremove L2.B3\nlook L2.B3\n'
    ),
    "removed on some way": (
        'load "tiny"\nlet s = survey L2\nif s.num_basins > 20:\n    remove L2.B3\nenergy L2.B3\nundo\n'
    ),
    "removed in every round": 'load "tiny"\nsurvey L2\nfor i in 0..3:\n    remove L2.B3\nundo\n',
    "removed in an attempt": (
        'load "tiny"\nsurvey L2\nattempt:\n    remove L2.B3\n    require (status).is_original\n'
        "else:\n    verify L2.B3\nverify L2.B3\nundo\n"
    ),
    "surveyed on some way": 'load "tiny"\nif (status).is_original:\n    survey L2\nverify L2.B0\n',
    "another layer's concept": 'load "tiny"\ncapture L2 polite "Thank you"\ninject-concept L3 polite\nundo\n',
    "captured too late": 'load "tiny"\nverify L2 polite\ncapture L2 polite "Thank you"\n',
    "a checkpoint in a branch": (
        'load "tiny"\nif (status).is_original:\n    checkpoint clean\nset beta 4.0\nrollback clean\n'
    ),
    "several at once": (
        'load "tiny"\nsurvay L0\nsurvey L7 inits=many\nlet s = survey L0\nprint s.num_basin\nprint "{s\n'
    ),
    "habits of other languages": "while true:\n    pass\nx += 1\nprint 'a'\ntry:\n    pass\nfor i = 1\n",
    "warnings": ('load "tiny"\nsurvey L3\ninject L3 42\nverify L3.B0\ngenerate "Hello"\nlet unused = 3\n'),
}


def test_diagnostics_look_as_they_did() -> None:
    parts = []
    for code in CODES.values():
        if code.wrong and code.code < "EL500" and code.code != "EL109":
            parts.append(
                (
                    f"{code.code} ({code.title})",
                    code.wrong,
                    check(Source(code.wrong, code.file.replace("script", "wrong"))).diagnostics,
                )
            )
    for name, script in SCRIPTS.items():
        parts.append((name, script, check(Source(script, "script.el")).diagnostics))
    running = "def ratio(a: Int, b: Int):\n    return a / b\n\nfor n in [2, 1, 0]:\n    print (ratio 6 n)\n"
    try:
        Session().run(running, name="running.el")
    except ScriptError as error:
        parts.append(("while it runs", running, error.diagnostics))
    text = "\n".join(
        f"=== {name}\n{script}--- says\n{render_diagnostics(found)}" for name, script, found in parts
    )
    if os.environ.get("EL_UPDATE"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")
