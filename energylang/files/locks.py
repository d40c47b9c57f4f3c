"""Who works on this? A lock file that says so, and that never outlives its process.  (PURE.)

``held(path, what)`` holds ``path.lock`` for the time inside. The lock itself is the kernel's (``flock``): it ends with
the process, however that ends, so a lock file without one is a leftover and is taken over. The text in the file
(process, machine, time) is there to be told to whoever comes second. Where the kernel has no such locks, the process
named in the file is looked for instead, and a lock of another machine counts as held.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from energylang.errors import FileError

try:
    import fcntl
except ImportError:  # there is none on Windows
    fcntl = None  # type: ignore[assignment]

KERNEL_LOCKS = fcntl is not None
_ATTEMPTS = 20
_LARGEST = 4096


def owner() -> dict[str, Any]:
    """This process, as others are told of it."""
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": now}


def described(who: dict[str, Any]) -> str:
    """``process 12 on machine, since 2026-01-31 12:00:00``."""
    text = f"process {who.get('pid', 'unknown')} on {who.get('host', 'an unknown machine')}"
    return f"{text}, since {who['since']}" if who.get("since") else text


def claim(file: int | IO[Any]) -> bool:
    """Hold an open file until it is closed, or the process ends however it ends; ``False`` where another process
    holds it. (Where the kernel has no such locks nobody does.)"""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def lock_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


@contextlib.contextmanager
def held(path: Path, what: str) -> Iterator[None]:
    """Hold ``path`` for this process; raises ``FileError`` (EL543) that says who holds it already."""
    lock = lock_path(path)
    try:
        handle = _take(lock)
    except OSError as error:
        raise FileError(f"{lock} cannot be written: {error.strerror or error}") from None
    if handle is None:
        raise FileError(
            f"{what} is in use by {described(_read(lock))}",
            hint="wait until it ends, end it, or choose another path",
            code="EL543",
        )
    try:
        os.ftruncate(handle, 0)
        os.write(handle, json.dumps(owner()).encode("utf-8"))
        os.fsync(handle)
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.unlink()
        os.close(handle)


def _take(lock: Path) -> int | None:
    """The open and locked lock file, or ``None`` where somebody holds it."""
    for _ in range(_ATTEMPTS):
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        if not _locked(handle, lock):
            os.close(handle)
            return None
        with contextlib.suppress(OSError):  # the one before may have removed the file that was just opened
            if os.path.samestat(os.fstat(handle), os.stat(lock)):
                return handle
        os.close(handle)
    return None


def _locked(handle: int, lock: Path) -> bool:
    if fcntl is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return _is_leftover(_read(lock))
        return True
    return _is_leftover(_read(lock))


def _is_leftover(who: dict[str, Any]) -> bool:
    """Is the process that a lock names gone? (One on another machine cannot be looked for.)"""
    pid = who.get("pid")
    if type(pid) is not int or pid <= 0 or pid == os.getpid():
        return True
    if who.get("host") != socket.gethostname():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _read(lock: Path) -> dict[str, Any]:
    try:
        with lock.open("rb") as file:
            found = json.loads(file.read(_LARGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
