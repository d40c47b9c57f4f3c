"""What comes from files and from strangers is shown, never obeyed: no door lets a control character out.

Doors: the screen of a script, its errors, JSON, the checker, the formatter, HTML, Markdown, SVG, the prompt.
"""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energylang.cli.main import main
from energylang.diagnostics import Diagnostic
from energylang.diagnostics.visible import as_json, blanked, escaped, in_line
from energylang.errors import ElError
from energylang.render.diagnostics import render_diagnostics
from energylang.render.gallery import harmless
from energylang.render.html import to_html
from energylang.session import Session

EVIL = "\x1b]0;pwned\x07\x1b[2J\x9b2J\u202eabc\u2028\x7f\rend"
SHOWN = r"\u{1b}]0;pwned\u{7}\u{1b}[2J\u{9b}2J\u{202e}abc\u{2028}\u{7f}\u{d}end"
WRITTEN = '"' + SHOWN + '"'
COLOUR = re.compile(r"\x1b\[[\d;]*m")


def is_harmless(text: str) -> None:
    """Nothing is in it that a terminal would obey, but for our own colours."""
    plain = COLOUR.sub("", text)
    assert escaped(plain) == plain


@given(st.text())
def test_nothing_that_is_obeyed_is_left_and_text_stays(text: str) -> None:
    assert escaped(escaped(text)) == escaped(text)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", escaped(text))
    assert json.loads(as_json({"a": text, text: [1]})) == {"a": text, text: [1]}
    is_harmless(as_json([text], indent=2))
    assert len(blanked(text)) == len(text)
    assert "\n" not in in_line(text)


def test_what_is_only_unusual_stays() -> None:
    for text in ("a\tb\nc", "naïve – ‘quoted’", "日本語", "👩‍🔬", "e\u0301", "a\u00a0b", "עברית"):
        assert escaped(text) == text
    assert escaped(EVIL) == SHOWN


SCRIPT = f"""load planted:32x3
print {WRITTEN}
set max_changed 50%
inject L0 3
checkpoint {WRITTEN}
history
attempt {WRITTEN}:
    require 1 > 2, {WRITTEN}
else:
    print error
let xs = [{WRITTEN}]
for x in xs:
    require 1 > 2, x
"""


def test_the_screen_of_a_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.el"
    path.write_text(SCRIPT, encoding="utf-8")
    assert main(["run", str(path)]) == 1
    said = capsys.readouterr()
    is_harmless(said.out)
    is_harmless(said.err)
    assert said.out.count(SHOWN) >= 4
    assert SHOWN in said.err


def test_json_says_the_same_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.el"
    path.write_text(SCRIPT, encoding="utf-8")
    main(["run", "--json", str(path)])
    out = capsys.readouterr().out
    is_harmless(out)
    assert next(item["printed"] for item in json.loads(out)["results"] if "printed" in item) == EVIL


@pytest.mark.parametrize("more", [[], ["--json"]], ids=["text", "json"])
def test_names_of_files_and_raw_characters_in_a_script(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    path = tmp_path / "a\x1b[2J\u202e.el"
    path.write_text(
        f'print "{EVIL.replace(chr(13), "")}" + 3\nload "{tmp_path}/no\x1b[2Jfile.pt"\n', encoding="utf-8"
    )
    assert main(["check", *more, str(path)]) == 2
    main(["check", *more, str(tmp_path / "no\x1b[2J.el")])
    main(["fmt", "--check", *more, str(path)])
    main(["info", *more, str(tmp_path / "no\x1b[2J.pt")])
    said = capsys.readouterr()
    is_harmless(said.out)
    is_harmless(said.err)


def test_a_program_goes_into_a_pipe_as_it_is_and_onto_a_terminal_escaped(tmp_path: Path) -> None:
    script = b'print "\x1b[2Ja"\n'
    command = [sys.executable, "-m", "energylang", "fmt", "-"]
    piped = subprocess.run(command, input=script, capture_output=True, check=True)
    assert piped.stdout == script
    ours, theirs = pty.openpty()
    subprocess.run(command, input=script, stdout=theirs, check=True)
    os.close(theirs)
    assert b"\x1b[2J" not in os.read(ours, 10_000)
    os.close(ours)


def test_diagnostics() -> None:
    item = Diagnostic("EL501", f"there is no file {EVIL}", None, help=EVIL, path=EVIL)
    for color in (False, True):
        is_harmless(render_diagnostics([item], color=color))
    is_harmless(as_json(item.to_dict()))


def _capture(s: Session) -> Any:
    return s.capture(3, "polite", EVIL + " Thank you")


DOORS: dict[str, Callable[[Session], Any]] = {
    "capture": _capture,
    "trace": lambda s: s.trace(3, EVIL + " Thank you"),
    "generate": lambda s: s.generate(EVIL + " Thank you", tokens=2),
    "concepts": lambda s: (_capture(s), s.concepts())[1],
    "history": lambda s: (_capture(s), s.history())[1],
    "status": lambda s: (s.checkpoint(EVIL), s.status())[1],
    "forced": lambda s: s.inject(3, 5, force=True, reason=EVIL),
    "basins": lambda s: (s.survey(3, inits=20), s.trace(3, EVIL))[1],
}


@pytest.fixture(scope="module")
def tiny() -> Session:
    return Session("tiny")


@pytest.mark.parametrize("door", DOORS)
def test_results_on_a_screen_and_on_a_page(tiny: Session, door: str) -> None:
    from rich.console import Console

    from energylang.render.gallery import render

    value = DOORS[door](tiny)
    console = Console(width=120, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(render(value))
    is_harmless(captured.get())
    is_harmless(to_html(value))
    is_harmless(value._repr_html_())
    assert json.loads(as_json(value.to_dict())) == json.loads(json.dumps(value.to_dict()))


def test_a_result_itself_is_not_changed() -> None:
    session = Session("planted:32x3")
    edit = session.inject(0, 5, force=True, reason=EVIL)
    assert harmless(edit) is not edit
    assert EVIL in edit.reason
    plain = session.info()
    assert harmless(plain) is plain
    assert harmless((1, "a")) == (1, "a")
    assert harmless({"a": [EVIL]}) == {"a": [SHOWN]}


def test_errors_of_python_callers_come_out_escaped_at_the_command_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ElError):
        Session(f"no{EVIL}")
    main(["info", f"no{EVIL}"])
    is_harmless(capsys.readouterr().err)


def test_markdown_and_svg_of_a_report() -> None:
    from energylang.render.surgery_chart import _printable
    from energylang.render.surgery_tables import text

    assert escaped(text(EVIL)) == text(EVIL)
    assert escaped(_printable(EVIL)) == _printable(EVIL)


def test_the_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    from energylang.jupyter.magics import _escaped
    from energylang.render.html import problems_to_html

    is_harmless(_escaped(EVIL))
    is_harmless(problems_to_html([Diagnostic("EL501", EVIL, None, help=EVIL)]))


def test_answers_of_the_prompt(tmp_path: Path) -> None:
    from energylang.render.terminal import Screen, make_console
    from energylang.syntax import ast

    console = make_console()
    with console.capture() as captured, Screen(console) as screen:
        screen.show(EVIL, ast.Pass(None), f"checkpoint {EVIL}")  # type: ignore[arg-type]
    is_harmless(captured.get())
