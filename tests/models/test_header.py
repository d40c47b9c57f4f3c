"""A header is the truth about the model, and costs no torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from energylang.errors import CheckpointError
from energylang.models import load, read_header, save
from energylang.models.header import ModelHeader, bundled_names, parse_spec

from .conftest import published


def _files(tmp_path: Path, hlm_file: Path, plain_file: Path, transformer_file: Path) -> list[str]:
    for name, content in (
        ("a.pt", {"model_state": published()}),
        ("b.pth", {"model": published(3)}),
        ("c.pt", published(1)),
    ):
        torch.save(content, tmp_path / name)
    save(load(str(tmp_path / "a.pt")), tmp_path / "d.safetensors")
    own = ["a.pt", "b.pth", "c.pt", "d.safetensors"]
    return [*(str(tmp_path / n) for n in own), str(hlm_file), str(plain_file), str(transformer_file)]


def test_header_equals_loaded_model_for_every_kind(
    tmp_path: Path, hlm_file: Path, plain_file: Path, transformer_file: Path
) -> None:
    specs = ["random:16", "random:8x3", "__random_12", "planted:64x5", *bundled_names()]
    for spec in specs + _files(tmp_path, hlm_file, plain_file, transformer_file):
        header, model = read_header(spec), load(spec)
        assert header == model.header
        assert header.dims == tuple(model.weight(i).shape[0] for i in range(model.num_layers))
        assert list(model.sites) == [f"L{i}" for i in range(len(header.dims))]
        assert ("landscape" in header.capabilities) == (header.kind != "transformer")
        assert header.parameters == sum(t.numel() for t in model.tensors().values() if t.is_floating_point())
        assert ("text" in header.capabilities) == (model.text is not None)
        if model.text is not None:
            assert header.vocabulary == model.text.tokenizer.size


def test_reading_a_header_leaves_torch_and_numpy_out(tmp_path: Path, hlm_file: Path) -> None:
    save(load("random:8x12"), tmp_path / "s.safetensors")
    specs = [str(hlm_file), str(tmp_path / "s.safetensors"), "random:256", "planted:64x4", *bundled_names()]
    code = (
        "import sys, energylang.models\n"
        "from energylang.models.header import read_header, bundled_names\n"
        f"print([read_header(s).dims for s in {specs!r}])\n"
        "assert not {'torch', 'numpy', 'safetensors', 'tokenizers'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_forms_of_a_sandbox() -> None:
    assert read_header("random:256").dims == (256,)
    assert read_header("__random_256").dims == (256,)
    assert read_header("random:32x4").dims == (32,) * 4
    assert read_header("planted:256x20") == ModelHeader(
        "planted:256x20",
        "sandbox",
        (256,),
        3,
        frozenset({"landscape"}),
        256 * 256 + 1,
        0,
        ("blocks.0.hopfield.W",),
        blocks=(0,),
        kept=("float32",),
    )
    assert read_header("random:1").dims == (1,)
    assert read_header("random:8192").dims == (8192,)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("random:0", "8192"),
        ("random:8193", "8192"),
        ("random:256x0", "layers"),
        ("random:8192x64", "weights"),
        ("random:99999999999999999999", "8192"),
        ("random:abc", "random:DIMENSION"),
        ("random:", "random:DIMENSION"),
        ("planted:256", "planted:"),
        ("planted:64x40", "disturb"),
        ("planted:64x0", "patterns"),
        ("", "expected"),
        ("tinny", "expected"),
        ("no/such/model.safetensors", "no file"),
        ("gone.pt", "no file"),
        ("bad\0name.pt", "cannot be read"),
    ],
)
def test_a_bad_specification_says_what_would_do(spec: str, words: str) -> None:
    for call in (read_header, load):
        with pytest.raises(CheckpointError) as caught:
            call(spec)
        assert words in f"{caught.value.message} {caught.value.hint}".replace("Expected", "expected")


def test_an_unknown_name_is_compared_with_the_known_ones() -> None:
    with pytest.raises(CheckpointError) as caught:
        read_header("randm:256")
    assert "did you mean 'random:256'" in caught.value.hint
    if "tiny" in bundled_names():
        with pytest.raises(CheckpointError) as caught:
            read_header("tinny")
        assert "did you mean 'tiny'" in caught.value.hint


def test_a_missing_file_is_compared_with_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(CheckpointError) as caught:
        read_header(str(tmp_path / "modle.safetensors"))
    assert "model.safetensors" in caught.value.hint


def test_relative_paths_resolve_against_base_and_else_the_cwd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(load("random:8"), tmp_path / "m.safetensors")
    assert read_header("m.safetensors", tmp_path).dims == (8,)
    assert load("m.safetensors", tmp_path).dims == (8,)
    with pytest.raises(CheckpointError):
        read_header("m.safetensors", tmp_path.parent)
    monkeypatch.chdir(tmp_path)
    assert read_header("m.safetensors").dims == (8,)
    assert parse_spec("m.safetensors").form == "file"
