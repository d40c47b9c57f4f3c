"""Which states are the same state, and which old one is which new one?

``leaders``: greedy leader clustering by cosine. In order of the rows, a row that is within the cosine threshold of
no earlier leader becomes a leader; every other row joins its first leader. The set of greedy leaders is the
lexicographically first maximal independent set of the similarity graph, so it is found in rounds (a row leads when
no undecided earlier row is similar to it), each a few operations on one Gram matrix: there is no loop over pairs or
rows, and the number of rounds is the depth of the longest chain of such dependencies (a handful in practice). The
first few dozen leaders are taken one by one, which is cheaper, after those that are near to nobody. Rows come in
blocks, each compared with the leaders so far and with itself, so that a million states need no Gram matrix of a million
columns; the result is the same.

``best_matching``: the one-to-one matching of maximal total similarity among the allowed pairs (Hungarian
method, O(n²m)). Pairs whose two ends allow only each other are matched at once; the exact method runs on
what is left. Source: NUMERICS §3.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from energylang.landscape.dynamics import cosine_rows

__all__ = ["best_matching", "cosine_rows", "gram", "leaders", "normalised"]


_BLOCK = 1024  # rows
_FEW = 64
_ENTRIES = 2**22  # of one comparison with the leaders so far

SAME = 0.95
"""Two states with a cosine above this are in one basin; below its negative, one is the mirror of the other."""

NEAR = 0.7
"""Cosine from which an attractor counts as the one a *direction* names. On symmetric layers the attractor
that an edit installs has a cosine of about 0.8 to the pattern asked for; chance gives about 1/√d."""


def normalised(x: Tensor) -> Tensor:
    """The rows of ``x`` (n, d) at unit norm; zero rows stay zero."""
    unit: Tensor = x / torch.linalg.vector_norm(x, dim=1, keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
    return unit


def gram(a: Tensor, b: Tensor) -> Tensor:
    """Cosines between the rows of ``a`` (n, d) and of ``b`` (m, d): (n, m)."""
    return normalised(a) @ normalised(b).T


def leaders(x: Tensor, cosine: float, *, either_sign: bool = False) -> tuple[Tensor, Tensor]:
    """Greedy leader clustering of the rows of ``x`` (n, d).

    Returns ``(label, first)``: ``label`` (n,) numbers the clusters by first occurrence, ``first`` (k,)
    holds the row index of every leader, ascending. ``either_sign`` treats x and −x as the same.
    """
    unit = normalised(x)
    label = torch.empty(x.shape[0], dtype=torch.long, device=x.device)
    first = label[:0]
    start = 0
    while start < x.shape[0]:
        rows = max(1, min(_BLOCK, _ENTRIES // max(1, first.numel())))
        block = unit[start : start + rows]
        mine = label[start : start + rows]
        known = _near(block, unit[first], cosine, either_sign)
        joins = known.any(1)
        if first.numel():
            mine[joins] = known[joins].to(torch.uint8).argmax(1)  # the first True: the earliest leader
        rest = (~joins).nonzero().squeeze(1)
        own, fresh = _leaders_of_block(_near(block[rest], block[rest], cosine, either_sign))
        mine[rest] = own + first.numel()
        first = torch.cat((first, start + rest[fresh]))
        start += rows
    return label, first


def _near(a: Tensor, b: Tensor, cosine: float, either_sign: bool) -> Tensor:
    """(n, m) bool: which unit rows are similar."""
    similarity = a @ b.T
    return (similarity.abs() if either_sign else similarity) > cosine


def _leaders_of_block(near: Tensor) -> tuple[Tensor, Tensor]:
    """``leaders`` for rows whose similarity (n, n) is at hand."""
    near = near | near.T
    near.fill_diagonal_(True)
    undecided = torch.ones(near.shape[0], dtype=torch.bool, device=near.device)
    leader = near.sum(1) == 1  # near to nobody else
    undecided &= ~leader
    if near.device.type == "cpu" and near.shape[0]:
        _one_after_another(near.numpy(), undecided.numpy(), leader.numpy())
    earlier = near.tril(-1) if bool(undecided.any()) else near
    while bool(undecided.any()):
        fresh = undecided & ~(earlier & undecided).any(1)
        leader |= fresh
        undecided &= ~near[:, fresh].any(1)
    first = leader.nonzero().squeeze(1)
    if first.numel() == 0:
        return first, first
    return near[:, first].to(torch.uint8).argmax(1), first


def _one_after_another(
    near: NDArray[np.bool_], undecided: NDArray[np.bool_], leader: NDArray[np.bool_]
) -> None:
    """The first few leaders, found one by one: cheaper than rounds where there are few."""
    for _ in range(_FEW):
        row = int(undecided.argmax())
        if not undecided[row]:
            return
        leader[row] = True
        undecided &= ~near[row]


def best_matching(similarity: Tensor, above: float) -> list[tuple[int, int]]:
    """One-to-one pairs (row, column) of a similarity matrix (n, m) with maximal total similarity, among the
    pairs whose similarity exceeds ``above`` (≥ 0). Sorted by row; rows and columns may stay unmatched."""
    values: NDArray[np.float64] = similarity.detach().double().cpu().numpy()
    allowed = values > above
    lone_row = allowed.sum(1) == 1
    lone_column = allowed.sum(0) == 1
    simple = allowed & lone_row[:, None] & lone_column[None, :]
    pairs = [(int(i), int(j)) for i, j in np.argwhere(simple)]
    rest = allowed & ~simple
    rows, columns = np.flatnonzero(rest.any(1)), np.flatnonzero(rest.any(0))
    if rows.size:
        block = np.where(rest, values, 0.0)[np.ix_(rows, columns)]
        chosen = _assignment(-block) if rows.size <= columns.size else _assignment(-block.T)
        for i, j in enumerate(chosen):
            row, column = (rows[i], columns[j]) if rows.size <= columns.size else (rows[j], columns[i])
            if rest[row, column]:
                pairs.append((int(row), int(column)))
    return sorted(pairs)


def _assignment(cost: NDArray[np.float64]) -> list[int]:
    """The column of every row in an assignment of minimal total cost; ``cost`` (n, m) with n ≤ m.

    The Hungarian method with potentials: rows enter one at a time along a shortest augmenting path
    (Dijkstra on reduced costs). Column 0 of the bookkeeping stands for "no column yet".
    """
    n, m = cost.shape
    row_potential, column_potential = np.zeros(n + 1), np.zeros(m + 1)
    row_of = np.zeros(m + 1, dtype=np.int64)  # 1-based row that holds a column, 0 = free
    for row in range(1, n + 1):
        row_of[0] = row
        column = 0
        shortest = np.full(m + 1, np.inf)
        came_from = np.zeros(m + 1, dtype=np.int64)
        visited = np.zeros(m + 1, dtype=bool)
        while True:
            visited[column] = True
            current = row_of[column]
            reduced = np.full(m + 1, np.inf)
            reduced[1:] = cost[current - 1] - row_potential[current] - column_potential[1:]
            better = ~visited & (reduced < shortest)
            shortest[better] = reduced[better]
            came_from[better] = column
            following = int(np.argmin(np.where(visited, np.inf, shortest)))
            delta = shortest[following]
            row_potential[row_of[visited]] += delta
            column_potential[visited] -= delta
            shortest[~visited] -= delta
            column = following
            if row_of[column] == 0:
                break
        while column:
            row_of[column] = row_of[came_from[column]]
            column = int(came_from[column])
    chosen = [0] * n
    for column in range(1, m + 1):
        if row_of[column]:
            chosen[int(row_of[column]) - 1] = column - 1
    return chosen
