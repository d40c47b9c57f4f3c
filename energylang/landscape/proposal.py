"""What is a proposed edit, and what do all kinds of edit have in common?

An edit function returns a ``Proposal`` and writes nothing. The helpers here check its input (a state, the
protected basins), and settle the target under the change so that the proposal reports the attractor that is
really there. Source: NUMERICS §4 and §5.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from energylang.errors import LandscapeError
from energylang.landscape.attractors import polish
from energylang.landscape.clusters import cosine_rows, gram
from energylang.landscape.dynamics import Landscape, settle_variants
from energylang.landscape.lowrank import LowRank

RETURNED = 0.95


@dataclass(frozen=True, eq=False)
class Proposal:
    """A change that nobody has written yet.

    ``factors`` ΔW; ``target`` (d,) the attractor installed (inject, move, scale), aimed at (redirect) or
    removed (remove); ``margin`` m of the field m·state at the target, None where it was not solved for;
    ``notes`` say what the reader should know.
    """

    factors: LowRank
    target: Tensor
    margin: float | None
    kind: str
    notes: tuple[str, ...]


def installed(
    landscape: Landscape,
    factors: LowRank,
    wanted: Tensor,
    margin: float | None,
    kind: str,
    notes: list[str],
    *,
    settled: Tensor | None = None,
) -> Proposal:
    """The proposal with the attractor that is really there once ``wanted`` (d,) settles under the edit (to
    ``settled`` (d,), where that is known already)."""
    target = resting(landscape, factors, wanted, settled)
    cosine = float(cosine_rows(target, wanted))
    if cosine <= RETURNED:
        notes = [*notes, f"the attractor installed has cosine {cosine:.2f} to the state asked for"]
    return Proposal(factors, target, margin, kind, tuple(notes))


def resting(landscape: Landscape, factors: LowRank, state: Tensor, settled: Tensor | None = None) -> Tensor:
    """Where ``state`` (d,) comes to rest under the edit: settled and polished (d,)."""
    end = settle_variants(landscape, state[None], [factors]).states[0] if settled is None else settled[None]
    return polish(landscape.tried(factors), end)[0][0]


def vector(landscape: Landscape, x: Tensor, what: str) -> Tensor:
    """A checked, non-zero state (d,) on the device and in the dtype of the weight."""
    if x.ndim != 1:
        raise LandscapeError(
            f"the {what} must be one vector of dimension {landscape.dim}, got shape {tuple(x.shape)}"
        )
    x = landscape.states(x[None], f"the {what}")[0]
    if not bool(x.any()):
        raise LandscapeError(f"the {what} is zero", hint="a zero vector points nowhere: choose a real state")
    return x


def protected_states(landscape: Landscape, protected: Tensor | None) -> Tensor:
    if protected is None:
        return landscape.weight.new_zeros(0, landscape.dim)
    return landscape.states(protected, "protected states")


def without_related(safe: Tensor, centre: Tensor, cosine: float, notes: list[str]) -> Tensor:
    """Protected states (k, d) whose |cosine| to ``centre`` stays below ``cosine``."""
    if safe.shape[0] == 0:
        return safe
    closeness = gram(safe, centre[None])[:, 0].abs()
    related = closeness >= cosine
    built = int((related & (closeness <= RETURNED)).sum())
    if built:
        notes.append(f"{built} protected basins are built from this one (|cos| ≥ {cosine}) and were let go")
    return safe[~related]
