"""Laws of a session: what undo, save, the live model and the two doors must always do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from energylang import ElError, ScriptError, Session
from energylang.models import checkpoint
from energylang.workspace.versions import KEYFRAME

MODEL = "random:12x2"

OPERATIONS = st.sampled_from(
    [
        "inject L0 seed {n} strength=0.2",
        "inject L1 {n}",
        'inject L1 {n} strength=0.05 force=true reason="a test"',
        "remove L0.B{b}",
        "remove L1 {n}",
        "apply L0",
        "apply layers",
        "restore L1",
        "restore-all",
        "set inits {n}",
        "set beta 3.{b}",
        "survey L0",
        "survey L1 seed={n}",
        "undo",
        "redo",
        "undo 2",
    ]
)
SEQUENCES = st.lists(st.tuples(OPERATIONS, st.integers(1, 40), st.integers(0, 6)), max_size=8)


def run_sequence(session: Session, sequence) -> None:
    for pattern, n, b in sequence:
        try:
            session.run(pattern.format(n=n, b=b))
        except ScriptError as error:
            code = error.diagnostics[
                0
            ].code  # the checker knows what the session knows of its basins and history
            assert error.checked or code in ("EL303", "EL304", "EL306")


def bits(session: Session) -> list[bytes]:
    weights = []
    for layer in session.state.layers:
        weights += [
            session.weight(layer.staged).numpy().tobytes(),
            session.weight(layer.live).numpy().tobytes(),
        ]
    return [*weights, *(t.numpy().tobytes() for t in session.model.tensors().values())]


@settings(max_examples=60)
@given(SEQUENCES)
def test_undoing_everything_is_the_identity_bit_for_bit(sequence):
    session = Session(MODEL)
    before = bits(session)
    run_sequence(session, sequence)
    if session.timeline.undoable:
        session.undo(session.timeline.undoable)
    assert bits(session) == before
    assert session.staged_hash() == session.live_hash() == session.original_hash
    assert session.status().is_original


@settings(max_examples=40)
@given(SEQUENCES)
def test_redo_after_undo_is_the_identity_bit_for_bit(sequence):
    session = Session(MODEL)
    run_sequence(session, sequence)
    before = bits(session)
    steps = session.timeline.undoable
    if steps:
        session.undo(steps)
        session.redo(steps)
    assert bits(session) == before


@settings(max_examples=40)
@given(SEQUENCES)
def test_live_model_has_the_live_version_and_basin_numbers_are_never_reused(sequence):
    session = Session(MODEL)
    seen: dict[tuple[int, int], torch.Tensor] = {}
    for step in sequence:
        run_sequence(session, [step])
        for index, layer in enumerate(session.state.layers):
            assert torch.equal(session.model.weight(index), session.weight(layer.live))
            for basin in layer.staged.registry.basins:
                first = seen.setdefault((index, basin.id), basin.found_at)
                assert torch.equal(first, basin.found_at)


def test_rebuilding_from_keyframes_gives_the_same_bits():
    session = Session("random:8")
    direct = session.weight(session.staged(0))
    generator = torch.Generator().manual_seed(0)
    version = session.staged(0)
    from energylang.landscape.lowrank import LowRank

    for number in range(KEYFRAME + 20):
        factors = LowRank(torch.randn(8, 1, generator=generator), torch.randn(8, 1, generator=generator))
        direct = factors.added_to(direct)
        version = version.after(factors, number)
    assert torch.equal(session.weight(version), direct)
    assert torch.equal(session.weight(version.parent.parent), session.weight(version.parent.parent))
    assert len(version.chain) == KEYFRAME + 20


def test_failed_operation_leaves_no_trace():
    session = Session("planted:64x4")
    session.survey(0)
    before = bits(session), session.state
    with pytest.raises(ElError):
        session.remove("L0.B999")
    assert (bits(session), session.state) == before
    assert session.history().entries[-1].state == "FAILED"


def test_interrupted_operation_leaves_no_trace(monkeypatch):
    session = Session("planted:64x4")
    session.survey(0)
    before = bits(session)
    state = session.state

    def stop(*args, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr("energylang.landscape.lineage.Registry.after_edit", stop)
    with pytest.raises(KeyboardInterrupt):
        session.inject(0, 42)
    assert session.state is state
    assert bits(session) == before


def test_failed_load_keeps_the_model(tmp_path: Path):
    session = Session("planted:64x4")
    session.inject(0, 42)
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"not a model")
    with pytest.raises(ElError):
        session.load(str(bad))
    assert session.model.spec == "planted:64x4"
    assert session.timeline.undoable == 1


@settings(max_examples=15)
@given(SEQUENCES)
def test_save_then_load_is_the_identity(tmp_path: Path, sequence):
    session = Session(MODEL)
    run_sequence(session, sequence)
    path = tmp_path / "saved.safetensors"
    saved = session.save(str(path))
    again = Session(path)
    assert again.original_hash == saved.hash == session.staged_hash()
    for index in range(2):
        assert torch.equal(again.model.weight(index), session.weight(session.staged(index)))
    assert session.live_hash() == checkpoint.fingerprint(session.model)  # saving left the live weights alone


def test_twelve_layers_keep_their_natural_order(tmp_path: Path):
    session = Session("random:8x12")
    path = tmp_path / "twelve.safetensors"
    session.save(str(path))
    again = Session(path)
    for layer in range(12):
        assert again.model.weight_key(layer) == f"blocks.{layer}.hopfield.W"
        assert torch.equal(again.model.weight(layer), session.model.weight(layer))


def test_script_and_python_are_one_implementation():
    script, python = Session("planted:64x4"), Session("planted:64x4")
    pairs = [
        (script.run("survey L0 inits=60 seed=2"), python.survey(layer=0, inits=60, seed=2)),
        (script.run("inject L0 seed 7"), python.inject(0, 7)),
        (script.run("verify L0 7"), python.verify(0, 7)),
        (script.run("remove L0.B8"), python.remove("L0.B8")),
        (script.run("energy L0.B0"), python.energy("L0.B0")),
        (script.run("diff L0"), python.diff(0)),
        (script.run("status"), python.status()),
    ]
    for one, other in pairs:
        assert one.to_dict(volatile=False) == other.to_dict(volatile=False)


SCRIPT = """
load planted:64x4
survey L0 seeds=3
inject L0 seed 42
survey L0 radius=true
remove L0.B9
diff L0
status
"""


def test_two_processes_print_the_same(tmp_path: Path):
    path = tmp_path / "script.el"
    path.write_text(SCRIPT)
    runs = []
    for hash_seed in ("1", "2"):
        result = subprocess.run(
            [sys.executable, "-m", "energylang", "run", str(path), "--json"],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": hash_seed, "PATH": "", "PYTHONPATH": str(Path(__file__).parents[1])},
        )
        document = json.loads(result.stdout)
        for item in document["results"]:
            item["result"].pop("elapsed", None)
        runs.append(document)
    assert runs[0] == runs[1]


def test_torch_random_state_and_threads_are_left_alone():
    torch.manual_seed(5)
    torch.set_num_threads(2)
    state = torch.get_rng_state()
    session = Session("planted:64x4")
    session.inject(0, 42)
    session.verify(0, 42)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == 2


def test_undo_brings_lost_basins_back_under_their_numbers():
    session = Session("planted:64x4")
    first = {basin.id for basin in session.survey(0).basins}
    session.run("set max_changed 50%")
    edit = session.remove("L0.B0")
    assert edit.applied and 0 in edit.lost
    with pytest.raises(ElError, match="lost in edit"):
        session.energy("L0.B0")
    session.undo()
    assert session.energy("L0.B0").basin == 0
    assert {basin.id for basin in session.survey(0).basins} == first


def test_variables_and_procedures_stay_between_runs():
    session = Session("planted:64x4")
    session.run("let a = 3\ndef twice(x: Int):\n    return 2 * x\n")
    assert session.run("(twice a) + 1") == 7


def test_installed_basin_appears_in_the_next_survey():
    session = Session("planted:64x4")
    before = session.survey(0)
    edit = session.inject(0, 42)
    after = session.survey(0)
    assert after.num_basins == before.num_basins + 1
    assert edit.basin in [basin.id for basin in after.basins]


def test_whoever_watches_hears_how_many_steps_are_done():
    session, heard = Session("random:24x3"), []
    session.watcher = lambda done, total, what: heard.append((done, total, what))
    session.survey_all(inits=10)
    session.survey(0, inits=10, seeds=3)
    assert heard == [(k, 3, "layers") for k in range(3)] + [(k, 2, "seeds") for k in range(2)]


def test_large_surveys_say_how_much_memory_they_take_before_they_take_it(monkeypatch):
    monkeypatch.setattr("energylang.work.observe._WORTH_SAYING", 2**10)
    session, heard = Session("random:24x3"), []
    session.watcher = lambda done, total, what: heard.append((done, total, what))
    session.survey_all(inits=10)
    first = heard[0][2]
    assert first.startswith("layers, in about ") and first.endswith(" KiB more of memory")
    ready, ends, states = 3 * 24 * 24 * 4, 3 * 24 * 24 * 8, 10 * 24 * 4 * (3 + 6)
    assert float(first.split()[3]) == pytest.approx((ready + ends + states) / 1024, rel=1e-3)
    assert heard == [(k, 3, first) for k in range(3)]


def test_a_watcher_that_stops_leaves_no_trace():
    session = Session("random:24x3")

    def stop(done: int, total: int, what: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    session.watcher, before = stop, session.state
    with pytest.raises(KeyboardInterrupt):
        session.survey_all(inits=10)
    assert session.state is before or session.state == before


def test_the_terminal_shows_steps_as_a_bar():
    import io

    from rich.console import Console

    from energylang.render.terminal import Screen

    out = io.StringIO()
    screen = Screen(Console(file=out, force_terminal=True, width=80))
    screen.count(1, 4, "layers")  # nothing runs yet
    with screen:
        screen.wait_for("survey-all")
        screen.count(2, 4, "layers")
        assert screen.running is not None and screen.waiting is not None
        text = str(screen.running.__rich__())
        assert "2 of 4 layers" in text and "█" in text


def test_the_largest_changes_come_in_an_order_that_rounding_does_not_decide():
    import torch

    from energylang.work.observe import _largest

    change = torch.zeros(4, 4, dtype=torch.float64)
    change[1, 1], change[3, 0], change[0, 3], change[2, 2] = 3.0, -2.0, 2.0, 0.5
    for shift in (-1e-9, 0.0, 1e-9):
        change[3, 0] = -2.0 * (1 + shift)
        assert _largest(change, 3) == [5, 3, 12]
        assert _largest(change, 2) == [5, 3]
    assert _largest(change, 9) == [5, 3, 12, 10] and _largest(torch.zeros(2, 2), 5) == []


def test_what_is_counted_inside_of_a_count_is_told_as_a_part_of_it():
    from energylang.workspace.workspace import counted

    session, heard = Session("random:24x3"), []
    session.watcher = lambda done, total, what: heard.append((done, total, what))
    for _ in counted(session, "ab", "controls"):
        for _ in counted(session, range(2), "steps"):
            pass
    for _ in counted(session, "ab", "others"):
        break
    assert heard == [
        (0, 2, "controls"), (0, 2, "controls (0 of 2 steps)"), (0, 2, "controls (1 of 2 steps)"),
        (1, 2, "controls"), (1, 2, "controls (0 of 2 steps)"), (1, 2, "controls (1 of 2 steps)"),
        (0, 2, "others"),
    ]  # fmt: skip
    assert session.counting is None


def test_the_text_may_stand_before_the_layer() -> None:
    session = Session("tiny")
    first, *others = (
        session.trace_generation(3, "Hi", tokens=1),
        session.trace_generation("Hi", layer=3, tokens=1),
        session.trace_generation("Hi", 3, tokens=1),
    )
    assert all(found.to_dict(volatile=False) == first.to_dict(volatile=False) for found in others)
    with pytest.raises(ElError, match="given twice"):
        session.trace_generation(3, "Hi", layer=3)
