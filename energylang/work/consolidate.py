"""Edits of many basins at once: consolidation and dreams, each one solve, gated and staged as one edit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from energylang import results
from energylang.errors import LandscapeError
from energylang.landscape.clusters import SAME, leaders
from energylang.landscape.draws import starts
from energylang.landscape.layer import Landscape, interaction
from energylang.landscape.lowrank import LowRank
from energylang.landscape.proposal import Proposal
from energylang.landscape.solve import field_edit
from energylang.landscape.survey import survey
from energylang.looking.basins import known_basins
from energylang.models.states import token_states
from energylang.trial import asked
from energylang.trial.draft import Plan
from energylang.trial.staging import carry_out
from energylang.workspace.workspace import Workspace

_TARGETS = 0.4  # of the dimension: the most fields that one solve sets
_OFF_SPAN = 0.3  # of a field's length
USED_BY = 2000  # tokens, by which it is told what is used of a landscape that a layer was given
_NOISE, _TRIALS = 0.2, 8


# ---------------------------------------------------------------------------------------- consolidate


def consolidate(
    ws: Workspace, layer: int, strengthen: float, prune: float, force: bool, reason: str
) -> results.Edit:
    """Deepen the basins that are used and end those that are not, as one edit."""
    return _consolidated(ws, layer, strengthen, prune, 1, "consolidate", force, reason)


def dream(
    ws: Workspace, layer: int, cycles: int, strengthen: float, prune: float, force: bool, reason: str
) -> results.Edit:
    """Consolidate several times, each on what the one before has left, as one edit."""
    return _consolidated(ws, layer, strengthen, prune, cycles, "dream", force, reason)


def _consolidated(
    ws: Workspace,
    layer: int,
    strengthen: float,
    prune: float,
    cycles: int,
    operation: str,
    force: bool,
    reason: str,
) -> results.Edit:
    """Deepen what is used, prune what is not: one edit."""
    known_basins(ws, layer)
    kept = _untouched(ws, layer)
    counts = [0, 0]

    def propose(landscape: Landscape, _protected: Tensor) -> Proposal:
        whole = LowRank.zero(landscape.weight)
        for found in _rounds(ws, landscape, layer, kept, strengthen, prune, cycles):
            counts[0] += len(found.strong)
            counts[1] += len(found.weak)
            whole = whole.joined(found.factors)
        if whole.rank == 0:
            raise LandscapeError("no basin is used enough to be deepened, or little enough to be pruned")
        notes = (f"{counts[0]} basins deepened, {counts[1]} pruned, in {cycles} survey(s)",)
        centre = kept[0] if len(kept) else torch.ones_like(landscape.weight[0])
        return Proposal(whole, centre, None, operation, notes)

    split = _split(ws, ws.landscape_of(layer), layer, kept, prune, 0)
    plan = Plan(
        operation,
        layer,
        f"L{layer}",
        propose,
        asked=asked.all_of(split.weak, split.strong),
        own=split.weak if len(split.weak) else None,
        factor=strengthen,
    )
    return carry_out(ws, plan, force=force, reason=reason)


@dataclass(frozen=True, eq=False)
class Split:
    """The basins of one survey: centres of the strong (k, d) and the weak (m, d) with the shares of the starts that
    they take, and the centres of those between (with the untouched). ``known`` is how many the survey found."""

    strong: Tensor
    weak: Tensor
    between: Tensor
    strong_share: tuple[float, ...] = ()
    weak_share: tuple[float, ...] = ()
    known: int = 0


@dataclass(frozen=True, eq=False)
class Round(Split):
    """A survey and the edit that it leads to, on the landscape in which it was made."""

    landscape: Landscape = field(kw_only=True)
    factors: LowRank = field(kw_only=True)


def rounds(ws: Workspace, layer: int, strengthen: float, prune: float, cycles: int) -> list[Round]:
    """What consolidating a layer as it is now would do, survey by survey; nothing is changed."""
    known_basins(ws, layer)
    kept = _untouched(ws, layer)
    return list(_rounds(ws, ws.landscape_of(layer), layer, kept, strengthen, prune, cycles))


def _rounds(
    ws: Workspace,
    now: Landscape,
    layer: int,
    kept: Tensor,
    strengthen: float,
    prune: float,
    cycles: int,
) -> Iterator[Round]:
    for cycle in range(cycles):
        found = _split(ws, now, layer, kept, prune, cycle)
        states = torch.cat((found.strong, found.weak))
        if not len(states):
            return
        wanted = torch.cat((strengthen * now.field(found.strong), torch.zeros_like(found.weak)))
        factors = field_edit(now, states, wanted, found.between)
        yield Round(**vars(found), landscape=now, factors=factors)
        now = now.edited(factors)


def _untouched(ws: Workspace, layer: int) -> Tensor:
    """Centres (k, d) of basins that consolidation leaves alone: installed by edits, or protected."""
    version = ws.staged(layer)
    ids = {*version.installed, *ws.state.protected.get(layer, frozenset())}
    found = [basin.centre for basin in version.registry.alive() if basin.id in ids]
    weight = ws.landscape_of(layer).weight
    return torch.stack(found).to(weight) if found else weight.new_zeros(0, weight.shape[0])


def _surveyed(ws: Workspace, landscape: Landscape, layer: int, cycle: int) -> tuple[Tensor, Tensor]:
    """Basins (k, d) of a landscape and the share of random starts (k,) that each takes; of tokens, where the layer was
    given its landscape."""
    inits = int(ws.setting("inits"))
    generator = ws.generator("consolidate", layer, cycle)
    if ws.fitted(layer) is None:
        states = starts(inits, landscape.dim, generator, landscape.weight)
    else:  # what is used is what tokens use
        states = token_states(ws.text, ws.read_at(layer), USED_BY, generator).to(landscape.weight)
        inits = len(states)
    found = survey(landscape, states)
    # A basin and its mirror share their field: they are one, with the starts of both.
    label, first = leaders(found.centres, SAME, either_sign=True)
    share = torch.zeros(len(first), dtype=torch.float64, device=found.centres.device)
    share.index_add_(0, label, found.population.double())
    return found.centres[first], share / max(1, inits)


def _split(ws: Workspace, landscape: Landscape, layer: int, kept: Tensor, prune: float, cycle: int) -> Split:
    centres, share = _surveyed(ws, landscape, layer, cycle)
    if not len(centres):
        return Split(centres, centres, kept)
    touched = torch.ones(len(centres), dtype=torch.bool, device=centres.device)
    if len(kept):
        unit = torch.nn.functional.normalize
        touched = (unit(centres, dim=1) @ unit(kept, dim=1).T).abs().amax(dim=1) < SAME
    fair = 1.0 / len(centres)
    strong = (share > 1.5 * fair) & touched
    weak = (share < prune * fair) & touched
    order = torch.sort(share, descending=True, stable=True).indices.tolist()
    room = max(1, int(_TARGETS * landscape.dim))
    first = [i for i in order if bool(strong[i])] + [i for i in order[::-1] if bool(weak[i])]
    rest = [i for i in order if i not in set(first)]
    fields = interaction(torch.cat((kept, centres)).double(), landscape.degree)
    offset = len(kept)
    chosen = _independent(fields, [*range(offset), *(offset + i for i in (*first, *rest))], room)
    targets = [i for i in first if offset + i in chosen]
    between = torch.cat((kept, centres[[i for i in rest if offset + i in chosen]]))
    deepened = [i for i in targets if bool(strong[i])]
    pruned = [i for i in targets if bool(weak[i])]
    return Split(
        centres[deepened],
        centres[pruned],
        between,
        tuple(float(share[i]) for i in deepened),
        tuple(float(share[i]) for i in pruned),
        len(centres),
    )


def _independent(fields: Tensor, order: list[int], most: int) -> set[int]:
    """Rows of ``fields`` (n, d) of which each, in this order, lies well off the span of those before it: mixtures of
    patterns have fields in the patterns' span, and no solve can set both."""
    basis = fields[:0]
    chosen: set[int] = set()
    for row in order:
        field = fields[row] / torch.linalg.vector_norm(fields[row]).clamp_min(1e-12)
        rest = field - (basis @ field) @ basis
        rest = rest - (basis @ rest) @ basis
        size = torch.linalg.vector_norm(rest)
        if float(size) > _OFF_SPAN and len(chosen) < most:
            basis = torch.cat((basis, (rest / size)[None]))
            chosen.add(row)
    return chosen


# ------------------------------------------------------------------------------------------ watermark
