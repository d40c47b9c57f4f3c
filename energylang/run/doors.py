"""The doors into the interpreter: check a text or a source in a session, and run what checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from energylang import results
from energylang.checker import Checked, check
from energylang.checker.facts import ALL, Facts, Fit, Loss, Made, Past, Place, Undoable, Values
from energylang.checker.scope import ModelState, type_of_value
from energylang.diagnostics.source import Source
from energylang.signature.values import BasinRef, ConceptName, Layer
from energylang.syntax.rows import gives_rows
from energylang.workspace.workspace import Workspace

from .interpreter import Interpreter, Kept, ScriptError, Show
from .rows import rows_of

__all__ = [
    "ScriptError",
    "check_in",
    "model_state",
    "rows_of_checked",
    "run_checked",
    "run_source",
    "run_text",
]


def model_state(session: Workspace) -> ModelState:
    """What the checker may know about a session: its model, which layers are surveyed, which basins are lost, its
    concepts, checkpoints and variables."""
    values = {
        name: known for name, value in session.variables.items() if (known := _known(value)) is not None
    }
    if not session.has_model:
        return ModelState(False, facts=Facts(values=(Values(values),)))
    versions = {number: layer.landscape.staged for number, layer in enumerate(session.state.layers)}
    surveyed = frozenset(n for n, version in versions.items() if version.registry.basins or version.surveyed)
    lost = {
        BasinRef(number, basin.id): Loss(
            None, "lost", number, text=f"was lost in edit {basin.lost_by}, as `history` shows"
        )
        for number, version in versions.items()
        for basin in version.registry.basins
        if basin.status == "lost"
    }
    concepts = {
        name: Made(None, frozenset((concept.layer,))) for name, concept in session.state.concepts.items()
    }
    fitted = {
        number: Fit(len(layer.fit.fitted)) for number, layer in enumerate(session.state.layers) if layer.fit
    }
    now = Undoable(gone=lost, concepts=concepts, fitted=fitted)
    changed = session.timeline.undoable > 0
    unknown = Undoable(open=True, fitted={ALL: Fit(None)})
    facts = Facts(
        surveyed=surveyed,
        seen=surveyed,
        now=now,
        past=Past(unknown, None, ALL, low=0, high=session.timeline.undoable) if changed else None,
        checkpoints={name: Place(unknown, None) for name in session.timeline.checkpoints},
        fresh=not changed and session.timeline.current.ahead is None,
        next_number=None,
        values=(Values(values),),
    )
    return ModelState(True, session.model.header, facts=facts)


def _known(value: Any) -> Any:
    """A value of the session as the checker knows values."""
    if isinstance(value, results.Basin):
        return BasinRef(value.layer, value.id)
    plain = isinstance(value, Layer | BasinRef | ConceptName | int | float | str)
    return value if plain and not isinstance(value, bool) else None


def check_in(session: Workspace, source: Source) -> Checked:
    """Check a script that continues a session."""
    return check(
        source,
        model=model_state(session),
        variables={name: type_of_value(value) for name, value in session.variables.items()},
        procedures=session.procedures,
        whole=False,
    )


def run_source(session: Workspace, source: Source, show: Show) -> Any:
    """Check and run a script in a session. Raises ``ScriptError``."""
    with session.lock:
        checked = check_in(session, source)
        if not checked.ok:
            raise ScriptError(checked.diagnostics, checked=False)
        return run_checked(session, checked, show)


def run_checked(
    session: Workspace,
    checked: Checked,
    show: Show,
    begin: Callable[[str], None] | None = None,
    *,
    keep_going: bool = False,
    kept: Kept | None = None,
) -> Any:
    """Run a program that was checked for this session; ``begin`` hears of every operation before it runs, ``kept`` of
    every result that a variable is given outside of ``quiet:``.
    ``keep_going``: go on with the next statement of the script after one that failed, and report all at the end.

    Raises ``ScriptError``.
    """
    with session.lock:
        session.procedures.update(checked.procedures)
        source = checked.program.span.source
        session.ledger.note_script(source.name, source.text)
        return Interpreter(session, checked, show, begin, keep_going=keep_going, kept=kept).run()


def rows_of_checked(session: Workspace, checked: Checked, show: Show) -> list[results.Record]:
    """Run a program that was checked for this session, as the cell of a sweep: the rows that it gives with ``row``, or
    those of the value that it ends with. Raises ``ScriptError``."""
    with session.lock:
        session.procedures.update(checked.procedures)
        source = checked.program.span.source
        session.ledger.note_script(source.name, source.text)
        interpreter = Interpreter(session, checked, show)
        last = interpreter.run()
        if gives_rows(checked.program.statements):
            return interpreter.given[0]
        return [] if last is None else rows_of(last)


def run_text(session: Workspace, text: str, *, name: str = "<input>") -> Any:
    """Check and run a text; nothing is displayed."""
    return run_source(session, Source(text, name, session.base), lambda value, statement, line: None)
