"""How is a small change looked for by descent?

Adam, by torch's own function for one step. Its class does the same, but the first one of a process imports torch's
compiler, which takes two seconds that a user would spend waiting.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam


class Optimiser:
    """Adam (β = 0.9 and 0.999) on ``parameters``, which are changed in place; ``rate``, or one for each of them, may be
    changed between steps."""

    def __init__(self, parameters: Sequence[Tensor], rate: float | Sequence[float]) -> None:
        self.parameters, self.rate = list(parameters), rate
        self._first = [torch.zeros_like(each, requires_grad=False) for each in self.parameters]
        self._second = [torch.zeros_like(each, requires_grad=False) for each in self.parameters]
        self._steps = [torch.zeros((), dtype=torch.float32) for _ in self.parameters]

    def step(self, loss: Tensor) -> None:
        """One step down ``loss``, which depends on every parameter."""
        gradients = list(torch.autograd.grad(loss, self.parameters))
        parts = [self.parameters, gradients, self._first, self._second, self._steps]
        rates = self.rate if isinstance(self.rate, Sequence) else [self.rate] * len(gradients)
        with torch.no_grad():
            for rate, *each in zip(rates, *parts, strict=True):
                parameter, gradient, first, second, step = ([one] for one in each)
                adam(
                    parameter, gradient, first, second, [], step,
                    amsgrad=False, beta1=0.9, beta2=0.999, lr=rate, weight_decay=0.0, eps=1e-8, maximize=False,
                    foreach=False,
                )  # fmt: skip
