"""Is a settled state a fixed point, and does it attract?

``polish`` iterates ``x ← x + τ·(tanh(βWf(x)) − x)`` with τ = 1 (undamped) until the relative residual is
below 1e-5. Where undamped steps do not converge (the residual does not fall AND the step turns away from
the last one, as in a two-cycle or a rotation) that row's τ is halved, down to 1/16; while a row moves
straight (it leaves a saddle, or creeps) τ grows back. Every third step a row that creeps near its fixed
point, each move q < 0.98 times the last, takes the sum of that geometric series at once (Aitken).

``stability`` is the spectral radius ρ of the undamped Jacobian ``J = diag(β(1−x²)) W diag(f′(x))``; below 1
undamped steps converge. The dynamics is damped, so a leading eigenvalue near −1.5 does not repel: whether a
fixed point *attracts* is decided by ``ρ((1−τ)·I + τ·J) < 1`` at the smallest step, τ = 0.1. With
``g² = β(1−x²)·f′(x) ≥ 0``, J has the non-zero eigenvalues of ``S = diag(g) W diag(g)``, which is symmetric
when W is.

1. A short power iteration from a fixed random vector turns the start towards the leading eigenvectors.
2. A Krylov space of dimension m ≤ 32 is built for all states at once (Lanczos for symmetric W, Arnoldi with
   reorthogonalisation otherwise) and S is projected on it: a small matrix H per state.
3. ρ(H) = lim ‖H^(2^j)‖^(1/2^j) (Gelfand), by repeated squaring with rescaling: no eigenvalue solver, and
   complex leading pairs need no special care.

Invariants: deterministic (the start vector depends on d only); every step is a batched product. For d ≤ 32
the result is exact up to rounding. Source: NUMERICS §3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from energylang.landscape.draws import relative_noise, stable_generator
from energylang.landscape.dynamics import TAU, Landscape, interaction_slope

POLISHED = 1e-5
FIXED_POINT = 1e-3
_KRYLOV = 32
_WARM_UP = 8
_SQUARINGS = 12
_SMALLEST_STEP = 1.0 / 16
_NEAR = 0.05  # extrapolate only this close to a fixed point


def polish(
    landscape: Landscape, x: Tensor, *, tolerance: float = POLISHED, max_iter: int = 500
) -> tuple[Tensor, Tensor]:
    """Move states (n, d) onto the fixed points they are drawn to: (states (n, d), residual (n,)).

    A state inside the origin's certain region becomes exactly zero with residual 0.
    """
    x = landscape.states(x).clone()
    out = x.clone()
    gap = torch.zeros(x.shape[0], dtype=x.dtype, device=x.device)
    index = torch.arange(x.shape[0], device=x.device)
    tau = torch.ones_like(gap)
    last_gap = torch.full_like(gap, torch.inf)
    last_move, last_length = torch.zeros_like(x), torch.zeros_like(gap)
    for step in range(max_iter + 1):
        if index.numel() == 0:
            break
        move = (landscape.beta * landscape.field(x)).tanh_().sub_(x)
        norm = torch.linalg.vector_norm(x, dim=1)
        length = torch.linalg.vector_norm(move, dim=1)
        gone = norm < landscape.origin_radius
        relative = torch.where(gone, 0.0, length / norm.clamp_min(torch.finfo(x.dtype).tiny))
        gap[index] = relative
        done = relative < tolerance
        if step == max_iter:
            out[index] = x
            break
        if bool(done.any()):
            out[index[done]] = torch.where(gone[done].unsqueeze(1), 0.0, x[done])
            keep = ~done
            x, move, index, tau = x[keep], move[keep], index[keep], tau[keep]
            relative, length = relative[keep], length[keep]
            last_gap, last_move, last_length = last_gap[keep], last_move[keep], last_length[keep]
        size = tau
        if step > 0:
            ratio = length / last_length
            straight = (move * last_move).sum(1) / (length * last_length)
            turned = (relative >= last_gap) & (straight < 0.9)
            tau = torch.where(turned, (tau / 2).clamp_min(_SMALLEST_STEP), tau)
            tau = torch.where(straight > 0.98, (tau * 1.25).clamp_max(1.0), tau)
            size = tau
            if step % 3 == 2:
                slow = (straight > 0.95) & (ratio > 0.3) & (ratio < 0.98) & (relative < _NEAR)
                size = torch.where(slow, tau / (1.0 - ratio), tau)
        last_gap, last_move, last_length = relative, move, length
        x = torch.addcmul(x, move, size.unsqueeze(1)).clamp_(-1.0, 1.0)
    return out, gap


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
    x = landscape.states(centres)
    return _gelfand(_projected(landscape, x, generator)).to(x.dtype)


def spectrum(landscape: Landscape, centres: Tensor) -> tuple[Tensor, Tensor]:
    """(stability (k,), attracts (k,) bool) at states (k, d), from one Krylov space: the spectral radius of J,
    and whether the damped map at τ = 0.1, the last steps of ``settle``, contracts: ρ(0.9·I + 0.1·J) < 1."""
    x = landscape.states(centres)
    small = _projected(landscape, x, None)
    damped = TAU[1] * small
    damped.diagonal(dim1=1, dim2=2).add_(1.0 - TAU[1])
    return _gelfand(small).to(x.dtype), _gelfand(damped) < 1.0


def _projected(landscape: Landscape, x: Tensor, generator: torch.Generator | None) -> Tensor:
    """S on a Krylov space of dimension m = min(d, 32), for states (k, d) → (k, m, m) float64."""
    k, dim = x.shape
    slope = interaction_slope(x, landscape.degree)
    g = (landscape.beta * (1.0 - x * x).clamp_min(0.0) * slope).sqrt()
    weight_t = landscape.weight.detach().T
    generator = generator or stable_generator("stability", dim)
    v = torch.randn(dim, generator=generator).to(x).expand(k, dim)
    nothing = x.new_zeros(k)
    for _ in range(_WARM_UP if dim > _KRYLOV else 0):
        v, _ = _unit(g * ((g * v) @ weight_t), nothing)
    v, _ = _unit(v, nothing)
    size = min(dim, _KRYLOV)
    if landscape.symmetric and dim > _KRYLOV:
        return _lanczos(g, weight_t, v, size)
    return _arnoldi(g, weight_t, v, size)


def _unit(v: Tensor, floor: Tensor) -> tuple[Tensor, Tensor]:
    """``v`` (k, d) at unit norm, and the norm (k,); a row with norm ≤ ``floor`` (or tiny) becomes zero."""
    norm = torch.linalg.vector_norm(v, dim=1)
    alive = norm > floor.clamp_min(torch.finfo(v.dtype).tiny)
    unit = v * torch.where(alive, 1.0 / torch.where(alive, norm, 1.0), 0.0).unsqueeze(1)
    return unit, torch.where(alive, norm, 0.0)


def _lanczos(g: Tensor, weight_t: Tensor, v: Tensor, size: int) -> Tensor:
    """Tridiagonal projections (k, size, size) of the symmetric S, by the three-term recurrence. Lost
    orthogonality only repeats eigenvalues, which leaves the spectral radius alone."""
    k = v.shape[0]
    small = torch.zeros(k, size, size, dtype=torch.float64, device=v.device)
    previous, beta = torch.zeros_like(v), torch.zeros_like(v[:, 0])
    largest = torch.zeros_like(beta)
    rounding = 4.0 * torch.finfo(v.dtype).eps
    for j in range(size):
        image = g * ((g * v) @ weight_t)
        alpha = (image * v).sum(1)
        small[:, j, j] = alpha.double()
        image = image - alpha.unsqueeze(1) * v - beta.unsqueeze(1) * previous
        largest = torch.maximum(largest, torch.maximum(alpha.abs(), beta))
        previous = v
        v, beta = _unit(image, rounding * largest)
        if j + 1 < size:
            small[:, j, j + 1] = small[:, j + 1, j] = beta.double()
    return small


def _arnoldi(g: Tensor, weight_t: Tensor, v: Tensor, size: int) -> Tensor:
    """Hessenberg projections (k, size, size) of S, with one reorthogonalisation per step."""
    k, dim = v.shape
    basis = v.new_zeros(k, size, dim)
    small = torch.zeros(k, size, size, dtype=torch.float64, device=v.device)
    rounding = 4.0 * torch.finfo(v.dtype).eps
    for j in range(size):
        basis[:, j] = v
        image = g * ((g * v) @ weight_t)
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
