"""What the causal operations find out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .base import Result

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True, eq=False)
class CausalEdge(Result):
    """Knocking out ``source`` moves ``target`` by ``drift`` = 1 − cosine. ``survived``: it is still a basin nearby
    (cosine above 0.95). ``z`` is the drift's distance from what random edits of equal norm do to the same target,
    in units of their standard deviation; ``specific`` says that hardly any of them reaches it."""

    source: int
    target: int
    drift: float
    survived: bool
    z: float
    specific: bool


@dataclass(frozen=True, eq=False)
class CausalGraph(Result):
    """Who depends on whom among the basins of a layer. ``edges`` are those that are specific and exceed the
    threshold; ``unspecific`` counts pairs that exceed it no more than a random edit of equal norm would.
    ``placebo_edges`` is the mean number of pairs that a whole scan with random edits moves beyond the threshold,
    ``placebo_drift`` their mean drift ± ``placebo_drift_std``."""

    layer: int
    threshold: float
    basins: tuple[int, ...]
    edges: tuple[CausalEdge, ...]
    num_edges: int
    density: float
    unspecific: int
    placebos: int
    placebo_edges: float
    placebo_drift: float
    placebo_drift_std: float
    path: str | None

    def to_networkx(self) -> nx.DiGraph[str]:
        """The graph with basins as nodes and the numbers of the edges as attributes."""
        import networkx as nx

        graph: nx.DiGraph[str] = nx.DiGraph(layer=self.layer, threshold=self.threshold)
        graph.add_nodes_from(f"L{self.layer}.B{basin}" for basin in self.basins)
        for edge in self.edges:
            graph.add_edge(
                f"L{self.layer}.B{edge.source}",
                f"L{self.layer}.B{edge.target}",
                drift=edge.drift,
                survived=edge.survived,
                z=edge.z,
            )
        return graph

    def to_dot(self) -> str:
        """The graph in the DOT language."""
        lines = [f"digraph L{self.layer} {{", "  rankdir=LR; node [shape=circle, fontname=Helvetica];"]
        lines += [f"  B{basin};" for basin in self.basins]
        lines += [
            f'  B{e.source} -> B{e.target} [label="{e.drift:.2f}"{"" if e.survived else ", color=red"}];'
            for e in self.edges
        ]
        return "\n".join([*lines, "}"]) + "\n"

    def text_for(self, suffix: str) -> str:
        """What a file of this kind (.graphml, .dot, .json) holds."""
        import networkx as nx

        if suffix == ".dot":
            return self.to_dot()
        if suffix == ".json":
            data: dict[str, Any] = nx.node_link_data(self.to_networkx(), edges="edges")
            return json.dumps(data, indent=1) + "\n"
        return "\n".join(nx.generate_graphml(self.to_networkx())) + "\n"

    def write(self, path: Path) -> None:
        """Write the graph as GraphML, DOT or JSON, by the path's ending."""
        path.write_text(self.text_for(path.suffix), encoding="utf-8")


@dataclass(frozen=True, eq=False)
class Drifted(Result):
    """What an intervention does to one other basin, beside random edits of equal norm."""

    basin: int
    drift: float
    survived: bool
    placebo: float
    placebo_std: float
    z: float


@dataclass(frozen=True, eq=False)
class CausalEffect(Result):
    """do(B): an edit of one basin, and how far it moved the others (the most moved first). ``applied`` and
    ``reason`` are the gate's."""

    layer: int
    basin: int
    op: str
    applied: bool
    reason: str
    forced: bool
    blocked: bool
    norm: float
    relative_norm: float
    rank: int
    lost: tuple[int, ...]
    others: tuple[Drifted, ...]
    mean_drift: float
    placebos: int
    placebo_drift: float
    placebo_drift_std: float


@dataclass(frozen=True, eq=False)
class CounterfactualEffect(Result):
    """What would happen if a basin were otherwise; nothing is kept. ``own_drift`` is how far the basin itself
    would move, ``survives`` whether something would still settle there."""

    layer: int
    basin: int
    mod: str
    norm: float
    relative_norm: float
    own_drift: float
    survives: bool
    others: tuple[Drifted, ...]
    mean_drift: float
    placebos: int
    placebo_drift: float
    placebo_drift_std: float


@dataclass(frozen=True, eq=False)
class CrossEffect(Result):
    """A basin of one layer held at zero in real forward passes, and the usage of the basins of a later layer.

    ``moved`` is the share of tokens whose basin at ``to_layer`` changes; ``usage_change`` the total variation
    distance between the usages before and after; the placebos hold random directions at zero instead, in the same
    tokens.
    """

    layer: int
    basin: int
    to_layer: int
    tokens: int
    held: int
    moved: float
    moved_placebo: float
    moved_placebo_std: float
    moved_z: float
    usage_change: float
    usage_placebo: float
    placebos: int
