"""Stream: what is held in every pass of the live model, and by what text a model is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from energylang import results
from energylang.concepts.captured import pushes
from energylang.errors import ElError
from energylang.files.examples import examples
from energylang.files.storage import located, not_utf8, read_text
from energylang.looking.held import pushing, scaling
from energylang.looking.parts import parts_of
from energylang.models.positions import Tally
from energylang.models.protocol import Change
from energylang.signature.values import BasinRef, ConceptName, PartName
from energylang.workspace.history import Push, Scaling
from energylang.workspace.named import concept_at, concept_named
from energylang.workspace.workspace import Workspace

_PROMPTS = 16  # in which positions are counted
_FEWEST = 4


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
    what = str(held)
    key = what.rpartition(" at=")[0] or what
    key = f"{key.rpartition(' ')[0]} at={at}"
    ws.state = replace(ws.state, interventions={**ws.state.interventions, key: held})
    text = ws.text
    asked = text.neutral_prompts[:_PROMPTS]
    for padded, lengths, _ in text.padded([text.prompt_ids(prompt) for prompt in asked]):
        ends = torch.tensor(lengths)
        nowhere = torch.zeros_like(padded, dtype=torch.bool)
        text.run(padded, change, wanted=nowhere, read=(0,), begins=ends, lengths=ends)
    return results.Held(
        what=what,
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
        try:
            words = read_text(located(path, ws.base))
        except OSError as error:
            raise ElError(f"cannot read {path}: {error.strerror}", code="EL503") from None
        except UnicodeDecodeError as error:
            what, way = not_utf8(error)
            raise ElError(f"{path} {what}", code="EL503", hint=way) from None
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
