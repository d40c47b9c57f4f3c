"""``el report surgery``: what the report says about known numbers, bad input, and one whole run."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from energylang.cli import main
from energylang.cli.concepts import labels, micro_world, read_concepts, study_from
from energylang.cli.report import FILES
from energylang.errors import ElError
from energylang.render.surgery import markdown, svg
from energylang.render.surgery_chart import ticks
from energylang.studies.surgery_summary import summarise

SVG = "{http://www.w3.org/2000/svg}"
NAMES = ("polite", "rude", "formal")
DOSES = (0.5, 1.0)


def installation(name: str, after: float, before: float = 0.2, loss: float = 0.012) -> dict[str, Any]:
    return {
        "method": "aimed",
        "dose": 0.85,
        "within_budget": True,
        "relative_norm": 0.034,
        "share_before": before,
        "share_after": after,
        "factor": after / before,
        "shares_after": {},
        "placebos": {
            "random": {"count": 10, "mean": 0.21, "std": 0.02, "max": 0.25, "z": (after - 0.21) / 0.02},
            "other": {"count": 2, "mean": 0.11, "std": 0.03, "max": 0.15, "z": 3.0},
        },
        "loss_change": loss,
        "loss_change_error": 0.0007,
        "doses": [
            {
                "dose": dose,
                "share": before + dose * (after - before),
                "placebo_mean": 0.21,
                "placebo_std": 0.02,
                "loss_change": loss * dose,
                "loss_change_error": 0.0007,
            }
            for dose in DOSES
        ],
        "locality": {
            other: {"largest": 0.04, "mean": 0.013, "changes": {}} for other in NAMES if other != name
        },
    }


def removal(name: str, ratio: float = 0.25, others: float = -0.08) -> dict[str, Any]:
    return {
        "dose": 0.7,
        "within_budget": True,
        "share_before": 0.2,
        "share_after": 0.2 * ratio,
        "others_relative": {other: others for other in NAMES if other != name},
        "others_error": {other: 0.061 for other in NAMES if other != name},
        "placebo": {"count": 10, "mean": 0.2, "std": 0.01, "max": 0.22, "z": -15.0},
        "loss_change": 0.004,
        "loss_change_error": 0.0005,
    }


def found(model: str, after: float = 0.6, donor: str | None = None) -> dict[str, Any]:
    """What ``examine`` returns without ``carry``, with every criterion met."""
    result: dict[str, Any] = {
        "model": model,
        "hash": "0123456789abcdef" * 4,
        "layer": 3,
        "fits": [{"concept": name, "layer": 3, "carried": 0.9} for name in NAMES],
        "loss": 0.6456,
        "baseline": dict.fromkeys(NAMES, 0.2),
        "labelled": 0.987,
        "fluent": 0.876,
        "report": {
            "layers": [
                {"layer": 3, "dim": 192, "beta": 1.65, "basins_visited": 902, "basins_random": 404}
                | {"settled": 0.543, "residual": 0.17}
            ]
        },
        "undo_bit_identical": True,
        "concepts": {name: {"install": installation(name, after), "remove": removal(name)} for name in NAMES},
    }
    if donor is not None:
        carried = {"cosine_to_own": 0.81, "share_before": 0.2, "share_after": 0.37, "factor": 1.85}
        carried |= {"loss_change": 0.011, "loss_change_error": 0.001}
        result["transfer"] = {
            "from": donor,
            "probes": 601,
            "fit": 0.74,
            "concepts": dict.fromkeys(NAMES, carried),
        }
    return result


def study(*models: dict[str, Any]) -> dict[str, Any]:
    options = {
        "concepts": None,
        "layer": None,
        "method": "aimed",
        "damage": 0.02,
        "removal_damage": 0.01,
        "replies": 256,
        "removal_replies": 2048,
        "command": "el report surgery one -o out",
    }
    return {"version": 1, "options": options, "models": list(models), "summary": summarise(models)}


# --------------------------------------------------------------------------------------------- summary


def test_mean_and_spread_over_models():
    summary = summarise([found("one", 0.5), found("two", 0.7, donor="one")])
    polite = summary["concepts"]["polite"]
    assert polite["share_after"] == {
        "mean": pytest.approx(0.6),
        "std": pytest.approx(0.1 * 2**0.5),
        "count": 2,
    }
    assert polite["factor"]["mean"] == pytest.approx(3.0)
    assert polite["removal_ratio"]["mean"] == pytest.approx(0.25)
    assert polite["transfer_factor"] == {"mean": 1.85, "std": None, "count": 1}
    assert summary["met"]
    assert summary["verdicts"]["install: share"]["cases"] == 6
    assert summary["verdicts"]["transfer: share"]["cases"] == 3
    assert [m["fluent"] for m in summary["models"]] == [0.876, 0.876]


def spoiled(**changes: Any) -> dict[str, Any]:
    """``found``, with figures of one concept's installation or removal changed."""
    result = found("one", donor="zero")
    for name, value in changes.items():
        part, _, key = name.partition("_")
        result["concepts"]["rude"][part][key] = value
    return result


@pytest.mark.parametrize(
    ("criterion", "changes"),
    [
        ("install: share", {"install_factor": 2.4}),
        (
            "install: against random edits",
            {"install_placebos": {"random": {"mean": 0.5, "std": 0.1, "z": 1.0}}},
        ),
        ("install: against random edits", {"install_placebos": {"random": {"mean": 0.5, "std": 0, "z": 0}}}),
        ("install: loss", {"install_loss_change": 0.0201}),
        ("locality", {"install_locality": {"polite": {"largest": 0.06, "mean": 0.03}}}),
        ("remove: share", {"remove_share_after": 0.101}),
        ("remove: other concepts", {"remove_others_relative": {"polite": 0.01, "formal": -0.151}}),
        ("remove: other concepts", {"remove_others_relative": {"polite": 0.01, "formal": None}}),
        ("remove: loss", {"remove_loss_change": 0.0101}),
    ],
)
def test_each_criterion_can_be_missed(criterion: str, changes: dict[str, Any]):
    summary = summarise([spoiled(**changes)])
    missed = {name for name, verdict in summary["verdicts"].items() if not verdict["met"]}
    assert missed == {criterion}
    assert [case["concept"] for case in summary["verdicts"][criterion]["missed"]] == ["rude"]


def test_undo_and_transfer_can_be_missed():
    model = found("one", donor="zero") | {"undo_bit_identical": False}
    model["transfer"] = {"from": "zero", "refused": "they do not read the same tokens"}
    verdicts = summarise([model])["verdicts"]
    assert not verdicts["undo"]["met"]
    assert verdicts["transfer: share"]["cases_met"] == 0
    text = markdown(study(model))
    assert "Nothing could be transferred: they do not read the same tokens." in text
    assert "**undo** missed by `one`" in text


def test_a_share_that_was_high_before_must_reach_65_percent():
    met = spoiled(install_share_before=0.27, install_share_after=0.65, install_factor=0.65 / 0.27)
    missed = spoiled(install_share_before=0.27, install_share_after=0.64, install_factor=0.64 / 0.27)
    assert summarise([met])["verdicts"]["install: share"]["met"]
    assert not summarise([missed])["verdicts"]["install: share"]["met"]


def test_the_proportions_of_a_single_other_concept_are_no_finding():
    model = found("one")
    del model["concepts"]["formal"]
    for at in model["concepts"].values():
        at["remove"]["others_relative"].pop("formal")
    summary = summarise([model])
    assert "remove: other concepts" not in summary["verdicts"]
    assert summary["concepts"]["polite"]["removal_others"]["mean"] is None


# -------------------------------------------------------------------------------------------- markdown


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    lines = text[text.index(heading) :].splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("|"))
    table = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split(" | ")])
    assert len({len(row) for k, row in enumerate(table) if k != 1}) == 1
    return table


def test_numbers_stand_where_they_belong():
    text = markdown(study(found("one", 0.6, donor="zero")))
    assert "All 9 criteria are met" in text
    installed = dict(zip(*[rows(text, "### Installed")[k] for k in (0, 2)], strict=True))
    assert installed["concept"] == "polite"
    assert installed["share"] == "20.0 % → 60.0 %"
    assert installed["factor"] == "× 3.00"
    assert installed["random"] == "21.0 % ± 2.0"
    assert installed["z"] == "19.5"
    assert installed["other"] == "11.0 % ± 3.0"
    assert installed["shuffled"] == "–"
    assert installed["loss"] == "+1.20 % ± 0.07"
    removed = dict(zip(*[rows(text, "### Removed")[k] for k in (0, 2)], strict=True))
    assert removed["share"] == "20.0 % → 5.0 %"
    assert removed["others, relative change"] == "rude -8 % ± 6, formal -8 % ± 6"
    assert rows(text, "### Doses")[2][1] == "40.0 % (21.0 %); +0.60 %"
    assert rows(text, "### Locality")[2] == ["polite", "–", "1.3 / 4.0", "1.3 / 4.0"]
    assert rows(text, "### Transferred")[2] == [
        "polite",
        "0.81",
        "20.0 % → 37.0 %",
        "× 1.85",
        "+1.10 % ± 0.10",
    ]
    assert "`0123456789ab`, edited at L3, held-out loss 0.6456" in text
    assert "98.7 % of the replies have a label, 87.6 % are sentences" in text
    assert rows(text, "## one")[2] == ["L3", "192", "1.65", "902", "404", "54.3 %", "1.7e-01", "90.0 %"]
    assert "```sh\nel report surgery one -o out\n```" in text


def test_what_is_missed_is_said_with_its_figure():
    text = markdown(study(spoiled(install_factor=1.87, remove_loss_change=0.0234)))
    assert "7 of 9 criteria are met in every case" in text
    assert "**Missed: install: share, remove: loss.**" in text
    assert (
        "- **install: share** missed (at least × 2.5, or from over 26 % to at least 65 %): rude × 1.87."
        in text
    )
    assert "- **remove: loss** missed (rises by at most 1 %): rude +2.34 %." in text


def test_what_cannot_be_measured_is_said():
    text = markdown(study(spoiled(install_share_before=0.0, install_factor=None)))
    assert "rude not measurable" in text


def test_several_models_and_what_is_waiting():
    made = study(found("one", 0.5), found("two", 0.7, donor="one"))
    made["options"]["waiting"] = ["three"]
    text = markdown(made)
    assert "## Summary over 2 models (mean ± standard deviation)" in text
    assert rows(text, "## Summary")[2][1:3] == ["20.0 % ± 0.0 % → 60.0 % ± 14.1 %", "× 3.00 ± 0.71"]
    assert "Still to be examined: `three`." in text
    assert text.count("### Installed") == 2


def test_a_model_without_a_report_and_odd_names():
    model = found("a|b_c") | {"report": None, "fits": []}
    text = markdown(study(model))
    assert "a\\|b\\_c" in text
    rows(text, "### Installed")


# ------------------------------------------------------------------------------------------------- svg


def places(element: ET.Element) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (p.split(",") for p in element.attrib["points"].split())]


def test_the_picture_shows_the_shares():
    root = ET.fromstring(svg(study(found("one", 0.5), found("two", 0.7))))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert width == 1100
    panels = root.findall(f"{SVG}g")
    assert [panel.attrib["data-concept"] for panel in panels] == list(NAMES)
    for panel in panels:
        lines = {line.attrib["class"]: places(line) for line in panel.iter(f"{SVG}polyline")}
        assert set(lines) == {"random-mean", "baseline", "model", "mean"}
        (x0, y0), (x1, y1), (x2, y2) = lines["mean"]
        assert (x1 - x0) == pytest.approx(x2 - x1, abs=0.11)  # doses 0, 0.5 and 1
        assert (y1 - y0) == pytest.approx(y2 - y1, abs=0.11)  # 20 %, 40 % and 60 %
        zero = next(float(t.attrib["y"]) for t in root.iter(f"{SVG}text") if t.text == "0 %") - 4
        full = next(float(t.attrib["y"]) for t in root.iter(f"{SVG}text") if t.text == "100 %") - 4
        assert (zero - y2) / (zero - full) == pytest.approx(0.6, abs=0.001)
        (band,) = panel.findall(f"{SVG}polygon")
        assert len(places(band)) == 6
        assert len(panel.findall(f"{SVG}circle")) == 2
    for element in root.iter():
        for x, y in places(element) if "points" in element.attrib else []:
            assert 0 <= x <= width and 0 <= y <= height
    assert "random edits" in "".join(root.itertext())


def test_the_picture_of_one_model_has_no_thin_lines_and_escapes_names():
    model = found("<&>")
    model["concepts"] = {
        'a"<b': model["concepts"]["polite"],
        "a-very-" + "long-" * 20: model["concepts"]["rude"],
    }
    root = ET.fromstring(svg(study(model)))
    assert not [line for line in root.iter(f"{SVG}polyline") if line.attrib["class"] == "model"]
    assert next(panel.attrib["data-concept"] for panel in root.iter(f"{SVG}g")) == 'a"<b'
    assert "<&>" in "".join(root.itertext())


def test_many_concepts_wrap():
    model = found("one")
    model["concepts"] = {f"c{k}": model["concepts"]["polite"] for k in range(7)}
    root = ET.fromstring(svg(study(model)))
    assert len(root.findall(f"{SVG}g")) == 7
    assert float(root.attrib["height"]) > 550


@pytest.mark.parametrize("farthest", [0.1, 0.5, 1.0, 1.25, 1.5, 4.0, 10.0])
def test_ticks_are_few_and_within(farthest: float):
    found = ticks(farthest)
    assert 2 <= len(found) <= 5
    assert found[0] == 0 and found[-1] <= farthest + 1e-9


# ------------------------------------------------------------------------------------------- concepts

GOOD = {
    "warm": {"texts": ["Thank you so much."], "markers": ["please", "thank"]},
    "cold": {"texts": ["Go away."], "markers": ["fool"], "contexts": ["You fool."]},
}


def test_the_label_is_the_concept_with_most_markers(tmp_path: Path):
    path = tmp_path / "concepts.json"
    path.write_text(json.dumps(GOOD))
    made = study_from(read_concepts(path))
    assert made.contexts == {"warm": ["Thank you so much."], "cold": ["You fool."]}
    assert made.label("Please, THANK the fool.") == "warm"
    assert made.label("Please, fool.") is None
    assert made.label("Foolish pleasure") is None
    assert labels({"a": ["don't"], "b": ["x"]})("I don't know") == "a"


def test_the_micro_world_is_the_default():
    made = micro_world(0)
    assert set(made.texts) == set(made.contexts)
    for name, said in made.contexts.items():
        assert len(said) == 16
        assert {made.label(reply) for reply in said} == {name}
        assert made.fluent is not None and all(map(made.fluent, said))
    assert micro_world(0).contexts == made.contexts != micro_world(1).contexts


BAD = {
    "nothing": ("", "is not JSON"),
    "list": ("[]", "at least two concepts"),
    "one": (json.dumps({"warm": GOOD["warm"]}), "at least two concepts"),
    "texts": (json.dumps(GOOD | {"x": {"markers": ["a"]}}), "'texts' of 'x'"),
    "empty": (json.dumps(GOOD | {"x": {"texts": [" "], "markers": ["a"]}}), "'texts' of 'x'"),
    "markers": (json.dumps(GOOD | {"x": {"texts": ["a"], "markers": []}}), "'markers' of 'x'"),
    "two words": (json.dumps(GOOD | {"x": {"texts": ["a"], "markers": ["a b"]}}), "not one word: 'a b'"),
    "shared": (json.dumps(GOOD | {"x": {"texts": ["a"], "markers": ["FOOL"]}}), "for both 'cold' and 'x'"),
    "contexts": (json.dumps(GOOD | {"x": {"texts": ["a"], "markers": ["a"], "contexts": "b"}}), "'contexts'"),
    "key": (
        json.dumps(GOOD | {"x": {"texts": ["a"], "markers": ["a"], "marker": []}}),
        "unknown key 'marker'",
    ),
    "number": (json.dumps(GOOD | {"x": 3}), "no object"),
    "name": (json.dumps(GOOD | {"3 x": GOOD["warm"]}), "names a concept '3 x'"),
    "twice": ('{"a": {}, "a": {}}', "'a' occurs twice"),
    "deep": ("[" * 100_000, "JSON"),
}


@pytest.mark.parametrize("name", BAD)
def test_concepts_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str):
    content, told = BAD[name]
    path = tmp_path / "concepts.json"
    path.write_text(content)
    code, _, err = el(capsys, "tiny", "-o", str(tmp_path / "out"), "--concepts", str(path))
    assert code == 1
    assert "error[EL530]" in err and "concepts.json" in err and told in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("what", ["missing", "folder", "bytes"])
def test_concepts_that_cannot_be_read(tmp_path: Path, what: str):
    path = tmp_path / "concepts.json"
    if what == "folder":
        path.mkdir()
    elif what == "bytes":
        path.write_bytes(b'{"\xff": 1}')
    with pytest.raises(ElError, match=r"concepts\.json") as caught:
        read_concepts(path)
    assert caught.value.code == "EL530"


# -------------------------------------------------------------------------------------- command line


def el(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, output and errors of ``el report surgery``."""
    try:
        code = main(["report", "surgery", *words])
    except SystemExit as stop:
        code = int(stop.code or 0)
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return code, printed.out, printed.err


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that cannot be examined: a transformer, and one that holds no conversations."""
    from energylang.models.checkpoint import save

    from .models.conftest import untrained

    folder = tmp_path_factory.mktemp("models")
    save(untrained("transformer"), folder / "transformer.safetensors")
    save(untrained(markers=None), folder / "plain.safetensors")
    save(untrained(), folder / "dialogue.safetensors")
    return folder


@pytest.mark.parametrize(
    ("model", "code", "told"),
    [
        ("missing.safetensors", "EL501", "there is no file"),
        ("no-such-model", "EL501", "there is no model"),
        ("random:16", "EL250", "only weights"),
        ("planted:32x2", "EL250", "only weights"),
        ("transformer.safetensors", "EL250", "without Hopfield layers"),
        ("plain.safetensors", "EL250", "holds no conversations"),
    ],
)
def test_models_that_cannot_be_examined(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, code: str, told: str
):
    spec = str(files / model) if model.endswith("s") else model
    result, out, err = el(capsys, str(files / "dialogue.safetensors"), spec, "-o", str(tmp_path / "out"))
    assert (result, out) == (1, "")
    assert f"error[{code}]" in err and told in err
    assert not (tmp_path / "out").exists()


def test_a_layer_that_is_not_there_and_a_model_named_twice(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    model, out = str(files / "dialogue.safetensors"), str(tmp_path / "out")
    code, _, err = el(capsys, model, "-o", out, "--layer", "L7")
    assert code == 1 and "error[EL302]" in err and "L0 to L2" in err
    code, _, err = el(capsys, model, model, "-o", out)
    assert code == 1 and "named twice" in err


@pytest.mark.parametrize("place", ["file", "file/below", "taken"])
def test_folders_that_cannot_be_written_to(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
):
    (tmp_path / "file").write_text("something")
    (tmp_path / "taken" / "surgery.json").mkdir(parents=True)
    code, _, err = el(capsys, str(files / "dialogue.safetensors"), "-o", str(tmp_path / place))
    assert code == 1
    assert "error[EL504]" in err and "-o" in err
    assert (tmp_path / "file").read_text() == "something"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["tiny"],
        ["tiny", "-o", "out", "--layer", "last"],
        ["tiny", "-o", "out", "--damage", "0"],
        ["tiny", "-o", "out", "--damage", "200%"],
        ["tiny", "-o", "out", "--replies", "3"],
        ["tiny", "-o", "out", "--doses", "1,x"],
        ["tiny", "-o", "out", "--method", "attractor"],
        ["tiny", "-o", "out", "--seed", "-1"],
    ],
)
def test_wrong_command_lines(in_tmp: Path, capsys: pytest.CaptureFixture[str], words: list[str]):
    code, out, err = el(capsys, *words)
    assert (code, out) == (2, "")
    assert "usage:" in err
    assert list(in_tmp.iterdir()) == []


def test_report_without_a_kind_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        main(["report"])
    assert stop.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_help_leaves_torch_alone():
    call = "import sys\nfrom energylang.cli import main\ntry:\n    main(['report', 'surgery', '--help'])\n"
    call += "except SystemExit:\n    print('HEAVY', {'torch', 'numpy'} & set(sys.modules))\n"
    done = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, check=False)
    assert "HEAVY set()" in done.stdout
    assert "--concepts" in done.stdout


# ------------------------------------------------------------------------------------------ a whole run


@pytest.mark.slow
def test_the_bundled_model_from_end_to_end(in_tmp: Path, capsys: pytest.CaptureFixture[str]):
    concepts = {
        "warm": {"texts": ["Thank you so much."], "markers": ["thank", "please", "lovely", "gladly"]},
        "harsh": {"texts": ["You are a fool."], "markers": ["fool", "idiot", "stupid", "whining"]},
    }
    (in_tmp / "concepts.json").write_text(json.dumps(concepts))
    words = ["tiny", "-o", "deep/out", "--concepts", "concepts.json", "--layer", "L3", "--method", "redirect"]
    words += ["--replies", "16", "--doses", "1"]
    code, out, err = el(capsys, *words)
    assert code == 0, err
    assert "tiny: harsh" in err
    assert "surgery.md" in out and "install: share" in out
    folder = in_tmp / "deep" / "out"
    assert {path.name for path in folder.iterdir()} == set(FILES)
    made = json.loads((folder / "surgery.json").read_text("utf-8"))
    assert made["version"] == 1
    assert made["options"]["replies"] == 16 and made["options"]["waiting"] == []
    (model,) = made["models"]
    assert model["undo_bit_identical"] is True
    assert "carry" not in model
    assert set(model["concepts"]) == set(concepts)
    for name, at in model["concepts"].items():
        assert 0 <= at["install"]["share_after"] <= 1
        assert [step["dose"] for step in at["install"]["doses"]] == [1.0]
        assert set(at["install"]["placebos"]) == {"random", "other", "shuffled"}
        assert set(at["install"]["locality"]) == set(concepts) - {name}
    assert made["summary"] == json.loads(json.dumps(summarise(made["models"])))
    text = (folder / "surgery.md").read_text("utf-8")
    assert text == markdown(made)
    assert f"el report surgery {' '.join(words[:3])}" in text
    assert (folder / "surgery.svg").read_text("utf-8") == svg(made)
    ET.parse(folder / "surgery.svg")
