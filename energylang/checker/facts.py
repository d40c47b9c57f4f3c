"""What is known about the session at a point of the script: which layers are surveyed, which basins are gone,
which concepts and checkpoints there are, and what ``undo`` would bring back.

Facts are values: every statement makes new ones, and where two paths meet they are joined. What must hold for a
statement to be right (a survey, a capture, a checkpoint) is kept when it holds on *every* path; what would make
it wrong (a removal) when it holds on *some* path.

The history of the session is mirrored by ``Past``, a chain of the changes made so far with the facts before each.
An edit is taken to have happened: a refused one is a step of the history too and leaves the basin alive, so nothing
wrong is accepted for it. Where paths of unequal length meet, their steps become one entry of ``low`` to ``high``
changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from energylang.diagnostics.source import Span
from energylang.signature.values import BasinRef, ConceptName, Layer, PartName

ALL = "*"
MANY = 10**9


R = TypeVar("R")


def replace(record: R, **changes: Any) -> R:
    """``dataclasses.replace`` for the records of the checker, without its costs."""
    new: R = object.__new__(type(record))
    vars(new).update(vars(record), **changes)
    return new


class Symbol(tuple):  # type: ignore[type-arg]
    """Something that only the run knows, by where it comes from: equal symbols are the same thing.

    ``("do", n)`` is the result of the command ``n``, ``("round", n)`` the variable of the loop ``n``,
    ``("field", symbol, name)`` and ``("item", symbol, index)`` are parts, ``("was", symbol)`` is what the symbol
    was in an earlier round.
    """

    __slots__ = ()

    def mentions(self, part: Symbol) -> bool:
        return self == part or any(isinstance(item, Symbol) and item.mentions(part) for item in self)

    def aged(self, part: Symbol) -> Symbol:
        """This symbol as it was before ``part`` came to mean something new."""
        if self == part:
            return self if self[0] == "was" else Symbol(("was", self))
        if self[0] == "was":
            return self
        return Symbol(item.aged(part) if isinstance(item, Symbol) else item for item in self)


@dataclass(frozen=True, eq=False)
class OneOf:
    """One of these values, depending on the way to here. They are kept in the order in which they were met, so
    that what is reported does not depend on anything else."""

    values: tuple[Any, ...]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OneOf) and set(self.values) == set(other.values)

    def __hash__(self) -> int:
        return hash(frozenset(self.values))


MAX_ALTERNATIVES = 8


def alternatives(left: Any, right: Any) -> Any:
    """What a variable may be that is one thing on one path and another on the other; ``None``: anything."""
    found = [item for value in (left, right) for item in (value if isinstance(value, OneOf) else (value,))]
    if not all(isinstance(value, BasinRef | Symbol | ConceptName | Layer | PartName) for value in found):
        return None
    values = OneOf(tuple(dict.fromkeys(found)))
    return values if len(values) <= MAX_ALTERNATIVES else None


def aged(value: Any, part: Symbol) -> Any:
    """A value (or a part of one) as it was before a symbol came to mean something new."""
    if isinstance(value, Symbol):
        return value.aged(part) if value.mentions(part) else value
    if isinstance(value, OneOf):
        return OneOf(tuple(aged(item, part) for item in value))
    if isinstance(value, tuple):
        return tuple(aged(item, part) for item in value)
    return value


def same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and bool(left == right)


@dataclass(frozen=True)
class Loss:
    """How a basin came to its end: where, by which command (``by``), called from where; ``sure`` on every path."""

    span: Span | None
    said: str
    layer: Any  # an int, a symbol, or None
    by: int = 0
    calls: tuple[Span, ...] = ()
    sure: bool = True
    text: str = ""


@dataclass(frozen=True)
class Made:
    """Where a concept comes from, and the layers at which it may be; ``None`` among them: any."""

    span: Span | None
    layers: frozenset[int | None]


@dataclass(frozen=True)
class Fit:
    """A landscape that a layer was given, with so many basins (``None``: only the run knows)."""

    basins: int | None


@dataclass(frozen=True)
class Undoable:
    """The facts that ``undo`` brings back. ``open``: there may be concepts that are not known here.

    ``edited`` are the edits in force by layer, ``staged`` those that the live model does not have, ``shaken``
    those since the layer's last survey; ``fitted`` the landscapes that layers of a stream were given (``ALL``: any may
    have one).
    """

    gone: Mapping[Any, Loss] = field(default_factory=dict)
    concepts: Mapping[str, Made] = field(default_factory=dict)
    edited: Mapping[Any, Span] = field(default_factory=dict)
    staged: Mapping[Any, Span] = field(default_factory=dict)
    shaken: Mapping[Any, Span] = field(default_factory=dict)
    open: bool = False
    fitted: Mapping[Any, Fit] = field(default_factory=dict)

    def given(self, layer: Any) -> Fit | None:
        """The landscape that a layer was given."""
        return self.fitted.get(layer) or self.fitted.get(ALL)

    def join(self, other: Undoable) -> Undoable:
        if self is other:
            return self
        return Undoable(
            either(self.gone, other.gone),
            _both(self, other),
            self.edited if self.edited is other.edited else {**other.edited, **self.edited},
            self.staged if self.staged is other.staged else {**other.staged, **self.staged},
            self.shaken if self.shaken is other.shaken else {**other.shaken, **self.shaken},
            self.open or other.open,
            _on_both(self, other),
        )


def _on_both(left: Undoable, right: Undoable) -> Mapping[Any, Fit]:
    """The landscapes that there are on both ways."""
    if left.fitted is right.fitted:
        return left.fitted
    found = {}
    for key in (*left.fitted, *(key for key in right.fitted if key not in left.fitted)):
        one, other = left.given(key), right.given(key)
        if one is not None and other is not None:
            found[key] = one if one == other else Fit(None)
    return found


def either(left: Mapping[Any, Loss], right: Mapping[Any, Loss]) -> Mapping[Any, Loss]:
    """What is gone on one of two ways."""
    if left is right:
        return left
    joined = {}
    for key in (*left, *(key for key in right if key not in left)):
        loss = left.get(key) or right[key]
        certain = key in left and key in right and left[key].sure and right[key].sure
        joined[key] = loss if loss.sure == certain else replace(loss, sure=certain)
    return joined


def _both(left: Undoable, right: Undoable) -> Mapping[str, Made]:
    if left.concepts is right.concepts:
        return left.concepts
    joined = {}
    for name, made in left.concepts.items():
        other = right.concepts.get(name)
        if other is not None:
            joined[name] = made if made == other else Made(made.span, made.layers | other.layers)
        elif right.open:
            joined[name] = made
    if left.open:
        joined |= {name: made for name, made in right.concepts.items() if name not in joined}
    return joined


class Past:
    """The last of the changes so far, and those before it. ``layer`` is the layer that an edit was about (``None``:
    no edit, ``ALL``: any), ``number`` its id in the history where that is known."""

    __slots__ = ("before", "depth", "ends", "high", "layer", "low", "number", "parent", "takes_back")

    def __init__(
        self,
        before: Undoable,
        parent: Past | None,
        layer: Any = None,
        *,
        low: int = 1,
        high: int = 1,
        takes_back: bool = False,
        number: int | None = None,
        ends: tuple[Any, Past | None] | None = None,
    ) -> None:
        self.ends = ends  # the end of a scope: of which layer, and what was before the scope
        self.before, self.parent, self.layer = before, parent, layer
        self.low, self.high, self.takes_back, self.number = low, high, takes_back, number
        self.depth: int = parent.depth + 1 if parent is not None else 1

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, Past)
            and self.parent is other.parent
            and (self.low, self.high, self.layer, self.takes_back)
            == (other.low, other.high, other.layer, other.takes_back)
            and self.before == other.before
        )

    def __hash__(self) -> int:
        return self.depth


def chain(past: Past | None, floor: Past | None = None) -> Iterator[Past]:
    """The changes from the last one down to (without) ``floor``."""
    while past is not None and past is not floor:
        yield past
        past = past.parent


def shared(left: Past | None, right: Past | None) -> Past | None:
    """The last change that both have."""
    while left is not right:
        if left is None or right is None:
            return None
        if left == right:
            return left
        if left.depth >= right.depth:
            left = left.parent
        else:
            right = right.parent
    return left


def join_past(
    left: Past | None, right: Past | None, *, endless: bool = False, floor: Any = False
) -> Past | None:
    """One history for two: what they do not share becomes one entry. ``endless``: of any number of changes."""
    if left == right and (floor is False or floor is left):
        return left
    base = shared(left, right)
    if floor is not False:
        base = shared(base, floor)
    extras = [list(chain(past, base)) for past in (left, right)]
    if not extras[0] and not extras[1]:
        return base
    before: Undoable | None = None
    for entry in (*extras[0], *extras[1]):
        before = entry.before if before is None else before.join(entry.before)
    low = min(sum(entry.low for entry in part) for part in extras)
    high = max(sum(min(entry.high, MANY) for entry in part) for part in extras)
    assert before is not None
    return Past(before, base, ALL, low=0 if endless else low, high=MANY if endless or high >= MANY else high)


class Values(Mapping[str, Any]):
    """The known values of variables. One more is a new mapping that shares nearly all of the old one: a script with n
    ``let`` takes n·√n steps, not n²."""

    __slots__ = ("_new", "_old")

    def __init__(self, old: dict[str, Any] | None = None, new: dict[str, Any] | None = None) -> None:
        self._old, self._new = old or {}, new or {}

    def having(self, name: str, value: Any) -> Values:
        """The same with a value, or (``None``) without one."""
        new = {**self._new, name: value}
        if len(new) ** 2 < 4 * len(self._old) + 64:
            return Values(self._old, new)
        old = self._old | new
        for gone in [key for key, item in new.items() if item is None]:
            del old[gone]
        return Values(old)

    def get(self, name: str, default: Any = None) -> Any:
        found = self._new[name] if name in self._new else self._old.get(name)
        return default if found is None else found

    def __getitem__(self, name: str) -> Any:
        found = self.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        yield from (name for name in self._old if name not in self._new)
        yield from (name for name, value in self._new.items() if value is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, Values) and self._old is other._old and self._new == other._new:
            return True
        return isinstance(other, Mapping) and dict(self) == dict(other)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Place:
    """A place in the history, by its facts."""

    now: Undoable
    past: Past | None

    def join(self, other: Place) -> Place:
        if self == other:
            return self
        return Place(self.now.join(other.now), join_past(self.past, other.past))


@dataclass(frozen=True)
class Facts:
    """``surveyed`` are layers surveyed on every path (``ALL`` among them: all), ``seen`` on some path.

    ``ahead`` are the places that ``redo`` could go to, with the number of steps; it is ``stale`` when something
    was changed since. ``fresh``: on some path nothing has been changed yet. ``values`` are the known values of
    variables, by the level of their scope; ``assigned`` the names among them that were assigned to.
    """

    surveyed: frozenset[Any] = frozenset()
    seen: frozenset[Any] = frozenset()
    now: Undoable = Undoable()
    past: Past | None = None
    ahead: tuple[tuple[Place, int], ...] = ()
    stale: bool = False
    checkpoints: Mapping[str, Place] = field(default_factory=dict)
    any_checkpoint: bool = False
    fresh: bool = True
    next_number: int | None = 1
    values: tuple[Values, ...] = (Values(),)
    assigned: frozenset[tuple[int, str]] = frozenset()

    def __hash__(self) -> int:  # cheap, and different where it matters
        now, depth = self.now, self.past.depth if self.past is not None else 0
        return hash((self.surveyed, self.fresh, depth, self.next_number, len(now.gone), len(now.concepts)))

    # -- joining -----------------------------------------------------------------------------------

    def join(self, other: Facts) -> Facts:
        return self._joined(other, join_past(self.past, other.past))

    def widened(self, entry: Facts, end: Facts) -> Facts:
        """The facts at the head of a loop that was entered with ``entry`` and whose last round left ``end``."""
        if end.past == self.past:
            past = self.past
        else:
            past = join_past(self.past, end.past, endless=True, floor=entry.past)
        return self._joined(end, past)

    def _joined(self, other: Facts, past: Past | None) -> Facts:
        if self is other:
            return self
        return Facts(
            _meet(self.surveyed, other.surveyed),
            self.seen | other.seen,
            self.now.join(other.now),
            past,
            self.ahead if self.ahead == other.ahead else _one_place(*self.ahead, *other.ahead),
            self.stale or other.stale or self.ahead != other.ahead,
            self._checkpoints(other),
            self.any_checkpoint or other.any_checkpoint,
            self.fresh or other.fresh,
            self.next_number if self.next_number == other.next_number else None,
            tuple(_common(a, b) for a, b in zip(self.values, other.values, strict=False)),
            self.assigned | other.assigned,
        )

    def _checkpoints(self, other: Facts) -> Mapping[str, Place]:
        if self.checkpoints is other.checkpoints:
            return self.checkpoints
        joined = {}
        for name, place in self.checkpoints.items():
            if name in other.checkpoints:
                joined[name] = place.join(other.checkpoints[name])
            elif other.any_checkpoint:
                joined[name] = place
        return joined

    # -- variables ---------------------------------------------------------------------------------

    def value(self, level: int, name: str) -> Any:
        return self.values[level].get(name) if level < len(self.values) else None

    def with_value(self, level: int, name: str, value: Any, *, assigned: bool = False) -> Facts:
        values = list(self.values)
        while len(values) <= level:
            values.append(Values())
        if value is None and name not in values[level]:
            return self
        values[level] = values[level].having(name, value)
        marked = self.assigned | {(level, name)} if assigned else self.assigned
        return replace(self, values=tuple(values), assigned=marked)

    def to_level(self, level: int) -> Facts:
        """Without the values of deeper scopes."""
        return replace(self, values=self.values[: level + 1]) if len(self.values) > level + 1 else self

    def renewed(self, symbol: Symbol) -> Facts:
        """The symbol comes to mean something new: what is known of the old meaning is filed under its past."""
        facts = self
        if any(isinstance(key, Symbol) and key.mentions(symbol) for key in facts.now.gone):
            gone = {
                aged(key, symbol): replace(loss, layer=aged(loss.layer, symbol))
                for key, loss in facts.now.gone.items()
            }
            facts = replace(facts, now=replace(facts.now, gone=gone))
        if any(isinstance(layer, Symbol) and layer.mentions(symbol) for layer in facts.seen):
            facts = replace(
                facts,
                surveyed=frozenset(aged(layer, symbol) for layer in facts.surveyed),
                seen=frozenset(aged(layer, symbol) for layer in facts.seen),
            )
        for level, name in facts.assigned:
            value = facts.value(level, name)
            if value is not None and not same(older := aged(value, symbol), value):
                facts = facts.with_value(level, name, older)
        return facts

    # -- what operations do ------------------------------------------------------------------------

    def changed(
        self,
        now: Undoable,
        layer: Any = None,
        *,
        takes_back: bool = False,
        ends: tuple[Any, Past | None] | None = None,
    ) -> Facts:
        """One more change of the session."""
        number = self.next_number
        past = Past(self.now, self.past, layer, takes_back=takes_back, number=number, ends=ends)
        return replace(
            self, now=now, past=past, stale=True, fresh=False,
            next_number=number + 1 if number is not None else None,
        )  # fmt: skip

    def undone(self, steps: int | None) -> Facts:
        """After ``undo steps`` (``None``: of a number that only the run knows)."""
        here = Place(self.now, self.past)
        found: list[Place] = []
        low = high = 0
        for entry in chain(self.past):
            if steps is None or low < steps <= high + entry.high:
                rest = (
                    entry.parent
                    if entry.high == 1
                    else Past(entry.before, entry.parent, ALL, low=0, high=entry.high)
                )
                found.append(Place(entry.before, rest))
            low, high = low + entry.low, min(high + entry.high, MANY)
            if steps is not None and low >= steps:
                break
        else:
            if self.past is not None:
                *_, first = chain(self.past)
                found.append(Place(first.before, None))
        if not found:
            return self
        place = found[0]
        for other in found[1:]:
            place = place.join(other)
        ahead = ((here, steps or 0), *(() if self.stale else self.ahead))[:4]
        return replace(self, now=place.now, past=place.past, ahead=ahead, stale=steps is None)

    def redone(self, steps: int | None) -> Facts:
        if not self.ahead:
            return self
        place, back = self.ahead[0]
        if not self.stale and steps is not None and steps >= back:
            return replace(self, now=place.now, past=place.past, ahead=self.ahead[1:])
        return self.travelled(*(place for place, _ in self.ahead))

    def travelled(self, *places: Place) -> Facts:
        """The session may stand at any of these places, or where it is: what is gone there may be gone, what is
        known here is still taken to be there."""
        gone = self.now.gone
        for place in places:
            gone = either(gone, place.now.gone)
        return replace(
            self, now=replace(self.now, gone=gone), past=Past(self.now, self.past, ALL, low=0, high=MANY),
            ahead=self.ahead, stale=True,
        )  # fmt: skip

    def at(self, place: Place) -> Facts:
        """After a way to a place that is known."""
        here = Place(self.now, self.past)
        return replace(self, now=place.now, past=place.past, ahead=((here, 0), *self.ahead)[:4], stale=True)

    def edit_undone(self, layer: Any) -> Facts:
        """After ``undo L5``."""
        taken_back = 0
        before: Undoable | None = None
        entry = self.past
        while entry is not None:
            here, entry = entry, entry.parent
            if here.ends is not None and here.ends[0] == layer:
                entry = here.ends[1]
                continue
            known = isinstance(here.layer, int) and isinstance(layer, int)
            if here.layer is None or (known and here.layer != layer):
                continue
            if here.layer != layer:  # an edit of this layer, perhaps
                before = here.before if before is None else before.join(here.before)
            elif here.takes_back:
                taken_back += 1
            elif taken_back:
                taken_back -= 1
            else:
                before = here.before if before is None else before.join(here.before)
                break
        if before is None:
            return self
        return self.changed(without_layer(self.now, before, layer), layer, takes_back=True)


def without_layer(now: Undoable, before: Undoable, layer: Any) -> Undoable:
    """``now`` with what concerns a layer as it was in ``before``."""

    def part(current: Mapping[Any, Any], old: Mapping[Any, Any], of: Any) -> Mapping[Any, Any]:
        kept = {key: value for key, value in current.items() if of(key, value) != layer}
        return kept | {key: value for key, value in old.items() if of(key, value) == layer}

    return replace(
        now,
        gone=part(now.gone, before.gone, lambda key, loss: loss.layer),
        edited=part(now.edited, before.edited, lambda key, span: key),
        staged=part(now.staged, before.staged, lambda key, span: key),
        shaken=part(now.shaken, before.shaken, lambda key, span: key),
    )


def _one_place(*ahead: tuple[Place, int]) -> tuple[tuple[Place, int], ...]:
    """Places that ``redo`` could go to, as one of which only the facts are known."""
    now = ahead[0][0].now
    for place, _ in ahead[1:]:
        now = now.join(place.now)
    return ((Place(now, None), 0),)


def _meet(left: frozenset[Any], right: frozenset[Any]) -> frozenset[Any]:
    if left is right or left == right:
        return left
    if ALL in left:
        return right | (left if ALL in right else frozenset())
    if ALL in right:
        return left
    return left & right


def _common(left: Values, right: Values) -> Values:
    if left == right:
        return left
    common = {}
    for name, value in left.items():
        other = right.get(name)
        if other is None:
            continue
        both = value if same(other, value) else alternatives(value, other)
        if both is not None:
            common[name] = both
    return Values(common)


NOTHING = Facts()
"""The facts of a session in which nothing has been done yet."""
OPEN = Undoable(open=True, fitted={ALL: Fit(None)})
UNKNOWN = Facts(
    surveyed=frozenset((ALL,)),
    seen=frozenset((ALL,)),
    now=OPEN,
    past=Past(OPEN, None, ALL, low=0, high=MANY),
    any_checkpoint=True,
    fresh=False,
    next_number=None,
)
"""The facts of a session about which nothing is known: whatever is referred to may be there."""


def layer_index(value: Any) -> int | None:
    """The number of a layer that is known."""
    if isinstance(value, Layer):
        return value.index
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def basin_layer(value: Any) -> Any:
    """The layer of a basin, as far as it can be read off it."""
    if isinstance(value, BasinRef):
        return value.layer
    if isinstance(value, Symbol) and value[0] == "basin":
        return value[1]
    return None
