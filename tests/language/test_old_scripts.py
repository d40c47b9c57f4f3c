"""Command scripts of the published tool: they mean the same here, or ``check`` says so (EL407)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from energylang import BasinSurgeon, Session
from energylang.checker import check
from energylang.checker.old import DIFFERENCES
from energylang.cli import main
from energylang.diagnostics.source import Source
from energylang.ops.spelling import operation_named
from energylang.syntax.legacy import as_typed
from energylang.workspace.named import concept_named

CONCEPTS = "capture 3 kind Many thanks for all you did\ncapture 3 dry Done.\n"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def said(script: str) -> list[str]:
    """The differences that the checker tells of."""
    found = check(Source(script, "old.hlm")).diagnostics
    assert [item for item in found if item.is_error] == []
    told = {difference.message: name for name, difference in DIFFERENCES.items()}
    return [told[item.message] for item in found if item.code == "EL407"]


# The commands of the published repository's example scripts, in their order, on models that are here.

HELLO = """# everything once
LOAD planted:64x6
info
survey 0
set strength 0.3
inject 0 42
verify 0 42
apply 0
diff 0
status
restore 0
"""

LAYERS = """load random:48x4
survey-all
set strength 0.05
inject 0 100
apply 0
set strength 0.2
inject 3 200
apply 3
status
diff 0
diff 3
restore-all
"""

AUDIT = """load random:32x3
set inits 60
survey-all
landscape 0
landscape 2
guard 0 10
guard 2 10
info
history
"""

WORDS = """load tiny
set tokens 4
set inits 20
set strength 0.1
capture 3 kind Many thanks for all you did
capture 3 kind That's so very good of you
capture 3 exact The cost of sorting n numbers is O(n log n)
capture 3 dry Three reasons: speed, cost, reliability.
blend kind exact both 0.5
blend both dry helper 0.8
guard 3 10
inject-concept 3 kind 0.1
inject-concept 3 helper
apply 3
generate A word about the sea, please?
save weights_of_mine.pt
concepts
diff 3
history
restore 3
"""


@pytest.mark.parametrize("script", [HELLO, LAYERS, AUDIT, WORDS], ids=["hello", "layers", "audit", "words"])
def test_scripts_like_the_published_examples_run(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("old.hlm").write_text(script)
    assert main(["check", "old.hlm"]) == 0
    assert main(["run", "old.hlm"]) == 0
    assert "error" not in capsys.readouterr().err


def test_a_strength_without_a_method_writes_an_attractor_and_removes_a_basin() -> None:
    session = Session("tiny")
    session.run("set inits 20\n" + CONCEPTS)
    edit = session.run("inject-concept 3 kind 0.1")
    assert (edit.method, edit.dose) == ("attractor", None) and edit.strength == pytest.approx(0.1, rel=1e-5)
    session.run("set strength 0.07")
    assert session.run("inject-concept 3 kind").strength == pytest.approx(0.07, rel=1e-5)
    gone = session.run("remove-concept 3 kind 0.2")
    assert gone.operation == "remove" and gone.strength == pytest.approx(0.2, rel=1e-5)


def test_a_blend_s_ratio_is_the_share_of_the_first_in_every_front_end() -> None:
    session = Session("tiny")
    session.run(CONCEPTS + "blend kind dry mixed 0.9")
    nearer, farther = (session.similarity("mixed", name).cosine for name in ("kind", "dry"))
    assert nearer > farther
    session.blend("kind", "dry", "again", 0.9)
    surgeon = BasinSurgeon(session)
    surgeon.blend("kind", "dry", "third", ratio=0.9)
    centroids = [concept_named(session, name).centroid for name in ("mixed", "again", "third")]
    assert all(torch.equal(centroids[0], other) for other in centroids[1:])
    session.run("blend kind dry first 1\nblend kind dry second 0")
    assert session.similarity("first", "kind").cosine == pytest.approx(1, abs=1e-5)
    assert session.similarity("second", "dry").cosine == pytest.approx(1, abs=1e-5)


def test_an_analogy_is_read_in_one_order() -> None:
    """a : b = c : new, so new = c + b − a."""
    session = Session("tiny")
    session.run(CONCEPTS + "capture 3 sea The sea is calm\nanalogy kind dry sea mine")
    BasinSurgeon(session).concept_analogy("kind", "dry", "sea", "theirs")
    kind, dry, sea, mine, theirs = (
        concept_named(session, name).centroid for name in ("kind", "dry", "sea", "mine", "theirs")
    )
    assert torch.equal(mine, theirs)
    assert float(torch.cosine_similarity(mine, sea + dry - kind, dim=0)) == pytest.approx(1, abs=1e-4)


def test_a_watermark_s_key_ends_with_its_word() -> None:
    session = Session("planted:64x4")
    session.run("set max_changed 50%\nwatermark inject mykey 2")
    assert session.run("watermark verify mykey 2").marks == 2
    assert session.run('watermark verify "mykey" marks=2').found == session.watermark_verify("mykey", 2).found
    assert "mykey" not in " ".join(entry.statement for entry in session.history().entries)
    wrong = check("load planted:64x4\nwatermark verify my key\n").diagnostics
    assert any(item.is_error for item in wrong)


@pytest.mark.parametrize("model", ["planted:64x4", "tiny"])
def test_what_save_writes_as_pt_loads_bit_for_bit(model: str) -> None:
    session = Session(model)
    session.run('inject 0 42 0.05 force=true reason="to have a change"\nsave out.pt')
    other = Session("out.pt")
    assert other.model.num_layers == session.model.num_layers
    for layer in range(session.model.num_layers):
        assert torch.equal(other.model.weight(layer), session.weight(session.staged(layer)))
        assert other.model.beta(layer) == session.model.beta(layer)
    assert other.original_hash == session.staged_hash()
    data = torch.load("out.pt", weights_only=True)
    assert torch.equal(data["layer_0_W"], session.weight(session.staged(0)))


def test_concepts_go_round_in_the_published_layout() -> None:
    session = Session("tiny")
    session.run(CONCEPTS + "export-concept kind k.pt\nimport-concept k.pt name=back")
    assert torch.equal(concept_named(session, "back").states, concept_named(session, "kind").states)
    assert concept_named(session, "back").layer == 3
    torch.save({"name": "theirs", "centroid": torch.randn(192), "states": []}, "theirs.pt")
    session.run("import-concept theirs.pt")
    assert concept_named(session, "theirs").layer == 0


def test_a_concept_that_a_file_names_can_be_used() -> None:
    script = "load tiny\nimport-concept kind.pt\ninject-concept 3 kind 0.1\nrestore 3\n"
    assert [item.code for item in check(Source(script, "old.hlm")).diagnostics if item.is_error] == []
    named = check(script.replace("kind.pt", "kind.pt name=other"))
    assert "EL305" in [item.code for item in named.diagnostics]


@pytest.mark.parametrize("line", ["save out.bin", "save weights", "save out.pt session=true"])
def test_where_a_model_cannot_be_saved_is_said_before_the_run(line: str) -> None:
    found = check(f"load planted:64x4\n{line}\n").diagnostics
    assert [item.code for item in found if item.is_error] == ["EL504"]


def test_a_reason_without_force_does_nothing() -> None:
    session = Session("planted:64x4")
    assert not session.run('inject 0 5 3 --reason "I thought so"').forced
    assert "I thought so" in session.history().entries[-1].statement


def test_what_old_scripts_need_no_survey_for_needs_none() -> None:
    script = "load tiny\nset inits 20\nprobe 3 1\ncausal counterfactual 3 1\n"
    assert [item.code for item in check(Source(script, "old.hlm")).diagnostics if item.is_error] == []
    assert "EL303" in [item.code for item in check(script).diagnostics]
    Path("old.hlm").write_text(script)
    assert main(["run", "old.hlm"]) == 0


def test_capitals_at_the_prompt_and_single_quotes_in_a_script() -> None:
    def known(word: str) -> bool:
        return operation_named(word) is not None

    assert as_typed("SURVEY 0", known) == "survey 0" and as_typed("  Load tiny", known) == "  load tiny"
    assert as_typed("S = survey 0", known) == "S = survey 0" and as_typed("survey 0", known) == "survey 0"
    assert check(Source("LOAD 'random:16'\nSurvey 0\n", "old.hlm")).ok
    assert not check("load 'random:16'\n").ok


# ------------------------------------------------------------------------------------------ EL407

SHOWN = {
    "no strength": "load random:16\ninject 0 42\n",
    "inject-concept without strength": "load tiny\n" + CONCEPTS + "inject-concept 3 kind\n",
    "remove-concept without strength": "load tiny\n" + CONCEPTS + "remove-concept 3 kind\n",
    "cap": "load random:16\ninject 0 42 0.9\n",
    "nearest": "load random:16\nremove 0 42 0.1\n",
    "factor": "load random:16\nstrengthen 0 42 2\n",
    "capture": "load tiny\ncapture 3 kind Thanks\n",
    "quotes": 'load tiny\ngenerate "Good morning"\n',
    "places": "load tiny\nprobe 3 1\n",
    "do": "load random:16\ncausal scan 0\n",
    "read": "load random:16\nset degree 4\n",
    "guards after": "load random:16\nguard max-basins 9\n",
    "guards enforced": "load random:16\nguard cosine-drift 0.1\n",
    "force": 'load random:16\nguard strength-cap 0.5\ninject 0 42 0.1 --force --reason "so"\n',
    "benchmark": "load tiny\nbenchmark\n",
}
SILENT = {
    "no strength": "load random:16\nset strength 0.1\ninject 0 42\ninject 0 43 auto\n",
    "inject-concept without strength": "load tiny\n" + CONCEPTS + "inject-concept 3 kind 0.1\n",
    "remove-concept without strength": "load tiny\n" + CONCEPTS + "remove-concept 3 kind 0.1\n",
    "cap": "load random:16\nguard strength-cap 2\ninject 0 42 0.9\n",
    "nearest": "load random:16\nsurvey 0\nremove L0.B3 strength=0.1\n",
    "factor": "load random:16\nverify 0 42\n",
    "capture": 'load tiny\ncapture 3 kind "Thanks" position="mean"\n',
    "quotes": "load tiny\ngenerate Good morning\n",
    "places": "load tiny\nsurvey 3\nprobe L3.B1\n",
    "do": "load random:16\nsurvey 0\n",
    "read": "load random:16\nset inits 40\n",
    "guards after": "load random:16\nguard strength-cap 0.5\n",
    "guards enforced": "load random:16\nguard 0 10\n",
    "force": 'load random:16\ninject 0 42 0.1 --force --reason "so"\n',
    "benchmark": "load tiny\nbenchmark texts.txt\n",
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_every_difference_is_said_where_it_shows_and_nowhere_else(name: str) -> None:
    assert name in said(SHOWN[name])
    assert name not in said(SILENT[name])
    assert not any(item.code == "EL407" for item in check(Source(SHOWN[name], "new.el")).diagnostics)


def test_each_difference_is_said_once_and_can_be_silenced() -> None:
    script = "load random:16\ninject 0 1\ninject 0 2\nmove 0 1\n"
    assert said(script).count("no strength") == 1
    assert said("# el: allow EL407\n" + script) == []


def test_every_difference_stands_in_the_migration_page() -> None:
    page = " ".join((Path(__file__).parents[2] / "docs" / "migration.md").read_text(encoding="utf-8").split())
    assert [name for name in DIFFERENCES if f"| {name} |" not in page] == []
