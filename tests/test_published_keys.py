"""The keys of what the published package's methods return (release 0.13, run on a small weight), and ours; and all
answers as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from energylang import BasinSurgeon, ElError
from energylang.results.answer import Answer

GATE = "accepted applied forced reason lost frobenius layer promoted compact_edit K_protected K_kept decision"
DECISION = "accepted changed_fraction changed n_probes n_intended max_changed"
EDITED = "applied retention"
POLITE = ["Thank you so much", "I appreciate your question"]

PUBLISHED: dict[str, str] = {
    "survey": "layer num_basins num_inits basins basin_ids trajectories elapsed energies populations",
    "inject": f"layer seed strength existed_before cos_before exists_after cos_after W_before W_after target {EDITED}",
    "remove": f"layer exists_after cos_after W_after {EDITED}",
    "move": f"layer W_after {EDITED}",
    "strengthen": f"layer energy_before energy_after deepened_by {EDITED}",
    "weaken": f"layer energy_before energy_after raised_by {EDITED}",
    "verify": "is_basin cos iters energy",
    "energy": "energy is_basin cos iters",
    "diff": "frobenius max_abs mean_abs spectral_orig spectral_curr relative_pct",
    "landscape": "layer num_basins basins coords_2d energy_range",
    "guard": "layer current_basins min_allowed max_remove_pct max_changed_pct num_protected",
    "causal_scan": "layer num_basins edges adjacency basins",
    "causal_intervene": "layer basin_idx operation basins_before basins_after target_energy_before affected "
    f"num_affected {EDITED}",
    "causal_counterfactual": "layer basin_idx modification basins_original basins_counterfactual affected num_affected",
    "consolidate": "layer basins_before basins_after strengthened pruned unchanged strengthened_details pruned_details "
    f"total_population {EDITED}",
    "dream": "layers cycles total_strengthened total_pruned reports",
    "watermark_inject": "total_marks layers marks_per_layer strength marks",
    "watermark_verify": "verified confidence marks_found marks_total threshold details",
    "watermark_strip_attempt": "removed survived absent total",
    "capture": "state energy is_basin cos_similarity converge_iters text layer concept num_samples",
    "batch_capture": "concept total_samples new_samples",
    "inject_concept": "concept num_samples layer strength existed_before cos_before exists_after cos_after "
    f"{EDITED}",
    "remove_concept": f"concept exists_after cos_after {EDITED}",
    "blend": "concept ratio",
    "concept_similarity": "concept_a concept_b similarity",
    "concept_add": "concept operation",
    "concept_subtract": "concept operation",
    "concept_analogy": "concept operation",
    "concept_compose": "concept weights",
    "concept_interpolate": "concept_a concept_b num_steps steps",
    "export_concept": "path concept samples",
    "import_concept": "concept samples",
    "trace": "layer text steps trajectory",
    "probe": "layer basin_idx energy top_tokens state_norm",
    "benchmark": "perplexity avg_loss num_texts total_tokens",
    "save_checkpoint": "path layers concepts",
    "load_session": "path layers concepts",
    "compare": "layer basins_self basins_other shared only_self only_other",
}

ROWS: dict[tuple[str, str], str] = {
    ("landscape", "basins"): "idx energy population norm",
    ("causal_scan", "edges"): "source target drift target_survived type",
    ("causal_intervene", "affected"): "basin drift survived energy_before energy_after",
    ("watermark_inject", "marks"): "layer mark_idx energy applied exists_after",
    ("watermark_verify", "details"): "layer mark_idx is_present energy",
    ("concept_interpolate", "steps"): "ratio similarity_to_a similarity_to_b norm",
    ("trace", "trajectory"): "step energy delta",
}


def lacking(name: str, answer: Any) -> list[str]:
    wanted = PUBLISHED[name].split()
    found = [key for key in wanted if key not in answer or key not in set(answer)]
    if "retention" in wanted:
        found += [f"retention.{key}" for key in GATE.split() if key not in answer["retention"]]
        found += [
            f"decision.{key}"
            for key in DECISION.split()
            if key not in answer["retention"].get("decision", {})
        ]
    for (method, field), keys in ROWS.items():
        if method == name and answer[field]:
            found += [f"{field}.{key}" for key in keys.split() if key not in answer[field][0]]
    return found


def same_both_ways(answer: Any) -> Any:
    """An answer as JSON: plainly, indented, and by way of ``to_dict`` (as the notebook's last cell does)."""
    plain = json.loads(json.dumps(answer))
    assert plain == json.loads(json.dumps(answer, indent=2, default=lambda o: o.to_dict()))
    return plain


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What every method that needs no words gives."""
    folder = tmp_path_factory.mktemp("published")
    surgeon = BasinSurgeon.from_checkpoint("planted:64x4")
    surgeon.session.run("set inits 60\nset max_changed 30%")
    found: dict[str, Any] = {"survey": surgeon.survey(0), "inject": surgeon.inject(0, 42)}
    found["verify"], found["energy"] = surgeon.verify(0, 42), surgeon.energy(0, 42)
    found["diff"] = surgeon.diff(0)
    found["strengthen"], found["weaken"] = surgeon.strengthen(0, 42, 1.2), surgeon.weaken(0, 42, 0.9)
    found["move"] = surgeon.move(0, 42, to=77)
    surgeon.restore(0)
    found["remove"] = surgeon.remove(0, basin=0)
    surgeon.restore(0)
    found["landscape"], found["guard"] = surgeon.landscape(0), surgeon.guard(0, 100.0)
    found["causal_scan"] = surgeon.causal_scan(0, num_inits=20)
    found["causal_intervene"] = surgeon.causal_intervene(0, 1, "weaken", force=True, reason="to see all keys")
    found["causal_counterfactual"] = surgeon.causal_counterfactual(0, 1)
    surgeon.restore(0)
    found["consolidate"], found["dream"] = surgeon.consolidate(0, 1.02, 0.0), surgeon.dream(cycles=1)
    surgeon.restore(0)
    found["watermark_inject"] = surgeon.watermark_inject("a key", num_marks=2, strength="auto")
    found["watermark_verify"] = surgeon.watermark_verify("a key", num_marks=2)
    found["watermark_strip_attempt"] = surgeon.watermark_strip_attempt("a key", num_marks=2)
    found["compare"] = surgeon.compare(BasinSurgeon.from_checkpoint("planted:64x4"))
    found["save_checkpoint"] = surgeon.save_checkpoint(folder / "a.pt")
    found["load_session"] = BasinSurgeon().load_session(folder / "a.pt")
    return found


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the methods about words and concepts give."""
    folder = tmp_path_factory.mktemp("spoken")
    surgeon = BasinSurgeon.from_checkpoint("tiny")
    surgeon.session.run("set inits 20")
    surgeon.survey(2)
    found: dict[str, Any] = {"capture": surgeon.capture(2, "Go away, you fool", "rude")}
    found["batch_capture"] = surgeon.batch_capture(2, "polite", POLITE)
    found["blend"] = surgeon.blend("polite", "rude", "mixed", 0.7)
    pair = ("polite", "rude")
    found["concept_similarity"] = surgeon.concept_similarity(*pair)
    found["concept_add"] = surgeon.concept_add(*pair, "sum")
    found["concept_subtract"] = surgeon.concept_subtract(*pair, "rest")
    found["concept_analogy"] = surgeon.concept_analogy(*pair, "polite", "like-rude")
    found["concept_compose"] = surgeon.concept_compose(list(pair), [0.5, 0.5], "both")
    found["concept_interpolate"] = surgeon.concept_interpolate(*pair, 3)
    found["export_concept"] = surgeon.export_concept("polite", folder / "p.pt")
    found["import_concept"] = surgeon.import_concept(folder / "p.pt")
    found["trace"], found["probe"] = surgeon.trace(2, "Thank you"), surgeon.probe(2, 0, num_tokens=3)
    found["benchmark"] = surgeon.benchmark(["The sea is calm and the night is long."], max_tokens=6)
    found["inject_concept"] = surgeon.inject_concept(2, "polite", 0.1)
    found["remove_concept"] = surgeon.remove_concept(2, "polite", 0.1)
    return found


ALONE = (
    "survey inject remove move strengthen weaken verify energy diff landscape guard causal_scan causal_intervene "
    "causal_counterfactual consolidate dream watermark_inject watermark_verify watermark_strip_attempt save_checkpoint "
    "load_session compare"
).split()


def test_the_lists_are_complete() -> None:
    assert set(ALONE) < set(PUBLISHED) and all(callable(getattr(BasinSurgeon, name)) for name in PUBLISHED)


@pytest.mark.parametrize("name", ALONE)
def test_a_landscape_s_answers_have_the_published_keys_and_are_json(
    name: str, answers: dict[str, Any]
) -> None:
    assert lacking(name, answers[name]) == []
    assert same_both_ways(answers[name])


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name not in ALONE])
def test_a_text_model_s_answers_have_the_published_keys_and_are_json(
    name: str, spoken: dict[str, Any]
) -> None:
    assert lacking(name, spoken[name]) == []
    assert same_both_ways(spoken[name])


def test_where_there_is_no_basin_the_keys_are_there_all_the_same() -> None:
    surgeon = BasinSurgeon.from_checkpoint("planted:64x4")
    for name, answer in (
        ("remove", surgeon.remove(0, 12345)),
        ("move", surgeon.move(0, 12345)),
        ("strengthen", surgeon.strengthen(0, 12345)),
        ("weaken", surgeon.weaken(0, 12345)),
    ):
        assert lacking(name, answer) == [] and not answer["applied"] and same_both_ways(answer)


def test_the_strength_of_an_answer_can_be_given_back(answers: dict[str, Any]) -> None:
    first = answers["inject"]
    surgeon = BasinSurgeon.from_checkpoint("planted:64x4")
    surgeon.session.run("set inits 60\nset max_changed 30%\nsurvey 0")
    again = surgeon.inject(0, 42, strength=first["strength"])
    assert torch.allclose(again["W_after"], first["W_after"], rtol=0, atol=1e-5)
    assert surgeon.inject(0, 43, strength="auto").result.margin is not None


def test_dreams_report_lists_and_marks_are_single(answers: dict[str, Any]) -> None:
    (report,) = answers["dream"]["reports"][0]
    assert {"strengthened", "pruned", "retention"} <= set(report)
    marks = answers["watermark_inject"]["marks"]
    assert [mark["mark_idx"] for mark in marks] == [0, 1] and answers["watermark_inject"]["total_marks"] == 2
    present = [mark["is_present"] for mark in answers["watermark_verify"]["details"]]
    assert sum(present) == answers["watermark_verify"]["marks_found"]
    assert present == [mark["exists_after"] for mark in marks]


def test_a_watermark_has_no_strength_of_its_own() -> None:
    with pytest.raises(ElError, match="strength"):
        BasinSurgeon.from_checkpoint("planted:64x4").watermark_inject("k", 1, 0.05)  # type: ignore[arg-type]


def test_energies_and_tokens_are_what_they_are_called(
    answers: dict[str, Any], spoken: dict[str, Any]
) -> None:
    assert all(isinstance(token, str) for token in spoken["probe"]["top_tokens"])
    assert isinstance(spoken["capture"]["energy"], float)
    moved = answers["causal_intervene"]["affected"]
    assert all(isinstance(basin["energy_before"], float) for basin in moved)
    benchmark = spoken["benchmark"]
    assert benchmark["num_texts"] == 1 and 0 < benchmark["total_tokens"] <= 6


def test_a_limit_of_tokens_is_kept() -> None:
    surgeon = BasinSurgeon.from_checkpoint("tiny")
    text = ["Thank you so much for asking. " * 4]
    assert surgeon.benchmark(text, max_tokens=5)["total_tokens"] < surgeon.benchmark(text)["total_tokens"]


# ------------------------------------------------------------------------------------- answers as such


def test_an_answer_is_a_dictionary_with_tensors_beside_it() -> None:
    surgeon = BasinSurgeon.from_checkpoint("planted:64x4")
    found = surgeon.survey(0, inits=20)
    assert isinstance(found, dict) and isinstance(found["basins"][0], torch.Tensor)
    assert {"basins", "trajectories", "usage_entropy_nats"} <= set(found) and "trajectories" in found
    assert found.get("basins") is found["basins"] and found.get("no such key", 7) == 7
    assert len(found) == len(list(found)) and "nothing" not in found
    written = dict(found.items())
    assert "trajectories" not in written and written == found.to_dict()
    found["mine"] = 3
    assert found["mine"] == json.loads(json.dumps(found))["mine"] == 3
    assert json.dumps(Answer(None, {"W": torch.eye(2)})) == "{}"


def test_the_notebook_s_last_cell_writes_its_record(tmp_path: Path) -> None:
    """As a user of the published package has it, and without a ``default``."""
    surgeon = BasinSurgeon.from_checkpoint("tiny")
    before = surgeon.survey(layer=2, inits=20)
    surgeon.capture(layer=2, concept="polite", text="Thank you for reaching out")
    neighbours = surgeon.find_basin_neighbours(layer=2, concept="polite", top_k=2)
    trajectory = surgeon.trace_generation("Hi, can you help me?", layer=2, tokens=4)
    record = {
        "baseline_survey": before,
        "injected_concept": surgeon.export_concept("polite"),
        "neighbour_analysis": neighbours,
        "causal_intervention": {
            "zeroed_basin": neighbours[0]["id"],
            "trajectory_before": trajectory.to_dict(),
        },
        "seed": 42,
        "checkpoint_hash": surgeon.model_weights_hash(),
    }
    with open(tmp_path / "a.json", "w") as file:
        json.dump(record, file, indent=2, default=lambda o: o.to_dict())
    with open(tmp_path / "b.json", "w") as file:
        json.dump(record, file)
    written = [json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json")]
    assert written[0] == written[1]
    assert written[0]["baseline_survey"]["num_basins"] == len(written[0]["baseline_survey"]["basins"]) > 0
    assert written[0]["neighbour_analysis"][0]["cosine_similarity"] == neighbours[0]["cosine_similarity"]
