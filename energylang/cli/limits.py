"""What bounds ``el run``: its time, its memory, its folder.

**Time.** When it is up, the main thread is interrupted as by Ctrl-C, so the statement that was running
leaves no trace. A calculation deep inside a library hears of it when it returns; one that does not return within
``GRACE`` seconds ends with the process. (Files are written whole or not at all, whenever that is.)

**Memory.** A limit of the operating system on what the process may allocate beyond what it has now.

**Folder.** ``energylang.files.storage.contained``.
"""

from __future__ import annotations

import _thread
import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from energylang.errors import ElError
from energylang.files.storage import MIB, contained

GRACE = 10.0
_ALARM = getattr(
    signal, "SIGALRM", signal.SIGINT
)  # SIGINT is ignored by what runs in the background of a shell
LONGEST = 10**7


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``el run`` that bound it."""
    group = parser.add_argument_group("limits")
    group.add_argument(
        "--sandbox", action="store_true", help="read and write nothing outside of the script's folder"
    )
    group.add_argument("--force", action="store_true", help="with --sandbox: let the script overwrite files")
    group.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS", help="stop after this time, with exit code 1"
    )
    group.add_argument(
        "--memory",
        type=_mebibytes,
        metavar="MIB",
        help="at most this much memory for the script's calculations",
    )


def problem(chosen: argparse.Namespace) -> str:
    """What is wrong with a combination of options, or an empty text."""
    return "--force belongs to --sandbox" if chosen.force and not chosen.sandbox else ""


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def _mebibytes(text: str) -> int:
    if not text.isdecimal() or not 1 <= len(text) <= 7 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of mebibytes from 1")
    return int(text)


class TimeLimit:
    """A time that begins with ``with``; ``over`` says whether it is up. ``None`` is no limit."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.over = False
        self._done = threading.Event()
        self._before: Any = None

    def __enter__(self) -> TimeLimit:
        if self.seconds is not None:
            with contextlib.suppress(ValueError):  # not in the main thread: what SIGINT does, then
                self._before = signal.signal(_ALARM, self._ring)
            threading.Thread(target=self._watch, args=(self.seconds,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        if self._before is not None:
            signal.signal(_ALARM, self._before)

    @staticmethod
    def _ring(*_: object) -> None:
        raise KeyboardInterrupt

    def _watch(self, seconds: float) -> None:
        if self._done.wait(seconds):
            return
        self.over = True
        _thread.interrupt_main(_ALARM if self._before is not None else signal.SIGINT)
        if self._done.wait(GRACE):
            return
        sys.stderr.write(f"error[EL591]: {self.message}; it did not stop by itself and was ended\n")
        sys.stderr.flush()
        os._exit(1)

    @property
    def message(self) -> str:
        return f"the script ran longer than {self.seconds:g} seconds"


@contextlib.contextmanager
def sandboxed(folder: Path | None, *, force: bool) -> Iterator[None]:
    """Inside, scripts stay in ``folder`` (``None``: anywhere)."""
    if folder is None:
        yield
        return
    with contained(folder, overwrite=force):
        yield


def limit_memory(mebibytes: int | None) -> None:
    """Bound what this process may allocate from here on. Raises ``ElError`` where the system cannot."""
    if mebibytes is None:
        return
    try:
        import resource

        status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        now = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:"))
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (now + mebibytes * MIB, hard))
    except (ImportError, OSError, ValueError, StopIteration):
        raise ElError("--memory is not possible on this system", hint="it needs Linux") from None
