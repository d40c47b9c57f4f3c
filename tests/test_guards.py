"""Guards and protected basins: each limit stops what it is for, in front of every edit of a weight."""

from __future__ import annotations

import pytest

from energylang import ElError, Session
from energylang.ops import TABLE
from energylang.ops.safety import GUARDS
from energylang.signature.declaration import Effect, Op
from tests.real import fewer_random_edits, little_is_read_of_smollm2


def planted(*lines: str) -> Session:
    session = Session("planted:64x4")
    session.run("survey L0\nset max_changed 100%\n" + "\n".join(lines))
    return session


TRIPS = [
    ("strength-cap 0.01", "inject L0 42"),
    ("max-changed 0", "strengthen L0.B0 1.5"),
    ("cosine-drift 0.0000001", "strengthen L0.B0 1.5"),
    ("max-basins 20", "inject L0 42"),
    ("min-basins 20", "remove L0.B0"),
    ("L0 4%", "remove L0.B0"),
]


@pytest.mark.parametrize(("guard", "edit"), TRIPS)
def test_every_kind_of_guard_trips_and_undo_takes_it_away(guard: str, edit: str):
    free = planted()
    assert free.run(edit).applied
    session = planted(f"guard {guard}")
    before = session.staged_hash()
    blocked = session.run(edit)
    assert blocked.blocked
    assert not blocked.applied
    assert "guard" in blocked.reason
    assert session.staged_hash() == before
    assert session.history().entries[-1].state == "BLOCKED"
    forced = session.run(f'{edit} --force --reason "no"')
    assert forced.blocked
    assert not forced.applied
    session.undo(3)  # both attempts, and the guard
    assert session.run(edit).applied


def test_perplexity_guard_trips():
    session = Session("tiny")
    session.run("guard perplexity-delta 0")
    edit = session.run('inject L3 42 strength=0.5 --force --reason "to do harm"')
    assert edit.blocked
    assert "perplexity-delta" in edit.reason
    session.undo(2)  # the attempt, and the guard
    assert session.run('inject L3 42 strength=0.5 --force --reason "to do harm"').applied
    with pytest.raises(ElError, match="words"):
        planted().guard("perplexity-delta", 0.02)


def test_the_limits_are_wide_enough_to_let_edits_through():
    session = planted(
        "guard strength-cap 10", "guard max-changed 100", "guard cosine-drift 2", "guard max-basins 500",
        "guard min-basins 1", "guard L0 100%",
    )  # fmt: skip
    assert {guard.kind for guard in session.guards().guards} == {*GUARDS, "layer"} - {"perplexity-delta"}
    assert session.inject(0, 42).applied


EDITS = [op for op in TABLE.values() if Effect.EDITS in op.effects]


@pytest.mark.parametrize(
    "op",
    [pytest.param(op, marks=pytest.mark.slow) if op.examples[0].slow else op for op in EDITS],
    ids=lambda op: op.name,
)
def test_guards_stand_in_front_of_every_edit(op: Op, monkeypatch: pytest.MonkeyPatch):
    """Every edit's first example, with a guard in its way that nothing passes."""
    *before, edit = op.examples[0].script.splitlines()
    fewer_random_edits(monkeypatch)
    if op.examples[0].on == "smollm2":
        little_is_read_of_smollm2(monkeypatch)
    session = Session(op.examples[0].on)
    session.run("\n".join([*before, "guard strength-cap 0"]))
    start = session.staged_hash()
    found = session.run(edit if "force" in edit else f'{edit} --force --reason "guards do not give way"')
    assert not found.applied
    assert found.blocked
    assert found.reason.startswith("guard strength-cap: ")
    assert session.staged_hash() == start


def test_protected_basins_cannot_be_removed_moved_or_lost():
    session = planted("protect L0.B0")
    for edit in ("remove L0.B0", "move L0.B0 to=77", 'remove L0.B0 --force --reason "try"'):
        assert session.run(edit).blocked
    assert session.guards().protected == ("L0.B0",)
    mirror = session.survey(0).basins[0].mirror
    if mirror is not None:
        assert session.run(f"remove L0.B{mirror}").blocked  # its weights are B0's: it would be lost, too
    session.run("undo\nset max_changed 100%")


def test_percent_and_whole_numbers_mean_what_they_say():
    session = planted()
    assert session.run("guard L0 10").value == pytest.approx(0.1)
    assert session.run("guard L0 10%").value == pytest.approx(0.1)
    assert session.run("guard max-changed 5").value == pytest.approx(0.05)
    assert session.run("guard max-basins 40").value == 40
    for bad in ("guard L0 101", "guard max-changed 300", "guard strength-cap -1", "guard max-basins 2.5"):
        with pytest.raises(Exception, match=r"must be|more than|no count"):
            session.run(bad)
