"""How well does a fitted landscape hold inputs that it was not fitted to?

*coverage*   the share of inputs that settle in a planted basin;
*chance*     the same share of directions drawn at random: that of a cloud of inputs without any groups, which has the
             same mean and the same variance along the components. Only coverage above it is the layer's doing;
*own*        of the inputs that settle in a planted basin, the share that settle in the basin of their own group (the
             nearest direction);
*explained*  the share of the outputs' variance about the usual answer of the fit that the landscape answers for:
             1 − Σ‖y − read‖²/Σ‖y − usual‖². Few basins explain little, and need not explain more (``fitted``).

All are ratios of sums ΣA/ΣB over tokens, and have the error of such a ratio, √(G/(G−1)·Σ_g(A_g − R·B_g)²)/ΣB,
over G *clusters* of tokens: tokens of one text are not independent, so give each its text (without that, every token
is a cluster of its own, and the error is too small where texts differ). Where all agree it is 0, and says that no
difference was seen, not that there is none.

``choose`` looks for the finest landscape that still holds what is new to it. Source: Cochran 1977, §6.4 and §9A.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.landscape.clusters import normalised
from energylang.landscape.draws import stable_generator
from energylang.landscape.dynamics import Landscape
from energylang.landscape.fitted import Fitted, checked, plant

COMPONENTS = (16, 32, 64)
BASINS = (16, 32, 64, 128, 256)
LEAST = 0.8
"""Coverage that ``choose`` asks for."""
_DRAWN = 1000  # random directions
_READ = 2000  # held-out inputs by which sizes are compared


class Share(NamedTuple):
    """A ratio, its standard error, and the number of ``tokens`` it is of. NaN where it is of none."""

    value: float
    error: float
    tokens: int


@dataclass(frozen=True)
class Coverage:
    """The measures of the module docstring; ``explained`` is None for a landscape without contents."""

    coverage: Share
    chance: Share
    own: Share
    explained: Share | None


@dataclass(frozen=True)
class Chosen:
    """What ``choose`` found: numbers of ``components`` and ``basins``, and the measures of all that were ``tried``, by
    (components, basins)."""

    components: int
    basins: int
    tried: dict[tuple[int, int], Coverage]


def measure(
    fitted: Fitted, inputs: Tensor, outputs: Tensor | None = None, *, texts: Tensor | None = None
) -> Coverage:
    """The coverage of held-out ``inputs`` (n, m), with ``outputs`` (n, o) also what is explained; ``texts`` (n,) says
    to which text each token belongs. Raises ``LandscapeError`` for wrong shapes and NaN."""
    states = fitted.settle(inputs)
    index = fitted.basin(states)
    held = index >= 0
    own = held & (index == fitted.group(inputs))
    explained = None
    if outputs is not None and fitted.usual is not None:
        outputs = checked(outputs, "outputs", len(fitted.usual)).to(states)
        if len(outputs) != len(states):
            raise LandscapeError(
                f"there are {len(states)} inputs and {len(outputs)} outputs", hint="one for each"
            )
        left = (outputs - fitted.read(states)).double().square().sum(1)
        whole = (outputs - fitted.usual).double().square().sum(1)
        explained = share(whole - left, whole, texts)
    every = torch.ones_like(held)
    return Coverage(
        share(held, every, texts), _chance(fitted, len(states)), share(own, held, texts), explained
    )


def _chance(fitted: Fitted, count: int) -> Share:
    """The coverage of so many random directions, or of fewer: an error below two in a hundred is enough."""
    size = int(fitted.groups.shape[1])
    drawn = torch.randn(min(count, _DRAWN), size, generator=stable_generator("chance", size))
    index = fitted.basin(fitted.led(fitted.driven(normalised(drawn.to(fitted.weight)))))
    return share(index >= 0, torch.ones_like(index))


def share(part: Tensor, whole: Tensor, texts: Tensor | None = None) -> Share:
    """ΣA/ΣB of ``part`` and ``whole`` (n,), with the error over ``texts`` (n,), see the module docstring."""
    count = int((whole != 0).sum())
    pair = torch.stack((part.double(), whole.double()), dim=1).cpu()
    if texts is not None:
        if texts.shape != part.shape:
            raise LandscapeError(f"there are {len(part)} tokens and {len(texts)} texts", hint="one for each")
        owner = torch.unique(texts.cpu(), return_inverse=True)[1]
        pair = pair.new_zeros(int(owner.max()) + 1 if len(owner) else 0, 2).index_add_(0, owner, pair)
    above, below = pair.sum(0).tolist()
    if below == 0.0:
        return Share(float("nan"), float("nan"), 0)
    ratio, clusters = above / below, len(pair)
    if clusters < 2:
        return Share(ratio, float("nan"), count)
    spread = float((pair[:, 0] - ratio * pair[:, 1]).square().sum())
    return Share(ratio, (clusters / (clusters - 1) * spread) ** 0.5 / below, count)


def choose(
    inputs: Tensor,
    generator: torch.Generator,
    *,
    components: int | None = None,
    basins: int | None = None,
    dim: int | None = None,
    least: float = LEAST,
) -> Chosen:
    """Numbers of components and basins for ``inputs`` (n, m), in the order in which they were read; what is given
    stays.

    Landscapes of every size that fits are fitted to the first three quarters of the inputs and measured on what comes
    next. The most basins whose coverage reaches ``least`` are taken, with the components whose coverage is furthest
    above chance; where none reaches it, what covers most. Raises ``LandscapeError`` where nothing can be fitted.
    """
    inputs = checked(inputs, "inputs")
    if not 0.0 < least <= 1.0:
        raise LandscapeError(f"the least coverage must lie in (0, 1], got {least}", hint="0.8 is usual")
    cut = len(inputs) * 3 // 4
    seed = int(torch.randint(2**31, (1,), generator=generator))
    tried: dict[tuple[int, int], Coverage] = {}
    fault = LandscapeError("there is nothing to fit a landscape to", hint="read some text first")
    for size in product(_sizes(components, COMPONENTS), _sizes(basins, BASINS)):
        draws = stable_generator("choose", seed, *size)
        try:
            found = plant(inputs[:cut], size[1], size[0], draws, dim=dim or int(inputs.shape[1]), attempts=1)
        except LandscapeError as impossible:  # too many for these inputs or dimensions
            fault = impossible
            continue
        tried[size] = measure(found, inputs[cut:][:_READ])
    if not tried:
        raise fault
    enough = [size for size, found in tried.items() if found.coverage.value >= least]
    if not enough:
        return Chosen(*max(tried, key=lambda size: tried[size].coverage.value), tried)
    most = max(size[1] for size in enough)
    among = [size for size in enough if size[1] == most]
    chosen = max(among, key=lambda size: tried[size].coverage.value - tried[size].chance.value)
    return Chosen(*chosen, tried)


def _sizes(given: int | None, usual: Sequence[int]) -> Sequence[int]:
    return usual if given is None else (given,)


@dataclass(frozen=True)
class Diverted:
    """What became of a redirect: the share of the source's tokens that ``arrive`` at the target, and the share of all
    other tokens in a basin that ``stay`` in theirs."""

    arrive: Share
    stay: Share


def diverted(
    fitted: Fitted,
    edited: Landscape,
    inputs: Tensor,
    source: int,
    target: int,
    *,
    texts: Tensor | None = None,
) -> Diverted:
    """Where held-out ``inputs`` (n, m) settle in an ``edited`` landscape that is to send basin ``source`` to
    ``target``."""
    before = fitted.basin(fitted.settle(inputs))
    after = fitted.basin(fitted.settle(inputs, edited), edited)
    meant, others = before == source, (before >= 0) & (before != source)
    return Diverted(
        share(meant & (after == target), meant, texts), share(others & (after == before), others, texts)
    )
