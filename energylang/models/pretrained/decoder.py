"""Where are the parts of a decoder? Found by structure, not by the name of its architecture.

Every decoder of the transformers library holds one list of blocks; in each block an MLP whose last linear map writes
back into the stream (its *down-projection*, d × m), and an attention whose last linear map does (its *output*). They
are recognised by their shapes: the down-projection reads as many numbers as the MLP has neurons and writes d of them.

GPT-2 keeps its linear maps transposed (``Conv1D``, m × d); ``transposed`` says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from energylang.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class Block:
    """The parts of one block. ``up``, ``down`` and ``out`` are modules: ``up`` reads what the MLP is given.
    ``down_name`` is the down-projection's parameter by its full name; ``neurons`` is m, ``heads`` the number of
    attention heads and ``head_dim`` the numbers that each writes."""

    module: nn.Module
    up: nn.Module
    down: nn.Module
    down_name: str
    out: nn.Module
    neurons: int
    heads: int
    head_dim: int


@dataclass(frozen=True, slots=True)
class Decoder:
    """A decoder's blocks in order, the width d of its stream, and its output head."""

    blocks: tuple[Block, ...]
    width: int
    head: nn.Module
    transposed: bool


def find(module: Any, where: str) -> Decoder:
    """The parts of a causal language model of the transformers library. Raises ``CheckpointError`` where it is no
    decoder of this structure."""
    config = module.config.get_text_config()
    count, width = int(config.num_hidden_layers), int(config.hidden_size)
    lists = [
        (name, inner)
        for name, inner in module.named_modules()
        if isinstance(inner, nn.ModuleList) and len(inner) == count
    ]
    head = module.get_output_embeddings()
    if not lists or head is None:
        raise CheckpointError(
            f"{where}: {type(module).__name__} has no list of {count} blocks and a head",
            hint="decoders such as Llama, Qwen, Gemma, GPT-2 and GPT-NeoX are read",
        )
    entering = module.get_input_embeddings().weight.shape[1]
    if entering != width:
        raise CheckpointError(
            f"{where}: its embedding is {entering} wide and the stream of its layers {width}",
            hint="such models are not read yet",
        )
    name, found = min(lists, key=lambda pair: pair[0].count("."))
    heads = int(config.num_attention_heads)
    blocks = tuple(_block(f"{name}.{i}", block, width, heads, where) for i, block in enumerate(found))
    return Decoder(blocks, width, head, any(type(block.down).__name__ == "Conv1D" for block in blocks))


def _block(prefix: str, block: nn.Module, width: int, heads: int, where: str) -> Block:
    written = [
        (name, inner, sizes)
        for name, inner in block.named_modules()
        if (sizes := _sizes(inner)) is not None and sizes[1] == width
    ]
    attention = [(name, inner, sizes) for name, inner, sizes in written if "att" in name.lower()]
    rest = [entry for entry in written if "att" not in entry[0].lower()]
    several = any(value.dim() > 2 for value in block.parameters())  # experts, or what convolves
    if not attention or not rest or several:
        raise CheckpointError(
            f"{where}: '{prefix}' is no block of attention and MLP",
            hint="mixtures of experts and state-space models are not read yet",
        )
    _, out, (read, _) = attention[-1]  # the last linear map of the attention is its output
    down_path, down, (neurons, _) = rest[-1]
    up = next(
        (
            inner
            for path, inner in block.named_modules()
            if "att" not in path.lower() and inner is not down and (_sizes(inner) or (0,))[0] == width
        ),
        None,
    )
    if up is None:
        raise CheckpointError(f"{where}: nothing in '{prefix}' reads what its MLP is given")
    if read % heads:
        raise CheckpointError(
            f"{where}: the attention of '{prefix}' writes {read} numbers from {heads} heads"
        )
    return Block(block, up, down, f"{prefix}.{down_path}.weight", out, neurons, heads, read // heads)


def _sizes(module: nn.Module) -> tuple[int, int] | None:
    """(numbers read, numbers written) of a linear map, whatever its class is called."""
    weight = getattr(module, "weight", None)
    if weight is None or getattr(weight, "dim", lambda: 0)() != 2 or isinstance(module, nn.Embedding):
        return None
    first, second = weight.shape
    return (first, second) if type(module).__name__ == "Conv1D" else (second, first)
