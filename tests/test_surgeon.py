"""``BasinSurgeon``: the published names and keys, over a session."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from energylang import BasinSurgeon, ElError, Session
from energylang.compat import SurgeonError, UngatedSurgeon
from energylang.workspace.named import centre_of

PLANTED = "planted:64x4"

PUBLISHED = """from_checkpoint from_W load_model survey inject remove move verify apply restore restore_all capture
batch_capture inject_concept remove_concept list_concepts blend concept_similarity concept_add concept_subtract
concept_analogy concept_compose concept_interpolate strengthen weaken trace energy export_concept import_concept
compare transplant diff probe landscape guard causal_scan causal_intervene causal_counterfactual generate benchmark
consolidate dream watermark_inject watermark_verify watermark_strip_attempt save_checkpoint load_session num_layers
get_W get_beta find_basin_neighbours intervene trace_generation revert model_weights_hash""".split()


@pytest.fixture
def planted() -> BasinSurgeon:
    return BasinSurgeon.from_checkpoint(PLANTED)


@pytest.fixture(scope="module")
def spoken() -> BasinSurgeon:
    """A text model with two concepts at L2."""
    surgeon = BasinSurgeon.from_checkpoint("tiny")
    surgeon.batch_capture(2, "polite", ["Thank you so much", "I appreciate your question"])
    surgeon.capture(layer=2, concept="rude", text="Go away, you fool")
    return surgeon


def test_every_published_name_is_there():
    assert [name for name in PUBLISHED if not callable(getattr(BasinSurgeon, name, None))] == []


def test_survey_has_the_published_keys_and_the_record(planted: BasinSurgeon):
    found = planted.survey(layer=0)
    assert found["num_basins"] == len(found["basins"]) == len(found["energies"]) == len(found["populations"])
    assert found["num_inits"] == len(found["basin_ids"]) == len(found["trajectories"]) == 200
    counts = [found["basin_ids"].count(place) for place in range(found["num_basins"])]
    assert counts == found["populations"]  # a sandbox settles its random starts alone
    path = found["trajectories"][0]
    assert torch.equal(path[-1], path[-1]) and all(state.shape == (64,) for state in path)
    place = found["basin_ids"][0]
    assert torch.cosine_similarity(path[-1], found["basins"][place], dim=0) > 0.95
    assert found.beta == found["beta"] and found.result.basins[0].id == found.ids[0]


def test_a_survey_s_ways_are_those_of_its_own_landscape(planted: BasinSurgeon):
    """They are made at the first look, and edits in between change nothing."""
    first = planted.survey(layer=0)
    again = planted.survey(layer=0)
    planted.inject(layer=0, seed=42)
    assert again["basin_ids"] == first["basin_ids"]


def test_answers_are_plain_data_for_json(planted: BasinSurgeon):
    data = json.loads(json.dumps(planted.survey(layer=0), default=lambda answer: answer.to_dict()))
    assert data["basins"][0]["id"] == 0 and len(data["energies"]) == data["num_basins"]
    with pytest.raises(AttributeError, match="num_basins"):
        planted.survey(layer=0).nonsense  # noqa: B018 - it must fail


def test_inject_verify_strengthen_move_remove_undo(planted: BasinSurgeon):
    original = planted.get_W(0)
    done = planted.inject(layer=0, seed=42)
    assert done["applied"] and not done["existed_before"] and done["exists_after"]
    assert torch.equal(done["W_before"], original) and torch.equal(done["W_after"], planted.get_W(0))
    assert done["retention"]["accepted"] and done["retention"]["K_kept"] == done["retention"]["K_protected"]
    assert planted.verify(layer=0, seed=42)["is_basin"] and planted.verify(layer=0, seed=42)["iters"] > 0
    deeper = planted.strengthen(layer=0, seed=42, factor=1.3, force=True, reason="to see")
    assert deeper["deepened_by"] == pytest.approx(deeper["energy_before"] - deeper["energy_after"])
    assert deeper["deepened_by"] > 0
    planted.revert()
    assert torch.equal(planted.get_W(0), done["W_after"])
    gone = planted.remove(layer=0, seed=42)
    assert gone["applied"] and not gone["exists_after"]
    planted.restore(layer=0)
    assert torch.equal(planted.get_W(0), original)


def test_where_there_is_no_basin_nothing_is_removed(planted: BasinSurgeon):
    found = planted.remove(layer=0, seed=12345)
    assert not found["applied"] and "no basin" in found["reason"]
    assert planted.strengthen(layer=0, seed=12345)["deepened_by"] == 0.0


def test_force_without_a_reason_is_written_down_as_such(planted: BasinSurgeon):
    done = planted.inject(layer=0, seed=5, strength=3.0, force=True)
    assert done["applied"] and done["retention"]["forced"] and not done["retention"]["accepted"]
    last = planted.session.history().entries[-1]
    assert last.state == "FORCED" and "without a reason" in last.detail
    assert planted.inject(layer=0, seed=6, strength=3.0, force=True, reason="a test").reason.startswith(
        "forced: a test"
    )


@pytest.fixture
def crowded() -> torch.Tensor:
    """A full-rank symmetric weight: very many basins, each of them shallow."""
    noise = torch.randn(64, 64, generator=torch.Generator().manual_seed(3))
    return (noise + noise.T) / 2


@pytest.mark.parametrize("strength", [0.1, 0.5])
def test_on_a_crowded_landscape_the_gate_refuses_and_the_ungated_surgeon_edits(
    crowded: torch.Tensor, strength: float
):
    """As releases of the published package with and without a gate do."""
    gated = BasinSurgeon.from_W(crowded)
    found = gated.inject(layer=0, seed=7, strength=strength)
    assert not found["applied"] and torch.equal(gated.get_W(0), crowded) and gated.diff(0).norm == 0
    free = UngatedSurgeon.from_W(crowded)
    found = free.inject(layer=0, seed=7, strength=strength)
    assert found["applied"] and not found["retention"]["accepted"] and found["retention"]["forced"]
    assert found["retention"]["K_protected"] > 0
    change = free.diff(layer=0)["frobenius"]
    assert change == pytest.approx(strength * float(crowded.norm()), rel=0.05)
    assert free.restore(layer=0) and torch.equal(free.get_W(0), crowded)


def test_without_the_gate_guards_hold_and_what_is_saved_loads_again(crowded: torch.Tensor, tmp_path: Path):
    free = UngatedSurgeon.from_W(crowded)
    free.inject(layer=0, seed=7, strength=0.3)
    changed = free.get_W(0)
    free.save_checkpoint(tmp_path / "kept.pt")
    again = UngatedSurgeon()
    again.load_session(tmp_path / "kept.pt")
    assert not torch.equal(changed, crowded) and torch.allclose(again.get_W(0), changed)
    free.session.guard("strength-cap", 0.05)
    assert not free.inject(layer=0, seed=8, strength=0.3)["applied"]


def test_consolidate_and_dream_say_what_was_deepened_and_pruned(planted: BasinSurgeon):
    done = planted.consolidate(0, strengthen_factor=1.02, prune_threshold=0.0)
    assert done["applied"] and done["strengthened"] == len(done["strengthened_details"]) > 0
    assert f"{done['strengthened']} basins deepened" in done.notes[0]
    assert (done["pruned"], done["pruned_details"], done["total_population"]) == (0, [], 200)
    for basin in done["strengthened_details"]:
        assert basin["scale"] == 1.02 and 0 < basin["pop_fraction"] <= 1
        assert basin["population"] == round(200 * basin["pop_fraction"]) and basin["basin_idx"] is not None
    refused = planted.consolidate(0, strengthen_factor=2.0)
    assert not refused["applied"] and refused["strengthened"] == 0 and refused["strengthened_details"] == []
    assert refused["proposed"][0]["strengthened"] > 0 and refused["unchanged"] == refused["basins_before"]
    planted.restore(0)
    dreamt = planted.dream(cycles=2, strengthen_factor=1.005, prune_threshold=0.0)
    (report,) = dreamt["reports"][0]
    assert len(report["proposed"]) == 2 and dreamt["total_strengthened"] == report["strengthened"]
    assert report["applied"] == (report["strengthened"] > 0)


def test_a_basin_is_named_by_its_number(planted: BasinSurgeon):
    planted.survey(layer=0)
    planted.session.set("max_changed", 0.5)
    gone = planted.remove(layer=0, basin=0)
    assert gone["applied"] and 0 in gone["lost"]


def test_the_session_underneath_is_the_same(planted: BasinSurgeon):
    other = Session(PLANTED)
    assert planted.survey(layer=0).to_dict(volatile=False)["basins"] == other.survey(0).to_dict()["basins"]
    planted.inject(layer=0, seed=7)
    other.run("inject L0 seed 7")
    assert planted.session.staged_hash() == other.staged_hash()
    assert planted.session.status().undoable == 1


def test_from_W_and_its_errors():
    weight = torch.eye(8)
    surgeon = BasinSurgeon.from_W(weight)
    weight[0, 0] = 5.0
    assert surgeon.get_W()[0, 0] == 1.0 and surgeon.get_beta() == pytest.approx(7.0)
    for wrong in (torch.zeros(3, 4), torch.full((4, 4), float("nan"))):
        with pytest.raises(ElError):
            BasinSurgeon.from_W(wrong)


def test_without_a_model():
    assert BasinSurgeon().diff(layer=0) is None
    with pytest.raises(ElError, match="no model"):
        BasinSurgeon().survey(layer=0)


def test_unknown_words_are_value_errors(planted: BasinSurgeon):
    for call in (
        lambda: planted.inject_concept(0, "no"),
        lambda: planted.export_concept("no", "no.pt"),
        lambda: planted.blend("a", "b", "c"),
        lambda: planted.causal_intervene(operation="explode"),
        lambda: planted.batch_capture(0, "c", []),
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - any of this family
            call()
    assert issubclass(SurgeonError, ElError)


def test_published_session_files_go_round(planted: BasinSurgeon, tmp_path: Path):
    planted.inject(layer=0, seed=42)
    state = torch.randn(64)
    planted._concepts["mine"] = {"states": [state], "centroid": state}
    for name in ("session.pt", "session.safetensors"):
        path = tmp_path / name
        assert planted.save_checkpoint(path)["concepts"] == 1
        other = BasinSurgeon()
        assert other.load_session(path)["layers"] == 1
        assert torch.equal(other.get_W(0), planted.get_W(0))
        assert torch.equal(other._concepts["mine"]["centroid"], state)
    planted.export_concept("mine", tmp_path / "mine.pt")
    other = BasinSurgeon.from_checkpoint("random:64")
    assert other.import_concept(tmp_path / "mine.pt")["concept"] == "mine"
    with pytest.raises(ElError, match="dimension 64"):
        BasinSurgeon.from_checkpoint("random:32").import_concept(tmp_path / "mine.pt")


def test_a_pickle_with_code_is_refused(planted: BasinSurgeon, tmp_path: Path):
    class Bad:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"name": "x", "states": Bad()}, tmp_path / "bad.pt")
    with pytest.raises(ElError):
        planted.import_concept(tmp_path / "bad.pt")
    assert not (tmp_path / "ran").exists()


def test_weights_without_beta_load_as_the_published_package_reads_them(tmp_path: Path):
    torch.save({"model_state": {"blocks.0.hopfield.W": torch.eye(16)}}, tmp_path / "w.pt")
    surgeon = BasinSurgeon.from_checkpoint(tmp_path / "w.pt")
    assert surgeon.num_layers() == 1 and surgeon.get_beta() == pytest.approx(7.0)


def test_guard_causal_compare_and_diff(planted: BasinSurgeon):
    limits = planted.guard(layer=0, max_remove_pct=20.0, max_changed_pct=5.0, protected=[0])
    assert limits["min_allowed"] <= limits["current_basins"] and limits["num_protected"] == 1
    assert planted.session.state.guards["L0"] == pytest.approx(0.2)
    scan = planted.causal_scan(layer=0, num_inits=30)
    assert set(scan["adjacency"]) == set(scan.result.basins) and scan["num_basins"] == len(scan["basins"])
    what_if = planted.causal_counterfactual(layer=0, basin_idx=0)
    assert what_if["basins_original"] == len(what_if["others"]) + 1
    same = planted.compare(BasinSurgeon.from_checkpoint(PLANTED), layer=0)
    assert same["shared"] == same["basins_self"] and same["only_other"] == 0 and same["other"] == PLANTED
    planted.inject(layer=0, seed=3)
    change = planted.diff(layer=0)
    assert change is not None
    assert change["frobenius"] == pytest.approx(
        float((planted.get_W() - planted._w_backups[0]).norm()), rel=1e-4
    )
    assert planted.restore_all() == ([0] if change["changed"] else [])


def test_watermarks(planted: BasinSurgeon):
    planted.session.set("max_changed", 0.1)
    assert not planted.watermark_verify("my key")["verified"]
    assert planted.watermark_inject("my key")["total_marks"] == 3
    found = planted.watermark_verify("my key")
    assert found["verified"] and found["confidence"] == 1.0 and found["marks_total"] == 3
    stripped = planted.watermark_strip_attempt("my key")
    assert stripped["survived"] + stripped["removed"] + stripped["absent"] == stripped["total"] == 3


# ------------------------------------------------------------------------------------- with words


def test_concept_algebra_has_the_published_meaning(spoken: BasinSurgeon):
    spoken.blend("polite", "rude", "mostly-polite", ratio=0.9)
    nearer = spoken.concept_similarity("mostly-polite", "polite")["similarity"]
    assert nearer > spoken.concept_similarity("mostly-polite", "rude")["similarity"]
    spoken.concept_analogy("polite", "rude", "polite", "like-rude")  # polite + rude − polite
    assert spoken.concept_similarity("like-rude", "rude")["similarity"] == pytest.approx(1.0, abs=1e-4)
    steps = spoken.concept_interpolate("polite", "rude", 3)["steps"]
    assert [step["ratio"] for step in steps] == [0.0, 0.5, 1.0] and steps[0]["similarity_to_a"] > 0.999
    assert {"polite", "rude", "mostly-polite"} <= set(spoken.list_concepts())


def test_a_concept_is_data_without_a_path(spoken: BasinSurgeon):
    data = spoken.export_concept("polite")
    assert data["samples"] == 2 and len(data["centroid"]) == data["dim"]
    json.dumps(data.to_dict())


def test_neighbours_leave_the_concept_s_own_basin_out(spoken: BasinSurgeon):
    near = spoken.find_basin_neighbours(layer=2, concept="polite", top_k=4)
    own = spoken.session.verify(2, "polite").basin
    cosines = [basin["cosine_similarity"] for basin in near]
    assert cosines == sorted(cosines, reverse=True) and own not in [basin["id"] for basin in near]
    assert all(basin["example_probe"] for basin in near)


def test_zeroing_a_basin_takes_its_direction_out_of_every_state(spoken: BasinSurgeon):
    spoken.survey(layer=2)
    number = spoken.find_basin_neighbours(layer=2, concept="polite", top_k=1)[0]["id"]
    centre = centre_of(spoken.session, _ref(2, number))
    text = spoken.session.text
    ids = torch.tensor([text.encode("Hello there")])
    before = spoken.trace_generation("Hi, can you help me?", layer=2)
    assert before["controls"] == []
    found = spoken.intervene(layer=2, basin_id=number)
    from energylang.looking.held import standing

    states = text.forward(ids, change=standing(spoken.session)).states[2][0]
    along = states @ (centre / centre.norm())
    assert float(along.abs().max()) < 1e-4 * float(states.norm(dim=1).max())
    after = spoken.trace_generation("Hi, can you help me?", layer=2)
    assert after["interventions"] == found["active"] and len(after["controls"]) == 3
    assert all(control.interventions != after["interventions"] for control in after["controls"])
    assert after.to_dict()["tokens"] != before.to_dict()["tokens"]
    spoken.revert()
    again = spoken.trace_generation("Hi, can you help me?", layer=2)
    assert again.to_dict() == before.to_dict()


def _ref(layer: int, basin: int):
    from energylang.signature.values import BasinRef

    return BasinRef(layer, basin)


def test_words_of_a_model(spoken: BasinSurgeon):
    spoken.survey(layer=2)
    assert len(spoken.probe(2, 0, num_tokens=3)["top_tokens"]) == 3
    way = spoken.trace(2, "Thank you")
    assert (
        way["steps"] == len(way["trajectory"])
        and way["trajectory"][-1]["energy"] <= way["trajectory"][0]["energy"]
    )
    state = spoken.capture(2, "Thank you")
    assert state["state"].shape == (spoken.get_W(2).shape[0],) and "concept" not in state
    hash_before = spoken.model_weights_hash()
    spoken.generate("Hello", tokens=3)
    assert spoken.benchmark(["Hello there, how are you today?"] * 30)["num_texts"] == 30
    assert spoken.model_weights_hash() == hash_before
