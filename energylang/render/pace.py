"""How far has an operation come, since when, and how long will what it is doing still take?"""

from __future__ import annotations

import time
from collections.abc import Callable

_SHORT = 1.0  # seconds below which no time is told


class Pace:
    """Turns counts (so many of so many done) into words, with the time since the operation began and an estimate of
    what is left of the present phase. A phase begins where the count starts anew; nothing is estimated before one of
    its steps is done."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.began = self.phase = self.stepped = clock()  # the operation, its phase, its last step
        self.last = (-1, -1)  # done, total

    def reached(self, done: int, total: int) -> None:
        """So many of so many are done now."""
        if (done, total) == self.last:
            return
        self.stepped = self.clock()
        if total != self.last[1] or done < self.last[0]:
            self.phase = self.stepped
        self.last = (done, total)

    def told(self, done: int, total: int, what: str) -> str:
        """``2 of 4 controls · 31 s · about 40 s left``."""
        self.reached(done, total)
        since = self.elapsed()
        text = f"{done} of {total} {what}" + (f" · {since}" if since else "")
        left = 0.0
        if done:
            step = (self.stepped - self.phase) / done
            left = max(step * (total - done) - (self.clock() - self.stepped), step * (total - done - 1))
        return f"{text} · about {seconds(left)} left" if left >= _SHORT else text

    def elapsed(self) -> str:
        """The time since the operation began, where it is worth telling."""
        passed = self.clock() - self.began
        return seconds(passed) if passed >= _SHORT else ""


def seconds(value: float) -> str:
    whole = round(value)
    return f"{whole} s" if whole < 120 else f"{whole // 60} min {whole % 60} s"
