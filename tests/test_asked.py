"""✓ means done: an edit is applied only if what was asked for is there afterwards, and a refusal leaves nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energylang import Session, results

SPECS = ("planted:64x6", "planted:64x4", "planted:48x3", "random:32")


def surveyed(spec: str) -> Session:
    session = Session(spec)
    session.survey(0)
    return session


def edit_of(session: Session, statement: str) -> results.Edit:
    answer = session.run(statement)
    assert isinstance(answer, results.Edit)
    return answer


statements = st.one_of(
    st.builds(
        lambda seed, strength: f"inject L0 {seed}{strength}",
        st.integers(0, 60),
        st.sampled_from(["", " strength=0.05", " strength=0.2", " strength=0.6"]),
    ),
    st.builds(lambda b: f"remove L0.B{b}", st.integers(0, 7)),
    st.builds(lambda b, f: f"weaken L0.B{b} {f}", st.integers(0, 7), st.sampled_from([0.3, 0.5, 0.8, 0.95])),
    st.builds(lambda b, f: f"strengthen L0.B{b} {f}", st.integers(0, 7), st.sampled_from([1.05, 1.5, 3.0])),
    st.builds(lambda b, s: f"move L0.B{b} to={s}", st.integers(0, 7), st.integers(100, 120)),
)


@settings(max_examples=60, deadline=None)
@given(spec=st.sampled_from(SPECS), statement=statements, loose=st.booleans())
def test_a_verdict_agrees_with_what_is_there(spec: str, statement: str, loose: bool) -> None:
    session = surveyed(spec)
    if loose:  # more edits pass, and what they were asked for is still measured
        session.set("max_changed", 1.0)
    known = {basin.id for basin in session.staged(0).registry.alive()}
    word, target = statement.split()[0], statement.split()[1:]
    if word != "inject" and int(target[0].removeprefix("L0.B")) not in known:
        return
    before = session.status()
    edit = edit_of(session, statement)
    alive = {basin.id for basin in session.staged(0).registry.alive()}

    if not edit.applied:
        assert edit.reason
        assert edit.lost == edit.lost_on_purpose == edit.lost_beside == ()
        assert alive == known
        assert session.status().staged_hash == before.staged_hash
        assert not session.diff(0).changed
        return

    assert all(condition.ok for condition in edit.conditions)
    assert set(edit.lost_on_purpose) | set(edit.lost_beside) == set(edit.lost)
    assert not set(edit.lost_on_purpose) & set(edit.lost_beside)
    assert known - alive == set(edit.lost)
    assert edit.known == len(known)
    assert edit.kept == edit.protected <= edit.known
    if word in ("inject", "move"):
        goal = target[1] if word == "inject" else target[1].removeprefix("to=")
        assert session.verify(0, int(goal)).is_basin
        assert edit.basin in alive
        assert edit.merged == (edit.basin in known)
    if word in ("remove", "move"):
        assert int(target[0].removeprefix("L0.B")) in edit.lost_on_purpose
    if word in ("weaken", "strengthen"):
        assert int(target[0].removeprefix("L0.B")) in alive
        assert edit.field_before is not None
        assert edit.field_after is not None
        grew = edit.field_after > edit.field_before
        assert grew == (word == "strengthen")


def test_an_injection_too_weak_to_land_is_refused_as_verify_says() -> None:
    session = surveyed("planted:64x6")
    edit = session.inject(0, 43, strength=0.1)
    assert not edit.applied
    assert not session.verify(0, 43).is_basin
    assert session.diff(0).basins_gained == ()
    assert not next(c for c in edit.conditions if c.name.startswith("cosine")).ok


def test_what_is_made_shallower_is_not_destroyed() -> None:
    session = surveyed("planted:256x20")
    edit = session.weaken(0, "L0.B0")
    assert not edit.applied
    assert "stays" in edit.reason
    assert session.staged(0).registry.get(0).status == "alive"  # type: ignore[union-attr]
    held = float(edit.reason.split("factor of ")[1].split()[0])
    session.set("max_changed", 1.0)
    assert session.weaken(0, "L0.B0", factor=held).applied


def test_related_basins_are_counted_as_lost_beside_the_target() -> None:
    session = surveyed("planted:64x4")
    edit = session.remove(0, "L0.B1")
    assert edit.applied
    mirror = next(b.mirror for b in session.survey(0, at=0).basins if b.id == 1)
    assert set(edit.lost_on_purpose) == {1, mirror}
    assert len(edit.lost_beside) == len(edit.lost) - 2 > 0
    assert edit.known == edit.protected + len(edit.lost)
    assert set(session.diff(0).basins_lost) == set(edit.lost)


def test_force_keeps_what_was_not_done_and_says_so() -> None:
    session = surveyed("planted:64x6")
    edit = session.inject(0, 43, strength=0.1, force=True, reason="to look at it")
    assert edit.applied
    assert edit.forced
    assert "installs no basin" in edit.reason
    assert any(not condition.ok for condition in edit.conditions)


def test_a_second_installation_at_one_place_is_none() -> None:
    session = surveyed("planted:64x4")
    session.set("max_changed", 1.0)
    first = session.inject(0, 5)
    assert first.applied
    assert not first.merged
    again = session.inject(0, 5, strength=0.05)
    if again.applied:
        assert again.merged
        assert again.basin == first.basin


@pytest.mark.parametrize(
    "statement", ['watermark inject "a key"', "consolidate L0 1.02 0", "causal intervene L0.B0"]
)
def test_edits_of_many_basins_say_what_they_were_judged_by(statement: str) -> None:
    session = surveyed("planted:64x4")
    session.set("max_changed", 1.0)
    answer = session.run(statement)
    assert answer.applied in (True, False)
    if isinstance(answer, results.Edit):
        assert answer.judged_by == "gate"
        assert {"protected basins that stay", "share of noisy decisions that change"} <= {
            condition.name for condition in answer.conditions
        }
