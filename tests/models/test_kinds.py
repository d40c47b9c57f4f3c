"""A new kind of model is one folder: nothing else names it."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import torch

import energylang.models
from energylang import ElError, Session, check
from energylang.models import load, read_header, save
from energylang.models.config import attach_text
from energylang.models.dtypes import entries_of
from energylang.models.header import header_of
from energylang.models.kinds import kinds
from energylang.models.model import Model

TOY = Path(__file__).parent / "toy"


@pytest.fixture
def with_toy() -> Iterator[None]:
    """The package with one folder more."""
    energylang.models.__path__.append(str(TOY))
    kinds.cache_clear()
    yield
    energylang.models.__path__.remove(str(TOY))
    kinds.cache_clear()
    for name in [name for name in sys.modules if name.startswith("energylang.models.bag")]:
        del sys.modules[name]


def test_the_kinds_are_the_folders() -> None:
    assert set(kinds()) == {"hlm", "weights", "sandbox", "transformer", "pretrained"}


def test_a_folder_makes_a_kind(with_toy: None, in_tmp: Path) -> None:
    network = import_module("energylang.models.bag.network")
    tiny = load("tiny")
    assert tiny.text is not None
    config = network.BagConfig(tiny.text.tokenizer.size)
    metadata = {name: tiny.metadata[name] for name in ("tokenizer", "dialogue", "neutral_prompts")}
    metadata |= {"version": 1, "kind": "bag", "config": dataclasses.asdict(config)}
    draws = torch.Generator().manual_seed(0)
    tensors = {n: torch.randn(shape, generator=draws) / 2 for n, shape in network.shapes(config).items()}
    heldout = tiny.extra["heldout"][:4000]
    header = header_of("toy", "toy", entries_of(tensors), metadata)
    model = Model(header, tensors, extra={"heldout": heldout}, metadata=metadata)
    attach_text(model, "toy")
    save(model, in_tmp / "toy.safetensors")

    assert read_header("toy.safetensors").dims == (8, 8)
    session = Session("toy.safetensors")
    session.run('capture L1 polite "thank you so much"\ncapture L1 rude "go away"')
    assert session.run("steer L1 polite strengths=[0.5]").steps[0].strength == 0.5
    assert session.run('generate "hello" tokens=4').tokens <= 4
    assert session.run("benchmark").perplexity > 1
    session.run('set seed 3\nundo\nsave "again.safetensors" session=true\nrecord "done.json"')
    assert session.run('replay "done.json"').identical
    assert session.status().is_original
    assert [item.code for item in check('load "toy.safetensors"\nsurvey L0\n').diagnostics] == ["EL251"]


def test_without_the_folder_the_file_is_of_an_unknown_kind(in_tmp: Path) -> None:
    tiny = load("tiny")
    tiny.metadata["kind"] = "bag"
    tiny.header = dataclasses.replace(tiny.header, kind="bag")
    save(tiny, in_tmp / "toy.safetensors")
    with pytest.raises(ElError, match="unknown kind 'bag'"):
        Session("toy.safetensors")
