"""Checkpoints as other people's training loops keep them load, or say what is in the way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from energylang.errors import CheckpointError
from energylang.models import load
from energylang.models.header import read_header
from energylang.models.wrapped import unwrapped


def plain(layers: int = 2) -> dict[str, Tensor]:
    made: dict[str, Tensor] = {}
    for i in range(layers):
        made[f"blocks.{i}.hopfield.W"] = torch.eye(8) * (i + 1)
        made[f"blocks.{i}.hopfield.log_beta"] = torch.tensor(1.0)
    return made


def prefixed(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


WRAPPED: dict[str, object] = {
    "compiled": prefixed("_orig_mod.", plain()),
    "parallel": prefixed("module.", plain()),
    "both": prefixed("module._orig_mod.", plain()),
    "lightning": {"state_dict": prefixed("model.", plain()), "epoch": 3},
    "loop": {"model_state_dict": plain(), "optimizer_state_dict": {}, "epoch": 1},
    "padded": {name.replace("blocks.", "blocks.0"): tensor for name, tensor in plain().items()},
}


@pytest.mark.parametrize("name", WRAPPED)
def test_a_wrapped_state_dictionary_is_the_plain_one(name: str, tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    torch.save(WRAPPED[name], path)
    model = load(str(path))
    assert read_header(str(path)).dims == model.dims == (8, 8)
    for i in range(2):
        assert torch.equal(model.weight(i), plain()[f"blocks.{i}.hopfield.W"])


def test_a_safetensors_file_may_have_a_prefix_too(tmp_path: Path) -> None:
    save_file(prefixed("module.", plain()), tmp_path / "m.safetensors")
    assert read_header(str(tmp_path / "m.safetensors")).dims == (8, 8)
    assert torch.equal(load(str(tmp_path / "m.safetensors")).weight(1), torch.eye(8) * 2)


def test_two_models_in_one_file_are_named(tmp_path: Path) -> None:
    torch.save({**prefixed("student.", plain(1)), **prefixed("teacher.", plain(1))}, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match=r"student\., teacher\."):
        load(str(tmp_path / "m.pt"))


def test_numbers_that_differ_in_their_zeros_alone_are_two_tensors_of_one_name(tmp_path: Path) -> None:
    state = {**plain(1), "blocks.00.hopfield.W": torch.eye(8)}
    torch.save(state, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="two tensors"):
        load(str(tmp_path / "m.pt"))


@given(
    prefix=st.sampled_from(["", "module.", "a.b.", "_orig_mod.module."]), extra=st.text("abc.", max_size=8)
)
def test_names_without_a_layer_s_prefix_stay(prefix: str, extra: str) -> None:
    names = {**dict.fromkeys(prefixed(prefix, plain()), 1), "head": 1, f"zz{extra}": 1}
    found = unwrapped("here", names)
    assert {"head", f"zz{extra}", *plain()} == set(found)


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("kind", ["m.pt", "m.safetensors"])
def test_eight_bit_floats_are_named_and_refused(dtype: str, kind: str, tmp_path: Path) -> None:
    state = plain(1)
    state["blocks.0.hopfield.W"] = torch.rand(8, 8).to(getattr(torch, dtype))
    path = tmp_path / kind
    if kind.endswith(".pt"):
        torch.save(state, path)
    else:
        save_file(state, path)
    for look in (load, read_header):
        with pytest.raises(CheckpointError) as caught:
            look(str(path))
        assert caught.value.code == "EL501"
        assert "blocks.0.hopfield.W" in str(caught.value)
        assert "8" in str(caught.value)
