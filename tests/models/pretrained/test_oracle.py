"""nnsight reads the same states and does the same with a change, by its own hooks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from energylang.models.protocol import Change

from .conftest import Pair

NEAR = 1e-5


def _first(output: Any) -> Any:
    return output[0] if isinstance(output, tuple) else output


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_nnsight_reads_the_same_states_and_logits(llama: Pair, layer: int) -> None:
    nnsight = pytest.importorskip("nnsight", reason="nnsight is not installed: the extra `test` has it")
    tokens = llama.tokens()
    oracle = nnsight.NNsight(llama.library)
    with oracle.trace(tokens):
        states = oracle.model.layers[layer].output.save()
        logits = oracle.output.logits.save()
    found = llama.text.forward(tokens)
    theirs: Tensor = _first(states)
    assert (found.states[layer] - theirs.reshape(found.states[layer].shape)).abs().max() < NEAR
    assert (found.logits - logits).abs().max() < NEAR


def test_nnsight_pushes_as_we_push(llama: Pair) -> None:
    nnsight = pytest.importorskip("nnsight", reason="nnsight is not installed: the extra `test` has it")
    tokens = llama.tokens()
    push = torch.randn(llama.model.dims[1], generator=torch.Generator().manual_seed(0))
    oracle = nnsight.NNsight(llama.library)
    with oracle.trace(tokens):
        oracle.model.layers[1].output[:] += push
        logits = oracle.output.logits.save()
    found = llama.text.forward(tokens, change=Change(drive={1: push})).logits
    assert (found - logits).abs().max() < 10 * NEAR
    assert (found - llama.text.forward(tokens).logits).abs().max() > 100 * NEAR
