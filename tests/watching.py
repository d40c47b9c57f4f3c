"""Does a piece of code start a program or open a connection? Python's own audit events tell of every one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

NAMES = frozenset(
    (
        "subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.spawn", "os.fork", "os.forkpty",
        "os.startfile", "pty.spawn", "socket.connect", "socket.bind", "socket.getaddrinfo", "urllib.Request",
    )
)  # fmt: skip
_lists: list[list[str]] = []
_hooked: list[bool] = []


def _heard(name: str, given: tuple[object, ...]) -> None:
    if _lists and name in NAMES:
        for each in _lists:
            each.append(f"{name} {given!r}"[:200])


@contextmanager
def nothing_is_started() -> Iterator[None]:
    """Fails where a program is started or a connection opened inside."""
    if not _hooked:
        sys.addaudithook(_heard)  # cannot be taken away again: it is deaf while nobody listens
        _hooked.append(True)
    heard: list[str] = []
    _lists.append(heard)
    try:
        yield
    finally:
        _lists[:] = [each for each in _lists if each is not heard]
    assert not heard, heard
