"""Files that are sound and are no plain state dictionary: they load, or the key and the reason are named."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from energylang import Session
from energylang.errors import CheckpointError
from energylang.models import load, save
from energylang.models.header import read_header

W = "blocks.0.hopfield.W"


def plain(layers: int = 2, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    made: dict[str, Tensor] = {}
    for i in range(layers):
        made[f"blocks.{i}.hopfield.W"] = (torch.eye(8) * (i + 1)).to(dtype)
        made[f"blocks.{i}.hopfield.log_beta"] = torch.tensor(1.0)
    return made


def refused(path: Path, *words: str) -> CheckpointError:
    """Both doors say the same, name the file, and do not call it damaged."""
    said = set()
    for door in (load, read_header):
        with pytest.raises(CheckpointError) as caught:
            door(str(path))
        said.add(caught.value.message)
        assert caught.value.code == "EL501"
    (message,) = said
    assert str(path) in message
    assert "damaged" not in message + caught.value.hint
    assert "truncated" not in message + caught.value.hint
    for word in words:
        assert word in message + caught.value.hint, (word, message, caught.value.hint)
    return caught.value


# ------------------------------------------------------------------------------------------- several files


def in_shards(folder: Path, suffix: str = ".safetensors") -> Path:
    """A model of two layers in two files, and their index."""
    write = save_file if suffix == ".safetensors" else torch.save
    stem = "model" if suffix == ".safetensors" else "pytorch_model"
    table = {}
    for number in (0, 1):
        name = f"{stem}-0000{number + 1}-of-00002{suffix}"
        part = {key: tensor for key, tensor in plain().items() if f".{number}." in key}
        write(part, folder / name)
        table |= dict.fromkeys(part, name)
    index = folder / f"{stem}{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": table}), encoding="utf-8")
    return index


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_an_index_is_the_model_and_one_of_its_files_is_a_part(tmp_path: Path, suffix: str) -> None:
    index = in_shards(tmp_path, suffix)
    model = load(str(index))
    assert read_header(str(index)).dims == model.dims == (8, 8)
    assert torch.equal(model.weight(1), torch.eye(8) * 2)
    shard = next(tmp_path.glob("*-00002-of-00002*"))
    assert index.name in refused(shard, "one of 2 files").hint
    index.unlink()
    refused(shard, index.name, "not there")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, ("no weight_map",)),
        ([], ("no weight_map",)),
        ({W: "../outside.safetensors"}, ("outside.safetensors", "beside its index")),
        ({W: "/etc/passwd"}, ("beside its index",)),
        ({W: 3}, (W, "beside its index")),
        ({W: "gone.safetensors"}, ("gone.safetensors", "not there", W)),
        (
            {"blocks.7.hopfield.W": "model-00001-of-00002.safetensors"},
            ("blocks.7.hopfield.W", "does not hold"),
        ),
    ],
)
def test_an_index_that_is_wrong(tmp_path: Path, table: Any, words: tuple[str, ...]) -> None:
    index = in_shards(tmp_path)
    index.write_text(json.dumps({"weight_map": table}), encoding="utf-8")
    if "does not hold" in words:
        with pytest.raises(CheckpointError, match="does not hold"):
            load(str(index))
    else:
        refused(index, *words)


def test_an_index_that_is_none(tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text("not json", encoding="utf-8")
    refused(index, "is not JSON")


# --------------------------------------------------------------------------------------------- other kinds


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_an_archive_of_numpy_loads(tmp_path: Path, write: Any) -> None:
    arrays = {f"module.{name}": tensor.numpy() for name, tensor in plain().items()}
    arrays["module.blocks.1.hopfield.W"] = np.asfortranarray(np.arange(64.0).reshape(8, 8) / 64).astype(">f8")
    write(tmp_path / "m.npz", **arrays)
    model = load(str(tmp_path / "m.npz"))
    assert read_header(str(tmp_path / "m.npz")).dims == model.dims == (8, 8)
    assert torch.equal(model.weight(0), torch.eye(8))
    assert model.weight(1).tolist() == (np.arange(64.0).reshape(8, 8) / 64).tolist()


def test_arrays_of_objects_are_pickles_and_are_refused(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in plain().items()}
    np.savez(tmp_path / "m.npz", **{**arrays, W: np.array([{}, 1], dtype=object)})
    refused(tmp_path / "m.npz", W, "Python objects")
    np.savez(tmp_path / "n.npz", **{**arrays, W: np.array(["a"])})
    refused(tmp_path / "n.npz", W, "<U1")


def test_an_archive_that_claims_more_than_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    np.savez(path, **{name: tensor.numpy() for name, tensor in plain(1).items()})
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"(8, 8)", b"(8, 9)"))
    with pytest.raises(CheckpointError, match=r"m\.npz"):
        load(str(path))
    for cut in range(0, len(raw), 37):
        path.write_bytes(raw[:cut])
        with pytest.raises(CheckpointError, match=r"m\.npz"):
            load(str(path))


SPECIAL: dict[str, tuple[Any, tuple[str, ...]]] = {
    "sparse": (lambda: torch.eye(8).to_sparse(), ("sparse", "to_dense")),
    "rows": (lambda: torch.eye(8).to_sparse_csr(), ("sparse", "to_dense")),
    "quantised": (
        lambda: torch.quantize_per_tensor(torch.eye(8), 0.1, 0, torch.qint8),
        ("quantised", "dequantize"),
    ),
    "meta": (lambda: torch.eye(8, device="meta"), ("meta device", "no numbers")),
    "nested": (lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]), ("nested",)),
    "numpy": (lambda: np.eye(8), ("numpy", "from_numpy")),
    "whole numbers": (lambda: torch.eye(8, dtype=torch.int8), ("I8", "float32")),
    "complex": (lambda: torch.eye(8, dtype=torch.complex64), ("C64", "float32")),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("kind", SPECIAL)
def test_a_tensor_of_another_kind_is_named(tmp_path: Path, kind: str, older: bool) -> None:
    make, words = SPECIAL[kind]
    path = tmp_path / "m.pt"
    try:
        torch.save({**plain(), W: make()}, path, _use_new_zipfile_serialization=not older)
    except (RuntimeError, NotImplementedError):
        pytest.skip("torch does not write this")
    refused(path, W, *words)


@pytest.mark.filterwarnings("ignore")
def test_what_is_no_state_dictionary_is_called_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    torch.save({"net": {"inner": plain()}, "epoch": 3}, path)
    refused(path, "net, epoch", "state_dict")
    torch.save([plain()], path)
    refused(path, "it is a list")
    torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    refused(path, "no Hopfield layers", "weight")
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(path))
    refused(path, "TorchScript")
    torch.save(plain(), path)
    (tmp_path / "m.pt.gz").write_bytes(gzip.compress(path.read_bytes()))
    refused(tmp_path / "m.pt.gz", "gzip", "gunzip")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.write(path, "m.pt")
    refused(tmp_path / "z.zip", "zip archive", "m.pt", "unzip")
    np.save(tmp_path / "a.npy", np.eye(8))
    refused(tmp_path / "a.npy", "without a name", "savez")


# ------------------------------------------------------------------------------------------- what info says


def test_info_says_which_blocks_a_file_holds_and_how_they_are_kept(tmp_path: Path) -> None:
    state = {name.replace("blocks.1", "blocks.07"): tensor for name, tensor in plain().items()}
    state["blocks.07.hopfield.W"] = state["blocks.07.hopfield.W"].half()
    torch.save(state, tmp_path / "m.pt")
    info = Session(tmp_path / "m.pt").info()
    assert info.blocks == (0, 7)
    assert info.kept == ("float16", "float32")
    assert Session("random:8x2").info().blocks == (0, 1)
    assert Session("tiny").info().kept == ("float32",)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_what_came_as_it_is_kept_is_saved_so(tmp_path: Path, dtype: torch.dtype) -> None:
    torch.save(plain(dtype=dtype), tmp_path / "m.pt")
    save(load(str(tmp_path / "m.pt")), tmp_path / "out.safetensors")
    assert load_file(tmp_path / "out.safetensors")[W].dtype == dtype
    name = str(dtype).removeprefix("torch.")
    assert read_header(str(tmp_path / "out.safetensors")).kept == tuple(sorted({name, "float32"}))
