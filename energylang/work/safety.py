"""Limits on edits, pinned basins, and how well the model predicts text."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from energylang import results
from energylang.errors import ElError
from energylang.files.examples import words_of
from energylang.files.storage import located
from energylang.looking.gauge import standard_error
from energylang.looking.held import standing
from energylang.models.protocol import Change
from energylang.models.states import count
from energylang.models.text import check_finite
from energylang.signature.values import BasinRef
from energylang.trial.guards import _LARGEST, COUNTS, KINDS, SHARES
from energylang.workspace.named import centre_of
from energylang.workspace.workspace import Workspace, check_layer

from .meaning import one_layer

_WINDOWS = 256
_MOST = 300.0  # nats; a loss beyond that is no loss


@torch.no_grad()
def benchmark(ws: Workspace, corpus: str | None) -> results.Benchmark:
    """Perplexity on the bundled held-out text, or on a file."""
    text = ws.text
    most = min(_WINDOWS, 4 * text.sizes.windows)
    tokens = text.heldout_tokens() if corpus is None else _tokens(ws, corpus)
    windows = text.windows(most, tokens)
    name = "held-out text" if corpus is None else corpus
    if not len(windows):
        raise ElError(
            f"{name} is too short to measure on", code="EL503", hint="a few hundred words are enough"
        )
    layers = ws.state.layers
    acting = standing(ws)
    staged = None
    live_losses = _losses(ws, windows, acting)
    roots = {i: layer.as_loaded for i, layer in enumerate(layers) if layer.live_depth}
    untouched = not roots and not ws.state.interventions
    original_losses = live_losses if untouched else _losses(ws, windows, ws.running(roots))
    last = live_losses
    if not all(layer.is_live for layer in layers):
        staged_ = ws.running(dict(enumerate(layers)))
        last = _losses(ws, windows, replace(acting, weights=staged_.weights, landscapes=staged_.landscapes))
        staged = _measured(last)
    change = (last - original_losses) / original_losses.mean()
    live = _measured(live_losses)
    inside = windows.shape[1] - len(text.opening)
    read = count(text, tokens.tolist(), len(windows) * (inside - 1) + 1)
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
        given=read.given,
        read=read.read,
        unknown=read.unknown,
        loss=live.loss,
        loss_error=live.loss_error,
    )


def _tokens(ws: Workspace, corpus: str) -> Tensor:
    words = words_of(located(corpus, ws.base), corpus)
    return torch.tensor(ws.text.encode(words), dtype=torch.int64)


def _losses(ws: Workspace, windows: Tensor, change: Change) -> Tensor:
    """(n,): the mean loss per token of every window."""
    losses = ws.text.loss(windows, change=change).double().mean(dim=1)
    check_finite(losses, "losses")
    return losses


def _measured(losses: Tensor) -> results.Perplexity:
    loss, error = float(losses.mean()), standard_error(losses)
    perplexity = math.exp(min(loss, _MOST))
    return results.Perplexity(perplexity, None if error is None else perplexity * error, loss, error)


def guard(ws: Workspace, what: str | int, value: float) -> results.Guard:
    """Set a limit; it replaces the one of this kind (or layer)."""
    key = what if isinstance(what, str) else f"L{what}"
    limit = _limit(what, value)
    if what == "perplexity-delta":
        ws.text  # noqa: B018 - says that there are no words to be perplexed by
    if isinstance(what, int):
        check_layer(ws.model, what)
    before = ws.state.guards.get(key)
    ws.state = replace(ws.state, guards={**ws.state.guards, key: limit})
    return _described(key, limit, before)


def _limit(what: str | int, value: float) -> float:
    """The limit as it is kept: whole numbers are percent where a share is meant."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if isinstance(value, str) or not math.isfinite(value) or value < 0:
        raise ElError(f"a guard's limit must be 0 or more, not {value}", code="EL206", hint="2% is 0.02")
    if isinstance(what, int):
        share = value / 100 if whole else value
        if share > 1:
            raise ElError(f"{value:g} is more than all basins", code="EL206", hint="10 and 10% mean a tenth")
        return share
    if what in COUNTS:
        if not whole and value != round(value):
            raise ElError(f"`{what}` counts basins: {value:g} is no count", code="EL206")
        return float(value)
    limit = value / 100 if whole and what in SHARES else float(value)
    if limit > _LARGEST[what]:
        raise ElError(
            f"`{what}` is {value:g}, but must be at most {_LARGEST[what]:g}",
            code="EL206",
            hint="whole numbers are percent for max-changed and perplexity-delta",
        )
    return limit


def _described(key: str, limit: float, before: float | None) -> results.Guard:
    layer = int(key[1:]) if key not in KINDS else None
    says = {
        "max-basins": f"no edit may leave more than {limit:g} basins",
        "min-basins": f"no edit may leave fewer than {limit:g} basins",
        "strength-cap": f"no edit may be larger than {limit:.1%} of the weight",
        "cosine-drift": f"no other basin may move by more than {limit:g}",
        "perplexity-delta": f"the loss on held-out text may not rise by more than {limit:.1%}",
        "max-changed": f"no edit may change more than {limit:.1%} of the decisions",
    }.get(key, f"no edit of {key} may lose more than {limit:.1%} of its main basins")
    return results.Guard(key if layer is None else "layer", layer, limit, before, says)


def guards(ws: Workspace) -> results.Guards:
    """All limits in force."""
    found = tuple(_described(key, limit, None) for key, limit in ws.state.guards.items())
    pinned = [
        f"L{layer}.B{basin}" for layer, basins in ws.state.protected.items() for basin in sorted(basins)
    ]
    return results.Guards(found, tuple(pinned))


def protect(ws: Workspace, basins: tuple[BasinRef, ...]) -> results.Protected:
    """Pin basins of a layer."""
    layer = one_layer(basins)
    for basin in basins:
        if basin.layer != layer:
            raise ElError(f"{basin} is not a basin of L{layer}", code="EL510")
        centre_of(ws, basin)
    new = frozenset(basin.basin for basin in basins)
    pinned = ws.state.protected.get(layer, frozenset()) | new
    ws.state = replace(ws.state, protected={**ws.state.protected, layer: pinned})
    return results.Protected(layer, tuple(sorted(new)), tuple(sorted(pinned)))
