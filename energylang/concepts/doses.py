"""Which dose of a change has a given strength?

A *dose* says how much of a change is made: 1 is the whole of it. A *strength* says how large the change is, ‖ΔW‖/‖W‖.
An aimed change grows in proportion to its dose. A redirect does so up to 1; above, its value gets longer:
``ΔW = (dose·v − Wk) qᵀ``.
"""

from __future__ import annotations

from torch import Tensor

from energylang.landscape.lowrank import LowRank


def dose_of(whole: LowRank, norm: float, value: Tensor | None = None) -> float:
    """The dose at which a change, ``whole`` at dose 1, has a norm ‖ΔW‖; ``value`` (d,) is the v of a redirect."""
    size = whole.norm
    if size == 0.0:
        return 1.0
    if value is None or norm <= size:
        return norm / size
    v, left, query = (x.double() for x in (value, whole.left[:, 0], whole.right[:, 0]))
    a, b = float(v @ v), float(left @ v)
    c = float(left @ left) - norm * norm / float(query @ query)
    root: float = max(0.0, b * b - a * c) ** 0.5
    return 1.0 + (root - b) / a
