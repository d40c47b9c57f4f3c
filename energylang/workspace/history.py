"""What happened, and the way back.

``State`` is everything that undo restores. It is immutable, so a node of the history holds the state before
and after its operation at the cost of a few references. Nodes form a tree: undoing and then changing
something else starts a new branch, and nothing is ever lost. ``log`` also keeps what changed nothing
(a failed operation), because a reader of the history wants to know.

An operation that could have changed something is a step of the history also where it did not (a refused edit, a
setting that was so already): how far ``undo`` goes back is read off the script, not off what a gate decided.

To make something new undoable, give ``State`` a field for it (a frozen value or a mapping that is replaced,
never written into) and change it with ``dataclasses.replace``. Undo, redo, ``goto``, ``rollback``, ``attempt``
and ``with`` then know it without another line: they put whole states back, or (``with``) compare them part by
part. ``Workspace.restore_state`` is called for every such travel; what has to follow the state (live weights, hooks
in the model) follows there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from energylang.errors import ElError

if TYPE_CHECKING:
    from torch import Tensor

    from energylang.landscape.fitted import Fitted
    from energylang.results import LayerFit
    from energylang.signature.declaration import Op

    from .versions import Version


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
    axis: str = (
        "mean"  # how its direction is found: the difference of means, pca, or given (made of others, or read)
    )

    @property
    def centroid(self) -> Tensor:
        """(d,): the mean of the captured states. The one definition of a concept's direction."""
        return self.states.mean(dim=0)


@dataclass(frozen=True)
class FittedState:
    """A landscape that a layer was given, and its weight: the staged version, and the one the live model runs with."""

    fitted: Fitted
    staged: Version
    live: Version


@dataclass(frozen=True)
class LayerState:
    """A layer's staged version, and the version the live model runs with. Where the layer was given a landscape
    (``fit``), that has versions of its own, and those here are of the MLP's down-projection."""

    staged: Version
    live: Version
    fit: FittedState | None = None

    @property
    def landscape(self) -> FittedState | LayerState:
        """The versions of what edits of basins change: the fitted landscape, or the layer's own weight."""
        return self if self.fit is None else self.fit

    @property
    def versions(self) -> tuple[Version, ...]:
        """Everything in the layer that the live model runs with."""
        return (self.live,) if self.fit is None else (self.live, self.fit.live)

    @property
    def all_live(self) -> LayerState:
        """The layer with everything staged made live."""
        fit = None if self.fit is None else replace(self.fit, live=self.fit.staged)
        return LayerState(self.staged, self.staged, fit)

    @property
    def as_loaded(self) -> LayerState:
        """The layer with every edit taken back; a fitted landscape stays."""
        root = self.staged.root
        if self.fit is None:
            return LayerState(root, root)
        planted = self.fit.staged.root
        return LayerState(root, root, replace(self.fit, staged=planted, live=planted))

    @property
    def depth(self) -> int:
        """How many edits are staged."""
        return self.staged.depth + (self.fit.staged.depth if self.fit is not None else 0)

    @property
    def live_depth(self) -> int:
        """How many edits the live model runs with."""
        return self.live.depth + (self.fit.live.depth if self.fit is not None else 0)

    @property
    def is_live(self) -> bool:
        """Whether the live model runs with everything that is staged."""
        return self.staged is self.live and (self.fit is None or self.fit.staged is self.fit.live)

    def with_staged(self, version: Version) -> LayerState:
        """The layer with another version staged, of its landscape or of its weight: as the version says."""
        if self.fit is not None and version.root is self.fit.staged.root:
            return replace(self, fit=replace(self.fit, staged=version))
        return replace(self, staged=version)


@dataclass(frozen=True, eq=False)
class Holding:
    """An intervention in forward passes: what is done to states (…, d) of a layer that are nearest, among
    ``centres`` (k, d), to number ``index``. ``other`` (d,) is the centre to swap with."""

    layer: int
    basin: int
    kind: str  # zero, clamp, boost, swap
    amount: float
    centres: Tensor
    index: int
    to: int | None = None
    other: Tensor | None = None

    def __str__(self) -> str:
        words = f"L{self.layer}.B{self.basin} {self.kind}"
        if self.to is not None:
            return f"{words}=L{self.layer}.B{self.to}"
        return words if self.kind == "zero" else f"{words} {self.amount:g}"


@dataclass(frozen=True, eq=False)
class Push:
    """A concept's direction, or any other, that is added to the states of layers in every pass: ``strength`` times the
    ``directions`` (d,) by layer, at the positions ``at``."""

    concept: str
    strength: float
    at: str
    directions: Mapping[int, Tensor]

    @property
    def pushed(self) -> str:
        """What is pushed, and towards what."""
        layers = sorted(self.directions)
        first = f"L{layers[0]}" if len(layers) == 1 else f"L{layers[0]}..L{layers[-1]}"
        return f"push {first} {self.concept}"

    @property
    def key(self) -> str:
        """Of two with the same key the later one holds."""
        return f"{self.pushed} at={self.at}"

    def __str__(self) -> str:
        return f"{self.pushed} {self.strength:g}" + ("" if self.at == "all" else f" at={self.at}")


@dataclass(frozen=True, eq=False)
class Scaling:
    """What parts of the model write is multiplied by ``factor`` in every pass, at the positions ``at``: by layer the
    numbers of ``neurons`` and ``heads``, and ``directions`` (k, d), orthonormal rows, in the layer's state."""

    named: str
    factor: float
    at: str
    neurons: Mapping[int, tuple[int, ...]]
    heads: Mapping[int, tuple[int, ...]]
    directions: Mapping[int, Tensor]

    @property
    def key(self) -> str:
        """Of two with the same key the later one holds."""
        return f"scale {self.named} at={self.at}"

    def __str__(self) -> str:
        return f"scale {self.named} {self.factor:g}" + ("" if self.at == "all" else f" at={self.at}")


@dataclass(frozen=True)
class MeasuredBy:
    """What a model is measured by, where it is another than it came with: neutral ``prompts``, and held-out ``text``
    (of the file ``text_name``)."""

    prompts: tuple[str, ...] = ()
    prompts_name: str = ""
    text: str = ""
    text_name: str = ""


@dataclass(frozen=True)
class State:
    """Everything that undo restores."""

    layers: tuple[LayerState, ...] = ()
    concepts: Mapping[str, Concept] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    guards: Mapping[str, float] = field(default_factory=dict)  # by kind, or by layer ("L3")
    protected: Mapping[int, frozenset[int]] = field(default_factory=dict)  # basin ids by layer
    interventions: Mapping[str, Holding | Push | Scaling] = field(default_factory=dict)
    reading: MeasuredBy = field(default_factory=MeasuredBy)


@dataclass(eq=False)
class TreeNode:
    """An operation that changed the state, or could have. ``ahead`` is the child to which ``redo`` goes: the one
    left last.

    ``layer`` is the layer it was about; ``refused``: it was an edit and the layer stayed as it was; ``takes_back``:
    it was the ``undo L5`` of that edit.
    """

    id: int
    statement: str
    before: State
    after: State
    parent: TreeNode | None
    layer: int | None = None
    refused: bool = False
    takes_back: TreeNode | None = None
    children: list[TreeNode] = field(default_factory=list)
    ahead: TreeNode | None = None
    depth: int = field(init=False)

    def __post_init__(self) -> None:
        self.depth = self.parent.depth + 1 if self.parent is not None else 0

    def path(self) -> list[TreeNode]:
        """The nodes from the root's child to this one: what is in force here."""
        nodes: list[TreeNode] = []
        node = self
        while node.parent is not None:
            nodes.append(node)
            node = node.parent
        return nodes[::-1]


@dataclass(eq=False)
class LogEntry:
    """A line of the history. ``node`` is set when the operation is a step for undo, ``at`` is where in the tree it
    happened."""

    id: int
    statement: str
    status: str  # OK, REFUSED, BLOCKED, FORCED, FAILED
    detail: str
    layer: int | None
    node: TreeNode | None
    at: TreeNode


class Timeline:
    """The tree of changes since the model was loaded, and where in it the session stands.

    ``checkpoints`` are names given to places in the tree, ``next_basin`` the first basin id of each weight that was
    never used, ``calls`` the operations by their ids; they are no part of the state and stay when it is undone.
    """

    def __init__(self, initial: State) -> None:
        self.root = TreeNode(0, "", initial, initial, None)
        self.current = self.root
        self.log: list[LogEntry] = []
        self.nodes: dict[int, TreeNode] = {0: self.root}
        self.checkpoints: dict[str, TreeNode] = {}
        self.next_basin: dict[str, int] = {}
        self.calls: dict[int, tuple[Op, Mapping[str, Any]]] = {}
        self._next = 1

    def call(self, id: int) -> tuple[Op, Mapping[str, Any]]:
        """The operation with this id, and what it was given. Raises ``ElError`` EL514."""
        found = self.calls.get(id)
        if found is None:
            there = any(entry.id == id for entry in self.log)
            message = (
                f"operation {id} is none that can be run again" if there else f"there is no operation {id}"
            )
            raise ElError(message, code="EL514", hint="`history` shows the numbers")
        return found

    def next_id(self) -> int:
        """The id that the next operation in the log will get."""
        return self._next

    def record(
        self,
        statement: str,
        before: State,
        after: State,
        status: str,
        detail: str,
        layer: int | None,
        *,
        takes_back: TreeNode | None = None,
    ) -> None:
        """Write an operation down; unless it failed, it can be undone."""
        node, at = None, self.current
        if status != "FAILED":
            refused = status in ("REFUSED", "BLOCKED")
            node = TreeNode(self._next, statement, before, after, self.current, layer, refused, takes_back)
            self.nodes[node.id] = node
            self.current.children.append(node)
            self.current.ahead = node
            self.current = node
        self.log.append(LogEntry(self._next, statement, status, detail, layer, node, at))
        self._next += 1

    def undo(self) -> TreeNode | None:
        """Step back; the node that was undone, or ``None`` at the beginning."""
        node = self.current
        if node.parent is None:
            return None
        node.parent.ahead = node
        self.current = node.parent
        return node

    def redo(self) -> TreeNode | None:
        """Step forward along the branch that was left last; the node that was done again, or ``None`` at its
        end."""
        if self.current.ahead is None:
            return None
        self.current = self.current.ahead
        return self.current

    def go_to(self, node: TreeNode) -> tuple[list[TreeNode], list[TreeNode]]:
        """Stand at a node of the tree; what was undone on the way there (newest first), and what was done
        again (oldest first)."""
        here, there = self.current, node
        undone: list[TreeNode] = []
        again: list[TreeNode] = []
        while here is not there:  # up to where the two paths meet; what they share is left alone
            if here.depth >= there.depth and here.parent is not None:
                undone.append(here)
                here = here.parent
            elif there.parent is not None:
                again.append(there)
                there = there.parent
        again.reverse()
        for step in (*undone, *again):
            if step.parent is not None:
                step.parent.ahead = step
        self.current = node
        return undone, again

    def last_edit(self, layer: int) -> TreeNode | None:
        """The edit in force that gave a layer its staged weight, or one that was refused since; ``None`` where
        nothing has edited the layer."""
        staged, taken_back = _staged(self.current.after, layer), set()
        path = self.current.path()
        for node in reversed(path):
            if node.takes_back is not None:
                taken_back.add(node.takes_back)
            elif (
                node.refused
                and node.layer == layer
                and node not in taken_back
                and _staged(node.after, layer) == staged
            ):
                return node
        found: list[TreeNode] = []
        for version in staged:
            made = next(
                (
                    node
                    for node in path
                    if version in _staged(node.after, layer) and version not in _staged(node.before, layer)
                ),
                None,
            )
            if made is not None and version.depth:
                found.append(made)
        return max(found, key=lambda node: node.depth, default=None)

    @property
    def undoable(self) -> int:
        return self.current.depth

    @property
    def redoable(self) -> int:
        count, node = 0, self.current
        while node.ahead is not None:
            count, node = count + 1, node.ahead
        return count

    def in_force(self) -> set[TreeNode]:
        """The changes that have not been undone."""
        return set(self.current.path())


def _staged(state: State, layer: int) -> tuple[Version, ...]:
    """What is staged in a layer: its weight, and its fitted landscape's."""
    at = state.layers[layer]
    return (at.staged,) if at.fit is None else (at.staged, at.fit.staged)


def without_edit(node: TreeNode, layer: int, now: State) -> State:
    """``now`` with a layer's staged weight as it was before the edit at ``node``; what the edit noted down about
    concepts goes too, where nothing has happened to them since. The live weight stays."""
    before, after = node.before.layers[layer], node.after.layers[layer]
    state = now.layers[layer]
    if after.staged is not before.staged:
        state = replace(state, staged=before.staged)
    if before.fit is not None and after.fit is not None and after.fit.staged is not before.fit.staged:
        state = state.with_staged(before.fit.staged)
    layers = tuple(state if index == layer else other for index, other in enumerate(now.layers))
    concepts = dict(now.concepts)
    for name, concept in node.after.concepts.items():
        if concepts.get(name) is concept and name in node.before.concepts:
            concepts[name] = node.before.concepts[name]
    return replace(now, layers=layers, concepts=concepts)


def without(before: State, after: State, now: State) -> State:
    """``now`` without what led from ``before`` to ``after``: every part of the state (a layer, a concept, a
    setting …) that this changed is again as it was before it, whatever happened to the part since; all other
    parts stay as they are. The same object when nothing has to change."""
    changes = {}
    for item in fields(State):
        old, new, current = (getattr(state, item.name) for state in (before, after, now))
        part = _part_without(old, new, current)
        if part is not current:
            changes[item.name] = part
    return replace(now, **changes) if changes else now


def _part_without(old: Any, new: Any, now: Any) -> Any:
    if old is new:
        return now
    if isinstance(old, Mapping) and isinstance(new, Mapping) and isinstance(now, Mapping):
        touched = [key for key in {**old, **new} if old.get(key, _ABSENT) is not new.get(key, _ABSENT)]
        if all(now.get(key, _ABSENT) is old.get(key, _ABSENT) for key in touched):
            return now
        back = {key: old[key] for key in touched if key in old}
        return {key: value for key, value in now.items() if key not in touched or key in old} | back
    if isinstance(old, tuple) and isinstance(new, tuple) and len(old) == len(new) == len(now):
        return tuple(
            was if was is not became else is_now for was, became, is_now in zip(old, new, now, strict=True)
        )
    return old


_ABSENT = object()
