"""Was what an edit was asked for done?

An edit is *applied* only if what was asked of it is there afterwards. Every operation that edits says in its plan what
that is, and it is measured on the edited landscape before anything is staged, by the functions that ``verify`` and the
registry of basins use:

* **installed**: where the direction leads is a basin near it (what ``verify`` asks). Whether it is new, or one that was
  there before (it *merged*), is said.
* **ended**: the basin no longer holds its place.
* **scaled**: the basin is still there, and its field, ``x·Wf(x)/x·x`` at its centre, moved the way that was asked.
* **all of them** (consolidation, watermarks): the share of the basins that were meant.

What fails is a condition with its value and its limit; the edit is then refused, and nothing is left of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from torch import Tensor

from energylang.landscape.clusters import SAME, cosine_rows
from energylang.landscape.draws import stable_generator
from energylang.landscape.dynamics import settle
from energylang.landscape.energy import lyapunov
from energylang.landscape.layer import Landscape
from energylang.landscape.lineage import followed
from energylang.landscape.lowrank import LowRank
from energylang.landscape.probes import return_rate
from energylang.landscape.proposal import Proposal
from energylang.looking.basins import Resting, pattern_of, place_of, wanted_cosine
from energylang.results import Condition
from energylang.signature.values import BasinRef, ConceptName, Seed
from energylang.workspace.workspace import Workspace

NOISE, COPIES = 0.1, 32  # an installed basin must hold against this much noise
RETURNS = 0.5  # … in at least this share of the copies
_STEPS = 20  # of the factors between what was asked and 1


@dataclass(frozen=True)
class Tried:
    """A proposal on trial: the landscape ``before`` and ``after``."""

    ws: Workspace
    layer: int
    proposal: Proposal
    before: Landscape
    after: Landscape


@dataclass(frozen=True)
class Done:
    """What was measured: the conditions, and why it is not done (empty: it is). ``rest`` (d,) is the basin that was
    installed, ``merged`` that it was there before; the rest is for the reader."""

    conditions: tuple[Condition, ...] = ()
    failed: str = ""
    rest: Tensor | None = None
    merged: bool = False
    cosine: float | None = None
    returned: float | None = None
    field_before: float | None = None
    field_after: float | None = None
    energy_before: float | None = None
    energy_after: float | None = None
    notes: tuple[str, ...] = field(default=())

    def and_(self, other: Done) -> Done:
        """Both were asked for."""
        return replace(
            self,
            conditions=self.conditions + other.conditions,
            failed="; ".join(text for text in (self.failed, other.failed) if text),
            notes=self.notes + other.notes,
        )


Asked = Callable[[Tried], Done]
"""What an operation asks of its edit."""


def nothing(_tried: Tried) -> Done:
    """Nothing of the landscape: what the edit does to text decides."""
    return Done()


# ------------------------------------------------------------------------------------------ installed


def installed(target: BasinRef | ConceptName | Seed, direction: Tensor) -> Asked:
    """There is a basin in this direction (d,) afterwards."""
    start = pattern_of(target, direction)

    def asked(tried: Tried) -> Done:
        eps = float(tried.ws.setting("eps"))
        least = wanted_cosine(target)
        place = place_of(tried.after, start, least, eps)
        merged = place.is_basin and _was_there(tried, start, least, eps, place)
        returned = float(
            return_rate(tried.after, place.rest[None], NOISE, COPIES, stable_generator("asked", tried.layer))
        )
        conditions = (
            _least("cosine of the basin to what was asked for", place.cosine, least),
            _most("stability of the basin (below 1 it attracts)", place.stability, 1.0, place.attracts),
            _least("returns from 10 % noise", returned, RETURNS),
        )
        return Done(
            conditions,
            _why_not(target, place, conditions),
            rest=place.rest,
            merged=merged,
            cosine=place.cosine,
            returned=returned,
        )

    return asked


def _was_there(tried: Tried, start: Tensor, least: float, eps: float, place: Resting) -> bool:
    """Whether the basin that a state leads to was there before the edit."""
    was = place_of(tried.before, start, least, eps)
    return was.is_basin and float(cosine_rows(was.rest[None], place.rest)) > SAME


def _why_not(target: object, place: Resting, conditions: tuple[Condition, ...]) -> str:
    if all(condition.ok for condition in conditions) and place.is_basin:
        return ""
    near, attracts, returns = conditions
    if not bool(place.rest.any()):
        return f"it installs no basin at {target}: a state there decays to zero"
    if not near.ok:
        return (
            f"it installs no basin at {target}: a state there ends at cosine {near.value:.2f} to it, "
            f"and {near.limit:.2f} is asked for"
        )
    if not attracts.ok or not place.is_basin:
        return f"it installs no basin at {target}: the fixed point there does not attract"
    return f"the basin at {target} is too narrow: {returns.value:.0%} of noisy copies (10 %) come back"


# ---------------------------------------------------------------------------------------------- ended


def ended(target: object, centre: Tensor) -> Asked:
    """The basin at ``centre`` (d,) is none afterwards."""

    def asked(tried: Tried) -> Done:
        found = followed(tried.after, centre[None].to(tried.after.weight))
        closeness = float(found.closeness[0])
        condition = _most(
            "cosine of where the removed basin settles to where it was",
            closeness,
            SAME,
            not bool(found.survives[0]),
        )
        why = "" if condition.ok else f"{target} is still a basin afterwards (cosine {closeness:.2f})"
        return Done((condition,), why)

    return asked


# --------------------------------------------------------------------------------------------- scaled


def scaled(target: object, centre: Tensor, factor: float) -> Asked:
    """The basin at ``centre`` (d,) is still there, and its field moved towards ``factor`` times itself."""

    def asked(tried: Tried) -> Done:
        here = centre[None].to(tried.after.weight)
        found = followed(tried.after, here)
        stays, closeness = bool(found.survives[0]), float(found.closeness[0])
        before = _field_along(tried.before, here)
        after = _field_along(tried.after, found.rest) if stays else None
        conditions = [_least("cosine of the basin to where it was", closeness, SAME, stays)]
        failed = ""
        if after is None:
            failed = f"{target} would be lost{_instead(tried, here, factor)}"
        elif factor != 1.0:
            ratio = after / before if before else 1.0
            right = ratio > 1.0 if factor > 1 else ratio < 1.0
            conditions.append(
                _least("field of the basin, times", ratio, 1.0, right)
                if factor > 1
                else _most("field of the basin, times", ratio, 1.0, right)
            )
            if not right:
                failed = f"the field of {target} became {ratio:.3f} times as large, not {factor:g} times"
        return Done(
            tuple(conditions),
            failed,
            field_before=before,
            field_after=after,
            energy_before=float(lyapunov(tried.before, here)),
            energy_after=float(lyapunov(tried.after, found.rest)) if stays else None,
        )

    return asked


def _field_along(landscape: Landscape, state: Tensor) -> float:
    """``x·Wf(x)/x·x`` at a state (1, d): how strongly the layer holds it."""
    x = state.to(landscape.weight)
    return float((x * landscape.field(x)).sum() / (x * x).sum().clamp_min(1e-30))


def _instead(tried: Tried, centre: Tensor, factor: float) -> str:
    """Which factor would have left the basin in place: the change grows with 1 − factor."""
    shares = [k / _STEPS for k in range(_STEPS - 1, 0, -1)]
    held: float | None = None
    for share in shares:
        factors: LowRank = tried.proposal.factors.scaled(share)
        if bool(followed(tried.before.edited(factors), centre).survives[0]):
            held = 1.0 + share * (factor - 1.0)
            break
    if held is None:
        return ", and so it would with every factor nearer to 1 that was tried"
    return f"; with a factor of {held:.3g} it stays"


# ---------------------------------------------------------------------------------------- all of them


def all_of(gone: Tensor, deeper: Tensor, *, least_gone: float = 0.5, least_deeper: float = 0.9) -> Asked:
    """Of the basins ``gone`` (m, d) at least half are none afterwards; of those ``deeper`` (k, d) nine tenths stay."""

    def asked(tried: Tried) -> Done:
        conditions: list[Condition] = []
        for states, name, limit, ends in (
            (gone, "share of the pruned basins that are gone", least_gone, True),
            (deeper, "share of the deepened basins that stay", least_deeper, False),
        ):
            if len(states):
                survives = followed(tried.after, states.to(tried.after.weight)).survives
                share = float((~survives if ends else survives).double().mean())
                conditions.append(_least(name, share, limit))
        failed = "; ".join(
            f"{condition.name}: {condition.value:.0%}, at least {condition.limit:.0%} is asked for"
            for condition in conditions
            if not condition.ok
        )
        return Done(tuple(conditions), failed)

    return asked


def _least(name: str, value: float, limit: float, ok: bool | None = None) -> Condition:
    return Condition(name, value, limit, True, value >= limit if ok is None else ok)


def _most(name: str, value: float, limit: float, ok: bool | None = None) -> Condition:
    return Condition(name, value, limit, False, value <= limit if ok is None else ok)


def both(one: Asked, other: Asked) -> Asked:
    """What two operations in one edit ask (a move: one basin ends, another is installed)."""
    return lambda tried: one(tried).and_(other(tried))


def marked(patterns: Tensor, near: float, wanted: float) -> Asked:
    """A share ``wanted`` of the marks (m, d) is held: states at them stay within the cosine ``near``."""

    def asked(tried: Tried) -> Done:
        ends = settle(tried.after, patterns.to(tried.after.weight)).states
        share = float((cosine_rows(ends, patterns.to(ends)) > near).double().mean())
        condition = _least("share of the marks that are held", share, wanted)
        failed = "" if condition.ok else f"only {share:.0%} of the marks are held, {wanted:.0%} is asked for"
        return Done((condition,), failed)

    return asked


def judged(name: str, value: float, least: float, otherwise: str) -> Done:
    """What was measured by the operation itself: at least so much is asked for."""
    ok = value >= least
    return Done((_least(name, value, least, ok),), "" if ok else otherwise)
