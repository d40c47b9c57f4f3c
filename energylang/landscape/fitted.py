"""How does a layer that has no landscape get one?  In closed form, from states that were read.

A transformer's MLP answers inputs z (m numbers) with outputs y. Its landscape has one basin for every group of inputs:

1. *Groups.* z is seen through its leading principal components, whitened, as a direction ŵ (``components``); spherical
   k-means gives the directions ĉ_b of k groups (``kmeans``).
2. *Patterns.* Group b has a random sign pattern ξ_b in d dimensions, and W is the projection on the span of the
   patterns: symmetric, positive semi-definite, W² = W. At c_b = g·ξ_b with 0 < g < 1 the field is ``W f(c_b) =
   g^(p−1)·ξ_b``, so ``c_b = tanh(βW f(c_b))`` for **all** patterns at once when

       β = artanh(g) / g^(p−1).

   There the Jacobian is ``β(1−g²)·(p−1)·g^(p−2)·W``, a multiple of a projection, whose leading eigenvalue is

       λ = (p−1)·(1−g²)·artanh(g)/g        (``stability`` of every pattern: 0.002 at g = 0.9999, p = 3).

   λ < 1 proves that every pattern attracts.
3. *Drive.* An input drives the landscape with the pattern that is expected of it,

       u(z) = Σ_b q_b·ξ_b,     q = softmax(κ·ĉ·ŵ):

   one step of attention over the groups. An input that is like one group drives its pattern; one that is between
   groups drives a mixture, and what becomes of it is for the landscape to say.
4. *Settling.* From tanh(βu), K steps ``x ← x + τ(tanh(β(W f(x) + u)) − x)``, the last of them without u: whatever is
   left then is held by the landscape alone, and an edit of W can lead it elsewhere.
5. *Contents.* What basin b says is the mean y of the inputs that settle in it. ``read`` is the affine map with
   read(c_b) = content of b (by the pseudo-inverse of the centres).

Few basins cannot answer as the MLP does, and need not: an edited landscape is **spliced** in as a difference,

    y + read(settle(z, W′)) − read(settle(z, W)),

which is y itself, bit for bit, where nothing is edited or where an edit does not reach. Source: OPEN_MODELS §4;
Personnaz, Guyon & Dreyfus 1986 (projection); Krotov & Hopfield 2016; Ramsauer et al. 2021 (attention as retrieval).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.landscape.assign import assign
from energylang.landscape.components import Components, leading
from energylang.landscape.draws import stable_generator
from energylang.landscape.kmeans import ATTEMPTS, spherical
from energylang.landscape.layer import Landscape, interaction, saturate
from energylang.landscape.unrecorded import unrecorded

GAIN = 0.9999
"""How far the patterns lie from the origin, in every number of the state."""
SHARPNESS = 5.0
"""κ of the drive: a direction that is nearer to one group than to another by a cosine of 0.2 prefers it 2.7 : 1. The
larger, the more settles, and the less that says: on SmolLM2, layer 14, with 64 basins, 90 % of unseen tokens and 36 %
of random directions settle at 5, 97 % and 76 % at 8."""
STEPS, FREE, TAU = 8, 5, 0.7
ROOM = 4
"""Dimensions per basin that a landscape must have: beyond, basins become narrow."""
_ROWS = 2**22  # numbers of a state's batch that are moved at once


@dataclass(frozen=True, eq=False)
class Fitted:
    """A landscape in closed form for inputs (n, m) and outputs (n, o) of a layer, with k basins in d dimensions.

    ``weight`` (d, d), ``beta``, ``degree``: see ``Landscape``. ``components``: how inputs are seen; ``groups`` (k, c)
    the directions of the groups, at unit norm; ``sharpness`` κ. ``patterns`` (k, d) of ±1, ``centres`` (k, d) the
    attractors. ``counts`` (k,): how many of the inputs that were fitted settled in each basin; ``contents`` (k, o)
    what the layer answered them on average, ``usual`` (o,) its mean answer to all (both None without outputs; the
    content of a basin that no input met is the usual answer).
    """

    weight: Tensor
    beta: float
    degree: int
    components: Components
    groups: Tensor
    sharpness: float
    patterns: Tensor
    centres: Tensor
    counts: Tensor
    contents: Tensor | None = None
    usual: Tensor | None = None

    def __len__(self) -> int:
        """How many basins were planted."""
        return int(self.centres.shape[0])

    @property
    def dim(self) -> int:
        """The dimension d of the landscape's states."""
        return int(self.weight.shape[0])

    @cached_property
    def landscape(self) -> Landscape:
        """The layer that the engine surveys and edits."""
        return Landscape(self.weight, self.beta, self.degree)

    @cached_property
    def readout(self) -> Tensor:
        """(d, o): what a state adds to the usual answer is ``state @ readout``. Raises ``LandscapeError`` where the
        landscape was fitted without outputs."""
        if self.contents is None or self.usual is None:
            raise LandscapeError(
                "this landscape says nothing: it was fitted without outputs",
                hint="fit it with the outputs of the layer too",
            )
        with torch.inference_mode(False):  # it outlives whoever asks first
            said = (self.contents - self.usual).double()
            readout: Tensor = (torch.linalg.pinv(self.centres.double()) @ said).to(self.weight)
        return readout

    def group(self, inputs: Tensor) -> Tensor:
        """(n,): the group whose direction is nearest to that of each input (n, m), which is the basin it is meant
        for."""
        directions = self.components.directions(self._inputs(inputs))
        found: Tensor = (directions @ self.groups.T).argmax(1)
        return found

    def drive(self, inputs: Tensor) -> Tensor:
        """(n, d): what inputs (n, m) drive the landscape with. Raises ``LandscapeError`` for a wrong shape, NaN or
        infinity."""
        return self.driven(self.components.directions(self._inputs(inputs)))

    def driven(self, directions: Tensor) -> Tensor:
        """(n, d): what inputs that lie in ``directions`` (n, c), at unit norm, drive the landscape with."""
        return torch.softmax(self.sharpness * directions @ self.groups.T, dim=1) @ self.patterns

    def settle(self, inputs: Tensor, weight: Tensor | Landscape | None = None) -> Tensor:
        """(n, d): the states to which inputs (n, m) lead in K steps, in the landscape as it was fitted or with another
        ``weight`` (d, d). (Give a ``Landscape`` where it is used more than once: it keeps what it has found out about
        its weight.)"""
        return self.led(self.drive(inputs), weight)

    @unrecorded
    def led(self, drive: Tensor, weight: Tensor | Landscape | None = None) -> Tensor:
        """(n, d): the states to which a ``drive`` (n, d) leads in K steps."""
        landscape = self._landscape(weight)
        rows = max(1, _ROWS // self.dim)
        return torch.cat([self._steps(landscape, part) for part in torch.split(drive, rows)])

    def basin(self, states: Tensor, weight: Tensor | Landscape | None = None) -> Tensor:
        """(n,): in which planted basin states (n, d) come to rest, in the landscape as it was fitted or with another
        ``weight``; −1 where in none of them."""
        draws = stable_generator("fitted", self.dim)
        return assign(self._landscape(weight), self.centres, states, draws)[0]

    def read(self, states: Tensor) -> Tensor:
        """(n, o): what states (n, d) say of the layer's output; at the centre of a basin, its content."""
        said = states.to(self.weight) @ self.readout
        assert self.usual is not None  # or there were no readout
        return self.usual + said

    @unrecorded
    def spliced(self, inputs: Tensor, outputs: Tensor, weight: Tensor | Landscape) -> Tensor:
        """(n, o): the layer's ``outputs`` (n, o) to ``inputs`` (n, m) with an edited ``weight`` (d, d) of its
        landscape: the difference of what the two landscapes say is added, in the dtype of the outputs. Rows in which
        both come to the same state keep their bits."""
        change = self.settle(inputs, weight) - self.settle(inputs)
        after = outputs + (change @ self.readout).to(outputs)
        return torch.where(change.any(1, keepdim=True), after, outputs)

    def _steps(self, landscape: Landscape, drive: Tensor) -> Tensor:
        pushed = self.beta * drive
        x = saturate(pushed.clone())
        for step in range(STEPS):
            field = landscape.pull(interaction(x, self.degree))
            if step < STEPS - FREE:
                field += pushed
            x.lerp_(saturate(field), TAU)
        return x

    def _landscape(self, weight: Tensor | Landscape | None) -> Landscape:
        if weight is None:
            return self.landscape
        found = (
            weight if isinstance(weight, Landscape) else self.landscape.with_weight(weight.to(self.weight))
        )
        if found.dim != self.dim:
            raise LandscapeError(
                f"the weight has dimension {found.dim}, this landscape {self.dim}",
                hint="edits belong to the landscape they were made for",
            )
        return found

    def _inputs(self, inputs: Tensor) -> Tensor:
        return checked(inputs, "inputs", int(self.components.mean.shape[0])).to(self.weight)


@unrecorded
def fit(
    inputs: Tensor,
    outputs: Tensor | None,
    basins: int,
    components: int,
    generator: torch.Generator,
    *,
    dim: int | None = None,
    gain: float = GAIN,
    degree: int = 3,
    sharpness: float = SHARPNESS,
    attempts: int = ATTEMPTS,
) -> Fitted:
    """Plant ``basins`` in a landscape of ``dim`` dimensions (the width of the outputs, or of the inputs, without it)
    for a layer that answers ``inputs`` (n, m) with ``outputs`` (n, o); see the module docstring. (Leave out the first
    place of every text: what transformers keep there is like no other token.)

    ``generator`` draws the first block of the components, the patterns, and where the groups begin (in so many
    ``attempts``, of which the best is kept). Float64 inputs are calculated with as such, all others as float32. Raises
    ``LandscapeError`` for wrong shapes, NaN, parameters out of range, fewer inputs than basins, and inputs that vary
    too little.
    """
    inputs = checked(inputs, "inputs")
    n, width = inputs.shape
    if outputs is not None:
        outputs = checked(outputs, "outputs").to(inputs)
        if len(outputs) != n:
            raise LandscapeError(f"there are {n} inputs and {len(outputs)} outputs", hint="one for each")
    planted = plant(
        inputs,
        basins,
        components,
        generator,
        dim=dim or (width if outputs is None else int(outputs.shape[1])),
        gain=gain,
        degree=degree,
        sharpness=sharpness,
        attempts=attempts,
    )
    return _filled(planted, planted.basin(planted.settle(inputs)), outputs)


@unrecorded
def plant(
    inputs: Tensor,
    basins: int,
    components: int,
    generator: torch.Generator,
    *,
    dim: int,
    gain: float = GAIN,
    degree: int = 3,
    sharpness: float = SHARPNESS,
    attempts: int = ATTEMPTS,
) -> Fitted:
    """``fit`` without looking at what settles where: a landscape whose basins are counted empty and say nothing."""
    inputs = checked(inputs, "inputs")
    _check(len(inputs), basins, dim, gain, degree, sharpness)
    seen = leading(inputs, components, generator)
    groups = spherical(seen.directions(inputs), basins, generator, attempts=attempts)
    signs = 2.0 * torch.randint(0, 2, (basins, dim), generator=generator) - 1.0
    patterns = signs.to(inputs)
    centres = gain * patterns
    return Fitted(
        weight=projection(patterns),
        beta=math.atanh(gain) / gain ** (degree - 1),
        degree=degree,
        components=seen,
        groups=groups,
        sharpness=sharpness,
        patterns=patterns,
        centres=centres,
        counts=torch.zeros(basins, dtype=torch.long, device=inputs.device),
    )


def leading_eigenvalue(gain: float, degree: int = 3) -> float:
    """λ of the module docstring: the ``stability`` of every pattern planted at a gain, below 1 where they attract."""
    return (degree - 1) * (1.0 - gain * gain) * math.atanh(gain) / gain


def projection(patterns: Tensor) -> Tensor:
    """(d, d): the orthogonal projection on the span of patterns (k, d), symmetric bit for bit. Raises
    ``LandscapeError`` where they are not linearly independent."""
    exact = patterns.double()
    basis, triangle = torch.linalg.qr(exact.T)
    pivots = triangle.diagonal().abs()
    if bool((pivots < 1e-6 * pivots.max()).any()):
        raise LandscapeError(
            "two patterns that were drawn are alike", hint="take more dimensions, or another seed"
        )
    made = (basis @ basis.T).to(patterns)
    symmetric: Tensor = made.triu() + made.triu(1).T
    return symmetric


def _filled(fitted: Fitted, index: Tensor, outputs: Tensor | None) -> Fitted:
    """With the counts and contents of the basins, from the basin (n,) of every input."""
    held = index >= 0
    counts = torch.bincount(index[held], minlength=len(fitted))
    contents = usual = None
    if outputs is not None:
        usual = outputs.mean(0)
        sums = outputs.new_zeros(len(fitted), outputs.shape[1], dtype=torch.float64)
        sums.index_add_(0, index[held], outputs[held].double())
        means = (sums / counts.clamp_min(1).unsqueeze(1)).to(outputs)
        contents = torch.where(counts.unsqueeze(1) > 0, means, usual)
    return replace(fitted, counts=counts, contents=contents, usual=usual)


def checked(states: Tensor, what: str, width: int | None = None) -> Tensor:
    """States (n, ``width``), detached, in float32 or float64. Raises ``LandscapeError`` for another shape, NaN or
    infinity."""
    if states.ndim != 2 or width not in (None, states.shape[1]):
        raise LandscapeError(
            f"the {what} must have shape (n, {width or 'm'}), got {tuple(states.shape)}",
            hint="one row for each token",
        )
    states = states.detach()
    if states.dtype != torch.float64:
        states = states.float()
    if not bool(torch.isfinite(states).all()):
        raise LandscapeError(f"the {what} hold NaN or infinity", hint="check where they come from")
    return states


def _check(n: int, basins: int, dim: int, gain: float, degree: int, sharpness: float) -> None:
    if basins < 2:
        raise LandscapeError(f"a landscape is fitted with 2 basins or more, not {basins}", hint="64 is usual")
    if n < basins:
        raise LandscapeError(
            f"{n} states are too few for {basins} basins", hint="read more text, or ask for fewer basins"
        )
    if ROOM * basins > dim:
        raise LandscapeError(
            f"{basins} basins do not fit into {dim} dimensions",
            hint=f"at most {dim // ROOM} do; or give the landscape {ROOM * basins} dimensions",
        )
    if not 0.0 < gain < 1.0 or degree < 2 or leading_eigenvalue(gain, degree) >= 1.0:
        raise LandscapeError(
            f"patterns at gain {gain} and degree {degree} do not attract", hint="0.9999 and 3 are usual"
        )
    if not math.isfinite(sharpness) or sharpness <= 0:
        raise LandscapeError(f"the sharpness must be positive and finite, got {sharpness}", hint="5 is usual")
