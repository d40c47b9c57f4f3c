"""The command ``el`` as a person meets it: exit codes, plain output, one clear message for bad input."""

from __future__ import annotations

import json
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import torch
from safetensors.torch import save_file

from energylang.cli import main
from energylang.ops import TABLE
from energylang.render.document import document_schema
from energylang.render.terminal import PLAIN_WIDTH, Screen, make_console
from energylang.results import Verdict
from energylang.results.schema import described, kinds, result_schema
from tests.real import fewer_random_edits

ROOT = Path(__file__).resolve().parents[1]


def el(*words: str, input: str | None = None, cwd: Path | None = None, env: dict[str, str] | None = None):
    return subprocess.run(
        [sys.executable, "-m", "energylang", *words],
        capture_output=True,
        text=True,
        input=input,
        cwd=cwd,
        check=False,
        env={"PATH": "", "PYTHONPATH": str(ROOT), **(env or {})},
    )


def script(folder: Path, text: str) -> str:
    path = folder / "script.el"
    path.write_text(text)
    return str(path)


def run(capsys, *words: str) -> tuple[int, str, str]:
    code = main(list(words))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_version_and_help():
    assert el("--version").stdout.startswith("el ")
    assert el().returncode == 2
    assert el("nonsense").returncode == 2


def test_run_prints_plain_text_and_exits_0(tmp_path: Path):
    result = el("run", script(tmp_path, 'load planted:32x2\nsurvey L0\nprint "β is \\u{3b2}"\n'))
    assert (result.returncode, result.stderr) == (0, "")
    assert "▸ survey L0" in result.stdout
    assert "β is β" in result.stdout
    assert "\x1b" not in result.stdout
    assert all(line == line.rstrip() for line in result.stdout.splitlines())


def test_what_is_longer_than_a_line_is_not_cut_off_in_a_pipe(capsys):
    words = [f"w{k}" for k in range(80)]
    Screen(make_console()).display(" ".join(words))
    shown = capsys.readouterr().out
    assert shown.split() == words
    assert max(len(line) for line in shown.splitlines()) <= PLAIN_WIDTH


def test_no_color_is_honoured_even_when_forced_to_look_like_a_terminal(tmp_path: Path):
    path = script(tmp_path, "survey L0\n")
    result = el("check", path, env={"NO_COLOR": "1", "TERM": "xterm-256color"})
    assert "\x1b" not in result.stderr


def test_script_from_standard_input():
    result = el("run", "-", input="print 1 + 1\n")
    assert (result.returncode, result.stdout) == (0, "2\n")


def test_check_json_has_the_documented_form(tmp_path: Path):
    result = el("check", "--json", script(tmp_path, "load random:16\nsurvey L3\n"))
    (found,) = json.loads(result.stdout)["diagnostics"]
    assert result.returncode == 2
    assert (found["code"], found["severity"]) == ("EL302", "error")
    assert found["span"] == {"start": {"line": 2, "column": 8}, "end": {"line": 2, "column": 10}}
    assert {"message", "notes", "help"} <= set(found)


def test_run_json_is_one_document(tmp_path: Path):
    result = el(
        "run",
        "--json",
        script(tmp_path, 'load planted:32x2\nlet s = survey L0\ns\nprint "x"\ns.num_basins\n'),
    )
    document = json.loads(result.stdout)
    jsonschema.validate(document, document_schema())
    assert document["ok"] is True
    kept, shown, printed, number = document["results"][1:]
    kinds = [item["type"] for item in document["results"]]
    assert kinds == ["Info", "Survey", "Survey", "Printed", "Int"]
    assert (kept["let"], kept["line"], kept["statement"]) == ("s", 2, "let s = survey L0")
    assert "let" not in shown and shown["result"] == kept["result"]
    assert printed["printed"] == "x"
    assert number["result"] == shown["result"]["num_basins"]


def test_the_json_of_a_script_that_does_not_check_has_its_diagnostics(tmp_path: Path, capsys):
    code, out, _ = run(capsys, "run", "--json", script(tmp_path, "load planted:32x2\nsurvey L7\nlet = 3\n"))
    document = json.loads(out)
    jsonschema.validate(document, document_schema())
    assert code == 2 and not document["ok"] and document["results"] == []
    assert {item["code"] for item in document["diagnostics"]} >= {"EL102"}


def test_quiet_is_quiet_in_json_too(tmp_path: Path, capsys):
    text = "load planted:32x2\nquiet:\n    let a = survey L0\nlet b = 3\nlet t = (history).table\n"
    entries = json.loads(run(capsys, "run", "--json", script(tmp_path, text))[1])["results"]
    assert [(item["type"], item.get("let")) for item in entries] == [("Info", None), ("Table", "t")]


VALUES = """\
load planted:32x2
survey L0
L0
L0.B1
[L0, L0]
{a: 1, b: none}
1.5
true
"a text"
let b = (survey L0).basins[0]
for i in 1..2:
    {row: i}
"""


def test_every_type_of_value_is_in_the_schema(tmp_path: Path, capsys):
    document = json.loads(run(capsys, "run", "--json", script(tmp_path, VALUES))[1])
    assert document["ok"], document["diagnostics"]
    jsonschema.validate(document, document_schema())
    kinds = [item["type"] for item in document["results"]][2:]
    assert kinds == "Reference Reference List Record Float Bool Text Basin Table".split()
    assert document["results"][4]["result"] == ["L0", "L0"]


@pytest.mark.parametrize("words", [[], ["survey"], ["Survey"], ["causal", "scan"], ["inject_concept"]])
def test_schema_prints_a_schema(words: list[str], capsys):
    assert main(["schema", *words]) == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    told = {"survey": "Survey", "scan": "CausalGraph", "inject_concept": "Edit"}
    assert schema["title"] == (told.get(words[-1], words[-1]) if words else "el run --json")


def test_info_and_replay_write_one_result(in_tmp: Path, capsys):
    run(capsys, "run", script(in_tmp, 'load planted:32x2\nrecord "r.json"\n'))
    for name, words in {"info": ("planted:32x2",), "replay": ("r.json",)}.items():
        found = json.loads(run(capsys, name, *words, "--json")[1])
        jsonschema.validate(found, result_schema(TABLE[name].result))


def test_schema_of_nothing_known(capsys):
    assert main(["schema", "Surve"]) == 2
    assert "did you mean `Survey`?" in capsys.readouterr().err


def test_a_schema_for_every_kind_of_result(capsys):
    assert main(["schema", "--list"]) == 0
    listed = capsys.readouterr().out.split()
    assert {op.result.__name__ for op in TABLE.values()} <= {*listed, "Result"}
    for kind in kinds().values():
        assert described(kind), f"{kind.__name__} does not say what it is"
        jsonschema.Draft202012Validator.check_schema(result_schema(kind))


def test_a_schema_refuses_what_is_not_as_it_says():
    schema = result_schema(Verdict)
    right = dict.fromkeys(schema["properties"], 1.0)
    right |= {"layer": 0, "target": "L0.B1", "is_basin": True, "basin": None, "symmetric": False}
    jsonschema.validate(right, schema)
    for wrong in (right | {"cosine": "near"}, right | {"more": 1}, right | {"layer": 0.5}, {"layer": 0}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_a_script_that_does_not_check_runs_nothing_and_exits_2(tmp_path: Path):
    result = el("run", script(tmp_path, 'print "started"\nload random:16\nsurvey L3\n'))
    assert (result.returncode, result.stdout) == (2, "")
    assert "error[EL302]" in result.stderr


def test_a_script_that_fails_stops_there_and_exits_1(tmp_path: Path):
    result = el("run", script(tmp_path, 'load random:16\nsurvey L0\nenergy L0.B999\nprint "went on"\n'))
    assert result.returncode == 1
    assert "went on" not in result.stdout
    assert "error[EL510]" in result.stderr
    assert ":3:" in result.stderr
    assert "Traceback" not in result.stderr


def test_errors_in_procedures_name_the_calls(tmp_path: Path):
    text = "load random:16\ndef inner(l: Layer):\n    energy l.B999\n"
    text += "def outer(l: Layer):\n    inner l\nsurvey L0\nouter L0\n"
    result = el("run", script(tmp_path, text))
    assert result.returncode == 1
    assert "in `inner`, called here" in result.stderr
    assert "in `outer`, called here" in result.stderr


@pytest.mark.parametrize("name", ["missing.el", "folder", "binary.el"])
def test_unreadable_scripts(tmp_path: Path, name: str, capsys):
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary.el").write_bytes(b"\xff\xfe\x00load")
    for command in ("check", "run"):
        code, out, err = run(capsys, command, str(tmp_path / name))
        assert (code, out) == (2, "")
        assert "error[EL530]" in err
        assert name in err


# ------------------------------------------------------------------------------ bad checkpoints


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def checkpoint_files(folder: Path) -> dict[str, Path]:
    """One file per way of being no checkpoint."""
    good = folder / "good.safetensors"
    weights = {"blocks.0.hopfield.W": torch.eye(8), "blocks.0.hopfield.log_beta": torch.zeros(())}
    save_file(weights, good)
    data = good.read_bytes()
    files = {
        "missing.safetensors": None,
        "empty.safetensors": b"",
        "truncated.safetensors": data[:-20],
        "cut-header.safetensors": data[:30],
        "text.safetensors": b"this is not a checkpoint at all, just text",
        "huge-header.safetensors": struct.pack("<Q", 2**60) + b"{}",
        "text.pt": b"this is not a checkpoint at all, just text",
    }
    paths = {name: folder / name for name in files}
    for name, content in files.items():
        if content is not None:
            paths[name].write_bytes(content)

    def safetensors(name: str, **changes: torch.Tensor | None) -> None:
        tensors = {**weights, **{key.replace("__", "."): value for key, value in changes.items()}}
        save_file({key: value for key, value in tensors.items() if value is not None}, folder / name)
        paths[name] = folder / name

    safetensors("nan.safetensors", blocks__0__hopfield__W=torch.full((8, 8), float("nan")))
    safetensors("oblong.safetensors", blocks__0__hopfield__W=torch.zeros(8, 4))
    safetensors("no-beta.safetensors", blocks__0__hopfield__log_beta=None)
    safetensors(
        "no-layers.safetensors",
        blocks__0__hopfield__W=None,
        blocks__0__hopfield__log_beta=None,
        x=torch.eye(2),
    )
    torch.save({"model_state": {**weights, "blocks.0.hopfield.W": torch.zeros(8, 4)}}, folder / "oblong.pt")
    torch.save({"model": {"other": torch.eye(2)}}, folder / "no-layers.pt")
    torch.save({"model": weights}, folder / "whole.pt")
    (folder / "truncated.pt").write_bytes((folder / "whole.pt").read_bytes()[:200])
    (folder / "pickled.pt").write_bytes(pickle.dumps(Malicious(folder / "pwned")))
    torch.save({"model": Malicious(folder / "pwned")}, folder / "pickled-zip.pt")
    for name in ("oblong.pt", "no-layers.pt", "truncated.pt", "pickled.pt", "pickled-zip.pt"):
        paths[name] = folder / name
    (folder / "a-folder.safetensors").mkdir()
    paths["a-folder.safetensors"] = folder / "a-folder.safetensors"
    return paths


def test_bad_checkpoints_give_one_message_and_run_nothing(tmp_path: Path, capsys):
    for name, path in checkpoint_files(tmp_path).items():
        where = script(tmp_path, f'print "before"\nload "{path}"\nsurvey L0\n')
        code, out, err = run(capsys, "run", where)
        assert code in (1, 2), name
        assert err.count("error[") == 1, (name, err)
        assert "error[EL501]" in err, (name, err)
        assert name in err, (name, err)
        assert "Traceback" not in err
        assert not (tmp_path / "pwned").exists(), name
        code, out, err = run(capsys, "info", str(path))
        assert (code, out) == (1, ""), name
        assert name in err


def test_published_layouts_load(tmp_path: Path, capsys):
    weights = {}
    for block in range(12):
        weights[f"blocks.{block}.hopfield.W"] = torch.eye(8) * (block + 1)
        weights[f"blocks.{block}.hopfield.log_beta"] = torch.tensor(0.5)
    for name, content in {
        "a.pt": {"model_state": weights},
        "b.pt": {"model": weights},
        "c.pth": weights,
    }.items():
        torch.save(content, tmp_path / name)
        code, out, _ = run(capsys, "run", script(tmp_path, f"load {name}\nsurvey 2 inits=5\ninfo\n"))
        assert code == 0
        assert "12 Hopfield layers" in out
        assert "norm 3.00" in out  # layer 2 is block 2, not block 10


# ---------------------------------------------------------------------------------- old scripts

OLD = """# the way scripts were written for the published tool
load __random_64
survey 0
survey-all
verify 0 42
energy 0 42
inject 0 42 0.1
inject 0 3 auto
inject 0 10 0.05 --force --reason "an experiment"
status
diff 0
apply 0
restore 0
restore-all
set beta 7
set strength 0.1
history
info
"""


def test_old_scripts_run_unchanged(tmp_path: Path, capsys):
    code, out, err = run(capsys, "run", script(tmp_path, OLD))
    assert (code, err) == (0, "")
    assert out.count("▸") == len(OLD.strip().splitlines()) - 1


@pytest.mark.slow
def test_old_text_script_runs_unchanged(tmp_path: Path, capsys, monkeypatch):
    fewer_random_edits(monkeypatch)
    text = (
        "load tiny\ncapture 3 polite Thank you so much\ncapture 3 polite That's very kind of you # really\n"
    )
    text += "inject-concept 3 polite auto\napply 3\ngenerate Tell me about the weather\nrestore 3\n"
    code, out, err = run(capsys, "run", script(tmp_path, text))
    assert (code, err) == (0, "")
    assert "polite at L3, from 2 texts" in out


# ------------------------------------------------------------------------------------- the rest


def test_save_reports_unwritable_places(tmp_path: Path, capsys):
    for path, wanted in (("no/such/folder/x.safetensors", 1), ("no/such/folder/x.pt", 1), (".", 2)):
        code, _, err = run(capsys, "run", script(tmp_path, f'load planted:16x2\nsave "{path}"\n'))
        assert code == wanted  # that `.` is no file shows before the run
        assert err.count("error[") == 1


def test_save_then_load_in_one_script(tmp_path: Path, capsys):
    text = 'load planted:64x4\ninject L0 42\nlet s = save "out.safetensors"\nload out.safetensors\n'
    text += "require (info).hash == s.hash\nrequire (verify L0 42).is_basin\n"
    code, _, err = run(capsys, "run", script(tmp_path, text))
    assert (code, err) == (0, "")
    assert (tmp_path / "out.safetensors").exists()


def test_ops_and_explain(capsys):
    assert "survey" in run(capsys, "ops")[1]
    assert "inits" in run(capsys, "ops", "survey")[1]
    assert run(capsys, "ops", "survay")[0] == 2
    assert "out of range" in run(capsys, "explain", "EL302")[1]
    assert run(capsys, "explain", "EL999")[0] == 2


def test_a_defect_is_reported_without_a_traceback(tmp_path: Path, capsys, monkeypatch):
    def broken(*args, **keywords):
        raise RuntimeError("broken")

    monkeypatch.setattr("energylang.checker.check", broken)
    code, _, err = run(capsys, "check", script(tmp_path, "pass\n"))
    assert code == 1
    assert "EL599" in err
    assert "Traceback" not in err


def test_interrupt_exits_130(tmp_path: Path, capsys, monkeypatch):
    def stop(*args, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr("energylang.looking.basins.survey", stop)
    code, _, err = run(capsys, "run", script(tmp_path, "load planted:16x2\nsurvey L0\n"))
    assert code == 130
    assert "EL590" in err
    assert "Traceback" not in err
