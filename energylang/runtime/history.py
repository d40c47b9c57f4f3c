"""What happened, and the way back.

``State`` is everything that undo restores. It is immutable, so a node of the history holds the state before
and after its operation at the cost of a few references. Nodes form a tree: undoing and then changing
something else starts a new branch, and nothing is ever lost. ``log`` also keeps what changed nothing
(a refused edit, a failed operation), because a reader of the history wants to know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from energylang.results import LayerFit

    from .weights import Version


@dataclass(frozen=True, eq=False)
class Concept:
    """A captured concept: its texts and the states (n, d) that they lead to at ``layer``, read at ``position``.

    ``contrast`` (m, d) are states of ``contrasts``, texts that are *not* the concept, when some were given.
    ``installed`` names the edits that wrote it into a layer. ``fits`` says how well each layer holds it, where
    the layer was chosen by that.
    """

    name: str
    layer: int
    texts: tuple[str, ...]
    states: Tensor
    contrast: Tensor | None = None
    installed: tuple[str, ...] = ()
    position: str = "decision"
    contrasts: tuple[str, ...] = ()
    fits: tuple[LayerFit, ...] = ()

    @property
    def centroid(self) -> Tensor:
        """(d,): the mean of the captured states. The one definition of a concept's direction."""
        return self.states.mean(dim=0)


@dataclass(frozen=True)
class LayerState:
    """A layer's staged version, and the version the live model runs with."""

    staged: Version
    live: Version


@dataclass(frozen=True)
class State:
    """Everything that undo restores."""

    layers: tuple[LayerState, ...] = ()
    concepts: Mapping[str, Concept] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Node:
    """An operation that changed the state."""

    id: int
    statement: str
    before: State
    after: State
    parent: Node | None
    children: list[Node] = field(default_factory=list)


@dataclass(eq=False)
class LogEntry:
    """A line of the history. ``node`` is set when the operation changed the state."""

    id: int
    statement: str
    status: str  # OK, REFUSED, FORCED, FAILED
    detail: str
    layer: int | None
    node: Node | None


class History:
    """The tree of changes since the model was loaded, and where in it the session stands."""

    def __init__(self, initial: State) -> None:
        self.root = Node(0, "", initial, initial, None)
        self.current = self.root
        self.log: list[LogEntry] = []
        self._next = 1

    def next_id(self) -> int:
        """The id that the next operation in the log will get."""
        return self._next

    def record(
        self, statement: str, before: State, after: State, status: str, detail: str, layer: int | None
    ) -> None:
        """Write an operation down; when it changed the state, it can be undone."""
        node = None
        if after is not before:
            node = Node(self._next, statement, before, after, self.current)
            self.current.children.append(node)
            self.current = node
        self.log.append(LogEntry(self._next, statement, status, detail, layer, node))
        self._next += 1

    def undo(self) -> Node | None:
        """Step back; the node that was undone, or ``None`` at the beginning."""
        node = self.current
        if node.parent is None:
            return None
        self.current = node.parent
        return node

    def redo(self) -> Node | None:
        """Step forward along the newest branch; the node that was done again, or ``None`` at its end."""
        if not self.current.children:
            return None
        self.current = self.current.children[-1]
        return self.current

    @property
    def undoable(self) -> int:
        count, node = 0, self.current
        while node.parent is not None:
            count, node = count + 1, node.parent
        return count

    @property
    def redoable(self) -> int:
        count, node = 0, self.current
        while node.children:
            count, node = count + 1, node.children[-1]
        return count

    def in_force(self) -> set[Node]:
        """The changes that have not been undone."""
        nodes, node = set(), self.current
        while node.parent is not None:
            nodes.add(node)
            node = node.parent
        return nodes
