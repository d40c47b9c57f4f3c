"""Tiny random models of many architectures, as folders in the layout of Hugging Face."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

VOCABULARY = 391
BOS, EOS, START, END = "<s>", "</s>", "<|im_start|>", "<|im_end|>"
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXT = "The house stands by the river, and nobody has lived in it since the winter."

_LLAMA = {
    "hidden_size": 32,
    "intermediate_size": 44,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 56,
}
_EIGHT = {"head_dim": 8}


@dataclass(frozen=True)
class Architecture:
    """The class of its configuration and what that says; where a block has the last linear maps of its MLP and of its
    attention, and the model its list of blocks and its last norm."""

    config: str
    says: dict[str, Any]
    down: str = "mlp.down_proj"
    out: str = "self_attn.o_proj"
    blocks: str = "model.layers"
    norm: str = "model.norm"


ARCHITECTURES = {
    "llama": Architecture("LlamaConfig", _LLAMA),
    "mistral": Architecture(
        "MistralConfig", {**_LLAMA, **_EIGHT, "sliding_window": 24}, "mlp.down_proj", "self_attn.o_proj"
    ),
    "qwen2": Architecture("Qwen2Config", _LLAMA),
    "qwen3": Architecture("Qwen3Config", {**_LLAMA, "head_dim": 12}),
    "gemma2": Architecture(
        "Gemma2Config",
        {
            **_LLAMA,
            **_EIGHT,
            "query_pre_attn_scalar": 8,
            "attn_logit_softcapping": 5.0,
            "final_logit_softcapping": 3.0,
            "sliding_window": 24,
        },
    ),
    "gemma3": Architecture(
        "Gemma3TextConfig",
        {
            **_LLAMA,
            "head_dim": 12,
            "query_pre_attn_scalar": 12,
            "sliding_window": 24,
            "sliding_window_pattern": 2,
        },
    ),
    "gpt2": Architecture(
        "GPT2Config",
        {"n_embd": 36, "n_layer": 3, "n_head": 3, "n_positions": 48},
        "mlp.c_proj",
        "attn.c_proj",
        "transformer.h",
        "transformer.ln_f",
    ),
    "gpt_neox": Architecture(
        "GPTNeoXConfig",
        {
            "hidden_size": 48,
            "intermediate_size": 100,
            "num_hidden_layers": 3,
            "num_attention_heads": 3,
            "max_position_embeddings": 48,
            "use_parallel_residual": True,
        },
        "mlp.dense_4h_to_h",
        "attention.dense",
        "gpt_neox.layers",
        "gpt_neox.final_layer_norm",
    ),
    "phi": Architecture(
        "PhiConfig",
        {**_LLAMA, "num_key_value_heads": 4, "hidden_size": 48, "partial_rotary_factor": 0.5},
        "mlp.fc2",
        "self_attn.dense",
        norm="model.final_layernorm",
    ),
    "olmo2": Architecture("Olmo2Config", _LLAMA),
    "opt": Architecture(
        "OPTConfig",
        {
            "hidden_size": 32,
            "ffn_dim": 64,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "max_position_embeddings": 48,
            "word_embed_proj_dim": 32,
        },
        "fc2",
        "self_attn.out_proj",
        "model.decoder.layers",
        "model.decoder.final_layer_norm",
    ),
}


def tokenizer(*, bos: bool = True, pad: bool = False, template: str | None = None, more: int = 0) -> Any:
    """A tokenizer of bytes, a few words and special tokens; ``more`` adds as many that no text needs."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: k for k, letter in enumerate(alphabet)}
    merges = []
    for left, right in (
        ("t", "h"),
        ("th", "e"),
        ("Ġ", "the"),
        ("i", "n"),
        ("e", "r"),
        ("Ġ", "a"),
        ("o", "u"),
    ):
        merges.append((left, right))
        vocabulary[left + right] = len(vocabulary)
    made = Tokenizer(models.BPE(vocabulary, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = [BOS, EOS, START, END] + (["<pad>"] if pad else [])
    made.add_special_tokens(special)
    made.add_tokens([f"@{k}@" for k in range(more)])
    if bos:
        made.post_processor = processors.TemplateProcessing(
            single=f"{BOS} $A", special_tokens=[(BOS, made.token_to_id(BOS))]
        )
    words = {"bos_token": BOS} if bos else {}
    words |= {"pad_token": "<pad>"} if pad else {}
    found = PreTrainedTokenizerFast(tokenizer_object=made, eos_token=EOS, **words)
    found.add_special_tokens({"additional_special_tokens": [START, END]})
    if template is not None:
        found.chat_template = template
    return found


def module(name: str, *, dtype: torch.dtype = torch.float32, **says: Any) -> Any:
    """A causal language model with random weights, the same ones for the same name."""
    kind = ARCHITECTURES[name]
    words = {"vocab_size": VOCABULARY, "tie_word_embeddings": False, "bos_token_id": 263, "eos_token_id": 264}
    config = getattr(transformers, kind.config)(**{**words, "pad_token_id": None, **kind.says, **says})
    with torch.random.fork_rng():
        torch.manual_seed(sum(map(ord, name)))
        made = transformers.AutoModelForCausalLM.from_config(config)
        for parameter in made.parameters():  # far from the library's timid beginning
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=2 / parameter.shape[-1] ** 0.5)
            else:
                parameter.data += torch.randn_like(parameter) * 0.1
    made.eval()
    made.to(dtype)
    return made


def folder(
    where: Path,
    name: str = "llama",
    *,
    bos: bool = True,
    pad: bool = False,
    template: str | None = None,
    shard: str | None = None,
    dtype: torch.dtype = torch.float32,
    **says: Any,
) -> Path:
    """A model of an architecture in a folder of its own; ``shard`` is the size of the files of its weights."""
    where.mkdir(parents=True, exist_ok=True)
    made = module(name, dtype=dtype, **says)
    made.save_pretrained(where, **({"max_shard_size": shard} if shard else {}))
    tokenizer(bos=bos, pad=pad, template=template).save_pretrained(where)
    return where


def library(where: Path, dtype: torch.dtype = torch.float32) -> Any:
    """The same folder as the transformers library reads it by itself. Its weights lie in memory as ours do, since the
    last bit of a product depends on where a matrix begins."""
    found = transformers.AutoModelForCausalLM.from_pretrained(where, dtype=dtype, local_files_only=True)
    for parameter in found.parameters():
        parameter.data = parameter.data.clone()
    found.eval()
    return found


def part(block: Any, path: str) -> Any:
    """A module inside a block, by its path."""
    for step in path.split("."):
        block = getattr(block, step)
    return block
