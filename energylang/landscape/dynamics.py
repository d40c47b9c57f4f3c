"""Where does a state of a Hopfield layer settle?

    x ← (1 − τ)·x + τ·tanh(β·(W f(x) + u)),     f(x) = sign(x)·|x|^(p−1)

with an optional input drive ``u`` and a step ``τ`` that falls linearly from 0.9 to 0.1 over ``max_iter``
iterations. A row is settled when ``‖x_new − x‖ ≤ eps·‖x‖`` (looked for after the first steps and every third).

1. All rows move in one batch: one GEMM per iteration. Rows that settle leave the batch (compaction).
2. Many candidate edits are settled at once: ``W + left rightᵀ`` is never materialised. All rows share the
   product ``f(X)Wᵀ`` and add ``(f(X)·right) leftᵀ`` of their own candidate.
3. A row inside the origin's certain region (``Landscape.origin_radius``; only without drive) can only shrink:
   it is set to zero and counted as settled. (Its relative step would stay near τ for ever.)
4. The memory of a batch is bounded by ``budget_bytes``: more rows than that are processed in chunks. The loop
   itself, and how it uses a core's cache, is ``iteration``.

Invariants: a row's path, step sizes and iteration count depend on that row alone (up to the rounding of
GEMMs of different shapes); settling −x gives the mirror image of settling x when there is no drive; same
input, same machine and thread count give the same bits. Source: NUMERICS §1; Krotov & Hopfield 2016.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.landscape.draws import perturbed, stable_generator, starts
from energylang.landscape.iteration import Edits, run
from energylang.landscape.layer import (
    Landscape,
    cosine_rows,
    interaction,
    interaction_slope,
    residual,
)
from energylang.landscape.lowrank import LowRank

__all__ = [
    "Landscape",
    "LowRank",
    "Settled",
    "cosine_rows",
    "interaction",
    "interaction_slope",
    "perturbed",
    "residual",
    "settle",
    "settle_each",
    "settle_variants",
    "stable_generator",
    "starts",
]

MAX_ITER = 100
EPS = 5e-3
TAU = (0.9, 0.1)
BUDGET_BYTES = 2**30
_BUFFERS = 8  # (rows, d) buffers alive at once inside one iteration


@dataclass(frozen=True, eq=False)
class Settled:
    """Where a batch of states came to rest.

    ``states`` (n, d) or (m, n, d) for m candidate edits; ``iterations`` and ``settled`` have the shape of
    ``states`` without its last axis. A row with ``settled`` False was still moving after ``max_iter``.
    """

    states: Tensor
    iterations: Tensor
    settled: Tensor


def settle(
    landscape: Landscape,
    starts: Tensor,
    *,
    drive: Tensor | None = None,
    max_iter: int = MAX_ITER,
    eps: float = EPS,
    tau: tuple[float, float] = TAU,
    budget_bytes: int = BUDGET_BYTES,
) -> Settled:
    """Settle ``starts`` (n, d) in one batch; ``drive`` (d,) or (n, d) is an input added to the field.

    Raises ``LandscapeError`` for a wrong shape, NaN or infinity, or parameters out of range.
    """
    x = landscape.states(starts, "starts")
    return _settle(landscape, x, None, None, drive, max_iter, eps, tau, budget_bytes)


def settle_variants(
    landscape: Landscape,
    starts: Tensor,
    candidates: Sequence[LowRank],
    *,
    drive: Tensor | None = None,
    max_iter: int = MAX_ITER,
    eps: float = EPS,
    tau: tuple[float, float] = TAU,
    budget_bytes: int = BUDGET_BYTES,
) -> Settled:
    """Settle the same ``starts`` (n, d) under each of m candidate edits: states (m, n, d).

    Equal to ``settle(landscape.edited(c), starts)`` for every candidate, with one shared product with W.
    """
    x = landscape.states(starts, "starts")
    if drive is not None and drive.ndim == 2:
        drive = drive.repeat(len(candidates), 1)
    owner = torch.arange(len(candidates), device=x.device).repeat_interleave(x.shape[0])
    flat = _settle(landscape, x, candidates, owner, drive, max_iter, eps, tau, budget_bytes)
    return _folded(flat, len(candidates), x.shape[0])


def settle_each(
    landscape: Landscape,
    starts: Tensor,
    candidates: Sequence[LowRank],
    *,
    max_iter: int = MAX_ITER,
    eps: float = EPS,
    tau: tuple[float, float] = TAU,
    budget_bytes: int = BUDGET_BYTES,
) -> Settled:
    """Settle ``starts`` (m, n, d), block i under candidate edit i, in one low-rank batch."""
    if starts.ndim != 3 or starts.shape[0] != len(candidates):
        raise LandscapeError(
            f"starts must have shape ({len(candidates)}, n, {landscape.dim}), got {tuple(starts.shape)}"
        )
    m, n = int(starts.shape[0]), int(starts.shape[1])
    x = landscape.states(starts.reshape(m * n, -1), "starts")
    owner = torch.arange(m, device=x.device).repeat_interleave(n)
    flat = _settle(landscape, x, candidates, owner, None, max_iter, eps, tau, budget_bytes)
    return _folded(flat, m, n)


def _folded(flat: Settled, m: int, n: int) -> Settled:
    return Settled(
        flat.states.reshape(m, n, flat.states.shape[1]),
        flat.iterations.reshape(m, n),
        flat.settled.reshape(m, n),
    )


def _settle(
    landscape: Landscape,
    x: Tensor,
    candidates: Sequence[LowRank] | None,
    owner: Tensor | None,
    drive: Tensor | None,
    max_iter: int,
    eps: float,
    tau: tuple[float, float],
    budget_bytes: int,
) -> Settled:
    """Check the parameters, then run the rows chunk by chunk; row i of the result starts at
    ``x[i % len(x)]`` and, when there are candidates, belongs to candidate ``owner[i]``."""
    _check_parameters(max_iter, eps, tau, budget_bytes)
    total = x.shape[0] if owner is None else owner.shape[0]
    if drive is not None:
        drive = drive.detach().to(x)
        if drive.shape not in ((landscape.dim,), (total, landscape.dim)) or not bool(
            torch.isfinite(drive).all()
        ):
            raise LandscapeError(
                f"the drive must be finite and of shape ({landscape.dim},) or (n, {landscape.dim}), "
                f"got {tuple(drive.shape)}"
            )
    edits = None if candidates is None else Edits.of(landscape, candidates)
    rows = max(1, budget_bytes // (_BUFFERS * landscape.dim * x.element_size()))
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for begin in range(0, total, rows):
        end = min(begin + rows, total)
        if x.shape[0] == total:
            chunk = x[begin:end]
        else:
            chunk = x[torch.arange(begin, end, device=x.device) % x.shape[0]]
        part_drive = drive[begin:end] if drive is not None and drive.ndim == 2 else drive
        part_owner = None if owner is None else owner[begin:end]
        parts.append(run(landscape, chunk, edits, part_owner, part_drive, max_iter, eps, tau))
    if len(parts) == 1:
        return Settled(*parts[0])
    if not parts:
        empty = torch.zeros(0, dtype=torch.long, device=x.device)
        return Settled(x.new_zeros(0, landscape.dim), empty, empty.bool())
    states, iterations, settled = zip(*parts, strict=True)
    return Settled(torch.cat(states), torch.cat(iterations), torch.cat(settled))


def _check_parameters(max_iter: int, eps: float, tau: tuple[float, float], budget_bytes: int) -> None:
    if max_iter < 1:
        raise LandscapeError(f"max_iter must be at least 1, got {max_iter}", hint="100 is the default")
    if not math.isfinite(eps) or eps <= 0:
        raise LandscapeError(f"eps must be positive and finite, got {eps}", hint="0.005 is the default")
    if len(tau) != 2 or not all(math.isfinite(t) and 0 < t <= 1 for t in tau):
        raise LandscapeError(f"the steps τ must lie in (0, 1], got {tau}", hint="(0.9, 0.1) is the default")
    if budget_bytes < 1:
        raise LandscapeError(f"the memory budget must be positive, got {budget_bytes} bytes")


def trajectory(
    landscape: Landscape,
    starts: Tensor,
    *,
    max_iter: int = MAX_ITER,
    eps: float = EPS,
    tau: tuple[float, float] = TAU,
) -> tuple[Tensor, Settled]:
    """The whole way of ``starts`` (n, d): the states before every step and after the last, (steps + 1, n, d), and
    where they come to rest, as ``settle`` has it. A row that has come to rest stays where it is."""
    x = landscape.states(starts, "starts")
    _check_parameters(max_iter, eps, tau, BUDGET_BYTES)
    end = _settle(landscape, x, None, None, None, max_iter, eps, tau, BUDGET_BYTES)
    steps = int(end.iterations.max()) if x.shape[0] else 0
    way = [x]
    for step in range(steps):
        size = tau[0] + (tau[1] - tau[0]) * (step / (max_iter - 1) if max_iter > 1 else 0.0)
        image = landscape.image(x)
        moving = (end.iterations > step).unsqueeze(1)
        x = torch.where(moving, x + size * (image - x), x)
        way.append(x)
    return torch.stack(way), end
