"""The doors into the interpreter: check a text or a source in a session, and run what checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from energylang.checker import Checked, check
from energylang.checker.facts import UNKNOWN
from energylang.checker.scope import NO_MODEL, ModelState, type_of_value
from energylang.syntax.source import Source

from .interpreter import Interpreter, ScriptError, Show
from .session import Session

__all__ = ["ScriptError", "check_in", "model_state", "run_checked", "run_source", "run_text"]


def model_state(session: Session) -> ModelState:
    """What the checker may know about a session's model."""
    if not session.has_model:
        return NO_MODEL
    # What was surveyed, removed and captured before is not followed here: the run says what is missing.
    return ModelState(True, session.model.header, facts=UNKNOWN)


def check_in(session: Session, source: Source) -> Checked:
    """Check a script that continues a session."""
    return check(
        source,
        model=model_state(session),
        variables={name: type_of_value(value) for name, value in session.variables.items()},
        procedures=session.procedures,
        whole=False,
    )


def run_source(session: Session, source: Source, show: Show) -> Any:
    """Check and run a script in a session. Raises ``ScriptError``."""
    checked = check_in(session, source)
    if not checked.ok:
        raise ScriptError(checked.diagnostics, checked=False)
    return run_checked(session, checked, show)


def run_checked(
    session: Session,
    checked: Checked,
    show: Show,
    begin: Callable[[str], None] | None = None,
    *,
    keep_going: bool = False,
) -> Any:
    """Run a program that was checked for this session; ``begin`` hears of every operation before it runs.
    ``keep_going``: go on with the next statement of the script after one that failed, and report all at the end.

    Raises ``ScriptError``.
    """
    session.procedures.update(checked.procedures)
    source = checked.program.span.source
    session.ledger.note_script(source.name, source.text)
    return Interpreter(session, checked, show, begin, keep_going=keep_going).run()


def run_text(session: Session, text: str, *, name: str = "<input>") -> Any:
    """Check and run a text; nothing is displayed."""
    return run_source(session, Source(text, name, session.base), lambda value, statement, line: None)
