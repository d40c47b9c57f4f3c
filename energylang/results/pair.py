"""Results of the family pair: another model beside this one."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result


@dataclass(frozen=True, eq=False)
class MatchedBasin(Result):
    """A basin here and the one there that it matches."""

    here: int
    there: int
    cosine: float


@dataclass(frozen=True, eq=False)
class Comparison(Result):
    """A layer of the session's model (as staged) and the same layer of another model.

    ``aligned`` says how the other model's states were brought here: ``same`` (equal dimensions, as they are) or
    ``procrustes`` (rotated by shared probe texts; ``fit`` is the share of the probes' variance explained on texts
    that the rotation was not fitted to, ``fit_shuffled`` the same where the texts are dealt out at random).
    ``weight_change`` is ‖W' − W‖/‖W‖ where the dimensions agree.

    ``matched`` are pairs of basins that both surveys met, so it depends on the starts. ``rest_there`` of the basins
    known here rest under the weight there, ``rest_here`` of those found there rest here: that does not (``None`` where
    the states had to be rotated).

    Of two models whose layers are a stream and whose tokens are the same, on ``tokens`` of held-out text:
    ``state_cosine`` is the mean cosine of the layer's states, less the mean of each model's (``state_cosine_shuffled``
    where the tokens are dealt out at random); ``kl`` the divergence of what the other says next from what this one
    says, in nats a token; ``same_choice`` the share of tokens after which both find the same one likeliest.
    """

    layer: int
    other: str
    dim_here: int
    dim_there: int
    aligned: str
    fit: float | None
    fit_shuffled: float | None
    weight_change: float | None
    beta_here: float
    beta_there: float
    basins_here: int
    basins_there: int
    matched: int
    mean_cosine: float
    matches: tuple[MatchedBasin, ...]
    rest_there: int | None = None
    rest_here: int | None = None
    tokens: int = 0
    state_cosine: float | None = None
    state_cosine_shuffled: float | None = None
    kl: float | None = None
    kl_error: float | None = None
    same_choice: float | None = None
