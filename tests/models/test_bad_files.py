"""Every damaged, foreign or hostile file is one CheckpointError that names the file (rows 11, 27)."""

from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save as to_bytes

from energylang.errors import CheckpointError
from energylang.models import load, read_header, save
from energylang.models.index import METADATA_KEY

from .conftest import published


def refused(path: Path, *words: str, header_too: bool = True) -> None:
    """Loading (and reading the header) fails with one message that has the path and the words."""
    for call in (load, read_header) if header_too else (load,):
        with pytest.raises(CheckpointError) as caught:
            call(str(path))
        message = caught.value.message
        assert str(path) in message
        assert "Traceback" not in message
        for word in words:
            assert word in message, (word, message)


def safetensors_bytes(header: object, data: bytes = b"") -> bytes:
    raw = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return struct.pack("<Q", len(raw)) + raw + data


class Bomb:
    """What pickle would execute."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.target}",)


@pytest.mark.parametrize("legacy", [False, True])
def test_pickled_code_is_refused_and_nothing_runs_row_11(tmp_path: Path, legacy: bool) -> None:
    target, path = tmp_path / "ran", tmp_path / "evil.pt"
    torch.save(
        {"model_state": published(), "x": Bomb(target)}, path, _use_new_zipfile_serialization=not legacy
    )
    refused(path, "pickled code", "nothing in it was run")
    path.write_bytes(pickle.dumps(Bomb(target)))
    refused(path)
    disguised = tmp_path / "evil.bin"  # another suffix does not help it
    torch.save(Bomb(target), disguised)
    refused(disguised, "pickled code")
    renamed = tmp_path / "evil.safetensors"
    renamed.write_bytes(path.read_bytes())
    refused(renamed)
    assert not target.exists()


def test_directories_empty_and_foreign_files(tmp_path: Path) -> None:
    for suffix in (".pt", ".pth", ".safetensors"):
        folder = tmp_path / f"folder{suffix}"
        folder.mkdir()
        refused(folder, "directory")
        empty = tmp_path / f"empty{suffix}"
        empty.write_bytes(b"")
        refused(empty, "empty")
        for k, content in enumerate(
            (b"x", b"hello, I am a text file\n" * 9, bytes(range(256)) * 8, b"\0" * 64)
        ):
            path = tmp_path / f"foreign{k}{suffix}"
            path.write_bytes(content)
            refused(path)


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_truncated_files(tmp_path: Path, hlm_file: Path, share: float) -> None:
    torch.save({"model_state": published(2, 64)}, tmp_path / "whole.pt")
    torch.save(published(2, 64), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for source in (tmp_path / "whole.pt", tmp_path / "old.pt", hlm_file):
        data = source.read_bytes()
        path = tmp_path / f"cut{source.suffix}"
        path.write_bytes(data[: max(1, int(len(data) * share))])
        refused(path)


def test_a_longer_file_is_not_believed_either(tmp_path: Path, hlm_file: Path) -> None:
    path = tmp_path / "long.safetensors"
    path.write_bytes(hlm_file.read_bytes() + b"\0\0")
    refused(path, "after its last tensor")


def test_forged_headers_allocate_nothing(tmp_path: Path) -> None:
    name = "blocks.0.hopfield.W"
    huge = {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}
    entry = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
    cases: list[bytes] = [
        safetensors_bytes({name: huge}),
        safetensors_bytes({name: {**huge, "data_offsets": [0, 16]}}, b"\0" * 16),
        safetensors_bytes({name: {**entry, "shape": [-2, -2]}}, b"\0" * 16),
        safetensors_bytes({name: {**entry, "shape": "2x2"}}, b"\0" * 16),
        safetensors_bytes({name: {**entry, "dtype": "PICKLE"}}, b"\0" * 16),
        safetensors_bytes({name: {**entry, "data_offsets": [16, 0]}}, b"\0" * 16),
        safetensors_bytes({name: entry, "b": entry}, b"\0" * 16),
        safetensors_bytes({name: {**entry, "data_offsets": [4, 20]}}, b"\0" * 20),
        safetensors_bytes([1, 2]),
        safetensors_bytes(b"[" * 100000),
        safetensors_bytes(b'{"a": 1, "a": 2}'),
        safetensors_bytes({"__metadata__": {METADATA_KEY: "not json"}, name: entry}, b"\0" * 16),
        struct.pack("<Q", 2**63) + b"{}",
    ]
    for k, content in enumerate(cases):
        path = tmp_path / f"{k}.safetensors"
        path.write_bytes(content)
        refused(path)


def test_a_pt_that_claims_more_than_it_holds(tmp_path: Path) -> None:
    state = published(1)
    state["blocks.0.hopfield.W"] = torch.zeros(1).expand(10**5, 10**5)  # one number, 40 GB if believed
    torch.save(state, tmp_path / "wide.pt")
    refused(tmp_path / "wide.pt", "claims")
    torch.save(published(1), tmp_path / "ok.pt")
    with (
        zipfile.ZipFile(tmp_path / "ok.pt") as source,
        zipfile.ZipFile(tmp_path / "z.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for item in source.infolist():
            packed.writestr(item.filename, source.read(item.filename) + b"\0" * 10**6)
    refused(tmp_path / "z.pt", "compressed")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("blocks.1.hopfield.log_beta"), ("blocks.1.hopfield.log_beta", "missing")),
        (lambda s: s.update({"blocks.0.hopfield.W": torch.ones(3, 4)}), ("blocks.0.hopfield.W", "[3, 4]")),
        (lambda s: s.update({"blocks.0.hopfield.W": torch.ones(4)}), ("blocks.0.hopfield.W", "[4]")),
        (lambda s: s.update({"blocks.0.hopfield.W": torch.ones(3, 3).int()}), ("I32",)),
        (lambda s: s.update({"blocks.1.hopfield.log_beta": torch.ones(2)}), ("log_beta", "[2]")),
        (lambda s: [s.pop(k) for k in list(s) if "hopfield" in k], ("no Hopfield layers",)),
    ],
)
def test_layouts_that_do_not_add_up(
    tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], object], words: tuple[str, ...]
) -> None:
    state = published()
    change(state)
    torch.save({"model_state": state}, tmp_path / "m.pt")
    refused(tmp_path / "m.pt", *words)
    (tmp_path / "m.safetensors").write_bytes(to_bytes({k: v.contiguous() for k, v in state.items()}))
    refused(tmp_path / "m.safetensors", *words)


def test_a_layer_beyond_the_bounds_is_refused_before_it_is_read(tmp_path: Path) -> None:
    size = 4 * 9000**2
    header = {
        "blocks.0.hopfield.W": {"dtype": "F32", "shape": [9000, 9000], "data_offsets": [0, size]},
        "blocks.0.hopfield.log_beta": {"dtype": "F32", "shape": [], "data_offsets": [size, size + 4]},
    }
    path = tmp_path / "wide.safetensors"
    path.write_bytes(safetensors_bytes(header))
    os.truncate(path, path.stat().st_size + size + 4)  # a hole: it takes no room on the disk
    refused(path, "9000")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_numbers_are_named(tmp_path: Path, value: float) -> None:
    state = published()
    state["blocks.1.hopfield.W"][2, 3] = value
    torch.save(state, tmp_path / "m.pt")
    refused(tmp_path / "m.pt", "blocks.1.hopfield.W", "NaN", header_too=False)


def test_a_pt_without_a_state_dictionary(tmp_path: Path) -> None:
    for k, content in enumerate(([1, 2], torch.ones(3), {"model": 3}, 5)):
        torch.save(content, tmp_path / f"{k}.pt")
        refused(tmp_path / f"{k}.pt")


def test_keys_of_an_open_model_are_named_row_27(tmp_path: Path, hlm_file: Path) -> None:
    def written(name: str, edit: Callable[[dict[str, torch.Tensor]], object]) -> Path:
        model = load(str(hlm_file))
        edit(model.live)
        return save(model, tmp_path / f"{name}.safetensors")

    refused(written("a", lambda t: t.pop("norm.bias")), "is missing 'norm.bias'", header_too=False)
    refused(
        written("b", lambda t: t.update({"zebra": torch.ones(2)})), "no place for 'zebra'", header_too=False
    )
    refused(
        written("c", lambda t: t.update({"norm.bias": torch.ones(2)})), "'norm.bias' is [2]", header_too=False
    )


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda m: m.update(version=99), "version 99"),
        (lambda m: m.update(kind="llama"), "llama"),
        (lambda m: m["config"].update(heads=0), "heads"),
        (lambda m: m["config"].update(heads=5), "heads"),
        (lambda m: m["config"].update(tau=7), "tau"),
        (lambda m: m["config"].update(wings=2), "wings"),
        (lambda m: m["config"].pop("steps"), "steps"),
        (lambda m: m["config"].update(steps="6"), "steps"),
        (lambda m: m["config"].update(degree=1), "degree"),
        (lambda m: m["tokenizer"].pop("kind"), "tokenizer"),
        (lambda m: m["tokenizer"]["state"].pop(), "tokens"),
        (lambda m: m.update(dialogue=[1]), "turn markers"),
        (lambda m: m.update(neutral_prompts="hi"), "neutral prompts"),
    ],
)
def test_descriptions_that_do_not_add_up(
    tmp_path: Path, hlm_file: Path, edit: Callable[[dict[str, object]], object], words: str
) -> None:
    data = hlm_file.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = json.loads(header["__metadata__"][METADATA_KEY])
    edit(metadata)
    header["__metadata__"][METADATA_KEY] = json.dumps(metadata)
    path = tmp_path / "m.safetensors"
    path.write_bytes(safetensors_bytes(header, data[8 + length :]))
    refused(path, words, header_too=False)
