"""Laws of files: what is saved is what is loaded, and a fingerprint never lies."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from energylang.errors import CheckpointError, LandscapeError
from energylang.models import fingerprint, load, save
from energylang.models.protocol import Model, natural_key

from .conftest import published, untrained


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Equal names in equal order, dtypes, shapes and bytes."""

    def raw(t: Tensor) -> bytes:
        return t.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()

    return list(a) == list(b) and all(
        a[n].dtype == b[n].dtype and a[n].shape == b[n].shape and raw(a[n]) == raw(b[n]) for n in a
    )


def models(tmp_path: Path) -> list[Model]:
    torch.save({"model_state": published(12)}, tmp_path / "p.pt")
    return [
        load("random:8x3"),
        load("planted:32x3"),
        load(str(tmp_path / "p.pt")),
        untrained(),
        untrained("transformer"),
    ]


def test_save_then_load_is_the_identity_bit_for_bit_row_21(tmp_path: Path) -> None:
    for k, model in enumerate(models(tmp_path)):
        if model.num_layers:
            model.set_weight(0, model.weight(0) * 1.5 + torch.eye(model.dims[0]) * -0.0)
            model.set_log_beta(0, model.log_beta(0) + 0.25)
        path = save(model, tmp_path / f"{k}.safetensors", extra={"mine": torch.arange(3)}, notes={"a": [1]})
        back = load(str(path))
        assert same(model.tensors(), back.tensors())
        assert fingerprint(model) == fingerprint(back)
        assert (back.degree, back.header.dims, back.header.kind) == (
            model.degree,
            model.header.dims,
            model.header.kind,
        )
        assert back.extra["mine"].tolist() == [0, 1, 2]
        assert back.metadata["notes"] == {"a": [1]}
        for name, tensor in model.extra.items():
            assert torch.equal(tensor, back.extra[name])
        for key, value in model.metadata.items():
            assert back.metadata[key] == value
        again = save(load(str(path)), tmp_path / f"{k}b.safetensors")
        assert again.read_bytes() == save(back, tmp_path / f"{k}c.safetensors").read_bytes()


def test_layers_are_numbered_in_natural_order_row_9(tmp_path: Path) -> None:
    state = published(12)
    torch.save(state, tmp_path / "m.pt")
    model = load(str(tmp_path / "m.pt"))
    assert [model.weight_key(i) for i in range(12)] == [f"blocks.{i}.hopfield.W" for i in range(12)]
    for i in range(12):
        assert torch.equal(model.weight(i), state[f"blocks.{i}.hopfield.W"])
        assert model.beta(i) == pytest.approx(np.exp(float(i)), rel=1e-6)
    assert list(model.tensors()) == sorted(state, key=natural_key)
    assert load(str(save(model, tmp_path / "m.safetensors"))).weight_key(2) == "blocks.2.hopfield.W"


def test_block_numbers_may_have_gaps(tmp_path: Path) -> None:
    state = {k.replace("blocks.1.", "blocks.10."): v for k, v in published(3).items()}
    torch.save(state, tmp_path / "m.pt")
    model = load(str(tmp_path / "m.pt"))
    assert [model.block(i) for i in range(3)] == [0, 2, 10]


def test_fingerprint_follows_every_weight_and_returns_when_restored(tmp_path: Path) -> None:
    for model in models(tmp_path):
        first = fingerprint(model)
        for name, tensor in model.live.items():
            flat = tensor.reshape(-1)
            old = flat[-1].clone()
            flat[-1] += 1e-3  # in place, behind the model's back
            changed = fingerprint(model)
            flat[-1] = old
            assert changed != first, name
            assert fingerprint(model) == first
    model = load("random:8")
    before = fingerprint(model)
    model.weight(0).numpy()[0, 0] += 1  # not even torch knows
    assert fingerprint(model) != before


def test_fingerprint_sees_signs_of_zero_and_log_beta() -> None:
    model = load("random:4")
    weight = torch.zeros(4, 4)
    model.set_weight(0, weight)
    plus = fingerprint(model)
    model.set_weight(0, -weight)
    assert fingerprint(model) != plus
    model.set_weight(0, weight)
    assert fingerprint(model) == plus
    model.set_log_beta(0, model.log_beta(0) + 1)
    assert fingerprint(model) != plus


def test_set_weight_checks_and_copies() -> None:
    model = load("random:6x2")
    old = model.weight(1)
    bits = old.clone()
    new = torch.ones(6, 6)
    model.set_weight(1, new)
    new[0, 0] = 7
    assert float(model.weight(1)[0, 0]) == 1
    model.set_weight(1, old)
    assert torch.equal(model.weight(1), bits)
    for bad in (torch.ones(5, 5), torch.ones(6, 6, dtype=torch.float64), torch.full((6, 6), float("nan"))):
        with pytest.raises(LandscapeError):
            model.set_weight(1, bad)
    for layer in (2, -1):
        with pytest.raises(LandscapeError, match="no layer"):
            model.weight(layer)


def test_a_failed_save_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(load("random:8"), tmp_path / "m.safetensors")
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(CheckpointError, match="No space left"):
        save(load("random:9"), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_save_says_where_it_cannot_write(tmp_path: Path) -> None:
    model = load("random:8")
    with pytest.raises(CheckpointError, match=r"\.safetensors"):
        save(model, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match="no folder"):
        save(model, tmp_path / "gone" / "m.safetensors")
    (tmp_path / "d.safetensors").mkdir()
    with pytest.raises(CheckpointError, match="directory"):
        save(model, tmp_path / "d.safetensors")


def test_dtype_and_device() -> None:
    assert load("random:8", dtype="float64").weight(0).dtype == torch.float64
    assert load("random:8", dtype=torch.float32).weight(0).dtype == torch.float32
    with pytest.raises(CheckpointError, match="int8"):
        load("random:8", dtype="int8")
    with pytest.raises(CheckpointError, match="device"):
        load("random:8", device="toaster")
    if not torch.cuda.is_available():
        with pytest.raises(CheckpointError, match="CUDA"):
            load("random:8", device="cuda")


def test_half_precision_is_widened(tmp_path: Path) -> None:
    state = {k: v.to(torch.bfloat16) for k, v in published(1).items()}
    torch.save(state, tmp_path / "h.pt")
    model = load(str(tmp_path / "h.pt"))
    assert model.weight(0).dtype == torch.float32
    assert torch.equal(model.weight(0).to(torch.bfloat16), state["blocks.0.hopfield.W"])
