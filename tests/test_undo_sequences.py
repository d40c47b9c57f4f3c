"""Undoing everything leads back to the identical weights, whatever was done."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energylang import ElError, ScriptError, Session
from energylang.workspace.named import travel_to

basins = st.integers(0, 5).map(lambda basin: f"L0.B{basin}")
seeds = st.integers(0, 30).map(str)
targets = basins | seeds.map(lambda seed: f"L0 {seed}")
ratios = st.sampled_from(["0.02", "0.1", "0.3"])

STATEMENTS = st.one_of(
    st.builds("inject L0 {}".format, seeds),
    st.builds("inject L0 {} strength={}".format, seeds, ratios),
    st.builds("remove {}".format, targets),
    st.builds("move {} to={}".format, basins, seeds),
    st.builds("strengthen {} {}".format, targets, st.sampled_from(["1.1", "1.5", "3"])),
    st.builds("weaken {} {}".format, targets, st.sampled_from(["0.9", "0.5"])),
    st.builds("redirect {} to={}".format, basins, basins),
    st.builds('{} --force --reason "fuzz"'.format, st.builds("inject L0 {} strength=0.5".format, seeds)),
    st.builds(
        "causal intervene {} op={}".format, basins, st.sampled_from(["remove", "weaken", "strengthen"])
    ),
    st.builds("causal counterfactual {} mod={}".format, basins, st.sampled_from(["invert", "shift"])),
    st.builds("consolidate L0 {} 0".format, st.sampled_from(["1.02", "1.1"])),
    st.builds("dream L0 {} 1.05 0.1".format, st.sampled_from(["1", "2"])),
    st.builds('watermark inject "key {}" marks=2'.format, st.integers(0, 3)),
    st.builds("set max_changed {}%".format, st.integers(0, 100)),
    st.builds("set beta {}".format, st.sampled_from(["auto", "5", "9"])),
    st.builds("set dtype {}".format, st.sampled_from(["float32", "float64"])),
    st.builds("set inits {}".format, st.integers(10, 60)),
    st.builds(
        "guard {}".format, st.sampled_from(["strength-cap 0.3", "max-changed 5%", "L0 20%", "max-basins 40"])
    ),
    st.builds("protect {}".format, basins),
    st.sampled_from(
        [
            "survey L0 inits=30",
            "apply L0",
            "restore L0",
            "restore-all",
            "causal scan L0 placebos=1",
            "verify L0 3",
        ]
    ),
    st.sampled_from(["undo", "undo L0", "redo", "checkpoint here", "rollback here", "goto 0", "goto 2"]),
)


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(st.lists(STATEMENTS, min_size=1, max_size=7), st.sampled_from(["planted:24x2", "random:24"]))
def test_undo_all_after_any_sequence_is_the_identical_hash(statements: list[str], model: str):
    session = Session(model)
    session.run("survey L0 inits=40")
    beginning, state = session.original_hash, session.state
    for statement in statements:
        try:
            session.run(statement)
        except (ElError, ScriptError):
            continue  # a basin that is gone, nothing to undo: what failed must have left no trace, too
    there = session.staged_hash(), session.live_hash()
    node = session.timeline.current
    if session.timeline.undoable:
        assert session.undo(session.timeline.undoable).is_original
    assert session.staged_hash() == session.live_hash() == session.original_hash == beginning
    assert session.state is state
    travel_to(session, node)
    assert (session.staged_hash(), session.live_hash()) == there
