"""Does a model file hold what it says? Its configuration, and every tensor of that."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from energylang.errors import CheckpointError
from energylang.models.dialogue import Markers
from energylang.models.kinds import config_class, kind_named, network
from energylang.models.model import Model
from energylang.models.text import TextModel
from energylang.models.tokenizer import Tokenizer

_ROOM = 1024  # tokens of a pass: what comes of them stays in a core's cache (measured)


def read_config(where: str, metadata: Mapping[str, object]) -> Any:
    """The configuration in a file's metadata; raises ``CheckpointError`` naming what is wrong."""
    kind, value = str(metadata.get("kind")), metadata.get("config")
    cls = config_class(kind)
    later = kind_named(kind, where).later
    known = {f.name for f in dataclasses.fields(cls)}
    given = set(value) if isinstance(value, dict) else set()
    if not isinstance(value, dict) or (known - given - later) | (given - known):
        names = ", ".join(sorted((known - given - later) | (given - known))) or "everything"
        raise CheckpointError(f"{where}: the configuration has missing or unknown entries: {names}")
    config = cls(**value)
    if problem := config.problem():
        raise CheckpointError(f"{where}: impossible configuration: {problem}")
    return config


def check_tensors(where: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, object]) -> None:
    """Every tensor of the architecture is there, in its shape, and no other."""
    config = read_config(where, metadata)
    wanted: dict[str, tuple[int, ...]] = network(str(metadata.get("kind"))).shapes(config)
    for title, names in (
        ("is missing", sorted(set(wanted) - set(tensors))),
        ("has no place for", sorted(set(tensors) - set(wanted))),
    ):
        if names:
            shown = ", ".join(f"'{n}'" for n in names[:4])
            more = f" and {len(names) - 4} more" if len(names) > 4 else ""
            raise CheckpointError(f"{where} {title} {shown}{more}", hint="it is not the model it says it is")
    for name, shape in wanted.items():
        if tuple(tensors[name].shape) != shape:
            raise CheckpointError(f"{where}: '{name}' is {list(tensors[name].shape)}, not {list(shape)}")
        if not tensors[name].is_floating_point():
            raise CheckpointError(f"{where}: '{name}' has dtype {tensors[name].dtype}, not a floating one")


def attach_text(model: Model, where: str) -> None:
    """Give a freshly loaded model its text side from its metadata."""
    if not kind_named(model.header.kind, where).network:
        raise CheckpointError(f"{where} has a tokenizer and no language model")
    config = read_config(where, model.metadata)
    tokenizer = Tokenizer.from_json(model.metadata.get("tokenizer"), where)
    if tokenizer.size != config.vocabulary:
        raise CheckpointError(
            f"{where}: its tokenizer has {tokenizer.size} tokens and its embedding {config.vocabulary}"
        )
    dialogue = model.metadata.get("dialogue")
    markers = None
    prompts: object = model.metadata.get("neutral_prompts", [])
    if dialogue is not None:
        if not isinstance(dialogue, list) or len(dialogue) != 2:
            raise CheckpointError(f"{where} has unreadable turn markers")
        markers = (str(dialogue[0]), str(dialogue[1]))
    if not isinstance(prompts, list) or not all(isinstance(p, str) for p in prompts):
        raise CheckpointError(f"{where} has unreadable neutral prompts")
    heldout = model.extra.get("heldout")
    if heldout is not None and (
        heldout.dim() != 1
        or heldout.is_floating_point()
        or (len(heldout) and not 0 <= int(heldout.min()) <= int(heldout.max()) < tokenizer.size)
    ):
        raise CheckpointError(f"{where}: its held-out text is not a list of tokens")
    model.text = TextModel(
        model.live,
        model.extra,
        model.spec,
        model.num_layers,
        network(model.header.kind),
        config,
        tokenizer,
        dialogue=markers and Markers(*markers, tokenizer.encode),
        neutral_prompts=prompts,
        room=_ROOM,
    )
