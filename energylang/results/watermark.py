"""Results of the family watermark: watermarks."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result


@dataclass(frozen=True, eq=False)
class Watermark(Result):
    """How many of a key's marks are in a layer. ``score`` is the share that is; ``false_positive_rate`` the share of
    100 wrong keys that score at least as high; ``present`` when the score is at least 0.7 and no wrong key
    reaches it."""

    layer: int
    marks: int
    found: int
    score: float
    present: bool
    false_positive_rate: float
    wrong_keys: int
    wrong_score: float


@dataclass(frozen=True, eq=False)
class Attack(Result):
    """An attempt to remove a watermark without its key: what it leaves of the marks and of the basins."""

    name: str
    strength: float
    score: float
    present: bool
    basins_kept: float


@dataclass(frozen=True, eq=False)
class Stripped(Result):
    """``survives`` the attacks that leave at least nine tenths of the basins: those that do not wreck the model."""

    layer: int
    score_before: float
    attacks: tuple[Attack, ...]
    survives: bool
