"""Another processor rounds otherwise: `replay` tells that apart from a different result, and sandboxes are the same
there."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energylang import ElError, Session, results
from energylang.cli import main
from energylang.files.storage import json_bytes, sealed
from energylang.landscape.draws import normal, stable_generator
from energylang.results.rounding import REAL, TOLERANCES, Tolerance, compared
from energylang.workspace.ledger import digest
from energylang.workspace.sketch import apart

ROOT = Path(__file__).resolve().parents[1]
OTHER = {
    "ATEN_CPU_CAPABILITY": "default",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR AVX2 FMA3 AVX512F",
    "MKL_CBWR": "COMPATIBLE",
}
"""Kernels without wide vectors: as another processor would calculate."""

SCRIPT = """
survey L0
inject L0 seed 42
strengthen L0.B2 factor=1.1
status
apply L0
diff L0
verify L0 seed 42
causal scan L0
save "out.safetensors"
"""


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
    )  # fmt: skip


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    place = tmp_path_factory.mktemp("record")
    session = Session("planted:64x4", base=place)
    session.run(SCRIPT + 'record "r.json"\n')
    return dict(json.loads((place / "r.json").read_text(encoding="utf-8")))


def written(record: dict[str, Any], place: Path) -> Path:
    """The record as if another machine had written it: digests and checksum hold."""
    record = {name: value for name, value in record.items() if name != "sha256"}
    for entry in record["operations"]:
        if "result" in entry:
            entry["digest"] = digest(entry["result"])
    path = place / "other.json"
    path.write_bytes(json_bytes(sealed(record)))
    return path


def scaled(value: Any, factor: float) -> Any:
    if isinstance(value, dict):
        return {name: scaled(item, factor) for name, item in value.items()}
    if isinstance(value, list):
        return [scaled(item, factor) for item in value]
    return value * factor if isinstance(value, float) else value


def replayed(path: Path) -> results.Replay:
    return Session(base=path.parent).replay(path.name)


def test_a_record_whose_numbers_moved_in_the_last_digits_is_equal_within_rounding(
    record: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    moved = copy.deepcopy(record)
    for entry in moved["operations"]:
        entry["result"] = scaled(entry["result"], 1 + 1e-7)
    path = written(moved, tmp_path)
    found = replayed(path)
    assert found.equal and not found.identical and found.intact
    assert found.first_difference is None and "→" in found.largest
    assert any(step.rounding for step in found.steps)
    assert main(["replay", str(path)]) == 0
    said = capsys.readouterr().out
    assert "equal within rounding" in said and found.largest.split(":")[0] in said


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        ("survey", ("basins", 0, "energy")),
        ("inject", ("norm",)),
        ("diff", ("largest", 0, "change")),
        ("verify", ("cosine",)),
        ("apply", ("changed",)),
    ],
)
def test_a_result_that_moved_by_a_hundredth_is_different(
    record: dict[str, Any], tmp_path: Path, operation: str, path: tuple[Any, ...]
):
    moved = copy.deepcopy(record)
    entry = next(entry for entry in moved["operations"] if entry["operation"] == operation)
    place = entry["result"]
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = not place[path[-1]] if isinstance(place[path[-1]], bool) else place[path[-1]] * 1.01
    file = written(moved, tmp_path)
    found = replayed(file)
    assert not found.equal and found.first_difference == entry["number"]
    assert str(path[-1]) in found.steps[entry["number"] - 1].difference
    assert main(["replay", str(file)]) == 1


@pytest.mark.parametrize(("shift", "equal"), [(1e-7, True), (1e-2, False)])
def test_weights_with_another_hash_are_judged_by_their_sketches(
    record: dict[str, Any], tmp_path: Path, shift: float, equal: bool
):
    moved = json.loads(json.dumps(record).replace(record["final_hash"], "ab" * 32))
    assert moved["final_hash"] == "ab" * 32 and record["changes"]
    for place in [moved, *moved["operations"]]:
        place["changes"] = scaled(place.get("changes", []), 1 + shift)
    found = replayed(written(moved, tmp_path))
    assert found.equal is equal and not found.identical
    assert found.weights_apart == pytest.approx(shift, rel=0.05)
    assert found.recorded_hash == "ab" * 32 != found.final_hash


def test_another_hash_without_a_sketch_is_different(record: dict[str, Any], tmp_path: Path):
    moved = json.loads(json.dumps(record).replace(record["final_hash"], "ab" * 32))
    for place in [moved, *moved["operations"]]:
        place.pop("changes", None)
    found = replayed(written(moved, tmp_path))
    assert not found.equal and found.weights_apart is None


def test_a_digest_that_is_not_that_of_the_result_is_different(record: dict[str, Any], tmp_path: Path):
    path = written(copy.deepcopy(record), tmp_path)
    assert replayed(path).identical
    moved = json.loads(path.read_text(encoding="utf-8"))
    moved["operations"][1]["digest"] = "0" * 64
    path.write_text(json.dumps(moved), encoding="utf-8")
    found = replayed(path)
    assert not found.equal and not found.intact and "digest" in found.steps[1].difference


def test_one_changed_byte_anywhere_is_noticed_or_says_nothing_else(record: dict[str, Any], tmp_path: Path):
    path = written({**copy.deepcopy(record), "operations": record["operations"][:3], "tree": []}, tmp_path)
    whole, said = path.read_bytes(), replayed(path)
    for place in range(7, len(whole), len(whole) // 40):
        changed = bytearray(whole)
        changed[place] = changed[place] ^ 1
        path.write_bytes(changed)
        try:
            found = replayed(path)
        except ElError:
            continue
        assert not found.intact or found.to_dict() == said.to_dict(), bytes(changed[place - 20 : place + 20])


def test_a_record_is_equal_on_another_processor(record: dict[str, Any], tmp_path: Path):
    path = written(copy.deepcopy(record), tmp_path)
    code = f"from energylang.cli import main; import sys; sys.exit(main(['replay', {str(path)!r}, '--json']))"
    done = python(code, **OTHER)
    found = json.loads(done.stdout)
    assert (done.returncode, found["equal"]) == (0, True), [s for s in found["steps"] if not s["same"]]
    assert found["identical"] or (found["largest"] and any("kernels" in v for v in found["versions_differ"]))


LAYOUTS = """
import torch
from energylang.landscape.lowrank import LowRank
g = torch.Generator().manual_seed(0)
for rank in (1, 2, 3, 5):
    left, right = torch.randn(64, rank, generator=g), torch.randn(64, rank, generator=g)
    weight = torch.randn(64, 64, generator=g)
    wanted = LowRank(left, right).added_to(weight)
    for shift in (1, 2, 3):
        place = torch.zeros(64 * rank + 4)[shift : shift + 64 * rank].view(64, rank).copy_(left)
        assert torch.equal(LowRank(place, right).added_to(weight), wanted), (rank, shift)
    assert torch.equal(LowRank(left.T.contiguous().T, right).added_to(weight), wanted), rank
    assert torch.equal(LowRank(left, right.T.contiguous().T).added_to(weight), wanted), rank
"""


@pytest.mark.parametrize("kernels", [{}, OTHER], ids=["own", "other"])
def test_an_edit_has_the_same_bits_wherever_its_factors_lie_in_memory(kernels: dict[str, str]):
    done = python(LAYOUTS, **kernels)
    assert done.returncode == 0, done.stderr


def test_sandboxes_have_the_same_weights_on_another_processor():
    code = (
        "from energylang.models import load; from energylang.models.checkpoint import fingerprint\n"
        "for spec in ('random:5', 'random:64', 'random:100x2', 'planted:64x4'): print(fingerprint(load(spec)))"
    )
    assert python(code, **OTHER).stdout == python(code).stdout != ""


@pytest.mark.parametrize("shape", [(1, 3), (3, 5), (4, 4), (5, 5), (16, 64), (7, 31)])
def test_normal_numbers_are_those_of_torch_but_for_the_last_digits(shape: tuple[int, int]):
    import torch

    ours = normal(*shape, stable_generator("normal", shape))
    theirs = torch.randn(*shape, generator=stable_generator("normal", shape))
    assert ours.dtype == theirs.dtype and torch.allclose(ours, theirs, rtol=0, atol=5e-6)


number = st.floats(-1e6, 1e6).filter(lambda value: abs(value) > 1e-3)


@given(number, st.sampled_from([REAL, *TOLERANCES.values()]))
def test_a_tolerance_is_symmetric_and_sees_a_wrong_sign(value: float, allowed: Tolerance):
    near = value + 0.5 * max(allowed.absolute, allowed.relative * abs(value))
    assert allowed.used(value, value) == 0
    assert 0 < allowed.used(value, near) == allowed.used(near, value) < 0.6
    if abs(value) > allowed.absolute:
        assert allowed.used(value, -value) > 1


def test_what_is_compared_how():
    assert compared({"energy": -3.0}, {"energy": -3.00001}).beyond is None
    assert str(compared({"energy": -3.0}, {"energy": 3.0}).beyond) == "energy: -3.0 → 3.0"
    assert compared({"id": 3}, {"id": 4}).beyond and compared({"ok": True}, {"ok": 1}).beyond
    assert compared([1, 2], [1]).beyond and compared({"a": 1}, {"b": 1}).beyond
    assert compared({"population": 40}, {"population": 42}).beyond is None
    assert compared({"population": 40}, {"population": 43}).beyond
    assert compared("fit 0.31 of 8", "fit 0.32 of 8").beyond is None
    assert compared("fit 0.31 of 8", "fit 0.31 of 9").beyond and compared("fit 0.3", "fits 0.3").beyond
    assert compared("a" * 64, "b" * 64).hashes and not compared("a" * 64, "b" * 64).beyond
    assert compared({"x": float("inf")}, {"x": 1.0}).beyond and compared({"x": None}, {"x": 0.0}).beyond


def test_every_tolerance_is_that_of_a_field():
    import dataclasses

    names = {
        item.name
        for kind in vars(results).values()
        if isinstance(kind, type) and dataclasses.is_dataclass(kind)
        for item in dataclasses.fields(kind)
    }
    assert set(TOLERANCES) <= names


@pytest.mark.parametrize("shift", [1e-7, 1e-3, 1.0])
def test_sketches_tell_how_far_apart_two_changes_are(shift: float):
    import torch

    from energylang.landscape.lowrank import LowRank
    from energylang.workspace.sketch import sketch
    from energylang.workspace.versions import Version

    draw = stable_generator("sketches", shift)
    root = Version("W", None, None, None, torch.zeros(96, 96, dtype=torch.float64))
    first, second = (LowRank(*torch.randn(2, 96, 2, generator=draw, dtype=torch.float64)) for _ in range(2))
    one = root.after(first, 1)
    other = one.after(second.scaled(shift * first.norm / second.norm), 2)
    then, now = ([{"layer": 0, "staged": sketch(version).tolist(), "live": []}] for version in (one, other))
    assert shift / 2 < apart(then, now) < 2 * shift
    assert torch.equal(sketch(root), torch.zeros_like(sketch(one)))


def test_changes_of_other_layers_are_far_apart():
    one = {"layer": 0, "staged": [1.0, 2.0], "live": [0.0, 0.0]}
    assert apart([one], [one]) == 0.0
    assert apart([one], []) == apart([], [one]) == apart([one], [{**one, "layer": 1}]) == float("inf")
    assert apart([one], [{**one, "staged": [2.0, 1.0]}]) > 0.1
