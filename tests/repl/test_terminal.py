"""The prompt in a real terminal, driven with tmux."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .terminal import TMUX, Terminal

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(TMUX is None, reason="tmux is not installed: the prompt cannot be driven without it"),
]


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path)
    made.wait("▸")
    yield made
    made.close()


def test_completion_hints_and_errors(terminal: Terminal):
    terminal.type("load planted:64x4")
    terminal.wait("Hopfield")
    terminal.type("survey L0")
    terminal.wait("stability")
    terminal.type("verify L0.B", enter=False)
    shown = terminal.wait("starts", count=4)
    assert "L0.B1 " in shown and "energy -" in shown and "verify <layer> <target>" in shown
    terminal.keys("Down", "Enter")  # takes the first of the menu, and does not run the line
    time.sleep(0.5)
    terminal.keys("Enter")
    terminal.wait("a basin")
    terminal.type("survey L0 inis=3")
    shown = terminal.wait("did you mean `inits`?")
    assert "^^^^" in shown and "Traceback" not in shown


def test_blocks_and_history(terminal: Terminal):
    terminal.type("for i in 1..3:")
    terminal.type('print "round {i}"')
    terminal.keys("Enter")
    shown = terminal.wait("round 3")
    assert shown.count("·") >= 1
    terminal.type("print 4")
    terminal.wait("\n4\n▸")  # not the line as it was typed: the next one is read only when this one is done
    terminal.keys("Up", "Enter")
    terminal.wait("print 4", count=2)
    assert "print 4" in (terminal.state / "energylang" / "history").read_text()


def test_ctrl_c_stops_a_survey_and_leaves_no_trace(terminal: Terminal):
    terminal.type("load random:512")
    terminal.wait("Hopfield")
    terminal.type("survey L0 inits=1000000")
    terminal.wait("survey L0 inits=1000000", count=2)  # as typed, and as what runs
    terminal.keys("C-c")
    terminal.wait("stopped; the statement that was running left no trace")
    terminal.type("status")
    shown = terminal.wait("staged")
    assert "Traceback" not in shown and "0 changes to undo" in shown


def test_kill_during_an_edit_then_resume(tmp_path: Path):
    first = Terminal(tmp_path)
    try:
        first.wait("▸")
        first.type("load planted:64x4")
        first.wait("Hopfield")
        first.type("let x = 7")
        first.type("inject L0 42")
        first.wait("✓ staged")
        first.type("dream L0 cycles=1000 strengthen=1.01 prune=0")
        first.wait("dream L0 cycles=1000", count=2)
        os.kill(first.pid(), signal.SIGKILL)
    finally:
        first.close()
    second = Terminal(tmp_path, "--resume")
    try:
        shown = second.wait("in force")
        assert "planted:64x4, 1 change in force" in shown
        second.type("print x")
        second.wait("\n7")
        second.type("undo")
        second.wait("identical to the original")
    finally:
        second.close()


def test_exploring_a_layer_and_editing_it_there(tmp_path: Path):
    terminal = Terminal(tmp_path, width=120, height=42)
    try:
        terminal.wait("▸")
        terminal.type("load planted:64x4")
        terminal.wait("Hopfield")
        terminal.type("explore L0")
        shown = terminal.wait("attracts")
        assert "20 basins; by starts" in shown and "component 1 (" in shown and "▸B0" in shown
        assert "q leave" in shown and "weights only" in shown
        terminal.keys("Down", "Down")
        terminal.wait("▸B2")
        terminal.keys("Tab")
        terminal.wait("by energy")
        terminal.keys("?")
        terminal.wait("All of it runs in the session of the prompt")
        terminal.keys("?")
        terminal.keys("s")
        terminal.wait("▸ strengthen L0.B2 factor=1.1")
        terminal.keys("Escape")
        terminal.wait("q leave")
        assert "staged" not in terminal.screen()
        terminal.keys("i")
        terminal.wait("▸ inject L0 seed 42")
        terminal.keys("Enter")
        shown = terminal.wait("✓ staged")
        assert "seed 42 in L0" in shown and "planted:64x4* 1/1" in shown and "21 known basins" in shown
        terminal.keys("u")
        terminal.wait("0/1")
        terminal.wait("20 basins")
        terminal.keys("r")
        terminal.wait("21 known basins")
        terminal.keys(":")
        terminal.type("remove L0.B999")
        shown = terminal.wait("EL5")
        assert "Traceback" not in shown
        terminal.keys("q")
        shown = terminal.wait("explored L0")
        assert "▸ inject L0 seed 42" in shown and "▸ undo" in shown
        terminal.type("status")
        terminal.wait("to undo")
    finally:
        terminal.close()
    again = Terminal(tmp_path, "--resume")
    try:
        assert "planted:64x4, 1 change in force" in again.wait("in force")
    finally:
        again.close()


def test_ctrl_c_in_the_full_screen_stops_a_statement(tmp_path: Path):
    terminal = Terminal(tmp_path, "random:512", width=100, height=30)
    try:
        terminal.wait("Hopfield")
        terminal.type("explore L0")
        terminal.wait("attracts")
        terminal.keys(":")
        terminal.type("survey L0 inits=1000000")
        terminal.wait("Ctrl-C stops it")
        time.sleep(1.0)
        terminal.keys("C-c")
        terminal.wait("left no trace")
        terminal.keys("q")
        terminal.wait("explored L0")
    finally:
        terminal.close()


def test_on_a_small_screen_a_closed_menu_takes_no_rows(tmp_path: Path):
    terminal = Terminal(tmp_path, width=80, height=24)
    try:
        terminal.wait("▸")
        terminal.type("load planted:64x4")
        terminal.wait("Hopfield")
        terminal.type("survey L0")
        terminal.wait("of the starts\nplanted:64x4 ▸")
        terminal.type("survey L0")
        terminal.wait("of the starts\nplanted:64x4 ▸", count=2)
        time.sleep(0.5)
        rows = terminal.visible()
        assert rows[22].startswith("planted:64x4 ▸") and rows[23].startswith(" Tab completes")
        assert all(row.strip() for row in rows[:22])
        terminal.type("landscape L0 meth", enter=False)
        terminal.wait("how they are found")  # the menu is open
        for wanted in ("landscape L0 method=", "landscape L0 method=pca", "landscape L0 method=umap"):
            terminal.keys("Tab")
            terminal.wait(f"▸ {wanted}")
        terminal.keys("C-c")
        terminal.type("for i in 1..2:")
        time.sleep(1.0)
        assert not any("survey" in row for row in terminal.visible()[-8:])
        terminal.type("print i")
        terminal.keys("Enter")
        terminal.wait("\n1\n2\n")
        terminal.type("survey L0 inis=3")
        terminal.wait("did you mean")
        terminal.type("survey L0 i", enter=False)
        time.sleep(1.0)
        (line,) = [row for row in terminal.visible()[-10:] if "▸ survey L0 i" in row and "=3" not in row]
        assert line.startswith("planted:64x4 ▸ survey L0 i")
    finally:
        terminal.close()


def test_what_took_long_is_not_run_again(tmp_path: Path):
    first = Terminal(tmp_path, "random:512")
    try:
        first.wait("Hopfield")
        first.type("survey L0 inits=20000")
        first.wait("of the starts")
        first.type("let x = 7")
        first.wait("▸ let x = 7\n")
        first.keys("C-d")
    finally:
        time.sleep(3.0)
        first.close()
    second = Terminal(tmp_path, "--resume")
    try:
        shown = second.wait("in force")
        assert "2 lines from the saved state" in shown
        second.type("print x")
        second.wait("\n7")
        second.type("status")
        second.wait("original")
    finally:
        second.close()


def test_leaving(terminal: Terminal):
    terminal.keys("C-d")
    end = time.monotonic() + 300
    while terminal.screen() and time.monotonic() < end:
        time.sleep(0.1)
    assert not terminal.screen()
