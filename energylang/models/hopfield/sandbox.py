"""Sandboxes: landscapes to practise on, the same in every process.

``random:D`` (and ``random:DxL`` with L layers)
    W = c·GᵀG with a Gaussian G of 16 rows (D/2 if that is less) and c such that the spectral norm
    is 2. A full-rank Gaussian matrix would not do: at β = 7 and p = 3 it has either no basin but the
    origin or hundreds (D = 256: 3 of 200 starts survive at norm 0.35, 143 basins at norm 0.5), and
    nothing in between. With 16 directions 200 starts find 20 to 40 basins from D = 64 to 512.

``planted:DxK``
    K patterns ξ of random signs and W = (1/D) Σ ξ ξᵀ. With f(ξ) = ξ the field at a pattern is ξ plus
    cross-talk of order √(K/D). Of 16 draws the one whose weakest field is strongest is kept; then
    every pattern is a basin up to K = D/10 (measured, D = 16 … 512) and nearly every one to D/8.

Both are symmetric and positive semi-definite, so the energy never rises (NUMERICS, section 2).
Draws come from a generator seeded by the specification through SHA-256; the global generator is
not touched.
"""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor

from energylang.landscape.draws import normal
from energylang.models.header import check_patterns, sandbox_header
from energylang.models.layout import check_dimension
from energylang.models.model import Model

BETA = 7.0
SPECTRAL_NORM = 2.0
RANK = 16


def generator(*parts: object) -> torch.Generator:
    """A CPU generator whose seed is a hash of ``parts``."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode("utf-8", "surrogatepass")).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def random_model(dim: int, layers: int = 1, *, spec: str = "") -> Model:
    """A model of ``layers`` symmetric Gaussian weights (dim, dim), without text."""
    spec = spec or (f"random:{dim}" if layers == 1 else f"random:{dim}x{layers}")
    check_dimension(dim, spec)
    rank = min(RANK, max(1, dim // 2))
    weights = []
    for layer in range(layers):
        draw = normal(rank, dim, generator("random", dim, layer)).double()
        norm = float(torch.linalg.eigvalsh(draw @ draw.T).max())
        weight = draw.T @ draw * (SPECTRAL_NORM / norm)
        weights.append(((weight + weight.T) / 2).float())  # rounded once: the same bits on every processor
    return _model(spec, weights, None)


def planted_model(dim: int, patterns: int, *, spec: str = "") -> Model:
    """A model of one layer in which ``patterns`` sign patterns, ``Model.patterns``, are basins."""
    spec = spec or f"planted:{dim}x{patterns}"
    check_dimension(dim, spec)
    check_patterns(dim, patterns, spec)
    draws = generator("planted", dim, patterns)
    best, best_field = torch.empty(0), -float("inf")
    for _ in range(16):
        signs = 2 * torch.randint(0, 2, (patterns, dim), generator=draws).to(torch.float32) - 1
        weakest = float((signs * (signs @ signs.T @ signs)).min())
        if weakest > best_field:
            best, best_field = signs, weakest
    return _model(spec, [best.T @ best / dim], best)


def _model(spec: str, weights: list[Tensor], patterns: Tensor | None) -> Model:
    dim = weights[0].shape[0]
    header = sandbox_header(spec, (dim,) * len(weights))
    tensors = {}
    for block, weight in enumerate(weights):
        tensors[f"blocks.{block}.hopfield.W"] = weight
        tensors[f"blocks.{block}.hopfield.log_beta"] = torch.tensor(math.log(BETA))
    extra = {} if patterns is None else {"patterns": patterns}
    return Model(header, tensors, extra=extra, metadata={"config": {"degree": 3}})
