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
        self.began = self.phase = clock()
        self.last = (-1, -1)  # done, total

    def told(self, done: int, total: int, what: str) -> str:
        """``2 of 4 controls · 31 s · about 40 s left``."""
        now = self.clock()
        if total != self.last[1] or done <= self.last[0]:
            self.phase = now
        self.last = (done, total)
        text = f"{done} of {total} {what}"
        if now - self.began >= _SHORT:
            text += f" · {_seconds(now - self.began)}"
        left = (now - self.phase) * (total - done) / done if done else 0.0
        return f"{text} · about {_seconds(left)} left" if left >= _SHORT else text


def _seconds(value: float) -> str:
    whole = round(value)
    return f"{whole} s" if whole < 120 else f"{whole // 60} min {whole % 60} s"
