"""When do two results say the same although two processors rounded otherwise?

Another processor, another number of threads or another build of a library rounds a sum in another order: float32
states come out some 1e-7 apart. Most numbers keep that distance. Some do not: a start that begins near the border of
two basins ends in the other one, so a count of starts moves by one; a share of sixteen noisy starts moves by one of
them. How far a field may move that way is said here, once, by the field's name: ``REAL`` holds for every other number
with a fraction, and everything else (ids, sizes, texts, yes and no) must be equal.

``compared`` goes through two pieces of plain data (what ``to_dict`` gives). ``el replay``, the schema of records and
the tests of the examples' outputs use it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

SHOWN = 60


class Tolerance(NamedTuple):
    """Two numbers are equal within it if they differ by ``relative`` of the larger one, or by ``absolute``."""

    relative: float
    absolute: float

    def used(self, one: float, other: float) -> float:
        """How much of the tolerance two numbers use up: 0 where they are equal, above 1 where they are too far
        apart."""
        if one == other or (one != one and other != other):
            return 0.0
        size = max(abs(one), abs(other))
        if not math.isfinite(size):
            return math.inf
        allowed = max(self.absolute, self.relative * size)
        return abs(one - other) / allowed if allowed else math.inf


EXACT = Tolerance(0.0, 0.0)
REAL = Tolerance(1e-4, 1e-6)
STARTS = Tolerance(0.02, 2.0)
"""Counts of random starts, and of basins that few starts find."""
TRIALS = Tolerance(0.0, 0.0626)
"""A share of 16 noisy starts: one of them."""

TOLERANCES: Mapping[str, Tolerance] = {
    "population": STARTS,
    "origin_population": STARTS,
    "unsettled": STARTS,
    "num_basins": STARTS,
    "counts": STARTS,
    "count_mean": STARTS,
    "count_std": STARTS,
    "visits": STARTS,
    "elsewhere": STARTS,
    "known": STARTS,
    "visited": STARTS,
    "fraction": Tolerance(0.0, 0.01),
    "share": Tolerance(0.0, 0.01),
    "changed_fraction": Tolerance(0.0, 0.01),
    "purity": Tolerance(0.0, 0.01),
    "usage_entropy_nats": Tolerance(0.0, 0.05),
    "entropy_nats": Tolerance(0.0, 0.05),
    "mean_iters": Tolerance(0.02, 0.1),
    "mean_iterations": Tolerance(0.02, 0.1),
    "iterations": Tolerance(0.0, 2.0),
    "energies": Tolerance(1e-4, 1e-3),
    "residual": Tolerance(0.0, 1e-5),
    "stability": Tolerance(1e-3, 1e-3),
    "asymmetry": Tolerance(1e-4, 1e-5),
    "z": Tolerance(0.02, 0.05),
    "drift": Tolerance(1e-3, 1e-5),
    "max_drift": Tolerance(1e-3, 1e-5),
    "bytes": Tolerance(0.01, 64.0),
    "radius": Tolerance(0.0, 0.05),
    "return_10": TRIALS,
    "return_20": TRIALS,
    "return_30": TRIALS,
}
"""By the name of a field, wherever it stands."""

HASH = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)")


class Deviation(NamedTuple):
    """A place where two results differ, and how much of what is allowed there that is (above 1: too much)."""

    place: str
    then: Any
    now: Any
    used: float

    def __str__(self) -> str:
        return f"{self.place}: {short(self.then)} → {short(self.now)}" if self.place else ""


class Difference(NamedTuple):
    """What lies between two results: the first place that is too far apart, and the place within rounding that uses
    most of what it may (``None``: there is none). ``hash``: a hash of weights that differs, which only the weights can
    judge."""

    beyond: Deviation | None
    largest: Deviation | None
    hash: Deviation | None

    @property
    def hashes(self) -> bool:
        return self.hash is not None


def tolerance(name: str) -> Tolerance:
    """How far a number with a fraction may move in a field of this name."""
    return TOLERANCES.get(name, REAL)


def compared(then: Any, now: Any) -> Difference:
    """Two pieces of plain data, place by place."""
    beyond = largest = hashed = None
    for found in deviations(then, now):
        if _is_hash(found.then) and _is_hash(found.now):
            hashed = hashed or found
        elif found.used > 1:
            beyond = beyond or found
        elif largest is None or found.used > largest.used:
            largest = found
    return Difference(beyond, largest, hashed)


def deviations(then: Any, now: Any, place: str = "", name: str = "") -> Iterator[Deviation]:
    """Every place at which two pieces of plain data are not equal."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for key in {**then, **now}:
            inside = f"{place}.{key}" if place else str(key)
            if key in then and key in now:
                yield from deviations(then[key], now[key], inside, str(key))
            else:
                yield Deviation(inside, then.get(key), now.get(key), math.inf)
    elif _is_list(then) and _is_list(now):
        for index, (one, other) in enumerate(zip(then, now, strict=False)):
            yield from deviations(one, other, f"{place}[{index}]", name)
        if len(then) != len(now):
            more = "items" if place else "the number of items"
            yield Deviation(place or more, f"{len(then)} {more}", f"{len(now)} {more}", math.inf)
    else:
        used = _used(then, now, name)
        if used:
            yield Deviation(place, then, now, used)


def _used(then: Any, now: Any, name: str) -> float:
    if isinstance(then, str) and isinstance(now, str):
        return 0.0 if then == now else _of_texts(then, now)
    numbers = _is_number(then) and _is_number(now)
    if not numbers:
        return 0.0 if then == now and type(then) is type(now) else math.inf
    whole = isinstance(then, int) and isinstance(now, int)
    allowed = TOLERANCES.get(name, EXACT if whole else REAL)
    return allowed.used(then, now)


def _of_texts(then: str, now: str) -> float:
    """Texts that differ in the last digit of numbers with a fraction, and in nothing else, are equal within
    rounding."""
    if _NUMBER.sub("#", then) != _NUMBER.sub("#", now):
        return math.inf
    return max(
        (_of_digits(*pair) for pair in zip(_NUMBER.findall(then), _NUMBER.findall(now), strict=True)),
        default=math.inf,
    )


def _of_digits(then: str, now: str) -> float:
    one, other = (float(text.replace(",", "")) for text in (then, now))
    if "." not in then or "." not in now:
        return EXACT.used(one, other)
    unit = 10.0 ** -min(len(re.split("e", text)[0].split(".")[1]) for text in (then, now))
    return Tolerance(REAL.relative, 1.01 * unit).used(one, other)


def holds_hash(value: Any) -> bool:
    """Whether there is a hash anywhere in plain data."""
    if isinstance(value, Mapping):
        return any(map(holds_hash, value.values()))
    return any(map(holds_hash, value)) if _is_list(value) else _is_hash(value)


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and HASH.fullmatch(value) is not None


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def short(value: Any) -> str:
    """A value in a line of text."""
    text = str(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
