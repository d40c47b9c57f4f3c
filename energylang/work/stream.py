"""Stream: what is held in every pass of the live model, and by what text a model is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from energylang import results
from energylang.concepts.captured import pushes
from energylang.concepts.effects import against
from energylang.errors import ElError
from energylang.files.examples import examples, words_of
from energylang.files.storage import located
from energylang.looking.held import pushing, scaling, standing
from energylang.looking.parts import parts_of
from energylang.models.positions import Tally
from energylang.models.protocol import Change
from energylang.signature.values import BasinRef, ConceptName, PartName
from energylang.workspace.history import Push, Scaling
from energylang.workspace.named import concept_at, concept_named
from energylang.workspace.workspace import Workspace, counted

_PROMPTS = 16  # in which positions are counted
_FEWEST = 4
_NO_GAP = 0.01  # nats


@torch.no_grad()
def push(
    ws: Workspace, layer: tuple[int, ...] | None, concept: str, strength: float, at: str
) -> results.Held:
    """Hold a push towards a concept in every pass."""
    named = concept_named(ws, concept)
    layers = (named.layer,) if layer is None else layer or tuple(range(ws.model.num_layers))
    if len(layers) == 1 and ws.model.landscape:
        named = concept_at(ws, layers[0], concept)
    held = Push(concept, float(strength), at, pushes(ws, named, layers))
    change = pushing(ws, held.directions, held.strength, at, tally := Tally())
    return _hold(ws, held, at, change, tally)


@torch.no_grad()
def scale(
    ws: Workspace, parts: Sequence[BasinRef | PartName | ConceptName], factor: float, at: str
) -> results.Held:
    """Hold a scaling of neurons, heads and concepts in every pass."""
    named = [part for part in parts if not isinstance(part, BasinRef)]
    if len(named) < len(parts):
        raise ElError(
            "basins are not scaled: where one begins depends on the state",
            code="EL510",
            hint="`intervene` changes what is read where a token is in a basin",
        )
    homes = {}
    for part in named:
        if isinstance(part, ConceptName):
            known = concept_named(ws, part.name)
            homes[part.name] = (known.layer, pushes(ws, known, (known.layer,))[known.layer])
    found = parts_of(ws, named, homes)
    words = [f"@{part}" if isinstance(part, ConceptName) and len(named) > 1 else str(part) for part in named]
    held = Scaling(
        words[0] if len(words) == 1 else f"[{', '.join(words)}]",
        float(factor),
        at,
        found.neurons,
        found.heads,
        found.directions,
    )
    change = scaling(ws, found.neurons, found.heads, found.directions, held.factor, at, tally := Tally())
    return _hold(ws, held, at, change, tally)


def _hold(ws: Workspace, held: Push | Scaling, at: str, change: Change, tally: Tally) -> results.Held:
    """Make a change one that is held; one of the same parts at the same positions is replaced."""
    ws.state = replace(ws.state, interventions={**ws.state.interventions, held.key: held})
    text = ws.text
    asked = text.neutral_prompts[:_PROMPTS]
    for padded, lengths, _ in text.padded([text.prompt_ids(prompt) for prompt in asked]):
        ends = torch.tensor(lengths)
        text.placed(change, padded, begins=ends, lengths=ends)
    return results.Held(
        what=str(held),
        at=at,
        touched=tally.touched,
        seen=tally.seen,
        active=tuple(str(each) for each in ws.state.interventions.values()),
    )


def prompts(ws: Workspace, path: str, column: str | None) -> results.Measured:
    """Measure with the prompts of a file."""
    found: tuple[str, ...] = ()
    if path:
        found = tuple(dict.fromkeys(examples(located(path, ws.base), path, column)))
        if len(found) < _FEWEST:
            raise ElError(
                f"{path} holds {len(found)} prompts: too few to choose by some and measure by others",
                code="EL503",
                hint=f"{_FEWEST} at least, better 32",
            )
    reading = replace(ws.state.reading, prompts=found, prompts_name=path)
    ws.restore_state(replace(ws.state, reading=reading))
    return results.Measured("prompts", path or "its own", len(ws.text.neutral_prompts))


def heldout(ws: Workspace, path: str) -> results.Measured:
    """Measure with the text of a file."""
    words = ""
    if path:
        words = words_of(located(path, ws.base), path)
        count = len(ws.text.encode(words))
        if count < 4 * ws.text.window:
            raise ElError(
                f"{path} holds {count} tokens: too few to choose by some and measure by others",
                code="EL503",
                hint=f"{4 * ws.text.window} at least, better 20,000",
            )
    reading = replace(ws.state.reading, text=words, text_name=path)
    ws.restore_state(replace(ws.state, reading=reading))
    text = ws.text.heldout
    return results.Measured("held-out text", path or "its own", 0 if text is None else len(text))


@torch.no_grad()
def patch(
    ws: Workspace, layer: tuple[int, ...], text: str, instead: str, says: str, at: str, placebos: int
) -> results.Patching:
    """Put the states of one prompt into another, layer by layer, and see what is said."""
    model = ws.text
    layers = layer or tuple(range(ws.model.num_layers))
    acting = standing(ws)
    answer = model.encode(says)
    if not answer:
        raise ElError("an empty text is not said", code="EL201", hint='says=" Paris" names an answer')
    given, asked = model.prompt_ids(text), model.prompt_ids(instead)
    places = _places(given, asked, at)
    neutral = [
        ids
        for ids in (model.prompt_ids(p) for p in model.measuring_prompts if p not in (text, instead))
        if len(ids) > len(places)
    ][:placebos]
    if len(neutral) < placebos:
        raise ElError(
            f"there are {len(neutral)} other neutral prompts for {placebos} placebos",
            code="EL503",
            hint="take fewer, or name a file of more with `prompts`",
        )
    states: dict[int, list[torch.Tensor]] = {index: [] for index in layers}
    for ids in (given, *neutral):
        row = torch.tensor([ids], device=model.device)
        nowhere = torch.zeros_like(row, dtype=torch.bool)
        passed = model.run(row, acting, wanted=nowhere, read=layers).states
        # Of a neutral prompt the last places, as many.
        same = ids is given and at != "last"
        taken = places if same else list(range(len(ids) - len(places), len(ids)))
        for index in layers:
            states[index].append(passed[index][0, taken])
    place = len(asked) - 1
    row = torch.tensor([asked + answer[:-1]], device=model.device)
    wanted = torch.arange(row.shape[1], device=model.device)[None] >= place
    target = torch.tensor(answer, device=model.device)[:, None]

    def said(change: Change, tokens: torch.Tensor = row, where: torch.Tensor = wanted) -> float:
        logs = model.run(tokens, change, wanted=where, read=()).logits.float().log_softmax(dim=1)
        return float(logs.gather(1, target).sum())

    clean = torch.tensor([given + answer[:-1]], device=model.device)
    first = said(acting, clean, torch.arange(clean.shape[1], device=model.device)[None] >= len(given) - 1)
    second = said(acting)
    gap = first - second
    if abs(gap) < _NO_GAP:
        raise ElError(
            f'both prompts make "{says}" as likely: there is no difference to bring back',
            code="EL510",
            hint="take prompts that are answered differently",
        )

    def recovered(index: int, state: torch.Tensor) -> tuple[float, float]:
        def put(stream: torch.Tensor) -> torch.Tensor:
            changed = stream.clone()
            changed[:, places] = state.to(stream)
            return changed

        found = said(replace(acting, also=(*acting.also, Change(state={index: put}))))
        return found, (found - second) / gap

    rows = []
    for index in counted(ws, layers, "layers patched"):
        log_prob, own = recovered(index, states[index][0])
        mean, spread, z = against([recovered(index, state)[1] for state in states[index][1:]], own)
        rows.append(results.PatchedLayer(index, log_prob, own, mean, spread, z))
    return results.Patching(text, instead, says, at, len(places), first, second, placebos, tuple(rows))


def _places(given: list[int], asked: list[int], at: str) -> list[int]:
    """The places of two prompts (token ids) at which states are put in."""
    if at == "last":
        return [len(asked) - 1]
    if len(given) != len(asked):
        raise ElError(
            f"the prompts have {len(given)} and {len(asked)} tokens: their places do not correspond",
            code="EL510",
            hint="at=last puts in the state from which the answer is spoken",
        )
    found = [k for k in range(len(asked)) if at == "all" or given[k] != asked[k]]
    if not found:
        raise ElError("the prompts are the same", code="EL510", hint="take prompts that differ")
    return found
