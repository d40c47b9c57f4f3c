"""What is said while an operation runs: on a terminal a line that keeps up, elsewhere a line now and then.

Both say what runs, how far it has come where the operation counts its steps, since when it runs, and about how long
what it is doing will still take. The lines go to standard error, so that what a script shows stays as it is.
"""

from __future__ import annotations

import sys
import threading
from typing import TextIO

from rich.console import Console
from rich.status import Status
from rich.text import Text

from energylang.diagnostics.visible import in_line

from .marks import bar
from .pace import Pace

EVERY = 10.0  # seconds between two lines of a log, at first
SLOWEST = 60.0  # and later: each pause is half as long again, up to this
_BAR = 24


class Running:
    """An operation that runs: its statement, and how far it has come."""

    def __init__(self, line: str) -> None:
        self.line = line
        self.pace = Pace()
        self.counted: tuple[int, int, str] | None = None

    def count(self, done: int, total: int, what: str) -> None:
        if total > 1:
            self.counted = done, total, in_line(what)
            self.pace.reached(done, total)

    @property
    def seconds(self) -> float:
        """Since when it runs."""
        return self.pace.clock() - self.pace.began

    def said(self) -> str:
        """``2 of 4 controls · 31 s · about 40 s left``, or the time alone, or nothing at first."""
        return self.pace.elapsed() if self.counted is None else self.pace.told(*self.counted)

    def __rich__(self) -> Text:
        text = Text(self.line, style="dim")
        if self.counted is not None:
            done, total, _ = self.counted
            text.append(f"  {bar(done / total, _BAR):<{_BAR}}", style="cyan")
        said = self.said()
        return text.append(f"  {said}") if said else text


class Spinner:
    """The line on a terminal. It is drawn anew several times a second, so its time goes on without being told."""

    def __init__(self, console: Console, running: Running) -> None:
        self._status = Status(running, console=console)
        self._status.start()

    def stop(self) -> None:
        self._status.stop()


class Log:
    """Lines on standard error (or ``stream``) about an operation that takes more than ``every`` seconds (``EVERY``
    where it is not given), and at longer and longer pauses after that. One thread writes them for all operations of a
    run, from the first one on."""

    def __init__(self, every: float | None = None, stream: TextIO | None = None) -> None:
        self.every, self.stream = EVERY if every is None else every, stream
        self.running: Running | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, running: Running) -> None:
        self.running = running
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Nothing runs."""
        self.running = None

    def close(self) -> None:
        self.running = None
        self._over.set()

    def _write(self) -> None:
        told: Running | None = None  # what the pauses below belong to
        due = pause = self.every
        while not self._over.wait(min(1.0, self.every)):
            running = self.running
            if running is None:
                continue
            if running is not told:
                told, due, pause = running, self.every, self.every
            if running.seconds < due:
                continue
            pause = min(1.5 * pause, max(SLOWEST, self.every))
            due = running.seconds + pause
            stream = self.stream or sys.stderr
            try:
                stream.write(f"{running.line}: {running.said()}\n")
                stream.flush()
            except (OSError, ValueError):
                return  # nobody reads it any more
