"""What runs beside the screen: one piece of work at a time, stopped by Ctrl-C as at the prompt.

The screen has to stay alive while a statement runs, so statements run in a thread of their own. Ctrl-C raises
``KeyboardInterrupt`` in it, which is what a session makes a rollback of; nothing else touches the session meanwhile.
A look at a basin may give way (``yields``): it is stopped when something else is to run.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """Something to run. ``yields``: it may be stopped for the next one."""

    run: Callable[[], None]
    yields: bool


class Worker:
    """A thread that runs jobs one after the other; of those that wait, only the last is kept."""

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._next: Job | None = None
        self._now: Job | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        with self._wake:
            return self._now is not None or self._next is not None

    def submit(self, job: Job) -> None:
        """Run a job as soon as the present one is over or has given way."""
        with self._wake:
            self._next = job
            if self._now is not None and self._now.yields:
                self._interrupt()
            self._wake.notify()

    def stop(self) -> None:
        """Stop what runs and forget what waits."""
        with self._wake:
            self._next = None
            if self._now is not None:
                self._interrupt()

    def close(self) -> None:
        """Stop everything and wait until it has."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self.stop()
        self._thread.join()

    def _interrupt(self) -> None:
        # The thread's next step raises; the lock makes sure that it is still inside the job.
        if self._thread.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(self._thread.ident), ctypes.py_object(KeyboardInterrupt)
            )

    def _loop(self) -> None:
        while True:
            with suppress(KeyboardInterrupt):  # one that came when its job had just ended
                if self._once():
                    return

    def _once(self) -> bool:
        """Wait for a job and run it; is it time to end?"""
        with self._wake:
            while self._next is None and not self._closed:
                self._wake.wait()
            if self._next is None:
                return True
            self._now, self._next = self._next, None
        try:
            with suppress(KeyboardInterrupt):
                self._now.run()
        finally:
            with self._wake:
                self._now = None
        return False
