"""Which values make a concept likely to be said, written at given keys of the memories of a layer, or of several?

Nine steps of Adam from the concept's directions (of several layers together, where each begins with its part), with the
edit in place where replies are said (what it does to the questions before them, which answer its key little, is left
out here, so that these are read once): the concept's texts, as replies to neutral prompts, shall become likelier (or,
to remove it, less likely), its contrasts stay as likely as they are (a value that makes every short reply likelier is
easily found, and is not the concept), and some of the model's own replies not become less likely. Fewer steps than it
takes to fit the texts; the dose is found afterwards. All texts, prompts and replies are of the choosing halves.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from energylang.models.behind import Behind
from energylang.models.protocol import Change
from energylang.workspace.history import Concept
from energylang.workspace.workspace import Workspace, counted

from .descent import Optimiser
from .faces import own_halves
from .replies import as_pairs, as_replies

STEPS, RATE, BEGIN = 9, 0.35, 0.8
_TEXTS, _CONTRASTS, _OWN = 12, 8, 8  # texts of the concept, contrasts, and own replies
_RISE, _FALL = 1.0, 2.0  # weights of contrasts that become likelier, and less likely
_KEPT = 4.0  # … of own replies that become less likely


def best_values(
    ws: Workspace,
    concept: Concept,
    weights: Mapping[int, Tensor],
    queries: Mapping[int, Tensor],
    directions: Mapping[int, Tensor],
    *,
    away: bool,
) -> dict[int, Tensor]:
    """By layer (d,): the values for its query (m,) that were found together from the concept's directions (d,)."""
    text, layers = ws.text, sorted(weights)
    said = as_replies(text, concept.texts[:_TEXTS])
    plain = as_replies(text, concept.contrasts[:_CONTRASTS])
    own = as_pairs(text, own_halves(ws, "kept")[0][:_OWN])
    groups = [len(said), len(plain), len(own)]
    base = Change(weights=weights)
    examples = Behind(text, layers[0], [*said, *plain, *own])
    opened = examples.opened(base)

    def means(change: Change) -> Tensor:
        return torch.stack([each.mean() for each in examples.replies(change, opened)])

    with torch.no_grad():
        before = means(base)
    begin = (-BEGIN if away else BEGIN) / len(layers)
    values = {layer: (begin * directions[layer].float()).requires_grad_(True) for layer in layers}
    rate = RATE / len(layers) ** 0.5
    descent = Optimiser(
        list(values.values()), [rate * float(directions[layer].abs().mean()) for layer in layers]
    )
    with torch.enable_grad():
        for _ in counted(ws, range(STEPS), "steps towards a better value"):
            answers = {
                layer: (queries[layer].to(weight), values[layer].to(weight))
                for layer, weight in weights.items()
            }
            edited = Change(weights=weights, answers=answers)
            wanted, beside, kept = torch.split(means(edited) - before, groups)
            loss = wanted.mean() if away else -wanted.mean()
            if len(beside):
                loss = loss + (_RISE * torch.relu(beside) + _FALL * torch.relu(-beside)).mean()
            if len(kept):
                loss = loss + _KEPT * torch.relu(-kept).mean()
            descent.step(loss)
    return {layer: value.detach() for layer, value in values.items()}
