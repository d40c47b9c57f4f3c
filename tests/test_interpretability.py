"""What basins mean, and what interventions in forward passes do: with their controls, and undone without a trace."""

from __future__ import annotations

import pytest
import torch

from energylang import ElError, Session
from energylang.concepts.effects import against
from energylang.looking.gauge import standard_error
from energylang.looking.held import standing
from energylang.workspace.named import concept_named


@pytest.fixture(scope="module")
def session() -> Session:
    made = Session("tiny")
    made.survey(3)
    return made


def most_used(session: Session) -> int:
    return session.usage(3).basins[0].basin


def test_usage_adds_up_and_is_more_selective_than_chance(session: Session):
    usage = session.usage(3)
    assert sum(basin.visits for basin in usage.basins) + usage.elsewhere == usage.tokens
    assert usage.selectivity > usage.selectivity_shuffled
    assert usage.entropy_nats >= 0
    assert usage.visited == len(usage.basins) <= usage.known


def test_contexts_and_probe_tell_the_same_visits(session: Session):
    basin = most_used(session)
    contexts = session.contexts(3, basin, top=1000)
    probe = session.probe(3, basin, top=3)
    counted = next(item.visits for item in session.usage(3).basins if item.basin == basin)
    assert probe.visits == counted
    assert contexts.visits <= counted  # the same words count once
    activations = [context.activation for context in contexts.contexts]
    assert activations == sorted(activations, reverse=True)
    assert probe.holds[0].score == pytest.approx(session.usage(3).basins[0].purity)
    assert sum(item.score for item in probe.says) <= 1.0


def test_neighbours_are_sorted_and_not_the_basin_itself(session: Session):
    found = session.neighbours(3, "L3.B0", top=4).neighbours
    assert len(found) == 4
    assert 0 not in {basin.id for basin in found}
    cosines = [basin.cosine_similarity for basin in found]
    assert cosines == sorted(cosines, reverse=True)


@pytest.mark.parametrize("words", ["zero", "boost amount=3", "clamp", "swap=L3.B1"])
def test_interventions_change_passes_and_undo_takes_them_back(session: Session, words: str):
    basin = most_used(session)
    if words.startswith("swap"):
        words = f"swap=L3.B{next(b.id for b in session.staged(3).registry.alive() if b.id != basin)}"
    tokens = session.text.choosing_windows(4)[:, :-1]
    with torch.no_grad():
        before = session.text.forward(tokens, change=standing(session)).logits
        done = session.run(f"intervene L3.B{basin} {words}")
        during = session.text.forward(tokens, change=standing(session)).logits
        assert done.reach > 0
        assert not torch.equal(before, during)
        session.undo()
        after = session.text.forward(tokens, change=standing(session)).logits
    assert torch.equal(before, after)
    assert not session.state.interventions


def test_an_intervention_leaves_other_states_alone_and_takes_the_component_out(session: Session):
    basin = most_used(session)
    session.run(f"intervene L3.B{basin} zero")
    holding = session.state.interventions[f"L3.B{basin}"]
    centre = holding.centres[holding.index]
    act = standing(session).state[3]
    other = holding.centres[(holding.index + 1) % len(holding.centres)]
    states = torch.stack((centre, 0.5 * centre, other))
    changed = act(states)
    assert float((changed[:2] @ centre).abs().max()) < 1e-3 * float(centre @ centre)
    assert torch.equal(changed[2], states[2])
    session.undo()


def test_scoped_intervention_ends_with_its_block():
    session = Session("tiny")
    session.run('survey L3\nwith intervene L3.B0 zero:\n    let inside = generate "Hello" tokens=3\n')
    assert not session.state.interventions


def test_kinds_refuse_what_is_not_theirs(session: Session):
    for line in ("zero amount=2", "clamp swap=L3.B1", "swap=L3.B0"):
        with pytest.raises(Exception, match=r"amount|swap"):
            session.run(f"intervene L3.B0 {line}")


@pytest.mark.slow
def test_benchmark_sees_staged_edits_and_files(tmp_path):
    session = Session("tiny", base=tmp_path)
    plain = session.benchmark()
    assert plain.staged is None
    assert plain.change == 0
    (tmp_path / "text.txt").write_text("thank you so much for your help today . " * 60, encoding="utf-8")
    assert session.benchmark("text.txt").perplexity != plain.perplexity
    session.run('inject L3 42 strength=0.3 --force --reason "to do harm"')
    edited = session.benchmark()
    assert edited.staged is not None
    assert edited.live.perplexity == plain.perplexity
    assert edited.staged.perplexity != plain.perplexity
    with pytest.raises(ElError, match="cannot read"):
        session.benchmark("missing.txt")


def test_ablation_of_nothing_special_is_like_its_placebo(session: Session):
    found = session.ablate([f"L3.B{most_used(session)}"], placebos=3)
    assert found.rank == 1
    assert found.loss_after != found.loss_before
    with pytest.raises(ElError, match="several layers"):
        session.ablate(["L3.B0", "L2.B0"])


def test_one_placebo_has_no_spread_and_one_window_no_error(session: Session):
    found = session.ablate([f"L3.B{most_used(session)}"], placebos=1)
    assert found.loss_after > 0
    assert found.placebo_std is None
    assert found.z is None
    assert standard_error(torch.ones(1)) is None
    assert against([0.5], 1.0) == (0.5, None, None)
    assert against([0.5, 0.5, 0.5], 1.0) == (0.5, 0.0, None), "a spread, but no unit"
    mean, spread, z = against([0.0, 1.0], 2.0)
    assert (mean, z) == (0.5, pytest.approx(1.5 / spread))


def test_algebra_obeys_its_laws():
    session = Session("tiny")
    session.run('capture L3 a "Thank you so much"\ncapture L3 b "Go away"\ncapture L2 c "Thank you"')
    session.run("blend a b left 1\nblend a b right 0\nadd a b sum\nadd b a mus\nanalogy a b a other")
    assert session.similarity("left", "a").cosine == pytest.approx(1, abs=1e-5)
    assert session.similarity("right", "b").cosine == pytest.approx(1, abs=1e-5)
    assert session.similarity("sum", "mus").cosine == pytest.approx(1, abs=1e-5)
    assert session.similarity("other", "b").cosine == pytest.approx(1, abs=1e-5)
    with pytest.raises(ElError, match="nearly zero"):
        session.subtract("a", "a", "nothing")
    with pytest.raises(ElError, match="belongs to L3"):
        session.add("a", "c", "mixed")


def test_concepts_survive_a_file_and_other_dimensions_are_refused(tmp_path):
    session = Session("tiny", base=tmp_path)
    session.run('capture L3 a "Thank you so much"')
    for path in ("a.safetensors", "a.json"):
        session.export_concept("a", path)
        session.import_concept(path, name="back")
        assert torch.allclose(concept_named(session, "back").states, concept_named(session, "a").states)
    other = Session("random:16", base=tmp_path)
    with pytest.raises(ElError, match="dimension"):
        other.import_concept("a.json", layer=0)


def test_maps_are_drawn(tmp_path):
    session = Session("planted:64x4", base=tmp_path)
    session.survey(0)
    pytest.importorskip("plotly")
    pytest.importorskip("matplotlib")
    flat, deep = session.landscape(0, save="map.html"), session.landscape(0, dims=3, save="map.png")
    assert flat.points[0].z == 0
    assert any(point.z != 0 for point in deep.points)
    assert (tmp_path / "map.html").read_text(encoding="utf-8").count("B0") >= 1
    assert (tmp_path / "map.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(ElError, match="cannot draw"):
        session.landscape(0, save="map.pdf")


@pytest.mark.slow
def test_comparison_with_itself_and_across_dimensions():
    session = Session("planted:64x4")
    same = session.compare("planted:64x4", 0)
    assert same.matched == same.basins_here == same.basins_there
    assert same.mean_cosine == pytest.approx(1, abs=1e-4)
    with pytest.raises(ElError, match="dimension"):
        session.compare("random:16", 0)
    text = Session("tiny")
    text.survey(3)
    twin = text.compare("tiny", 3)
    assert twin.aligned == "procrustes"
    assert twin.fit > 0.9 > twin.fit_shuffled
    assert twin.mean_cosine > 0.95


def test_a_watermark_is_found_by_its_key_alone_and_attacks_are_priced():
    session = Session("planted:128x5")
    session.run('set max_changed 20%\nwatermark inject "right" marks=3')
    assert session.watermark_verify("right", marks=3).present
    wrong = session.watermark_verify("wrong", marks=3)
    assert not wrong.present
    tested = session.watermark_strip_test("right", marks=3)
    assert tested.score_before == 1
    noise = [attack for attack in tested.attacks if attack.name == "noise"]
    assert noise[0].score >= noise[-1].score
    assert session.watermark_verify("right", marks=9).score < 1
