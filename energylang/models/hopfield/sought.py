"""Settling under an edit of the weight that is being looked for: the states, and the slope towards its left factor.

The steps of ``settling`` with the field W y + L (Rᵀy), y = f(x), of an edit L Rᵀ. Only L (d, r) is looked for, so with
G the slope of the loss at the state behind a step, z = tanh(βh) and h its field

    H = τβ (1 − z²) ∘ G,     ∂L += Hᵀ (yR),     G ← (1 − τ) G + f′(x) ∘ (H W + (H L) Rᵀ)

from the last step back to the first, whose state depends on the drive alone. What a step makes is kept, no more.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from energylang.landscape.layer import interaction, interaction_slope, saturate


def sought(
    left: Tensor,
    right: Tensor,
    weight: Tensor,
    beta: float,
    drive: Tensor,
    pushes: tuple[float, ...],
    tau: float,
    degree: int,
) -> Tensor:
    """x_K (…, d) for a drive (…, d), which each step adds so many times (``pushes``), under the edit
    ``left @ right.T``, both (d, r). Gradients flow to ``left`` alone."""
    found: Tensor = _Sought.apply(left, right, weight, beta, drive, pushes, tau, degree)  # type: ignore[no-untyped-call]
    return found


class _Sought(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        left: Tensor,
        right: Tensor,
        weight: Tensor,
        beta: float,
        drive: Tensor,
        pushes: tuple[float, ...],
        tau: float,
        degree: int,
    ) -> Tensor:
        given = drive.reshape(-1, drive.shape[-1])
        pull, push, edge = (beta * weight).T, beta * given, (beta * left).T
        state = saturate(push.clone())
        kept: list[Tensor] = []
        for times in pushes:
            moved = interaction(state, degree)
            along = torch.mm(moved, right)
            field = torch.addmm(push, moved, pull, beta=times) if times else torch.mm(moved, pull)
            image = saturate(field.addmm_(along, edge))
            kept += [state, along, image]
            state = torch.lerp(state, image, tau)
        ctx.save_for_backward(left, right, weight, *kept)
        ctx.given = beta, tau, degree
        return state.view(drive.shape)

    @staticmethod
    def backward(ctx: Any, *behind: Tensor) -> tuple[Tensor | None, ...]:
        left, right, weight, *kept = ctx.saved_tensors
        beta, tau, degree = ctx.given
        slope = behind[0].reshape(-1, left.shape[0])
        found = torch.zeros_like(left)
        for step in reversed(range(len(kept) // 3)):
            state, along, image = kept[3 * step : 3 * step + 3]
            before = torch.addcmul(slope, slope * image, image, value=-1.0).mul_(tau * beta)
            found.addmm_(before.T, along)
            if step:
                through = torch.mm(before, weight).addmm_(torch.mm(before, left), right.T)
                slope = through.mul_(interaction_slope(state, degree)).add_(slope, alpha=1.0 - tau)
        return found, *[None] * 7
