"""Which radii shrank beside a new basin: the same pushes under both weights, and nothing said where nothing changed."""

from __future__ import annotations

from energylang import Session
from energylang.trial.neighbourhood import beside


def test_radii_of_neighbours_before_and_after() -> None:
    session = Session("planted:64x8")
    session.run("set max_changed 90%")
    session.survey(0, inits=80)
    before = session.staged(0)
    edit = session.inject(0, 42, strength=0.5, radius=True)
    assert edit.applied and edit.reach is not None and edit.reach.radius is not None
    after = session.staged(0)
    cosines = [near.cosine for near in edit.neighbours]
    assert cosines == sorted(cosines, reverse=True)
    assert edit.basin not in {near.basin for near in edit.neighbours}
    assert any(near.change == "shrank" for near in edit.neighbours), (
        "half of the weight goes into one more pattern"
    )
    for near in edit.neighbours:
        if near.before.radius_reached is False and near.after.radius_reached is False:
            assert near.change == ""
        if near.change == "shrank":
            assert near.after.radius is not None and near.before.radius is not None
            assert near.after.radius < near.before.radius
    made = after.registry.get(edit.basin)
    assert made is not None
    same = beside(session, 0, made.centre, (after, after), after.registry)
    assert not any(near.change for near in same)
    assert all(near.before.to_dict() == near.after.to_dict() for near in same)
    back = {
        near.basin: near.change for near in beside(session, 0, made.centre, (after, before), before.registry)
    }
    for near in edit.neighbours:
        if near.change == "shrank" and near.after.radius_reached:
            assert back.get(near.basin, "grew") != "shrank"
