"""What do basins mean, and which of them does text visit?

Every token of a text settles somewhere: its state in the LIVE model (with the session's interventions) is settled in
the live landscape, and the nearest known basin within cosine 0.95 is its basin. A layer that was not surveyed is
surveyed first. ``Reading`` holds that for a set of windows of the held-out text; the operations here are ways to look
at it.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from energylang import results
from energylang.errors import ElError
from energylang.landscape.clusters import cosine_rows, gram
from energylang.landscape.dynamics import settle, trajectory
from energylang.landscape.energy import lyapunov
from energylang.landscape.layer import Landscape
from energylang.landscape.lineage import Registry
from energylang.models import attention, hlm
from energylang.models.protocol import Intervention
from energylang.models.states import chunks
from energylang.values import BasinRef, Concept, Seed

from .effects import MEASURING_WINDOWS, Gauge, against, standard_error
from .interventions import standing
from .observing import name_of

if TYPE_CHECKING:
    from .workbench import Workbench

WINDOWS = 48
_AROUND = 6  # words of context on either side
_SHUFFLES = 10
_RISE = 1e-9  # relative; below, an energy has not risen


@dataclass(frozen=True, eq=False)
class Reading:
    """Tokens of windows (w, t), the known basin of each (−1: none) and the cosine to its centre, row by row."""

    windows: Tensor
    basins: list[list[int]]
    cosines: list[list[float]]

    def visits(self) -> Counter[int]:
        return Counter(basin for row in self.basins for basin in row if basin >= 0)


def live_registry(session: Workbench, layer: int) -> tuple[Landscape, Registry]:
    """The live landscape of a layer and the basins known in it."""
    session.check_layer(layer)
    version = session.state.layers[layer].live
    if version is session.staged(layer):
        session.known_basins(layer)
    elif not version.registry.basins:
        version = session.staged(layer)
        session.known_basins(layer)
    return session.landscape_of(layer, session.state.layers[layer].live), version.registry


@torch.no_grad()
def read(session: Workbench, layer: int, windows: Tensor) -> Reading:
    """In which basin of the live layer does every token of the windows (w, t) settle?"""
    landscape, registry = live_registry(session, layer)
    text, change = session.text, standing(session)
    states = [text.forward(part, intervention=change).states[layer] for part in chunks(windows)]
    found = torch.cat(states).to(landscape.weight)
    basins, cosines = _placed(session, landscape, registry, found.flatten(0, 1))
    width = windows.shape[1]
    rows = range(0, len(basins), width)
    return Reading(windows, [basins[i : i + width] for i in rows], [cosines[i : i + width] for i in rows])


def _placed(
    session: Workbench, landscape: Landscape, registry: Registry, states: Tensor
) -> tuple[list[int], list[float]]:
    """Basin id (−1: none) and cosine to the nearest known centre, of states (n, d)."""
    ends = settle(landscape, states, eps=float(session.setting("eps"))).states
    names = [-1 if name is None else name for name in name_of(registry, ends)]
    alive = registry.alive()
    if not alive:
        return names, [0.0] * len(names)
    centres = torch.stack([basin.centre for basin in alive]).to(ends)
    cosines: list[float] = gram(ends, centres).amax(dim=1).tolist()
    return names, cosines


def heldout(session: Workbench) -> Tensor:
    """(w, t): the windows of held-out text by which basins are read."""
    return session.text.choosing_windows(WINDOWS)[:, :-1]


# --------------------------------------------------------------------------------------------- usage


def usage(session: Workbench, layer: int) -> results.Usage:
    """Which basins real text visits."""
    reading = read(session, layer, heldout(session))
    visits = reading.visits()
    tokens = reading.windows.flatten().tolist()
    flat = [basin for row in reading.basins for basin in row]
    held = _held(flat, tokens)
    total = sum(visits.values())
    shares = [count / total for count in visits.values()] if total else []
    order = torch.randperm(len(tokens), generator=session.generator("usage", layer)).tolist()
    text = session.text
    rows = tuple(
        results.BasinUsage(
            basin=basin,
            visits=count,
            share=count / len(flat),
            token=text.token(held[basin].most_common(1)[0][0]),
            purity=held[basin].most_common(1)[0][1] / count,
        )
        for basin, count in visits.most_common()
    )
    _, registry = live_registry(session, layer)
    return results.Usage(
        layer=layer,
        tokens=len(flat),
        visited=len(visits),
        known=len(registry.alive()),
        elsewhere=len(flat) - total,
        entropy_nats=abs(-sum(share * math.log(share) for share in shares)),
        selectivity=_selectivity(held),
        selectivity_shuffled=_selectivity(_held(flat, [tokens[i] for i in order])),
        basins=rows,
    )


def _held(basins: Sequence[int], tokens: Sequence[int]) -> dict[int, Counter[int]]:
    """How often each token settles in each basin."""
    found: dict[int, Counter[int]] = defaultdict(Counter)
    for basin, token in zip(basins, tokens, strict=True):
        if basin >= 0:
            found[basin][token] += 1
    return found


def _selectivity(held: dict[int, Counter[int]]) -> float:
    total = sum(sum(counts.values()) for counts in held.values())
    return sum(counts.most_common(1)[0][1] for counts in held.values()) / total if total else 0.0


# ------------------------------------------------------------------------------------ probe, contexts


def contexts(session: Workbench, layer: int, basin: BasinRef, top: int) -> results.BasinContexts:
    """Where in real text a basin is visited."""
    _exists(session, layer, basin)
    reading = read(session, layer, heldout(session))
    found = _contexts(session, reading, basin.basin)
    return results.BasinContexts(
        layer=layer,
        basin=basin.basin,
        visits=len(found),
        tokens=reading.windows.numel(),
        contexts=tuple(found[:top]),
    )


def _exists(session: Workbench, layer: int, basin: BasinRef) -> Tensor:
    live_registry(session, layer)
    session.known_basins(layer)
    return session.direction(layer, basin)


def _contexts(session: Workbench, reading: Reading, basin: int) -> list[results.Context]:
    """All visits of a basin, the most active first; every context once."""
    text = session.text
    found: dict[str, results.Context] = {}
    for tokens, names, cosines in zip(reading.windows.tolist(), reading.basins, reading.cosines, strict=True):
        for place, name in enumerate(names):
            if name != basin:
                continue
            context = results.Context(
                before=text.decode(tokens[max(0, place - _AROUND) : place]).replace("\n", " ⏎ "),
                token=text.token(tokens[place]).strip() or "⏎",
                after=text.decode(tokens[place + 1 : place + 1 + _AROUND]).replace("\n", " ⏎ "),
                activation=cosines[place],
            )
            found.setdefault(str(context), context)
    return sorted(found.values(), key=lambda context: -context.activation)


@torch.no_grad()
def probe(
    session: Workbench, layer: int, basin: BasinRef, top: int, reading: Reading | None = None
) -> results.Probe:
    """What a basin means: what its centre says through the head, and what settles in it (``reading``: where the
    held-out text settles, if that is known already)."""
    centre = _exists(session, layer, basin)
    reading = reading or read(session, layer, heldout(session))
    text = session.text
    likely = said_by(session, layer, centre).softmax(dim=0).topk(min(top, text.tokenizer.size))
    tokens = reading.windows.flatten().tolist()
    flat = [name for row in reading.basins for name in row]
    held = _held(flat, tokens).get(basin.basin, Counter())
    visits = sum(held.values())
    return results.Probe(
        layer=layer,
        basin=basin.basin,
        visits=visits,
        share=visits / len(flat) if flat else 0.0,
        says=tuple(
            results.TokenScore(text.token(token), score)
            for token, score in zip(likely.indices.tolist(), likely.values.tolist(), strict=True)
        ),
        holds=tuple(
            results.TokenScore(text.token(token), count / visits) for token, count in held.most_common(top)
        ),
        contexts=tuple(_contexts(session, reading, basin.basin)[:top]),
    )


def said_by(session: Workbench, layer: int, state: Tensor) -> Tensor:
    """(v,): the logits that a state (d,) of a layer gives through its output map and the head alone."""
    config = session.text.config
    if not isinstance(config, hlm.HLMConfig):
        raise ElError(f"{session.model.spec} has no Hopfield layer whose states could speak", code="EL250")
    live = session.model.live
    output = live[f"blocks.{session.model.block(layer)}.hopfield.output.weight"]
    logits: Tensor = attention.head(live, functional.linear(state.to(output), output)).float()
    return logits


# ---------------------------------------------------------------------------------------------- trace


@torch.no_grad()
def trace(session: Workbench, layer: int, words: str) -> results.Trace:
    """The convergence path of every token of a text."""
    text = session.text
    ids = text.encode(words)[-text.max_length :]
    if not ids:
        raise ElError("there is no token to trace in an empty text", code="EL201")
    passed = text.forward(torch.tensor([ids], device=session.model.device), intervention=standing(session))
    rows, rises = _traced(session, layer, ids, passed.states[layer][0])
    return results.Trace(
        layer=layer,
        text=words,
        tokens=rows,
        mean_iterations=sum(row.iterations for row in rows) / len(rows),
        rises=rises,
    )


def _traced(
    session: Workbench, layer: int, ids: Sequence[int], states: Tensor
) -> tuple[tuple[results.TracedToken, ...], int]:
    """What becomes of the states (n, d) of tokens in the live landscape, and how often an energy rose."""
    landscape, registry = live_registry(session, layer)
    way, end = trajectory(landscape, states.to(landscape.weight), eps=float(session.setting("eps")))
    steps, n, dim = way.shape
    energies = lyapunov(landscape, way.reshape(steps * n, dim)).reshape(steps, n)
    names = name_of(registry, end.states)
    alive = registry.alive()
    nearest = torch.zeros(n)
    if alive:
        nearest = gram(end.states, torch.stack([basin.centre for basin in alive]).to(end.states)).amax(dim=1)
    rises = 0
    rows = []
    for k, token in enumerate(ids):
        taken = int(end.iterations[k])
        path = energies[: taken + 1, k]
        scale = path.abs().max().clamp_min(1.0)
        rises += int((path[1:] > path[:-1] + _RISE * scale).sum())
        rows.append(
            results.TracedToken(
                token=session.text.token(token),
                basin=names[k],
                cosine=float(nearest[k]),
                iterations=taken,
                settled=bool(end.settled[k]),
                path=results.Descent(tuple(path.tolist())),
            )
        )
    return tuple(rows), rises


def trace_generation(
    session: Workbench, layer: int, prompt: str, *, tokens: int, temp: float, topk: int, seed: int
) -> results.Trajectory:
    """What the live model replies, and through which basins of a layer it goes."""
    made = session.generate_live(prompt, tokens=tokens, temp=temp, topk=topk, seed=seed)
    rows, _ = _traced(session, layer, made.token_ids, made.states[layer])
    visited = dict.fromkeys(row.basin for row in rows if row.basin is not None)
    return results.Trajectory(
        layer=layer,
        prompt=prompt,
        text=made.text,
        seed=seed,
        tokens=rows,
        basins=tuple(visited),
        interventions=tuple(str(held) for held in session.state.interventions.values()),
    )


# ----------------------------------------------------------------------------------------- neighbours


def neighbours(
    session: Workbench, layer: int, target: BasinRef | Concept | Seed, top: int
) -> results.Neighbours:
    """The basins nearest to a direction, each with a text that settles in it."""
    session.known_basins(layer)
    direction = session.direction(layer, target)
    alive = [
        basin
        for basin in session.registry(layer).alive()
        if not (isinstance(target, BasinRef) and basin.id == target.basin)
    ]
    if not alive:
        return results.Neighbours(layer, str(target), ())
    cosines = cosine_rows(torch.stack([basin.centre for basin in alive]).to(direction), direction)
    best = torch.sort(cosines, descending=True, stable=True)
    chosen = [(alive[int(i)], float(c)) for c, i in zip(best.values[:top], best.indices[:top], strict=True)]
    examples: dict[int, str] = {}
    if session.model.text is not None and session.model.text.heldout is not None:
        reading = read(session, layer, heldout(session))
        for basin, _ in chosen:
            found = _contexts(session, reading, basin.id)
            examples[basin.id] = str(found[0]) if found else ""
    return results.Neighbours(
        layer,
        str(target),
        tuple(
            results.Neighbour(basin.id, cosine, basin.population, examples.get(basin.id, ""))
            for basin, cosine in chosen
        ),
    )


# ------------------------------------------------------------------------------- classify and ablate


def classify(session: Workbench, layer: int, of: str) -> results.Classification:
    """How much of the token (or the next one) the basin's identity tells, against shuffled basins.

    The probe is linear on the one-hot identity of the basin: its least-squares fit says, for every basin, how often
    each token came with it, and its choice is the commonest.
    """
    text = session.text
    fit = read(session, layer, text.choosing_windows(WINDOWS)[:, :-1])
    test = read(session, layer, text.measuring_windows(WINDOWS)[:, :-1])
    shift = 0 if of == "token" else 1
    train, held = _pairs(fit, shift), _pairs(test, shift)
    commonest = Counter(token for _, token in train).most_common(1)[0][0]
    majority = sum(token == commonest for _, token in held) / len(held)
    accuracy = _accuracy(train, held, commonest)
    generator = session.generator("classify", layer, of)
    shuffled = []
    for _ in range(_SHUFFLES):
        order = torch.randperm(len(train), generator=generator).tolist()
        mixed = [(train[i][0], token) for i, (_, token) in zip(order, train, strict=True)]
        shuffled.append(_accuracy(mixed, held, commonest))
    mean, spread, z = against(shuffled, accuracy)
    return results.Classification(
        layer=layer,
        of=of,
        accuracy=accuracy,
        shuffled=mean,
        shuffled_std=spread,
        z=z,
        majority=majority,
        basins=len({basin for basin, _ in train}),
        fitted_on=len(train),
        tested_on=len(held),
    )


def _pairs(reading: Reading, shift: int) -> list[tuple[int, int]]:
    """(basin, token) at every place, the token ``shift`` places on."""
    found = []
    for tokens, basins in zip(reading.windows.tolist(), reading.basins, strict=True):
        found += list(zip(basins[: len(tokens) - shift], tokens[shift:], strict=True))
    return found


def _accuracy(train: list[tuple[int, int]], held: list[tuple[int, int]], otherwise: int) -> float:
    table: dict[int, Counter[int]] = defaultdict(Counter)
    for basin, token in train:
        table[basin][token] += 1
    choice = {basin: counts.most_common(1)[0][0] for basin, counts in table.items()}
    return sum(choice.get(basin, otherwise) == token for basin, token in held) / len(held)


@torch.no_grad()
def ablate(session: Workbench, layer: int, basins: tuple[BasinRef, ...], placebos: int) -> results.Ablation:
    """The loss without the subspace of some basins, against random basins."""
    session.known_basins(layer)
    named = torch.stack([session.direction(layer, basin) for basin in basins])
    chosen = {basin.basin for basin in basins}
    others = [basin.centre for basin in session.registry(layer).alive() if basin.id not in chosen]
    if len(others) < len(chosen):
        raise ElError(
            f"L{layer} has {len(others)} other basins: too few to compare {len(chosen)} with",
            code="EL510",
            hint="ablate fewer at a time",
        )
    gauge = Gauge(session, layer, session.text.measuring_windows(MEASURING_WINDOWS))
    base = gauge.losses(Intervention())
    after = gauge.losses(_without(layer, named))
    generator = session.generator("ablate", layer, *sorted(chosen))
    pool = torch.stack(others).to(named)
    null = []
    for _ in range(placebos):
        pick = torch.randperm(len(pool), generator=generator)[: len(chosen)]
        null.append(gauge.rise(_without(layer, pool[pick]), base))
    change = (after - base) / base.mean()
    mean, spread, z = against(null, float(change.mean()))
    return results.Ablation(
        layer=layer,
        basins=tuple(sorted(chosen)),
        rank=int(torch.linalg.matrix_rank(named.double())),
        loss_before=float(base.mean()),
        loss_after=float(after.mean()),
        loss_change=float(change.mean()),
        loss_change_error=standard_error(change),
        placebo=mean,
        placebo_std=spread,
        z=z,
        placebos=placebos,
    )


def _without(layer: int, centres: Tensor) -> Intervention:
    """A pass with the span of the centres (k, d) projected out of a layer's states."""
    basis = torch.linalg.qr(centres.double().T)[0].to(centres)

    def project(states: Tensor) -> Tensor:
        span = basis.to(states)
        rest: Tensor = states - (states @ span) @ span.T
        return rest

    return Intervention(state={layer: project})
