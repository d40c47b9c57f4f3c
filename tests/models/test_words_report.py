"""``el report words``: which tokens a pattern tells, what chooses and what measures, one whole run, bad input."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from energylang.cli import main
from energylang.cli.concepts import read_patterns
from energylang.errors import ElError
from energylang.session import Session
from energylang.studies import words as wordstudy
from energylang.studies.words import WordStudy, examine_words

PATTERNS = {"question": re.compile(r"\?"), "the": re.compile(r"(?i)\bthe\b"), "never": re.compile("zzzz")}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer controls: the same ways, in a second."""
    for name, value in {"RANDOM": 3, "TOKEN_STATES": 2, "SHUFFLED": 2, "WINDOWS": 24, "LEAST": 3}.items():
        monkeypatch.setattr(wordstudy, name, value)


@pytest.fixture
def found(plain_file: Path, quick: None) -> dict[str, Any]:
    return examine_words(str(plain_file), WordStudy(PATTERNS, damage=0.05, layers=(1, 2)))


def test_a_pattern_marks_exactly_its_tokens(plain_file: Path) -> None:
    session = Session(str(plain_file))
    study = wordstudy._Study(session, WordStudy(PATTERNS), None, lambda _: None)
    windows, marks = study.choosing.windows, study.choosing.counts["question"]
    token = session.text.encode("?")[0]
    assert int(marks.sum()) > 0
    assert bool(((windows[:, 1:] == token) == (marks > 0)).all())


def test_what_is_found(found: dict[str, Any]) -> None:
    question = found["concepts"]["question"]
    assert question["tokens"]["choosing"] > 0 < question["tokens"]["measuring"]
    assert "fewer than" in found["concepts"]["never"]["refused"]
    install = question["install"]
    assert install["layer"] in (1, 2) and set(install["choosing"]) == {"L1", "L2"}
    assert install["choosing"][f"L{install['layer']}"] == max(install["choosing"].values())
    assert {kind: at["count"] for kind, at in install["controls"].items()} == {
        "random": 3,
        "token": 2,
        "other": 1,
        "shuffled": 2,
    }
    assert set(install["returns"]) == {"before", "after"}
    json.dumps(found)


@pytest.mark.slow
def test_the_same_study_gives_the_same_figures(found: dict[str, Any], plain_file: Path, quick: None) -> None:
    again = examine_words(str(plain_file), WordStudy(PATTERNS, damage=0.05, layers=(1, 2)))
    assert again == found


def test_the_model_is_left_as_it_was(plain_file: Path, quick: None, found: dict[str, Any]) -> None:
    assert found["hash"] == Session(str(plain_file)).live_hash()


def test_the_command_writes_both_files(
    plain_file: Path, quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patterns = tmp_path / "patterns.json"
    patterns.write_text(json.dumps({"question": "\\?"}))
    other = tmp_path / "other.txt"
    other.write_text("Why is the soup so hot? " * 400)
    words = ["report", "words", str(plain_file), "-o", str(tmp_path / "out"), "--patterns", str(patterns)]
    assert main([*words, "--layer", "L2", "--text", str(other)]) == 0
    written = json.loads((tmp_path / "out/words.json").read_text("utf-8"))
    assert written["models"][0]["concepts"]["question"]["tokens"]["measuring"] > 100
    page = (tmp_path / "out/words.md").read_text("utf-8")
    assert "Made likelier" in page and "| question |" in page and "el report words" in page
    assert "words.md" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is not JSON"),
        ("[]", "must be an object"),
        ('{"a b": "x"}', "names a concept"),
        ('{"a": 3}', "needs a regular expression"),
        ('{"a": "("}', "no regular expression"),
        ('{"a": "x", "a": "y"}', "occurs twice"),
    ],
)
def test_bad_patterns_are_told(content: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "patterns.json"
    path.write_text(content)
    with pytest.raises(ElError, match=told) as caught:
        read_patterns(path)
    assert str(path) in caught.value.message


def test_a_dialogue_model_is_sent_to_the_other_report(
    hlm_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    patterns = tmp_path / "patterns.json"
    patterns.write_text('{"question": "\\\\?"}')
    words = ["report", "words", str(hlm_file), "-o", str(tmp_path / "out"), "--patterns", str(patterns)]
    assert main(words) != 0
    assert "el report surgery" in capsys.readouterr().err
