"""What a session looked like at a moment, the parts that undo never touches included: which numbers basins were given,
which places the history has, what was learnt of every weight's basins.

``Workspace.apart`` puts all of it back, so that what happens inside leaves nothing at all: two cells of a sweep find
the same session, down to the number of the next basin, whichever of them is run first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from energylang.landscape.lineage import Registry

from .history import State, Timeline, TreeNode
from .versions import Version


@dataclass(frozen=True, eq=False)
class Moment:
    """Everything in a timeline, and in the versions that its places hold, that changes in place."""

    timeline: Timeline
    fields: Mapping[str, Any]
    branches: tuple[tuple[TreeNode, list[TreeNode], TreeNode | None], ...]
    registries: tuple[tuple[Version, Registry, bool], ...]

    def put_back(self) -> None:
        """Make the timeline and the registries what they were."""
        vars(self.timeline).update(_copied(self.fields))
        for node, children, ahead in self.branches:
            node.children, node.ahead = list(children), ahead
        for version, registry, surveyed in self.registries:
            version.registry, version.surveyed = registry, surveyed


def moment(timeline: Timeline) -> Moment:
    """The timeline as it is now."""
    nodes = tuple(timeline.nodes.values())
    versions = {version for node in nodes for state in (node.before, node.after) for version in _of(state)}
    return Moment(
        timeline,
        _copied(vars(timeline)),
        tuple((node, list(node.children), node.ahead) for node in nodes),
        tuple((version, version.registry, version.surveyed) for version in versions),
    )


def _copied(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.copy() if isinstance(value, list | dict) else value for name, value in fields.items()}


def _of(state: State) -> list[Version]:
    """The versions that a state holds, and the originals they come from."""
    found: list[Version] = []
    for layer in state.layers:
        found += (layer.staged, layer.live)
        if layer.fit is not None:
            found += (layer.fit.staged, layer.fit.live)
    return found + [version.root for version in found]
