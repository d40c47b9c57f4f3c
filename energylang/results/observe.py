"""Results of the family observe: what a survey, a look in one direction, or a comparison of weights found."""

from __future__ import annotations

from dataclasses import dataclass, field

from .base import VOLATILE, Result
from .meaning import Context, TokenScore


@dataclass(frozen=True, eq=False)
class Basin(Result):
    """One basin of a layer. In a script it can stand wherever a basin is asked for.

    ``population`` starts (random ones, and those of installed basins) settled in it, ``fraction`` of all starts.
    In a text model ``tokens`` of the held-out token states settled in it, ``token_share`` of them (``None`` without
    text); ``top_tokens`` are those that are read there most often, each with its share of the basin's, ``context``
    is the visit whose state is nearest to the centre.

    ``radius`` is the noise norm, relative to the centre's, from which half of the pushed states return (``None``: not
    measured), ``radius_low`` and ``radius_high`` the ends of its 95 % interval. Where ``radius_reached`` is false it
    lies beyond 2, the end of the range, and is given as 2; a ``radius_high`` of ``None`` lies beyond 2 likewise.
    """

    layer: int
    id: int
    population: int
    fraction: float
    energy: float
    energy_reference: float
    residual: float
    stability: float
    is_fixed_point: bool
    mirror: int | None
    radius: float | None
    radius_low: float | None = None
    radius_high: float | None = None
    radius_reached: bool | None = None
    tokens: int = 0
    token_share: float | None = None
    top_tokens: tuple[TokenScore, ...] = ()
    context: Context | None = None

    def __str__(self) -> str:
        return f"L{self.layer}.B{self.id}"


@dataclass(frozen=True, eq=False)
class Seeds(Result):
    """Surveys of one landscape with several seeds, by their random starts.

    ``overlap`` is the share of one survey's basins that another meets as well, the mean over all pairs;
    ``overlap_expected`` what it is when a pair's starts are dealt to the two at random. ``recaught`` is the share of
    one survey's starts that end in another's basins, which is what the coverage of a single survey predicts. The
    rest is about all starts together: ``found`` basins in ``starts``, as in ``Survey``.
    """

    overlap: float | None
    overlap_expected: float | None
    recaught: float | None
    found: int
    starts: int
    coverage: float | None
    coverage_low: float | None
    coverage_high: float | None
    estimate: int | None
    estimate_low: int
    estimate_high: int | None
    estimator: str


@dataclass(frozen=True, eq=False)
class Survey(Result):
    """The basins of one layer, the most visited first: by tokens in a text model (then by starts), else by starts.

    ``num_starts`` states were settled: ``inits`` random ones and the ``installed_starts`` basins that edits have
    installed. ``origin_population`` of them ended in the zero state, ``unsettled`` did not settle; the others are the
    ``population`` of the basins.
    In a text model ``token_states`` held-out tokens were settled as well (``token_starts`` is the same number). They
    lie in ``token_basins`` of the basins, but for ``tokens_to_zero`` that decayed and ``tokens_unsettled``.
    ``token_coverage`` estimates how much of the text the basins found hold (1 − basins with one token / tokens).
    ``num_basins`` counts all basins found, by starts and by tokens; ``counts`` those that starts found, by seed.
    ``count_mean`` and ``count_std`` (``None`` with one seed) are over the surveys of ``seeds`` (the first of them is
    shown), and ``over_seeds`` compares them. ``at`` is the place in the history that was surveyed (``None``: where the
    session stands).

    How many are found depends on how many starts there were. The rest is an estimate from the random starts alone:
    they met ``found_random`` basins, ``singletons`` of them once and ``doubletons`` twice. ``coverage`` is the share of
    all such starts that end in a basin they met (``None``: none ended in a basin), ``estimate`` the number of basins
    that random starts reach in all; both with a 95 % interval. Where the counts give no more than a lower bound,
    ``estimate`` and ``estimate_high`` are ``None``. ``estimator`` says how. ``until`` is the coverage that was asked
    for, and ``until_reached`` whether it was reached.
    """

    layer: int
    num_basins: int
    basins: tuple[Basin, ...]
    dim: int
    beta: float
    degree: int
    inits: int
    token_starts: int
    installed_starts: int
    num_starts: int
    origin_population: int
    unsettled: int
    mean_iters: float
    usage_entropy_nats: float
    spectral_norm: float
    symmetric: bool
    definite: bool
    asymmetry: float
    seed: int
    counts: tuple[int, ...]
    count_mean: float
    count_std: float | None
    at: int | None
    elapsed: float = field(metadata=VOLATILE)
    found_random: int = 0
    singletons: int = 0
    doubletons: int = 0
    coverage: float | None = None
    coverage_low: float | None = None
    coverage_high: float | None = None
    estimate: int | None = None
    estimate_low: int = 0
    estimate_high: int | None = None
    estimator: str = ""
    until: float | None = None
    until_reached: bool | None = None
    over_seeds: Seeds | None = None
    token_states: int = 0
    token_basins: int = 0
    tokens_to_zero: int = 0
    tokens_unsettled: int = 0
    token_coverage: float | None = None


@dataclass(frozen=True, eq=False)
class SurveyAll(Result):
    """A survey of every layer."""

    num_layers: int
    num_basins: int
    layers: tuple[Survey, ...]
    elapsed: float = field(metadata=VOLATILE)


@dataclass(frozen=True, eq=False)
class Verdict(Result):
    """Is there a basin in this direction? ``cosine`` is between the direction and where it settles; ``stability``
    below 1 says that it attracts; the energy is that of the weight's symmetric part where it is not ``symmetric``;
    ``return_10`` … are the shares of noisy starts (noise norm 10 %, 20 %, 30 % of the state's) that come back."""

    layer: int
    target: str
    is_basin: bool
    basin: int | None
    cosine: float
    residual: float
    stability: float
    return_10: float
    return_20: float
    return_30: float
    energy: float
    energy_reference: float
    symmetric: bool = True


@dataclass(frozen=True, eq=False)
class Energy(Result):
    """Energies at a direction and at the basin it settles in; ``gap`` is the first minus the second."""

    layer: int
    target: str
    energy: float
    energy_reference: float
    basin: int | None
    basin_energy: float
    basin_energy_reference: float
    gap: float
    symmetric: bool


@dataclass(frozen=True, eq=False)
class Entry(Result):
    """One changed weight."""

    row: int
    column: int
    change: float


@dataclass(frozen=True, eq=False)
class Diff(Result):
    """The staged weight of a layer against the original, or against that at the place ``since`` in the history.
    ``edits`` lie between the two.

    Basins are compared by what is there, not by which a survey happened to meet. ``basins_lost`` were known before and
    do not rest under the weight as it is now; ``basins_gained`` are known now and do not rest under the weight before;
    ``basins_met`` are known now, were not met before, and were there all the same. ``null_…`` is what the unchanged
    weight gives when it is surveyed again with another seed: how many basins that survey meets for the first time, and
    how many it would call gained or lost (``None`` where that was not measured: a large layer, or no survey).
    """

    layer: int
    changed: bool
    norm: float
    relative_norm: float
    rank: int
    edits: int
    spectral_before: float
    spectral_after: float
    largest: tuple[Entry, ...]
    basins_kept: tuple[int, ...]
    basins_lost: tuple[int, ...]
    basins_gained: tuple[int, ...]
    max_drift: float
    since: int | None
    basins_met: tuple[int, ...] = ()
    null_gained: int | None = None
    null_lost: int | None = None
    null_met: int | None = None


@dataclass(frozen=True, eq=False)
class MapPoint(Result):
    """A basin on the map; ``z`` is 0 on a map of two dimensions. ``radius`` is NaN where it was not measured; its
    interval is that of ``Basin``. ``population`` counts the starts of the layer's last survey; where that did not meet
    the basin it is 0 and ``current`` false. After an edit, until the next survey, no basin is ``current`` and
    populations are those before the edit. ``tokens`` is 0 without text; ``top_tokens`` and ``context`` are those of
    ``Basin`` (nothing where they were not looked for)."""

    id: int
    x: float
    y: float
    z: float
    population: int
    energy: float
    radius: float
    radius_low: float | None = None
    radius_high: float | None = None
    radius_reached: bool | None = None
    current: bool = True
    tokens: int = 0
    top_tokens: tuple[TokenScore, ...] = ()
    context: Context | None = None


@dataclass(frozen=True, eq=False)
class LandscapeMap(Result):
    """The main basins of a layer in ``dims`` coordinates. ``explained`` is the share of the centres' variance along
    each axis (PCA only). The points are the ``known`` main basins, of which the last survey met ``met``; ``minor`` more
    hold hardly a token each and are not drawn. The points' populations with ``origin_population`` and ``unsettled`` add
    up to its ``num_starts``. ``surveyed`` says that it was a survey of the present weight; otherwise these are
    ``None``. Energies are those of the symmetric part of the weight where it is not ``symmetric``."""

    layer: int
    method: str
    dims: int
    explained: tuple[float, ...]
    points: tuple[MapPoint, ...]
    path: str | None
    known: int = 0
    met: int = 0
    num_starts: int | None = None
    origin_population: int | None = None
    unsettled: int | None = None
    surveyed: bool = True
    symmetric: bool = True
    minor: int = 0
