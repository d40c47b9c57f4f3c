"""Tab, Enter, the grey suggestion, and what fits on a screen of 80 or 140 columns."""

from __future__ import annotations

from pathlib import Path

import pytest
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from energylang import Session
from energylang.diagnostics.codes import CODES
from energylang.errors import ElError
from energylang.ops import TABLE
from energylang.render.diagnostics import render_diagnostics
from energylang.render.operation import operation_text, operations_text
from energylang.repl import answers
from energylang.repl.answers import help_text
from energylang.repl.completer import EnergyCompleter
from energylang.repl.keys import forward
from energylang.repl.lines import PromptHistory, SuggestedLines
from energylang.repl.prompt import toolbar
from energylang.run.doors import ScriptError


@pytest.fixture(scope="module")
def session() -> Session:
    made = Session("planted:64x4")
    made.run("survey L0")
    return made


class Line:
    """A line at the prompt; ``tab`` presses the key, with the menu that was opened by typing."""

    def __init__(self, session: Session, text: str) -> None:
        self.buffer = Buffer(completer=EnergyCompleter(lambda: session), multiline=True)
        self.buffer.start_completion = self._start  # type: ignore[method-assign]  # without an application
        self.buffer.text = text
        self.buffer.cursor_position = len(text)

    def _start(self, select_first: bool = False, **_: object) -> None:
        offered = self.buffer.completer.get_completions(
            self.buffer.document, CompleteEvent(completion_requested=True)
        )
        self.buffer._set_completions(list(offered))
        if select_first:
            self.buffer.go_to_completion(0)

    def opened(self) -> Line:
        self._start()
        return self

    def tab(self) -> str:
        forward(self.buffer)
        return self.buffer.text

    def menu(self) -> list[str]:
        state = self.buffer.complete_state
        return [] if state is None else [found.text for found in state.completions]


@pytest.mark.parametrize("opened", [False, True])
def test_a_second_tab_never_takes_back(session: Session, opened: bool):
    for text, wanted in {
        "inject-concept L0 x meth": "inject-concept L0 x method=",
        "landscape L0 method=u": "landscape L0 method=umap",
        "verify L": "verify L0",
        "checkpo": "checkpoint",
        ":sav": ":save-session",
    }.items():
        line = Line(session, text)
        if opened:
            line.opened()
        assert line.tab() == wanted
        before = wanted
        for _ in range(4):
            after = line.tab()
            assert after.startswith(wanted) and len(after) >= len(wanted), (before, after)
            before = after


def test_method_offers_its_choices(session: Session):
    line = Line(session, "inject-concept L0 x meth").opened()
    assert line.tab() == "inject-concept L0 x method="
    choices = ["auto", "redirect", "aimed", "attractor", "memory"]
    assert line.menu() == choices
    lead = "inject-concept L0 x method="
    assert [line.tab() for _ in range(6)] == [
        lead + choice for choice in (*choices, "auto")
    ]  # and round again


def test_what_all_have_in_common_comes_first(session: Session):
    line = Line(session, "surv")
    assert line.tab() == "survey" and set(line.menu()) >= {"survey", "survey-all"}
    seen = [line.tab() for _ in range(2 * len(line.menu()))]
    assert set(seen) == set(line.menu()) and all(text.startswith("survey") for text in seen)


def test_an_empty_line_of_a_block_has_no_menu_and_tab_indents_it(session: Session):
    completer = EnergyCompleter(lambda: session)
    for text in ("for l in layers:\n", "for l in layers:\n    ", "for l in layers:\n    survey l\n    "):
        for event in (CompleteEvent(text_inserted=True), CompleteEvent(completion_requested=True)):
            assert not list(completer.get_completions(Document(text), event))
    line = Line(session, "for l in layers:\n    ")
    assert line.tab() == "for l in layers:\n        " and not line.menu()
    assert "survey" in [
        found.text
        for found in completer.get_completions(Document("for l in layers:\n    surv"), CompleteEvent())
    ]


def test_lines_that_failed_are_not_suggested(tmp_path: Path):
    history = PromptHistory(str(tmp_path / "history"))
    suggested = SuggestedLines(history)

    def typed(text: str, *, well: bool) -> None:
        history.append_string(text)
        history.went(text, well=well)

    def grey(text: str) -> str | None:
        found = suggested.get_suggestion(Buffer(), Document(text))
        return None if found is None else found.text

    typed("quiet:\n    survey L0", well=True)
    typed("qload tiny", well=False)
    assert grey("q") == "uiet:" and grey("qload") is None and grey("") is None
    assert grey("quiet:\n    survey") == " L0"
    assert "qload tiny" in history.get_strings()  # ↑ finds it, to be mended
    typed("load tiny", well=False)
    typed("load tiny", well=True)  # there was no file, and now there is
    assert grey("load") == " tiny"
    typed('watermark inject "open sesame"', well=True)
    again = PromptHistory(str(tmp_path / "history"))
    assert list(again.load_history_strings()) == ["load tiny", "quiet:\n    survey L0"]


# ---------------------------------------------------------------------------------- what fits on a screen


@pytest.mark.parametrize("width", [80, 140])
def test_help_is_wrapped_between_words(width: int, session: Session, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", str(width))
    pages = {name: operation_text(op, width) for name, op in TABLE.items()}
    texts = [page.partition("\nexamples\n")[0] for page in pages.values()]
    texts += [help_text(width), operations_text(TABLE, width)]
    texts += [answers.about(code, session) for code in CODES]
    for text in texts:
        assert all(len(line) <= width for line in text.splitlines()), text
    words = operation_text(TABLE["inject-concept"], 10_000).partition("\nexamples\n")[0].split()
    assert pages["inject-concept"].partition("\nexamples\n")[0].split() == words  # no word is cut
    assert len(max(help_text(width).splitlines(), key=len)) > 60


@pytest.mark.parametrize("width", [80, 140])
def test_errors_are_wrapped_between_words(width: int, session: Session):
    for script in ("survey L0 initialisation=3", "inject-concept L3 polite position=3", "capture L0 x"):
        with pytest.raises(ScriptError) as caught:
            session.run(script)
        wide = render_diagnostics(caught.value.diagnostics)
        text = render_diagnostics(caught.value.diagnostics, width=width)
        assert all(len(line) <= width for line in text.splitlines()), text
        assert text.split() == wide.split()


@pytest.mark.parametrize("width", [80, 140])
def test_the_toolbar_shows_the_parameter_at_the_cursor(width: int):
    for op in TABLE.values():
        for param in op.params:
            if param.name in ("force", "reason"):
                continue
            parts = toolbar(f"{op.name} {param.name}=", "", equipped=True, columns=width)
            assert sum(len(part[1]) for part in parts) <= width, op.name
            now = [part[1] for part in parts if part[0] == "class:bottom-toolbar.now"]
            assert len(now) == 1 and param.name in now[0]


def test_answers_to_what_is_nothing_are_errors(session: Session):
    with pytest.raises(ElError, match="nothing is called"):
        answers.about("qload", session)
