"""What does a pretrained model say of itself?  (PURE: no torch, no transformers.)

From the ``config.json`` of its folder and the beginnings of its weights, or from the beginning of a GGUF file: how many
layers, their width, MLP neurons and attention heads, how much it reads at once, whether it holds conversations, and how
much memory it takes.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from energylang.errors import CheckpointError
from energylang.files.storage import MAX_JSON_BYTES, check_regular, read_bytes
from energylang.models.index import TensorEntry, read_index

from .gguf import Length, read_beginning
from .places import CONFIG

KIND = "pretrained"
INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")
_MOST = {
    "layers": 1024,
    "width": 2**17,
    "neurons": 2**20,
    "heads": 4096,
    "context": 2**30,
    "vocabulary": 2**24,
}

# How configurations call the same number.
_NAMES = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers"),
    "width": ("hidden_size", "n_embd", "d_model"),
    "neurons": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "ffn_dim"),
    "heads": ("num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads"),
    "context": ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"),
    "vocabulary": ("vocab_size",),
}
_BLOCK = re.compile(r"(?:^|\.)(?:layers|h|blocks|blk)\.(\d+)\.")


@dataclass(frozen=True, slots=True)
class About:
    """A pretrained model in numbers. ``parameters`` counts what is kept, ``bytes`` what its files hold, ``half``
    whether in half precision; ``chat`` whether a template for conversations comes with it; ``kind`` its architecture;
    ``shards`` the files of its weights."""

    kind: str
    layers: int
    width: int
    neurons: int
    heads: int
    context: int
    vocabulary: int
    parameters: int
    chat: bool
    shards: tuple[Path, ...] = field(default=())
    dtypes: frozenset[str] = frozenset()


def about_folder(folder: Path) -> About:
    """From a folder. Raises ``CheckpointError`` naming the file that is missing or wrong."""
    config = read_json(folder / CONFIG, folder)
    inner = config.get("text_config")
    _no_experts({**inner, **config} if isinstance(inner, dict) else config, folder / CONFIG)
    numbers = _numbers({**inner, **config} if isinstance(inner, dict) else config, folder / CONFIG)
    shards = _shards(folder)
    entries: dict[str, TensorEntry] = {}
    for shard in shards:
        entries |= read_index(shard)[0]
    _agree(folder, numbers["layers"], entries)
    return About(
        kind=str(config.get("model_type", "")),
        parameters=sum(entry.numel for entry in entries.values() if entry.floating),
        chat=_has_template(folder),
        shards=shards,
        dtypes=frozenset(entry.dtype for entry in entries.values() if entry.floating),
        **numbers,
    )


def about_gguf(path: Path) -> About:
    """From a GGUF file. Raises ``CheckpointError``."""
    found = read_beginning(path)
    kind = str(found.values.get("general.architecture", ""))
    tokens = found.values.get("tokenizer.ggml.tokens")
    numbers = {
        name: found.values.get(f"{kind}.{key}", 0)
        for name, key in (
            ("layers", "block_count"),
            ("width", "embedding_length"),
            ("neurons", "feed_forward_length"),
            ("heads", "attention.head_count"),
            ("context", "context_length"),
        )
    }
    experts = found.values.get(f"{kind}.expert_count")
    _no_experts({"num_experts": experts}, path)
    numbers["vocabulary"] = tokens.count if isinstance(tokens, Length) else 0
    window = found.values.get(f"{kind}.attention.sliding_window")
    if type(window) is int and window > 0 and type(numbers["context"]) is int:
        numbers["context"] = min(numbers["context"], window)
    _check(numbers, path)
    return About(
        kind=kind,
        parameters=found.parameters,
        chat="tokenizer.chat_template" in found.values,
        dtypes=frozenset({"F32"}),
        **numbers,
    )


def read_json(path: Path, folder: Path) -> dict[str, Any]:
    """A JSON object of a model's folder. Raises ``CheckpointError``."""
    try:
        check_regular(path)
        value = json.loads(read_bytes(path, MAX_JSON_BYTES).decode("utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"{folder} is a directory without {path.name}",
            hint="a model's folder holds config.json, a tokenizer and .safetensors files",
        ) from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise CheckpointError(f"{path} is not JSON", hint="copy or download it again") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} is no JSON object", hint="copy or download it again")
    return value


def _numbers(config: Mapping[str, Any], where: Path) -> dict[str, int]:
    found: dict[str, Any] = {}
    for name, keys in _NAMES.items():
        found[name] = next((config[key] for key in keys if config.get(key) is not None), None)
    if found["neurons"] is None and type(found["width"]) is int:
        found["neurons"] = 4 * found["width"]
    found["context"] = 2048 if found["context"] is None else found["context"]
    windows = [config.get("window_size")] if config.get("model_type") == "gpt_neo" else []
    if config.get("use_sliding_window") is not False:
        windows.append(config.get("sliding_window"))
    rope = config.get("rope_parameters") or config.get("rope_scaling")
    if isinstance(rope, dict) and "longrope" in (rope.get("rope_type"), rope.get("type")):
        name = "original_max_position_embeddings"  # beyond it, what was read before would be turned anew
        windows.append(rope.get(name) or config.get(name))
    if type(found["context"]) is int:
        found["context"] = min([found["context"], *(w for w in windows if type(w) is int and w > 0)])
    _check(found, where)
    return found


def _no_experts(config: Mapping[str, Any], where: Path) -> None:
    """Refuse a mixture of experts: its blocks have no one memory that all tokens ask."""
    for key in _EXPERTS:
        value = config.get(key)
        if type(value) is int and value > 1:
            raise CheckpointError(
                f"{where} says {key} = {value:,}: mixtures of experts are not read yet",
                hint="a dense decoder is: Llama, Qwen, Gemma, GPT-2 and others of their kind",
            )


def _check(found: Mapping[str, Any], where: Path) -> None:
    """Refuse a model whose numbers are missing or beyond all bounds."""
    for name, value in found.items():
        if type(value) is not int or not 1 <= value <= _MOST[name]:
            said = "does not say" if not value else f"says {value!r:.40} for"
            raise CheckpointError(
                f"{where} {said} the number of {name}" if name != "width" else f"{where} {said} its width",
                hint="it is no decoder that this version knows: it needs layers, width, heads and a vocabulary",
            )


def _shards(folder: Path) -> tuple[Path, ...]:
    """The files of the weights."""
    if (folder / INDEX).is_file():
        table = read_json(folder / INDEX, folder).get("weight_map")
        if (
            not isinstance(table, dict)
            or not table
            or not all(isinstance(name, str) for name in table.values())
        ):
            raise CheckpointError(f"{folder / INDEX} does not say where the weights are")
        names = sorted(set(table.values()))
        if any(Path(name).name != name for name in names):
            raise CheckpointError(f"{folder / INDEX} names files outside of its folder")
        missing = [name for name in names if not os.path.isfile(folder / name)]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise CheckpointError(
                f"{folder} lacks {missing[0]}{more} of its {len(names)} files of weights",
                hint="copy or download it again",
            )
        return tuple(folder / name for name in names)
    if (folder / SINGLE).is_file():
        return (folder / SINGLE,)
    other = sorted(path.name for path in folder.glob("pytorch_model*.bin"))
    if other:
        raise CheckpointError(
            f"{folder} keeps its weights in {other[0]}, which may hold programs and is not read",
            hint="save it as safetensors: AutoModelForCausalLM.from_pretrained(…).save_pretrained(folder)",
        )
    raise CheckpointError(
        f"{folder} holds no weights", hint=f"expected {SINGLE}, or {INDEX} and the files that it names"
    )


def _agree(folder: Path, layers: int, entries: Mapping[str, TensorEntry]) -> None:
    """The configuration and the weights speak of as many layers."""
    blocks = {int(match[1]) for name in entries if (match := _BLOCK.search(name))}
    if blocks and len(blocks) != layers:
        raise CheckpointError(
            f"{folder}: {CONFIG} says {layers} layers, and the weights hold {len(blocks)}",
            hint="they belong to different models, or a file is missing",
        )


def _has_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file():
        return True
    path = folder / "tokenizer_config.json"
    return path.is_file() and bool(read_json(path, folder).get("chat_template"))
