"""The session behind the prompt: made in the background, so that the prompt is there before torch is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energylang.errors import ElError

from . import saved
from .journal import Journal, lines_of, take_up

if TYPE_CHECKING:
    from prompt_toolkit.completion import Completer
    from prompt_toolkit.lexers import Lexer

    from energylang.session import Session


WORTH_KEEPING = 1.0  # seconds of work from which a state is written
DAMAGED = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What a state raises that was changed by something else."""
TIMES = 10.0  # and not before the work has cost so many times as much as writing it


@dataclass(frozen=True)
class Taken:
    """How a session was taken up: lines that a saved state covers, lines that were run again, and seconds."""

    read: int = 0
    again: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        parts = [f"{_lines(self.read)} from the saved state"] if self.read else []
        if self.again or not self.read:
            parts.append(f"{_lines(self.again)} run again")
        return f"{', '.join(parts)} ({self.seconds:.1f} s)"


def _lines(count: int) -> str:
    return f"{count} line{'' if count == 1 else 's'}"


def in_force(session: Session) -> str:
    """The model, and how many changes are in force."""
    count = session.timeline.undoable
    where = session.model.spec if session.has_model else "no model"
    return f"{where}, {count} change{'' if count == 1 else 's'} in force"


class Engine:
    """Begins to import and to load at ``start``; ``session()`` waits for that, ``ready`` is the session or ``None``.
    ``state`` is the file with the state of the session that is taken up, ``tell`` hears how far that has come."""

    def __init__(self, journal: Journal, base: Path, threads: int = 1, state: Path | None = None) -> None:
        self.state = state
        self.tell: Callable[[int, int, str], None] = lambda *_: None
        self.taken = Taken()
        self._unsaved = self._cost = 0.0
        self.journal = journal
        self.base = base
        self.threads = threads
        self.ready: Session | None = None
        self.completer: Completer | None = None
        self.lexer: Lexer | None = None
        self.says = "torch is being loaded …"
        self.notes: list[str] = []
        self.opening: Callable[[], object] | None = None  # what is done first, in the background too
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None

    def start(self, events: list[dict[str, Any]] | None = None) -> None:
        """Make the session; ``events`` of a journal are taken up first."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._make, args=(events,), daemon=True)
            self._thread.start()

    def _make(self, events: list[dict[str, Any]] | None) -> None:
        try:
            self._equip()
            self.ready = self.make(events)
            if self.opening is not None:
                self.says = "the model is being loaded …"
                self.opening()
        except BaseException as error:  # noqa: BLE001 - told to whoever asks for the session
            self._failure = error
        finally:
            self.says = ""

    def _equip(self) -> None:
        """What the prompt can do without for its first tenths of a second."""
        from prompt_toolkit.lexers import PygmentsLexer

        from .completer import EnergyCompleter
        from .lexer import EnergyLexer

        self.lexer = PygmentsLexer(EnergyLexer)
        self.completer = EnergyCompleter(lambda: self.ready)

    def make(self, events: list[dict[str, Any]] | None) -> Session:
        """A session that writes what it does into the journal, after taking up ``events``."""
        from energylang.checker import parser
        from energylang.session import Session

        parser()
        if events is None:
            session = Session(base=self.base, threads=self.threads)
        else:
            self.says = "the session is being taken up …"
            session = self._taken_up(events)
        watch(session, self.journal.operation)
        return session

    def _taken_up(self, events: list[dict[str, Any]]) -> Session:
        """A session where a journal's was: from its state as far as that goes, the rest run again."""
        from energylang.session import Session

        began, covered, self.notes = time.monotonic(), 0, []
        session = Session(base=self.base, threads=self.threads)
        session.watcher = self.tell
        if self.state is not None and self.state.is_file():
            try:
                covered, self.notes = saved.restore(session, self.state, events)
            except (ElError, *DAMAGED) as error:
                why = (
                    error.message if isinstance(error, ElError) else f"it is damaged ({type(error).__name__})"
                )
                self.notes = [f"the saved state is of no use, all lines are run again: {why}"]
                session = Session(base=self.base, threads=self.threads)
        session.watcher = None
        rest = events[covered:]
        self.notes += take_up(session, rest, self.tell)
        count = len(lines_of(rest))
        self.taken = Taken(len(lines_of(events)) - count, count, time.monotonic() - began)
        return session

    def keep(self, took: float, *, now: bool = False) -> None:
        """Write the session's state, if that saves more than it costs: after lines that ``took`` so many seconds, or
        ``now``. It is only a short cut: where it cannot be written, the lines are run again."""
        self._unsaved += took
        session = self.ready
        enough = self._unsaved >= max(WORTH_KEEPING, TIMES * self._cost)
        if not (now or enough) or self.journal.failure or session is None or not session.has_model:
            return
        began = time.monotonic()
        with suppress(ElError, OSError, TypeError, ValueError, KeyboardInterrupt):
            saved.write(saved.beside(self.journal.path), session, self.journal.content)
        self._unsaved, self._cost = 0.0, time.monotonic() - began

    def leave(self) -> None:
        """What is done at the end."""
        if self._unsaved > 0 and (self._thread is None or not self._thread.is_alive()):
            self.keep(0.0, now=self._unsaved >= WORTH_KEEPING / 4)

    def session(self) -> Session:
        """The session, as soon as it is there. Ctrl-C stops the waiting."""
        self.start()
        assert self._thread is not None
        if threading.current_thread() is self._thread and self.ready is not None:
            return self.ready
        while self._thread.is_alive():
            self._thread.join(0.05)
        if self.ready is None:
            assert self._failure is not None
            raise self._failure
        return self.ready

    def replace(self, events: list[dict[str, Any]], state: Path | None = None) -> Session:
        """Another session in place of this one."""
        self.session()
        self.state = state
        self.ready = self.make(events)
        return self.ready


def watch(session: Session, tell: Callable[[Mapping[str, Any]], None]) -> None:
    """Tell about every operation that completes, the moment it is noted."""
    from energylang.workspace.ledger import Ledger

    class Watched(Ledger):
        def note(self, *args: Any, **named: Any) -> None:
            before = len(self.entries)
            super().note(*args, **named)
            for entry in self.entries[before:]:
                tell(entry)

    session.ledger = Watched(session.ledger.entries, session.ledger.script)
