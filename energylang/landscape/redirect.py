"""How are states of one kind sent to a chosen state?

A hetero-associative edit of rank one, ``ΔW = (gain·v − Wk) qᵀ``: the key k is the mean ``f(x)`` of the states
to divert, the value v where they should flow. ``q = C⁻¹k/(kᵀC⁻¹k)`` has ``qᵀk = 1`` and makes the change
smallest on average over states whose ``f(x)`` has the second moment C. With protected states, q is the
C-smallest vector with ``qᵀk = 1`` and ``qᵀf(b) = 0`` (solved in coordinates where C is the identity).

Invariants: ``(W+ΔW)k = gain·v``; ``(W+ΔW)f(b) = Wf(b)`` for protected b. One-sided on every layer: the
symmetrised form destroys a trained model. Source: MODEL §3.2, NUMERICS §4.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.landscape.clusters import cosine_rows
from energylang.landscape.dynamics import Landscape, interaction
from energylang.landscape.lowrank import LowRank
from energylang.landscape.proposal import RETURNED, Proposal, protected_states, resting, vector
from energylang.landscape.solve import NO_ROOM, no_room, off_span, span_basis

_RIDGE = 0.02


def redirect(
    landscape: Landscape,
    key_field: Tensor,
    value: Tensor,
    *,
    second_moment: Tensor | None,
    gain: float = 1.0,
    protected: Tensor | None = None,
) -> Proposal:
    """Send the states whose mean ``f(x)`` is ``key_field`` (d,) to ``value`` (d,) by the one-sided rank one
    ``ΔW = (gain·v − Wk) qᵀ`` with ``q = C⁻¹k/(kᵀC⁻¹k)``, so that ``(W+ΔW)k = gain·v`` exactly and the change
    is smallest on the states whose second moment of f(x) is C.

    ``second_moment`` (d, d) gets a ridge of 2 % of its mean diagonal; None is the identity. ``protected``
    (k, d) keep their fields: q is then the C-smallest vector with ``qᵀk = 1`` and ``qᵀf(b) = 0``.
    """
    key = vector(landscape, key_field, "key").double()
    value = vector(landscape, value, "value")
    if not math.isfinite(gain):
        raise LandscapeError(f"the gain must be finite, got {gain}", hint="0.7 to 1.5 is usual")
    safe = protected_states(landscape, protected)
    root = _whitening(landscape, second_moment)
    fields = interaction(safe.double(), landscape.degree)

    def whiten(columns: Tensor) -> Tensor:
        white: Tensor = torch.linalg.solve_triangular(root, columns, upper=False)
        return white

    white_key = whiten(key[:, None])
    rest = off_span(white_key, span_basis(whiten(fields.T).T))
    if bool(torch.linalg.vector_norm(rest) < NO_ROOM * torch.linalg.vector_norm(white_key)):
        raise no_room(int(safe.shape[0]), landscape.dim)
    query = torch.linalg.solve_triangular(root.T, rest, upper=True) / (rest * white_key).sum()
    change = gain * value.double() - landscape.weight.detach().double() @ key
    factors = LowRank(change[:, None].to(landscape.weight), query.to(landscape.weight))
    notes = (
        ["the layer is no longer symmetric; energies use its symmetric part"] if landscape.symmetric else []
    )
    target = resting(landscape, factors, value)
    if float(cosine_rows(target, value)) <= RETURNED:
        notes.append("the value itself is not at rest after the edit; the target is where it settles")
    return Proposal(factors, target, gain, "redirect", tuple(notes))


def _whitening(landscape: Landscape, second_moment: Tensor | None) -> Tensor:
    """The lower Cholesky factor (d, d) of the ridged second moment, float64."""
    dim = landscape.dim
    identity: Tensor = torch.eye(dim, dtype=torch.float64, device=landscape.weight.device)
    if second_moment is None:
        return identity
    moment = second_moment.detach().to(identity)
    if moment.shape != (dim, dim) or not bool(torch.isfinite(moment).all()):
        raise LandscapeError(
            f"the second moment must be a finite ({dim}, {dim}) matrix, got {tuple(moment.shape)}",
            hint="it is the mean of f(x)f(x)ᵀ over real states",
        )
    ridge = _RIDGE * moment.diagonal().mean()
    root, failed = torch.linalg.cholesky_ex((moment + moment.T) / 2 + ridge * identity)
    if int(failed):
        raise LandscapeError(
            "the second moment is not positive definite", hint="it is the mean of f(x)f(x)ᵀ over real states"
        )
    factor: Tensor = root
    return factor
