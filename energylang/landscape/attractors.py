"""Is a settled state a fixed point, and does it attract?

``polish`` iterates ``x ← x + τ·(tanh(βWf(x)) − x)`` with τ = 1 (undamped) until the relative residual is
below 1e-5. Where undamped steps do not converge (the residual does not fall AND the step turns away from
the last one, as in a two-cycle or a rotation) that row's τ is halved, down to 1/16; while a row moves
straight (it leaves a saddle, or creeps) τ grows back. Every fourth step a row that creeps near its fixed
point, each move q < 0.98 times the last, takes the sum of that geometric series at once (Aitken).

``stability`` is the spectral radius ρ of the undamped Jacobian ``J = diag(β(1−x²)) W diag(f′(x))``; below 1
undamped steps converge. The dynamics is damped, so a leading eigenvalue near −1.5 does not repel: whether a
fixed point *attracts* is decided by ``ρ((1−τ)·I + τ·J) < 1`` at the smallest step, τ = 0.1. With
``g² = β(1−x²)·f′(x) ≥ 0``, J has the non-zero eigenvalues of ``S = diag(g) W diag(g)``, which is symmetric
when W is.

1. A short power iteration from a fixed random vector turns the start towards the leading eigenvectors.
2. A Krylov space of dimension m ≤ 32 is built for all states at once (Lanczos for symmetric W, Arnoldi with
   reorthogonalisation otherwise) and S is projected on it: a small matrix H per state.
3. Symmetric W: the two ends of H's spectrum; a state whose ends no longer move needs no larger space.
   Otherwise ρ(H) = lim ‖H^(2^j)‖^(1/2^j) (Gelfand), by repeated squaring with rescaling: no eigenvalue solver,
   and complex leading pairs need no special care.

Invariants: deterministic (the start vector depends on d only); every step is a batched product. For d ≤ 32
the result is exact up to rounding. Source: NUMERICS §3.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from energylang.landscape.draws import relative_noise, stable_generator
from energylang.landscape.dynamics import TAU, Landscape, interaction, interaction_slope

POLISHED = 1e-5
FIXED_POINT = 1e-3
_KRYLOV = 32
_WARM_UP = 2  # times three
_STAGES = (5, 9, 14, 22, 32)
_CLOSE = 2e-3
_SMALL = 0.5  # radii are known to a thousandth absolutely where they are small
_SQUARINGS = 12
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
        image = torch.mm(interaction(x, landscape.degree), landscape.pull).tanh_()
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


def stability(landscape: Landscape, centres: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Spectral radius of the undamped Jacobian at states (k, d) → (k,); below 1 undamped steps converge.

    ``generator`` draws the start vector; without one it is a fixed vector per dimension.
    """
    return _leading(landscape, landscape.states(centres), generator)[0]


def spectrum(landscape: Landscape, centres: Tensor) -> tuple[Tensor, Tensor]:
    """(stability (k,), attracts (k,) bool) at states (k, d), from one Krylov space: the spectral radius of J,
    and whether the damped map at τ = 0.1, the last steps of ``settle``, contracts: ρ(0.9·I + 0.1·J) < 1."""
    radius, damped = _leading(landscape, landscape.states(centres), None)
    return radius, damped < 1.0


def _leading(landscape: Landscape, x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """ρ(J) and ρ((1−τ)·I + τ·J) at states (k, d) → two (k,), in the dtype of the states and in float64."""
    k, dim = x.shape
    if k == 0:
        return x.new_zeros(0), torch.zeros(0, dtype=torch.float64, device=x.device)
    slope = interaction_slope(x, landscape.degree)
    g = ((1.0 - x * x).clamp_min(0.0) * slope).sqrt()
    generator = generator or stable_generator("stability", dim)
    v = torch.randn(dim, generator=generator).to(x).expand(k, dim)
    nothing = x.new_zeros(k)
    for _ in range(_WARM_UP if dim > _KRYLOV else 0):
        for _ in range(3):
            v = torch.mm(v * g, landscape.pull).mul_(g)
        v, _ = _unit(v, nothing)
    v, _ = _unit(v, nothing)
    if landscape.symmetric and dim > _KRYLOV:
        low, high = _lanczos(g, landscape.pull, v)
        radius = torch.maximum(low.abs(), high.abs())
        damped = torch.maximum((1.0 - TAU[1] + TAU[1] * low).abs(), (1.0 - TAU[1] + TAU[1] * high).abs())
        return radius.to(x.dtype), damped
    small = _arnoldi(g, landscape.pull, v, min(dim, _KRYLOV))
    shifted = TAU[1] * small
    shifted.diagonal(dim1=1, dim2=2).add_(1.0 - TAU[1])
    return _gelfand(small).to(x.dtype), _gelfand(shifted)


def _unit(v: Tensor, floor: Tensor) -> tuple[Tensor, Tensor]:
    """``v`` (k, d) at unit norm, and the norm (k,); a row with norm ≤ ``floor`` (or tiny) becomes zero."""
    norm = torch.linalg.vector_norm(v, dim=1)
    alive = norm > floor.clamp_min(torch.finfo(v.dtype).tiny)
    norm = norm * alive
    return v * norm.reciprocal().masked_fill_(~alive, 0.0).unsqueeze(1), norm


def _lanczos(g: Tensor, pull: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest and largest eigenvalue of the symmetric S, from tridiagonal projections by the three-term
    recurrence → two (k,) float64. Lost orthogonality only repeats eigenvalues, which leaves the ends alone.

    The ends of a projection move outwards as it grows. A row whose ends moved by less than 2e-3 of the larger
    one over the last third of the steps is done early.
    """
    k = v.shape[0]
    low = torch.zeros(k, dtype=torch.float64, device=v.device)
    high = torch.zeros_like(low)
    index = torch.arange(k, device=v.device)
    diagonal: list[Tensor] = []
    beside: list[Tensor] = []
    previous, beta = torch.zeros_like(v), torch.zeros_like(v[:, 0])
    largest = torch.zeros_like(beta)
    rounding = 4.0 * torch.finfo(v.dtype).eps
    for j in range(_KRYLOV):
        image = torch.mm(v * g, pull).mul_(g)
        alpha = (image * v).sum(1)
        diagonal.append(alpha)
        if j + 1 in _STAGES:
            small = torch.diag_embed(torch.stack(diagonal, 1).double())
            small.diagonal(-1, 1, 2).copy_(torch.stack(beside, 1))  # eigvalsh reads the lower triangle
            ends = torch.linalg.eigvalsh(small)
            bottom, top = ends[:, 0], ends[:, -1]
            change = torch.maximum((bottom - low[index]).abs(), (top - high[index]).abs())
            low[index], high[index] = bottom, top
            going = change > _CLOSE * torch.maximum(bottom.abs(), top.abs()).clamp_min(_SMALL)
            keep = going.nonzero().squeeze(1)
            if keep.numel() == 0:
                break
            if keep.numel() < index.numel():
                index, g, v, image, alpha = index[keep], g[keep], v[keep], image[keep], alpha[keep]
                previous, beta, largest = previous[keep], beta[keep], largest[keep]
                diagonal, beside = ([column[keep] for column in each] for each in (diagonal, beside))
        image.addcmul_(v, alpha.unsqueeze(1), value=-1).addcmul_(previous, beta.unsqueeze(1), value=-1)
        largest = torch.maximum(largest, torch.maximum(alpha.abs(), beta))
        previous = v
        v, beta = _unit(image, rounding * largest)
        beside.append(beta)
    return low, high


def _arnoldi(g: Tensor, pull: Tensor, v: Tensor, size: int) -> Tensor:
    """Hessenberg projections (k, size, size) of S, with one reorthogonalisation per step."""
    k, dim = v.shape
    basis = v.new_zeros(k, size, dim)
    small = torch.zeros(k, size, size, dtype=torch.float64, device=v.device)
    rounding = 4.0 * torch.finfo(v.dtype).eps
    for j in range(size):
        basis[:, j] = v
        image = torch.mm(v * g, pull).mul_(g)
        length = torch.linalg.vector_norm(image, dim=1)
        known = basis[:, : j + 1]
        for _ in range(2):
            part = torch.bmm(known, image.unsqueeze(2))
            image = image - torch.bmm(part.transpose(1, 2), known).squeeze(1)
            small[:, : j + 1, j] += part.squeeze(2).double()
        v, norm = _unit(image, rounding * length)
        if j + 1 < size:
            small[:, j + 1, j] = norm.double()
    return small


def _gelfand(small: Tensor) -> Tensor:
    """Spectral radii (k,) of small matrices (k, m, m) by repeated squaring, float64."""
    log_radius = torch.zeros(small.shape[0], dtype=small.dtype, device=small.device)
    weight = 1.0
    for _ in range(_SQUARINGS):
        norm = torch.linalg.vector_norm(small, dim=(1, 2))
        log_radius = log_radius + weight * norm.log()  # −∞ once the matrix vanished: radius 0
        small = small / torch.where(norm > 0, norm, 1.0)[:, None, None]
        small = small @ small
        weight /= 2
    norm = torch.linalg.vector_norm(small, dim=(1, 2))
    radius: Tensor = (log_radius + weight * norm.log()).exp()
    return radius
