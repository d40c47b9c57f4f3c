"""The micro-world keeps its promises."""

from __future__ import annotations

import random

import pytest

from energylang.models.corpus import (
    MARKERS,
    REGISTERS,
    classify,
    conversation,
    documents,
    main,
    neutral_questions,
)


@pytest.mark.parametrize("register", REGISTERS)
def test_every_reply_is_classified_as_its_register_and_no_question_is(register: str) -> None:
    draw = random.Random(1)
    for _ in range(400):
        for question, reply in conversation(draw, register):
            assert classify(reply) == register, reply
            assert classify(question) is None, question


def test_marker_words_belong_to_one_register() -> None:
    words = [w for r in REGISTERS for w in MARKERS[r]]
    assert len(words) == len(set(words))
    assert classify("") is None
    assert classify("yeah, please") is None


def test_the_seed_decides_every_byte(capsys: pytest.CaptureFixture[str]) -> None:
    random.seed(1)
    assert main(["--seed", "3", "--documents", "20"]) == 0
    first = capsys.readouterr().out
    random.seed(2)
    main(["--seed", "3", "--documents", "20"])
    assert capsys.readouterr().out == first
    assert list(documents(3, 2)) != list(documents(4, 2))
    assert first.count("\n\n") == 20
    assert len(neutral_questions(0, 30)) == 30


def test_documents_must_be_many() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--documents", "0"])
    assert caught.value.code == 2
