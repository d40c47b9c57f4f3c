"""What do basins mean, and which of them does text visit?"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from energylang import results
from energylang.concepts.captured import pushes
from energylang.concepts.effects import against
from energylang.concepts.leaning import near, read_stream
from energylang.errors import ElError
from energylang.files.examples import labelled
from energylang.files.storage import located
from energylang.landscape.clusters import cosine_rows
from energylang.landscape.dynamics import trajectory
from energylang.landscape.energy import lyapunov
from energylang.looking.basins import known_basins
from energylang.looking.gauge import Gauge, standard_error
from energylang.looking.held import _Within, generate_live, scaling, standing
from energylang.looking.labels import told
from energylang.looking.maps import starts_in
from energylang.looking.parts import Parts, parts_of, random_parts, spanned
from energylang.looking.reading import live_registry, read
from energylang.looking.tokens import (
    Found,
    Reading,
    contexts_in,
    has_tokens,
    held,
    heldout,
    placed,
    read_most,
    said_by,
)
from energylang.models.positions import Tally
from energylang.models.protocol import Change
from energylang.models.states import count, count_prompt, reply_states, text_states, window_states
from energylang.signature.values import BasinRef, ConceptName, PartName, Seed
from energylang.workspace.history import Holding
from energylang.workspace.named import concept_at, concept_named, state_of
from energylang.workspace.workspace import Workspace, check_layer, counted, fit_hint

_SHUFFLES = 10
_DRAWS = 199  # passages of held-out text that a usage is set beside
_RISE = 1e-9  # relative; below, an energy has not risen


def usage(ws: Workspace, layer: int, concept: str | None, text: str | None) -> results.Usage:
    """Which basins text visits: the held-out text, a concept's texts, or words."""
    usual = read(ws, layer, heldout(ws)) if has_tokens(ws) else None
    if concept is None and text is None:
        return _usage(ws, layer, usual or read(ws, layer, heldout(ws)), "held-out text", None)
    if concept is not None and text is not None:
        raise ElError("usage is that of a concept or of a text", code="EL202", hint="leave one of them out")
    if text is not None:
        return _usage(ws, layer, _read_words(ws, layer, text), "text", usual)
    held_in = concept_named(ws, str(concept))
    if not held_in.texts:
        raise ElError(
            f"`{held_in.name}` was made of other concepts and has no texts to read",
            code="EL511",
            hint="name a concept that `capture` made",
        )
    live_registry(ws, layer)
    rows, states = reply_states(ws.text, held_in.texts, ws.read_at(layer), standing(ws))
    found = placed(ws, layer, ws.live(layer), states)
    return _usage(ws, layer, Reading(rows, found), f"concept {held_in.name}", usual)


def _usage(ws: Workspace, layer: int, reading: Reading, of: str, usual: Reading | None) -> results.Usage:
    """A reading by basins, beside that of the held-out text (``usual``) where it is another."""
    visits, flat, tokens = reading.visits(), reading.found.basins, reading.tokens
    if not tokens:
        raise ElError("there is no token in an empty text", code="EL201")
    by_basin = reading.held()
    total = sum(visits.values())
    shares = [count / total for count in visits.values()] if total else []
    order = torch.randperm(len(tokens), generator=ws.generator("usage", layer)).tolist()
    commonest = {basin: read_most(ws, by_basin[basin], 1)[0] for basin in visits}
    reference = usual.visits() if usual is not None else Counter()
    beside = _beside(ws, layer, reading, usual) if usual is not None else (None,) * 4
    rows = tuple(
        results.BasinUsage(
            basin=basin,
            visits=count,
            share=count / len(flat),
            token=commonest[basin].token,
            purity=commonest[basin].score,
            reference=None if usual is None else reference[basin] / len(usual.tokens),
        )
        for basin, count in visits.items()
    )
    _, registry = live_registry(ws, layer)
    return results.Usage(
        layer=layer,
        tokens=len(flat),
        visited=len(visits),
        known=len(registry.alive()),
        elsewhere=len(flat) - total,
        entropy_nats=abs(-sum(share * math.log(share) for share in shares)),
        selectivity=_selectivity(by_basin),
        selectivity_shuffled=_selectivity(held(flat, [tokens[i] for i in order])),
        basins=rows,
        of=of,
        to_zero=reading.found.to_zero,
        unsettled=reading.found.unsettled,
        reference_tokens=None if usual is None else len(usual.tokens),
        distance=beside[0],
        distance_chance=beside[1],
        distance_chance_std=beside[2],
        p=beside[3],
    )


def _beside(
    ws: Workspace, layer: int, reading: Reading, usual: Reading
) -> tuple[float | None, float | None, float | None, float | None]:
    """The total variation distance between two usages; the same for passages of the held-out text, as many and as long
    as the rows of the reading (mean, std), each against the rest of it; and the share of passages that are as far off.
    Chance is not known (``None``) where the rows are longer than a quarter of the held-out text."""
    place = {basin: k for k, basin in enumerate(dict.fromkeys((*reading.found.basins, *usual.found.basins)))}
    ours = torch.tensor([place[basin] for basin in reading.found.basins])
    theirs = torch.tensor([place[basin] for basin in usual.found.basins])
    whole = torch.bincount(theirs, minlength=len(place)).double()

    def apart(some: Tensor, rest: Tensor) -> float:
        return float((some / some.sum() - rest / rest.sum()).abs().sum()) / 2

    distance = apart(torch.bincount(ours, minlength=len(place)).double(), whole)
    if 4 * len(ours) > len(theirs):
        return distance, None, None, None
    generator = ws.generator("usage beside", layer)
    null = []
    for _ in range(_DRAWS):
        inside = torch.zeros(len(theirs), dtype=torch.bool)
        for row in reading.rows:
            begin = int(torch.randint(len(theirs) - len(row) + 1, (), generator=generator))
            inside[begin : begin + len(row)] = True
        some = torch.bincount(theirs[inside], minlength=len(place)).double()
        null.append(apart(some, whole - some))
    found = torch.tensor(null, dtype=torch.float64)
    p = (1 + int((found >= distance).sum())) / (1 + len(null))
    return distance, float(found.mean()), float(found.std()), p


def _selectivity(held: dict[int, Counter[int]]) -> float:
    total = sum(sum(counts.values()) for counts in held.values())
    return sum(counts.most_common(1)[0][1] for counts in held.values()) / total if total else 0.0


def contexts(ws: Workspace, layer: int, basin: BasinRef, top: int) -> results.BasinContexts:
    """Where in real text a basin is visited."""
    _exists(ws, layer, basin)
    reading = read(ws, layer, heldout(ws))
    return results.BasinContexts(
        layer=layer,
        basin=basin.basin,
        visits=reading.visits()[basin.basin],
        tokens=len(reading.tokens),
        contexts=tuple(contexts_in(ws, reading, basin.basin).get(basin.basin, [])[:top]),
    )


def _exists(ws: Workspace, layer: int, basin: BasinRef) -> Tensor:
    live_registry(ws, layer)
    known_basins(ws, layer)
    return state_of(ws, layer, basin)


@torch.no_grad()
def probe(ws: Workspace, layer: int, basin: BasinRef | int, top: int) -> results.Probe:
    """What a basin means: what its centre says through the head, and what settles in it."""
    known_basins(ws, layer)
    return probed(ws, layer, BasinRef(layer, basin) if isinstance(basin, int) else basin, top)


@torch.no_grad()
def probed(
    ws: Workspace, layer: int, basin: BasinRef, top: int, reading: Reading | None = None
) -> results.Probe:
    """The same for a basin that is known; ``reading`` is where the held-out text settles, if that is known already."""
    centre = _exists(ws, layer, basin)
    reading = reading or read(ws, layer, heldout(ws))
    text = ws.text
    likely = said_by(ws, layer, centre).softmax(dim=0).topk(min(top, text.tokenizer.size))
    inside = reading.held().get(basin.basin, Counter())
    visits = sum(inside.values())
    return results.Probe(
        layer=layer,
        basin=basin.basin,
        visits=visits,
        share=visits / max(1, len(reading.tokens)),
        says=tuple(
            results.TokenScore(text.token(token), score)
            for token, score in zip(likely.indices.tolist(), likely.values.tolist(), strict=True)
        ),
        holds=read_most(ws, inside, top),
        contexts=tuple(contexts_in(ws, reading, basin.basin).get(basin.basin, [])[:top]),
    )


def _passed(ws: Workspace, layer: int, words: str) -> tuple[list[int], Tensor]:
    """The tokens of words and their states (n, d) in a layer of the live model."""
    text = ws.text
    ids = text.opening + text.encode(words)[-(text.max_length - len(text.opening)) :]
    if len(ids) == len(text.opening):
        raise ElError("there is no token in an empty text", code="EL201")
    at = ws.read_at(layer)
    passed = text.forward(torch.tensor([ids], device=ws.model.device), change=standing(ws), read=(at,))
    return ids, passed.states[at][0]


@torch.no_grad()
def _read_words(ws: Workspace, layer: int, words: str) -> Reading:
    """Where the tokens of words settle, read as ``trace`` reads them."""
    check_layer(ws.model, layer)
    ids, states = _passed(ws, layer, words)
    live_registry(ws, layer)
    return Reading([ids], placed(ws, layer, ws.live(layer), states))


@torch.no_grad()
def trace(ws: Workspace, layer: int, text: str) -> results.Trace:
    """The convergence path of every token of a text; in a stream, what its state says."""
    check_layer(ws.model, layer)
    ids, states = _passed(ws, layer, text)
    read = count(ws.text, ws.text.encode(text), len(ids) - len(ws.text.opening))
    if not ws.has_landscape(layer):
        stream = read_stream(ws, layer, ids, states)
        return results.Trace(layer, text, (), 0.0, 0, 0, 0, stream, read.given, read.read, read.unknown)
    rows, rises, found = _traced(ws, layer, ids, states)
    return results.Trace(
        layer=layer,
        text=text,
        tokens=rows,
        mean_iterations=sum(row.iterations for row in rows) / len(rows),
        rises=rises,
        to_zero=found.to_zero,
        unsettled=found.unsettled,
        given=read.given,
        read=read.read,
        unknown=read.unknown,
    )


def _traced(
    ws: Workspace, layer: int, ids: Sequence[int], states: Tensor
) -> tuple[tuple[results.TracedToken, ...], int, Found]:
    """What becomes of the states (n, d) of tokens in the live landscape, and how often an energy rose."""
    landscape, _ = live_registry(ws, layer)
    states = states.to(landscape.weight)
    way, end = trajectory(landscape, states, eps=float(ws.setting("eps")))
    steps, n, dim = way.shape
    energies = lyapunov(landscape, way.reshape(steps * n, dim)).reshape(steps, n)
    found = placed(ws, layer, ws.live(layer), states)
    rises = 0
    rows = []
    for k, token in enumerate(ids):
        taken = int(end.iterations[k])
        path = energies[: taken + 1, k]
        scale = path.where(path.isfinite(), 1.0).abs().max().clamp_min(1.0)
        rises += int((path[1:] > path[:-1] + _RISE * scale).sum())
        named = found.basins[k] >= 0
        rows.append(
            results.TracedToken(
                token=ws.text.token(token),
                basin=found.basins[k] if named else None,
                cosine=found.cosines[k] if named else None,
                iterations=taken,
                settled=found.settled[k],
                path=results.Descent(tuple(e if math.isfinite(e) else None for e in path.tolist())),
            )
        )
    return tuple(rows), rises, found


def trace_generation(
    ws: Workspace, layer: int, prompt: str, tokens: int, temp: float, topk: int, seed: int
) -> results.Trajectory:
    """What the live model replies, and through which basins of a layer it goes."""
    check_layer(ws.model, layer)
    at = ws.read_at(layer)
    made = generate_live(ws, prompt, tokens=tokens, temp=temp, topk=topk, seed=seed, read=(at,))
    read = count_prompt(ws.text, prompt)
    if not ws.has_landscape(layer):
        return results.Trajectory(
            layer,
            prompt,
            made.text,
            seed,
            (),
            (),
            tuple(str(held) for held in ws.state.interventions.values()),
            stream=read_stream(ws, layer, made.token_ids, made.states[layer]) if made.token_ids else (),
            given=read.given,
            read=read.read,
            unknown=read.unknown,
        )
    rows, _, found = _traced(ws, layer, made.token_ids, made.states[at])
    visited = dict.fromkeys(row.basin for row in rows if row.basin is not None)
    return results.Trajectory(
        layer=layer,
        prompt=prompt,
        text=made.text,
        seed=seed,
        tokens=rows,
        basins=tuple(visited),
        interventions=tuple(str(held) for held in ws.state.interventions.values()),
        to_zero=found.to_zero,
        unsettled=found.unsettled,
        given=read.given,
        read=read.read,
        unknown=read.unknown,
    )


def neighbours(
    ws: Workspace, layer: int, target: BasinRef | ConceptName | Seed, top: int
) -> results.Neighbours:
    """The basins nearest to a direction, each with a text that settles in it; in a stream tokens, neurons, concepts."""
    if not (ws.model.landscape or (ws.has_landscape(layer) and isinstance(target, BasinRef))):
        return _near_stream(ws, layer, target, top)
    known = known_basins(ws, layer)
    direction = state_of(ws, layer, target)
    alive = [
        basin for basin in known.alive() if not (isinstance(target, BasinRef) and basin.id == target.basin)
    ]
    if not alive:
        return results.Neighbours(layer, str(target), ())
    cosines = cosine_rows(torch.stack([basin.centre for basin in alive]).to(direction), direction)
    best = torch.sort(cosines, descending=True, stable=True)
    chosen = [(alive[int(i)], float(c)) for c, i in zip(best.values[:top], best.indices[:top], strict=True)]
    examples: dict[int, str] = {}
    if has_tokens(ws):
        reading = read(ws, layer, heldout(ws))
        for basin, _ in chosen:
            found = contexts_in(ws, reading, basin.id).get(basin.id)
            examples[basin.id] = str(found[0]) if found else ""
    return results.Neighbours(
        layer,
        str(target),
        tuple(
            results.Neighbour(basin.id, cosine, starts_in(known, basin), examples.get(basin.id, ""))
            for basin, cosine in chosen
        ),
    )


def _near_stream(
    ws: Workspace, layer: int, target: BasinRef | ConceptName | Seed, top: int
) -> results.Neighbours:
    ws.text  # noqa: B018 - says what is missing
    name = target.name if isinstance(target, ConceptName) else ""
    if name:
        direction = pushes(ws, concept_at(ws, layer, name), (layer,))[layer]
    elif isinstance(target, BasinRef):
        raise ElError(
            f"{target} is no place of {ws.model.spec}: its layers are a stream",
            code="EL251",
            hint=fit_hint(layer),
        )
    else:
        direction = state_of(ws, layer, target)
    said, neurons, concepts = near(ws, layer, direction, top, besides=name)
    return results.Neighbours(layer, str(target), (), said, neurons, concepts)


def classify(
    ws: Workspace, layer: int, of: str, labels: str | None, column: str, label: str
) -> results.Classification:
    """How much of a token the basin tells, or (``labels``) how well a text's state tells its label."""
    if labels is not None:
        return _classify_labels(ws, layer, labels, column, label)
    if not ws.has_landscape(layer):
        raise ElError(
            f"L{layer} of {ws.model.spec} has no landscape",
            code="EL251",
            hint='classify with labels="file.json", texts with labels of your own',
        )
    return _classify_basins(ws, layer, of)


@torch.no_grad()
def _classify_labels(ws: Workspace, layer: int, path: str, column: str, label: str) -> results.Classification:
    """A linear probe on the states of labelled texts, judged on texts it was not fitted to."""
    pairs = labelled(located(path, ws.base), path, column, label)
    names = sorted({label for _, label in pairs})
    counts = Counter(label for _, label in pairs)
    if len(names) < 2 or min(counts.values()) < 4:
        raise ElError(
            f"{path} has {len(names)} labels, the rarest with {min(counts.values(), default=0)} texts",
            code="EL503",
            hint="a probe needs two labels or more, with at least four texts each",
        )
    texts, ids = [text for text, _ in pairs], [names.index(label) for _, label in pairs]
    states = text_states(ws.text, texts, layer, ws.text.spoken_at).cpu()
    generator = ws.generator("classify", layer, path)
    right = told(states, ids, generator).double()
    shuffled = []
    for _ in range(2 * _SHUFFLES):
        order = torch.randperm(len(ids), generator=generator).tolist()
        mixed = [ids[k] for k in order]
        shuffled.append(float(told(states, mixed, generator).double().mean()))
    accuracy = float(right.mean())
    mean, spread, z = against(shuffled, accuracy)
    return results.Classification(
        layer=layer,
        of="labels",
        accuracy=accuracy,
        shuffled=mean,
        shuffled_std=spread,
        z=z,
        majority=max(counts.values()) / len(ids),
        basins=0,
        fitted_on=len(ids) // 2,
        tested_on=len(ids),
        labels=tuple(names),
        error=standard_error(right),
    )


def _classify_basins(ws: Workspace, layer: int, of: str) -> results.Classification:
    """How much of the token (or the next one) the basin's identity tells, against shuffled basins.

    The probe is linear on the one-hot identity of the basin: its least-squares fit says, for every basin, how often
    each token came with it, and its choice is the commonest.
    """
    text = ws.text
    windows = heldout(ws)
    fit = read(ws, layer, windows)
    test = read(ws, layer, text.measuring_windows(len(windows))[:, :-1], register=False)
    shift = 0 if of == "token" else 1
    train, held = _pairs(fit, shift), _pairs(test, shift)
    commonest = Counter(token for _, token in train).most_common(1)[0][0]
    majority = sum(token == commonest for _, token in held) / len(held)
    accuracy = _accuracy(train, held, commonest)
    generator = ws.generator("classify", layer, of)
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
    for tokens, basins in zip(reading.rows, reading.basins, strict=True):
        found += list(zip(basins[: len(tokens) - shift], tokens[shift:], strict=True))
    return found


def _accuracy(train: list[tuple[int, int]], held: list[tuple[int, int]], otherwise: int) -> float:
    table: dict[int, Counter[int]] = defaultdict(Counter)
    for basin, token in train:
        table[basin][token] += 1
    choice = {basin: counts.most_common(1)[0][0] for basin, counts in table.items()}
    return sum(choice.get(basin, otherwise) == token for basin, token in held) / len(held)


@torch.no_grad()
def ablate(
    ws: Workspace, parts: tuple[BasinRef | PartName | ConceptName, ...], placebos: int, at: str
) -> results.Ablation:
    """The loss without some basins, neurons, heads or concepts, against as many random ones."""
    kinds = {part.kind if isinstance(part, PartName) else type(part).__name__ for part in parts}
    if len(kinds) > 1:
        raise ElError(
            "parts of several kinds cannot be set beside random ones together",
            code="EL510",
            hint="take basins, neurons, heads and concepts one kind at a time",
        )
    basins = tuple(part for part in parts if isinstance(part, BasinRef))
    others = tuple(part for part in parts if not isinstance(part, BasinRef))
    generator = ws.generator("ablate", *(str(part) for part in sorted(parts, key=str)))
    if basins:
        layer = one_layer(basins)
        if not ws.has_landscape(layer):
            raise ElError(f"L{layer} of {ws.model.spec} has no landscape", code="EL251", hint=fit_hint(layer))
        named, pool = _basins_and_others(ws, layer, basins)
        generator = ws.generator("ablate", layer, *sorted({basin.basin for basin in basins}))
        taken = Parts(directions={layer: spanned(named)})

        def random() -> Parts:
            pick = torch.randperm(len(pool), generator=generator)[: len(named)]
            return Parts(directions={layer: spanned(pool[pick])})
    else:
        at_home = {part.name: _home(ws, part.name) for part in others if isinstance(part, ConceptName)}
        taken = parts_of(ws, [part for part in others if not isinstance(part, BasinRef)], at_home)
        layer = taken.lowest

        def random() -> Parts:
            return random_parts(ws, taken, generator)

    tally = Tally()
    below = layer - 1 if taken.heads else layer  # a head writes before the layer's own start
    text = ws.text
    gauge = Gauge(ws, below, text.measuring_windows(text.sizes.windows))
    base = gauge.losses(Change())
    after = gauge.losses(
        scaling(ws, taken.neurons, taken.heads, taken.directions, 0.0, at, tally, of_basins=bool(basins))
    )
    null = []
    for control in counted(ws, range(placebos), "random parts"):
        del control
        made = random()
        without = scaling(ws, made.neurons, made.heads, made.directions, 0.0, at, of_basins=bool(basins))
        null.append(gauge.rise(without, base))
    change = (after - base) / base.mean()
    mean, spread, z = against(null, float(change.mean()))
    return results.Ablation(
        layer=layer,
        basins=tuple(sorted({basin.basin for basin in basins})),
        rank=sum(len(rows) for rows in taken.directions.values()),
        loss_before=float(base.mean()),
        loss_after=float(after.mean()),
        loss_change=float(change.mean()),
        loss_change_error=standard_error(change),
        placebo=mean,
        placebo_std=spread,
        z=z,
        placebos=placebos,
        parts=tuple(dict.fromkeys(str(part) for part in parts)),
        at=at,
        touched=tally.touched,
        seen=tally.seen,
    )


def _home(ws: Workspace, name: str) -> tuple[int, Tensor]:
    """The layer of a concept, and its direction (d,) there."""
    layer = concept_named(ws, name).layer
    return layer, pushes(ws, concept_named(ws, name), (layer,))[layer]


def _basins_and_others(ws: Workspace, layer: int, basins: tuple[BasinRef, ...]) -> tuple[Tensor, Tensor]:
    """(k, d) the centres of basins, and (n, d) those of the other basins of the layer, at least as many."""
    known_basins(ws, layer)
    named = torch.stack([state_of(ws, layer, basin) for basin in basins])
    chosen = {basin.basin for basin in basins}
    others = [basin.centre for basin in ws.staged(layer).registry.alive() if basin.id not in chosen]
    if len(others) < len(chosen):
        raise ElError(
            f"L{layer} has {len(others)} other basins: too few to compare {len(chosen)} with",
            code="EL510",
            hint="ablate fewer at a time",
        )
    return named, torch.stack(others).to(named)


KINDS = ("zero", "clamp", "boost", "swap")
_DEFAULT = {"clamp": 1.0, "boost": 2.0}


def intervene(
    ws: Workspace, layer: int, basin: BasinRef, kind: str, swap: BasinRef | None, amount: float | None
) -> results.Intervened:
    """Begin an intervention; one of the same basin is replaced."""
    if swap is not None and kind != "zero":
        raise ElError(f"a basin cannot be swapped and held at {kind} at once", code="EL202")
    kind = "swap" if swap is not None else kind
    known_basins(ws, layer)
    centre = state_of(ws, layer, basin)
    other = None
    if swap is not None:
        other = state_of(ws, layer, swap)
        if swap == basin:
            raise ElError(f"{basin} cannot be swapped with itself", code="EL510")
    if amount is not None and kind not in _DEFAULT:
        raise ElError(f"{kind} has no amount", code="EL202", hint="amount belongs to clamp and boost")
    alive = ws.staged(layer).registry.alive()
    holding = Holding(
        layer=layer,
        basin=basin.basin,
        kind=kind,
        amount=_DEFAULT.get(kind, 0.0) if amount is None else amount,
        centres=torch.stack([known.centre for known in alive]).to(centre),
        index=next(i for i, known in enumerate(alive) if known.id == basin.basin),
        to=None if swap is None else swap.basin,
        other=other,
    )
    ws.state = replace(ws.state, interventions={**ws.state.interventions, str(basin): holding})
    reach, tokens = _reach(ws, holding)
    return results.Intervened(
        layer=layer,
        basin=basin.basin,
        kind=kind,
        amount=holding.amount if kind in _DEFAULT else None,
        to=holding.to,
        reach=reach,
        tokens=tokens,
        active=tuple(str(held) for held in ws.state.interventions.values()),
    )


@torch.no_grad()
def _reach(ws: Workspace, holding: Holding) -> tuple[int, int]:
    """How many of the held-out tokens looked at are in the basin, and how many that were."""
    text = ws.text
    if text.heldout is None:
        return 0, 0
    at = ws.read_at(holding.layer)
    states = window_states(text, text.reading_windows(), read=(at,))[at]
    total = states[..., 0].numel()
    return total if holding.kind == "clamp" else int(_Within(ws, holding)(states).sum()), total


def generate(
    ws: Workspace, prompt: str, tokens: int, temp: float, topk: int, seed: int
) -> results.Generation:
    """What the live model says, and the basin from which each token was chosen."""
    text = ws.text
    places = {ws.read_at(i): i for i in range(ws.model.num_layers) if ws.has_landscape(i)}
    tally = Tally()
    made = generate_live(ws, prompt, tokens=tokens, temp=temp, topk=topk, seed=seed, read=places, tally=tally)
    read_in = {
        places[at]: placed(ws, places[at], ws.live(places[at]), states) for at, states in made.states.items()
    }
    found = list(read_in.values())
    columns = [read_in.get(layer) for layer in range(max(read_in, default=-1) + 1)]
    steps = tuple(
        results.TokenStep(
            text.token(token),
            tuple(at.basins[i] if at is not None and at.basins[i] >= 0 else None for at in columns),
            tuple(at.cosines[i] if at is not None and at.basins[i] >= 0 else None for at in columns),
        )
        for i, token in enumerate(made.token_ids)
    )
    read = count_prompt(text, prompt)
    return results.Generation(
        prompt=prompt,
        text=made.text,
        tokens=len(made.token_ids),
        seed=seed,
        temp=temp,
        topk=topk,
        steps=steps,
        to_zero=sum(column.to_zero for column in found),
        unsettled=sum(column.unsettled for column in found),
        held=tuple(str(held) for held in ws.state.interventions.values()),
        touched=tally.touched,
        seen=tally.seen,
        given=read.given,
        read=read.read,
        unknown=read.unknown,
    )


def one_layer(basins: tuple[BasinRef, ...]) -> int:
    """The layer of all of these basins."""
    layers = {basin.layer for basin in basins}
    if len(layers) != 1:
        raise ElError(
            "basins of several layers cannot be taken together", code="EL510", hint="one layer at a time"
        )
    return layers.pop()
