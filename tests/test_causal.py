"""Causal operations: they find the structure that was planted, and none where there is none."""

from __future__ import annotations

import json

import networkx as nx
import pytest
import torch

from energylang import Session, check
from energylang.landscape import causal, graphs
from energylang.landscape.attractors import polish
from energylang.landscape.clusters import cosine_rows
from energylang.landscape.draws import stable_generator
from energylang.landscape.dynamics import Landscape, settle
from energylang.landscape.solve import field_edit


def dependent(d: int, n: int, links: list[tuple[int, int]], seed: int) -> tuple[Landscape, torch.Tensor]:
    """A landscape of n basins in which, for every link (i, j), basin j leans on basin i: it shares three quarters of
    its coordinates with it, and that one has a stronger field. Its own is strong enough not to fall to any push."""
    generator = stable_generator("dependent", seed)
    states = torch.sign(torch.randn(n, d, generator=generator))
    for i, j in links:
        shared = torch.rand(d, generator=generator) < 0.75
        states[j] = torch.where(shared, states[i], states[j])
    parents = {i for i, _ in links}
    margins = torch.tensor([1.2 if i in parents else 0.8 for i in range(n)])
    empty = Landscape(torch.zeros(d, d), 7.0)
    states = 0.95 * states
    edit = field_edit(empty, states, margins[:, None] * states, torch.zeros(0, d), symmetric=False)
    layer = Landscape(edit.dense(), 7.0)
    centres, _ = polish(layer, settle(layer, states).states)
    assert float(cosine_rows(centres, states).min()) > 0.99
    return layer, centres


def found(layer: Landscape, centres: torch.Tensor, threshold: float = 0.15) -> set[tuple[int, int]]:
    scan = causal.scan(layer, centres, stable_generator("null"))
    return {(i, j) for i, j in scan.edges(threshold).nonzero().tolist()}


def test_the_planted_structure_is_found():
    links = [(i, 20 + i) for i in range(12)]
    hits = edges = 0
    for seed in range(5):
        each = found(*dependent(256, 40, links, seed))
        hits += len(each & set(links))
        edges += len(each)
    assert hits / (5 * len(links)) >= 0.75  # recall: a link is what a random edit of that size does not break
    assert hits / edges >= 0.9  # precision


def test_one_link_among_many_pairs_is_found():
    links = [(0, 3)]
    assert sum(found(*dependent(256, 40, links, seed)) == set(links) for seed in range(5)) >= 4


def test_nothing_is_found_where_nothing_is_planted():
    """Random patterns with fields of their own (the projection rule), and orthogonal ones: no edge in 38 of 40."""
    wrong = sum(bool(found(*dependent(64, 8, [], seed))) for seed in range(20))
    hadamard = torch.ones(1, 1)
    for _ in range(6):
        hadamard = torch.cat((torch.cat((hadamard, hadamard), 1), torch.cat((hadamard, -hadamard), 1)))
    for seed in range(20):
        states = hadamard[torch.randperm(64, generator=stable_generator("rows", seed))[:8]]
        layer = Landscape(states.T @ states / 64, 7.0)
        wrong += bool(found(layer, polish(layer, settle(layer, states).states)[0], threshold=0.0))
    assert wrong <= 2


def test_a_scan_is_one_knock_out_after_another():
    layer, centres = dependent(64, 6, [(0, 3)], 1)
    scan = causal.scan(layer, centres, stable_generator("null"), placebo_count=1)
    for i, factors in enumerate(causal.knock_outs(layer, centres)):
        edited = layer.edited(factors)
        assert float(torch.linalg.vector_norm(edited.field(centres[i : i + 1]))) < 1e-4
        ends = settle(edited, centres).states
        drift = (1 - cosine_rows(ends, settle(layer, centres).states)).clamp_min(0)
        assert torch.allclose(scan.drift[i], drift, atol=1e-4)


def test_placebos_have_the_norm_and_the_form_of_the_knock_outs():
    session = Session("planted:64x4")
    session.survey(0)
    layer = session.landscape_of(0)
    centres = torch.stack([basin.centre for basin in session.staged(0).registry.alive()])
    assert {edit.rank for edit in causal.knock_outs(layer, centres)} == {1}
    edits = causal.scaled_fields(layer, centres, torch.zeros_like(centres))
    fake = causal.placebos(layer, edits, 2, stable_generator("p"))
    for k, edit in enumerate(fake):
        assert edit.norm == pytest.approx(edits[k // 2].norm, rel=1e-4)
        assert torch.equal(edit.added_to(layer.weight), edit.added_to(layer.weight).T)


def test_scan_is_deterministic_and_exports(in_tmp):
    first, again = Session("planted:64x4"), Session("planted:64x4")
    for session in (first, again):
        session.survey(0)
    a, b = first.causal_scan(0, threshold=0.05), again.causal_scan(0, threshold=0.05)
    assert a.to_dict() == b.to_dict()
    for suffix in ("graphml", "dot", "json"):
        first.causal_scan(0, threshold=0.05, save=f"g.{suffix}")
    graph = a.to_networkx()
    assert graph.number_of_edges() == a.num_edges
    assert nx.read_graphml("g.graphml").number_of_nodes() == len(a.basins)
    with open("g.json", encoding="utf-8") as file:
        back = nx.node_link_graph(json.load(file), edges="edges")
    assert set(back.edges) == set(graph.edges)
    with open("g.dot", encoding="utf-8") as file:
        assert file.read().count("->") == a.num_edges


def test_edges_come_in_mirror_quadruples_and_fold():
    session = Session("planted:64x4")
    mirror = {basin.id: basin.mirror for basin in session.survey(0).basins}
    graph = session.causal_scan(0, threshold=0.05)
    edges = {(edge.source, edge.target): edge for edge in graph.edges}
    assert edges
    folded = set()
    for (source, target), edge in edges.items():
        assert mirror[source] != target
        both = [
            (s, t) for s in (source, mirror[source]) for t in (target, mirror[target]) if None not in (s, t)
        ]
        assert all(edges[pair].drift == pytest.approx(edge.drift, abs=1e-4) for pair in both)
        assert {edges[pair].q for pair in both} == {edge.q}
        assert 0 < edge.p <= edge.q <= graph.level
        folded.add(frozenset(both))
    assert graph.edges_folded == len(folded)
    assert graph.num_edges == sum(map(len, folded))
    alone = {frozenset((basin, mirror[basin])) - {None} for basin in graph.basins}
    assert graph.pairs == len(alone)
    assert graph.tested == len(alone) * (len(alone) - 1)


def test_one_placebo_has_no_spread_and_no_distance():
    session = Session("planted:64x4")
    session.survey(0)
    graph = session.causal_scan(0, threshold=0.0, placebos=1)
    assert graph.placebo_drift_std is None
    assert graph.edges
    assert {edge.z for edge in graph.edges} == {None}
    for effect in (
        session.causal_counterfactual(0, "L0.B0", placebos=1),
        session.causal_intervene(0, "L0.B0", placebos=1),
    ):
        assert effect.placebo_drift_std is None
        assert effect.p is None
        assert {(other.placebo_std, other.z, other.p) for other in effect.others} == {(None, None, None)}


def test_no_distance_where_the_placebos_do_not_spread():
    layer, centres = dependent(64, 6, [(0, 3)], 1)
    scan = causal.scan(layer, centres, stable_generator("null"))
    assert bool(scan.z[scan.spread.isnan()].isnan().all())
    assert not bool((scan.spread <= causal.RESOLUTION).any())


def test_effects_leave_the_mirror_aside_and_have_p_values():
    session = Session("planted:64x4")
    mirror = {basin.id: basin.mirror for basin in session.survey(0).basins}
    effect = session.causal_counterfactual(0, "L0.B0", mod="weaken")
    assert effect.placebos == 20
    assert mirror[0] is not None
    assert mirror[0] not in {other.basin for other in effect.others}
    for p in (effect.p, *(other.p for other in effect.others)):
        assert p is not None
        assert 1 / 21 <= p <= 1


def test_a_refused_intervention_is_refused_everywhere():
    session = Session("planted:64x4")
    session.run("survey L0\nset max_changed 0%")
    effect = session.causal_intervene(0, "L0.B0")
    assert not effect.applied
    refused = session.history().entries[-1]
    assert (refused.state, refused.detail) == ("REFUSED", effect.reason)
    assert session.status().layers[0].refused == 1
    session.goto(0)
    session.goto(refused.id)
    session.undo()
    assert session.history().entries[-1].state == "REFUSED", (
        "it never was in force, so nothing of it is undone"
    )
    session.run("set max_changed 100%\ncausal intervene L0.B0 --force --reason why")
    assert session.history().entries[-1].state in ("OK", "FORCED")


def test_graphs_of_two_models_are_compared_on_what_matches(in_tmp):
    session = Session("planted:64x4")
    session.survey(0)
    same = session.causal_compare("planted:64x4", 0, threshold=0.05)
    assert same.overlap == 1
    assert same.drift_correlation == pytest.approx(1)
    assert same.pairs < same.matched == same.basins_here
    assert same.overlap_p == same.drift_p == 1 / (1 + same.shuffles)
    assert same.overlap_shuffled < 1
    assert same.edges_here == session.causal_scan(0, threshold=0.05).edges_folded
    other = session.causal_compare("random:64", 0, threshold=0.05)
    assert (other.pairs, other.overlap, other.drift_p) == (0, None, None)


def test_shuffled_graphs_are_what_chance_is():
    """Of landscapes that have nothing in common but their size, few are called alike."""
    low = 0
    off = ~torch.eye(8, dtype=torch.bool)
    for seed in range(12):
        made = [dependent(64, 8, [(0, 1), (2, 3)], 2 * seed + k) for k in (0, 1)]
        first, second = (causal.scan(*one, stable_generator("g"), placebo_count=1) for one in made)
        deal = torch.randperm(8, generator=stable_generator("deal", seed))
        orders = [torch.randperm(8, generator=stable_generator("null", seed, k)) for k in range(99)]
        real, shuffled = graphs.rank_correlations(first.drift, second.drift[deal][:, deal], off, orders)
        assert real is not None
        low += (1 + sum(value >= real for value in shuffled)) / 100 <= 0.05
    assert low <= 3


def test_the_threshold_and_the_placebos_have_an_effect():
    session = Session("planted:64x4")
    session.survey(0)
    loose, strict = session.causal_scan(0, threshold=0.01), session.causal_scan(0, threshold=1.5)
    assert loose.num_edges + loose.unspecific > strict.num_edges + strict.unspecific
    assert (
        session.causal_scan(0, placebos=1).placebo_drift != session.causal_scan(0, placebos=5).placebo_drift
    )


@pytest.mark.parametrize("op", ["remove", "weaken", "strengthen"])
def test_intervention_is_an_edit_and_can_be_undone(op: str):
    session = Session("planted:64x4")
    session.run("survey L0\nset max_changed 100%")
    effect = session.run(f'causal intervene L0.B0 op={op} --force --reason "a test"')
    assert effect.applied
    assert effect.norm > 0
    assert not session.status().is_original
    drifts = [other.drift for other in effect.others]
    assert drifts == sorted(drifts, reverse=True)
    session.undo()
    assert session.status().is_original


def test_counterfactuals_differ_and_keep_nothing():
    session = Session("planted:64x4")
    session.survey(0)
    found = [session.causal_counterfactual(0, "L0.B0", mod=mod) for mod in ("invert", "weaken", "shift")]
    assert len({effect.norm for effect in found}) == 3
    assert session.status().is_original
    assert session.timeline.log == []


def test_across_layers_needs_a_later_layer():
    script = 'load "tiny"\nsurvey L2\ncausal across L2.B0 to=L1\n'
    assert check(script).ok
    session = Session("tiny")
    with pytest.raises(Exception, match="does not come after"):
        session.run("survey L2\ncausal across L2.B0 to=L1")


def test_folding_mirror_pairs_changes_nothing():
    """A basin's mirror has its knock-out and the mirrored fate: with the mirrors, a scan has the same numbers twice."""
    layer, centres = dependent(64, 6, [(0, 3)], 1)
    alone = causal.scan(layer, centres, stable_generator("null"), placebo_count=2)
    both = causal.scan(layer, torch.cat((centres, -centres)), stable_generator("null"), placebo_count=2)
    for found, wanted in ((both.drift, alone.drift), (both.mean, alone.mean), (both.p, alone.p)):
        assert torch.allclose(found, wanted.repeat(2, 2), atol=1e-5, equal_nan=True)
    assert torch.equal(both.survives, alone.survives.repeat(2, 2))
    assert torch.allclose(both.norm, alone.norm.repeat(2))
    assert torch.equal(both.apart, alone.apart.repeat(2, 2))
