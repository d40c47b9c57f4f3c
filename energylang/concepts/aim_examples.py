"""What an optimised change is looked for on: rows of tokens, which of their predictions count, and what the rest of the
model makes of the stream that enters the edited layer. Everything below the layer is computed once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from energylang.models.protocol import Change, Start
from energylang.workspace.workspace import Workspace

ELSEWHERE = 24  # windows where nothing shall change
_REMEMBERED = 1 << 25  # numbers
_AT_ONCE = 1024  # positions of a pass


@dataclass(frozen=True)
class Examples:
    """Token rows (n, t) padded on the right, and which of their t − 1 predictions count (n, t − 1)."""

    tokens: Tensor
    counts: Tensor


def rows_of(ws: Workspace, rows: list[list[int]], spans: list[tuple[int, int]]) -> Examples:
    """Rows, padded; of the predictions of each those from its span's first place up to its second count."""
    width = max(len(row) for row in rows)
    tokens = torch.zeros(len(rows), width, dtype=torch.int64)
    counts = torch.zeros(len(rows), width - 1)
    for k, (row, (low, high)) in enumerate(zip(rows, spans, strict=True)):
        tokens[k, : len(row)] = torch.tensor(row)
        counts[k, low:high] = 1
    device = ws.model.device
    return Examples(tokens.to(device), counts.to(device))


@torch.no_grad()
def stream_of(ws: Workspace, layer: int, tokens: Tensor) -> Tensor:
    """(n, t − 1, m): what enters the layer; the rest of the model is all that the descent has to pass."""
    return torch.cat([ws.text.entering(part[:, :-1], layer) for part in ws.text.chunks(tokens)])


@torch.no_grad()
def stream_that_counts(ws: Workspace, layer: int, found: Examples) -> Tensor:
    """(n, t − 1, m): the same up to the last place of each row that counts, and zeros behind it. Rows of like length
    share a pass."""
    places = torch.arange(1, found.counts.shape[1] + 1, device=found.counts.device)
    ends = ((found.counts > 0) * places).amax(dim=1)
    order = torch.sort(ends, stable=True).indices
    whole: Tensor | None = None
    for rows in torch.split(order, max(1, len(ws.text.chunks(found.tokens)[0]))):
        length = max(1, int(ends[rows].max()))
        stream = ws.text.entering(found.tokens[rows, :length], layer)
        if whole is None:
            whole = stream.new_zeros(*found.counts.shape, stream.shape[2])
        whole[rows, :length] = stream
    assert whole is not None  # there is a row
    return whole


def prepared(ws: Workspace, layer: int, found: Examples) -> tuple[Start, Tensor, Tensor]:
    """Where passes of examples begin (n, t, ·), their targets (n, t) and counts (n, t). Where the rest of the model
    does not look back, only the positions that count, as rows of length one."""
    stream, targets, counts = stream_that_counts(ws, layer, found), found.tokens[:, 1:], found.counts
    if not ws.text.looks_back_from(layer):
        live = found.counts > 0
        stream, targets, counts = stream[live][:, None], targets[live][:, None], found.counts[live][:, None]
    return starting(ws, layer, stream), targets, counts


@torch.no_grad()
def starting(ws: Workspace, layer: int, stream: Tensor) -> Start:
    """Where passes of a stream (n, t, m) begin: all that the descent does not change, computed once."""
    return ws.text.starting(layer, stream)


def logs_at(ws: Workspace, layer: int, stream: Tensor, change: Change) -> Tensor:
    """(n, t, v): log-probabilities of the next token at every place of a stream (n, t, m)."""
    return logits_at(ws, Start(layer, stream), change).log_softmax(dim=2)


def logits_at(ws: Workspace, start: Start, change: Change) -> Tensor:
    """(n, t, v): the logits of the next token at every place from which a pass starts."""
    return ws.text.run(None, change, start=start, read=()).logits.float()


def remembered(
    ws: Workspace, start: Start, change: Change
) -> tuple[Callable[[Tensor], Tensor], Tensor | None]:
    """Log-probabilities (k, t, v) at k rows of a start under a change that stays, and all of them, computed once, where
    they fit into memory."""

    @torch.no_grad()
    def logs(pick: Tensor) -> Tensor:
        return logits_at(ws, start[pick], change).log_softmax(dim=2)

    stream = start.stream
    rows, size = torch.arange(len(stream), device=stream.device), ws.text.tokenizer.size
    if stream.shape[0] * stream.shape[1] * size > _REMEMBERED:
        return logs, None
    whole = torch.cat([logs(part) for part in torch.split(rows, max(1, _AT_ONCE // stream.shape[1]))])
    return lambda pick: whole[pick], whole


def away_from(ws: Workspace, start: Start, change: Change) -> Callable[[Tensor, Change], Tensor]:
    """(k, t): KL(p ‖ q) at k rows of a start, p predicted under ``change`` and q under the one that is given, but for
    the entropy of p, which no change of q reaches."""
    logs, whole = remembered(ws, start, change)
    count = start.stream.shape[1]
    likely = None if whole is None else whole.exp_().flatten(0, 1)

    def far(pick: Tensor, edited: Change) -> Tensor:
        if likely is None:
            return ws.text.missed(start[pick], edited, logs(pick).exp_().flatten(0, 1))
        rows = pick[:, None] * count + torch.arange(count, device=pick.device)
        return ws.text.missed(start[pick], edited, likely, rows.flatten())

    return far


def chosen_logs(logs: Tensor, tokens: Tensor) -> Tensor:
    """(n, t − 1): log-probability of each next token."""
    return logs.gather(2, tokens[:, 1:, None])[..., 0]


def elsewhere(ws: Workspace, generator: torch.Generator) -> Tensor:
    """(``ELSEWHERE``, t): windows of held-out text by which choices may be made."""
    windows = ws.text.choosing_windows()
    pick = torch.randperm(len(windows), generator=generator)[:ELSEWHERE]
    return windows[pick.to(windows.device)]
