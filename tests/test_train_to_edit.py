"""From a text file to an edited model, through the commands a user would type."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch

from energylang.cli import main

WORDS = "the river runs under old stones and nobody asks where it goes when winter comes again".split()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    draw = random.Random(0)
    lines = [" ".join(draw.choices(WORDS, k=9)).capitalize() + "." for _ in range(1500)]
    path = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def model(corpus: Path) -> Path:
    path = corpus.with_name("model.safetensors")
    assert (
        main(["train", str(corpus), "-o", str(path), "--tokenizer", "word", "--steps", "40", "--json"]) == 0
    )
    return path


@pytest.mark.slow
def test_training_reports_and_the_model_is_surveyed_edited_saved_and_undone(model: Path, capsys):
    script = model.with_name("edit.el")
    script.write_text(
        f"""
load "{model.name}"
let before = survey-all inits=50
require before.num_layers == 4
let said = generate "The river" tokens=6 seed=1
require said.tokens > 0
capture L1 cold "when winter comes again"
let edit = inject-concept L1 cold damage=50%
require edit.effect.placebos == 10
apply layers
undo 3
require (status).is_original
require (generate "The river" tokens=6 seed=1).text == said.text
edit
"""
    )
    assert main(["run", str(script)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "loss on held-out text" in printed.out
    assert "replies that are the concept" not in printed.out  # a plain-text model gives no replies


def test_info_of_a_trained_model(model: Path, capsys):
    assert main(["info", str(model), "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["kind"] == "hlm"
    assert info["capabilities"] == ["landscape", "text"]
    assert len(info["betas"]) == 4


@pytest.mark.parametrize("case", ["missing", "empty", "short", "binary", "folder"])
def test_bad_corpora_give_one_message(case: str, tmp_path: Path, capsys):
    path = tmp_path / "corpus.txt"
    if case == "folder":
        path.mkdir()
    elif case != "missing":
        path.write_bytes({"empty": b"", "short": b"too short", "binary": b"\xff\xfe\x00\x01" * 1000}[case])
    code = main(["train", str(path), "-o", str(tmp_path / "m.safetensors"), "--steps", "2"])
    printed = capsys.readouterr()
    assert code in (1, 2)
    assert "corpus.txt" in printed.err
    assert "Traceback" not in printed.err
    assert not (tmp_path / "m.safetensors").exists()


def test_unwritable_output_is_found_before_training(
    corpus: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
):
    def reached(*_: object, **__: object) -> None:
        raise AssertionError("the training began")

    monkeypatch.setattr(torch.Tensor, "backward", reached)
    code = main(["train", str(corpus), "-o", str(tmp_path / "no" / "m.safetensors"), "--steps", "100000"])
    assert code in (1, 2)
    assert "error" in capsys.readouterr().err
