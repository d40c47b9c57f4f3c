"""How is a batch of states moved until every row has come to rest?

The inner loop of ``dynamics.settle``, for states x (n, d), a step τ and, where there are candidate edits, the
candidate of every row:

    x ← x + τ·(tanh(y·(βW)ᵀ + Σ_k (y·right_k) β·left_kᵀ + β·u) − x),     y = f(x)

1. The rows lie in *blocks* whose buffers fit a core's cache; a step runs through them one after another, so that
   what is not a matrix product costs no memory traffic. (On a GPU all rows are one block.)
2. Rows of a candidate lie together, so a block knows few candidates. Their products are one skinny GEMM with a
   mask of ownership, ``((y·rightᵀ) ∘ mask)·left``, in one with the factors of W where it has such (``product``);
   where a block has more than a few candidates, every row carries its own factors instead.
3. Rows that have settled are written down at once, and leave the batch when they are a sixteenth of it and not too
   few (a row that stays for some more steps costs less than moving all the others). The blocks are laid out anew
   only then.

Invariant: a row's path depends on that row alone, up to the rounding of GEMMs of different shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from energylang.landscape.layer import Landscape, interaction, saturate
from energylang.landscape.lowrank import Grid, LowRank, stacked
from energylang.landscape.unrecorded import unrecorded

_CACHED = 2**17  # numbers of one buffer that stay in a core's cache
_LEAST_ROWS = 256  # of a block: the weight is read once for all of them
_WORTH = 2**11  # idle numbers for which moving the rest pays (measured)
_FEW = 64  # candidates of a block up to which a mask is cheaper than factors for every row (measured)


@dataclass(frozen=True, eq=False)
class Edits:
    """m candidate edits packed for batching: ``left`` (times β), ``right`` (m, r, d), a capture radius (m,),
    and which of them change ``nothing``."""

    left: Tensor
    right: Tensor
    origin_radius: Tensor
    nothing: tuple[bool, ...]

    @classmethod
    def of(cls, landscape: Landscape, candidates: Sequence[LowRank]) -> Edits:
        left, right = stacked(candidates, landscape.weight)
        bounds = candidates.norm_bounds if isinstance(candidates, Grid) else Grid(left, right).norm_bounds
        sizes = bounds.double().tolist()
        radii = [landscape.origin_radius_for(landscape.frobenius + size) for size in sizes]
        nothing = tuple(size == 0.0 for size in sizes)
        return cls(left.mul_(landscape.beta), right, left.new_tensor(radii), nothing)


class _Block:
    """Rows ``begin`` to ``end`` of a batch: views of its states and the factors of its rows' candidates."""

    def __init__(self, batch: _Batch, begin: int, end: int) -> None:
        self.x = batch.x[begin:end]
        self.field, self.y = batch.field[: end - begin], batch.y[: end - begin]
        self.capture = batch.capture[begin:end] if isinstance(batch.capture, Tensor) else batch.capture
        drive = batch.drive
        self.drive = drive[begin:end] if drive is not None and drive.ndim == 2 else drive
        self.pull = batch.pull
        self.mask: Tensor | None = None
        self.left = self.right = self.x[:0]
        if batch.edits is not None and batch.owner is not None and batch.edits.left.shape[1]:
            self._own(batch.edits, batch.owner[begin:end])

    def _own(self, edits: Edits, owner: Tensor) -> None:
        first, last = int(owner[0]), int(owner[-1]) + 1
        if all(edits.nothing[first:last]):
            return
        rank, dim = edits.left.shape[1:]
        count = (last - first) * rank
        if count > _FEW:
            self.left, self.right = edits.left.index_select(0, owner), edits.right.index_select(0, owner)
            return
        self.left = edits.left[first:last].reshape(count, dim)
        self.right = edits.right[first:last].reshape(count, dim).T
        candidate = torch.arange(first, last, device=owner.device)
        if rank > 1:
            candidate = candidate.repeat_interleave(rank)
        self.mask = (owner.unsqueeze(1) == candidate).to(self.left)
        if self.pull.factors is not None:  # one pair of products for the weight and the edits
            into, back = self.pull.factors
            self.right, self.left = torch.cat((into, self.right), dim=1), torch.cat((back, self.left))
            self.mask = torch.cat((self.mask.new_ones(len(owner), into.shape[1]), self.mask), dim=1)

    def image(self, degree: int) -> Tensor:
        """``tanh(…)`` of the block's rows, in its buffer."""
        y = interaction(self.x, degree, self.y)
        if self.mask is not None and self.pull.factors is not None:
            field = torch.mm(torch.mm(y, self.right).mul_(self.mask), self.left, out=self.field)
        else:
            field = self.pull(y, self.field)
            self._add_edits(field, y)
        if self.drive is not None:
            field += self.drive
        return saturate(field)

    def _add_edits(self, field: Tensor, y: Tensor) -> None:
        if self.mask is not None:
            field.addmm_(torch.mm(y, self.right).mul_(self.mask), self.left)
        elif self.left.ndim == 3:
            for k in range(self.left.shape[1]):  # ranks, not rows: one or two in practice
                field.addcmul_((y * self.right[:, k]).sum(1, keepdim=True), self.left[:, k])

    def step(self, degree: int, size: float, eps: float) -> Tensor:
        """Move the rows, and say which have come to rest (relative step at most ``eps``, or near the origin)."""
        move = self.image(degree).sub_(self.x)
        allowed = torch.linalg.vector_norm(self.x, dim=1).mul_(eps / size)
        done: Tensor = torch.linalg.vector_norm(move, dim=1) <= allowed
        self.x.add_(move, alpha=size)
        done |= torch.linalg.vector_norm(self.x, dim=1) < self.capture
        return done


class _Batch:
    """The rows that still move, and what belongs to each."""

    def __init__(
        self,
        landscape: Landscape,
        x: Tensor,
        edits: Edits | None,
        owner: Tensor | None,
        drive: Tensor | None,
    ) -> None:
        self.x, self.edits, self.owner = x.clone(), edits, owner
        self.pull = landscape.pull
        self.drive = None if drive is None else drive * landscape.beta
        self.capture: Tensor | float = landscape.origin_radius
        if edits is not None and owner is not None:
            self.capture = edits.origin_radius[owner]
        if drive is not None:
            self.capture = 0.0
        self.index = torch.arange(x.shape[0], device=x.device)
        cached = max(_LEAST_ROWS, _CACHED // landscape.dim)
        self.block_rows = x.shape[0] if x.device.type == "cuda" else min(x.shape[0], cached)
        self.field = x.new_empty(self.block_rows, landscape.dim)
        self.y = torch.empty_like(self.field)
        self.lay_out()

    def lay_out(self) -> None:
        """Divide the rows into blocks; none is written down yet."""
        count = self.x.shape[0]
        self.waiting = torch.ones(count, dtype=torch.bool, device=self.x.device)
        begins = range(0, count, max(1, self.block_rows))
        self.blocks = [_Block(self, begin, min(begin + self.block_rows, count)) for begin in begins]

    def keep(self, rows: Tensor) -> None:
        """Only some rows go on."""
        self.x, self.index = self.x.index_select(0, rows), self.index.index_select(0, rows)
        if self.owner is not None:
            self.owner = self.owner.index_select(0, rows)
        if isinstance(self.capture, Tensor):
            self.capture = self.capture.index_select(0, rows)
        if self.drive is not None and self.drive.ndim == 2:
            self.drive = self.drive.index_select(0, rows)
        self.lay_out()


def run(
    landscape: Landscape,
    x: Tensor,
    edits: Edits | None,
    owner: Tensor | None,
    drive: Tensor | None,
    max_iter: int,
    eps: float,
    tau: tuple[float, float],
) -> tuple[Tensor, Tensor, Tensor]:
    """Move the rows of ``x`` (n, d), of the candidates ``owner`` (n,), ascending: (states, iterations, settled)."""
    out = torch.empty_like(x)
    iterations = torch.full((x.shape[0],), max_iter + 1, dtype=torch.long, device=x.device)
    batch = _Batch(landscape, x, edits, owner, drive)
    capture = batch.capture
    sizes = [
        tau[0] + (tau[1] - tau[0]) * (step / (max_iter - 1) if max_iter > 1 else 0.0)
        for step in range(max_iter)
    ]
    _move(batch, landscape.degree, out, iterations, eps, sizes)
    settled = iterations <= max_iter
    gone = (torch.linalg.vector_norm(out, dim=1) < capture) & settled
    return out.masked_fill_(gone.unsqueeze(1), 0.0), iterations.clamp_(max=max_iter), settled


@unrecorded
def _move(
    batch: _Batch, degree: int, out: Tensor, iterations: Tensor, eps: float, sizes: Sequence[float]
) -> None:
    """Take the steps of ``sizes`` while rows move; write what became of every row into ``out`` (n, d) and when it
    came to rest into ``iterations`` (n,)."""
    count = out.shape[0]
    for step, size in enumerate(sizes):
        if count == 0:
            break
        if not looked_at(step, len(sizes)):
            for block in batch.blocks:
                block.x.lerp_(block.image(degree), size)
            continue
        parts = [block.step(degree, size, eps) for block in batch.blocks]
        done = (parts[0] if len(parts) == 1 else torch.cat(parts)).logical_and_(batch.waiting)
        rows = done.nonzero().squeeze(1)
        if rows.numel() == 0:
            continue
        finished = batch.index.index_select(0, rows)
        out.index_copy_(0, finished, batch.x.index_select(0, rows))
        iterations.index_fill_(0, finished, step + 1)
        batch.waiting.index_fill_(0, rows, False)
        count -= rows.numel()
        idle = batch.x.shape[0] - count
        if 16 * idle >= batch.x.shape[0] and idle * batch.x.shape[1] >= _WORTH:
            batch.keep(batch.waiting.nonzero().squeeze(1))
    rows = batch.waiting.nonzero().squeeze(1)
    out.index_copy_(0, batch.index.index_select(0, rows), batch.x.index_select(0, rows))


def looked_at(step: int, max_iter: int) -> bool:
    """Whether a step is one after which settled rows are looked for: the first ones, then every third, the last."""
    return step < 3 or step % 3 == 2 or step == max_iter - 1
