"""A session in a file, and looking at other places in the history without going there."""

from __future__ import annotations

from pathlib import Path

import pytest

from energylang import ElError, Session
from energylang.run.interpreter import ScriptError

WORK = """
set max_changed 20%
survey L0
inject L0 42
checkpoint here
guard max-basins 500
inject L0 43
undo
set inits 50
protect L0.B0
"""


@pytest.fixture
def worked(tmp_path: Path) -> Session:
    session = Session("planted:64x4", base=tmp_path)
    session.run(WORK)
    session.run('save "w.safetensors" session=true')
    return session


def loaded(tmp_path: Path) -> Session:
    again = Session(base=tmp_path)
    again.run('load "w.safetensors" session=true')
    return again


def test_a_session_comes_back_as_it_was(worked: Session, tmp_path: Path):
    again = loaded(tmp_path)
    for statement in ("history", "guards", "concepts", "survey L0", "diff L0", "inject L0 7", "history"):
        then, now = worked.run(statement), again.run(statement)
        assert then.to_dict(volatile=False) == now.to_dict(volatile=False), statement
    assert again.live_hash() == worked.live_hash()


def test_every_place_of_the_tree_comes_back_bit_for_bit(worked: Session, tmp_path: Path):
    again = loaded(tmp_path)
    assert set(again.timeline.nodes) == set(worked.timeline.nodes)
    for number in worked.timeline.nodes:
        assert again.goto(number).hash == worked.goto(number).hash
    assert again.rollback("here").hash == worked.rollback("here").hash
    assert again.goto(0).is_original


def test_without_asking_for_it_the_file_is_the_edited_model(worked: Session, tmp_path: Path):
    plain = Session(base=tmp_path)
    plain.run('load "w.safetensors"')
    assert plain.staged_hash() == worked.staged_hash() and not plain.timeline.undoable
    plain.run('save "x.safetensors"')
    assert (tmp_path / "x.safetensors").stat().st_size < (tmp_path / "w.safetensors").stat().st_size
    with pytest.raises((ElError, ScriptError), match="no session"):
        plain.run('load "x.safetensors" session=true')


def test_a_damaged_session_is_refused_and_the_old_one_stays(worked: Session, tmp_path: Path):
    data = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(data.replace(b'\\"LowRank\\"', b'\\"LawRank\\"'))
    other = Session("random:16", base=tmp_path)
    with pytest.raises((ElError, ScriptError), match=r"cannot be read|its own checksum"):
        other.run('load "w.safetensors" session=true')
    assert other.model.spec == "random:16"


def test_surveying_another_place_is_going_there_surveying_and_coming_back(worked: Session):
    here, live = worked.staged_hash(), worked.live_hash()
    looked = worked.run("survey L0 at=0 inits=60").to_dict(volatile=False)
    assert (worked.staged_hash(), worked.live_hash()) == (here, live)
    place = worked.timeline.current.id
    worked.run("goto 0")
    there = worked.run("survey L0 inits=60").to_dict(volatile=False)
    worked.goto(place)
    assert looked.pop("at") == 0 and there.pop("at") is None
    assert looked == there
    with pytest.raises((ElError, ScriptError), match="no operation 99"):
        worked.run("survey L0 at=99")


def test_a_difference_between_two_places(worked: Session):
    first = next(number for number, node in worked.timeline.nodes.items() if "inject L0 42" in node.statement)
    second = next(
        number for number, node in worked.timeline.nodes.items() if "inject L0 43" in node.statement
    )
    assert not worked.diff(0, since=first).changed
    forth = worked.diff(0, since=second)
    assert forth.edits == 1 and forth.changed
    worked.goto(second)
    back = worked.diff(0, since=first)
    assert back.norm == pytest.approx(forth.norm, rel=1e-6)
    assert set(back.basins_gained) == set(forth.basins_lost)
    assert worked.diff(0, since=0).norm == worked.diff(0).norm


def test_a_wider_basin_costs_a_larger_change():
    session = Session("planted:64x4")
    session.run("set max_changed 100%")
    norms = []
    for noise in (0.1, 0.5, 1.0):
        norms.append(session.inject(0, 42, noise=noise).norm)
        session.undo()
    assert norms[0] < norms[1] < norms[2]
    with pytest.raises(ElError, match="strength is given"):
        session.inject(0, 42, strength=0.1, noise=0.5)
