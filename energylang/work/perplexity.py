"""How well does the model predict text: live, as it was loaded, and with everything staged?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from energylang import results
from energylang.concepts.effects import standard_error
from energylang.errors import ElError
from energylang.files.storage import located, not_utf8, read_text
from energylang.looking.held import standing
from energylang.models.protocol import Intervention
from energylang.models.text import check_finite
from energylang.workspace.workspace import Workspace

_WINDOWS = 256
_LARGEST = 300.0  # nats; a loss beyond that is no loss


@torch.no_grad()
def benchmark(ws: Workspace, corpus: str | None) -> results.Benchmark:
    """Perplexity on the bundled held-out text, or on a file."""
    text = ws.text
    if corpus is None:
        windows = text.windows(_WINDOWS)
        name = "held-out text"
    else:
        windows = text.windows(_WINDOWS, _tokens(ws, corpus))
        name = corpus
    if not len(windows):
        raise ElError(
            f"{name} is too short to measure on", code="EL503", hint="a few hundred words are enough"
        )
    layers = ws.state.layers
    acting = standing(ws).state
    staged = None
    live_losses = _losses(ws, windows, Intervention(state=acting))
    roots = {i: ws.weight(layer.staged.root) for i, layer in enumerate(layers)}
    original_losses = _losses(ws, windows, Intervention(weights=roots))
    last = live_losses
    if any(layer.staged is not layer.live for layer in layers):
        weights = {i: ws.weight(layer.staged) for i, layer in enumerate(layers)}
        last = _losses(ws, windows, Intervention(weights=weights, state=acting))
        staged = _measured(last)
    change = (last - original_losses) / original_losses.mean()
    live = _measured(live_losses)
    return results.Benchmark(
        corpus=name,
        windows=len(windows),
        tokens=windows[:, 1:].numel(),
        perplexity=live.perplexity,
        perplexity_error=live.perplexity_error,
        live=live,
        original=_measured(original_losses),
        staged=staged,
        change=float(change.mean()),
        change_error=standard_error(change),
    )


def _tokens(ws: Workspace, corpus: str) -> Tensor:
    try:
        words = read_text(located(corpus, ws.base))
    except OSError as error:
        raise ElError(f"cannot read {corpus}: {error.strerror}", code="EL503") from None
    except UnicodeDecodeError as error:
        what, way = not_utf8(error)
        raise ElError(f"{corpus} {what}", code="EL503", hint=way) from None
    return torch.tensor(ws.text.encode(words), dtype=torch.int64)


def _losses(ws: Workspace, windows: Tensor, change: Intervention) -> Tensor:
    """(n,): the mean loss per token of every window."""
    losses = ws.text.loss(windows, intervention=change).double().mean(dim=1)
    check_finite(losses, "losses")
    return losses


def _measured(losses: Tensor) -> results.Perplexity:
    loss, error = float(losses.mean()), standard_error(losses)
    perplexity = math.exp(min(loss, _LARGEST))
    return results.Perplexity(perplexity, None if error is None else perplexity * error, loss, error)
