"""What the causal operations find out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energylang.errors import FileError

from .base import Result

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True, eq=False)
class CausalEdge(Result):
    """Knocking out ``source`` moves ``target`` by ``drift`` = 1 − cosine. ``survived``: it is still a basin nearby
    (cosine above 0.95). ``z`` is the drift's distance from what random edits of equal norm do to the same target,
    in units of their standard deviation (None where they do not spread). ``p`` is the chance that a random edit of that
    norm does as much to the target, ``q`` the same corrected for all pairs that were tested (Benjamini–Hochberg);
    ``specific`` says that q is at most the graph's ``level``."""

    source: int
    target: int
    drift: float
    survived: bool
    z: float | None
    specific: bool
    p: float = 1.0
    q: float = 1.0


@dataclass(frozen=True, eq=False)
class CausalGraph(Result):
    """Who depends on whom among the basins of a layer. ``edges`` are those that are specific and exceed the
    threshold; ``unspecific`` counts pairs that exceed it no more than a random edit of equal norm would. A basin and
    its mirror are no edge; an edge between two basins that both have a mirror is there four times, and
    ``edges_folded`` counts such edges once (``pairs``: basins with mirrors counted once). ``placebo_edges`` is the
    mean number of pairs that a whole scan with random edits moves beyond the threshold, ``placebo_drift`` their mean
    drift ± ``placebo_drift_std`` (None where there is one). Of the edges a share of at most ``level`` is expected to
    be chance, by q-values over ``tested`` ordered pairs (mirrors counted once). ``fitted``: the landscape is one that
    a transformer's layer was given, whose patterns do not depend on each other."""

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
    placebo_drift_std: float | None
    path: str | None
    edges_folded: int = 0
    pairs: int = 0
    tested: int = 0
    level: float = 0.05
    fitted: bool = False

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
                p=edge.p,
                q=edge.q,
                **({} if edge.z is None else {"z": edge.z}),
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
        """Write the graph as GraphML, DOT or JSON, by the path's ending. Raises ``FileError``. (The operation's
        ``save=`` writes a file whole or not at all.)"""
        try:
            Path(path).write_bytes(self.text_for(Path(path).suffix).encode("utf-8", "replace"))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise FileError(
                f"{path} cannot be written: {reason}", hint="choose another output path"
            ) from None


@dataclass(frozen=True, eq=False)
class CausalComparison(Result):
    """The causal graphs of a layer here and in another model, on the basins that match (``pairs`` of them, mirrors
    counted once; ``basins_here`` and ``basins_there`` are all that were found).

    ``matched_by`` is ``direction`` (``aligned`` and ``fit`` as in ``compare``) or ``tokens``. ``both`` of the edges
    are in both graphs, ``either`` in one at least, ``overlap`` = both/either (None where there is no edge).
    ``drift_correlation`` is the rank correlation of what every knock-out does to every other basin, whatever the
    threshold. The null deals out the other model's basins at random, ``shuffles`` times (QAP, a Mantel test for the
    correlation): mean ± std, and p = (1 + #{shuffled ≥ real})/(1 + shuffles). ``overlap_placebo`` is the mean overlap
    with what random edits of equal norm do there. All are None where they cannot be said: no edge, or too few basins.
    """

    layer: int
    other: str
    threshold: float
    matched_by: str
    aligned: str
    fit: float | None
    fit_shuffled: float | None
    basins_here: int
    basins_there: int
    matched: int
    pairs: int
    edges_here: int
    edges_there: int
    both: int
    either: int
    overlap: float | None
    overlap_shuffled: float | None
    overlap_shuffled_std: float | None
    overlap_p: float | None
    overlap_placebo: float | None
    drift_correlation: float | None
    drift_shuffled: float | None
    drift_shuffled_std: float | None
    drift_p: float | None
    placebos: int
    shuffles: int


@dataclass(frozen=True, eq=False)
class Drifted(Result):
    """What an intervention does to one other basin, beside random edits of equal norm: their mean and standard
    deviation (None of a single one), the distance from them in these (None where they do not spread), and the rank
    p-value (1 + #{placebo ≥ drift})/(1 + placebos), not corrected for the number of basins (None of fewer than
    20)."""

    basin: int
    drift: float
    survived: bool
    placebo: float
    placebo_std: float | None
    z: float | None
    p: float | None = None


@dataclass(frozen=True, eq=False)
class CausalEffect(Result):
    """do(B): an edit of one basin, and how far it moves the others (the most moved first; its mirror goes with it and
    is none of them), whether the edit is kept or refused: ``applied`` and ``reason`` are the gate's. ``mean_drift``
    stands beside that under random edits of equal norm, ± ``placebo_drift_std`` (None of a single one); ``p`` is its
    rank p-value (None of fewer than 20)."""

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
    placebo_drift_std: float | None
    p: float | None = None


@dataclass(frozen=True, eq=False)
class CounterfactualEffect(Result):
    """What would happen if a basin were otherwise; nothing is kept. ``own_drift`` is how far the basin itself
    would move, ``survives`` whether something would still settle there; the others and the placebos are as in
    ``CausalEffect``."""

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
    placebo_drift_std: float | None
    p: float | None = None


@dataclass(frozen=True, eq=False)
class CrossEffect(Result):
    """A basin of one layer held at zero in real forward passes, and the usage of the basins of a later layer.

    ``moved`` is the share of tokens whose basin at ``to_layer`` changes; ``usage_change`` the total variation
    distance between the usages before and after; the placebos hold random directions at zero instead, in the same
    tokens. ``moved_p`` and ``usage_p`` are rank p-values, (1 + #{placebo ≥ value})/(1 + placebos); None of fewer than
    20. A spread is None of a single placebo, a z where they do not spread.
    """

    layer: int
    basin: int
    to_layer: int
    tokens: int
    held: int
    moved: float
    moved_placebo: float
    moved_placebo_std: float | None
    moved_z: float | None
    usage_change: float
    usage_placebo: float
    placebos: int
    usage_placebo_std: float | None = None
    moved_p: float | None = None
    usage_p: float | None = None
