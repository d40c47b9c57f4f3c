"""What was a weight at every stage of its editing, without a copy per edit?

A ``Version`` is one stage of one parameter of a model, named as the model names it: a matrix of any shape, a vector or
one number. It is the original weight, or another version plus one low-rank change. Its dense weight is
rebuilt from the nearest version whose dense weight is at hand by the same ``addmm`` calls in the same order,
so what comes back after an undo is the same to the last bit. The registry of basins belongs to the version
whose landscape it describes: undoing an edit brings its basins back by itself.

Memory per edit: ``(m + n)·r`` numbers for a weight (m, n), and a dense keyframe every ``KEYFRAME`` edits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor

from energylang.landscape.lineage import Registry
from energylang.landscape.lowrank import LowRank

KEYFRAME = 64
RECENT = 8


class Version:
    """One stage of a weight.

    ``name`` is the parameter's canonical name, ``factors`` the change since ``parent`` (``None``: the original),
    ``edit`` is the id of the edit that made it (``None``: the original), ``own`` the ids of the basins that it
    installed itself; ``starts`` holds, by id, where the basins that edits have installed lay when it was made (the
    living ones). A survey begins there, too, whatever has been looked at since.
    """

    def __init__(
        self, name: str, parent: Version | None, factors: LowRank | None, edit: int | None, original: Tensor
    ) -> None:
        self.name = name
        self.parent = parent
        self.factors = factors
        self.edit = edit
        self.depth: int = parent.depth + 1 if parent else 0
        self.root: Version = parent.root if parent else self
        self.registry = Registry()
        self.surveyed = False
        self.own: tuple[int, ...] = ()
        self.starts: Mapping[int, Tensor] = {}
        self.keyframe: Tensor | None = original if parent is None else None

    def after(self, factors: LowRank, edit: int) -> Version:
        """The version one edit later."""
        return Version(self.name, self, factors, edit, self.root_weight)

    @property
    def installed(self) -> tuple[int, ...]:
        """The ids of the basins that edits have installed so far, the first one first."""
        found: list[int] = []
        version: Version | None = self
        while version is not None:
            found += version.own[::-1]
            version = version.parent
        return tuple(reversed(found))

    def begun(self, registry: Registry) -> None:
        """Note down where the installed basins lie that are alive as the version is made."""
        found = ((id, registry.get(id)) for id in self.installed)
        self.starts = {
            id: basin.centre for id, basin in found if basin is not None and basin.status == "alive"
        }

    @property
    def root_weight(self) -> Tensor:
        assert self.root.keyframe is not None
        return self.root.keyframe

    @property
    def chain(self) -> list[Version]:
        """The edited versions from the first edit to this one."""
        versions: list[Version] = []
        version: Version | None = self
        while version is not None and version.parent is not None:
            versions.append(version)
            version = version.parent
        return versions[::-1]


class DenseCache:
    """Dense weights of versions: the most recently used ones and the keyframes."""

    def __init__(self) -> None:
        self._recent: OrderedDict[Version, Tensor] = OrderedDict()

    def dense(self, version: Version) -> Tensor:
        """The weight of a version, in the parameter's shape. Do not write into it."""
        missing: list[Version] = []
        current = version
        while (weight := self._at_hand(current)) is None:
            missing.append(current)
            assert current.parent is not None
            current = current.parent
        for step in reversed(missing):
            assert step.factors is not None
            weight = step.factors.added_to(weight)
            if step.depth % KEYFRAME == 0:
                step.keyframe = weight
        self._remember(version, weight)
        return weight

    def _at_hand(self, version: Version) -> Tensor | None:
        if version.keyframe is not None:
            return version.keyframe
        return self._recent.get(version)

    def _remember(self, version: Version, weight: Tensor) -> None:
        if version.keyframe is None:
            self._recent[version] = weight
            self._recent.move_to_end(version)
            while len(self._recent) > RECENT:
                self._recent.popitem(last=False)
