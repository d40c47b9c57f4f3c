"""Does a fixed point attract?

The map that is iterated is damped, with steps that fall to τ = 0.1: near a fixed point a displacement is multiplied by
``D = (1−τ)·I + τ·J``, ``J = diag(β(1−x²)) W diag(f′(x))``. With ρ the spectral radius of D at τ = 0.1,

    stability = 1 − (1 − ρ)/τ,     and the fixed point *attracts* when that is below 1, which is ρ < 1.

This is J's leading eigenvalue λ where that is real and positive: 0 is forgotten at once, 0.9 slowly, 1 never. It is not
the spectral radius of J: an eigenvalue of −1.5 makes undamped steps overshoot for ever and damped ones die out
(``0.9 − 0.15 = 0.75``). With ``g² = β(1−x²)·f′(x) ≥ 0``, J has the non-zero eigenvalues of ``S = diag(g) W diag(g)``,
which is symmetric when W is.

1. A weight of low rank r (``product``), P = A·B: the non-zero eigenvalues of J are those of ``B diag(g²) A``, one
   r × r matrix per state, exactly. For every other, and where r is large:
2. A short power iteration from a fixed random vector turns the start towards the leading eigenvectors.
3. A Krylov space of dimension m ≤ 32 is built for all states at once (Lanczos for symmetric W, Arnoldi with
   reorthogonalisation otherwise) and S is projected on it: a small matrix H per state.
4. Symmetric W: the two ends of H's spectrum, of which the lower counts only where it is far below −2(1−τ)/τ = −18; a
   state whose end no longer moves needs no larger space.
   Otherwise ρ((1−τ)·I + τ·H) = lim ‖H^(2^j)‖^(1/2^j) (Gelfand), by repeated squaring with rescaling: no
   eigenvalue solver, and complex leading pairs need no special care.

Invariants: deterministic (the start vector depends on d only); every step is a batched product. For d ≤ 32 and for
low rank the result is exact up to rounding. Source: NUMERICS §3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from energylang.landscape.draws import stable_generator
from energylang.landscape.dynamics import TAU, Landscape, interaction_slope
from energylang.landscape.product import Pull
from energylang.landscape.unrecorded import unrecorded

_KRYLOV = 32
_WARM_UP = 1  # times three
_STAGES = (5, 9, 14, 22, 32)
_CLOSE = 2e-4
_MAY_COUNT = 1.5  # by how much the lower end may still fall
_SMALL = 0.5  # eigenvalues are known absolutely where they are small
_SQUARINGS = 16
_LOW = 32  # a rank up to which eigenvalues of small matrices take no longer than a Krylov space (measured)


def stability(landscape: Landscape, centres: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """``1 − (1 − ρ)/τ`` at states (k, d) → (k,), see the module docstring; below 1 a fixed point attracts.

    ``generator`` draws the start vector; without one it is a fixed vector per dimension.
    """
    centres = landscape.states(centres)
    damped: Tensor = _damped(landscape, centres, generator)
    found: Tensor = ((damped - (1.0 - TAU[1])) / TAU[1]).to(centres.dtype)
    return found


def spectrum(landscape: Landscape, centres: Tensor) -> tuple[Tensor, Tensor]:
    """(stability (k,), attracts (k,) bool) at states (k, d): the second says that the first is below 1."""
    found = stability(landscape, centres)
    return found, found < 1.0


@unrecorded
def _damped(landscape: Landscape, x: Tensor, generator: torch.Generator | None) -> Tensor:
    """ρ((1−τ)·I + τ·J) at states (k, d) → (k,), float64."""
    k, dim = x.shape
    if k == 0:
        return torch.zeros(0, dtype=torch.float64, device=x.device)
    slope = interaction_slope(x, landscape.degree)
    g = ((1.0 - x * x).clamp_min(0.0) * slope).sqrt()
    factors = landscape.pull.factors
    if factors is not None and factors[0].shape[1] <= _LOW:
        values = torch.linalg.eigvals(_projected(g, *factors))
        largest: Tensor = (1.0 - TAU[1] + TAU[1] * values).abs().amax(1)
        return largest.clamp_min(1.0 - TAU[1])
    generator = generator or stable_generator("stability", dim)
    v = torch.randn(dim, generator=generator).to(x).expand(k, dim)
    nothing = x.new_zeros(k)
    for _ in range(_WARM_UP if dim > _KRYLOV else 0):
        for _ in range(3):
            v = landscape.pull(v * g).mul_(g)
        v, _ = _unit(v, nothing)
    v, _ = _unit(v, nothing)
    if landscape.symmetric and dim > _KRYLOV:
        low, high = _lanczos(g, landscape.pull, v)
        return torch.maximum((1.0 - TAU[1] + TAU[1] * low).abs(), (1.0 - TAU[1] + TAU[1] * high).abs())
    small = _arnoldi(g, landscape.pull, v, min(dim, _KRYLOV))
    shifted = TAU[1] * small
    shifted.diagonal(dim1=1, dim2=2).add_(1.0 - TAU[1])
    return _gelfand(shifted)


def _projected(g: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """``B diag(g²) A`` for g (k, d), A (d, r), B (r, d) → (k, r, r) float64: one product for all states."""
    rank = first.shape[1]
    pairs = second.double()[:, None] * first.double().T
    return ((g * g).double() @ pairs.reshape(rank * rank, -1).T).reshape(-1, rank, rank)


def _unit(v: Tensor, floor: Tensor) -> tuple[Tensor, Tensor]:
    """``v`` (k, d) at unit norm, and the norm (k,); a row with norm ≤ ``floor`` (or tiny) becomes zero."""
    norm = torch.linalg.vector_norm(v, dim=1)
    alive = norm > floor.clamp_min(torch.finfo(v.dtype).tiny)
    norm = norm * alive
    return v * norm.reciprocal().masked_fill_(~alive, 0.0).unsqueeze(1), norm


def _lanczos(g: Tensor, pull: Pull, v: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest and largest eigenvalue of the symmetric S, from tridiagonal projections by the three-term
    recurrence → two (k,) float64. Lost orthogonality only repeats eigenvalues, which leaves the ends alone.

    The ends of a projection move outwards as it grows. A row whose upper end moved by less than 2e-4 of itself over the
    last third of the steps is done early, if the lower one did too or is far from deciding ρ((1−τ)·I + τ·S).
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
        image = pull(v * g).mul_(g)
        alpha = (image * v).sum(1)
        diagonal.append(alpha)
        if j + 1 in _STAGES:
            small = torch.diag_embed(torch.stack(diagonal, 1).double())
            small.diagonal(-1, 1, 2).copy_(torch.stack(beside, 1))  # eigvalsh reads the lower triangle
            ends = torch.linalg.eigvalsh(small)
            bottom, top = ends[:, 0], ends[:, -1]
            change, fell = (top - high[index]).abs(), (bottom - low[index]).abs()
            low[index], high[index] = bottom, top
            counts = _MAY_COUNT * bottom.abs() > top + 2.0 * (1.0 - TAU[1]) / TAU[1]
            change = torch.where(counts, torch.maximum(change, fell), change)
            going = change > _CLOSE * top.abs().clamp_min(_SMALL)
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


def _arnoldi(g: Tensor, pull: Pull, v: Tensor, size: int) -> Tensor:
    """Hessenberg projections (k, size, size) of S, with one reorthogonalisation per step."""
    k, dim = v.shape
    basis = v.new_zeros(k, size, dim)
    small = torch.zeros(k, size, size, dtype=torch.float64, device=v.device)
    rounding = 4.0 * torch.finfo(v.dtype).eps
    for j in range(size):
        basis[:, j] = v
        image = pull(v * g).mul_(g)
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
