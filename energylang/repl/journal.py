"""What was done at the prompt, written down as it happens, so that a killed session can be taken up again.

A journal is a file of JSON lines: a header; then for every line that was typed a ``begin`` with its text, an ``op`` for
every operation that completed in it, and an ``end`` with how it went. Each is on the disk before the next begins.

Taking up (``take_up``) runs the lines again in a new session: seeded, so with the same results. Of a line that was
interrupted or killed only its completed operations run. A line that only wrote files is not run again, so that no file
is overwritten, and a line with the key of a watermark is not written down at all.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from energylang.errors import ElError

try:
    import fcntl
except ImportError:  # there is none on Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from energylang.runtime.session import Session

FORMAT = "energylang session"
KEPT = 5


def state_folder() -> Path:
    """Where history and journals are kept."""
    home = os.environ.get("XDG_STATE_HOME")
    folder = (Path(home) if home else Path.home() / ".local" / "state") / "energylang"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def is_secret(text: str) -> bool:
    """Does a line hold the key of a watermark? Such lines are written down nowhere."""
    from energylang.ops import TABLE  # here and below: the prompt must not wait for the table

    return (
        any(op.name in text and any(param.secret for param in op.params) for op in TABLE.values())
        or "key=" in text
    )


class Journal:
    """The journal of a running prompt."""

    def __init__(self, folder: Path, base: Path) -> None:
        name = f"session-{time.time_ns()}-{os.getpid()}.jsonl"
        self.path = folder / name
        self.file: TextIO = self.path.open("w", encoding="utf-8")
        _lock(self.file)
        self.write({"kind": "header", "format": FORMAT, "version": 1, "base": str(base)})
        for old in sorted(folder.glob("session-*.jsonl"))[:-KEPT]:
            if not is_running(old):
                old.unlink(missing_ok=True)

    def write(self, event: Mapping[str, Any]) -> None:
        """Put an event on the disk."""
        self.file.write(json.dumps(event, ensure_ascii=False) + "\n")
        self.file.flush()
        os.fsync(self.file.fileno())

    def begin(self, text: str) -> None:
        self.write({"kind": "begin", "text": None if is_secret(text) else text})

    def operation(self, entry: Mapping[str, Any]) -> None:
        """An operation completed; ``entry`` is the session's own note of it."""
        kept = {key: entry[key] for key in ("operation", "arguments", "statement", "at", "status")}
        self.write({"kind": "op", **kept})

    def end(self, how: str) -> None:
        """The line is over: ``done``, ``failed`` or ``interrupted``."""
        self.write({"kind": "end", "how": how})

    def copy_from(self, events: list[dict[str, Any]]) -> None:
        """Go on from another journal."""
        for event in events[1:]:
            self.write(event)

    def close(self) -> None:
        self.file.close()


def _lock(file: TextIO) -> bool:
    """Hold a journal for this process, until the file is closed or the process ends however it ends."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def is_running(path: Path) -> bool:
    """Is this journal being written? (Where files cannot be locked, it counts as not.)"""
    try:
        with path.open(encoding="utf-8") as file:
            return not _lock(file)
    except OSError:
        return False


def latest(folder: Path) -> Path | None:
    """The last journal that nobody is writing."""
    found = [path for path in sorted(folder.glob("session-*.jsonl")) if not is_running(path)]
    return found[-1] if found else None


def read(path: Path) -> list[dict[str, Any]]:
    """The events of a journal; what a kill cut off at its end is left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ElError(f"cannot read {path}: {error}", code="EL530") from None
    events: list[dict[str, Any]] = []
    for number, line in enumerate(lines):
        try:
            event = json.loads(line)
        except ValueError:
            if number == len(lines) - 1:
                break
            raise ElError(f"{path} is damaged in line {number + 1}", code="EL540") from None
        if not isinstance(event, dict):
            raise ElError(f"{path} is no session", code="EL540")
        events.append(event)
    if not events or events[0].get("format") != FORMAT:
        raise ElError(f"{path} is no session", code="EL540", hint="`:save-session` writes them")
    return events


def take_up(session: Session, events: list[dict[str, Any]]) -> list[str]:
    """Run what a journal holds again; what was left out, in words."""
    notes: list[str] = []
    for line in _lines(events):
        text, operations, how = line["text"], line["ops"], line["how"]
        if text is None:
            notes.append("a line with a key was not written down, and is left out")
        elif how in ("done", "failed"):
            if operations and not any(_lasts(entry) for entry in operations) and _writes_files(operations):
                continue
            _run(session, text, notes, how)
        else:
            _operations(session, operations, notes)
    return notes


def _lines(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for event in events[1:]:
        if event.get("kind") == "begin":
            lines.append({"text": event.get("text"), "ops": [], "how": "killed"})
        elif event.get("kind") == "op" and lines:
            lines[-1]["ops"].append(event)
        elif event.get("kind") == "end" and lines:
            lines[-1]["how"] = event.get("how")
    return lines


def _lasts(entry: Mapping[str, Any]) -> bool:
    from energylang.ops import TABLE
    from energylang.ops.declaration import Effect

    op = TABLE.get(str(entry.get("operation")))
    lasting = Effect.EDITS | Effect.CHANGES | Effect.LOADS | Effect.TRAVELS
    return op is not None and bool(op.effects & lasting)


def _writes_files(operations: list[dict[str, Any]]) -> bool:
    from energylang.ops import TABLE
    from energylang.ops.declaration import Effect

    found = [TABLE.get(str(entry.get("operation"))) for entry in operations]
    return any(op is not None and Effect.FILES in op.effects for op in found)


def _run(session: Session, text: str, notes: list[str], how: str) -> None:
    from energylang.runtime.run import ScriptError, run_text

    try:
        run_text(session, text, name="<session>")
    except ScriptError as error:
        if how == "done":
            notes.append(f"`{text.splitlines()[0]}` does not run any more: {error}")


def _operations(session: Session, operations: list[dict[str, Any]], notes: list[str]) -> None:
    """The operations of a line that never ended, those that completed."""
    from energylang.ops import TABLE
    from energylang.ops.declaration import Effect

    for entry in operations:
        op = TABLE.get(str(entry.get("operation")))
        if op is None or entry.get("status") != "OK" or (Effect.FILES in op.effects and not _lasts(entry)):
            continue
        try:
            session.execute(op, dict(entry["arguments"]), statement=str(entry["statement"]))
        except ElError as error:
            notes.append(f"`{entry['statement']}` does not run any more: {error.message}")
