"""What is said while an operation runs: on a terminal, and in a log."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from pathlib import Path

from energylang.render.waiting import Log, Running


def test_a_line_says_what_runs_how_far_and_how_long() -> None:
    running, now = Running("inject-concept L3 polite"), [0.0]
    running.pace.clock = lambda: now[0]
    running.pace.began = running.pace.phase = running.pace.stepped = 0.0
    assert running.said() == "" and str(running.__rich__()) == "inject-concept L3 polite"
    now[0] = 12.0
    assert running.said() == "12 s"
    running.count(0, 1, "a single step is no phase")
    assert running.said() == "12 s"
    running.count(0, 4, "controls\x1b[2J")
    now[0] = 22.0
    running.count(1, 4, "controls\x1b[2J")
    assert running.said() == "1 of 4 controls\\u{1b}[2J · 22 s · about 30 s left"
    now[0] = 27.0
    assert running.said().endswith("· 27 s · about 25 s left")  # between two steps the time goes on
    now[0] = 60.0
    assert running.said().endswith("· 60 s · about 20 s left")  # but two more are to come


def test_a_log_writes_only_about_what_takes_long() -> None:
    out = io.StringIO()
    log = Log(every=0.1, stream=out)
    log.begin(Running("quick"))
    log.end()
    time.sleep(0.3)
    assert out.getvalue() == ""
    running = Running("survey-all")
    running.count(1, 3, "layers")
    log.begin(running)
    end = time.monotonic() + 60
    while not out.getvalue() and time.monotonic() < end:
        time.sleep(0.02)
    log.close()
    assert out.getvalue().startswith("survey-all: 1 of 3 layers")


def test_in_a_pipe_the_log_goes_to_standard_error(tmp_path: Path) -> None:
    script = tmp_path / "a.el"
    script.write_text("load random:64\nsurvey L0 inits=3000\n")
    code = (
        "import sys; from energylang.render import waiting; waiting.EVERY = 0.01; "
        "from energylang.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    for words in (["run", str(script)], ["run", "--json", str(script)], ["run", "--quiet", str(script)]):
        done = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
        )
        assert any(line.startswith("survey L0 inits=3000: ") for line in done.stderr.splitlines())
        assert "inits=3000: " not in done.stdout
