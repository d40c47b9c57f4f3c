"""The state of a session in a file beside its journal, so that taking it up need not run everything again.

It holds what undo restores (every version as its factors, with the basins known, concepts, the tree of changes), the
variables, and the entries for a record. ``read`` is told a journal's events and says how many of them the state covers;
the lines after it are run again. The model is loaded as before, and hashes are compared: a state that does not fit to
the bit is not used. Procedures and imports are read from the journal's lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energylang.errors import ElError

from .journal import content_sums, lines_of

if TYPE_CHECKING:
    from energylang.session import Session

_VERSION = 1


def beside(journal: Path) -> Path:
    """Where the state of a journal's session is."""
    return journal.with_name(journal.name + ".state")


def write(path: Path, session: Session, content: str) -> None:
    """Write a session's state, at the point where its journal has the sum ``content``. Raises ``ElError`` where the
    disk is full, ``TypeError`` where a variable holds what cannot be kept."""
    from energylang.workspace import whole
    from energylang.workspace.ledger import digest, secret

    from .values import as_plain

    with session.lock:
        calls = {
            str(id): [op.name, {name: _given(value) for name, value in given.items()}]
            for id, (op, given) in session.timeline.calls.items()
            if not any(secret(op, name) for name in given)
        }
        more = {
            "version": _VERSION,
            "content": content,
            "model": session.model.spec,
            "variables": {name: as_plain(value) for name, value in session.variables.items()},
            "entries": session.ledger.entries,
            "script": session.ledger.script,
            "calls": calls,
        }
        more["sum"] = digest(more)
        whole.write_file(session, path, more, all_originals=_holds_a_session(session))


def _given(value: Any) -> Any:
    """What an operation was given, as plain data."""
    from energylang.workspace.ledger import plain

    from .values import as_plain

    try:
        return as_plain(value)
    except TypeError:  # what only Python can give: an array, a path
        return as_plain(plain(value))


def _holds_a_session(session: Session) -> bool:
    """Was the model loaded with the session in its file? Then the weights in the file are not the original ones."""
    loads = [entry for entry in session.ledger.entries if entry["operation"] == "load"]
    return bool(loads) and bool(loads[-1].get("arguments", {}).get("session"))


def restore(session: Session, path: Path, events: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """Put a new session where the state in a file stood; how many of the events it covers, and what was not kept, in
    words. Raises ``ElError`` where the state does not fit: the session is of no use then."""
    from energylang.models import checkpoint
    from energylang.workspace import whole
    from energylang.workspace.ledger import digest

    from .values import from_plain

    tensors, about, more = whole.read_file(path)
    if more.get("version") != _VERSION:
        raise ElError("it is of another version of energylang", code="EL540")
    if more.pop("sum", None) != digest(more):
        raise ElError("it was changed by something else", code="EL540")
    sums = content_sums(events)
    if more.get("content") not in sums:
        raise ElError("it belongs to another journal", code="EL540")
    covered = sums.index(more["content"]) + 1
    model = checkpoint.load(str(more["model"]), base=session.base, watch=session.watcher)
    whole.taken_from(model)
    whole.restored(session, model, tensors, about)
    try:
        _fill(session, more)
        variables = {name: from_plain(value) for name, value in more["variables"].items()}
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ElError(f"it is damaged ({error})", code="EL540") from None
    session.variables.update(variables)  # what procedures are checked with
    notes = _define(session, events[:covered])
    session.variables.clear()
    session.variables.update(variables)
    session.ledger.script = more["script"]
    return covered, notes


def _fill(session: Session, more: Mapping[str, Any]) -> None:
    from .values import from_plain

    session.ledger.entries[:] = list(more["entries"])
    for id, (name, given) in more["calls"].items():
        values = {key: from_plain(value) for key, value in given.items()}
        session.timeline.calls[int(id)] = session.table[name], values


def _define(session: Session, events: list[dict[str, Any]]) -> list[str]:
    """The procedures and imports of lines that are not run again; what does not check any more, in words."""
    from energylang.checker import parser
    from energylang.diagnostics.source import Source
    from energylang.run.doors import ScriptError, run_text
    from energylang.syntax import ast

    notes = []
    for line in lines_of(events):
        text = line["text"]
        if text is None or not any(word in text for word in ("def", "import")):
            continue
        program, _ = parser().parse(Source(text, "<session>", session.base))
        for statement in program.statements if program is not None else ():
            if isinstance(statement, ast.Def | ast.Import):
                try:
                    run_text(session, statement.span.text + "\n", name="<session>")
                except ScriptError as error:
                    first = statement.span.text.splitlines()[0]
                    notes.append(f"`{first}` is not known any more: {error}")
    return notes
