"""Which basins do the tokens of a text settle in?

The tokens of a survey, of `usage`, `contexts` and `probe` are the same: about 3,000 positions of the held-out text
(``reading_windows``). A survey looks at the STAGED
landscape, so its states are those of the model as staged; the others look at the LIVE model with its interventions.
Where nothing is staged and nothing intervenes, both see the same states and so the same shares.

``placed`` says which basin a state lies in (``landscape.assign``) and gives a number to every basin that had none.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from energylang import results
from energylang.landscape.assign import Placed, assign, nearest, place
from energylang.landscape.clusters import cosine_rows
from energylang.landscape.lineage import KnownBasin
from energylang.looking.held import standing
from energylang.models.protocol import Change, Readable
from energylang.models.states import window_states
from energylang.workspace.named import fresh_registry, keep_registry
from energylang.workspace.workspace import Workspace

if TYPE_CHECKING:
    from energylang.workspace.versions import Version


AROUND = 6  # words of context on either side
_DIGITS = 4  # of a context's cosine: beyond lies rounding, and the earlier context goes first
SHOWN = 3  # of a basin's tokens, in a survey
_KEPT = 2**25  # numbers of states that are kept for the next question


@dataclass(frozen=True, eq=False)
class Found:
    """What became of states, one entry each: the basin's id (−1: none), the cosine between the state as the model holds
    it and the basin's centre (0 where there is none), and whether it settled, and whether at the origin."""

    basins: list[int]
    cosines: list[float]
    settled: list[bool]
    at_origin: list[bool]

    @property
    def to_zero(self) -> int:
        return sum(self.at_origin)

    @property
    def unsettled(self) -> int:
        return self.settled.count(False)


@dataclass(frozen=True, eq=False)
class Reading:
    """Rows of tokens and what became of their states, token by token in the order of the rows."""

    rows: list[list[int]]
    found: Found

    @property
    def tokens(self) -> list[int]:
        return [token for row in self.rows for token in row]

    @property
    def basins(self) -> list[list[int]]:
        """The basin of every token (−1: none), row by row."""
        ends, begin = [], 0
        for row in self.rows:
            ends.append(self.found.basins[begin : begin + len(row)])
            begin += len(row)
        return ends

    def renamed(self, ids: Mapping[int, int]) -> Reading:
        """The reading with other numbers of basins."""
        basins = [ids.get(basin, basin) for basin in self.found.basins]
        return Reading(self.rows, replace(self.found, basins=basins))

    def visits(self) -> Counter[int]:
        """Visits by basin, the most visited first (ties: the smaller number)."""
        counts = Counter(basin for basin in self.found.basins if basin >= 0)
        return Counter(dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))))

    def held(self) -> dict[int, Counter[int]]:
        """How often each token settles in each basin."""
        return held(self.found.basins, self.tokens)


def held(basins: Sequence[int], tokens: Sequence[int]) -> dict[int, Counter[int]]:
    """How often each token settles in each basin."""
    found: dict[int, Counter[int]] = defaultdict(Counter)
    for basin, token in zip(basins, tokens, strict=True):
        if basin >= 0:
            found[basin][token] += 1
    return found


def has_tokens(ws: Workspace) -> bool:
    """Whether there is held-out text whose tokens can be settled."""
    text = ws.model.text
    return text is not None and text.heldout is not None and len(text.heldout) >= 2


def heldout(ws: Workspace) -> Tensor:
    """(w, t): the windows of held-out text by which basins are read."""
    return ws.text.reading_windows()


# ------------------------------------------------------------------------------------------- states


def live_states(ws: Workspace, windows: Tensor, layer: int) -> Tensor:
    """(n, d): the states of all tokens of the windows (w, t) in the live model, with its interventions."""
    versions = tuple(version for state in ws.state.layers for version in state.versions)
    active = ws.state.interventions or None
    return _states(ws, windows, layer, versions, standing(ws), active)


def staged_states(ws: Workspace, windows: Tensor, layer: int) -> Tensor:
    """(n, d): the states of all tokens of the windows (w, t) in the model as staged, without interventions."""
    layers = ws.state.layers
    change = ws.running({index: state for index, state in enumerate(layers) if not state.is_live})
    versions = tuple(version for state in layers for version in state.all_live.versions)
    return _states(ws, windows, layer, versions, change, None)


def _states(
    ws: Workspace,
    windows: Tensor,
    layer: int,
    versions: tuple[Version, ...],
    change: Change,
    interventions: object,
) -> Tensor:
    """The states of one pass, kept until another one is asked for: the layers share it. (Of a model whose layers are a
    stream, those of the one layer that was given a landscape.)"""
    before, at = ws.cache.passed, ws.read_at(layer)
    if (
        before is None
        or before.versions != versions
        or at not in before.states
        or before.interventions is not interventions
        or not torch.equal(before.windows, windows)
    ):
        states = window_states(ws.text, windows, change, None if at == layer else (at,))
        before = Passed(windows, versions, interventions, states)
        ws.cache.passed = before if sum(state.numel() for state in states.values()) <= _KEPT else None
    found: Tensor = before.states[at].flatten(0, 1)
    return found


@dataclass(frozen=True, eq=False)
class Passed:
    """A pass of windows (w, t) through versions of all layers under interventions, and its states."""

    windows: Tensor
    versions: tuple[Version, ...]
    interventions: object
    states: dict[Readable, Tensor]


# ------------------------------------------------------------------------------------------- basins


def placed(ws: Workspace, layer: int, version: Version, states: Tensor, *, register: bool = True) -> Found:
    """The basin of each state (n, d) in the landscape of one version of a layer's weight. A basin that has no number
    gets one; without ``register`` it has none (−1).

    Where the weight has been surveyed, what that survey met comes first, as it does there; a state near none of it may
    lie in another basin that is known.
    """
    landscape = ws.landscape_of(layer, version)
    states = states.to(landscape.weight)
    registry = fresh_registry(ws, version)
    alive = registry.alive()
    met = [basin for basin in alive if registry.is_current(basin)] or list(alive)
    others = [basin for basin in alive if not registry.is_current(basin)] if len(met) < len(alive) else []
    centres, beside = (_centres(basins, states) for basins in (met, others))
    generator, eps = ws.generator("assign", layer), float(ws.setting("eps"))
    ids = [basin.id for basin in met]
    if not register:
        index, rest, settled = assign(landscape, centres, states, generator, eps=eps)
        lost = (settled & rest.any(1) & (index < 0)).nonzero().squeeze(1)
        near = nearest(rest[lost], beside)
        index[lost] = torch.where(near < 0, near, near + len(met))
        ids += [basin.id for basin in others]
        return named(Placed(index, rest[:0], rest, settled), ids, torch.cat((centres, beside)), states)
    found = place(landscape, centres, states, generator, eps=eps)
    if len(found.fresh):
        near = nearest(found.fresh, beside)
        registry, new = registry.with_centres(landscape, found.fresh[near < 0])
        keep_registry(ws, version, registry, surveyed=False)
        made = iter(new)
        ids += [others[place].id if place >= 0 else next(made) for place in near.tolist()]
    return named(found, ids, torch.cat((centres, found.fresh)), states)


def _centres(basins: Sequence[KnownBasin], like: Tensor) -> Tensor:
    """(k, d): where basins lie."""
    return (
        torch.stack([basin.centre for basin in basins]).to(like)
        if basins
        else like.new_zeros(0, like.shape[1])
    )


def gathered(
    ws: Workspace, layer: int, centres: Tensor, states: Tensor
) -> tuple[Placed, Callable[[Sequence[int]], Found]]:
    """Where the states (n, d) come to rest in a layer's staged landscape, seen from what a survey has just found alone,
    ``centres`` (k, d): what was known before has no say. Once the centres and the fresh ones have ids, the second value
    names them."""
    landscape = ws.landscape_of(layer)
    states = states.to(landscape.weight)
    generator, eps = ws.generator("assign", layer), float(ws.setting("eps"))
    found = place(landscape, centres, states, generator, eps=eps)
    every = torch.cat((centres, found.fresh))
    return found, lambda ids: named(found, ids, every, states)


def named(found: Placed, ids: Sequence[int], centres: Tensor, states: Tensor) -> Found:
    """``Placed`` by the ``ids`` of the centres (k, d), with the cosine of each state (n, d) to its own."""
    named = (found.index >= 0).nonzero().squeeze(1)
    cosines = states.new_zeros(len(states))
    cosines[named] = cosine_rows(states[named], centres[found.index[named]])
    return Found(
        [ids[index] if index >= 0 else -1 for index in found.index.tolist()],
        cosines.tolist(),
        found.settled.tolist(),
        found.at_origin.tolist(),
    )


# ---------------------------------------------------------------------------------------- what is read


def contexts_in(
    ws: Workspace, reading: Reading, basin: int | None = None, *, each: int = 1
) -> dict[int, list[results.Context]]:
    """The visits of each basin (all of them where it is one ``basin``, else the first ``each``), those whose state is
    nearest to the centre first (ties: as they come in the text); every context once."""
    found: dict[int, dict[tuple[tuple[int, ...], int], tuple[float, int, int]]] = defaultdict(dict)
    at = 0
    for row, tokens in enumerate(reading.rows):
        for column in range(len(tokens)):
            name = reading.found.basins[at]
            at += 1
            if name < 0 or (basin is not None and name != basin):
                continue
            begin = max(0, column - AROUND)
            words = (tuple(tokens[begin : column + 1 + AROUND]), column - begin)
            found[name].setdefault(words, (round(reading.found.cosines[at - 1], _DIGITS), row, column))
    made: dict[int, list[results.Context]] = {}
    for name, visits in found.items():
        best = sorted(visits.values(), key=lambda visit: (-visit[0], *visit[1:]))
        told: dict[str, results.Context] = {}
        for cosine, row, column in best if basin is not None else best[:each]:
            context = _context(ws, reading.rows[row], column, cosine)
            told.setdefault(str(context), context)
        made[name] = list(told.values())
    return made


def _context(ws: Workspace, tokens: list[int], column: int, cosine: float) -> results.Context:
    text = ws.text
    return results.Context(
        before=text.decode(tokens[max(0, column - AROUND) : column]).replace("\n", " ⏎ "),
        token=text.token(tokens[column]).strip() or "⏎",
        after=text.decode(tokens[column + 1 : column + 1 + AROUND]).replace("\n", " ⏎ "),
        activation=cosine,
    )


def read_most(ws: Workspace, counts: Counter[int], top: int) -> tuple[results.TokenScore, ...]:
    """The tokens of a basin that are read there most often, with their shares of its visits (ties: by number)."""
    total = sum(counts.values())
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:top]
    return tuple(results.TokenScore(ws.text.token(token), count / total) for token, count in order)


def meanings(
    ws: Workspace, reading: Reading | None
) -> tuple[dict[int, tuple[results.TokenScore, ...]], dict[int, results.Context]]:
    """By basin: the tokens that are read there most often, and its most typical context."""
    if reading is None:
        return {}, {}
    most = {basin: read_most(ws, counts, SHOWN) for basin, counts in reading.held().items()}
    return most, {basin: found[0] for basin, found in contexts_in(ws, reading).items()}


@dataclass(frozen=True, eq=False)
class Held:
    """What settles in a basin: the tokens that are read there most often, and its most typical contexts."""

    top_tokens: tuple[results.TokenScore, ...] = ()
    contexts: tuple[results.Context, ...] = ()


NOTHING_HELD = Held()


def held_in(ws: Workspace, layer: int, *, contexts: int = 1) -> dict[int, Held]:
    """What settles in each known basin of a layer's staged landscape; nothing without held-out text. A look: no basin
    gets a number by it."""
    if not has_tokens(ws):
        return {}
    windows = heldout(ws)
    found = placed(ws, layer, ws.staged(layer), staged_states(ws, windows, layer), register=False)
    reading = Reading(windows.tolist(), found)
    typical = contexts_in(ws, reading, each=contexts)
    return {
        basin: Held(read_most(ws, counts, SHOWN), tuple(typical.get(basin, ())))
        for basin, counts in reading.held().items()
    }


def said_by(ws: Workspace, layer: int, state: Tensor) -> Tensor:
    """(v,): the logits that a state (d,) of a layer gives through what it writes and the head alone: of a landscape
    that the layer was given, what the state adds to the MLP's usual answer."""
    text, fitted = ws.text, ws.fitted(layer)
    if fitted is not None:
        state = state.to(fitted.readout) @ fitted.readout
    return text.network.said_by(text.live, text.config, layer, state).float()
