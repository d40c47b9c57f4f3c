"""History: what was done, and the way back.

The history is a tree. Undoing and then changing something else starts a branch; ``goto`` stands at any place of
it, ``checkpoint`` gives a place a name.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

from energylang import results
from energylang.errors import ElError
from energylang.signature import types as t
from energylang.signature.coerce import suggestion
from energylang.signature.declaration import Effect, Example, Flow, Param, operation
from energylang.signature.values import Layer

if TYPE_CHECKING:
    from energylang.session import Session
    from energylang.workspace.history import LogEntry, Node

STEPS = Param("steps", t.INT, "how many changes", 1, minimum=1, maximum=1_000_000)
NAME = Param("name", t.LABEL, "the checkpoint's name, such as before-cut")


@operation(
    "undo",
    category="History",
    summary="Take back the last changes, bit for bit; with a layer, the last edit of that layer alone.",
    details="A step is an operation that changed the session or could have: an edit that was refused is one too, so "
    "that how far this goes does not depend on the gate. undo L5 takes back the last edit of L5 that is in force, "
    "whatever happened elsewhere since; it is a change itself and can be undone. The live weight stays as it is.",
    params=(
        Param("steps", t.STEPS, "how many changes, or a layer such as L5", 1, minimum=1, maximum=1_000_000),
    ),
    effects=Effect.TRAVELS,
    flow=Flow(travels="undo"),
    result=results.Undone,
    examples=(
        Example("inject L0 42\nundo", "it.is_original"),
        Example("inject L0 42\ninject L0 43\nundo 2", "it.is_original"),
        Example("inject L0 42\nundo 99", "it.statements.count == 1 and it.missing == 98"),
        Example("inject L0 42\nset inits 50\nundo L0", "it.is_original and (survey L0).inits == 50"),
    ),
)
def undo(session: Session, steps: int | Layer) -> results.Undone:
    timeline = session.timeline
    if isinstance(steps, Layer):
        return _undo_layer(session, steps)
    if timeline.undoable == 0:
        raise ElError("there is nothing to undo", code="EL512", hint="`history` shows what was done")
    target = timeline.current
    for _ in range(steps):
        if target.parent is None:
            break
        target = target.parent
    undone, _ = session.travel_to(target)
    return _travelled(session, "undo", undone, [], steps - len(undone))


def _undo_layer(session: Session, layer: Layer) -> results.Undone:
    session.check_layer(layer.index)
    node = session.take_back(layer.index, f"undo {layer}")
    if node is None:
        raise ElError(
            f"no edit of {layer} is in force",
            code="EL512",
            hint="`undo` takes back the last change, whatever it was",
        )
    return _travelled(session, "undo", [node], [])


@operation(
    "redo",
    category="History",
    summary="Make undone changes again, along the branch that was left last.",
    params=(STEPS,),
    effects=Effect.TRAVELS,
    flow=Flow(travels="redo"),
    result=results.Undone,
    examples=(
        Example("inject L0 42\nundo\nredo", "not it.is_original and (verify L0 42).is_basin"),
        Example(
            "set inits 50\nset inits 60\nundo 2\nredo 2", "it.again.count == 2 and (survey L0).inits == 60"
        ),
    ),
)
def redo(session: Session, steps: int) -> results.Undone:
    node = session.timeline.current
    for _ in range(steps):
        if node.ahead is None:
            break
        node = node.ahead
    if node is session.timeline.current:
        raise ElError("there is nothing to redo", code="EL512", hint="only undone changes can be made again")
    _, again = session.travel_to(node)
    return _travelled(session, "redo", [], again, steps - len(again))


@operation(
    "checkpoint",
    category="History",
    summary="Give the present place in the history a name.",
    details="A name that exists already moves here. Names are no part of the state: they stay when it is undone, and "
    "end when another model is loaded.",
    params=(NAME,),
    effects=Effect.TRAVELS,
    flow=Flow(travels="checkpoint"),
    result=results.Checkpoint,
    examples=(
        Example("inject L0 42\ncheckpoint with-42", 'it.name == "with-42" and it.at == 1'),
        Example("checkpoint here\ninject L0 42\ncheckpoint here", "it.moved_from == 0"),
    ),
)
def checkpoint(session: Session, name: str) -> results.Checkpoint:
    timeline = session.timeline
    before = timeline.checkpoints.get(name)
    timeline.checkpoints[name] = timeline.current
    return results.Checkpoint(name, timeline.current.id, before.id if before is not None else None)


@operation(
    "rollback",
    category="History",
    summary="Go back (or forward) to a checkpoint, bit for bit.",
    params=(NAME,),
    effects=Effect.TRAVELS,
    flow=Flow(travels="rollback"),
    result=results.Undone,
    examples=(
        Example("checkpoint clean\ninject L0 42\ninject L0 43\nrollback clean", "it.is_original"),
        Example(
            "inject L0 42\ncheckpoint there\nundo\nrollback there",
            "it.again.count == 1 and (verify L0 42).is_basin",
        ),
    ),
)
def rollback(session: Session, name: str) -> results.Undone:
    node = session.timeline.checkpoints.get(name)
    if node is None:
        known = session.timeline.checkpoints
        hint = suggestion(name, known) or (
            f"there are: {', '.join(known)}" if known else f"`checkpoint {name}` makes it"
        )
        raise ElError(f"there is no checkpoint `{name}`", code="EL514", hint=hint)
    undone, again = session.travel_to(node)
    return _travelled(session, f"rollback {name}", undone, again)


@operation(
    "goto",
    category="History",
    summary="Go to any place in the history by the id that `history` shows; 0 is the beginning.",
    params=(Param("id", t.INT, "an id out of `history`", minimum=0, maximum=10**12),),
    effects=Effect.TRAVELS,
    flow=Flow(travels="goto"),
    result=results.Undone,
    examples=(
        Example("inject L0 42\nset inits 50\ngoto 0", "it.is_original and it.statements.count == 2"),
        Example("inject L0 42\nundo\nset inits 50\ngoto 1", "(verify L0 42).is_basin and it.at == 1"),
    ),
)
def goto(session: Session, id: int) -> results.Undone:
    undone, again = session.travel_to(session.node_at(id))
    return _travelled(session, f"goto {id}", undone, again)


def _travelled(
    session: Session, direction: str, undone: Sequence[Node], again: Sequence[Node], missing: int = 0
) -> results.Undone:
    staged = session.staged_hash()
    original = staged == session.original_hash == session.live_hash()
    return results.Undone(
        direction,
        tuple(node.statement for node in undone),
        tuple(node.statement for node in again),
        session.timeline.current.id,
        staged,
        original,
        sum(node.refused for node in (*undone, *again)),
        missing,
    )


def _was_undone(entry: LogEntry, in_force: Set[Node]) -> bool:
    """Whether an operation had an effect that is not in force; what was refused had none that could be undone."""
    node = entry.node
    return node is not None and not node.refused and node not in in_force


@operation(
    "history",
    category="History",
    summary="Every operation that changed, or tried to change, the session; as a list or as a tree.",
    params=(Param("tree", t.BOOL, "draw the branches: history tree", False, choices=("tree",)),),
    effects=Effect.ALWAYS,
    result=results.History,
    examples=(
        Example("inject L0 42\nundo\nhistory", 'it.entries[0].state == "UNDONE"'),
        Example("inject L0 42\nundo\nset inits 50\nhistory tree", "it.tree and it.entries[1].parent == 0"),
    ),
)
def history(session: Session, tree: bool | str) -> results.History:
    timeline = session.timeline
    in_force = timeline.in_force()
    names: dict[int, tuple[str, ...]] = {}
    for name, node in timeline.checkpoints.items():
        names[node.id] = (*names.get(node.id, ()), name)
    return results.History(
        tuple(
            results.HistoryEntry(
                id=entry.id,
                statement=entry.statement,
                state="UNDONE" if _was_undone(entry, in_force) else entry.status,
                detail=entry.detail,
                parent=entry.at.id,
                here=entry.node is timeline.current,
                checkpoints=names.get(entry.id, ()),
            )
            for entry in timeline.log
        ),
        at=timeline.current.id,
        beginning=names.get(0, ()),
        tree=bool(tree),
    )
