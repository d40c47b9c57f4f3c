"""Records: what was done is done again, digest by digest, on the same weights and no others."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

import jsonschema
import pytest

from energylang import ElError, Session
from energylang.ops import TABLE
from energylang.workspace.schema import RECORD

SCRIPT = """
survey L0
inject L0 42
set inits 50
"""

MORE = """
inject L0 5 strength=0.02
undo
causal scan L0
checkpoint here
apply L0
"""


def recorded(tmp: Path, model: str = "planted:64x4") -> Path:
    session = Session(model, base=tmp)
    session.run(SCRIPT)
    with contextlib.suppress(ZeroDivisionError), session.transaction():
        session.run("inject L0 7 strength=0.05")
        raise ZeroDivisionError
    with session.scoped(TABLE["set"], {"setting": "beta", "value": 3.0}):
        session.run("survey L0 inits=20")
    session.run(MORE + '\nrecord "r.json"\n')
    return tmp / "r.json"


def test_replay_is_identical_through_transactions_scopes_and_undo(tmp_path: Path):
    recorded(tmp_path)
    found = Session(base=tmp_path).replay("r.json")
    assert [step for step in found.steps if not step.same] == []
    assert found.identical
    assert found.first_difference is None
    assert found.final_hash == found.recorded_hash


def test_a_record_keeps_to_its_schema_and_is_complete(tmp_path: Path):
    data = json.loads(recorded(tmp_path).read_text(encoding="utf-8"))
    jsonschema.validate(data, RECORD)
    jsonschema.Draft202012Validator.check_schema(RECORD)
    names = [entry["operation"] for entry in data["operations"]]
    assert names[0] == "load"
    assert "end" in names
    assert data["script"]["sha256"]
    assert {"energylang", "torch", "python", "machine"} <= set(data["made_with"])
    assert data["tree"][0]["statement"] == "inject L0 42"


def test_the_documented_schema_is_the_one_in_force():
    page = Path(__file__).resolve().parents[1] / "docs" / "record.schema.json"
    assert json.loads(page.read_text(encoding="utf-8")) == RECORD


def test_the_first_difference_is_named(tmp_path: Path):
    path = recorded(tmp_path)
    data = json.loads(path.read_text(encoding="utf-8"))
    entry = data["operations"][2]
    entry["result"]["norm"] += 1.0
    entry["digest"] = "0" * 64
    path.write_text(json.dumps(data), encoding="utf-8")
    found = Session(base=tmp_path).replay("r.json")
    assert not found.identical
    assert found.first_difference == entry["number"]
    assert "norm: " in found.steps[entry["number"] - 1].difference


def test_another_checkpoint_is_refused_by_its_hash(tmp_path: Path):
    recorded(tmp_path)
    with pytest.raises(ElError, match="was made on a checkpoint with hash"):
        Session(base=tmp_path).replay("r.json", on="planted:64x5")
    other = Session("planted:64x4", base=tmp_path)
    other.save("same.safetensors")
    assert other.replay("r.json", on="same.safetensors").operations > 5


@pytest.mark.parametrize(
    "damage",
    ["not json", "[]", '{"format": "energylang record"}', '{"format": "something else", "version": 1}'],
)
def test_damaged_records_are_refused_with_the_place(tmp_path: Path, damage: str):
    (tmp_path / "bad.json").write_text(damage, encoding="utf-8")
    with pytest.raises(ElError, match="is not a record"):
        Session(base=tmp_path).replay("bad.json")


def test_a_failed_operation_fails_again_in_the_same_way(tmp_path: Path):
    session = Session("planted:64x4", base=tmp_path)
    session.survey(0)
    with pytest.raises(ElError):
        session.remove(0, "L0.B999")
    session.inject(0, 42)
    session.record("r.json")
    assert Session(base=tmp_path).replay("r.json").identical


def test_el_replay_says_by_its_exit_code_whether_all_is_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    from energylang.cli import main

    path = recorded(tmp_path)
    assert main(["replay", str(path)]) == 0
    assert "identical" in capsys.readouterr().out
    text = path.read_text(encoding="utf-8").replace('"final_hash": "', '"final_hash": "0', 1)
    path.write_text(re.sub(r'("final_hash": "0[0-9a-f]{63})[0-9a-f]"', r'\1"', text), encoding="utf-8")
    assert main(["replay", str(path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["identical"] is False


def test_keys_are_in_no_history_and_no_record(tmp_path: Path):
    session = Session("planted:64x4", base=tmp_path)
    session.run('set max_changed 20%\nwatermark inject "sesame"\nwatermark verify "sesame"\nrecord "r.json"')
    text = (tmp_path / "r.json").read_text(encoding="utf-8")
    assert "sesame" not in text
    assert "sesame" not in str(session.history().to_dict())
    without = Session(base=tmp_path).replay("r.json")
    assert not without.identical
    assert "key" in next(step.difference for step in without.steps if not step.same)
    assert Session(base=tmp_path).replay("r.json", key="sesame").identical
    assert not Session(base=tmp_path).replay("r.json", key="open").identical


def test_a_layer_that_could_be_auto_replays(in_tmp: Path):
    session = Session("tiny")
    session.run('capture L2 polite "Thank you"\nguard L2 10\n')
    session.record("layer.json")
    assert session.replay("layer.json").identical
