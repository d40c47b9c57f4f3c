"""How far is what a stream predicts from what is wanted, without keeping the logits?

For the stream x (n, m) behind the last layer, the tied output head E (v, m) and a goal p (n, v) of each row,

    missed = −Σ_w p(w) · log softmax(E norm(x))(w)         and      ∂missed/∂norm(x) = (softmax − p) · E

are both known from a few rows of logits, which stay in a core's cache while they are used: the matrix of all logits,
as wide as the vocabulary, is never written. So the gradient is worked out along with the value; what comes from behind
is one number per row. (The head is no part of what is looked for: there is no gradient for it.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from energylang.models.attention import norm

_AT_ONCE = 256  # rows (measured)


def missed(tensors: Mapping[str, Tensor], stream: Tensor, goal: Tensor, rows: Tensor | None = None) -> Tensor:
    """(n,): the cross-entropy (nats) of what a stream (n, m) predicts with its ``goal``: token ids (n,), or
    probabilities (k, v) of which the row ``rows`` (n,) is meant. Gradients flow to the stream."""
    normed = norm(tensors, "norm", stream).float()
    found: Tensor = _Missed.apply(normed, tensors["embed.weight"].detach().float(), goal, rows)  # type: ignore[no-untyped-call]
    return found


class _Missed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, normed: Tensor, table: Tensor, goal: Tensor, rows: Tensor | None) -> Tensor:
        wanted = normed.new_empty(len(normed))
        slope = torch.empty_like(normed) if ctx.needs_input_grad[0] else None
        probable = goal.dim() == 2
        for begin in range(0, len(normed), _AT_ONCE):
            part = slice(begin, begin + _AT_ONCE)
            logits = torch.mm(normed[part], table.T)
            if not probable:
                target = goal[part, None]
                at_target = logits.gather(1, target)[:, 0]
            else:
                target = goal[part] if rows is None else goal.index_select(0, rows[part])
                at_target = (logits * target).sum(dim=1)
            top = logits.amax(dim=1, keepdim=True)
            total = logits.sub_(top).exp_().sum(dim=1, keepdim=True)
            torch.sub((total.log_() + top)[:, 0], at_target, out=wanted[part])
            if slope is None:
                continue
            logits.mul_(total.neg_().exp_())  # the softmax
            if not probable:
                logits.scatter_add_(1, target, torch.full_like(target, -1.0, dtype=logits.dtype))
            else:
                logits.sub_(target)
            torch.mm(logits, table, out=slope[part])
        ctx.save_for_backward(slope)
        return wanted

    @staticmethod
    def backward(ctx: Any, *behind: Tensor) -> tuple[Tensor, None, None, None]:
        (slope,) = ctx.saved_tensors
        return slope * behind[0][:, None], None, None, None
