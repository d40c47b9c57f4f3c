"""How well do states tell labels? A linear probe, fitted on one half and judged on the other, and the other way
round."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_RIDGE = 0.1  # of the mean squared size of a state, as a penalty


def told(states: Tensor, labels: Sequence[int], generator: torch.Generator) -> Tensor:
    """(n,) bool: whether each state (n, d) is given its label by a probe that was fitted without it: least squares on
    one-hot labels with a small penalty, on halves in which every label is as frequent."""
    target = torch.tensor(labels)
    half = torch.zeros(len(labels), dtype=torch.bool)
    for label in sorted(set(labels)):
        rows = (target == label).nonzero().squeeze(1)
        rows = rows[torch.randperm(len(rows), generator=generator)]
        half[rows[::2]] = True
    right = torch.zeros(len(labels), dtype=torch.bool)
    for fit in (half, ~half):
        if bool(fit.any()) and bool((~fit).any()):
            right[~fit] = _predicted(states.double()[fit], target[fit], states.double()[~fit]) == target[~fit]
    return right


def _predicted(states: Tensor, labels: Tensor, others: Tensor) -> Tensor:
    """The labels (m,) of other states (m, d) by a probe fitted to states (n, d); through the n × n kernel."""
    mean = states.mean(dim=0)
    inside, outside = states - mean, others - mean
    kernel = inside @ inside.T
    penalty = _RIDGE * kernel.diagonal().mean().clamp_min(1e-12)
    hot = torch.nn.functional.one_hot(labels, int(labels.max()) + 1).double()
    frequency = hot.mean(dim=0)
    weights = torch.linalg.solve(kernel + penalty * torch.eye(len(kernel)).to(kernel), hot - frequency)
    best: Tensor = (outside @ inside.T @ weights + frequency).argmax(dim=1)
    return best
