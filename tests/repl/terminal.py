"""A prompt in a terminal of its own, driven with tmux as a user would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TMUX = shutil.which("tmux")


class Terminal:
    """A running ``el repl``; its state is kept in ``state``."""

    def __init__(self, state: Path, *words: str, width: int = 110, height: int = 40) -> None:
        assert TMUX is not None
        self.name = f"el-{uuid.uuid4().hex[:8]}"
        self.state = state
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(state),
            "TERM": "xterm-256color",
            "LC_ALL": "C.UTF-8",
        }
        self._call(
            "new-session",
            "-d",
            "-x",
            str(width),
            "-y",
            str(height),
            "-s",
            self.name,
            "-c",
            str(state),
            "sh",
            env=environment,
        )
        for key in ("PYTHONPATH", "XDG_STATE_HOME"):
            self.type(f"export {key}={environment[key]}")
        self.started = time.monotonic()
        self.type(f"exec {sys.executable} -m energylang repl {' '.join(words)}")

    def _call(self, *words: str, env: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            [str(TMUX), "-L", self.name, *words],
            capture_output=True,
            text=True,
            check=False,
            env=env,
            timeout=300,
        )
        return done.stdout

    def keys(self, *keys: str) -> None:
        """Press keys, by their tmux names."""
        self._call("send-keys", "-t", self.name, *keys)

    def type(self, text: str, *, enter: bool = True) -> None:
        """Type a text."""
        self._call("send-keys", "-t", self.name, "-l", text)
        if enter:
            self.keys("Enter")

    def screen(self) -> str:
        return self._call("capture-pane", "-p", "-t", self.name, "-S", "-200")

    def visible(self) -> list[str]:
        """The rows of the screen as they are seen now."""
        return self._call("capture-pane", "-p", "-t", self.name).rstrip("\n").split("\n")

    def wait(self, text: str, *, count: int = 1, seconds: float = 300) -> str:
        """Until the screen shows ``text`` (``count`` times); ``seconds`` is there for what never comes."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            shown = self.screen()
            if shown.count(text) >= count:
                return shown
            time.sleep(0.1)
        raise AssertionError(f"the screen never showed {text!r}:\n{self.screen()}")

    def pid(self) -> int:
        return int(self._call("list-panes", "-t", self.name, "-F", "#{pane_pid}").split()[0])

    def close(self) -> None:
        self._call("kill-server")
