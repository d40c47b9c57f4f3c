"""Nothing is cut or unknown in silence: what reads a text says how much of it was read, and how much is not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from energylang.errors import ElError
from energylang.models.states import count_texts
from energylang.render.gallery import render
from energylang.session import Session

LONG = "Hi there my friend. " * 60
SHORT = "Thank you so much"


@pytest.fixture(scope="module")
def tiny() -> Session:
    return Session("tiny")


def shown(value: Any) -> str:
    console = Console(width=200, color_system=None)
    with console.capture() as captured:
        console.print(render(value))
    return captured.get()


def test_trace_says_how_much_it_read(tiny: Session) -> None:
    found = tiny.trace(3, LONG)
    assert found.given == len(tiny.text.encode(LONG)) > found.read == len(found.tokens)
    assert f"read {found.read} of {found.given} tokens of the text, the last that fit" in shown(found)
    whole = tiny.trace(3, SHORT)
    assert whole.given == whole.read == len(whole.tokens)
    assert (whole.unknown, "left out" in shown(whole)) == (0, False)


@pytest.mark.parametrize("position", ["decision", "last", "mean"])
def test_capture_says_how_much_it_read(position: str) -> None:
    session = Session("tiny")
    short = session.capture(3, "polite", SHORT, position=position)
    assert short.given == short.read == len(session.text.encode(SHORT))
    assert "left out" not in shown(short)
    both = session.capture(3, "polite", LONG, position=position)
    assert both.given == len(session.text.encode(SHORT)) + len(session.text.encode(LONG))
    assert short.read < both.read < both.given
    assert "left out" in shown(both)


def test_what_is_left_out_of_a_conversation_is_what_does_not_fit(tiny: Session) -> None:
    """The text becomes longer by a word at a time: at first all of it is read, then as much as the context holds."""
    counts = [count_texts(tiny.text, ["well " * n], "decision") for n in range(1, 200, 6)]
    assert all(each.read == each.given for each in counts[:3])
    assert max(each.read for each in counts) == counts[-1].read < tiny.text.max_length
    assert [each.read for each in counts] == sorted(each.read for each in counts)


def test_generate_and_its_trace_say_how_much_of_the_prompt_was_read(tiny: Session) -> None:
    for found in (tiny.generate(LONG, tokens=1), tiny.trace_generation(3, LONG, tokens=2)):
        assert found.given == len(tiny.text.encode(LONG)) > found.read > 0
        assert "of the prompt, the last that fit" in shown(found)
    found = tiny.generate(SHORT, tokens=1)
    assert found.given == found.read
    assert "left out" not in shown(found)


def test_benchmark_says_how_much_of_a_file_was_read(tmp_path: Path) -> None:
    session = Session("tiny")
    path = tmp_path / "a.txt"
    path.write_text("Thank you so much, my friend. 😀\n" * 400, encoding="utf-8")
    found = session.benchmark(str(path))
    assert 0 < found.read <= found.given == len(session.text.encode(path.read_text(encoding="utf-8")))
    assert found.unknown >= 400
    assert "are not known to the tokenizer" in shown(found)


def test_capture_file_says_how_much_it_read(tmp_path: Path) -> None:
    session = Session("tiny")
    path = tmp_path / "a.txt"
    path.write_text(f"{SHORT}\n😀\n{LONG}\n", encoding="utf-8")
    found = session.capture_file(3, "polite", str(path))
    assert found.samples == 3
    assert found.unknown >= 1
    assert found.read < found.given
    assert "left out" in shown(found)
    assert "not known to the tokenizer" in shown(found)


@pytest.mark.parametrize("text", ["😀", "\u200b", "日本語"])
def test_a_text_of_which_nothing_is_known_is_no_concept(text: str, tmp_path: Path) -> None:
    session = Session("tiny")
    with pytest.raises(ElError, match="knows no token of this text") as refused:
        session.capture(3, "a", text)
    assert refused.value.code == "EL201"
    path = tmp_path / "a.txt"
    path.write_text(f"{text}\n{text}\n", encoding="utf-8")
    with pytest.raises(ElError, match="knows no token of these texts"):
        session.capture_file(3, "a", str(path))
    assert not session.concepts().concepts


def test_unknown_tokens_are_counted(tiny: Session) -> None:
    found = tiny.trace(3, "Thank you 😀 so much 😀")
    assert (
        found.unknown
        == sum(token == tiny.text.tokenizer.unknown for token in tiny.text.encode(found.text))
        >= 2
    )
    assert f"{found.unknown} of {found.given} tokens" in shown(found)


@pytest.mark.slow
def test_a_push_of_no_strength_is_the_model_as_it_is() -> None:
    """`steer` at strength 0 gives the baseline bit for bit; a negative strength pushes away."""
    session = Session("tiny")
    session.capture(3, "polite", SHORT)
    found = session.steer(3, "polite", strengths=[-0.2, 0, 0.2], placebos=2)
    away, none, towards = sorted(found.steps, key=lambda step: step.strength)
    assert (away.strength, none.strength, towards.strength) == (-0.2, 0.0, 0.2)
    assert (none.share, none.log_prob) == (found.share_before, found.log_prob_before)
    assert (none.share_placebo, none.log_prob_placebo) == (found.share_before, found.log_prob_before)
    assert none.loss_change == 0.0
    assert away.log_prob < none.log_prob < towards.log_prob
