"""Where does randomness come from, and how large is "10 % noise"?

Every draw takes a ``torch.Generator`` that lives on the CPU and is seeded from a SHA-256 of a key, so the
same key gives the same numbers in every process and on every device: numbers are drawn as float32 on the
CPU and moved. The global generator is never used.

Noise is relative to the norm: ``perturbed(x, 0.1, …)`` adds a vector whose norm is 0.1·‖x‖, not a vector
with 0.1·‖x‖ in every coordinate. Source: NUMERICS §1 and §3, pitfalls 5 and 26.
"""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor

from energylang.errors import LandscapeError


def stable_generator(*key: object) -> torch.Generator:
    """A CPU generator seeded from a SHA-256 of the key's parts (their types and their ``repr``).

    Use parts whose ``repr`` is stable: strings, numbers, tuples of those. The same key gives the same
    generator in every process (nothing is salted).
    """
    text = "\x1f".join(f"{type(part).__name__}:{part!r}" for part in key)
    seed = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big") >> 1
    generator = torch.Generator()
    generator.manual_seed(seed)
    return generator


def normal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Standard normal numbers (rows, columns), float32, the same to the last bit on every processor.

    They are those of ``torch.randn``, whose last bits depend on the processor's vector instructions: the same uniform
    numbers (exact everywhere) in the same order, but the Box–Muller transform ``√(−2 ln(1−u))·(cos 2πv, sin 2πv)`` in
    float64, rounded once. Use it where a hash of what is drawn is kept.
    """
    count, lane = rows * columns, 16
    if count < lane:  # torch transforms these one by one, in float64
        return torch.randn(rows, columns, generator=generator)

    def transformed(uniform: Tensor) -> Tensor:
        pairs = uniform.double().view(-1, 2, lane // 2)
        length, angle = torch.sqrt(-2.0 * torch.log1p(-pairs[:, 0])), 2.0 * math.pi * pairs[:, 1]
        return torch.stack((length * torch.cos(angle), length * torch.sin(angle)), 1).flatten()

    uniform = torch.rand(count, generator=generator)
    whole = count - count % lane
    drawn = uniform.double()
    drawn[:whole] = transformed(uniform[:whole])
    if whole < count:
        drawn[-lane:] = transformed(torch.rand(lane, generator=generator))
    return drawn.float().view(rows, columns)


def starts(n: int, dim: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """``n`` random starting states (n, dim), ``0.5·randn``, on the device and in the dtype of ``like``."""
    if n < 0 or dim < 1:
        raise LandscapeError(
            f"cannot draw {n} starts of dimension {dim}",
            hint="the number of starts must not be negative and the dimension at least 1",
        )
    return (0.5 * torch.randn(n, dim, generator=generator)).to(like)


def perturbed(x: Tensor, relative_norm: float, trials: int, generator: torch.Generator) -> Tensor:
    """Noisy copies (n, trials, d) of the states ``x`` (n, d): ``‖noise‖ = relative_norm·‖x‖`` exactly.

    The directions are uniform on the sphere. A zero state stays zero. Raises ``LandscapeError`` for a
    negative or non-finite noise level or a negative number of trials.
    """
    if x.ndim != 2:
        raise LandscapeError(f"states must be a matrix (n, d), got shape {tuple(x.shape)}")
    return x.unsqueeze(1) + relative_noise(x, trials, generator, relative_norm)


def relative_noise(x: Tensor, trials: int, generator: torch.Generator, relative_norm: float) -> Tensor:
    """The noise alone (n, trials, d), for states ``x`` (n, d); see ``perturbed``."""
    if not math.isfinite(relative_norm) or relative_norm < 0 or trials < 0:
        raise LandscapeError(
            f"cannot draw {trials} trials with relative noise {relative_norm}",
            hint="the noise is a fraction of the state's norm, for example 0.1",
        )
    n, dim = x.shape
    noise = torch.randn(n, trials, dim, generator=generator).to(x)
    length = torch.linalg.vector_norm(noise, dim=-1, keepdim=True)
    tiny = torch.finfo(x.dtype).tiny
    noise /= length.clamp_min(tiny)
    norm = torch.linalg.vector_norm(x, dim=-1)[:, None, None]
    return noise.mul_(relative_norm * norm)
