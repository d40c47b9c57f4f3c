"""Results of the family fit: the landscape that a layer was given, and how far it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass, field

from .base import VOLATILE, Result


@dataclass(frozen=True, eq=False)
class Measure(Result):
    """A share of ``tokens`` with its standard error over texts (``None``: one text has none)."""

    value: float
    error: float | None
    tokens: int


@dataclass(frozen=True, eq=False)
class Size(Result):
    """A size of landscape that was tried where one was to be chosen, with its coverage of new tokens and of random
    directions."""

    components: int
    basins: int
    coverage: float
    chance: float


@dataclass(frozen=True, eq=False)
class SeedsOfFit(Result):
    """The measures of a fit over ``seeds``: means and standard deviations."""

    seeds: int
    coverage_mean: float
    coverage_std: float
    own_mean: float
    own_std: float
    chance_mean: float
    chance_std: float


@dataclass(frozen=True, eq=False)
class Fitting(Result):
    """The landscape that a layer was given: ``basins`` in ``dim`` dimensions, of inputs seen through ``components``
    (``chosen`` says which of the two was chosen, and ``tried`` by what).

    ``attracting`` of the basins are fixed points that attract; ``stability`` is the largest among them (below 1 it
    attracts). Of tokens that were not fitted, the ``coverage`` settle in a basin (``chance``: of random directions),
    and of these ``own`` in the basin of their nearest group. ``explained`` is the share of the MLP's answer that the
    basins answer for: it is low, and need not be high, because edits are spliced in as differences.
    ``components_explained`` is the share of the inputs' variance that is seen. ``empty`` basins hold none of the fitted
    tokens.
    ``tokens`` were fitted, ``unseen`` measured, ``of`` which text.
    """

    layer: int
    basins: int
    components: int
    dim: int
    chosen: tuple[str, ...]
    attracting: int
    stability: float
    coverage: Measure
    chance: Measure
    own: Measure
    explained: Measure
    components_explained: float
    empty: int
    tokens: int
    unseen: int
    of: str
    seed: int
    replaced: bool
    tried: tuple[Size, ...] = ()
    over_seeds: SeedsOfFit | None = None
    seconds: float = field(default=0.0, metadata=VOLATILE)

    @property
    def all_attract(self) -> bool:
        """Whether every basin that was planted is one."""
        return self.attracting == self.basins
