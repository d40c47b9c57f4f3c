"""`transplant` between the memories of streams: what is answered at a concept's key, carried over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from energylang.checker import check
from energylang.concepts.halves import halves
from energylang.concepts.keyed import answer_of, answered
from energylang.concepts.keys import key_at
from energylang.concepts.memory import key_of
from energylang.errors import ElError
from energylang.models.pretrained import loading
from energylang.run.interpreter import ScriptError
from energylang.session import Session
from energylang.signature.values import ConceptName
from energylang.syntax.parser import Source
from tests.real import LITTLE

from .conftest import Pair

CAPTURED = 'capture L1 sad "I feel so low."\ncapture L1 sad "It is over, and I cry."'
FREE = 'damage=100% placebos=1 force=true reason="a random model says nothing"'


@pytest.fixture(autouse=True)
def _little_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "SIZES", LITTLE)


def logits(session: Session) -> torch.Tensor:
    return session.text.forward(torch.arange(3, 27).reshape(2, 12)).logits


def test_an_edit_of_a_saved_model_is_carried_over(pair_of: Callable[[str], Pair], tmp_path: Path) -> None:
    base = str(pair_of("gpt2").folder)
    first = Session(base=tmp_path)
    first.load(base)
    first.run(f'{CAPTURED}\nredirect L1 sad to="the old house" {FREE}\napply L1\nsave "edited"')
    sad = ConceptName("sad")
    wanted = answer_of(first, 1, key_at(first, 1, sad))
    second = Session(base=tmp_path)
    second.load(base)
    second.run(CAPTURED)
    before = logits(second)
    key = key_at(second, 1, sad)
    assert not torch.allclose(answer_of(second, 1, key), wanted, rtol=1e-3)
    made = second.run(f'transplant "edited" L1 sad {FREE}')
    assert torch.allclose(answer_of(second, 1, key), wanted, rtol=1e-3, atol=1e-5)
    assert made.operation == "transplant" and made.rank == 1 and made.keyed.to == "L1 of edited"
    second.run("apply L1")
    assert torch.allclose(logits(second), logits(first), atol=1e-3) and not torch.equal(
        logits(second), before
    )
    second.run('record "done.json"\nundo 2')
    assert torch.equal(logits(second), before) and second.run("status").is_original
    assert second.run('replay "done.json"').identical


def test_another_layer_s_answer_is_carried_over(llama: Pair, tmp_path: Path) -> None:
    session, spec = Session(base=tmp_path), str(llama.folder)
    session.load(spec)
    session.run(CAPTURED)
    part = halves(session.state.concepts["sad"])[0]
    there = key_of(session.text, replace(part, layer=0))
    wanted = answered(session.weight(session.memory(0)), there, transposed=False)
    session.run(f'transplant "{spec}" L1 sad there=L0 {FREE}')
    key = key_at(session, 1, ConceptName("sad"))
    assert torch.allclose(answer_of(session, 1, key), wanted, rtol=1e-3, atol=1e-5)
    session.run("undo")
    for line, told in (
        (f'transplant "{spec}" L1 sad', "nothing to bring over"),
        (f'transplant "{spec}" L1 sad there=L9', "no L9"),
        ("transplant tiny L1 sad", "have none"),
    ):
        with pytest.raises((ElError, ScriptError), match=told):
            session.run(line)


def test_the_checker_knows_where_a_layer_can_be_named(llama: Pair) -> None:
    def codes(script: str) -> list[str]:
        return [item.code for item in check(Source(script)).diagnostics]

    stream = f'load "{llama.folder}"\ncapture L1 sad "I cry"\n'
    assert codes(f'{stream}transplant "{llama.folder}" L1 sad there=L0\n') == []
    tiny = 'load "tiny"\ncapture L3 sad "I cry"\n'
    assert codes(f"{tiny}transplant tiny L3 sad\n") == []
    assert codes(f"{tiny}transplant tiny L3 sad there=L2\n") == ["EL254"]
    session = Session("tiny")
    session.run('capture L3 sad "I cry"')
    with pytest.raises(ElError) as caught:
        session.transplant("tiny", 3, "sad", there=2)
    assert caught.value.code == "EL254"
