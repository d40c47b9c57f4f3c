"""Edits of a memory by key (`strengthen`, `weaken`, `redirect`): random models of two architectures, one of which keeps
its weights transposed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

from energylang.checker import check
from energylang.concepts.keyed import answer_of, answered
from energylang.concepts.keys import Phrase, key_at
from energylang.errors import ElError
from energylang.models.pretrained import loading
from energylang.models.protocol import Change
from energylang.render.gallery import render
from energylang.repl.suggest import suggest
from energylang.results import Edit
from energylang.run.interpreter import ScriptError
from energylang.session import Session
from energylang.signature.values import BasinRef, ConceptName, PartName
from energylang.syntax.parser import Source
from tests.real import LITTLE

from .conftest import Pair

WORDS = ("low", "grey", "lost", "tired", "cold", "alone", "empty", "hurt", "sorry", "sick")
FREE = 'damage=100% placebos=2 force=true reason="a random model says nothing"'


@pytest.fixture(autouse=True)
def _little_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "SIZES", LITTLE)


@pytest.fixture(params=["llama", "gpt2"])
def session(request: pytest.FixtureRequest, pair_of: Callable[[str], Pair], tmp_path: Path) -> Session:
    return ready(pair_of(request.param), tmp_path)


@pytest.fixture
def llama_session(pair_of: Callable[[str], Pair], tmp_path: Path) -> Session:
    return ready(pair_of("llama"), tmp_path)


def ready(pair: Pair, where: Path) -> Session:
    made = Session(base=where)
    made.load(str(pair.folder))
    rows = "".join(f'"I feel so {word} today.","The bus is {len(word)} late."\n' for word in WORDS)
    (where / "sad.csv").write_text("text,contrast\n" + rows)
    made.run('capture-file L1 sad "sad.csv" column="text" contrast="contrast"')
    return made


def logits(session: Session, change: Change | None = None) -> torch.Tensor:
    tokens = torch.arange(3, 27).reshape(2, 12)
    return session.text.forward(tokens, **({} if change is None else {"change": change})).logits


def edited(session: Session, line: str) -> Edit:
    found = session.run(line)
    assert isinstance(found, Edit) and found.applied, found.reason
    return found


KEYS = {
    "L1.N5": PartName(1, "N", 5),
    "L1 sad": ConceptName("sad"),
    'L1 "the old house"': Phrase("the old house"),
}


def test_the_answer_at_a_key_is_multiplied(session: Session) -> None:
    original = logits(session)
    for written, source in KEYS.items():
        key = key_at(session, 1, source)
        assert float(key.query @ key.key) == pytest.approx(1, abs=1e-9) and key.count > 0
        before = answer_of(session, 1, key)
        made = edited(session, f"strengthen {written} 1.5 {FREE}")
        assert torch.allclose(answer_of(session, 1, key), 1.5 * before, rtol=1e-3, atol=1e-5)
        assert made.method == "memory" and made.rank == 1 and made.factor == 1.5 and made.keyed is not None
        found = made.keyed
        assert found.at_key == pytest.approx(1.5, rel=1e-4) and found.placebos == 2
        assert found.after - found.before == pytest.approx(0.5 * found.heard, rel=1e-2, abs=1e-4)
        assert (found.kl or 0) > 0 and (key.kind != "neuron" or found.heard > found.elsewhere)
        assert torch.equal(logits(session), original), "it is staged, not live"
        session.run("apply L1")
        assert not torch.equal(logits(session), original)
        session.run("undo 2")
        assert torch.equal(logits(session), original) and session.run("status").is_original
    edited(session, f"weaken L1 sad 0.25 {FREE}")
    key = key_at(session, 1, ConceptName("sad"))
    now = answer_of(session, 1, key)
    edited(session, f"strengthen L1 sad 4 {FREE}")
    assert torch.allclose(answer_of(session, 1, key), 4 * now, rtol=1e-3, atol=1e-5)


def test_a_factor_of_one_changes_nothing(llama_session: Session) -> None:
    session = llama_session
    before, weight = logits(session), session.model.weight(1).clone()
    for written in KEYS:
        made = edited(session, f"strengthen {written} 1 placebos=1")
        assert made.norm == 0 and made.keyed is not None and made.keyed.kl == 0
    session.run("apply L1")
    assert torch.equal(session.weight(session.memory(1)), weight) and torch.equal(logits(session), before)


def test_a_neuron_made_louder_is_one_that_is_scaled(session: Session) -> None:
    session.run("scale L1.N5 3")
    with_scale = session.run('generate "Hello" tokens=6 temp=0.5 seed=1').text
    session.run("undo")

    def thrice(activations: torch.Tensor) -> torch.Tensor:
        made = activations.clone()
        made[:, :, 5] *= 3
        return made

    scaled = logits(session, Change(neurons={1: thrice}))
    session.run(f"strengthen L1.N5 3 {FREE}\napply L1")
    assert torch.allclose(logits(session), scaled, atol=2e-4)
    assert session.run('generate "Hello" tokens=6 temp=0.5 seed=1').text == with_scale
    others = [k for k in range(session.model.header.neurons[1]) if k != 5]
    now, was = session.weight(session.memory(1)), session.weight(session.memory(1).root)
    columns = (now - was) if not session.model.header.transposed else (now - was).T
    assert not columns[:, others].any(), "no other neuron writes anything else"


def test_a_key_is_answered_as_another_is(session: Session) -> None:
    keys = [key_at(session, 1, Phrase(each)) for each in ("the old house", "a grey river")]
    first, second = (answer_of(session, 1, key) for key in keys)
    made = edited(session, f'redirect L1 "the old house" to="a grey river" {FREE}')
    assert torch.allclose(answer_of(session, 1, keys[0]), second, rtol=1e-3, atol=1e-4)
    assert made.dose == 1 and made.keyed is not None and made.keyed.to == '"a grey river"'
    assert made.keyed.at_key == pytest.approx(1, abs=1e-4)
    session.run("undo")
    half = edited(session, f'redirect L1 "the old house" to="a grey river" dose=0.5 {FREE}')
    assert torch.allclose(answer_of(session, 1, keys[0]), (first + second) / 2, rtol=1e-3, atol=1e-4)
    assert half.norm == pytest.approx(made.norm / 2, rel=1e-4)
    session.run("undo")
    assert edited(session, f"redirect L1.N5 to=@sad {FREE}").target == "L1.N5 → @sad"
    with pytest.raises((ElError, ScriptError), match="is answered as"):
        session.run("redirect L1.N5 to=L1.N5")
    session.run("undo")
    other = edited(session, "redirect L1.N5 to=L1.N6 damage=100% placebos=1")
    assert not other.forced and other.keyed is not None and other.keyed.after > other.keyed.before


def test_a_budget_says_how_much_of_it_is_made(llama_session: Session) -> None:
    session = llama_session
    dear = session.run("strengthen L1 sad 1000 damage=0.0001% placebos=1")
    assert not dear.applied and "more than the budget" in dear.reason and session.run("status").is_original
    some = session.run("strengthen L1 sad 1000 damage=5% placebos=1")
    if some.applied and some.dose < 1:
        assert some.factor == pytest.approx(1 + some.dose * 999) and "allows" in some.notes[-1]


def test_it_is_saved_recorded_replayed_and_drawn(llama_session: Session, tmp_path: Path) -> None:
    session = llama_session
    made = edited(session, f'strengthen L1 "the old house" 2 {FREE}')
    console = Console(width=110)
    with console.capture() as shown:
        console.print(render(made))
    assert "random values" in shown.get() and "elsewhere" in shown.get()
    session.run(f"weaken L1.N3 0.5 {FREE}")
    session.run(f"redirect L1 @sad to=L1.N7 {FREE}")
    session.run('apply L1\nrecord "done.json"\nsave "out"')
    assert session.run("diff L1").edits == 3
    again = Session(base=tmp_path)
    again.load("out")
    assert torch.equal(logits(again), logits(session))
    assert session.run('replay "done.json"').identical


def test_a_basin_of_a_fitted_layer_is_a_key(llama_session: Session) -> None:
    session = llama_session
    session.run("fit L1 basins=4 components=8")
    landscape = session.weight(session.staged(1)).clone()
    key = key_at(session, 1, BasinRef(1, 0))
    before = answer_of(session, 1, key)
    made = edited(session, f"strengthen L1.B0 1.5 method=memory {FREE}")
    assert made.keyed is not None and made.keyed.kind == "basin" and made.keyed.places > 0
    assert torch.allclose(answer_of(session, 1, key), 1.5 * before, rtol=1e-3, atol=1e-5)
    assert torch.equal(session.weight(session.staged(1)), landscape), "the landscape is as it was"
    moved = edited(session, f"redirect L1.B0 to=L1.B1 method=memory {FREE}")
    wanted = answered(
        session.weight(session.memory(1)),
        key_at(session, 1, BasinRef(1, 1)).key,
        transposed=session.model.header.transposed,
    )
    assert moved.keyed is not None and moved.keyed.to == "L1.B1" and wanted.any()
    field = session.run('strengthen L1.B0 1.1 --force --reason "to see"')
    assert field.method is None and field.keyed is None and field.field_after is not None


def test_a_text_is_a_concept_where_one_is_called_so(llama_session: Session) -> None:
    assert edited(llama_session, f'strengthen L1 "sad" 2 {FREE}').target == "@sad"
    assert edited(llama_session, f'strengthen L1 "Paris" 2 {FREE}').target == '"Paris"'
    assert llama_session.strengthen("L1.N4", 2.0, damage=1.0, placebos=1).target == "L1.N4"
    assert llama_session.weaken(1, "sad", 0.5, damage=1.0, placebos=1).target == "@sad"


def test_wrong_keys_are_found_before_anything_runs(llama_session: Session) -> None:
    load = f'load "{llama_session.model.spec}"\ncapture L1 sad "I cry"\n'

    def codes(line: str, begin: str = load) -> list[str]:
        return [item.code for item in check(Source(begin + line + "\n")).diagnostics]

    right = (
        "strengthen L1.N5 2",
        "strengthen L1 sad 2",
        'weaken L1 "the old house" 0.5 damage=1% placebos=3',
        'redirect L1 "the old house" to=L1.N3',
        "redirect L1 sad to=L1.N3 dose=0.5",
        "fit L1\nstrengthen L1.B0 2",
        "fit L1\nstrengthen L1.B0 2 method=memory",
        "fit L1\nredirect L1.B0 to=@sad",
        "let k = L1.N5\nstrengthen L1 k 2",
        "let k = L1.N5\nstrengthen k 2",
        'let w = "house"\nstrengthen L1 "the {w}" 2',
    )
    assert [codes(line) for line in right] == [[]] * len(right)
    wrong = {
        "strengthen L1.N9999 2": "EL308",
        "strengthen L9.N1 2": "EL302",
        "strengthen L1 L1.H1 2": "EL201",
        "strengthen L1 mad 2": "EL305",
        "strengthen L1.B0 2": "EL251",
        "strengthen L1.B0 2 method=memory": "EL251",
        "strengthen L1 42 2": "EL251",
        "redirect L1.B0 to=@sad": "EL251",
        "strengthen L1.N5 0": "EL206",
        "strengthen L1.N5 2 method=field": "EL208",
        'redirect L1 "a" to="b" dose=1 strength=0.1': "EL202",
    }
    assert {line: codes(line) for line in wrong} == {line: [code] for line, code in wrong.items()}
    tiny = 'load "tiny"\ncapture L3 sad "I cry"\n'
    assert codes("strengthen L3.N5 2", tiny) == ["EL254", "EL308"]
    assert codes('strengthen L3 "the old house" 2', tiny) == ["EL254"]
    assert codes("survey L3\nstrengthen L3.B0 2 method=memory", tiny) == ["EL254"]
    assert codes('strengthen L3 "sad" 2', tiny) == codes("strengthen L3 sad 2", tiny) == []
    assert codes('let w = "sad"\nstrengthen L3 "{w}" 2', tiny) == ["EL254"]


def test_keys_are_completed(llama_session: Session) -> None:
    def offered(line: str) -> set[str]:
        return {each.text for each in suggest(line, llama_session)}

    assert "L1.N" in offered("strengthen L1.") and "L1.N" in offered("redirect L1 sad to=L1.")
    assert "L1.N" not in offered("survey L1.") and "sad" in offered("strengthen L1 s")
    assert {"placebos=", "damage="} <= offered("weaken L1.N5 0.5 ")


def test_what_the_checker_cannot_see_is_said_when_it_runs(llama_session: Session) -> None:
    for line, told in (
        ("strengthen L1 seed 3 2 method=memory", "landscape"),
        ('strengthen L1 " " 2', "empty phrase"),
        ("redirect L1.N5 to=7", "has no landscape"),
        ("strengthen L0 L1.N5 2", "not a neuron of L0"),
    ):
        with pytest.raises((ElError, ScriptError), match=told):
            llama_session.run(line)
    session = Session()
    session.load("planted:24x2")
    for target in ("L0.N3", "the old house"):
        with pytest.raises(ElError) as caught:
            session.strengthen(0, target, 2.0)
        assert caught.value.code in ("EL254", "EL511")
