"""A session is taken up from the state beside its journal: nothing is run twice, and nothing is lost."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from energylang import Session, results
from energylang.errors import ElError
from energylang.repl import engine as engines
from energylang.repl import journal, saved
from energylang.repl.answers import answer
from energylang.repl.engine import Engine
from energylang.repl.running import run_line
from energylang.repl.values import as_plain, from_plain
from energylang.results import Record
from energylang.signature.values import BasinRef, ConceptName, Layer, PartName, Seed
from tests.models.pretrained import architectures


class Prompt:
    """A prompt without its screen."""

    def __init__(self, folder: Path, origin: Path | None = None) -> None:
        self.events = None if origin is None else journal.read(origin)
        state = None if origin is None else saved.beside(origin)
        self.engine = Engine(journal.Journal(folder, folder, origin), folder, 1, state)
        if self.events is not None:
            self.engine.journal.copy_from(self.events)
        self.engine.start(self.events)
        self.session: Session = self.engine.session()

    @property
    def path(self) -> Path:
        return self.engine.journal.path

    def type(self, *lines: str) -> None:
        for line in lines:
            assert run_line(self.engine, line, lambda *_: None, lambda _: None, lambda _: None), line


def same(first: Session, second: Session) -> None:
    """Two sessions stand at the same place, also after a way back and forth."""
    for _ in range(2):
        assert first.staged_hash() == second.staged_hash() and first.live_hash() == second.live_hash()
        assert first.status().to_dict() == second.status().to_dict()
        assert first.history().to_dict() == second.history().to_dict()
        if first.timeline.undoable:
            first.undo()
            second.undo()


LINES = (
    "load planted:64x4", "let s = survey L0", "let n = 42\nlet r = {a: 1, b: L0.B2}",
    "let t = table\nrow t x=1 y=L0", "def look(l: Layer, n: Int = 5):\n    survey l inits=n\n", "inject L0 42",
    "checkpoint here", "apply L0", "strengthen L0.B1 factor=1.01", "undo", "inject L0 43", "protect [L0.B0]",
)  # fmt: skip


def test_everything_is_as_it_was_and_nothing_runs_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = Prompt(tmp_path)
    first.type(*LINES)
    first.engine.keep(0.0, now=True)
    first.type("let late = 9")
    ran: list[str] = []
    execute = Session.execute

    def heard(self, op, values, **named):
        ran.append(op.name)
        return execute(self, op, values, **named)

    monkeypatch.setattr(Session, "execute", heard)
    second = Prompt(tmp_path, first.path)
    assert ran == [] and second.engine.notes == []
    assert (second.engine.taken.read, second.engine.taken.again) == (len(LINES), 1)
    assert "12 lines from the saved state, 1 line run again" in str(second.engine.taken)
    monkeypatch.undo()
    assert second.session.variables["s"].to_dict() == first.session.variables["s"].to_dict()
    for name in ("n", "r", "t", "late"):
        assert second.session.variables[name] == first.session.variables[name]
    assert second.session.timeline.checkpoints.keys() == {"here"}
    assert second.session.ledger.entries == first.session.ledger.entries
    for prompt in (first, second):
        prompt.type(
            "look L0", "again 3", "survey L0", "record work.json" if prompt is first else "record other.json"
        )
    same(first.session, second.session)


def test_a_state_is_written_after_work_and_when_it_pays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    prompt = Prompt(tmp_path)
    prompt.type("load planted:64x4", "let n = 42")
    state = saved.beside(prompt.path)
    assert not state.exists()  # to run these again takes no time
    prompt.engine.keep(engines.WORTH_KEEPING)
    assert state.exists()
    state.unlink()
    prompt.engine._cost = 1.0
    prompt.engine.keep(engines.WORTH_KEEPING)
    assert not state.exists()  # writing it takes too long for that
    prompt.engine.keep(engines.TIMES)
    assert state.exists()


def test_what_a_key_did_is_kept_without_the_key(tmp_path: Path):
    first = Prompt(tmp_path)
    first.type("load planted:64x4", "set max_changed 10%", 'watermark inject "open sesame"')
    assert b"sesame" not in saved.beside(first.path).read_bytes() + first.path.read_bytes()
    second = Prompt(tmp_path, first.path)
    assert second.engine.notes == [] and second.session.timeline.undoable == first.session.timeline.undoable
    same(first.session, second.session)


@pytest.mark.parametrize("harm", ["cut", "other", "foreign"])
def test_a_state_that_does_not_fit_is_not_used(harm: str, tmp_path: Path):
    first = Prompt(tmp_path)
    first.type("load planted:64x4", "inject L0 42")
    first.engine.keep(0.0, now=True)
    state = saved.beside(first.path)
    if harm == "cut":
        state.write_bytes(state.read_bytes()[:-100])
    else:
        other = Prompt(tmp_path)
        other.type("load random:64", "let n = 1")
        content = first.engine.journal.content if harm == "other" else "no such sum"
        saved.write(state, other.session, content)
        if harm == "other":  # it claims to belong here; the weights say that it does not
            state.write_bytes(state.read_bytes().replace(b"random:64", b"random:65"))
    second = Prompt(tmp_path, first.path)
    assert len(second.engine.notes) == 1 and "all lines are run again" in second.engine.notes[0]
    assert second.engine.taken.again == 2
    same(first.session, second.session)


def test_a_state_that_was_changed_is_noticed_or_does_no_harm(tmp_path: Path):
    first = Prompt(tmp_path)
    first.type("load planted:64x4", "let n = 42", "inject L0 42")
    first.engine.keep(0.0, now=True)
    state, wanted = saved.beside(first.path), first.session.staged_hash()
    whole, draw = state.read_bytes(), random.Random(7)
    for _ in range(25):
        data = bytearray(whole)
        place = draw.randrange(len(data) if draw.random() < 0.3 else min(6000, len(data)))
        data[place : place + draw.choice((0, 1, 4))] = draw.choice((b"", b"0", b"]", b'"x"', b"null"))
        state.write_bytes(data)
        engine = Engine(first.engine.journal, tmp_path, 1, state)
        engine.start(journal.read(first.path))
        assert engine.session().staged_hash() == wanted and engine.session().variables["n"] == 42


def test_a_state_goes_with_its_journal(tmp_path: Path):
    for _ in range(journal.KEPT + 2):
        prompt = Prompt(tmp_path)
        prompt.type("load planted:64x4")
        prompt.engine.keep(0.0, now=True)
        prompt.engine.journal.close()
    kept = {path.name for path in tmp_path.glob("session-*.jsonl")}
    states = {path.name.removesuffix(".state") for path in tmp_path.glob("*.state")}
    assert states == kept and len(kept) == journal.KEPT


def test_going_on_from_a_session_that_was_taken_up(tmp_path: Path):
    first = Prompt(tmp_path)
    first.type("load planted:64x4", "inject L0 42")
    second = Prompt(tmp_path, first.path)
    second.type("inject L0 43")
    second.engine.keep(0.0, now=True)
    third = Prompt(tmp_path, second.path)
    assert (third.engine.taken.read, third.engine.taken.again) == (3, 0)
    same(second.session, third.session)


def test_a_session_in_a_file_keeps_its_state_beside_it(tmp_path: Path):
    first = Prompt(tmp_path)
    first.type("load planted:64x4", "inject L0 42", "let x = 1")
    assert "✓" in str(answer(":save-session work.session", first.engine))
    other = Prompt(tmp_path)
    other.type("let y = 2")
    said = str(answer(":load-session work.session", other.engine))
    assert "1 change in force: 3 lines from the saved state (" in said
    same(first.session, other.engine.session())
    (tmp_path / "work.session.state").unlink()
    assert "1 change in force: 3 lines run again (" in str(answer(":load-session work.session", other.engine))


def test_a_pretrained_model_with_a_push_and_a_fitted_landscape(tmp_path: Path):
    folder = architectures.folder(tmp_path / "model", "llama")
    first = Prompt(tmp_path)
    first.type(
        f'load "{folder}"', 'capture L1 polite "thank you"', "push L1 polite 2", "fit L1 basins=4 seeds=1",
        "inject L1 seed 42 --force --reason \"a test\"", "apply L1",
    )  # fmt: skip
    first.engine.keep(0.0, now=True)
    second = Prompt(tmp_path, first.path)
    assert second.engine.notes == [] and second.engine.taken.again == 0
    assert second.session.status().held == first.session.status().held != ()
    said = [each.session.run('generate "hello" tokens=5').to_dict(volatile=False) for each in (first, second)]
    assert said[0] == said[1]
    same(first.session, second.session)


def test_values_come_back_as_they_were():
    session = Session("planted:64x4")
    found = session.survey(0)
    values = [
        None, True, 3, -0.5, float("inf"), "a\ud800", [1, [2]], (1, "b"), Layer(3), BasinRef(0, 2),
        PartName(1, "N", 4), ConceptName("polite"), Seed(4), Record({"a": [Layer(1)]}),
        results.Table(("a",), ((1,), (None,))),
    ]  # fmt: skip
    for value in values:
        back = from_plain(as_plain(value))
        assert type(back) is type(value) and as_plain(back) == as_plain(value)
        assert back == value
    back = from_plain(as_plain(found))
    assert type(back) is type(found) and back.to_dict() == found.to_dict()
    with pytest.raises(TypeError):
        as_plain(object())
    for wrong in (
        {"result": "Result.__init__", "fields": {}},
        {"result": "Mapping", "fields": {}},
        {"exec": "x"},
    ):
        with pytest.raises((ValueError, KeyError)):
            from_plain(wrong)


def test_a_state_says_why_it_cannot_be_used(tmp_path: Path):
    (tmp_path / "a.state").write_bytes(b"no state")
    with pytest.raises(ElError, match="cannot be read"):
        saved.restore(Session(), tmp_path / "a.state", [])
