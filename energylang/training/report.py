"""How well does a model predict, and what do its landscapes look like?

Per layer, for states x_K of held-out tokens and for random starts: settle them freely with the
published dynamics (x ← (1−τ)x + τ tanh(βWf(x)), τ falling from 0.9 to 0.1 over 100 steps), group what
comes out by cosine > 0.95, and compare every state with where it ended. This is a summary of a
training; the survey of a landscape, with ids and radii, is the landscape engine's.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional

from energylang.landscape.clusters import SAME
from energylang.landscape.layer import interaction
from energylang.models.hopfield.sandbox import generator
from energylang.models.model import Model

_STATES = 4096
_STARTS = 500


@dataclass(frozen=True, slots=True)
class LayerReport:
    """One Hopfield layer. ``basins_visited`` and ``basins_random`` are how many basins up to 4096 token states and 500
    random starts meet: samples, not the number that there is. ``residual`` is the median of ‖tanh(βWf(x)) − x‖/‖x‖
    over token states x_K; ``settled`` the share of them within cosine 0.95 of the basin they lie in."""

    layer: int
    dim: int
    beta: float
    basins_visited: int
    basins_random: int
    residual: float
    settled: float


@dataclass(frozen=True, slots=True)
class Report:
    """Held-out loss in nats per token and per character, perplexity per token, and the layers."""

    tokens: int
    loss: float
    loss_per_character: float
    perplexity: float
    layers: tuple[LayerReport, ...]

    def to_dict(self) -> dict[str, object]:
        """A JSON value."""
        return asdict(self)


@torch.no_grad()
def report(model: Model, heldout: Tensor, characters: int, *, limit: int = 600) -> Report:
    """The report of a text model on held-out tokens (n,) that stand for ``characters`` characters."""
    assert model.text is not None
    windows = model.text.windows(limit, heldout)
    losses = model.text.loss(windows)
    loss = float(losses.mean())
    layers = tuple(_layer(model, i, windows) for i in range(model.num_layers if model.landscape else 0))
    return Report(
        tokens=losses.numel(),
        loss=loss,
        loss_per_character=loss * len(heldout) / max(1, characters),
        perplexity=math.exp(min(loss, 700.0)),
        layers=layers,
    )


def _layer(model: Model, layer: int, windows: Tensor) -> LayerReport:
    assert model.text is not None
    rows = windows[: 1 + _STATES // (windows.shape[1] - 1), :-1]
    states = model.text.forward(rows).states[layer].flatten(0, 1)[:_STATES].float()
    weight, beta, degree = model.weight(layer).float(), model.beta(layer), model.degree
    image = torch.tanh(beta * interaction(states, degree) @ weight.T)
    residual = (image - states).norm(dim=1) / states.norm(dim=1).clamp_min(1e-9)
    rest = settle_freely(weight, beta, degree, states)
    alive = rest.norm(dim=1) > 0.05 * math.sqrt(rest.shape[1])
    near = (functional.cosine_similarity(states, rest, dim=1) > SAME) & alive
    dim = weight.shape[0]
    starts = 0.5 * torch.randn(_STARTS, dim, generator=generator("report", layer, dim)).to(weight.device)
    return LayerReport(
        layer=layer,
        dim=dim,
        beta=beta,
        basins_visited=len(representatives(rest)),
        basins_random=len(representatives(settle_freely(weight, beta, degree, starts))),
        residual=float(residual.median()),
        settled=float(near.float().mean()),
    )


def settle_freely(weight: Tensor, beta: float, degree: int, states: Tensor, steps: int = 200) -> Tensor:
    """(n, d) states after ``steps`` of the undriven dynamics."""
    for step in range(steps):
        tau = 0.9 - 0.8 * min(1.0, step / 100)
        states = torch.lerp(states, torch.tanh(beta * interaction(states, degree) @ weight.T), tau)
    return states


def representatives(states: Tensor) -> list[int]:
    """Rows that stand for the groups of (n, d) ``states`` by cosine > 0.95, first come first served; rows
    that fell to the origin belong to none."""
    norms = states.norm(dim=1)
    unit = states / norms.clamp_min(1e-9)[:, None]
    left = norms > 0.05 * math.sqrt(states.shape[1])
    chosen = []
    while bool(left.any()):
        first = int(left.nonzero()[0, 0])
        chosen.append(first)
        left = left & (unit @ unit[first] <= SAME)
        left[first] = False
    return chosen
