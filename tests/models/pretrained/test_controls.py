"""What stands beside edits and pushes of a stream: random ones, other concepts' directions, shuffled labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

from energylang.checker import check
from energylang.concepts.captured import pushes
from energylang.concepts.stream_controls import beside, beside_values
from energylang.landscape.lowrank import LowRank
from energylang.models.pretrained import loading
from energylang.render.gallery import render
from energylang.results import Effect
from energylang.session import Session
from energylang.syntax.parser import Source
from tests.real import LITTLE

from .conftest import Pair

WORDS = ("low", "grey", "lost", "tired", "cold", "alone", "empty", "hurt", "sorry", "sick")
FORCED = 'force=true reason="a random model says nothing"'


@pytest.fixture(autouse=True)
def _little_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "SIZES", LITTLE)


def ready(pair: Pair, where: Path) -> Session:
    made = Session(base=where)
    made.load(str(pair.folder))
    rows = "".join(f'"I feel so {word} today.","The bus is {len(word)} late."\n' for word in WORDS)
    (where / "sad.csv").write_text("text,contrast\n" + rows)
    made.run('capture-file L1 sad "sad.csv" column="text" contrast="contrast"')
    return made


@pytest.fixture
def session(llama: Pair, tmp_path: Path) -> Session:
    return ready(llama, tmp_path)


@pytest.fixture(params=["llama", "gpt2"])
def either(request: pytest.FixtureRequest, pair_of: Callable[[str], Pair], tmp_path: Path) -> Session:
    return ready(pair_of(request.param), tmp_path)


def kinds(found: Effect) -> dict[str, int]:
    return {each.kind: each.count for each in found.controls}


def test_an_effect_says_which_controls_there_are_and_which_could_not_be_had(session: Session) -> None:
    made = session.run(f"inject-concept L1 sad dose=1.0 method=memory placebos=2 {FORCED}")
    assert kinds(made.effect) == {"random": 2} and made.effect.placebos == 2 and not made.effect.absent
    found = session.run("effect L1 sad placebos=2")
    assert kinds(found) == {"random": 2, "shuffled": 3}
    assert found.absent == ("no other concept is captured at L1",)
    session.run('capture L1 calm "The lake is still." contrast="The road is loud."\ncapture L0 far "Gone."')
    found = session.run("effect L1 sad placebos=2")
    assert kinds(found) == {"random": 2, "other": 1, "shuffled": 3} and not found.absent
    console = Console(width=110)
    with console.capture() as shown:
        console.print(render(found))
    assert "another concept" in shown.get() and "shuffled label" in shown.get()
    first = session.run("effect L1 sad placebos=2 controls=random")
    assert kinds(first) == {"random": 2} and first.log_prob_placebo == found.log_prob_placebo
    assert first.own_change_placebo == found.own_change_placebo, "the others have no part in it"


def test_values_beside_an_edit_have_its_key_and_norm_and_go_its_way(either: Session) -> None:
    session = either
    session.run('capture L1 calm "The lake is still." contrast="The road is loud."')
    transposed = session.model.header.transposed
    concept = session.state.concepts["sad"]
    own = pushes(session, concept, (1,))[1]
    other = pushes(session, session.state.concepts["calm"], (1,))[1]
    query = torch.randn(session.model.header.neurons[1], generator=torch.Generator().manual_seed(1))
    for sign in (1.0, -1.0):
        columns = (sign * (own + 0.01))[:, None], query[:, None]
        edit = LowRank(*(columns[::-1] if transposed else columns))
        made, absent = beside_values(session, concept, {1: edit}, 2, "all", of_landscape=False)
        assert [each.kind for each in made] == ["random"] * 2 + ["other"] + ["shuffled"] * 3 and not absent
        for each in made:
            made_of = each.factors[1]
            key, value = (made_of.left, made_of.right)[:: 1 if transposed else -1]
            assert made_of.norm == pytest.approx(edit.norm, rel=1e-4)
            assert float(torch.cosine_similarity(key[:, 0], query, dim=0)) == pytest.approx(1, abs=1e-5)
            if each.kind == "other":
                assert float(torch.cosine_similarity(value[:, 0], sign * other, dim=0)) > 0.9999
    found = beside(session, concept, (1,))
    mixed = [each[1] for kind, each in found.found if kind == "shuffled"]
    assert not any(torch.allclose(each, way * own, rtol=1e-3) for each in mixed for way in (1, -1))
    assert len({tuple(each.tolist()) for each in mixed}) == 3


def test_what_cannot_be_shuffled_is_said(session: Session) -> None:
    session.run('capture L1 calm "The lake is still." contrast="The road is loud."')
    found = beside(session, session.state.concepts["calm"], (1,))
    assert [kind for kind, _ in found.found] == ["other"]
    assert found.absent == ("the labels of 1 text cannot be shuffled: `capture` more of `calm`",)


def test_pushes_stand_beside_other_pushes(session: Session) -> None:
    session.run('capture L1 calm "The lake is still." contrast="The road is loud."\npush L1 sad 2.0')
    found = session.run("effect L1 sad placebos=2")
    assert kinds(found) == {"random": 2, "other": 1, "shuffled": 3} and not found.absent
    assert kinds(session.run("effect L1 sad placebos=2 controls=random")) == {"random": 2}
    session.run("undo 2\npush L0..L1 sad 0.5")
    found = session.run("effect L1 sad placebos=1")
    assert kinds(found) == {"random": 1, "shuffled": 3}
    assert found.absent == ("no other concept is captured at L1",)


def test_the_checker_knows_the_controls() -> None:
    begin = 'load "tiny"\ncapture L3 sad "I cry"\npush L3 sad 1.0\n'

    def codes(line: str) -> list[str]:
        return [item.code for item in check(Source(begin + line + "\n")).diagnostics]

    assert codes("effect L3 sad controls=some") == ["EL208"]
    assert codes("effect L3 sad placebos=0") == ["EL206"]
    assert codes("effect L3 sad placebos=3 controls=all") == []
