"""How much worse does the model predict held-out text under a change?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from energylang.models.protocol import Change, Start
from energylang.workspace.workspace import Workspace


class Gauge:
    """The loss of a fixed set of windows (n, context + 1) under changes of one layer: what lies below the layer
    is computed once. Below 0 there is nothing, and passes are whole."""

    def __init__(self, ws: Workspace, layer: int, windows: Tensor) -> None:
        self.text, self.layer = ws.text, layer
        with torch.no_grad():
            self.parts = [
                (part, self._begin(part[:, :-1]) if layer >= 0 else None)
                for part in self.text.chunks(windows)
            ]

    def _begin(self, tokens: Tensor) -> Start:
        return self.text.starting(self.layer, self.text.entering(tokens, self.layer))

    @torch.no_grad()
    def losses(self, change: Change) -> Tensor:
        """(n,): the mean loss per token of every window, in nats."""
        found = []
        for part, start in self.parts:
            if start is not None:
                each = self.text.missed(start, change, part[:, 1:].flatten(), tokens=part[:, :-1])
            else:
                each = self.text.loss(part, change=change)
            found.append(each.mean(dim=1))
        return torch.cat(found)

    def rise(self, change: Change, against: Tensor) -> float:
        """By how much a change raises the loss, relatively to ``against`` (n,)."""
        return float(self.losses(change).mean() / against.mean() - 1)

    def rise_at_most(self, change: Change, against: Tensor) -> float:
        """The rise and one standard error of it: what other text will hardly exceed on average. (Of a single window,
        which has no error, the rise.)"""
        each = (self.losses(change) - against) / against.mean()
        return float(each.mean()) + (standard_error(each) or 0.0)


def standard_error(values: Tensor) -> float | None:
    """The standard error of the mean of (n,) values; ``None`` of a single one."""
    return float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else None
