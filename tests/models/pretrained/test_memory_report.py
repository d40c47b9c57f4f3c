"""`el report surgery` of a pretrained model: memory edits, by concept, layer and seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from energylang.cli import main
from energylang.render.memory_report import markdown
from energylang.studies.memories import in_another_order
from energylang.studies.memory_summary import BARS, summarise

from .architectures import folder
from .test_talk import LONG, TEMPLATE

CONCEPTS = {
    "sad": {
        "texts": ["I am sad.", "I weep.", "Tears again.", "I lost him.", "All dark.", "No hope.", "Alone.", "Grey."],
        "contrasts": ["I am in.", "I walk.", "Lunch again.", "I met him.", "All well.", "No tea.", "Along.", "Great."],
        "markers": ["sad", "tears"],
    },
    "sea": {"texts": ["The ship sails.", "A wave came."], "markers": ["ship", "sea"]},
}  # fmt: skip


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(
        tmp_path_factory.mktemp("chat") / "m", pad=True, template="{{ bos_token }}" + TEMPLATE, **LONG
    )


def words(chat: Path, out: Path, *more: str) -> list[str]:
    concepts = out.parent / "concepts.json"
    concepts.write_text(json.dumps(CONCEPTS), encoding="utf-8")
    return [
        "report", "surgery", str(chat), "-o", str(out), "--concepts", str(concepts), "--layer", "L1",
        "--replies", "4", "--placebos", "1", *more,
    ]  # fmt: skip


def test_a_study_and_how_it_goes_on_after_a_kill(
    chat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(words(chat, out)) == 0
    said = capsys.readouterr()
    assert "undone bit for bit" in said.out and "2  of 2" in said.out
    page = (out / "surgery.md").read_text("utf-8")
    study = json.loads((out / "surgery.json").read_text("utf-8"))
    assert [row["concept"] for row in study["cells"]] == ["sad", "sea"]
    for row in study["cells"]:
        assert row["undone"] is True and len(row["random"]) == 1
        assert row["steering"]["strength"] > 0
        assert ("contrast" in row["edit"]) == (row["concept"] == "sad")  # the other has no contrasts
    assert study["summary"] == json.loads(json.dumps(summarise(study["cells"])))
    assert page == markdown(study, picture=(out / "surgery.svg").exists())
    kept = (out / "cells" / "sad-L1-0.json").read_bytes()
    (out / "cells" / "sea-L1-0.json").write_text(
        "{ cut", encoding="utf-8"
    )  # one cell was not written to its end
    (out / "surgery.md").unlink()
    assert main(words(chat, out)) == 0
    assert "1 of 2 cells are finished already" in capsys.readouterr().err
    assert (out / "cells" / "sad-L1-0.json").read_bytes() == kept
    assert (out / "surgery.md").read_text("utf-8") == page


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--layer", "L7"], "EL302"),
        (["--layer", "L0,auto"], ""),
        (["--layer", "L0+auto"], ""),
        (["--layer", "L0+L7"], "EL302"),
        (["--replies", "1"], ""),
        (["--text", "nowhere.txt"], ""),
    ],
    ids=" ".join,
)
def test_what_cannot_be_studied(
    chat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], code: str
) -> None:
    line = words(chat, tmp_path / "out", *more)
    try:
        assert main(line) != 0
    except SystemExit as stop:
        assert stop.code == 2
    said = capsys.readouterr().err
    assert code in said and "Traceback" not in said
    assert not (tmp_path / "out" / "surgery.md").exists()


def test_layers_that_are_edited_together_are_a_place_of_their_own(chat: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    line = words(chat, out)
    line[line.index("L1")] = "L1+L0,L1"
    assert main(line) == 0
    study = json.loads((out / "surgery.json").read_text("utf-8"))
    assert [row["layers"] for row in study["cells"]] == ["L0+L1", "L0+L1", "L1", "L1"]
    assert all(row["undone"] for row in study["cells"]) and set(study["summary"]["layers"]) == {"L0+L1", "L1"}
    assert (out / "cells" / "sad-L0+L1-0.json").exists()
    page = (out / "surgery.md").read_text("utf-8")
    assert "in one solve" in page and "--layer L0+L1,L1" in page


def test_several_models_and_plain_text_are_refused(
    chat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = words(chat, tmp_path / "out")
    assert main([*line[:3], "tiny", *line[3:]]) != 0
    assert "one model at a time" in capsys.readouterr().err
    plain = folder(tmp_path / "plain", **LONG)
    assert main(["report", "surgery", str(plain), "-o", str(tmp_path / "out")]) != 0
    assert "holds no conversations" in capsys.readouterr().err


def test_landscapes_have_no_seeds_and_one_layer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more in (["--seeds", "2"], ["--layer", "L0,L1"], ["--jobs", "2"]):
        assert main(["report", "surgery", "tiny", "-o", str(tmp_path / "out"), *more]) != 0
        assert "EL209" in capsys.readouterr().err


# ------------------------------------------------------------------------------------ what it amounts to


def row(concept: str = "sad", layer: int = 14, seed: int = 0, **edit: float) -> dict[str, Any]:
    found = {"texts": 1.0, "contrast": 0.8, "share": 0.5, "kept": 0.01, "held-out": 0.01} | edit
    return {
        "concept": concept, "layers": f"L{layer}", "seed": seed, "dose": 1.0, "within": True, "reason": "",
        "before": {"share": 0.1, "texts": -4.0}, "edit": found, "undone": True,
        "steering": {"strength": 0.1, "share": 0.0, "texts": 0.1}, "random": [{"share": 0.05, "texts": -0.1}],
    }  # fmt: skip


def test_bars_are_judged_on_means_and_concepts_that_miss_are_named() -> None:
    cells = [row(), row("sea", texts=0.3), row("sea", seed=1, texts=0.5)]
    [bar] = [each for each in summarise(cells)["bars"] if each["name"] == BARS[0].name]
    assert bar["value"] == pytest.approx(0.6) and bar["met"] and bar["missed"] == ["sea"]
    assert all(each["met"] for each in summarise([row()])["bars"])
    for name, worse in (
        ("texts", 0.5),
        ("contrast", 0.5),
        ("share", 0.1),
        ("kept", 0.04),
        ("held-out", 0.03),
    ):
        missed = [each["name"] for each in summarise([row(**{name: worse})])["bars"] if not each["met"]]
        assert missed, name


def test_what_is_not_there_meets_no_bar() -> None:
    cell = row()
    del cell["edit"]["contrast"]
    cell["random"] = []
    found = summarise([cell])
    assert [bar["met"] for bar in found["bars"][:4]] == [True, False, True, False]
    page = markdown(
        {
            "options": {"names": ["sad"], "layers": ["L14"], "model": "m", "damage": 0.02, "replies": 4, "placebos": 0,
                        "waiting": ["sea L14 seed 0"], "command": "el"},
            "cells": [cell], "summary": found,
        },
        picture=False,
    )  # fmt: skip
    assert "| – | **missed** |" in page and "**Not finished.** 1 cells" in page


def test_another_seed_is_another_order_of_the_same_kinds() -> None:
    prompts = [f"{kind}{number}" for number in range(5) for kind in "abcd"]
    found = in_another_order(prompts, 1)
    assert found != prompts and sorted(found) == sorted(prompts)
    assert [each[0] for each in found] == [each[0] for each in prompts]
    assert in_another_order(prompts, 1) == found != in_another_order(prompts, 2)
    assert in_another_order(prompts, 0) == prompts
