"""Edits of many basins at once: consolidation, dreams and watermarks. Each is one solve, gated and staged as one edit.

**consolidate**: a survey says how much of the state space flows into every basin. Basins with more than their share
are deepened (their field times ``strengthen``), basins that hardly anything flows into are pruned (field 0); what lies
between, what edits have installed and what is protected keeps its field. **dream** does this several times with fresh
random starts, each on the landscape that the one before left, and proposes the sum.

**Watermark**: a key names, through SHA-256, a few random sign patterns; they become attractors in one solve. The key
is not stored. Whoever has it finds them (states at the patterns stay near them); wrong keys say how often chance
does. Attacks without the key say what it takes to remove it, and what that costs in basins.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from energylang import results
from energylang.errors import ElError, LandscapeError
from energylang.landscape.clusters import cosine_rows, leaders
from energylang.landscape.draws import relative_noise, stable_generator, starts
from energylang.landscape.dynamics import settle, settle_each
from energylang.landscape.edits import AMPLITUDE
from energylang.landscape.layer import Landscape, interaction
from energylang.landscape.lowrank import LowRank
from energylang.landscape.proposal import Proposal
from energylang.landscape.solve import field_edit
from energylang.landscape.survey import survey
from energylang.looking import basins as observing
from energylang.trial import asked
from energylang.trial.draft import Plan
from energylang.trial.staging import carry_out
from energylang.workspace.workspace import Workspace

_TARGETS = 0.4  # of the dimension: the most fields that one solve sets
_OFF_SPAN = 0.3  # of a field's length
_NEAR = 0.7  # cosine at which a mark counts as there
_WANTED = 0.7  # of the marks
_WRONG_KEYS = 100
_MARGINS = (1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.5, 8.0)  # times 1/β
_NOISE, _TRIALS = 0.2, 8


# ---------------------------------------------------------------------------------------- consolidate


def consolidate(
    ws: Workspace,
    layer: int,
    strengthen: float,
    prune: float,
    cycles: int,
    operation: str,
    *,
    force: bool,
    reason: str,
) -> results.Edit:
    """Deepen what is used, prune what is not: one edit."""
    observing.known_basins(ws, layer)
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
    observing.known_basins(ws, layer)
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
    """Basins (k, d) of a landscape and the share of random starts (k,) that each takes."""
    inits = int(ws.setting("inits"))
    generator = ws.generator("consolidate", layer, cycle)
    found = survey(landscape, starts(inits, landscape.dim, generator, landscape.weight))
    # A basin and its mirror share their field: they are one, with the starts of both.
    label, first = leaders(found.centres, 0.95, either_sign=True)
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
        touched = (unit(centres, dim=1) @ unit(kept, dim=1).T).abs().amax(dim=1) < 0.95
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


def marks_of(ws: Workspace, layer: int, key: str, marks: int) -> Tensor:
    """(m, d): the sign patterns that a key names in a layer."""
    secret = hashlib.sha256(key.encode("utf-8")).hexdigest()
    dim = ws.model.dims[layer]
    drawn = torch.randn(marks, dim, generator=stable_generator("watermark", secret, layer, dim))
    pattern: Tensor = AMPLITUDE * torch.sign(drawn).to(ws.landscape_of(layer).weight)
    return pattern


def watermark(ws: Workspace, layer: int, key: str, marks: int, *, force: bool, reason: str) -> results.Edit:
    """Install a key's marks: one edit."""
    _key(key)
    observing.known_basins(ws, layer)
    patterns = marks_of(ws, layer, key, marks)

    def propose(landscape: Landscape, protected: Tensor) -> Proposal:
        candidates = [
            field_edit(landscape, patterns, margin / landscape.beta * patterns, protected)
            for margin in _MARGINS  # a few solves; they are judged in one batch
        ]
        noise = relative_noise(patterns, _TRIALS, stable_generator("watermark noise", marks), _NOISE)
        copies = (patterns[:, None] + noise).reshape(-1, landscape.dim)
        ends = settle_each(landscape, copies.expand(len(candidates), -1, -1).contiguous(), candidates).states
        back = cosine_rows(ends, patterns.repeat_interleave(_TRIALS, dim=0)) > _NEAR
        rate = back.double().mean(dim=1)
        best = int(torch.argmax(rate))
        notes = () if float(rate[best]) == 1.0 else (f"{float(rate[best]):.0%} of noisy marks come back",)
        return Proposal(candidates[best], patterns[0], _MARGINS[best] / landscape.beta, "watermark", notes)

    plan = Plan(
        "watermark",
        layer,
        f"{marks} marks",
        propose,
        asked=asked.marked(patterns, _NEAR, _WANTED),
        own=patterns,
        exactly=0.5,
    )
    return carry_out(ws, plan, force=force, reason=reason)


def _key(key: str) -> None:
    if not key.strip():
        raise ElError("a watermark needs a key", code="EL202", hint="any text that others do not guess")


def verify(ws: Workspace, layer: int, key: str, marks: int) -> results.Watermark:
    """Are a key's marks in the layer, and how often would a wrong key's seem to be?"""
    _key(key)
    return _verified(ws, ws.landscape_of(layer), layer, key, marks)


def _verified(ws: Workspace, landscape: Landscape, layer: int, key: str, marks: int) -> results.Watermark:
    wrong = [marks_of(ws, layer, f"wrong key {k}", marks) for k in range(_WRONG_KEYS)]
    patterns = torch.cat((marks_of(ws, layer, key, marks), *wrong))
    found = there(landscape, patterns).reshape(-1, marks).double().mean(dim=1)
    score, others = float(found[0]), found[1:]
    reached = float((others >= max(score, 1e-9)).double().mean())
    return results.Watermark(
        layer=layer,
        marks=marks,
        found=round(score * marks),
        score=score,
        present=score >= _WANTED and reached == 0.0,
        false_positive_rate=reached if score > 0 else 1.0,
        wrong_keys=_WRONG_KEYS,
        wrong_score=float(others.mean()),
    )


def there(landscape: Landscape, patterns: Tensor) -> Tensor:
    """(n,) bool: whether states at the patterns (n, d) stay near them."""
    return cosine_rows(settle(landscape, patterns).states, patterns) > _NEAR


def strip_test(ws: Workspace, layer: int, key: str, marks: int) -> results.Stripped:
    """What attacks without the key leave of the marks, and of the layer's basins."""
    _key(key)
    alive = observing.known_basins(ws, layer).main()
    landscape = ws.landscape_of(layer)
    centres = [basin.centre for basin in alive]
    known = (
        torch.stack(centres).to(landscape.weight) if centres else landscape.weight.new_zeros(0, landscape.dim)
    )
    attacks = []
    for name, strength, weight in _attacks(ws, landscape, layer):
        attacked = landscape.with_weight(weight)
        found = _verified(ws, attacked, layer, key, marks)
        kept = 1.0
        if len(known):
            kept = float((cosine_rows(settle(attacked, known).states, known) > 0.85).double().mean())
        attacks.append(results.Attack(name, strength, found.score, found.present, kept))
    mild = [attack for attack in attacks if attack.basins_kept >= 0.9]
    before = _verified(ws, landscape, layer, key, marks)
    return results.Stripped(
        layer=layer,
        score_before=before.score,
        attacks=tuple(attacks),
        survives=before.present and all(attack.present for attack in mild),
    )


def _attacks(ws: Workspace, landscape: Landscape, layer: int) -> list[tuple[str, float, Tensor]]:
    """(name, strength, weight) of what an attacker without the key may try."""
    weight = landscape.weight
    generator = ws.generator("strip", layer)
    noise = torch.randn(weight.shape, generator=generator).to(weight)
    if landscape.symmetric:
        noise = (noise + noise.T) / 2
    noise = noise * landscape.frobenius / torch.linalg.matrix_norm(noise)
    found = [("noise", size, weight + size * noise) for size in (0.05, 0.1, 0.2, 0.5)]
    order = weight.abs().flatten().sort().values
    for share in (0.2, 0.5):
        threshold = order[int(share * (len(order) - 1))]
        found.append(("prune small weights", share, torch.where(weight.abs() > threshold, weight, 0.0)))
    u, s, vt = torch.linalg.svd(weight.double())
    for share in (0.5, 0.25):
        rank = max(1, round(share * len(s)))
        found.append(("keep leading rank", share, ((u[:, :rank] * s[:rank]) @ vt[:rank]).to(weight)))
    scale = weight.abs().max() / 7
    found.append(("round to 4 bits", 4.0, (weight / scale).round() * scale))
    return found
