"""The target form of an optimised change (plain-text models).

``ΔW = ± s‖W‖ q̂q̂ᵀ``, ``q̂ ∝ (C + mean diag C · I)⁻¹ f(t)``: symmetric, of rank one; the target state t and the strength
s are optimised for

    ± (log-probability of the concept's tokens, gains beyond 3 nats not counted) − κ · KL elsewhere
    − failure of t to return from 10 % noise (installing only) − norm

The concept's tokens are those of its texts after neutral passages, or, when the concept is read at a named token,
that token alone. Source: MODEL §3.4, with the examples chosen as in ``aiming``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from energylang.landscape.clusters import cosine_rows
from energylang.landscape.layer import interaction
from energylang.landscape.lowrank import LowRank
from energylang.models.protocol import NOTHING, Change
from energylang.models.states import POSITIONS, named_token, token_states
from energylang.workspace.workspace import Workspace, counted

from .aim_examples import ELSEWHERE, Examples, chosen_logs, elsewhere, logs_at, rows_of, stream_of
from .descent import Optimiser

if TYPE_CHECKING:
    from energylang.workspace.history import Concept


STEPS, RATE, ROWS = 30, 0.1, ELSEWHERE
_KAPPA = 10.0
_GAIN_LIMIT = 3.0
_RETURN_STEPS = 8


@torch.enable_grad()
def aim_at_tokens(
    ws: Workspace, layer: int, on: Examples, weight: Tensor, generator: torch.Generator, *, away: bool
) -> LowRank:
    """The target form for the tokens that count in ``on``: towards saying them there, or ``away`` from it."""
    beta, degree = ws.model.beta(layer), ws.model.degree
    windows = elsewhere(ws, generator)
    inverse = inverse_moment(ws, layer, weight)
    mean_state = _mean_state(ws, layer, on, weight)
    with torch.no_grad():
        stream, others = stream_of(ws, layer, on.tokens), stream_of(ws, layer, windows)
        chosen_before = chosen_logs(logs_at(ws, layer, stream, NOTHING), on.tokens)
        logs_before = logs_at(ws, layer, others, NOTHING)
    size, sign = torch.linalg.matrix_norm(weight), -1.0 if away else 1.0
    sharp = torch.tanh(3 * mean_state / mean_state.pow(2).mean().sqrt().clamp_min(1e-6))
    raw = torch.atanh(sharp.clamp(-0.97, 0.97)).detach().requires_grad_()
    log_strength = torch.tensor(-1.5, device=weight.device, requires_grad=True)
    descent = Optimiser([raw, log_strength], RATE)

    def factors() -> tuple[Tensor, Tensor]:
        """(column, state): the change is ± column columnᵀ."""
        state = torch.tanh(raw)
        query = inverse @ interaction(state, degree)
        return query / torch.linalg.vector_norm(query) * (log_strength.exp() * size).sqrt(), state

    for _ in counted(ws, range(STEPS), "steps of the descent"):
        column, state = factors()
        edited_weight = weight + sign * torch.outer(column, column)
        edited = Change(weights={layer: edited_weight})
        gain = chosen_logs(logs_at(ws, layer, stream, edited), on.tokens) - chosen_before
        gain = ((sign * gain).clamp(max=_GAIN_LIMIT) * on.counts).sum() / on.counts.sum()
        logs = logs_at(ws, layer, others, edited)
        drift = (logs_before.exp() * (logs_before - logs)).sum(dim=2).mean()
        loss = -gain + _KAPPA * drift + 0.05 * log_strength.exp()
        if not away:
            loss = loss + 2 * _unsteady(state, edited_weight, beta, degree, generator)
        descent.step(loss)
    with torch.no_grad():
        column, _ = factors()
    return LowRank(sign * column[:, None], column[:, None])


def after_passages(ws: Workspace, concept: Concept, generator: torch.Generator) -> Examples:
    """The concept's texts after neutral passages; its tokens, or the named one alone, count."""
    text, passages = ws.text, ws.text.choosing_prompts
    named = None if concept.position in POSITIONS else named_token(text, concept.texts[0], concept.position)
    rows, spans = [], []
    for k in range(max(ROWS, len(concept.texts))):
        inside = text.encode(concept.texts[k % len(concept.texts)])
        drawn = int(torch.randint(len(passages), (1,), generator=generator))
        before = text.encode(passages[drawn])[-max(1, text.max_length - len(inside)) :]
        rows.append((before + inside)[: text.max_length])
        spans.append((len(before) - 1, len(rows[-1]) - 1))
    found = rows_of(ws, rows, spans)
    if named is None:
        return found
    return Examples(found.tokens, found.counts * (found.tokens[:, 1:] == named))


@torch.no_grad()
def inverse_moment(ws: Workspace, layer: int, weight: Tensor) -> Tensor:
    """(d, d): the inverse of C + mean diag C · I, C the second moment of f(x) over real token states."""
    draw = ws.generator("second moment", layer)
    field = interaction(token_states(ws.text, layer, 4096, draw).to(weight), ws.model.degree)
    moment = field.T @ field / len(field)
    ridge = moment.diagonal().mean() * torch.eye(len(moment), device=weight.device, dtype=weight.dtype)
    inverse: Tensor = torch.linalg.inv(moment + ridge)
    return inverse


@torch.no_grad()
def _mean_state(ws: Workspace, layer: int, on: Examples, weight: Tensor) -> Tensor:
    """(d,): the mean state from which the tokens that count are said."""
    states = ws.text.forward(on.tokens[:, :-1]).states[layer].to(weight)
    mean: Tensor = (states * on.counts[..., None]).sum(dim=(0, 1)) / on.counts.sum()
    return mean


def _unsteady(state: Tensor, weight: Tensor, beta: float, degree: int, generator: torch.Generator) -> Tensor:
    """1 − the cosine to a state (d,) of where its noisy copies go: 0 when it is a basin."""
    noise = torch.randn(8, len(state), generator=generator).to(state)
    moving = state + 0.1 * torch.linalg.vector_norm(state) / len(state) ** 0.5 * noise
    for _ in range(_RETURN_STEPS):
        field = functional.linear(interaction(moving, degree), weight)
        moving = torch.lerp(moving, torch.tanh(beta * field), 0.7)
    return (1 - cosine_rows(moving, state)).mean()
