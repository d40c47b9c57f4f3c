"""Laws of files: what is saved is what is loaded, and a fingerprint never lies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from energylang.errors import CheckpointError, LandscapeError
from energylang.models import fingerprint, load, save
from energylang.models.checkpoint import checksum, read_tensors_of, serialise
from energylang.models.dtypes import TORCH
from energylang.models.header import read_header
from energylang.models.index import TensorEntry, written_index
from energylang.models.layout import beta_name
from energylang.models.model import Model, natural_key

from .conftest import published, untrained

ROOT = Path(__file__).resolve().parents[2]


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
        if model.landscape:
            model.put(model.weight_key(0), model.weight(0) * 1.5 + torch.eye(model.dims[0]) * -0.0)
            model.put(beta_name(model.weight_key(0)), model.get(beta_name(model.weight_key(0))) + 0.25)
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
    assert [model.weight_key(i) for i in range(3)] == [f"blocks.{b}.hopfield.W" for b in (0, 2, 10)]


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


def _negate(w: Tensor) -> None:
    w.data.neg_()


def _swap(w: Tensor) -> None:
    w.data[:] = w.data.flip(0)


def _reshape(w: Tensor) -> None:
    w.data = w.data.reshape(2, 32)


def _replace(w: Tensor) -> None:
    w.set_(torch.arange(64.0).reshape(8, 8))


@pytest.mark.parametrize("change", [_negate, _swap, _reshape, _replace])
def test_no_write_behind_torchs_back_leaves_a_stale_fingerprint(change: Callable[[Tensor], None]) -> None:
    model = load("random:8")
    before = fingerprint(model)
    change(model.weight(0))
    after = fingerprint(model)
    assert after != before
    anew = load("random:8")
    anew.live[anew.weight_key(0)] = model.weight(0).clone()
    assert fingerprint(anew) == after


def test_a_tensor_in_the_memory_of_another_has_its_own_fingerprint() -> None:
    model = load("random:64")
    found = {fingerprint(model, {model.weight_key(0): torch.full((64, 64), float(k))}) for k in range(20)}
    assert len(found) == 20


def test_fingerprint_sees_signs_of_zero_and_log_beta() -> None:
    model = load("random:4")
    weight = torch.zeros(4, 4)
    model.put(model.weight_key(0), weight)
    plus = fingerprint(model)
    model.put(model.weight_key(0), -weight)
    assert fingerprint(model) != plus
    model.put(model.weight_key(0), weight)
    assert fingerprint(model) == plus
    model.put(beta_name(model.weight_key(0)), model.get(beta_name(model.weight_key(0))) + 1)
    assert fingerprint(model) != plus


def test_set_weight_checks_and_copies() -> None:
    model = load("random:6x2")
    old = model.weight(1)
    bits = old.clone()
    new = torch.ones(6, 6)
    model.put(model.weight_key(1), new)
    new[0, 0] = 7
    assert float(model.weight(1)[0, 0]) == 1
    model.put(model.weight_key(1), old)
    assert torch.equal(model.weight(1), bits)
    for bad in (torch.ones(5, 5), torch.ones(6, 6, dtype=torch.float64), torch.full((6, 6), float("nan"))):
        with pytest.raises(LandscapeError):
            model.put(model.weight_key(1), bad)
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


# ------------------------------------------------------------------------------------ half precision


def written_by_others(path: Path, dtype: torch.dtype, seed: int) -> dict[str, Tensor]:
    """A file of bare weights of this dtype, of any bits that are numbers (subnormal ones and -0 among them)."""
    draw = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in (("blocks.0.hopfield.W", (6, 6)), ("down_proj.weight", (5, 11)), ("norm.bias", (7,))):
        bits = torch.randint(-(2**15), 2**15, shape, generator=draw, dtype=torch.int16)
        tensor = bits.view(dtype)
        tensors[name] = torch.where(torch.isfinite(tensor), tensor, -torch.zeros((), dtype=dtype))
    tensors["blocks.0.hopfield.log_beta"] = torch.tensor(1.5, dtype=dtype)
    tensors["blocks.0.steps"] = torch.tensor([3], dtype=torch.int64)
    torch.save(tensors, path) if path.suffix == ".pt" else save_file(tensors, path)
    return tensors


@given(
    st.sampled_from((torch.float16, torch.bfloat16)),
    st.sampled_from((".pt", ".safetensors")),
    st.integers(0, 999),
)
@settings(max_examples=30, deadline=None)
def test_half_precision_is_widened_and_saved_as_it_was(dtype: torch.dtype, suffix: str, seed: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"half{suffix}"
        theirs = written_by_others(path, dtype, seed)
        model = load(str(path))
        assert all(t.dtype in (torch.float32, torch.int64) for t in model.tensors().values())
        narrowed = {n: t.to(theirs[n].dtype) for n, t in model.tensors().items()}
        assert same(narrowed, {n: theirs[n] for n in narrowed})
        first = save(model, Path(folder) / "first.safetensors")
        assert same(dict(sorted(load_file(first).items())), dict(sorted(theirs.items())))
        again = load(str(first))
        assert fingerprint(again) == fingerprint(model)
        assert save(again, Path(folder) / "second.safetensors").read_bytes() == first.read_bytes()


def test_an_edited_tensor_is_rounded_and_the_others_keep_their_bits(tmp_path: Path) -> None:
    theirs = written_by_others(tmp_path / "h.safetensors", torch.bfloat16, 1)
    model = load(str(tmp_path / "h.safetensors"))
    edited = torch.eye(6) * 1.001  # 1.0 in bfloat16
    model.put(model.weight_key(0), edited)
    back = load_file(save(model, tmp_path / "e.safetensors"))
    assert torch.equal(back.pop("blocks.0.hopfield.W"), torch.eye(6).bfloat16())
    assert same(dict(sorted(back.items())), {n: theirs[n] for n in sorted(back)})
    assert fingerprint(load(str(tmp_path / "e.safetensors"))) != fingerprint(model), (
        "the hash is of what is in memory"
    )
    model.put(model.weight_key(0), torch.eye(6))
    assert fingerprint(load(str(tmp_path / "e.safetensors"))) == fingerprint(model)


def test_another_dtype_can_be_asked_for_and_is_saved(tmp_path: Path) -> None:
    """The checksum is that of the file, whatever its numbers become."""
    path = save(load("random:8", dtype="float64"), tmp_path / "a.safetensors")
    narrow = load(str(path), dtype="float32")
    assert narrow.weight(0).dtype == torch.float32 and not narrow.stored
    assert load(str(save(narrow, tmp_path / "b.safetensors"))).weight(0).dtype == torch.float32
    assert load(str(tmp_path / "b.safetensors"), dtype="float64").weight(0).dtype == torch.float64


def test_what_half_precision_cannot_hold_is_not_saved(tmp_path: Path) -> None:
    written_by_others(tmp_path / "h.safetensors", torch.float16, 1)
    model = load(str(tmp_path / "h.safetensors"))
    model.put(model.weight_key(0), torch.eye(6) * 1e6)
    with pytest.raises(CheckpointError, match=r"'blocks.0.hopfield.W' has grown beyond .* float16"):
        save(model, tmp_path / "e.safetensors")
    assert not (tmp_path / "e.safetensors").exists()
    wide = load(str(tmp_path / "h.safetensors"), dtype="float32")
    wide.put(wide.weight_key(0), torch.eye(6) * 1e6)
    assert load_file(save(wide, tmp_path / "e.safetensors"))["blocks.0.hopfield.W"].dtype == torch.float32


# ------------------------------------------------------------------------------------- files and memory


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), st.tuples(
    st.sampled_from(sorted(TORCH)), st.lists(st.integers(0, 3), max_size=3))), st.text(max_size=9))  # fmt: skip
@settings(deadline=None)
def test_a_file_is_what_the_library_of_the_format_writes(
    shapes: dict[str, tuple[str, list[int]]], note: str
) -> None:
    shapes.pop("__metadata__", None)
    tensors = {name: torch.ones(shape).to(TORCH[dtype]) for name, (dtype, shape) in shapes.items()}
    metadata = {"note": note.encode("utf-8", "replace").decode()}
    signed = {**metadata, "sha256": checksum(tensors, metadata)}
    text = json.dumps(signed, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert b"".join(serialise(tensors, metadata)) == safetensors.torch.save(tensors, {"energylang": text})


def test_every_dtype_of_a_file_is_read(tmp_path: Path) -> None:
    tensors = {name: torch.ones(2, 3).to(dtype) for name, dtype in TORCH.items()}
    (tmp_path / "all").write_bytes(b"".join(serialise(tensors, {})))
    entries = {name: TensorEntry(name, (2, 3)) for name in tensors}
    start, order = written_index(
        entries, json.dumps({"sha256": checksum(tensors, {})}, separators=(",", ":"))
    )
    for name in order:
        entries[name] = TensorEntry(name, (2, 3), len(start))
        start += bytes(entries[name].nbytes)
    assert same(read_tensors_of(tmp_path / "all", entries), tensors)


def test_a_file_that_is_cut_off_while_it_is_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"123")
    with pytest.raises(CheckpointError, match="cut off"):
        read_tensors_of(tmp_path / "short", {"w": TensorEntry("F32", (2,))})


def test_later_changes_of_the_file_do_not_reach_the_model(tmp_path: Path) -> None:
    path = save(load("random:64"), tmp_path / "m.safetensors")
    model = load(str(path))
    before = fingerprint(model)
    with path.open("r+b") as file:
        file.write(b"x" * path.stat().st_size)
        file.truncate(100)
    assert torch.isfinite(model.weight(0)).all()
    assert fingerprint(model) == before


def sparse(path: Path, dtype: str, shapes: dict[str, tuple[int, ...]]) -> Path:
    """A file of zeros: a hole, which takes no room on the disk."""
    shapes = {"blocks.0.hopfield.W": (4, 4), "blocks.0.hopfield.log_beta": (), **shapes}
    entries = {name: TensorEntry(dtype, shape) for name, shape in shapes.items()}
    start, _ = written_index(entries, '{"kind":"weights","version":1}')
    path.write_bytes(start)
    os.truncate(path, len(start) + sum(entry.nbytes for entry in entries.values()))
    return path


def test_tensors_besides_a_landscape_may_be_of_any_size(tmp_path: Path) -> None:
    shapes: dict[str, tuple[int, ...]] = {"embed": (150_000, 4096), "down_proj": (4096, 11_008)}
    header = read_header(str(sparse(tmp_path / "m.safetensors", "BF16", shapes)))
    assert header.dims == (4,) and header.parameters == 16 + 1 + 150_000 * 4096 + 4096 * 11_008
    with pytest.raises(CheckpointError, match="dimension 8193"):
        read_header(str(sparse(tmp_path / "m.safetensors", "BF16", {"blocks.1.hopfield.W": (8193, 8193)})))


def test_seven_billion_numbers_are_weighed_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sparse(tmp_path / "m.safetensors", "BF16", {f"w{k}": (4096, 8192) for k in range(208)})
    monkeypatch.setattr("energylang.files.storage.free_memory", lambda: 25 * 2**30)
    with pytest.raises(
        CheckpointError, match=r"m\.safetensors.* needs about 26 GiB of memory, and 25 GiB are free"
    ):
        load(str(path))  # 13 GiB in the file, 26 as float32

    def reached(*_: object) -> None:
        raise InterruptedError("read")

    monkeypatch.setattr("energylang.models.checkpoint._read", reached)
    monkeypatch.setattr("energylang.files.storage.free_memory", lambda: 27 * 2**30)
    with pytest.raises(CheckpointError, match="read"):
        load(str(path))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured on Linux")
def test_a_model_is_in_memory_once(tmp_path: Path) -> None:
    sparse(tmp_path / "big.safetensors", "F32", {"w": (4096, 4096 * 4)})  # 256 MiB
    code = """
from energylang.models import fingerprint, load, save
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
load("random:64")
before = peak()
model = load("big.safetensors")
fingerprint(model)
model.live["w"][0] += 1
fingerprint(model)
save(model, "out.safetensors")
print(peak() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert 200 < float(done.stdout) < 1.25 * 256
