"""What one memory answers at a concept's key, carried into another: another model's, or another layer's of this one.

The key is found in each of them by itself, from the same texts: here it is answered as there. The answers must mean the
same in both streams, so they need to be of one dimension and of models with the same tokens (a model and what was made
of it by training or by edits).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from energylang.concepts.halves import halves
from energylang.concepts.keyed import answer_of, answered, keyed
from energylang.concepts.keyed_effect import keyed_effect
from energylang.concepts.keys import key_at
from energylang.concepts.memory import key_of
from energylang.errors import ElError
from energylang.models import checkpoint
from energylang.models.text import TextModel
from energylang.results import Edit
from energylang.signature.values import ConceptName
from energylang.trial.staging import check_force
from energylang.workspace.named import concept_at
from energylang.workspace.workspace import Workspace, check_layer

from .keyed import judged


@dataclass(frozen=True, eq=False)
class _Memory:
    """A layer's memory: the model that reads, the weight of the layer, and whether it is kept transposed."""

    text: TextModel
    weight: Tensor
    transposed: bool


@torch.no_grad()
def carried(
    ws: Workspace,
    model: str,
    layer: int,
    concept: str,
    strength: float | None,
    there: int | None,
    damage: float,
    placebos: int | None,
    force: bool,
    reason: str,
) -> Edit:
    """Let a layer's memory answer a concept's key as another memory does."""
    check_force(force, reason)
    named = concept_at(ws, layer, concept)
    key = key_at(ws, layer, ConceptName(named.name))
    source = layer if there is None else there
    memory = _memory(ws, model, layer, source)
    asked = key_of(memory.text, replace(halves(named)[0], layer=source))
    usual = answer_of(ws, layer, key)
    wanted = answered(memory.weight, asked, transposed=memory.transposed).to(usual)
    if torch.equal(wanted, usual):
        raise ElError(
            f"L{layer} answers `{concept}` as L{source} of {model} does: there is nothing to bring over",
            code="EL510",
            hint="name a model, or with `there=` a layer, that answers it otherwise",
        )
    target = f"{concept} from L{source} of {model}"
    made, factors, _ = keyed(
        ws,
        layer,
        key,
        wanted - usual,
        operation="transplant",
        target=target,
        damage=damage,
        strength=strength,
    )
    found = keyed_effect(
        ws, layer, key, factors, to=wanted, target=f"L{source} of {model}", placebos=placebos, label=target
    )
    return judged(ws, made, found, None, force=force, reason=reason)


def _memory(ws: Workspace, spec: str, layer: int, there: int) -> _Memory:
    """A layer's memory of the model that is named; of the session's own with everything that is staged."""
    if spec == ws.model.spec:
        check_layer(ws.model, there)
        return _Memory(ws.text, ws.weight(ws.memory(there)), ws.model.header.transposed)
    other = checkpoint.load(spec, base=ws.base)
    text = other.text
    if text is None or other.landscape or "memory" not in other.header.capabilities:
        raise ElError(
            f"the layers of {ws.model.spec} have an MLP as a memory, and those of {spec} have none",
            code="EL254",
            hint="name another checkpoint of the same architecture",
        )
    if there >= other.num_layers or other.dims[there] != ws.model.dims[layer]:
        raise ElError(
            f"{spec} has no L{there} of dimension {ws.model.dims[layer]}",
            code="EL302",
            hint="name another checkpoint of the same architecture",
        )
    here = ws.text
    sample = here.decode(here.measuring_windows(1)[0].tolist())
    if here.tokenizer.size != text.tokenizer.size or here.encode(sample) != text.encode(sample):
        raise ElError(
            f"{spec} has other tokens than {ws.model.spec}: what it answers means something else",
            code="EL503",
            hint="a fine-tuned checkpoint has the tokens of its base",
        )
    return _Memory(text, other.weight(there), other.header.transposed)
