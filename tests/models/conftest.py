"""Small models of every kind, made afresh: nothing here depends on a bundled file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from energylang.models.checkpoint import load, save
from energylang.models.config import network
from energylang.models.dtypes import entries_of
from energylang.models.header import header_of
from energylang.models.hopfield import network as hlm
from energylang.models.model import Model
from energylang.models.tokenizer import train_tokenizer
from energylang.models.transformer import network as transformer
from energylang.training.corpus import documents

MARKERS = ("user:", "bot:")
CORPUS = "\n".join(documents(0, 120))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def untrained(kind: str = "hlm", markers: tuple[str, str] | None = MARKERS, layers: int = 3) -> Model:
    """A text model with random weights; ``layers`` Hopfield layers of 24 dimensions for an hlm."""
    tokenizer = train_tokenizer("word", CORPUS, markers or ())
    config: hlm.HLMConfig | transformer.TransformerConfig = hlm.HLMConfig(
        tokenizer.size, context=40, layers=layers, width=16, dim=24, heads=2, smeared=1
    )
    if kind == "transformer":
        assert isinstance(config, hlm.HLMConfig)
        config = transformer.equal_budget(config)
    tensors = network(kind).initial(config, torch.Generator().manual_seed(3))
    metadata = {
        "kind": kind,
        "config": asdict(config),
        "tokenizer": tokenizer.to_json(),
        "dialogue": list(markers) if markers else None,
        "neutral_prompts": ["Hello.", "Can you help me?", "Why is the soup so hot?"],
    }
    heldout = torch.tensor(tokenizer.encode(CORPUS[-8000:]), dtype=torch.int32)
    header = header_of("untrained", "test", entries_of(tensors), metadata)
    return Model(header, tensors, extra={"heldout": heldout}, metadata=metadata)


@pytest.fixture(scope="session")
def hlm_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(untrained(), tmp_path_factory.mktemp("hlm") / "hlm.safetensors")


@pytest.fixture(scope="session")
def plain_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(untrained(markers=None), tmp_path_factory.mktemp("plain") / "plain.safetensors")


@pytest.fixture(scope="session")
def transformer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(untrained("transformer"), tmp_path_factory.mktemp("tf") / "tf.safetensors")


@pytest.fixture
def model(hlm_file: Path) -> Model:
    return load(str(hlm_file))


def published(layers: int = 2, dim: int = 8) -> dict[str, torch.Tensor]:
    """A state dictionary in the published layout."""
    draw = torch.Generator().manual_seed(layers)
    state = {"head.weight": torch.randn(5, dim, generator=draw)}
    for i in reversed(range(layers)):
        state[f"blocks.{i}.hopfield.W"] = torch.randn(dim, dim, generator=draw)
        state[f"blocks.{i}.hopfield.log_beta"] = torch.tensor(float(i))
    return state
