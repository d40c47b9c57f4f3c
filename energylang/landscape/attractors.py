"""Which fixed point is a settled state drawn to? (Whether that attracts: ``stability``.)

``polish`` iterates ``x ← x + τ·(tanh(βWf(x)) − x)`` with τ = 1 (undamped) until the relative residual is
below 1e-5. Where undamped steps do not converge (the residual does not fall AND the step turns away from
the last one, as in a two-cycle or a rotation) that row's τ is halved, down to 1/16; while a row moves
straight (it leaves a saddle, or creeps) τ grows back. Every fourth step a row that creeps near its fixed
point, each move q < 0.98 times the last, takes the sum of that geometric series at once (Aitken).

Invariants: deterministic; every step is a batched product. Source: NUMERICS §3.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from energylang.landscape.draws import relative_noise
from energylang.landscape.dynamics import Landscape
from energylang.landscape.unrecorded import unrecorded

POLISHED = 1e-5
FIXED_POINT = 1e-3
_SMALLEST_STEP = 1.0 / 16
_NEAR = 0.05  # extrapolate only this close to a fixed point
_LEAP, _BEND, _FAR = 32.0, 0.25, 0.03  # of a straight creep: in moves, in radians, as a share of √d
_LOOK = 4  # every so many steps, polishing looks at where it is going


def polish(
    landscape: Landscape, x: Tensor, *, tolerance: float = POLISHED, max_iter: int = 500
) -> tuple[Tensor, Tensor]:
    """Move states (n, d) onto the fixed points they are drawn to: (states (n, d), residual (n,)).

    A state inside the origin's certain region becomes exactly zero with residual 0.
    """
    return _polish(landscape, x, tolerance, max_iter, None)[:2]


def polish_near(
    landscape: Landscape, x: Tensor, cosine: float, *, tolerance: float = POLISHED, max_iter: int = 500
) -> tuple[Tensor, Tensor, Tensor]:
    """``polish``, but a state that gets further from where it began than ``cosine``, or whose residual rises above
    what it began with, is given up: (states (n, d), residual (n,), left (n,) bool). The origin is not far from
    anything."""
    return _polish(landscape, x, tolerance, max_iter, cosine)


@unrecorded
def _polish(
    landscape: Landscape, x: Tensor, tolerance: float, max_iter: int, leash: float | None
) -> tuple[Tensor, Tensor, Tensor]:
    x = landscape.states(x).clone()
    out = torch.empty_like(x)
    count = x.shape[0]
    gap = torch.zeros(count, dtype=x.dtype, device=x.device)
    left = torch.zeros(count, dtype=torch.bool, device=x.device)
    index = torch.arange(count, device=x.device)
    tau = torch.ones(count, 1, dtype=x.dtype, device=x.device)
    begin = torch.nn.functional.normalize(x, dim=1) if leash is not None else x
    first, last_move, undamped = gap, x, True
    tiny = torch.finfo(x.dtype).tiny
    for step in range(max_iter + 1):
        if index.numel() == 0:
            break
        image = landscape.image(x)
        phase = step % _LOOK
        if undamped and 0 < phase < _LOOK - 1 and step < max_iter:
            x = image
            continue
        move = image.sub_(x)
        if phase and step < max_iter:  # a plain step; the one before a look is remembered
            if phase == _LOOK - 1:
                last_move = move
            x.addcmul_(move, tau)
            continue
        norm = torch.linalg.vector_norm(x, dim=1)
        relative = torch.linalg.vector_norm(move, dim=1) / norm.clamp_min(tiny)
        gone = norm < landscape.origin_radius
        relative.masked_fill_(gone, 0.0)
        over = relative < tolerance
        if leash is not None:  # the product with the unit start is the cosine times the norm
            strayed = ((x * begin).sum(1) <= leash * norm) & ~gone
            if step == 0:
                first = relative
            else:
                strayed |= relative > first
            left[index[strayed]] = True
            over |= strayed
        if step == max_iter:
            out[index], gap[index] = x, relative
            break
        if bool(over.any()):
            ended = over.nonzero().squeeze(1)
            out[index[ended]] = x[ended].masked_fill_(gone[ended].unsqueeze(1), 0.0)
            gap[index[ended]] = relative[ended]
            keep = (~over).nonzero().squeeze(1)
            x, move, index, tau = x[keep], move[keep], index[keep], tau[keep]
            last_move = last_move[keep]
            if leash is not None:
                begin, first = begin[keep], first[keep]
        size = tau
        if step:
            tau, size = _next_step(tau, move, last_move)
            undamped = bool((tau == 1.0).all())
        x.addcmul_(move, size).clamp_(-1.0, 1.0)
    return out, gap, left


def _next_step(tau: Tensor, move: Tensor, last_move: Tensor) -> tuple[Tensor, Tensor]:
    """The damping (n, 1) from here on and the size (n, 1) of this step, from two successive moves (n, d) of
    states in [−1, 1] whose norms hardly differ. What is one number per row is left to numpy, in double precision: so
    many small operations take a third of the time there."""
    rows = torch.stack(
        (
            torch.linalg.vector_norm(move, dim=1),
            torch.linalg.vector_norm(last_move, dim=1),
            (move * last_move).sum(1),
            tau.squeeze(1),
        )
    )
    length, before, product, damping = rows.double().cpu().numpy()
    long = math.sqrt(move.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        straight, ratio = product / (length * before), length / before
        turned = (ratio >= 1.0) & (straight < 0.9)
        damping = np.where(turned, np.maximum(damping / 2, _SMALLEST_STEP), damping)
        damping = np.where(straight > 0.98, np.minimum(damping * 1.25, 1.0), damping)
        near = length < _NEAR * long
        slow = (straight > 0.95) & (ratio > 0.3) & (ratio < 0.98) & near
        size = np.where(slow, damping / (1.0 - ratio), damping)
        # A row that creeps on in a straight line, past the ghost of a fixed point or away from a saddle, leaps as far
        # as the line may be trusted.
        turn = np.sqrt(np.maximum(2.0 * (1.0 - straight), 0.0))
        leap = np.maximum(np.minimum(np.clip(_BEND / turn, 1.0, _LEAP), _FAR * long / length), 1.0)
        size = np.where((straight > 0.98) & (ratio >= 0.98) & near, damping * leap, size)
    found = torch.from_numpy(np.stack((damping, size))).to(tau)
    return found[0].unsqueeze(1), found[1].unsqueeze(1)


def escaped(
    landscape: Landscape, x: Tensor, generator: torch.Generator, *, kick: float = 1e-2, max_iter: int = 500
) -> tuple[Tensor, Tensor]:
    """Leave saddles: ``polish`` after a kick by relative noise ``kick``, large enough that its share in an
    unstable direction (about kick/√d) exceeds the tolerance → (states (n, d), residual (n,))."""
    return polish(landscape, x + relative_noise(x, 1, generator, kick).squeeze(1), max_iter=max_iter)
