"""The engine runs without autograd and hands out tensors that anyone may use."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from energylang.landscape import edits
from energylang.landscape.attractors import polish
from energylang.landscape.draws import stable_generator, starts
from energylang.landscape.dynamics import Landscape, settle
from energylang.landscape.stability import spectrum
from energylang.landscape.survey import survey
from energylang.landscape.unrecorded import unrecorded


@dataclass(frozen=True)
class Inner:
    value: Tensor
    name: str


@dataclass(frozen=True)
class Outer:
    inner: Inner
    pair: tuple[Tensor, int]


@unrecorded
def made() -> Outer:
    return Outer(Inner(torch.ones(2), "one"), (torch.zeros(2), 3))


def test_results_are_ordinary_all_the_way_down() -> None:
    found = made()
    assert found.inner.name == "one" and found.pair[1] == 3
    for tensor in (found.inner.value, found.pair[0]):
        assert not tensor.is_inference()
        tensor += 1  # would be refused
    with torch.inference_mode():
        assert made().inner.value.is_inference()


def test_what_the_engine_returns_can_be_differentiated_through() -> None:
    weight = torch.randn(64, 64, generator=stable_generator("w")) / 8
    weight = (weight + weight.T).requires_grad_()
    landscape = Landscape(weight, 6.0)
    begin = starts(40, 64, stable_generator("b"), weight)
    run = settle(landscape, begin)
    basins = survey(landscape, begin)
    calm, _ = polish(landscape, run.states[:4])
    proposal = edits.inject(landscape, begin[0], None, generator=stable_generator("g"))
    found = [
        run.states, run.iterations, basins.centres, basins.stability, calm, spectrum(landscape, calm)[0],
        proposal.target, proposal.factors.left, landscape.pull.parts[0], landscape.weight,
    ]  # fmt: skip
    assert not any(tensor.is_inference() or tensor.requires_grad for tensor in found)
    loss = (calm @ weight).square().sum() + (proposal.factors.left.T @ weight).sum()
    loss.backward()
    assert weight.grad is not None and bool(weight.grad.any())
