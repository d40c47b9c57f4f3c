"""A pretrained model in memory: its header, its tensors and the network that runs them.

Everything is checked before anything large is read: the configuration against the weights, every file of the weights
against its own header, and the memory against what is free. The transformers library then makes the architecture and
puts the weights in; what it would have to invent is refused. Nothing is fetched, and no program of a model's is run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from energylang.errors import CheckpointError
from energylang.files.storage import check_memory
from energylang.models.attention import Cache
from energylang.models.described.about import About, about_folder
from energylang.models.dtypes import all_finite
from energylang.models.header import ModelHeader
from energylang.models.model import Model
from energylang.models.text import Sizes, TextModel

from . import network
from .bundled import bundled, lines
from .convert import converted
from .decoder import Decoder, find
from .library import check_library, explained, quietly
from .tokens import ChatTemplate, PretrainedTokens, ends_of

WINDOW = 128
SIZES = Sizes(questions=2, prompts=16, reply=18, windows=8, judged=24, own=48)
_BATCH, _ROOM = 16, 640  # sequences, and tokens, that share a pass
_HALF = {"F16": torch.float16, "BF16": torch.bfloat16}

Watch = Callable[[int, int, str], None]


def load(
    spec: str,
    path: Path,
    header: ModelHeader,
    device: torch.device,
    dtype: torch.dtype | None,
    watch: Watch | None,
) -> Model:
    """The pretrained model at ``path``: a folder, or a GGUF file, which is converted once. Held in float32 on a CPU
    (there half precision is many times slower), in the dtype of its files elsewhere, unless ``dtype`` says
    otherwise. Raises ``CheckpointError``."""
    check_library(spec)
    folder = path if path.is_dir() else converted(path, watch)
    about = about_folder(folder)
    held = dtype or (torch.float32 if device.type == "cpu" else _HALF.get(min(about.dtypes), torch.float32))
    need = about.parameters * torch.empty((), dtype=held).element_size()
    try:
        check_memory(need, folder)
    except OSError as error:
        raise CheckpointError(
            f"{spec} has {about.parameters:,} parameters: {error.strerror}",
            hint="a smaller model, or a machine with more memory",
        ) from None
    if watch is not None:
        watch(1, 3, f"of loading; reading {need / 1e6:,.0f} MB of weights")
    module = _module(folder, held)
    decoder = find(module, str(folder))
    # Memory of its own: the library maps the file, which somebody may change.
    for value in module.parameters():
        value.data = value.data.to(device, copy=True, memory_format=torch.contiguous_format)
    tensors = {name: value.detach() for name, value in module.named_parameters()}
    for name, value in tensors.items():
        if not all_finite(value):
            raise CheckpointError(
                f"{folder}: '{name}' contains NaN or infinite values",
                hint="its training diverged, or the file is damaged",
            )
    module.to(device)
    weights = tuple(block.down_name for block in decoder.blocks)
    heads = tuple(block.heads for block in decoder.blocks)
    header = replace(
        header,
        weights=weights,
        neurons=tuple(block.neurons for block in decoder.blocks),
        heads=heads,
        context=about.context,
        transposed=decoder.transposed,
    )
    model = Model(header, tensors)
    model.metadata |= {"architecture": about.kind, "folder": str(folder)}
    if held is torch.float32:
        stored = _HALF.get(min(about.dtypes))
        model.stored = dict.fromkeys(tensors, stored) if stored is not None else {}
    machine = network.Machine(module, decoder, about.context)
    model.text = _text(model, machine, folder, about)
    _check_passes(model.text, spec)
    return model


def _module(folder: Path, held: torch.dtype) -> Any:
    """The library's module with the weights of a folder."""
    with (
        quietly(),
        explained(
            f"{folder} cannot be loaded",
            "transformers must know its architecture, and its files must belong together",
        ),
    ):
        from transformers import AutoModelForCausalLM

        found: Any = AutoModelForCausalLM.from_pretrained(
            str(folder),
            dtype=held,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    module, told = found
    for title, names in (("lacks", told["missing_keys"]), ("has another shape for", told["mismatched_keys"])):
        if names:
            first = sorted(name if isinstance(name, str) else str(name[0]) for name in names)
            more = f" and {len(first) - 1} more" if len(first) > 1 else ""
            raise CheckpointError(
                f"{folder} {title} '{first[0]}'{more}",
                hint="its weights do not belong to its configuration",
            )
    module.eval()
    module.requires_grad_(False)
    return module


def _text(model: Model, machine: network.Machine, folder: Path, about: About) -> TextModel:
    with (
        quietly(),
        explained(
            f"{folder} has no tokenizer that can be read",
            "it is in tokenizer.json, or what its architecture calls so",
        ),
    ):
        from transformers import AutoTokenizer

        library = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    rows = len(machine.module.get_input_embeddings().weight)
    if len(library) > rows:
        raise CheckpointError(
            f"{folder}: its tokenizer has {len(library)} tokens and its embedding {rows}",
            hint="they belong to different models",
        )
    tokens = PretrainedTokens(library, rows, ends_of(library, machine.module.generation_config))
    begins = library("a")["input_ids"]
    opening = [library.bos_token_id] if begins and begins[0] == library.bos_token_id else []
    dialogue = ChatTemplate(tokens, str(folder)) if library.chat_template else None
    model.extra["heldout"] = torch.tensor(tokens.encode(bundled("heldout.txt")), dtype=torch.int64)
    prompts = lines("prompts.txt")
    return TextModel(
        model.live,
        model.extra,
        model.spec,
        model.num_layers,
        network,
        machine,
        tokens,
        dialogue=dialogue,
        neutral_prompts=prompts,
        other_prompts=lines("others.txt"),
        kept_prompts=prompts[::2],  # every other one is a question of fact or an instruction
        opening=[] if opening == [None] else opening,
        window=WINDOW,
        batch=_BATCH,
        room=_ROOM,
        spoken_at="mean",
        sizes=SIZES,
    )


@torch.no_grad()
def _check_passes(text: TextModel, spec: str) -> None:
    """A pass that starts at a layer gives the bits of the whole one, a later token changes nothing earlier, and rows of
    unequal length go on behind what is kept of them; or the architecture is not understood."""
    from energylang.models.protocol import Start

    ids = (text.opening + text.encode("The house."))[:4] or [0]
    tokens = torch.tensor([ids], device=text.device)
    layer = text.layers // 2
    other = tokens.clone()
    other[0, -1] = (other[0, -1] + 1) % text.tokenizer.size
    hint = "its weights do not belong to its configuration, or its architecture is not read yet"
    with explained(f"{spec} cannot be run", hint):
        whole: Tensor = text.run(tokens, read=()).logits
        part = text.run(tokens, start=Start(layer, text.entering(tokens, layer)), read=()).logits
        later = text.run(other, read=()).logits
        behind = _behind(text, tokens)
    if not torch.equal(whole[:, :-1], later[:, :-1]):
        raise CheckpointError(
            f"{spec} looks ahead: a token changes what is said before it", hint="decoders alone are read"
        )
    near = float(whole.abs().max()) * (1e-3 if whole.dtype in (torch.float32, torch.float64) else 0.1)
    if float((behind - whole[0, [-1, min(1, len(ids) - 1)]]).abs().max()) > near:
        raise CheckpointError(
            f"{spec}: a pass behind kept tokens does not give what the whole pass gives",
            hint="how its attention sees places is not read yet",
        )
    if not torch.equal(whole, part):
        raise CheckpointError(
            f"{spec}: a pass from L{layer} does not give what the whole pass gives",
            hint="its layers share more than a stream; it is not read yet",
        )


def _behind(text: TextModel, tokens: Tensor) -> Tensor:
    """(2, v): the logits at the last and at the second of tokens (1, t), as rows of a pass behind kept ones."""
    count = tokens.shape[1]
    if count < 2:
        return text.run(tokens, read=()).logits[0, [-1, -1]]
    cache = Cache.empty(2, count + 3, tokens.device)
    nowhere = torch.zeros(2, count - 1, dtype=torch.bool, device=tokens.device)
    text.run(tokens[:, :-1].expand(2, -1), cache=cache, wanted=nowhere, read=(text.layers - 1,))
    cache.lengths += torch.tensor([count - 1, 1], device=tokens.device)
    return text.run(tokens[0, [-1, 1]][:, None], cache=cache, read=()).logits[:, 0]


def decoder_of(text: TextModel) -> Decoder:
    """The parts of the decoder behind a text model of this kind."""
    found: Decoder = text.config.decoder
    return found
