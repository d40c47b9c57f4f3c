"""Causal operations: they find the structure that was planted, and none where there is none."""

from __future__ import annotations

import json

import networkx as nx
import pytest
import torch

from energylang import Session, check
from energylang.landscape import causal
from energylang.landscape.attractors import polish
from energylang.landscape.clusters import cosine_rows
from energylang.landscape.draws import stable_generator
from energylang.landscape.dynamics import Landscape, settle
from energylang.landscape.solve import field_edit


def dependent(d: int, n: int, links: list[tuple[int, int]], seed: int) -> tuple[Landscape, torch.Tensor]:
    """A landscape of n basins in which, for every link (i, j), basin j leans on basin i: it shares more than half of
    its coordinates with it and has a weaker field of its own."""
    generator = stable_generator("dependent", seed)
    states = torch.sign(torch.randn(n, d, generator=generator))
    for i, j in links:
        shared = torch.rand(d, generator=generator) < 0.55
        states[j] = torch.where(shared, states[i], states[j])
    parents, children = {i for i, _ in links}, {j for _, j in links}
    margins = torch.tensor([1.2 if i in parents else 0.45 if i in children else 0.8 for i in range(n)])
    empty = Landscape(torch.zeros(d, d), 7.0)
    states = 0.95 * states
    edit = field_edit(empty, states, margins[:, None] * states, torch.zeros(0, d), symmetric=False)
    layer = Landscape(edit.dense(), 7.0)
    centres, _ = polish(layer, settle(layer, states).states)
    assert float(cosine_rows(centres, states).min()) > 0.99
    return layer, centres


def found(layer: Landscape, centres: torch.Tensor, threshold: float = 0.15) -> set[tuple[int, int]]:
    scan = causal.scan(layer, centres, stable_generator("null"), placebo_count=3)
    over = (scan.drift > threshold) & scan.against_placebo()[1]
    return {(i, j) for i, j in over.nonzero().tolist() if i != j}


@pytest.mark.parametrize("seed", range(3))
def test_the_planted_structure_is_found(seed: int):
    links = [(i, 20 + i) for i in range(12)]
    edges = found(*dependent(256, 40, links, seed))
    hits = len(edges & set(links))
    assert hits / len(links) >= 0.9  # recall
    assert hits / len(edges) >= 0.9  # precision


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_found_where_nothing_is_planted(seed: int):
    assert found(*dependent(256, 40, [], seed)) == set()


def test_a_scan_is_one_knock_out_after_another():
    layer, centres = dependent(64, 6, [(0, 3)], 1)
    scan = causal.scan(layer, centres, stable_generator("null"))
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
    centres = torch.stack([basin.centre for basin in session.registry(0).alive()])
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
    for found, wanted in ((both.drift, alone.drift), (both.placebo, alone.placebo)):
        assert torch.allclose(found, wanted.repeat(*(1,) * (wanted.ndim - 2), 2, 2), atol=1e-5)
    assert torch.equal(both.survives, alone.survives.repeat(2, 2))
    assert torch.allclose(both.norm, alone.norm.repeat(2))
