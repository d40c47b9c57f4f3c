"""What is a model?  Places whose states can be read and changed, and a pass through all of them.

A **site** is such a place; the language calls the sites in order *layers*: ``L0``, ``L1``, … Their states are
(b, t, d). A **change** alters one pass and leaves the model alone; a **pass** is what came of it. A **network** is a
kind of model at work: one folder under ``energylang.models`` each, found by its name (``kinds``). Everything else
(weights and their versions, concepts, effects, records) knows sites and numbers of layers only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from .positions import Tally, Where


@dataclass(frozen=True, slots=True)
class Site:
    """A place in a model: its ``name`` in the language, the dimension d of its states, and the name of the parameter
    that edits of it change (of any shape)."""

    name: str
    dim: int
    weight: str


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one forward pass that leaves the model alone. Keys are numbers of layers.

    ``weights``: a tensor used instead of the layer's live weight (gradients flow through it).
    ``edits``: (left, right), both (d, r), of a change left @ right.T of a landscape's weight that is to be found:
    gradients flow to it at the price of a product of rank r. Or both (b, d, r), another change for each row.
    ``drive``: a (d,) vector, or (b, 1, d) one for each row, added to what drives the layer's state (in a residual
    stream: to the stream itself).
    ``state``: a function of the layer's state (b, t, d) whose result is read instead of it.
    ``neurons``: a function of what the MLP's neurons answer (b, t, m), before it is written into the stream.
    ``answers``: a query (m,) and a value (d,), or (b, 1, d) one for each row: what the MLP's neurons answer to the
    query times the value is added to what they write (an edit ``v qᵀ`` of its weight that may differ from row to row).
    ``mlp``: a function of what the MLP reads (b, t, m) and answers (b, t, d), whose result is written instead.
    ``heads``: a function of what the attention heads read (b, t, heads, d / heads), before it is written.
    ``landscapes``: the weight (d, d) of a fitted landscape (see ``splice``) instead of the live one; ``basins``: a
    function of the states (b, t, d) in which it settles, whose result is spliced in. ``TextModel`` makes an ``mlp`` of
    both.
    ``also``: further changes of the same pass, each at positions of its own, done afterwards (without ``weights``).
    ``where``: at which positions of a text all of these but ``weights`` act (``None``: at all of them); a pass is
    given what became of it for its own tokens, as ``mask`` (b, t) bool. ``tally`` counts them.
    """

    weights: Mapping[int, Tensor] = field(default_factory=dict)
    edits: Mapping[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    drive: Mapping[int, Tensor] = field(default_factory=dict)
    state: Mapping[int, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    neurons: Mapping[int, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    heads: Mapping[int, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    answers: Mapping[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    mlp: Mapping[int, Callable[[Tensor, Tensor], Tensor]] = field(default_factory=dict)
    landscapes: Mapping[int, Tensor] = field(default_factory=dict)
    basins: Mapping[int, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    where: Where | None = None
    mask: Tensor | None = None
    tally: Tally | None = None
    also: tuple[Change, ...] = ()


NOTHING = Change()


def of_rows(change: Change, rows: Tensor) -> Change:
    """The change for some of the rows (k,) of a pass."""

    def those(values: Tensor) -> Tensor:
        return values[rows.to(values.device)] if values.dim() == 3 else values

    drive = {layer: those(push) for layer, push in change.drive.items()}
    edits = {layer: (those(left), those(right)) for layer, (left, right) in change.edits.items()}
    answers = {layer: (query, those(values)) for layer, (query, values) in change.answers.items()}
    also = tuple(of_rows(each, rows) for each in change.also)
    return replace(change, drive=drive, edits=edits, answers=answers, also=also)


def changed(change: Change, part: str, layer: int, before: Tensor) -> Tensor:
    """What becomes of ``before`` (b, t, …), which is this part of a layer in a pass."""
    for each in (change, *change.also):
        made = getattr(each, part).get(layer)
        if made is not None:
            after = before + made.to(before) if part == "drive" else made(before)
            before = applied(each, before, after)
    return before


def written(change: Change, layer: int, neurons: Tensor, said: Tensor) -> Tensor:
    """What becomes of what a layer's ``neurons`` (b, t, m) write, which was ``said`` (b, t, d)."""
    for each in (change, *change.also):
        if layer in each.answers:
            query, values = each.answers[layer]
            said = applied(each, said, said + (neurons @ query.to(neurons))[..., None] * values.to(said))
    return said


def answered(change: Change, layer: int, given: Tensor, said: Tensor) -> Tensor:
    """What becomes of what a layer's MLP ``said`` (b, t, d), having been ``given`` (b, t, m)."""
    for each in (change, *change.also):
        made = each.mlp.get(layer)
        if made is not None:
            said = applied(each, said, made(given, said))
    return said


def reads_mlp(change: Change, layer: int) -> bool:
    """Whether a change asks for what a layer's MLP reads."""
    return any(layer in each.mlp for each in (change, *change.also))


def applied(change: Change, before: Tensor, after: Tensor) -> Tensor:
    """``after`` where a change acts and ``before`` elsewhere, both (b, t, …)."""
    if change.mask is None:
        return after
    return torch.where(change.mask.reshape(*change.mask.shape, *[1] * (before.dim() - 2)), after, before)


@dataclass(frozen=True, slots=True)
class Settled:
    """Read under this name, a layer's state is the one in which its fitted landscape settles, not the stream."""

    layer: int


Readable = int | Settled
"""What a pass can be asked to keep: the stream behind a layer, or where the layer's fitted landscape settles."""


def only(states: Mapping[int, Tensor], read: Collection[int] | None) -> Mapping[int, Tensor]:
    """The states of the layers that are read."""
    return states if read is None else {layer: states[layer] for layer in read if layer in states}


def deepest(layers: int, wanted: Tensor | None, read: Collection[int] | None, *, keeps: bool) -> int:
    """The last of the ``layers`` that a pass has to go through: the last one that is read where no place is wanted, and
    otherwise all of them. A pass that ``keeps`` keys and values, and of which nothing is read, is there for these."""
    if wanted is None or read is None or (keeps and not read) or bool(wanted.any()):
        return layers - 1
    return max(read, default=-1)


def of_weights(change: Change) -> bool:
    """Whether a change replaces weights and does nothing else, so that rows of the same tokens come to the same."""
    return change == Change(weights=change.weights)


def acts_on(change: Change, layer: int) -> bool:
    """Whether a change does something to the states of a layer beside replacing its weight."""
    return any(layer in each.drive or layer in each.state for each in (change, *change.also))


@dataclass(frozen=True, slots=True)
class Pass:
    """What a pass gave: ``logits`` (b, t, v), or (n, v) at places that were wanted; by layer the state (b, t, d)."""

    logits: Tensor
    states: Mapping[Any, Tensor]


@dataclass(frozen=True, slots=True)
class Start:
    """Where a pass begins that leaves out what lies below a layer: the stream (b, t, m) that enters it, and where it is
    known what that makes of the layer's ``drive`` (b, t, d) (networks that have a ``driven``)."""

    layer: int
    stream: Tensor
    drive: Tensor | None = None

    def __getitem__(self, rows: Any) -> Start:
        """The same for some of the rows."""
        return Start(self.layer, self.stream[rows], None if self.drive is None else self.drive[rows])


class Network(Protocol):
    """A kind of model at work, as a module of functions of live tensors (by canonical name) and a configuration.

    A pass that starts at a layer gives the same bits as the whole one, and the states of this layer and the later ones.
    With a ``cache`` tokens come behind its own; the caller then counts them (``cache.lengths``). What nobody asked for
    is not computed: see ``deepest``.
    """

    def shapes(self, config: Any) -> dict[str, tuple[int, ...]]:
        """The tensors that such a model has, all of them, by canonical name."""

    def run(
        self,
        tensors: Mapping[str, Tensor],
        config: Any,
        tokens: Tensor | None,
        change: Change = NOTHING,
        *,
        start: Start | None = None,
        cache: Any = None,
        wanted: Tensor | None = None,
        read: Collection[int] | None = None,
    ) -> Pass:
        """(b, t) tokens, or a start, through the network; logits only of the places that are ``wanted`` (b, t), states
        only of the layers that are ``read`` (``None``: of all)."""

    def entering(
        self,
        tensors: Mapping[str, Tensor],
        config: Any,
        tokens: Tensor,
        layer: int,
        cache: Any = None,
        change: Change = NOTHING,
    ) -> Tensor:
        """(b, t, m): the stream that enters a layer, for whole sequences (b, t), or for what comes behind a cache. Of a
        change only what it does to MLPs is done."""

    def looks_back_from(self, config: Any, layer: int) -> bool:
        """Whether any attention comes after a layer."""

    def said_by(self, tensors: Mapping[str, Tensor], config: Any, layer: int, state: Tensor) -> Tensor:
        """(…, v): the logits that a state (…, d) of a layer gives through what it writes and the output head alone."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Text that was sampled. ``states`` holds, by layer, (t, d): the settled state from which each
    of the ``t`` generated tokens was chosen, or at least read."""

    text: str
    token_ids: tuple[int, ...]
    states: Mapping[Any, Tensor]


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorting key under which ``blocks.2`` comes before ``blocks.10``."""
    parts = re.split(r"(\d+)", name)
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts if p)
