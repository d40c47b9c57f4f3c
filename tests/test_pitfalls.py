"""Failures of the published tool that must be impossible here, each named after its row in the design's table."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors
import torch

from energylang import ElError, ScriptError, Session, check
from energylang.landscape.draws import perturbed, stable_generator
from energylang.ops import TABLE
from energylang.ops.safety import GUARDS
from energylang.signature.settings import SETTINGS
from tests import test_examples, test_guards

ROOT = Path(__file__).resolve().parents[1]


def codes(text: str) -> list[str]:
    return [item.code for item in check(text).diagnostics]


@pytest.fixture
def planted() -> Session:
    return Session("planted:64x4")


def test_pitfall_01_quoting_works_and_surplus_arguments_are_errors():
    session = Session("tiny")
    assert session.run('capture L1 polite "two words"').texts == ("two words",)
    assert codes("load random:16\nsurvey L0 1 2 3 true 5\n") == ["EL203"]


def test_pitfall_02_a_failing_line_stops_the_script(tmp_path: Path):
    path = tmp_path / "x.el"
    path.write_text('load random:16\nsurvey L0\nremove L0.B999\nprint "went on"\n')
    result = subprocess.run(
        [sys.executable, "-m", "energylang", "run", str(path)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "went on" not in result.stdout


def test_pitfall_03_a_missing_argument_is_named():
    (found,) = check("load random:16\nsurvey\n").diagnostics
    assert found.code == "EL202"
    assert "`layer`" in found.message
    assert "survey L0" in found.help


def test_pitfall_04_every_shipped_example_runs_and_the_old_guard_line_is_understood(planted: Session):
    assert sorted((ROOT / "examples").glob("*.el")) == test_examples.SCRIPTS != []
    found = planted.run("guard 0 10")
    assert (found.layer, found.value) == (0, 0.1)


def test_pitfall_05_surveys_are_deterministic_and_seeds_give_a_spread(planted: Session):
    torch.manual_seed(1)
    first = planted.survey(0)
    torch.manual_seed(2)
    again = Session("planted:64x4").survey(0)
    assert first.to_dict(volatile=False) == again.to_dict(volatile=False)
    spread = planted.survey(0, inits=40, seeds=5)
    assert len(spread.counts) == 5
    assert spread.count_std > 0


def test_pitfall_06_basin_numbers_persist(planted: Session):
    def centres() -> dict[int, torch.Tensor]:
        return {basin.id: basin.centre for basin in planted.staged(0).registry.basins}

    planted.survey(0, seed=0)
    before = centres()
    planted.survey(0, seed=1)
    planted.survey(0, inits=30, seed=2)
    after = centres()
    for number, centre in before.items():
        assert torch.cosine_similarity(centre, after[number], dim=0) > 0.95


def test_pitfall_07_causal_scans_are_deterministic_and_have_a_null():
    graphs = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        session = Session("planted:64x4")
        session.survey(0)
        graphs.append(session.causal_scan(0, threshold=0.05).to_dict())
    assert graphs[0] == graphs[1]
    assert graphs[0]["placebos"] >= 1
    assert graphs[0]["placebo_drift"] > 0


def test_pitfall_08_energy_falls_along_the_dynamics_and_the_published_formula_has_its_own_name(
    planted: Session,
):
    for seed in range(8):
        found = planted.energy(0, seed)
        assert found.gap >= -1e-9
        assert found.energy_reference != found.energy


def test_pitfall_09_twelve_layers_in_natural_order():
    session = Session("random:8x12")
    keys = [session.model.weight_key(layer) for layer in range(12)]
    assert keys == [f"blocks.{block}.hopfield.W" for block in range(12)]


def test_pitfall_10_prompt_and_python_give_the_same_numbers(planted: Session):
    other = Session("planted:64x4")
    assert planted.run("inject L0 42").to_dict() == other.inject(0, 42).to_dict()


def test_pitfall_11_nothing_that_could_run_code_is_read(tmp_path: Path):
    marker = tmp_path / "ran"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (marker,)  # type: ignore[return-value]

    bad = tmp_path / "bad.pt"
    with bad.open("wb") as file:
        pickle.dump(Trap(), file)
    with pytest.raises(ElError):
        Session(bad)
    session = Session("planted:64x4", base=tmp_path)
    for name in ("bad.pt", "bad.pkl"):
        (tmp_path / name).write_bytes(bad.read_bytes())
        with pytest.raises(ElError, match=r"refused|not a concept"):
            session.import_concept(name)
    (tmp_path / "bad.safetensors").write_bytes(bad.read_bytes())
    with pytest.raises(ElError, match="not a concept"):
        session.import_concept("bad.safetensors")
    assert not marker.exists()


def test_pitfall_12_undo_is_there_and_exact(planted: Session):
    weight = planted.model.weight(0).clone()
    planted.run("inject L0 42\ninject L0 7 strength=0.05\napply L0\nrestore L0\nundo 4\n")
    assert torch.equal(planted.model.weight(0), weight)
    assert planted.status().is_original


def test_pitfall_13_every_guard_type_is_enforced():
    """Each of them has a case that trips it, and the loss on text a test of its own."""
    tripped = {guard.split()[0] for guard, _ in test_guards.TRIPS} - {"L0"}
    assert tripped | {"perplexity-delta"} == set(GUARDS)
    assert callable(test_guards.test_perplexity_guard_trips)


def test_pitfall_14_guards_stand_in_front_of_every_weight_edit(planted: Session):
    """Each edit of the table by name is tried in ``tests/test_guards.py``; there is one door to staging."""
    planted.run("survey L0\nguard strength-cap 0")
    for line in (
        "inject L0 42",
        "remove L0.B0",
        "move L0.B0 to=7",
        "strengthen L0.B0 2",
        'watermark inject "k"',
    ):
        assert planted.run(f'{line} --force --reason "try"').blocked, line
    package = ROOT / "energylang"
    doors = [
        path.name for path in package.rglob("*.py") if "before.after(" in path.read_text(encoding="utf-8")
    ]
    assert doors == ["staging.py"]


def test_pitfall_15_force_needs_a_reason_and_the_reason_is_kept(planted: Session):
    assert codes("load random:16\ninject L0 3 --force\n") == ["EL202"]
    with pytest.raises(ElError, match="reason"):
        planted.inject(0, 3, force=True)
    planted.run("survey L0\nset max_changed 0")
    edit = planted.run('remove L0.B0 --force --reason "to see what happens"')
    assert edit.applied
    assert edit.forced
    entry = planted.history().entries[-1]
    assert entry.state == "FORCED"
    assert "to see what happens" in entry.detail


@pytest.mark.parametrize(
    "bad",
    [
        "beta nan",
        "beta -1",
        "beta 0",
        "inits -3",
        "inits 0",
        "eps 2",
        "degree 1",
        "seed -1",
        "max_changed 2",
        "temp 0",
        "tokens 0",
        "topk 0",
        "dtype float8",
        "strength 0",
    ],
)
def test_pitfall_16_settings_are_typed_and_ranged(bad: str):
    found = codes(f"set {bad}\n")
    assert found in (["EL206"], ["EL208"], ["EL207"])
    name, value = bad.split()
    with pytest.raises(ElError):
        Session().set(name, float(value) if value != "float8" else value)


EFFECTS = {
    "beta": ("3.0", "survey L0", "planted:64x4"),
    "degree": ("4", "survey L0", "planted:64x4"),
    "inits": ("20", "survey L0", "planted:64x4"),
    "strength": ("0.03", "inject L0 42", "planted:64x4"),
    "eps": ("0.3", "survey L0", "random:64"),
    "max_changed": ("0", "inject L0 42", "planted:64x4"),
    "seed": ("9", "survey L0 inits=30", "planted:64x4"),
    "dtype": ("float64", "energy L0 5", "planted:64x4"),
    "device": ("cuda", "energy L0 5", "planted:64x4"),
    "temp": ("3.0", 'generate "Hello"', "tiny"),
    "tokens": ("3", 'generate "Hello"', "tiny"),
    "topk": ("1", 'generate "Hello"', "tiny"),
}


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_pitfall_16_every_setting_has_an_effect(name: str):
    value, command, model = EFFECTS[name]
    plain, changed = Session(model), Session(model)
    if name == "device":
        if torch.cuda.is_available():
            changed.run(f"set {name} {value}\n{command}")
            assert changed.landscape_of(0).weight.device.type == value
        else:
            with pytest.raises(ScriptError, match="there is no cuda device"):
                changed.run(f"set {name} {value}")
        assert plain.landscape_of(0).weight.device.type == "cpu"
        return
    changed.run(f"set {name} {value}")
    assert plain.run(command).to_dict(volatile=False) != changed.run(command).to_dict(volatile=False)


def test_pitfall_17_the_degree_is_read_in_one_place(planted: Session):
    planted.run("set degree 4")
    assert planted.landscape_of(0).degree == 4
    assert planted.survey(0).degree == 4


def test_pitfall_18_a_basin_is_removed_by_its_number(planted: Session):
    planted.run("survey L0\nset max_changed 50%")
    edit = planted.run("remove L0.B2")
    assert (edit.basin, edit.applied) == (2, True)
    assert 2 in edit.lost


def test_pitfall_19_a_trace_reads_its_text():
    session = Session("tiny")
    first, other = session.trace(3, "Thank you so much"), session.trace(3, "Go away, you fool")
    again = Session("tiny").trace(3, "Thank you so much")
    assert first.to_dict() == again.to_dict()
    assert [token.path.to_dict() for token in first.tokens] != [
        token.path.to_dict() for token in other.tokens
    ]
    assert first.tokens[0].token.strip().lower().startswith("thank")


def test_pitfall_20_a_survey_costs_about_as_much_as_its_products(planted: Session):
    """No loop over starts: two thousand of them make the same number of products as two hundred."""
    calls = 0
    original = torch.mm

    def counted(*args, **keywords):
        nonlocal calls
        calls += 1
        return original(*args, **keywords)

    torch.mm = counted
    try:
        planted.survey(0, inits=200)
        few, calls = calls, 0
        planted.survey(0, inits=2000)
        many, calls = calls, 0
        planted.causal_scan(0)
        scanned = calls
    finally:
        torch.mm = original
    assert few > 10
    assert many < 3 * few + 50
    assert scanned < 500  # not one product for each of the knock-outs and basins


def test_pitfall_21_what_save_writes_load_reads(tmp_path: Path, planted: Session):
    planted.inject(0, 42)
    saved = planted.save(str(tmp_path / "x.safetensors"))
    assert Session(tmp_path / "x.safetensors").original_hash == saved.hash


def test_pitfall_22_nothing_stale_after_restore(planted: Session):
    planted.survey(0)
    planted.inject(0, 42)
    assert planted.verify(0, 42).is_basin
    planted.restore(0)
    assert not planted.verify(0, 42).is_basin
    assert planted.survey(0).num_basins == 20


def test_pitfall_22_guards_protection_and_interventions_are_part_of_what_undo_restores():
    session = Session("tiny")
    session.run("survey L3\nguard strength-cap 0.5\nprotect L3.B0\nintervene L3.B1 zero")
    assert len(session.guards().guards) == 1
    session.undo(3)
    assert session.guards().guards == ()
    assert session.guards().protected == ()
    assert not session.state.interventions
    session.redo(3)
    assert session.guards().protected == ("L3.B0",)
    assert list(session.state.interventions) == ["L3.B1"]


def test_pitfall_23_concepts_do_not_survive_another_model():
    session = Session("tiny")
    session.capture(1, "polite", "Thank you")
    session.load("planted:64x4")
    assert session.concepts().concepts == ()


def test_pitfall_23_a_concept_of_one_layer_is_refused_at_another():
    session = Session("tiny")
    session.capture(1, "polite", "Thank you")
    with pytest.raises(ScriptError, match="captured at L1"):
        session.run("inject-concept L2 polite")


def test_pitfall_24_capture_has_one_definition():
    script, python = Session("tiny"), Session("tiny")
    script.run('capture L2 polite "Thank you"')
    python.capture(2, "polite", "Thank you")
    assert torch.equal(script.state.concepts["polite"].centroid, python.state.concepts["polite"].centroid)


def test_pitfall_26_noise_is_relative_to_the_norm():
    states = torch.randn(5, 256, generator=stable_generator("states"))
    noise = perturbed(states, 0.1, 8, stable_generator("noise")) - states[:, None]
    ratio = torch.linalg.vector_norm(noise, dim=2) / torch.linalg.vector_norm(states, dim=1)[:, None]
    assert torch.allclose(ratio, torch.full_like(ratio, 0.1), atol=1e-5)


def test_pitfall_25_the_notebook_extension_is_shipped():
    """What the wheel is built from holds the extension, and loading it is one call; tests/jupyter run it."""
    assert 'packages = ["energylang"]' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert (ROOT / "energylang" / "jupyter" / "magics.py").is_file()
    import energylang

    assert callable(energylang.load_ipython_extension)


def test_pitfall_27_load_errors_name_the_keys(tmp_path: Path):
    from safetensors.torch import load_file, save_file

    session = Session("tiny", base=tmp_path)
    session.save("whole.safetensors")
    with safetensors.safe_open(str(tmp_path / "whole.safetensors"), framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(tmp_path / "whole.safetensors")
    gone = next(name for name in tensors if name.endswith("norm2.weight"))
    less = {name: tensor for name, tensor in tensors.items() if name != gone}
    save_file({**less, "stray.weight": torch.zeros(2)}, str(tmp_path / "less.safetensors"), metadata)
    with pytest.raises(ElError) as caught:
        Session(tmp_path / "less.safetensors")
    assert gone in caught.value.message or "stray.weight" in caught.value.message


def test_pitfall_28_basin_zero_is_a_basin_like_any_other(planted: Session):
    planted.survey(0)
    assert planted.verify(0, "L0.B0").is_basin
    assert planted.energy(0, "L0.B0").basin == 0
    assert planted.run("protect L0.B0").all == (0,)
    assert planted.neighbours(0, "L0.B0", top=1).neighbours[0].id != 0


def test_pitfall_29_nothing_listens():
    """There is no web front end: no module of the package opens a listening socket."""
    for path in (ROOT / "energylang").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "0.0.0.0" not in text, path
        assert ".listen(" not in text, path
        assert "HTTPServer" not in text, path


def test_pitfall_every_row_has_a_test():
    rows = {int(found[1]) for name in globals() if (found := re.match(r"test_pitfall_(\d\d)_", name))}
    assert rows == set(range(1, 31))


def test_pitfall_30_every_parameter_is_read_by_its_body():
    """A parameter that the body never mentions cannot have an effect."""
    for op in TABLE.values():
        code = op.run.__code__
        names = code.co_varnames[1 : code.co_argcount]
        loaded = {
            i.argval for i in __import__("dis").get_instructions(code) if i.opname.startswith("LOAD_FAST")
        }
        flat = {name for item in loaded for name in (item if isinstance(item, tuple) else (item,))}
        flat |= set(code.co_cellvars)
        assert set(names) <= flat, op.name


def test_results_are_json(planted: Session):
    assert json.dumps(planted.survey(0).to_dict())
