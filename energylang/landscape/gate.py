"""Does an edit keep what it must not touch?

1. Every protected basin is followed through the edit (``lineage.followed``: settled, kicked, polished). It *stays* when
   it comes to rest within cosine 0.95 of where it was, and no other basin that ends in the same attractor lies nearer.
   All must stay. This is the one definition of a basin that is kept or lost: the registry, ``diff`` and the verdict
   of an edit count by it.
2. Settle seeded cues of every protected basin (15 % of the signs flipped, exactly that many per cue; 16 per
   basin, fewer where there are many basins: about 512 in all) before and after. The *decision* of a cue is the
   protected basin it settles on (nearest by cosine, at least 0.85), or "elsewhere". At most 2 % of the decisions
   may change. Cues that lay on the edit's own target before the edit are not counted, nor are protected rows
   that are the target itself.

Before and after, the cues are one low-rank batch: the candidates "no edit" and "the edit" share every
product with W. Source: NUMERICS §5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.landscape.clusters import SAME, gram
from energylang.landscape.dynamics import Landscape, settle_variants
from energylang.landscape.lineage import followed
from energylang.landscape.lowrank import LowRank
from energylang.landscape.unrecorded import unrecorded

_CUES, _LEAST_CUES, _MOST_CUES = 512, 4, 16  # in all; per basin


@dataclass(frozen=True)
class Judgement:
    """The gate's answer: ``kept`` of ``protected`` basins stay (rows ``lost`` do not), and
    ``changed_fraction`` of the decisions change."""

    applied: bool
    reason: str
    kept: int
    protected: int
    changed_fraction: float
    lost: tuple[int, ...]


@unrecorded
def judge(
    landscape: Landscape,
    proposal_factors: LowRank,
    protected: Tensor,
    *,
    on_target: Tensor | None = None,
    stays: Tensor | None = None,
    generator: torch.Generator,
    max_changed: float = 0.02,
    cues: int | None = None,
    flip: float = 0.15,
    decided: float = 0.85,
) -> Judgement:
    """Judge one edit against ``protected`` (k, d); ``on_target`` (t, d) are the edit's own states (target or
    removed basin, and mirror); ``stays`` (k,) bool says which protected basins stay, where that is known already.
    Raises ``LandscapeError`` for wrong shapes or parameters out of range."""
    if not 0 <= max_changed <= 1 or not 0 <= flip <= 1 or not 0 < decided < 1 or (cues or 0) < 0:
        raise LandscapeError(
            "the gate's limits are out of range",
            hint="max_changed and flip lie in [0, 1], decided in (0, 1), cues ≥ 0",
        )
    basins = landscape.states(protected, "protected states")
    own = None if on_target is None else landscape.states(on_target, "target states")
    if stays is None:
        stays = _stays(landscape, proposal_factors, basins)
    rows = torch.arange(basins.shape[0], device=basins.device)
    if own is not None and own.shape[0]:
        rows = rows[gram(basins, own).amax(1) <= SAME]
        basins, stays = basins[rows], stays[rows]
    k = basins.shape[0]
    if k == 0:
        return Judgement(True, "nothing is protected, so nothing was checked", 0, 0, 0.0, ())
    if cues is None:
        cues = max(_LEAST_CUES, min(_MOST_CUES, -(-_CUES // k)))
    cue_states = flipped(basins, cues, flip, generator).reshape(k * cues, landscape.dim)
    candidates = [LowRank.zero(landscape.weight), proposal_factors]
    before, after = settle_variants(landscape, cue_states, candidates).states
    lost = tuple(int(row) for row in rows[~stays])

    counted = torch.ones(k * cues, dtype=torch.bool, device=basins.device)
    if own is not None and own.shape[0]:
        counted = gram(before, own).amax(1) < decided
    changed = _decision(before, basins, decided) != _decision(after, basins, decided)
    total = int(counted.sum())
    fraction = int((changed & counted).sum()) / total if total else 0.0
    kept = k - len(lost)
    if lost:
        reason = f"{len(lost)} of {k} protected basins would not stay"
    elif fraction > max_changed:
        reason = f"{fraction:.1%} of the decisions change, more than {max_changed:.1%}"
    else:
        reason = f"all {k} protected basins stay and {fraction:.1%} of the decisions change"
    return Judgement(not lost and fraction <= max_changed, reason, kept, k, fraction, lost)


def _stays(landscape: Landscape, factors: LowRank, basins: Tensor) -> Tensor:
    """(k,) bool: which states (k, d) stay where they rest before the edit. One that is no basin of its own before has
    nothing to keep."""
    before = followed(landscape, basins)
    return followed(landscape.edited(factors), before.rest).survives | ~before.survives


def flipped(x: Tensor, cues: int, flip: float, generator: torch.Generator) -> Tensor:
    """Cues (k, cues, d): ``round(flip·d)`` random coordinates of every state (k, d) change sign."""
    k, dim = x.shape
    count = round(flip * dim)
    order = np.argsort(
        torch.rand(k, cues, dim, generator=generator).numpy(), -1
    )  # ten times as fast as torch's
    sign = torch.from_numpy(np.where(order < count, np.float32(-1), np.float32(1))).to(x)
    return x.unsqueeze(1) * sign


def _decision(x: Tensor, basins: Tensor, cosine: float) -> Tensor:
    """Index of the nearest basin (k, d) for states (n, d) → (n,), −1 where none is within ``cosine``."""
    best, index = gram(x, basins).max(1)
    return torch.where(best >= cosine, index, -1)
