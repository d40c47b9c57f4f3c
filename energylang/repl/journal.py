"""What was done at the prompt, written down as it happens, so that a killed session can be taken up again.

A journal is a file of JSON lines: a header; then for every line that was typed a ``begin`` with its text, an ``op`` for
every operation that completed in it, and an ``end`` with how it went. Each is on the disk before the next begins, and
carries a checksum of itself and of the one before: a line that was changed, lost or moved is noticed.

A journal belongs to the process that writes it, by a lock of the kernel that ends with the process; whoever wants the
same one is told who has it. When the disk is full the journal stops where it is whole, and says so once.

Beside it lies the state of the session (``saved``), which covers the lines up to some point. Taking up (``take_up``)
runs the others, or all, again in a new session: seeded, so with the same results. Of a line that was interrupted or
killed only its completed operations run. A line that only wrote files is not run again, so that no file is
overwritten, and a line with the key of a watermark is not written down at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

from energylang.errors import ElError, FileError
from energylang.files.locks import claim, described, owner
from energylang.files.storage import MAX_JSON_BYTES, opened, read_bytes, set_aside, sync_folder

if TYPE_CHECKING:
    from energylang.session import Session

FORMAT = "energylang session"
KEPT = 5
_LONGEST_HEADER = 2**16
_NOT_DONE = ("header", "resumed")


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
    """The journal of a running prompt. ``origin`` is the journal that it takes up; ``failure`` says why nothing is
    written down any more, if that is so."""

    def __init__(self, folder: Path, base: Path, origin: Path | None = None) -> None:
        name = f"session-{time.time_ns()}-{os.getpid()}.jsonl"
        self.path = folder / name
        self.failure = ""
        self._sum = ""
        self.content = ""  # the sum of what was done, whatever journal it is written in
        try:
            self.file = self.path.open("xb", buffering=0)
        except OSError as error:
            raise FileError(
                f"{self.path} cannot be written: {error.strerror}", hint="XDG_STATE_HOME names another place"
            ) from None
        claim(self.file)
        about = {"kind": "header", "format": FORMAT, "version": 1, "base": str(base), "by": owner()}
        self.write(about if origin is None else {**about, "from": origin.name})
        sync_folder(folder)
        for old in sorted(folder.glob("session-*.jsonl"))[:-KEPT]:
            if old != origin and not is_running(old):
                for path in (old, old.with_name(old.name + ".state")):
                    with suppress(OSError):
                        path.unlink()

    def write(self, event: Mapping[str, Any]) -> None:
        """Put an event on the disk; where that cannot be done, keep what is there and set ``failure``."""
        if self.failure:
            return
        following = chained(self._sum, event)
        line = json.dumps({**event, "sum": following}, ensure_ascii=False) + "\n"
        data = line.encode("utf-8", "surrogatepass")
        whole = self.file.tell()
        try:
            while data:
                data = data[self.file.write(data) :]
            os.fsync(self.file.fileno())
        except OSError as error:
            self.failure = error.strerror or str(error)
            with suppress(OSError):
                self.file.truncate(whole)
            return
        self._sum = following
        if event["kind"] not in _NOT_DONE:
            self.content = chained(self.content, event)

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
            if event.get("kind") != "resumed":
                self.write({key: value for key, value in event.items() if key != "sum"})
        self.write({"kind": "resumed"})

    def close(self) -> None:
        self.file.close()


def chained(before: str, event: Mapping[str, Any]) -> str:
    """The checksum of an event that follows another with the checksum ``before``."""
    plain = {key: value for key, value in event.items() if key != "sum"}
    text = before + json.dumps(plain, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def content_sums(events: list[dict[str, Any]]) -> list[str]:
    """The sum of what was done up to and with each of the events; it is the same in a journal that goes on from
    another one."""
    found, content = [], ""
    for event in events:
        if event["kind"] not in _NOT_DONE:
            content = chained(content, event)
        found.append(content)
    return found


def is_running(path: Path) -> bool:
    """Is this journal being written? (Where files cannot be locked, it counts as not.)"""
    try:
        with opened(path) as file:
            return not claim(file)
    except OSError:
        return False


def latest(folder: Path) -> Path | None:
    """The last journal that nobody is writing, or has taken up and writes on."""
    taken: set[object] = set()
    for path in sorted(folder.glob("session-*.jsonl"), reverse=True):
        if is_running(path):
            taken.add(_header(path).get("from"))
        elif path.name not in taken and _is_whole(path):
            return path
    return None


def holders(folder: Path) -> list[str]:
    """By whom the journals of a folder are written now."""
    return [holder(path) for path in sorted(folder.glob("session-*.jsonl")) if is_running(path)]


def _is_whole(path: Path) -> bool:
    """Has a journal that takes another one up got all of it? (A kill may have come between.)"""
    if "from" not in _header(path):
        return True
    try:
        return any(event.get("kind") == "resumed" for event in read(path))
    except ElError:
        return True  # it is damaged: whoever takes it up is told so


def holder(path: Path) -> str:
    """Who writes a journal, in words."""
    who = _header(path).get("by")
    return described(who if isinstance(who, dict) else {})


def _header(path: Path) -> dict[str, Any]:
    try:
        with opened(path) as file:
            found = json.loads(file.readline(_LONGEST_HEADER))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def read(path: Path) -> list[dict[str, Any]]:
    """The events of a journal; what a kill cut off at its end is left out."""
    try:
        lines = read_bytes(path, MAX_JSON_BYTES, growth=8).split(b"\n")
    except OSError as error:
        raise ElError(f"cannot read {path}: {error.strerror or error}", code="EL530") from None
    while lines and not lines[-1].strip():
        lines.pop()
    events: list[dict[str, Any]] = []
    before = ""
    for number, line in enumerate(lines):
        try:
            event = json.loads(line.decode("utf-8", "surrogatepass"))
            following = chained(before, event) if isinstance(event, dict) else ""
        except (ValueError, RecursionError):
            event, following = None, ""
        cut = event is None or (isinstance(event, dict) and event.get("sum", following) != following)
        if cut and number == len(lines) - 1 and events:
            break
        if cut and events:
            raise ElError(
                f"{path} is damaged in line {number + 1}",
                code="EL540",
                hint="what was done up to there is in the lines before: keep those, and it can be taken up",
            )
        if not isinstance(event, dict) or not _fits(event):
            raise ElError(f"{path} is no session", code="EL540", hint="`:save-session` writes them")
        before = following if "sum" in event else ""
        events.append(event)
    if not events or events[0].get("format") != FORMAT:
        raise ElError(f"{path} is no session", code="EL540", hint="`:save-session` writes them")
    return events


_FIELDS: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "header": {"base": (str,)},
    "begin": {"text": (str, NoneType)},
    "op": {"operation": (str,), "arguments": (dict,), "statement": (str,), "at": (int,), "status": (str,)},
    "end": {"how": (str,)},
    "resumed": {},
}


def _fits(event: Mapping[str, Any]) -> bool:
    """Is this what a journal holds?"""
    wanted = _FIELDS.get(event["kind"]) if isinstance(event.get("kind"), str) else None
    return wanted is not None and all(
        isinstance(event.get(name), kinds) and (name in event) for name, kinds in wanted.items()
    )


def take_up(
    session: Session, events: list[dict[str, Any]], tell: Callable[[int, int, str], None] = lambda *_: None
) -> list[str]:
    """Run what a journal holds again; what was left out, in words. Files that are written on the way are set aside.
    ``tell`` hears how many of how many lines are done, and which comes."""
    notes: list[str] = []
    with set_aside():
        _take_up(session, events, notes, tell)
    return notes


def _take_up(
    session: Session, events: list[dict[str, Any]], notes: list[str], tell: Callable[[int, int, str], None]
) -> None:
    found = lines_of(events)
    for number, line in enumerate(found):
        text, operations, how = line["text"], line["ops"], line["how"]
        if text is None:
            notes.append("a line with a key was not written down, and is left out")
            continue
        tell(number, len(found), text.strip().partition("\n")[0])
        if how not in ("done", "failed"):
            _operations(session, operations, notes)
        elif not operations or any(_lasts(entry) for entry in operations) or not _writes_files(operations):
            _run(session, text, notes, how)


def lines_of(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines that were typed: text, completed operations, and how each went."""
    lines: list[dict[str, Any]] = []
    for event in events:
        if event.get("kind") == "begin":
            lines.append({"text": event.get("text"), "ops": [], "how": "killed"})
        elif event.get("kind") == "op" and lines:
            lines[-1]["ops"].append(event)
        elif event.get("kind") == "end" and lines:
            lines[-1]["how"] = event.get("how")
    return lines


def _lasts(entry: Mapping[str, Any]) -> bool:
    from energylang.ops import TABLE
    from energylang.signature.declaration import Effect

    op = TABLE.get(str(entry.get("operation")))
    lasting = Effect.EDITS | Effect.CHANGES | Effect.LOADS | Effect.TRAVELS
    return op is not None and bool(op.effects & lasting)


def _writes_files(operations: list[dict[str, Any]]) -> bool:
    from energylang.ops import TABLE
    from energylang.signature.declaration import Effect

    found = [TABLE.get(str(entry.get("operation"))) for entry in operations]
    return any(op is not None and Effect.FILES in op.effects for op in found)


def _run(session: Session, text: str, notes: list[str], how: str) -> None:
    from energylang.run.doors import ScriptError, run_text

    try:
        run_text(session, text, name="<session>")
    except ScriptError as error:
        if how == "done":
            notes.append(f"`{text.strip().splitlines()[0]}` does not run any more: {error}")


def _operations(session: Session, operations: list[dict[str, Any]], notes: list[str]) -> None:
    """The operations of a line that never ended, those that completed."""
    from energylang.ops import TABLE
    from energylang.signature.declaration import Effect

    for entry in operations:
        op = TABLE.get(str(entry.get("operation")))
        if op is None or entry.get("status") != "OK" or (Effect.FILES in op.effects and not _lasts(entry)):
            continue
        try:
            session.execute(op, dict(entry["arguments"]), statement=str(entry["statement"]))
        except ElError as error:
            notes.append(f"`{entry['statement']}` does not run any more: {error.message}")
