"""The bundled model speaks, and an edit of its last landscape changes how."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from energylang.models import TextModel, load, read_header, sampling
from energylang.models import header as header_module
from energylang.models.checkpoint import fingerprint
from energylang.models.model import Model
from energylang.models.states import decision_states, neutral_states, token_states
from energylang.training.corpus import REGISTERS, classify, parse, sentences

BUNDLED = Path(header_module.__file__).with_name("bundled")


@pytest.fixture(scope="module")
def tiny() -> Model:
    return load("tiny")


@pytest.fixture(scope="module")
def text(tiny: Model) -> TextModel:
    assert tiny.text is not None
    return tiny.text


def seed(value: int) -> torch.Generator:
    return torch.Generator().manual_seed(value)


def shares(text: TextModel, prompts: list[str]) -> dict[str | None, float]:
    made = sampling.generate_batch(text, prompts, tokens=30, generator=seed(0))
    found = [classify(m.text) for m in made]
    return {r: found.count(r) / len(found) for r in (*REGISTERS, None)}


def test_size_header_and_report(tiny: Model) -> None:
    assert (BUNDLED / "tiny.safetensors").stat().st_size < 5_000_000
    header = read_header("tiny")
    assert header == tiny.header
    assert (header.kind, header.degree, header.capabilities) == ("hlm", 3, frozenset({"landscape", "text"}))
    report = tiny.metadata["report"]
    assert isinstance(report, dict)
    assert len(report["layers"]) == tiny.num_layers == 4
    for i in range(4):
        assert torch.equal(tiny.weight(i), tiny.weight(i).T)


@torch.no_grad()
def test_the_reported_loss_is_the_loss(tiny: Model, text: TextModel) -> None:
    report = tiny.metadata["report"]
    assert isinstance(report, dict)
    assert float(text.loss(text.windows(60)).mean()) == pytest.approx(report["loss"], rel=0.05)


@pytest.mark.slow
def test_replies_are_in_one_register(text: TextModel) -> None:
    prompts = ["Hi, can you help me?", *text.neutral_prompts]
    assert shares(text, prompts)[None] < 0.05
    assert all(shares(text, prompts * 2)[r] > 0.05 for r in REGISTERS)


def test_replies_are_sentences_of_the_micro_world(text: TextModel) -> None:
    made = sampling.generate_batch(text, list(text.neutral_prompts)[:128], tokens=40, generator=seed(2))
    assert sum(parse(m.text) is not None for m in made) / len(made) > 0.85


def test_a_reply_keeps_the_register_of_the_one_before(text: TextModel) -> None:
    asked = text.neutral_prompts
    rows = [(asked[k], said, asked[k + 40]) for said in sentences()["casual"] for k in range(12)] + [
        (asked[k], said, asked[k + 40]) for said in sentences()["formal"] for k in range(12)
    ]
    found = [classify(m.text) for m in sampling.replies(text, rows, tokens=30, generator=seed(3))]
    half = len(found) // 2
    assert found[:half].count("casual") > 0.8 * half
    assert found[half:].count("formal") > 0.8 * half


def test_most_states_of_the_early_layers_have_settled(tiny: Model) -> None:
    report = tiny.metadata["report"]
    assert isinstance(report, dict)
    for layer in report["layers"]:
        assert min(layer["basins_random"], layer["basins_visited"]) >= 60
        # docs/model.md: the last layer falls short of the 0.7 asked for
        assert layer["settled"] > (0.7 if layer["layer"] < 3 else 0.45)


def redirect(tiny: Model, text: TextModel, register: str, layer: int) -> tuple[Tensor, Tensor]:
    """(r, q) of the rank-one edit W + r qᵀ that leads neutral decisions to those of ``register``."""
    weight, beta = tiny.weight(layer), tiny.beta(layer)

    def f(x: Tensor) -> Tensor:
        return x * x.abs()

    keys = f(token_states(text, layer, 4000, seed(0)))
    moment = keys.T @ keys / len(keys)
    moment += 0.02 * moment.diagonal().mean() * torch.eye(len(moment))
    key = f(neutral_states(text, layer)).mean(0)
    query = torch.linalg.solve(moment, key)
    query = query / (query @ key)
    value = decision_states(text, sentences()[register], layer).mean(0)
    for _ in range(100):
        value = torch.lerp(value, torch.tanh(beta * weight @ f(value)), 0.5)
    return value - weight @ key, query


@pytest.mark.slow
def test_a_redirect_changes_what_is_said_and_a_placebo_does_not(tiny: Model, text: TextModel) -> None:
    layer = tiny.num_layers - 1
    prompts = list(text.neutral_prompts) * 2
    old, print_before = tiny.weight(layer), fingerprint(tiny)
    base = shares(text, prompts)
    for register in ("polite", "casual"):
        change, query = redirect(tiny, text, register, layer)
        tiny.put(tiny.weight_key(layer), old + torch.outer(change, query))
        edited = shares(text, prompts)[register]
        random_value = torch.randn(change.shape, generator=seed(1))
        random_value *= change.norm() / random_value.norm()
        tiny.put(tiny.weight_key(layer), old + torch.outer(random_value, query))
        placebo = shares(text, prompts)[register]
        tiny.put(tiny.weight_key(layer), old)
        assert edited > base[register] + 0.2
        assert edited > placebo + 0.2
    assert fingerprint(tiny) == print_before
