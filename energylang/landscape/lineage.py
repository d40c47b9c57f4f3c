"""Is this basin the one we saw before?

A ``Registry`` is an immutable list of every basin ever seen in one layer; a session keeps one per layer and
swaps it on undo. Ids count up from 0 and are never reused.

* ``observe``: a survey's basins are matched one-to-one with all known ones (cosine > 0.95, maximal total
  cosine). A match keeps its id, also when the basin had been lost; what is left gets new ids in the order of
  the survey (most populated first). A known basin that a survey did not reach is left as it is: random
  starts need not find everything.
* ``meet``: basins that something else than a survey met (the target of an edit, probes for a picture) get numbers
  in the same way, and known ones are left as they are: only a survey counts starts.
* ``after_edit``: all living basins are settled under the new weight in one batch, kicked by a relative 1e-2
  (so that none rests on a saddle that the edit made of it) and polished. A basin that stays within
  cosine 0.95 of its centre lives on at its new centre; when two end in one attractor, the nearer one
  keeps its id and the other is lost. Drift is measured from where the basin was first found.

Source: NUMERICS §3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from energylang.landscape.attractors import escaped
from energylang.landscape.clusters import SAME, best_matching, cosine_rows, gram, leaders
from energylang.landscape.draws import stable_generator
from energylang.landscape.dynamics import Landscape, residual, settle
from energylang.landscape.energy import lyapunov
from energylang.landscape.stability import spectrum
from energylang.landscape.survey import BasinSet

MOVED = 1e-3
HELD = 0.005
"""Share of the token states from which a basin that no random start reached counts among the main ones."""


@dataclass(frozen=True, eq=False)
class KnownBasin:
    """One basin of one layer. ``centre`` (d,) is where it is now (where it last was, when lost), ``found_at``
    (d,) where it was first seen, ``drift`` = 1 − cosine between the two; ``lost_by`` is the id of the edit
    that lost it. ``population`` counts the starts of the last survey that saw it (0: only states of a text have
    settled in it), ``tokens`` the states of held-out tokens that settled in it then; that survey was the
    ``seen_in``-th of the layer (0: none has). ``installed`` says that an edit has put it there."""

    id: int
    centre: Tensor
    population: int
    energy: float
    residual: float
    stability: float
    status: Literal["alive", "lost"]
    lost_by: int | None
    drift: float
    found_at: Tensor
    seen_in: int = 0
    tokens: int = 0
    installed: bool = False


@dataclass(frozen=True)
class Lineage:
    """What one edit did to the living basins: ids that stayed in place, ids that moved with the drift of
    this edit (1 − cosine > 1e-3), ids that were lost."""

    edit_id: int
    kept: tuple[int, ...]
    moved: tuple[tuple[int, float], ...]
    lost: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Registry:
    """Every basin seen so far, by id; a new value after every observation and every edit. ``surveys`` counts the
    surveys so far; ``last`` is how many starts the last one had, how many of them went to the origin and how many
    did not settle (``None``: the present weight has not been surveyed); ``token_states`` is how many token states
    it settled."""

    basins: tuple[KnownBasin, ...] = field(default=())
    next_id: int = 0
    surveys: int = 0
    last: tuple[int, int, int] | None = None
    token_states: int = 0

    def get(self, id: int) -> KnownBasin | None:
        """The basin with this id, living or lost, or None."""
        return next((basin for basin in self.basins if basin.id == id), None)

    def alive(self) -> tuple[KnownBasin, ...]:
        """The living basins, by id."""
        return tuple(basin for basin in self.basins if basin.status == "alive")

    def main(self) -> tuple[KnownBasin, ...]:
        """The living basins that starts of a survey have reached, that edits have installed, or that hold at least
        ``HELD`` of the token states, by id.

        Hundreds of basins of a language model hold a token or two each. They have numbers, but an edit need not keep
        them, and they are no points on a map.
        """
        least = max(1.0, HELD * self.token_states)

        def counts(basin: KnownBasin) -> bool:
            reached = basin.population > 0 and basin.seen_in > 0
            return basin.installed or reached or basin.tokens >= least

        return tuple(basin for basin in self.alive() if counts(basin))

    def centres(self) -> Tensor:
        """The centres of the living basins (k, d), in the order of ``alive``; (0, 0) when there are none."""
        return _stacked([basin.centre for basin in self.alive()])

    def observe(
        self, found: BasinSet, landscape: Landscape | None = None, others: Tensor | None = None
    ) -> tuple[Registry, tuple[int, ...]]:
        """The registry after a survey, and the id of every row of ``found``, followed by those of the centres
        ``others`` (m, d) in its ``landscape``, in which only states of a text have settled."""
        number = self.surveys + 1
        rows = _measured(found)
        if landscape is not None and others is not None:
            rows += _resting(landscape, others)
        registry, ids = self._with([replace(seen, seen_in=number) for seen in rows])
        counts = (found.num_starts, found.origin_population, found.num_unsettled)
        return replace(registry, surveys=number, last=counts), ids

    def meet(self, found: BasinSet) -> tuple[Registry, tuple[int, ...]]:
        """The registry with basins that were met by the way, which is no survey; and the id of every row."""
        return self._with(_measured(found))

    def installed(self, found: BasinSet) -> tuple[Registry, int]:
        """The registry with the one basin of ``found``, which an edit has installed; and its id."""
        registry, (id,) = self.meet(found)
        marked = (replace(basin, installed=True) if basin.id == id else basin for basin in registry.basins)
        return replace(registry, basins=tuple(marked)), id

    def is_current(self, basin: KnownBasin) -> bool:
        """Whether the last survey of the present weight met this basin: its population is that of this survey."""
        return self.last is not None and basin.seen_in == self.surveys

    def counted(self, basin: KnownBasin) -> str:
        """How many starts rest in a basin, in words, and of which survey."""
        if self.is_current(basin):
            return f"{basin.population} starts"
        if self.last is None and basin.seen_in:
            return f"{basin.population} starts before the edit"
        return "not met by the last survey" if basin.seen_in else "met by no survey yet"

    def _with(self, fresh: list[KnownBasin]) -> tuple[Registry, tuple[int, ...]]:
        """The registry with the basins ``fresh``, which have no ids yet, in it, and their ids."""
        match: dict[int, int] = {}
        if self.basins and fresh:
            centres = _stacked([seen.centre for seen in fresh])
            known = _stacked([basin.centre for basin in self.basins]).to(centres)
            match = {j: i for i, j in best_matching(gram(known, centres), SAME)}
        basins = list(self.basins)
        ids: list[int] = []
        next_id = self.next_id
        for j, seen in enumerate(fresh):
            if j in match:
                old = basins[match[j]]
                ids.append(old.id)
                if not seen.seen_in and old.status == "alive":
                    continue
                drift = _drift(old.found_at, seen.centre)
                basins[match[j]] = replace(
                    seen,
                    id=old.id,
                    drift=drift,
                    found_at=old.found_at,
                    tokens=old.tokens,
                    installed=old.installed,
                )
            else:
                basins.append(replace(seen, id=next_id))
                ids.append(next_id)
                next_id += 1
        return replace(self, basins=tuple(basins), next_id=next_id), tuple(ids)

    def with_centres(self, landscape: Landscape, centres: Tensor) -> tuple[Registry, tuple[int, ...]]:
        """The registry with living basins at ``centres`` (m, d), which no start has reached; and their ids. One that
        had been lost is back under its id, all others get new ones."""
        if not len(centres):
            return self, ()
        lost = [place for place, basin in enumerate(self.basins) if basin.status == "lost"]
        back: dict[int, int] = {}
        if lost:
            gone = _stacked([self.basins[place].centre for place in lost]).to(centres)
            back = {j: lost[i] for i, j in best_matching(gram(gone, centres), SAME)}
        basins, ids, next_id = list(self.basins), [], self.next_id
        for j, row in enumerate(_resting(landscape, centres)):
            seen = replace(row, id=next_id)
            if j in back:
                old = basins[back[j]]
                drift = _drift(old.found_at, seen.centre)
                seen = replace(seen, id=old.id, drift=drift, found_at=old.found_at)
                basins[back[j]] = seen
            else:
                basins.append(seen)
                next_id += 1
            ids.append(seen.id)
        return replace(self, basins=tuple(basins), next_id=next_id), tuple(ids)

    def with_tokens(self, tokens: Mapping[int, int], token_states: int) -> Registry:
        """The registry after ``token_states`` states were settled, of which ``tokens[id]`` lie in the basin ``id``."""
        basins = tuple(self._read(basin, tokens.get(basin.id, 0)) for basin in self.basins)
        return replace(self, basins=basins, token_states=token_states)

    def _read(self, basin: KnownBasin, tokens: int) -> KnownBasin:
        """A basin in which so many token states of the last survey lie: that survey has seen it."""
        if basin.status == "lost" or basin.tokens == tokens == 0:
            return basin
        if tokens and self.last is not None and basin.seen_in != self.surveys:
            return replace(basin, tokens=tokens, population=0, seen_in=self.surveys)
        return replace(basin, tokens=tokens)

    def by_tokens(self, first: int) -> tuple[Registry, dict[int, int]]:
        """The registry with the ids from ``first`` on, which nobody has seen yet, dealt out anew: the basin that holds
        most tokens gets the first one (ties: most starts, then as they are); and the new id of each old one."""
        new = [basin for basin in self.basins if basin.id >= first]
        new.sort(key=lambda basin: (-basin.tokens, -basin.population, basin.id))
        ids = {basin.id: first + k for k, basin in enumerate(new)}
        kept = tuple(basin for basin in self.basins if basin.id < first)
        return replace(self, basins=kept + tuple(replace(basin, id=ids[basin.id]) for basin in new)), ids

    def after_edit(self, landscape: Landscape, edit_id: int) -> tuple[Registry, Lineage]:
        """The registry under the edited ``landscape``, and what happened to every living basin."""
        living = self.alive()
        if not living:
            return self, Lineage(edit_id, (), (), ())
        centres = _stacked([basin.centre for basin in living])
        new, closeness, survives_rows = followed(landscape, centres)
        survives = survives_rows.tolist()
        first = _stacked([basin.found_at for basin in living]).to(new)
        drifts = (1.0 - cosine_rows(new, first)).clamp_min(0.0).tolist()
        steps = (1.0 - closeness).clamp_min(0.0).tolist()
        energies = lyapunov(landscape, new).tolist()
        residuals = residual(landscape, new).tolist()
        stabilities = spectrum(landscape, new)[0].tolist()
        updated: dict[int, KnownBasin] = {}
        kept: list[int] = []
        moved: list[tuple[int, float]] = []
        lost: list[int] = []
        for i, basin in enumerate(living):
            if not survives[i]:
                updated[basin.id] = replace(basin, status="lost", lost_by=edit_id)
                lost.append(basin.id)
                continue
            updated[basin.id] = replace(
                basin,
                centre=new[i],
                energy=energies[i],
                residual=residuals[i],
                stability=stabilities[i],
                drift=drifts[i],
            )
            if steps[i] > MOVED:
                moved.append((basin.id, steps[i]))
            else:
                kept.append(basin.id)
        basins = tuple(updated.get(basin.id, basin) for basin in self.basins)
        registry = replace(self, basins=basins, last=None)
        return registry, Lineage(edit_id, tuple(kept), tuple(moved), tuple(lost))


def _measured(found: BasinSet) -> list[KnownBasin]:
    """The rows of a survey as living basins without an id (−1)."""
    columns = zip(
        found.centres,
        found.population.tolist(),
        found.energy.tolist(),
        found.residual.tolist(),
        found.stability.tolist(),
        strict=True,
    )
    return [
        KnownBasin(-1, centre, population, energy, gap, radius, "alive", None, 0.0, centre)
        for centre, population, energy, gap, radius in columns
    ]


def _resting(landscape: Landscape, centres: Tensor) -> list[KnownBasin]:
    """Centres (m, d) that no start has reached as living basins without an id (−1)."""
    if not len(centres):
        return []
    columns = zip(
        centres,
        lyapunov(landscape, centres).tolist(),
        residual(landscape, centres).tolist(),
        spectrum(landscape, centres)[0].tolist(),
        strict=True,
    )
    return [
        KnownBasin(-1, centre, 0, energy, gap, radius, "alive", None, 0.0, centre)
        for centre, energy, gap, radius in columns
    ]


class Followed(NamedTuple):
    """Basins under another weight: where they come to ``rest`` (k, d), the cosine to where they were, their
    ``closeness`` (k,), and whether each ``survives`` (k,) bool."""

    rest: Tensor
    closeness: Tensor
    survives: Tensor


def followed(landscape: Landscape, centres: Tensor) -> Followed:
    """What becomes of basins (k, d) of another weight under ``landscape``: settled in one batch, kicked by a relative
    1e-2 and polished. A basin survives within cosine 0.95 of its centre; of several that end in one attractor, the
    nearest does."""
    old = landscape.states(centres, "registered basins")
    if not len(old):
        return Followed(old, old.new_zeros(0), torch.zeros(0, dtype=torch.bool, device=old.device))
    new, _ = escaped(landscape, settle(landscape, old).states, stable_generator("after edit", landscape.dim))
    closeness = cosine_rows(new, old)
    order = torch.sort(closeness, descending=True, stable=True).indices
    _, first = leaders(new[order], SAME)  # in order of closeness, the leader is the nearest
    survives = torch.zeros_like(closeness, dtype=torch.bool)
    survives[order[first]] = True
    return Followed(new, closeness, survives & (closeness > SAME))


def survivors(landscape: Landscape, centres: Tensor) -> list[bool]:
    """Which of the states (k, d), basins of another weight, are basins of ``landscape`` as well: they are settled,
    kicked and polished there, stay within cosine 0.95 of where they were, and are the nearest to where they end. What
    ``Registry.after_edit`` asks, of any states."""
    if not len(centres):
        return []
    found: list[bool] = followed(landscape, centres.to(landscape.weight)).survives.tolist()
    return found


def _drift(a: Tensor, b: Tensor) -> float:
    return max(0.0, 1.0 - float(cosine_rows(a.to(b), b)))


def _stacked(rows: list[Tensor]) -> Tensor:
    return torch.stack(rows) if rows else torch.zeros(0, 0)
