"""Control vectors in GGUF files: what is written is read back bit for bit, and nothing else is taken for one."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest
import torch

from energylang.concepts.control_vectors import read_vectors, write_vectors
from energylang.errors import CheckpointError, FileError
from energylang.files.storage import contained

gguf = pytest.importorskip("gguf")
np = pytest.importorskip("numpy")

WIDTH = 24


def vectors(*layers: int, width: int = WIDTH, seed: int = 0) -> dict[int, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {layer: torch.randn(width, generator=draw) for layer in layers}


def by_hand(
    path: Path, tensors: dict[str, object], *, architecture: str = "controlvector", hint: object = "llama"
):
    """A file as repeng writes one: these keys, in this order, and one tensor for each direction."""
    writer = gguf.GGUFWriter(path, architecture)
    if isinstance(hint, str):
        writer.add_string("controlvector.model_hint", hint)
    elif hint is not None:
        writer.add_uint32("controlvector.model_hint", hint)
    writer.add_uint32("controlvector.layer_count", len(tensors))
    for name, value in tensors.items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def row(width: int = WIDTH, dtype: str = "float32"):
    return np.linspace(-1, 1, width).astype(dtype)


def refused(path: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as found:
        read_vectors(path)
    assert str(path) in found.value.message
    assert "\n" not in found.value.message
    return found.value


# ------------------------------------------------------------------------------------------- round trip


@pytest.mark.parametrize("layers", [(1,), (14,), (1, 2, 3), (29, 3, 11, 1023), tuple(range(1, 32))])
def test_what_is_written_is_read_back_bit_for_bit(tmp_path: Path, layers: tuple[int, ...]):
    given = vectors(*layers)
    write_vectors(tmp_path / "v.gguf", given, "llama")
    found, hint = read_vectors(tmp_path / "v.gguf")
    assert hint == "llama"
    assert list(found) == sorted(layers)
    assert all(torch.equal(found[layer], given[layer]) for layer in layers)
    assert all(vector.dtype == torch.float32 and vector.shape == (WIDTH,) for vector in found.values())


def test_numbers_at_the_edges_survive(tmp_path: Path):
    edges = torch.tensor([0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38, 1 / 3])
    write_vectors(tmp_path / "v.gguf", {2: edges}, "gpt2")
    found, _ = read_vectors(tmp_path / "v.gguf")
    assert found[2].view(torch.int32).tolist() == edges.view(torch.int32).tolist()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_written_in_float32(tmp_path: Path, dtype: torch.dtype):
    given = vectors(4)[4].to(dtype)
    write_vectors(tmp_path / "v.gguf", {4: given}, "llama")
    assert torch.equal(read_vectors(tmp_path / "v.gguf")[0][4], given.to(torch.float32))


def test_a_part_of_a_larger_tensor_is_written_as_it_is(tmp_path: Path):
    whole = torch.arange(60.0, requires_grad=True).reshape(6, 10)
    write_vectors(tmp_path / "v.gguf", {1: whole[:, 3], 2: whole[:, 4]}, "llama")
    found, _ = read_vectors(tmp_path / "v.gguf")
    assert found[1].tolist() == whole[:, 3].tolist()


def test_the_same_vectors_give_the_same_bytes(tmp_path: Path):
    write_vectors(tmp_path / "a.gguf", vectors(3, 1), "llama")
    write_vectors(tmp_path / "b.gguf", dict(reversed(vectors(3, 1).items())), "llama")
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


def test_what_is_read_belongs_to_whoever_read_it(tmp_path: Path):
    path = tmp_path / "v.gguf"
    write_vectors(path, vectors(1), "llama")
    before = path.read_bytes()
    found, _ = read_vectors(path)
    found[1].zero_()
    path.unlink()
    assert float(found[1].sum()) == 0.0
    path.write_bytes(before)
    assert float(read_vectors(path)[0][1].abs().sum()) > 0


# -------------------------------------------------------------------------------- as others write and read


def test_a_file_in_the_way_of_repeng_is_read_without_a_shift(tmp_path: Path):
    """repeng goes from the last block down to block 1."""
    directions = {f"direction.{n}": row() * n for n in range(5, 0, -1)}
    found, hint = read_vectors(by_hand(tmp_path / "v.gguf", directions, hint="mistral"))
    assert hint == "mistral"
    assert list(found) == [1, 2, 3, 4, 5]
    assert all(np.array_equal(found[n].numpy(), directions[f"direction.{n}"]) for n in found)


def test_ours_is_what_repeng_would_have_written(tmp_path: Path):
    directions = {f"direction.{n}": row() * n for n in (1, 2, 3)}
    by_hand(tmp_path / "theirs.gguf", directions)
    ours = {n: torch.from_numpy(directions[f"direction.{n}"]) for n in (1, 2, 3)}
    write_vectors(tmp_path / "ours.gguf", ours, "llama")
    assert (tmp_path / "ours.gguf").read_bytes() == (tmp_path / "theirs.gguf").read_bytes()


def test_the_library_reads_ours_as_repeng_does(tmp_path: Path):
    given = vectors(7, 9)
    write_vectors(tmp_path / "v.gguf", given, "qwen2")
    reader = gguf.GGUFReader(tmp_path / "v.gguf")
    assert reader.get_field("general.architecture").contents() == "controlvector"
    assert reader.get_field("controlvector.model_hint").contents() == "qwen2"
    assert reader.get_field("controlvector.layer_count").contents() == 2
    assert {tensor.name: tensor.tensor_type.name for tensor in reader.tensors} == {
        "direction.7": "F32",
        "direction.9": "F32",
    }
    assert all(np.array_equal(t.data, given[int(t.name.split(".")[1])].numpy()) for t in reader.tensors)


def test_block_0_is_read_where_repeng_was_told_to_take_it(tmp_path: Path):
    found, _ = read_vectors(by_hand(tmp_path / "v.gguf", {"direction.0": row(), "direction.1": row()}))
    assert list(found) == [0, 1]


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_floats_are_read(tmp_path: Path, dtype: str):
    found, _ = read_vectors(by_hand(tmp_path / "v.gguf", {"direction.1": row(dtype=dtype)}))
    assert np.array_equal(found[1].numpy(), row(dtype=dtype).astype("float32"))


def test_a_file_without_a_hint_is_read(tmp_path: Path):
    assert read_vectors(by_hand(tmp_path / "v.gguf", {"direction.1": row()}, hint=None))[1] == ""


# ---------------------------------------------------------------------------------------- what is not read


def test_a_model_is_no_control_vector(tmp_path: Path):
    error = refused(by_hand(tmp_path / "m.gguf", {"direction.1": row()}, architecture="llama"))
    assert "of the kind 'llama'" in error.message
    assert "load" in error.hint


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({}, "holds no direction"),
        ({"direction.1": row(), "output.weight": row()}, "'output.weight'"),
        ({"direction.x": row()}, "'direction.x'"),
        ({"direction.-1": row()}, "'direction.-1'"),
        ({"direction.01": row()}, "'direction.01'"),
        ({"direction.1.weight": row()}, "'direction.1.weight'"),
        ({"direction.1024": row()}, "'direction.1024'"),
        ({"direction.99999999999999999999": row()}, "which is no direction"),
        ({"direction.1": row().reshape(4, 6)}, "shape 4 × 6"),
        ({"direction.1": row(2**17 + 1)}, "shape 131073"),
        ({"direction.1": row(), "direction.2": row(WIDTH + 1)}, "different lengths: 24 and 25"),
        ({"direction.1": row() * np.float32("inf")}, "not finite"),
        ({"direction.1": row() * np.float32("nan")}, "not finite"),
        ({"direction.1": row(dtype="float64") * 1e200}, "not finite"),
        ({"direction.1": np.arange(24, dtype=np.int32)}, "I32"),
        ({f"direction.{n}": row(1) for n in range(1, 1026)}, "more than one could"),
    ],
)
def test_what_no_control_vector_holds(tmp_path: Path, tensors: dict[str, object], said: str):
    assert said in refused(by_hand(tmp_path / "v.gguf", tensors)).message


@pytest.mark.parametrize("hint", [7, "x" * 300])
def test_hints_that_are_none(tmp_path: Path, hint: object):
    error = refused(by_hand(tmp_path / "v.gguf", {"direction.1": row()}, hint=hint))
    assert "does not name the architecture" in error.message


def test_quantised_directions(tmp_path: Path):
    path = tmp_path / "v.gguf"
    writer = gguf.GGUFWriter(path, "controlvector")
    blocks = gguf.quants.quantize(row(64), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("direction.1", blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert "Q8_0" in refused(path).message


def test_every_cut_of_a_file_is_refused(tmp_path: Path):
    path = tmp_path / "v.gguf"
    write_vectors(path, vectors(1, 2), "llama")
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        refused(path)


def test_every_changed_byte_is_read_or_refused(tmp_path: Path):
    """A header's bytes are believed only as far as they make sense: nothing but a ``CheckpointError`` comes out."""
    path = tmp_path / "v.gguf"
    write_vectors(path, vectors(1, 2), "llama")
    whole = path.read_bytes()
    for place in range(len(whole)):
        for value in (0, 1, 0x7F, 0xFF):
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                found, _ = read_vectors(path)
            except CheckpointError:
                continue
            assert all(bool(vector.isfinite().all()) for vector in found.values())


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


@pytest.mark.parametrize(
    "begin",
    [
        struct.pack("<4sIQQ", b"GGUF", 3, 2**60, 1),
        struct.pack("<4sIQQ", b"GGUF", 3, 1, 2**60),
        struct.pack("<4sIQQ", b"GGUF", 99, 1, 1),
        struct.pack(">4sIQQ", b"GGUF", 3, 1, 1),
        struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + text("a") + struct.pack("<IIQ", 9, 0, 2**62),
        struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + text("a") + struct.pack("<IIQ", 9, 8, 2**62),
        struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + struct.pack("<Q", 2**63),
    ],
)
def test_claims_beyond_the_file(tmp_path: Path, begin: bytes):
    path = tmp_path / "v.gguf"
    path.write_bytes(begin + b"\0" * 64)
    refused(path)


def test_twice_the_same_layer(tmp_path: Path):
    path = tmp_path / "v.gguf"
    write_vectors(path, vectors(1, 2), "llama")
    path.write_bytes(path.read_bytes().replace(b"direction.2", b"direction.1"))
    refused(path)


def test_long_lists_are_not_walked_through(tmp_path: Path):
    path = tmp_path / "v.gguf"
    count = 2**16 + 1
    keys = text("general.architecture") + struct.pack("<I", 8) + text("controlvector")
    keys += text("a") + struct.pack("<IIQ", 9, 0, count) + b"\0" * count
    path.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 0, 2) + keys + b"\0" * 32)
    assert "more than one could" in refused(path).message


def test_other_files_and_none(tmp_path: Path):
    other = tmp_path / "v.gguf"
    other.write_bytes(b"")
    refused(other)
    other.write_text("not a control vector, but long enough to be read as one")
    assert "not a GGUF file" in refused(other).message
    refused(tmp_path / "none.gguf")
    refused(tmp_path)


def test_without_the_library(tmp_path: Path, monkeypatch):
    path = by_hand(tmp_path / "v.gguf", {"direction.1": row()})
    monkeypatch.setitem(sys.modules, "gguf", None)
    assert refused(path).hint == 'pip install "energylang[hf]"'
    with pytest.raises(CheckpointError, match="needs the gguf library"):
        write_vectors(tmp_path / "w.gguf", vectors(1), "llama")


# ------------------------------------------------------------------------------------- what is not written


@pytest.mark.parametrize(
    ("given", "hint", "said"),
    [
        ({}, "llama", "no direction to write"),
        (vectors(1), "", "no name"),
        (vectors(1), "a\nb", "no name"),
        (vectors(1), "x" * 300, "no name"),
        (vectors(0, 1), "llama", "no direction for L0"),
        (vectors(-1), "llama", "no L-1"),
        (vectors(1024), "llama", "no L1024"),
        ({1: torch.zeros(2, 3)}, "llama", "no row of numbers"),
        ({1: torch.zeros(0)}, "llama", "no row of numbers"),
        ({1: torch.zeros(2**17 + 1)}, "llama", "no row of numbers"),
        ({1: torch.zeros(4, dtype=torch.int64)}, "llama", "no row of numbers"),
        ({1: torch.tensor([1.0, float("nan")])}, "llama", "not finite"),
        ({1: torch.tensor([1e300], dtype=torch.float64)}, "llama", "not finite in float32"),
        ({1: torch.zeros(4), 2: torch.zeros(5)}, "llama", "different lengths: 4 and 5"),
    ],
)
def test_vectors_that_no_file_can_hold(tmp_path: Path, given: dict[int, torch.Tensor], hint: str, said: str):
    with pytest.raises(FileError) as found:
        write_vectors(tmp_path / "v.gguf", given, hint)
    assert said in found.value.message
    assert found.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path):
    with pytest.raises(FileError, match="there is no folder"):
        write_vectors(tmp_path / "no" / "v.gguf", vectors(1), "llama")


def test_a_contained_script_stays_in_its_folder(tmp_path: Path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    write_vectors(outside / "v.gguf", vectors(1), "llama")
    with contained(inside):
        for call in (
            lambda: write_vectors(outside / "w.gguf", vectors(1), "llama"),
            lambda: read_vectors(outside / "v.gguf"),
        ):
            with pytest.raises(FileError) as found:
                call()
            assert found.value.code == "EL541"
        write_vectors(inside / "w.gguf", vectors(1), "llama")
        assert torch.equal(read_vectors(inside / "w.gguf")[0][1], vectors(1)[1])
        with pytest.raises(FileError) as found:
            write_vectors(inside / "w.gguf", vectors(2), "llama")
        assert found.value.code == "EL542"
    assert [path.name for path in outside.iterdir()] == ["v.gguf"]
