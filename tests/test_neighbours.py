"""Which radii shrank beside an edit: the same pushes under both weights, and what cannot be compared is not."""

from __future__ import annotations

from energylang import Session
from energylang.render.marks import reach_change
from energylang.runtime.neighbours import reach_changes


def test_radii_before_and_after_an_edit() -> None:
    session = Session("planted:64x8")
    session.run("set max_changed 60%")
    session.survey(0, inits=80)
    before = session.staged(0)
    edit = session.inject(0, 42, strength=0.5)
    assert edit.applied and edit.basin is not None
    after = session.staged(0)
    made = after.registry.get(edit.basin)
    assert made is not None
    changes = reach_changes(session, 0, before, after, made.centre, 12)
    assert changes[0].id == edit.basin and changes[0].before is None and changes[0].cosine > 0.99
    nearness = [abs(change.cosine) for change in changes]
    assert nearness == sorted(nearness, reverse=True) and len({change.id for change in changes}) == len(
        changes
    )
    for change in changes:
        if change.before is None or change.after is None:
            assert not change.shrank and not change.grew
            continue
        assert change.before.radius_high is None or change.before.radius <= change.before.radius_high
        assert not (change.shrank and change.grew)
        assert f"B{change.id}" in reach_change(change)
    assert any(change.shrank for change in changes), "half of the weight goes into one more pattern"
    same = reach_changes(session, 0, after, after, made.centre, 12)
    assert not any(change.shrank or change.grew for change in same)
    assert all(
        change.before.to_dict() == change.after.to_dict() for change in same if change.before and change.after
    )


def test_a_layer_without_basins_has_no_neighbours() -> None:
    session = Session("random:8x1")
    version = session.staged(0)
    assert reach_changes(session, 0, version, version, session.landscape_of(0).weight[0]) == ()
