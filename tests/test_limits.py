"""``el run`` within limits: a script stays in its folder, its time and its memory; lists and texts stay finite."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from energylang import Session
from energylang.cli import main
from energylang.errors import FileError
from energylang.files.storage import contained, read_bytes, set_aside, write_atomic
from energylang.models import load, save
from energylang.run.doors import ScriptError

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a script's folder ``in`` and something ``outside`` that it may not touch."""
    inside, outside = tmp_path / "in", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    save(load("random:8"), outside / "m.safetensors")
    save(load("random:8"), inside / "own.safetensors")
    session = Session("random:8", base=outside)
    session.run('inject L0 42\nrecord "r.json"')
    text = Session("tiny", base=outside)
    text.run('capture L0 mood "good morning"\nexport-concept mood "c.json"')
    (outside / "lines.txt").write_text("hello\n", encoding="utf-8")
    (outside / "module.el").write_text("let secret = 1\n", encoding="utf-8")
    (inside / "link").symlink_to(outside, target_is_directory=True)
    (inside / "file.safetensors").symlink_to(outside / "m.safetensors")
    (inside / "leak.el").symlink_to(outside / "module.el")
    (inside / "dangling.json").symlink_to(outside / "not-there.json")
    return inside


def _run(place: Path, text: str, *options: str) -> int:
    script = place / "script.el"
    script.write_text(text, encoding="utf-8")
    return main(["run", str(script), *options])


def _outside(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (place.parent / "outside").iterdir()}


READS = [
    'load "PATH/m.safetensors"',
    'load "tiny"\nimport-concept "PATH/c.json"',
    'load "tiny"\ncapture-file L0 mood "PATH/lines.txt"',
    'load "tiny"\nbenchmark "PATH/lines.txt"',
    'load "tiny"\nreplay "PATH/r.json"',
    'load "random:8"\ncompare "PATH/m.safetensors" L0',
]
WRITES = [
    'load "random:8"\nsave "PATH/new.safetensors"',
    'load "random:8"\nrecord "PATH/new.json"',
    'load "tiny"\ncapture L0 mood "hi"\nexport-concept mood "PATH/new.json"',
    'load "planted:16x2"\nsurvey L0 inits=20\ncausal scan L0 placebos=1 save="PATH/new.json"',
]


@pytest.mark.parametrize(
    "way", ["../outside", "link", "ABSOLUTE", "./link/../link", "../in/link", "~/../..ABSOLUTE"]
)
@pytest.mark.parametrize("text", [*READS, *WRITES])
def test_a_sandboxed_script_does_not_leave_its_folder(
    place: Path, capsys: pytest.CaptureFixture[str], text: str, way: str
) -> None:
    before = _outside(place)
    path = way.replace("ABSOLUTE", str(place.parent / "outside"))
    code = _run(place, text.replace("PATH", path), "--sandbox", "--force")
    said = capsys.readouterr().err
    assert code in (1, 2)  # 2 where the checker met the path already
    assert said.count("error[EL541]") == 1 and "outside" in said
    assert _outside(place) == before


@pytest.mark.parametrize("text", ['load "file.safetensors"', "import leak\nprint secret"])
def test_links_to_files_do_not_lead_out_either(
    place: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert _run(place, text, "--sandbox") == 2
    assert "lies outside of" in capsys.readouterr().err


def test_a_dangling_link_is_not_written_through(place: Path) -> None:
    text = 'load "random:8"\nrecord "dangling.json"'
    assert _run(place, text, "--sandbox") == 1
    assert _run(place, text, "--sandbox", "--force") == 0
    assert not (place.parent / "outside" / "not-there.json").exists()
    assert not (place / "dangling.json").is_symlink()


def test_inside_all_is_as_usual(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = 'import persona\nload "own.safetensors"\ninject L0 42\nsave "new.safetensors"\nload "tiny"\n'
    text += 'load "new.safetensors"'
    assert _run(place, text, "--sandbox") == 0
    assert (place / "new.safetensors").exists()


def test_what_exists_is_overwritten_with_force_only(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (place / "own.safetensors").read_bytes()
    text = 'load "random:9"\nsave "own.safetensors"'
    assert _run(place, text, "--sandbox") == 1
    assert "error[EL542]" in capsys.readouterr().err
    assert (place / "own.safetensors").read_bytes() == before
    assert _run(place, text, "--sandbox", "--force") == 0
    assert (place / "own.safetensors").read_bytes() != before
    assert _run(place, text, "--force") == 2, "--force alone means nothing"


def test_a_model_that_the_user_names_may_lie_anywhere(place: Path) -> None:
    model = str(place.parent / "outside" / "m.safetensors")
    assert _run(place, "status", "--sandbox", "--model", model) == 0


def test_a_replay_inside_of_a_sandbox_reads_nothing_outside(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = Session(base=place)
    session.run(f'load "{place.parent / "outside" / "m.safetensors"}"\nrecord "{place / "r.json"}"')
    capsys.readouterr()
    assert (
        _run(
            place,
            'let r = replay "r.json"\nrequire not r.identical\nprint r.steps[0].difference',
            "--sandbox",
        )
        == 0
    )
    assert "it failed: the script may not read" in capsys.readouterr().out


def test_a_containment_ends(place: Path) -> None:
    outside = place.parent / "outside" / "lines.txt"
    with contained(place):
        with pytest.raises(FileError):
            read_bytes(outside, 100)
        with pytest.raises(FileError), contained(place / "link"):
            read_bytes(place / "script.el", 100)
    assert read_bytes(outside, 100) == b"hello\n"


def test_what_is_set_aside_is_gone_afterwards(tmp_path: Path) -> None:
    with set_aside():
        write_atomic(tmp_path / "a", b"1")
        write_atomic(tmp_path / "a", b"2")
        assert read_bytes(tmp_path / "a", 9) == b"2"
        with set_aside():
            assert read_bytes(tmp_path / "a", 9) == b"2"
    assert list(tmp_path.iterdir()) == []


# --------------------------------------------------------------------------------------------------- time

ENDLESS = "let many = 1..1000000\nlet t = 0\nfor a in many:\n    for b in many:\n        t = t + 1\n"


def test_time_is_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(tmp_path, ENDLESS, "--timeout", "0.5", "--json") == 1  # and not after some weeks
    found = json.loads(capsys.readouterr().out)
    assert [item["code"] for item in found["diagnostics"]] == ["EL591"]
    assert not found["ok"]
    assert _run(tmp_path, "print 1", "--timeout", "3600") == 0


def test_time_that_is_up_leaves_no_trace_of_the_statement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = 'load "random:8"\nprint "first"\nattempt:\n    inject L0 42\n    for i in 1..1000000:\n        survey L0\n'
    text += 'else:\n    print "caught"\n'
    for seconds in (1.5, 6, 24, 96, 384):  # on a busy machine, loading may take the first of them
        assert _run(tmp_path, text, "--timeout", str(seconds)) == 1
        said = capsys.readouterr()
        if "first" in said.out:
            break
    assert "first" in said.out and "caught" not in said.out, "no script catches the end of its time"
    assert "error[EL591]" in said.err


DEAF = """
import sys, time
from energylang.cli import limits
limits.GRACE = 0.3
with limits.TimeLimit(0.3):
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            pass
"""


def test_a_calculation_that_does_not_listen_ends_with_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DEAF], capture_output=True, text=True, check=False, timeout=600,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("error[EL591]") == 1


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="there is no other signal")
def test_time_is_up_in_the_background_of_a_shell_too(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert _run(tmp_path, ENDLESS, "--timeout", "0.3") == 1
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("given", ["0", "-1", "nan", "x", "inf"])
def test_times_that_are_none(tmp_path: Path, given: str) -> None:
    with pytest.raises(SystemExit) as caught:
        _run(tmp_path, "print 1", f"--timeout={given}")
    assert caught.value.code == 2


# ------------------------------------------------------------------------------------------------- memory


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is the system's")
def test_memory_has_a_limit(tmp_path: Path) -> None:
    script = tmp_path / "s.el"
    script.write_text('load "random:256"\nprint "loaded"\nsurvey L0 inits=200000\n', encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "energylang", "run", str(script), "--memory", "150"],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "loaded" in done.stdout
    assert done.stderr.count("error[EL502]") == 1 and "s.el:3:1" in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "let a = [1, 1]\n"
        + "".join(f"let b{k} = [{', '.join(['a' if not k else f'b{k - 1}'] * 10)}]\n" for k in range(9)),
        "let a = 1..1000000\nlet b = a + a",
        'let a = "x"\nfor i in 1..40:\n    a = a + a',
        "let a = 2\nfor i in 1..40:\n    a = a * a",
        "let a = 1..1000000\n" + 'let t = "{a}{a}"\nlet u = [t, t]\nprint "{u}"',
    ],
    ids=["lists of lists", "sums of lists", "texts", "numbers", "lists as texts"],
)
def test_values_do_not_grow_without_bounds(text: str) -> None:
    with pytest.raises(ScriptError, match="EL521"):
        Session().run(text)


def test_lists_of_lists_up_to_the_limit_are_fine() -> None:
    session = Session()
    session.run("let a = 1..1000\nlet b = [a, a, a]\nlet c = b + [a]\nlet d = [c, c]")
    assert session.variables["d"][1][-1] == list(range(1, 1001))
