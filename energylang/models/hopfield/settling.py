"""How the states of a language model's Hopfield layer come about: K steps from a drive u (…, d).

    x₀ = tanh(βu),     x ← (1 − τ)·x + τ·tanh(β·(W f(x) + g·u)),     f(x) = sign(x)·|x|^(p−1)

with g = 1, or 0 in the free steps of a release (``hlm``). Where no gradient is wanted the rows go through all steps
in blocks that stay in a core's cache, in place, with the tanh of ``landscape.layer``: the same states within 1e-6, in
less than half the time.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from energylang.landscape.layer import interaction, saturate
from energylang.models.hopfield.config import NO_SCAFFOLD, HLMConfig, Scaffold
from energylang.models.hopfield.sought import sought

_CACHED = 3 * 2**16  # numbers of a block's buffer (measured)


def settle(
    weight: Tensor,
    log_beta: Tensor,
    drive: Tensor,
    config: HLMConfig,
    scaffold: Scaffold = NO_SCAFFOLD,
    edit: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """x_K (…, d) for a drive u (…, d). An ``edit``, left and right (d, r), is one of the weight that is not added; they
    may be (b, d, r), one for each row of a drive (b, …, d)."""
    truncate = scaffold.truncate
    beta = log_beta.reshape(()).exp()
    if edit is not None and edit[0].dim() == 2 and not torch.is_grad_enabled():
        weight, edit = torch.addmm(weight, edit[0], edit[1].T), None
    if not torch.is_grad_enabled() and not scaffold.held and weight.dtype == drive.dtype == torch.float32:
        return _in_blocks(weight, float(beta), drive, config, edit)
    if (
        edit is not None
        and edit[0].dim() == 2
        and drive.dtype == torch.float32
        and not (
            weight.requires_grad or log_beta.requires_grad or drive.requires_grad or edit[1].requires_grad
        )
        and scaffold is NO_SCAFFOLD
    ):
        pushes = tuple(float(_is_driven(config, k)) for k in range(config.steps))
        return sought(edit[0], edit[1], weight, float(beta), drive, pushes, config.tau, config.degree)
    state = torch.tanh(beta * drive)
    for k in range(config.steps):
        push = 1.0 if _is_driven(config, k) else scaffold.held
        with torch.set_grad_enabled(
            torch.is_grad_enabled() and (not truncate or k >= config.steps - truncate)
        ):
            moved = interaction(state, config.degree)
            field = functional.linear(moved, weight).to(drive.dtype)
            if edit is not None:
                field = field + (moved @ edit[1]) @ edit[0].mT
            field = field + push * drive if push else field
            state = torch.lerp(state, torch.tanh(beta * field), config.tau)
    return state


def _is_driven(config: HLMConfig, step: int) -> bool:
    return config.mode == "drive" or step < config.steps - config.free_steps


def _in_blocks(
    weight: Tensor, beta: float, drive: Tensor, config: HLMConfig, edit: tuple[Tensor, Tensor] | None
) -> Tensor:
    """``settle`` without gradients; β is in the weight and the drive. An ``edit`` is one for each row."""
    pull = (beta * weight).T
    drives = drive.reshape(-1, drive.shape[-1])
    if edit is not None:
        times = len(drives) // len(edit[0])
        left, right = (side.repeat_interleave(times, 0) if times > 1 else side for side in edit)
        left = beta * left
    states = torch.empty_like(drives)
    rows = max(1, _CACHED // weight.shape[0] if drive.device.type == "cpu" else len(drives))
    buffers = drives.new_empty(3, min(rows, len(drives)), weight.shape[0])
    for begin in range(0, len(drives), rows):
        state, given = states[begin : begin + rows], drives[begin : begin + rows]
        y, field, push = buffers[:, : len(state)]
        torch.mul(given, beta, out=push)
        saturate(state.copy_(push))
        for k in range(config.steps):
            moved = interaction(state, config.degree, y)
            if _is_driven(config, k):
                torch.addmm(push, moved, pull, out=field)
            else:
                torch.mm(moved, pull, out=field)
            if edit is not None:
                rows_of = slice(begin, begin + len(state))
                for r in range(left.shape[2]):
                    along = (moved * right[rows_of, :, r]).sum(1, keepdim=True)
                    field.addcmul_(along, left[rows_of, :, r])
            state.lerp_(saturate(field), config.tau)
    return states.view(drive.shape)
