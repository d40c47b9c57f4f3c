"""The way back: undo, redo, named places, and the list of what was done."""

from __future__ import annotations

from collections.abc import Sequence, Set

from energylang import results
from energylang.errors import ElError
from energylang.signature.coerce import suggestion
from energylang.signature.values import Layer
from energylang.workspace.history import LogEntry, TreeNode
from energylang.workspace.named import node_at, take_back, travel_to
from energylang.workspace.workspace import Workspace, check_layer


def undo(ws: Workspace, steps: int | Layer) -> results.Undone:
    timeline = ws.timeline
    if isinstance(steps, Layer):
        return _undo_layer(ws, steps)
    if timeline.undoable == 0:
        raise ElError("there is nothing to undo", code="EL512", hint="`history` shows what was done")
    target = timeline.current
    for _ in range(steps):
        if target.parent is None:
            break
        target = target.parent
    undone, _ = travel_to(ws, target)
    return _travelled(ws, "undo", undone, [], steps - len(undone))


def _undo_layer(ws: Workspace, layer: Layer) -> results.Undone:
    check_layer(ws.model, layer.index)
    node = take_back(ws, layer.index, f"undo {layer}")
    if node is None:
        raise ElError(
            f"no edit of {layer} is in force",
            code="EL512",
            hint="`undo` takes back the last change, whatever it was",
        )
    return _travelled(ws, "undo", [node], [])


def redo(ws: Workspace, steps: int) -> results.Undone:
    node = ws.timeline.current
    for _ in range(steps):
        if node.ahead is None:
            break
        node = node.ahead
    if node is ws.timeline.current:
        raise ElError("there is nothing to redo", code="EL512", hint="only undone changes can be made again")
    _, again = travel_to(ws, node)
    return _travelled(ws, "redo", [], again, steps - len(again))


def checkpoint(ws: Workspace, name: str) -> results.Checkpoint:
    timeline = ws.timeline
    before = timeline.checkpoints.get(name)
    timeline.checkpoints[name] = timeline.current
    return results.Checkpoint(name, timeline.current.id, before.id if before is not None else None)


def rollback(ws: Workspace, name: str) -> results.Undone:
    node = ws.timeline.checkpoints.get(name)
    if node is None:
        known = ws.timeline.checkpoints
        hint = suggestion(name, known) or (
            f"there are: {', '.join(known)}" if known else f"`checkpoint {name}` makes it"
        )
        raise ElError(f"there is no checkpoint `{name}`", code="EL514", hint=hint)
    undone, again = travel_to(ws, node)
    return _travelled(ws, f"rollback {name}", undone, again)


def goto(ws: Workspace, id: int) -> results.Undone:
    undone, again = travel_to(ws, node_at(ws, id))
    return _travelled(ws, f"goto {id}", undone, again)


def _travelled(
    ws: Workspace, direction: str, undone: Sequence[TreeNode], again: Sequence[TreeNode], missing: int = 0
) -> results.Undone:
    staged = ws.staged_hash()
    original = staged == ws.original_hash == ws.live_hash()
    return results.Undone(
        direction,
        tuple(node.statement for node in undone),
        tuple(node.statement for node in again),
        ws.timeline.current.id,
        staged,
        original,
        sum(node.refused for node in (*undone, *again)),
        missing,
    )


def _was_undone(entry: LogEntry, in_force: Set[TreeNode]) -> bool:
    """Whether an operation had an effect that is not in force; what was refused had none that could be undone."""
    node = entry.node
    return node is not None and not node.refused and node not in in_force


def history(ws: Workspace, tree: bool | str) -> results.History:
    timeline = ws.timeline
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


def again(ws: Workspace, id: int) -> results.Result:
    """Run an operation of the history once more; its result."""
    op, values = ws.timeline.call(id)
    found: results.Result = ws.execute(op, values)
    return found
