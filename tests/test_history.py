"""The way back: undo and redo, single layers, checkpoints, the tree, transactions and scopes. All bit for bit."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from energylang.errors import ElError
from energylang.ops import TABLE
from energylang.render.gallery import render
from energylang.run.interpreter import ScriptError
from energylang.session import Session


@pytest.fixture
def session() -> Session:
    made = Session("random:16x2")
    made.run("set inits 20")
    return made


def marks(session: Session) -> tuple[object, ...]:
    return session.staged_hash(), session.live_hash(), session.state


def test_undo_and_redo_go_through_the_same_states(session: Session) -> None:
    states = [marks(session)]
    for line in ("inject L0 1 strength=0.05", "apply L0", "set beta 3.0", "inject L1 2 strength=0.05"):
        session.run(line)
        states.append(marks(session))
    for expected in states[-2::-1]:
        session.undo()
        assert marks(session) == expected
    for expected in states[1:]:
        session.redo()
        assert marks(session) == expected


def test_undo_of_several_changes_is_as_many_single_ones(session: Session) -> None:
    session.run("set inits 30\nset inits 40\nset inits 50")
    undone = session.undo(2)
    assert undone.statements == ("set inits 50", "set inits 40")
    assert session.setting("inits") == 30
    assert session.redo(99).again == ("set inits 40", "set inits 50")
    assert session.undo(99).at == 0


def test_nothing_is_ever_lost(session: Session) -> None:
    session.run("set inits 30")
    session.undo()
    session.run("set inits 40")
    session.undo()
    session.run("set inits 50")
    ids = [entry.id for entry in session.history().entries]
    for id, inits in zip(ids[1:], (30, 40, 50), strict=True):
        session.goto(id)
        assert session.setting("inits") == inits
    session.goto(0)
    assert session.redo().again == ("set inits 20",)
    assert session.redo().again == ("set inits 50",), "redo takes the branch that was left last"


def test_undo_of_one_layer_leaves_the_rest(session: Session) -> None:
    session.run('inject L0 1 strength=0.05 --force --reason "for the test"')
    first = session.state.layers[0].staged
    session.run('inject L0 2 strength=0.05 --force --reason "for the test"')
    session.run('inject L1 3 strength=0.05 --force --reason "for the test"\nset beta 3.0')
    other = session.state.layers[1]
    assert "inject L0 2" in session.undo("L0").statements[0]
    assert session.state.layers[0].staged is first
    assert session.state.layers[1] is other
    assert session.setting("beta") == 3.0
    assert "inject L0 1" in session.undo("L0").statements[0]
    assert session.state.layers[0].staged.depth == 0
    with pytest.raises(ElError, match="no edit of L0 is in force") as caught:
        session.undo("L0")
    assert caught.value.code == "EL512"
    session.undo(2)
    assert session.state.layers[0].staged.depth == 2, "it is a change itself, and can be undone"
    with pytest.raises(ElError, match="there is no L7"):
        session.undo("L7")


def test_checkpoints_live_with_the_session(session: Session) -> None:
    session.run("checkpoint clean\nset beta 3.0\ncheckpoint later\nundo 2")
    assert session.rollback("later").again == ("set inits 20", "set beta 3.0")
    assert session.rollback("clean").statements == ("set beta 3.0",)
    assert session.run("checkpoint clean").moved_from == 1
    with pytest.raises(ElError, match="no checkpoint `laterr`") as caught:
        session.rollback("laterr")
    assert caught.value.code == "EL514"
    assert "later" in caught.value.hint
    session.run("load random:16")
    with pytest.raises(ElError, match="no checkpoint"):
        session.rollback("clean")


def test_goto_a_place_that_is_none(session: Session) -> None:
    with pytest.raises(ElError, match="there is no operation 99"):
        session.goto(99)


def test_the_tree_is_drawn(session: Session) -> None:
    session.run("checkpoint clean\nset beta 3.0\nundo\nset beta 4.0\nundo\nset beta 5.0")
    screen = Console(file=io.StringIO(), width=80)
    screen.print(render(session.history(tree=True)))
    assert screen.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "○ 0 the beginning",
        "○ 1 set inits 20  ⚑ clean",
        "├─○ 2 set beta 3.0  UNDONE",
        "├─○ 3 set beta 4.0  UNDONE",
        "└─● 4 set beta 5.0  ← here",
    ]


def test_a_transaction_undoes_everything_even_another_model(session: Session) -> None:
    session.run("inject L0 1 strength=0.05\napply L0")
    before, weights, timeline = marks(session), session.model, session.timeline

    def fail(text: str, error: BaseException) -> None:
        with session.transaction():
            session.run(text)
            raise error

    with pytest.raises(ZeroDivisionError):
        fail(
            "set beta 3.0\nload random:8\nset inits 99\ninject L0 1 strength=0.05\napply L0",
            ZeroDivisionError(),
        )
    assert marks(session) == before
    assert session.model is weights
    assert session.timeline is timeline
    with pytest.raises(KeyboardInterrupt):
        fail("restore-all\nset inits 99", KeyboardInterrupt())
    assert marks(session) == before
    session.run("undo 2")
    assert session.status().is_original


def test_a_scope_undoes_what_its_operation_changed_and_nothing_else(session: Session) -> None:
    values = {"setting": "beta", "value": 3.0}
    with session.scoped(TABLE["set"], values) as result:
        assert result.value == 3.0
        session.run("set inits 77\nset beta 4.0\ninject L0 1 strength=0.05")
        edited = session.state.layers[0]
    assert session.setting("beta") == "auto"
    assert session.setting("inits") == 77
    assert session.state.layers[0] is edited
    assert session.history().entries[-1].statement == "end of: set beta 3.0"
    session.undo()
    assert session.setting("beta") == 4.0


def test_a_scope_around_an_edit(session: Session) -> None:
    layer, other = session.state.layers
    force = {"force": True, "reason": "for the test"}
    with session.scoped(TABLE["inject"], {"layer": 0, "target": 42, "strength": 0.1, **force}):
        assert session.state.layers[0] is not layer
        session.run('inject L1 1 strength=0.1 --force --reason "for the test"')
    assert session.state.layers[0].staged is layer.staged
    assert session.state.layers[1] is not other
    with pytest.raises(ScriptError), session.scoped(TABLE["set"], {"setting": "beta", "value": 3.0}):
        session.run("require 1 > 2")
    assert session.setting("beta") == "auto"


def test_a_scope_whose_edit_is_refused_is_one_all_the_same(session: Session) -> None:
    layer = session.state.layers[0]
    session.run("survey L0\nset max_changed 0")
    with session.scoped(TABLE["inject"], {"layer": 0, "target": 42, "strength": 50.0}) as result:
        assert not result.applied
        session.run('remove L0.B0 --force --reason "for the test"\nset inits 33')
        assert session.state.layers[0] is not layer
    assert session.state.layers[0] is layer
    assert session.setting("inits") == 33


def test_a_refused_edit_is_a_step_too(session: Session) -> None:
    """How far back `undo` goes is read off the script, not off what the gate decided."""
    session.run('inject L0 1 strength=0.05 --force --reason "for the test"\nsurvey L0\nset max_changed 0')
    kept = marks(session)
    assert not session.run("inject L0 42 strength=50.0").applied
    assert marks(session) == kept
    undone = session.undo()
    assert undone.statements == ("inject L0 42 strength=50.0",)
    assert undone.refused == 1
    assert marks(session) == kept
    shown = io.StringIO()
    Console(file=shown, width=100).print(render(undone))
    assert "had been refused and had changed nothing" in shown.getvalue()
    session.redo()
    assert session.undo("L0").statements == ("inject L0 42 strength=50.0",)
    assert marks(session)[:2] == kept[:2]
    assert session.undo("L0").statements[0].startswith("inject L0 1")
    assert session.status().is_original
    with pytest.raises(ElError, match="no edit of L0 is in force"):
        session.undo("L0")


def test_undo_of_a_layer_after_a_scope_takes_back_the_edit_before_it(session: Session) -> None:
    force = '--force --reason "for the test"'
    original = session.state.layers[0].staged
    session.run(f"inject L0 1 strength=0.05 {force}")
    first = session.state.layers[0].staged
    session.run(f"with inject L0 2 strength=0.05 {force}:\n    inject L0 3 strength=0.05 {force}")
    assert session.state.layers[0].staged is first
    session.undo("L0")
    assert session.state.layers[0].staged is original
    session.undo()
    assert session.state.layers[0].staged is first
    session.run("restore L0")
    with pytest.raises(ElError, match="no edit of L0 is in force"):
        session.undo("L0")


def test_a_failing_travel_leaves_everything(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    session.run("set inits 30\nset inits 40")
    before, at = marks(session), session.timeline.current
    monkeypatch.setattr(Session, "staged_hash", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        session.undo(2)
    monkeypatch.undo()
    assert marks(session) == before
    assert session.timeline.current is at


STEPS = st.lists(
    st.sampled_from(
        ["set inits 30", "set inits 40", "set beta 3.0", "undo", "undo 2", "redo", "redo 2", "checkpoint a",
         "checkpoint b", "rollback a", "rollback b", "goto 0", "goto 2", "goto 4"]
    ),
    max_size=14,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_every_place_keeps_its_state(steps: list[str]) -> None:
    """Whatever way was gone, a node of the history always means the same state."""
    session = Session("random:4")
    seen = {0: session.state}
    for line in steps:
        try:
            session.run(line)
        except ScriptError as error:
            assert error.diagnostics[0].code in ("EL306", "EL512", "EL514")
        node = session.timeline.current
        assert seen.setdefault(node.id, session.state) is session.state
        assert node.after is session.state
        assert (session.timeline.undoable == 0) == (node is session.timeline.root)
