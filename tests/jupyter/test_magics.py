"""``%el`` and ``%%el`` in an IPython shell, and their completion."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

IPython = pytest.importorskip("IPython", reason="the magics need IPython: pip install 'energylang[notebook]'")

from IPython.testing.globalipapp import start_ipython  # noqa: E402
from IPython.utils.capture import capture_output  # noqa: E402

from energylang import Session  # noqa: E402
from energylang.compat import BasinSurgeon  # noqa: E402


@pytest.fixture(scope="module")
def running():
    shell = start_ipython()
    shell.display_formatter.active_types = ["text/plain", "text/html"]  # as in a notebook
    return shell


@pytest.fixture
def shell(running) -> Iterator:
    running.user_ns.pop("session", None)
    running.user_ns.pop("surgeon", None)
    running.run_line_magic("load_ext", "energylang")
    yield running
    running.run_line_magic("unload_ext", "energylang")


def test_one_session_with_python(shell):
    shell.run_line_magic("el", "load planted:64x4")
    found = shell.run_line_magic("el", "survey L0")
    session = shell.user_ns["session"]
    assert isinstance(session, Session) and found.num_basins == session.survey(0).num_basins
    session.inject(0, 42)
    assert shell.run_line_magic("el", "status").undoable == 1


def test_a_surgeon_s_session_is_shared(shell):
    shell.user_ns.pop("session")
    shell.user_ns["surgeon"] = BasinSurgeon.from_checkpoint("planted:64x4")
    assert shell.run_line_magic("el", "info").model == "planted:64x4"
    assert shell.user_ns["session"] is shell.user_ns["surgeon"].session


def test_a_cell_shows_every_result(shell):
    with capture_output() as shown:
        shell.run_cell_magic("el", "", "load planted:64x4\nsurvey L0\nlet x = 3\nprint x\n")
    pages = [output.data.get("text/html", "") for output in shown.outputs]
    assert len(pages) == 3 and "basins" in pages[1] and "survey L0" in pages[1] and "3" in pages[2]


def test_an_error_shows_its_place_and_stops(shell):
    shell.run_line_magic("el", "load planted:64x4")
    with capture_output() as shown:
        ran = shell.run_cell("%%el\nsurvey L0\nsurvey L0 inis=3\n")
    page = "".join(output.data.get("text/html", "") for output in shown.outputs)
    assert not ran.success and "EL204" in page and "^" in page and "inits" in page
    assert "Traceback" not in shown.stdout + shown.stderr


def words(shell, text: str) -> list[str]:
    found = shell.Completer.completions(text, len(text))
    return [text[: item.start] + item.text for item in found]


def test_completion(shell):
    shell.run_line_magic("el", "load planted:64x4")
    shell.run_line_magic("el", "survey L0")
    from IPython.core.completer import provisionalcompleter

    with provisionalcompleter():
        assert any(word.endswith("survey-all") for word in words(shell, "%el surv"))
        assert any(word.endswith("L0.B0") for word in words(shell, "%%el\nverify L0.B"))


def test_results_are_html_in_a_notebook():
    page = Session("planted:64x4").survey(0)._repr_html_()
    assert "<table" in page and "stability" in page and "<script" not in page


def test_a_line_drops_no_output(shell):
    shell.run_line_magic("el", "load planted:64x4")
    with capture_output() as shown:
        value = shell.run_line_magic("el", 'survey L0; print "two"')
    pages = " ".join(output.data.get("text/html", "") for output in shown.outputs)
    assert "basins" in pages
    assert "two" in pages or value == "two"
    with capture_output() as shown:
        shell.run_line_magic("el", 'print "hello"')
    assert "hello" in " ".join(output.data.get("text/html", "") for output in shown.outputs)


def test_a_name_of_the_user_s_is_left_alone(shell):
    shell.user_ns["session"] = mine = {"my": "own"}
    with capture_output() as shown:
        shell.run_line_magic("el", "load planted:64x4")
        found = shell.run_line_magic("el", "survey L0")
    assert shell.user_ns["session"] is mine
    assert found.num_basins > 0
    assert shown.stdout.count("dict") == 1, "it is said, once"
