"""Results of the family edit: edits: what was asked, what was done, what became of the other basins."""

from __future__ import annotations

from dataclasses import dataclass

from .base import Result
from .concept import Effect


@dataclass(frozen=True, eq=False)
class Condition(Result):
    """One thing that must hold for an edit to be applied: what was measured, and its limit (``at_least`` or at
    most)."""

    name: str
    value: float
    limit: float
    at_least: bool
    ok: bool


@dataclass(frozen=True, eq=False)
class Reach(Result):
    """The radius of a basin with its interval, as in ``Basin``."""

    radius: float | None
    radius_low: float | None
    radius_high: float | None
    radius_reached: bool | None


@dataclass(frozen=True, eq=False)
class Beside(Result):
    """A basin beside one that was installed (``cosine`` away, whatever the sign): its radius before and after.
    ``change`` is ``shrank`` where the intervals do not meet or where, of the same pushes at the radius before, fewer
    return (sign test, p < 0.01); ``grew`` likewise; else empty."""

    basin: int
    cosine: float
    before: Reach
    after: Reach
    change: str


@dataclass(frozen=True, eq=False)
class Asked(Result):
    """A prompt that was asked before an edit and after it: how likely the answer is (0…1), and which token is said
    first."""

    prompt: str
    before: float
    after: float
    first_before: str
    first_after: str


@dataclass(frozen=True, eq=False)
class Rewritten(Result):
    """What became of the answer to a phrase, and of others. ``place`` is the token at which the layer was asked.

    ``random`` and ``random_max``: how likely the answer is after edits with the same key and random values of the same
    norm (mean, largest). ``same``: the phrase in other words, ``same_after`` the mean probability of the answer there.
    ``near``: prompts that have another answer, ``near_kept`` the share of them of which the first token stays. Rises of
    the losses on the model's own replies (dialogue or not) and on held-out text are in nats a token, with their
    standard errors; nothing of it was used to make the edit."""

    answer: str
    place: str
    asked: Asked
    random: float
    random_max: float
    same: tuple[Asked, ...]
    near: tuple[Asked, ...]
    same_after: float | None
    near_kept: float | None
    own_change: float | None
    own_change_error: float | None
    loss_change: float
    loss_change_error: float | None


@dataclass(frozen=True, eq=False)
class Keyed(Result):
    """What became of the answer of a layer's memory at a key, whose ``kind`` is neuron, concept, phrase or basin.

    ``answer`` is the norm of what is answered at the key. At ``places`` of text by which the key was not made (none: at
    the key itself), ``heard`` is how much they are the key, q·a on average (1: as the key itself), ``elsewhere`` the
    same, as a root mean square, of other held-out text. ``before`` and ``after`` are the answers there: along the
    key's own answer, 1 as much as at the key; or, where another answer is wanted (``to`` says whose), the cosine to it.
    ``at_key`` is the same at the key itself, after the edit.

    ``kl`` is how far the distribution of the next token moves at these places, in nats, ``kl_elsewhere`` at others;
    ``kl_random`` the mean of ``placebos`` edits with the same key and random values of the same norm, ``kl_z`` the
    distance from them in their standard deviations. Rises of the losses on the model's own replies and on held-out
    text are in nats a token; nothing of it was used to make the edit."""

    kind: str
    to: str
    places: int
    answer: float
    heard: float
    elsewhere: float
    before: float
    after: float
    at_key: float
    kl: float | None
    kl_elsewhere: float
    kl_random: float | None
    kl_random_std: float | None
    kl_z: float | None
    placebos: int
    own_change: float | None
    own_change_error: float | None
    loss_change: float
    loss_change_error: float | None


@dataclass(frozen=True, eq=False)
class Edit(Result):
    """A proposed edit of a layer's staged weight and what became of it.

    ``applied`` says that what was asked for was measured afterwards and that nothing else was harmed beyond its limits
    (``conditions``), or that it was forced. A refused edit leaves no trace; ``reason`` says why. ``blocked`` says that
    it was a guard or a pinned basin that refused it, which force does not overrule.

    ``judged_by`` is ``gate`` (protected basins and noisy decisions) or ``damage`` (a budget on held-out text; basins
    are moved on purpose then, and how many is told without a limit).

    Of the ``known`` basins of the layer, ``protected`` had to stay and ``kept`` of them do; the rest are the edit's own
    (target, mirror), where a basin is removed, scaled or moved those that are built from it, and in a text model the
    ``minor`` ones, which hold hardly a token each. ``lost`` are all that
    are gone: ``lost_on_purpose`` (the target and its mirror, where they were to go) and ``lost_beside`` it;
    ``lost_main`` counts those that are not minor. A refused
    edit loses none; ``would_lose`` counts what it would have lost.

    ``basin`` is the id of the basin that was installed or aimed at; ``merged`` says that it was there before;
    ``cosine`` is between it and what was asked for, ``returned`` the share of its noisy copies (10 %) that come back.
    Of a basin that was scaled, ``field_before`` and ``field_after`` are x·Wf(x)/x·x where it rests, with its energies.
    Where radii were asked for, ``reach`` is that of an installed basin and ``neighbours`` has those beside it.
    ``changed_fraction`` of noisy cues are decided differently. ``arrived`` is the share of redirected states that now
    settle at the target.

    ``strength`` is the size of the change, ‖ΔW‖/‖W‖ with W the weight before it: given back as ``strength=`` to the
    same operation at the same place, it makes the same edit. How the change was made is in fields of its own, ``None``
    where an operation has no such thing: ``margin`` m of the field m·x at the state x that was installed or removed,
    ``factor`` by which a field was multiplied, ``dose`` of a redirect or an aimed change (1 is the whole change).
    ``rank`` counts the singular values above 1e-5 of the largest, as ``diff`` does.

    Where several layers were edited at once, ``layers`` has them all (else it is empty) and ``layer`` the first;
    ``norm``, ``relative_norm`` and ``strength`` are those of all their weights together, and ``rank`` is the sum.
    """

    operation: str
    layer: int
    target: str
    applied: bool
    reason: str
    forced: bool
    basin: int | None
    strength: float | None
    norm: float
    relative_norm: float
    rank: int
    kept: int
    protected: int
    changed_fraction: float
    lost: tuple[int, ...]
    notes: tuple[str, ...]
    method: str | None
    effect: Effect | None
    arrived: float | None
    blocked: bool = False
    judged_by: str = "gate"
    known: int = 0
    lost_on_purpose: tuple[int, ...] = ()
    lost_beside: tuple[int, ...] = ()
    would_lose: int = 0
    minor: int = 0
    lost_main: int = 0
    conditions: tuple[Condition, ...] = ()
    merged: bool = False
    cosine: float | None = None
    returned: float | None = None
    field_before: float | None = None
    field_after: float | None = None
    energy_before: float | None = None
    energy_after: float | None = None
    reach: Reach | None = None
    neighbours: tuple[Beside, ...] = ()
    margin: float | None = None
    factor: float | None = None
    dose: float | None = None
    rewritten: Rewritten | None = None
    keyed: Keyed | None = None
    layers: tuple[int, ...] = ()
