"""Results of the family history: the way back."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result


@dataclass(frozen=True, eq=False)
class Undone(Result):
    """``statements`` were undone (newest first), ``again`` were done again (oldest first); ``at`` is the place in
    the history where the session stands now, ``hash`` that of the staged weights there. ``refused`` of the steps
    were edits that had been refused. ``missing`` is how many steps more were asked for than there are."""

    direction: str
    statements: tuple[str, ...]
    again: tuple[str, ...]
    at: int
    hash: str
    is_original: bool
    refused: int = 0
    missing: int = 0


@dataclass(frozen=True, eq=False)
class Checkpoint(Result):
    """A name for a place in the history; ``moved_from`` is where the name stood before (``None``: it is new)."""

    name: str
    at: int
    moved_from: int | None


@dataclass(frozen=True, eq=False)
class Attempted(Result):
    """An ``attempt`` that failed in this line and was undone; ``undone`` counts the changes that were taken
    back."""

    name: str
    code: str
    error: str
    line: int
    undone: int


@dataclass(frozen=True, eq=False)
class HistoryEntry(Result):
    """One operation. ``parent`` is the place in the tree at which it happened (0: the beginning), ``here`` says
    that the session stands at it, ``checkpoints`` are the names that it has."""

    id: int
    statement: str
    state: str
    detail: str
    parent: int
    here: bool
    checkpoints: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class History(Result):
    """Every operation that changed, or tried to change, the session. ``state`` is OK, REFUSED, BLOCKED, FORCED,
    FAILED or UNDONE (what was refused or failed stays so: it had no effect to undo); ``at`` is where the session
    stands (0: the beginning), ``beginning`` the names of checkpoints there. ``tree`` says that it is to be drawn as
    one."""

    entries: tuple[HistoryEntry, ...]
    at: int
    beginning: tuple[str, ...]
    tree: bool
