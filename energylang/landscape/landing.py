"""Where near a state is there room for a basin of its own, and which change gives it one and disturbs least?

What a trained layer often meets rests in a basin already: of the bundled model's concepts most states lie within
cosine 0.95 of where they settle, though random starts never met that basin. A *new* basin has to be another place:

1. **Patterns**: 0.9 times the signs of the state (or of where it settles), with some of its weakest coordinates
   turned, or those that distinguish it least from an opposite state. Six of 192 turned signs are a cosine of 0.94.
2. **Fields**: at the pattern p with ``y = f(p)`` only what is too weak is raised, ``ρ_i = s_i·max(0, l − s_i(Wy)_i)``
   with s = sign p and the level ``l = 0.9·m/β``. (To set the whole field to m·p weakens what is stronger already:
   measured, ten times the norm and most basins lost.)
3. **Key**: ``q = C⁻¹y/(yᵀC⁻¹y)``, C the second moment of f(x) over what is to be left alone. ``ΔW = ρqᵀ`` gives the
   state y exactly the field ``Wy + ρ`` and is the smallest change on average over those states; ``qᵀf(b) = 0`` for a
   few states b that are to be left exactly. One-sided: the symmetric form disturbs twice as many decisions.
4. A candidate *holds* when the pattern settles near itself, at a place that without the edit would settle elsewhere
   (cosine at most 0.94) and is no known basin, the mean state itself settles there, and all noisy copies (10 %)
   return. All candidates are one low-rank batch. Of those that leave the basin in which the mean settled before, the
   ones in which most of the states settle take turns with the ones of smallest norm.

Source of the whitened key: MODEL §3.2.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.landscape.attractors import polish
from energylang.landscape.clusters import cosine_rows, gram
from energylang.landscape.draws import relative_noise
from energylang.landscape.dynamics import Landscape, settle, settle_each
from energylang.landscape.edits import AMPLITUDE
from energylang.landscape.layer import interaction
from energylang.landscape.lowrank import Grid
from energylang.landscape.proposal import RETURNED, Proposal, resting, vector
from energylang.landscape.solve import NO_ROOM, no_room, off_span, span_basis
from energylang.landscape.unrecorded import unrecorded

APART = (
    0.94  # a new basin is at most so near to any that was there; below the 0.95 from which two count as one
)
NEAR = 0.8  # and at least so near to the state
_TURNED = (0.03, 0.036, 0.042, 0.047, 0.052, 0.063, 0.073, 0.09)  # shares of the coordinates
_MARGINS = (1.6, 12.0, 14)  # of m, in a geometric row
_NOISE, _COPIES, _TRIED = 0.1, 16, 48
_STATES = 8  # of a concept's texts
_EPS, _ARRIVED = 1e-4, 0.99  # what settles between two basins that are near each other is slow
_RIDGE = 0.02
ONE_SIDED = "the layer is no longer symmetric; energies use its symmetric part"


@unrecorded
def landings(
    landscape: Landscape,
    states: Tensor,
    known: Tensor,
    moment: Tensor,
    *,
    exactly: Tensor | None = None,
    opposite: Tensor | None = None,
    strength: float | None = None,
    generator: torch.Generator,
    most: int = 6,
) -> list[Proposal]:
    """Up to ``most`` changes that give the mean of ``states`` (n, d) a new basin beside the ``known`` ones (k, d), the
    best first; the one that comes nearest where none holds. ``moment`` (d, d) is C, ``exactly`` (m, d) are states
    whose fields do not change, ``opposite`` (d,) is a state to be told from.

    ``strength`` s takes ``‖ΔW‖ = s·‖W‖`` instead of searching a margin. Raises ``LandscapeError`` for a wrong
    dimension, a zero or non-finite mean, a strength that is not positive, or no room beside ``exactly``.
    """
    states = landscape.states(states, "states")
    state = vector(landscape, states.mean(dim=0), "state")
    if strength is not None and (not math.isfinite(strength) or strength <= 0):
        raise LandscapeError(
            f"the strength must be positive and finite, got {strength}",
            hint="leave it out to search the smallest that holds",
        )
    home = polish(landscape, settle(landscape, state[None]).states)[0][0]
    patterns = _patterns(state, home, opposite)
    grid, margins = _changes(landscape, patterns, _queries(landscape, patterns, moment, exactly), strength)
    wanted = patterns.repeat_interleave(len(grid) // len(patterns), dim=0)
    others = torch.cat((state[None], home[None], states[:_STATES]))
    starts = torch.cat((wanted[:, None], others.expand(len(grid), -1, -1)), dim=1)
    ends = settle_each(landscape, starts, grid, eps=_EPS).states
    new, arrived, left = ends[:, 0], ends[:, 1], ends[:, 2]
    many = (cosine_rows(ends[:, 3:], new[:, None]) > _ARRIVED).sum(dim=1)
    before = settle(landscape, new).states
    closest = cosine_rows(before, new)
    if len(known):
        closest = torch.maximum(closest, gram(new, known.to(new)).abs().amax(dim=1))
    holds = torch.stack(
        (
            cosine_rows(new, wanted) > RETURNED,
            closest <= APART,
            cosine_rows(arrived, new) > _ARRIVED,
            cosine_rows(new, state.expand_as(new)) >= NEAR,
        )
    ).sum(dim=0)
    stays = cosine_rows(left, home.expand_as(left)) > RETURNED
    # Of one norm the deepest first: its own smallest norm, the one that is found without a strength, is the smallest.
    size = grid.norms.tolist() if strength is None else [-margin for margin in margins]
    by_size = sorted(range(len(grid)), key=lambda i: (-int(holds[i]), not bool(stays[i]), size[i]))[:_TRIED]
    by_states = sorted(by_size, key=lambda i: (-int(holds[i]), not bool(stays[i]), -int(many[i]), size[i]))
    rates = _returning(landscape, grid, new, by_size, generator)
    order = list(dict.fromkeys(i for pair in zip(by_states, by_size, strict=True) for i in pair))
    full = [i for i in order if int(holds[i]) == 4 and rates[i] == 1]
    told = (ONE_SIDED,) if landscape.symmetric else ()
    return [
        Proposal(grid[i], resting(landscape, grid[i], wanted[i], new[i]), margins[i], "inject", told)
        for i in (full or order[:1])[:most]
    ]


def _patterns(state: Tensor, home: Tensor, opposite: Tensor | None) -> Tensor:
    """(n, d): the signs of the state, and those from which ever more coordinates are turned."""
    found = [torch.sign(state)]
    own = torch.where(home == 0, torch.sign(state), torch.sign(home))
    rows = [(own, state * own)]
    if opposite is not None:
        apart = state - opposite.to(state)
        turns = torch.where(state * apart < 0, -state / apart, torch.full_like(state, math.inf))
        rows.append((torch.sign(state), turns))
    counts = sorted({math.ceil(share * len(state)) for share in _TURNED})
    for signs, weakest in rows:
        order = torch.sort(weakest, stable=True).indices
        for count in counts:
            turned = signs.clone()
            turned[order[:count]] *= -1
            found.append(turned)
    signs = torch.stack(found)
    return AMPLITUDE * torch.where(signs == 0, torch.ones_like(signs), signs)


def _queries(landscape: Landscape, patterns: Tensor, moment: Tensor, exactly: Tensor | None) -> Tensor:
    """(n, d) float64: q of every pattern, with ``qᵀf(p) = 1`` and ``qᵀf(b) = 0`` for b in ``exactly``; solved where the
    ridged second moment is the identity."""
    moment = moment.detach().double()
    ridge = _RIDGE * moment.diagonal().mean().clamp_min(1e-12)
    identity = torch.eye(len(moment), dtype=moment.dtype, device=moment.device)
    root = torch.linalg.cholesky((moment + moment.T) / 2 + ridge * identity)

    def white(states: Tensor) -> Tensor:
        fields = interaction(states.double(), landscape.degree)
        found: Tensor = torch.linalg.solve_triangular(root, fields.T, upper=False)
        return found

    keys = white(patterns)
    rest = keys
    if exactly is not None and len(exactly):
        rest = off_span(keys, span_basis(white(exactly.to(patterns)).T))
        if bool(
            (torch.linalg.vector_norm(rest, dim=0) < NO_ROOM * torch.linalg.vector_norm(keys, dim=0)).any()
        ):
            raise no_room(len(exactly), landscape.dim)
    queries: Tensor = torch.linalg.solve_triangular(root.T, rest / (rest * keys).sum(dim=0), upper=True).T
    return queries


def _changes(
    landscape: Landscape, patterns: Tensor, queries: Tensor, strength: float | None
) -> tuple[Grid, list[float]]:
    """Candidates of rank one for patterns (n, d) with their q (n, d), as many for each, and the margin of each."""
    signs = torch.sign(patterns).double()
    fields = interaction(patterns.double(), landscape.degree)
    held = signs * (fields @ landscape.weight.detach().double().T)  # s·Wy: how strongly each sign is held
    unit = AMPLITUDE / landscape.beta
    if strength is None:
        low, high, count = _MARGINS
        row = torch.logspace(math.log10(low), math.log10(high), count, dtype=torch.float64)
        margins = row.to(held.device).repeat(len(patterns), 1)
    else:
        size = landscape.frobenius or math.sqrt(landscape.dim)
        margins = _margins_of(held, unit, strength * size / torch.linalg.vector_norm(queries, dim=1))
    changes = signs[:, None] * (margins[:, :, None] * unit - held[:, None]).clamp_min(0)
    flat = changes.reshape(-1, 1, landscape.dim)
    right = queries[:, None].expand_as(changes).reshape_as(flat)
    return Grid(flat.to(landscape.weight), right.to(landscape.weight)), margins.flatten().tolist()


def _margins_of(held: Tensor, unit: float, norms: Tensor) -> Tensor:
    """(n, 1): the margin at which ``max(0, m·unit − held)`` (n, d) has a norm (n,), by bisection: it grows with m."""
    low = held.amin(dim=1) / unit
    high = (held.amax(dim=1) + norms) / unit
    for _ in range(80):
        middle = (low + high) / 2
        over = torch.linalg.vector_norm((middle[:, None] * unit - held).clamp_min(0), dim=1) > norms
        low, high = torch.where(over, low, middle), torch.where(over, middle, high)
    return high[:, None]


def _returning(
    landscape: Landscape, grid: Grid, rests: Tensor, rows: list[int], generator: torch.Generator
) -> dict[int, float]:
    """The share of noisy copies of the rests (m, d) of some candidates that come back."""
    those = rests[rows]
    noise = relative_noise(those, _COPIES, generator, _NOISE)
    back = settle_each(landscape, those[:, None] + noise, grid.take(rows)).states
    rates = (cosine_rows(back, those[:, None]) > RETURNED).double().mean(dim=1).tolist()
    return dict(zip(rows, rates, strict=True))
