"""GGUF files: what their beginnings say is believed only as far as the file goes; whole ones are converted once."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from energylang.errors import CheckpointError
from energylang.models import load, read_header, sampling
from energylang.models.described.gguf import Length, read_beginning
from energylang.models.pretrained import convert

from .architectures import EOS, TEMPLATE, module, tokenizer

TOKENS = torch.arange(3, 27).reshape(2, 12)
_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def written(path: Path, *, half: bool = False, template: str | None = None, window: int = 0) -> Path:
    """A tiny Llama as a GGUF file, with queries and keys in the order that the layout wants."""
    made = module("llama", vocab_size=267)
    config = made.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    if window:
        writer.add_sliding_window(window)
    library = tokenizer()
    pieces = [library.convert_ids_to_tokens(k) for k in range(len(library))]
    special = set(library.all_special_ids)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(pieces)
    writer.add_token_types([3 if k in special else 1 for k in range(len(pieces))])
    writer.add_token_merges(["t h", "th e", "Ġ the", "i n", "e r", "Ġ a", "o u"])
    writer.add_eos_token_id(library.convert_tokens_to_ids(EOS))
    writer.add_bos_token_id(library.bos_token_id)
    if template is not None:
        writer.add_chat_template(template)
    for name, value in made.state_dict().items():
        writer.add_tensor(_renamed(name), _turned(name, value, config, half))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _renamed(name: str) -> str:
    whole = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    stem = name.removesuffix(".weight")
    if stem in whole:
        return f"{whole[stem]}.weight"
    _, _, block, rest = stem.split(".", 3)
    return f"blk.{block}.{_NAMES[rest]}.weight"


def _turned(name: str, value: torch.Tensor, config: object, half: bool) -> np.ndarray:
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}  # type: ignore[attr-defined]
    for part, count in heads.items():
        if part in name:
            value = value.reshape(count, 2, -1, value.shape[1]).transpose(1, 2).reshape(value.shape)
    found = value.float().contiguous().numpy()
    return found.astype(np.float16) if half and found.ndim > 1 else found


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("gguf") / "tiny.gguf", template=TEMPLATE)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of this package."""
    monkeypatch.setenv("ENERGYLANG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def small(path: Path) -> bytes:
    """A GGUF file of one tensor, and a key of every kind."""
    writer = gguf.GGUFWriter(path, "llama")
    for name, number in (("block_count", 2), ("embedding_length", 8), ("feed_forward_length", 8)):
        writer.add_uint32(f"llama.{name}", number)
    writer.add_head_count(2)
    writer.add_context_length(16)
    writer.add_token_list(["a", "b", "cc"])
    writer.add_array("list", [1, 2, 3])
    writer.add_bool("flag", True)
    writer.add_float64("number", 1.5)
    writer.add_int8("little", -3)
    writer.add_tensor("token_embd.weight", np.ones((3, 8), dtype=np.float32))
    writer.add_tensor("output_norm.weight", np.ones(8, dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return small(tmp_path_factory.mktemp("small") / "small.gguf")


# ------------------------------------------------------------------------------- the beginning


def test_what_a_file_says_is_what_was_written(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(data)
    found = read_beginning(path)
    assert found.values["general.architecture"] == "llama"
    assert found.values["llama.embedding_length"] == 8
    assert found.values["list"] == Length(3)
    assert found.values["tokenizer.ggml.tokens"] == Length(3)
    assert (found.values["flag"], found.values["number"], found.values["little"]) == (True, 1.5, -3)
    assert found.shapes == {"token_embd.weight": (3, 8), "output_norm.weight": (8,)}
    assert found.parameters == 32


def test_the_header_of_a_file(whole: Path) -> None:
    header = read_header(str(whole))
    assert header.dims == (32,) * 4
    assert header.neurons == (44,) * 4
    assert header.heads == (4,) * 4
    assert (header.context, header.vocabulary) == (56, 267)
    assert header.capabilities == {"memory", "text", "dialogue"}
    assert header.parameters == sum(p.numel() for p in module("llama", vocab_size=267).parameters())


def test_a_sliding_window_is_all_that_is_read_at_once(tmp_path: Path) -> None:
    assert read_header(str(written(tmp_path / "m.gguf", window=24))).context == 24
    assert read_header(str(written(tmp_path / "n.gguf", window=2**17))).context == 56


@given(cut=st.integers(0, 100_000))
def test_any_beginning_of_a_file_is_refused_or_says_the_same(tmp_path: Path, data: bytes, cut: int) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(data[: cut % len(data)])
    try:
        found = read_beginning(path)
    except CheckpointError as error:
        assert str(path) in error.message
        with pytest.raises(CheckpointError):
            read_header(str(path))
        return
    path.write_bytes(data)
    assert found == read_beginning(path)


def test_every_cut_through_the_header_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "cut.gguf"
    end = data.index(b"output_norm.weight") + len(b"output_norm.weight") + 4 + 8 + 4 + 8
    for cut in range(end + 1):
        path.write_bytes(data[:cut])
        with pytest.raises(CheckpointError, match=r"cut\.gguf"):
            read_beginning(path)


@given(place=st.integers(4, 100_000), value=st.integers(0, 255), more=st.binary(max_size=12))
def test_damaged_bytes_are_refused_or_read(
    tmp_path: Path, data: bytes, place: int, value: int, more: bytes
) -> None:
    at = 4 + place % (len(data) - 4)
    path = tmp_path / "damaged.gguf"
    path.write_bytes(data[:at] + bytes([value]) + more + data[at + 1 + len(more) :])
    try:
        header = read_header(str(path))
    except CheckpointError as error:
        assert str(path) in error.message
    else:
        assert header.dims


@given(junk=st.binary(max_size=200), version=st.sampled_from([2, 3]))
def test_junk_behind_the_magic_word_is_refused(tmp_path: Path, junk: bytes, version: int) -> None:
    path = tmp_path / "junk.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<I", version) + junk)
    with pytest.raises(CheckpointError):
        read_header(str(path))


@pytest.mark.parametrize(
    "content", [b"", b"G", b"GGU", b"gguf" * 20, b"PK\x03\x04" * 9, b"\0" * 64, b"hello\n" * 9]
)
def test_what_is_no_gguf_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    for call in (read_header, load):
        with pytest.raises(CheckpointError) as caught:
            call(str(path))
        assert str(path) in caught.value.message


@pytest.mark.parametrize("version", [0, 1, 4, 2**24, 2**32 - 1])
def test_versions_that_are_not_read(tmp_path: Path, data: bytes, version: int) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(data[:4] + struct.pack("<I", version) + data[8:])
    with pytest.raises(CheckpointError, match="version"):
        read_header(str(path))


def start(tensors: int = 0, keys: int = 0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, keys)


def named(name: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(name) if length is None else length) + name


@pytest.mark.parametrize(
    "content",
    [
        start(tensors=2**63),
        start(keys=2**64 - 1),
        start(tensors=2**20),
        start(keys=2**20),
        start(keys=1) + named(b"a", 2**63),
        start(keys=1) + named(b"a", 2**24),
        start(keys=1) + named(b"a") + struct.pack("<IQ", 8, 2**40),
        start(keys=1) + named(b"a") + struct.pack("<IIQ", 9, 0, 2**63),
        start(keys=1) + named(b"a") + struct.pack("<IIQ", 9, 8, 2**63),
        start(keys=1) + named(b"a") + struct.pack("<IIQ", 9, 8, 2**63) + b"\0" * 4096,
        start(keys=1) + named(b"a") + struct.pack("<IIQ", 9, 9, 3),
        start(keys=1) + named(b"a") + struct.pack("<I", 77),
        start(tensors=1) + named(b"a") + struct.pack("<I", 2**31),
        start(tensors=1) + named(b"a") + struct.pack("<IQQIQ", 2, 2**63, 2**63, 0, 0),
        start(tensors=1) + named(b"a") + struct.pack("<IQIQ", 1, 8, 0, 2**63),
    ],
)
def test_absurd_claims_take_neither_memory_nor_time(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_header(str(path))
    assert str(path) in caught.value.message


@pytest.mark.parametrize("step", [0, 1, 7, 2**31])
def test_any_alignment_is_survived(tmp_path: Path, step: int) -> None:
    path = tmp_path / "x.gguf"
    value = named(b"general.alignment") + struct.pack("<II", 4, step)
    tensor = named(b"a") + struct.pack("<IQIQ", 1, 4, 0, 0)
    path.write_bytes(start(1, 1) + value + tensor + b"\0" * 64)
    if step == 2**31:
        with pytest.raises(CheckpointError, match="truncated"):
            read_beginning(path)
    else:
        assert read_beginning(path).shapes == {"a": (4,)}


def test_a_file_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").mkdir()
    for call in (read_header, load):
        with pytest.raises(CheckpointError, match=r"x\.gguf"):
            call(str(tmp_path / "x.gguf"))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for call in (read_header, load):
        with pytest.raises(CheckpointError, match=r"x\.gguf"):
            call(str(tmp_path / "x.gguf"))


# ---------------------------------------------------------------------------------- conversion


@pytest.mark.parametrize("half", [False, True])
def test_a_file_is_the_model_that_was_written(tmp_path: Path, cache: Path, half: bool) -> None:
    model = load(str(written(tmp_path / "m.gguf", half=half)))
    assert model.text is not None
    made = module("llama", vocab_size=267)
    if half:
        for value in made.parameters():
            value.data = value.data.half().float() if value.dim() > 1 else value.data
    assert torch.equal(model.text.forward(TOKENS).logits, made(TOKENS).logits)
    for name, value in made.named_parameters():
        assert torch.equal(model.live[name], value)


def test_a_file_has_the_tokens_that_were_written(whole: Path, cache: Path) -> None:
    model = load(str(whole))
    assert model.text is not None
    library = tokenizer()
    for text in ("The house by the river", "ünïcode 🙂", " in  the "):
        ids = library(text, add_special_tokens=False)["input_ids"]
        assert model.text.encode(text) == ids
        assert model.text.decode(ids) == text
    assert model.header.capabilities == {"memory", "text", "dialogue"}
    assert model.text.dialogue is not None


def test_the_library_s_own_end_of_text_is_no_token_of_a_file_without_one(whole: Path, cache: Path) -> None:
    text = load(str(whole)).text
    assert text is not None
    assert text.tokenizer.size == 267
    ids = text.encode("a<|endoftext|>b")
    assert max(ids) < 267
    assert text.decode(ids) == "a<|endoftext|>b"


def test_a_file_is_converted_once(whole: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    first = load(str(whole), watch=lambda _done, _whole, what: heard.append(what))
    assert any("converting" in what for what in heard)
    monkeypatch.setattr(convert, "_convert", lambda *_: pytest.fail("converted again"))
    heard.clear()
    second = load(str(whole), watch=lambda _done, _whole, what: heard.append(what))
    assert not any("converting" in what for what in heard)
    for name, value in first.live.items():
        assert torch.equal(second.live[name], value)
    assert len(list((cache / "converted").iterdir())) == 1


def test_a_copy_of_a_file_is_not_converted_again(
    whole: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(str(whole))
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(whole, tmp_path / "elsewhere" / whole.name)
    monkeypatch.setattr(convert, "_convert", lambda *_: pytest.fail("converted again"))
    load(str(tmp_path / "elsewhere" / whole.name))


def test_a_file_that_was_changed_is_converted_anew(whole: Path, cache: Path, tmp_path: Path) -> None:
    path = tmp_path / whole.name
    shutil.copy(whole, path)
    first = load(str(path))
    changed = bytearray(path.read_bytes())
    changed[-30:-26] = struct.pack("<f", 3.0)
    path.write_bytes(changed)
    second = load(str(path))
    assert any(not torch.equal(second.live[name], value) for name, value in first.live.items())


def test_a_conversion_that_fails_leaves_nothing(cache: Path, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "small.gguf"
    path.write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        load(str(path))
    assert str(path) in caught.value.message
    assert "Traceback" not in caught.value.message
    assert list((cache / "converted").iterdir()) == []


def test_a_conversion_that_is_cut_off_is_not_taken_for_a_whole_one(
    whole: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path, folder: Path) -> None:
        (folder / "config.json").write_text("{}", encoding="utf-8")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(convert, "_convert", fail)
        with pytest.raises(CheckpointError, match="No space left") as caught:
            load(str(whole))
    assert "ENERGYLANG_CACHE" in str(caught.value.hint)
    assert load(str(whole)).dims == (32,) * 4


def test_a_cache_that_cannot_be_written(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("ENERGYLANG_CACHE", str(tmp_path / "file"))
    with pytest.raises(CheckpointError) as caught:
        load(str(whole))
    assert "ENERGYLANG_CACHE" in str(caught.value.hint)


def test_two_that_convert_at_once_agree(whole: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner: Callable[[Path, Path], None] = convert._convert

    def both(path: Path, folder: Path) -> None:
        monkeypatch.setattr(convert, "_convert", inner)
        convert.converted(path, None)  # somebody else is faster
        inner(path, folder)

    monkeypatch.setattr(convert, "_convert", both)
    assert load(str(whole)).dims == (32,) * 4
    assert len(list((cache / "converted").iterdir())) == 1


def test_what_was_converted_is_an_ordinary_folder(whole: Path, cache: Path) -> None:
    model = load(str(whole))
    assert model.text is not None
    (folder,) = (cache / "converted").iterdir()
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for name, value in theirs.named_parameters():
        assert torch.equal(model.live[name], value)
    again = load(str(folder))
    assert again.text is not None
    draw = torch.Generator
    said = [
        sampling.generate(text, "The river", tokens=8, topk=1, generator=draw().manual_seed(0)).token_ids
        for text in (model.text, again.text)
    ]
    assert said[0] == said[1]
