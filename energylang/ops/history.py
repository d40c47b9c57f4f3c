"""History: what was done, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energylang import results
from energylang import types as t
from energylang.errors import ElError

from .declaration import Effect, Example, Param, operation

if TYPE_CHECKING:
    from energylang.runtime.session import Session

STEPS = Param("steps", t.INT, "how many changes", 1, minimum=1, maximum=1_000_000)


@operation(
    "undo",
    category="History",
    summary="Take back the last change, bit for bit.",
    params=(STEPS,),
    effects=Effect.TRAVELS,
    result=results.Undone,
    examples=(
        Example("inject L0 42\nundo", "it.is_original"),
        Example("inject L0 42\ninject L0 43\nundo 2", "it.is_original"),
    ),
)
def undo(session: Session, steps: int) -> results.Undone:
    if session.timeline.undoable == 0:
        raise ElError("there is nothing to undo", code="EL512", hint="`history` shows what was done")
    undone = []
    for _ in range(min(steps, session.timeline.undoable)):
        node = session.timeline.undo()
        if node is None:
            break
        session.restore_state(node.before)
        undone.append(node.statement)
    return _travelled(session, "undo", undone)


@operation(
    "redo",
    category="History",
    summary="Make the last undone change again.",
    params=(STEPS,),
    effects=Effect.TRAVELS,
    result=results.Undone,
    examples=(Example("inject L0 42\nundo\nredo", "not it.is_original and (verify L0 42).is_basin"),),
)
def redo(session: Session, steps: int) -> results.Undone:
    if session.timeline.redoable == 0:
        raise ElError("there is nothing to redo", code="EL512", hint="only undone changes can be made again")
    done = []
    for _ in range(min(steps, session.timeline.redoable)):
        node = session.timeline.redo()
        if node is None:
            break
        session.restore_state(node.after)
        done.append(node.statement)
    return _travelled(session, "redo", done)


def _travelled(session: Session, direction: str, statements: list[str]) -> results.Undone:
    staged = session.staged_hash()
    return results.Undone(
        direction, tuple(statements), staged, staged == session.original_hash == session.live_hash()
    )


@operation(
    "history",
    category="History",
    summary="Every operation that changed, or tried to change, the session.",
    effects=Effect.ALWAYS,
    result=results.History,
    examples=(Example("inject L0 42\nundo\nhistory", 'it.entries[0].state == "UNDONE"'),),
)
def history(session: Session) -> results.History:
    in_force = session.timeline.in_force()
    return results.History(
        tuple(
            results.HistoryEntry(
                id=entry.id,
                statement=entry.statement,
                state="UNDONE" if entry.node is not None and entry.node not in in_force else entry.status,
                detail=entry.detail,
            )
            for entry in session.timeline.log
        )
    )
