"""The session behind the prompt: made in the background, so that the prompt is there before torch is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .journal import Journal, take_up

if TYPE_CHECKING:
    from prompt_toolkit.completion import Completer
    from prompt_toolkit.lexers import Lexer

    from energylang.session import Session


class Engine:
    """Begins to import and to load at ``start``; ``session()`` waits for that, ``ready`` is the session or ``None``."""

    def __init__(self, journal: Journal, base: Path, threads: int = 1) -> None:
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

        session = Session(base=self.base, threads=self.threads)
        parser()
        if events is not None:
            self.says = "the session is being taken up …"
            self.notes = take_up(session, events)
        watch(session, self.journal.operation)
        return session

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

    def replace(self, events: list[dict[str, Any]]) -> Session:
        """Another session in place of this one."""
        self.session()
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
