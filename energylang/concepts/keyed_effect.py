"""What does an edit of the answer at a key do, where the key occurs and elsewhere, and is it more than chance?

At places of text by which the key was not made, and at others of held-out text, each before and after:

* **answer**: what the memory answers, along what it answers at the key (1: as much), or the cosine to the answer that
  is wanted instead;
* **kl**: how far the next token's distribution moves, in nats, beside edits with the same key and random values of the
  same norm.

What the edit costs is measured as it is for ``rewrite``, on own replies and on held-out text.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from energylang.landscape.draws import stable_generator
from energylang.landscape.lowrank import LowRank
from energylang.landscape.memory import other_values
from energylang.models.protocol import Change, Start
from energylang.models.text import TextModel
from energylang.results import Condition, Keyed
from energylang.workspace.workspace import Workspace, counted

from .answers import costs
from .controls import RANDOM
from .effects import against
from .keyed import answered
from .keys import Key

_ELSEWHERE, _EVERY = 6, 5  # windows of held-out text; every fifth place of them
_SAME = 1e-4  # of an answer that is to stay as it is


@dataclass(frozen=True, eq=False)
class _At:
    """Some places of some rows, with what enters the layer there: read under many changes of the layer."""

    text: TextModel
    start: Start
    tokens: Tensor
    wanted: Tensor

    @classmethod
    def of(cls, text: TextModel, layer: int, rows: list[list[int]], places: list[list[int]]) -> _At:
        tokens, _, _ = next(text.padded(rows, len(rows)))
        wanted = torch.zeros(tokens.shape, dtype=torch.bool, device=text.device)
        for k, here in enumerate(places):
            wanted[k, here] = True
        return cls(text, Start(layer, text.entering(tokens, layer)), tokens, wanted)

    def neurons(self) -> Tensor:
        """(n, m): what the layer's neurons answer at the places."""
        kept: list[Tensor] = []

        def keep(activations: Tensor) -> Tensor:
            kept.append(activations[self.wanted].float())
            return activations

        change = Change(neurons={self.start.layer: keep})
        self.text.run(self.tokens, change, start=self.start, wanted=self.wanted, read=())
        return kept[0]

    def logs(self, change: Change) -> Tensor:
        """(n, v): the log-probabilities of the next token at the places."""
        found = self.text.run(self.tokens, change, start=self.start, wanted=self.wanted, read=()).logits
        logs: Tensor = found.float().log_softmax(dim=1)
        return logs


def moved(before: Tensor, after: Tensor) -> float:
    """The mean Kullback-Leibler divergence of distributions (n, v), in nats, from before to after."""
    return max(0.0, float((before.exp() * (before - after)).sum(dim=1).mean()))


@torch.no_grad()
def keyed_effect(
    ws: Workspace,
    layer: int,
    key: Key,
    factors: LowRank,
    *,
    to: Tensor | None = None,
    target: str = "",
    label: str = "",
    placebos: int | None = None,
) -> Keyed:
    """What adding ``factors`` to the staged weight of a layer does at the key. ``to`` (d,) is the answer that is wanted
    instead of its own, and ``target`` whose it is; ``label`` is what random values are drawn by."""
    text, weight = ws.text, ws.weight(ws.memory(layer))
    transposed = ws.model.header.transposed
    edited = factors.added_to(weight)
    before, after = (Change(weights={layer: each}) for each in (weight, edited))
    usual = answered(weight, key.key, transposed=transposed)
    wanted = usual if to is None else to.to(usual)

    def like(activations: Tensor, under: Tensor) -> float:
        """How much of what is wanted is in the answer, on average: along it (1: all), or as a cosine."""
        said = answered(under, activations, transposed=transposed)
        if to is not None:
            return float(torch.nn.functional.cosine_similarity(said, wanted[None], dim=1).mean())
        size = float(wanted @ wanted)
        return float((said @ wanted).mean()) / size if size else 0.0

    here = _At.of(text, layer, key.rows, key.places) if key.count else None
    asked = key.key.float()[None] if here is None else here.neurons()
    elsewhere = _At.of(text, layer, *_elsewhere(text, key))
    others = elsewhere.neurons().double() @ key.query
    inside = outside = None
    chance: list[float] = []
    if here is not None:
        first = here.logs(before)
        inside = moved(first, here.logs(after))
        generator = stable_generator("placebo", ws.setting("seed"), layer, label)
        for _ in counted(ws, range(placebos or RANDOM), "edits with random values") if factors.norm else ():
            values = other_values(factors, generator, transposed=transposed)
            chance.append(moved(first, here.logs(Change(weights={layer: values.added_to(weight)}))))
    outside = moved(elsewhere.logs(before), elsewhere.logs(after))
    mean, spread, z = against(chance, inside) if chance and inside is not None else (None, None, None)
    cost = costs(ws, layer, before, after)
    return Keyed(
        kind=key.kind,
        to=target,
        places=key.count,
        answer=float(torch.linalg.vector_norm(usual)),
        heard=float((asked.double() @ key.query).mean()),
        elsewhere=float(others.square().mean().sqrt()),
        before=like(asked, weight),
        after=like(asked, edited),
        at_key=like(key.key.float()[None], edited),
        kl=inside,
        kl_elsewhere=outside,
        kl_random=mean,
        kl_random_std=spread,
        kl_z=z,
        placebos=len(chance),
        own_change=cost.own_change,
        own_change_error=cost.own_change_error,
        loss_change=cost.loss_change,
        loss_change_error=cost.loss_change_error,
    )


def _elsewhere(text: TextModel, key: Key) -> tuple[list[list[int]], list[list[int]]]:
    """Rows of held-out text, of the half for measuring, and places that are none of the key's."""
    windows = text.measuring_windows(text.sizes.windows)[-_ELSEWHERE:, :-1].tolist()
    busy = {tuple(row[: place + 1]) for row, here in zip(key.rows, key.places, strict=True) for place in here}
    places = [
        [place for place in range(1, len(row), _EVERY) if tuple(row[: place + 1]) not in busy]
        for row in windows
    ]
    return windows, places


def done(found: Keyed, factor: float | None) -> tuple[Condition, ...]:
    """Was what was asked for done: is the answer louder (``factor``), softer, as it was, or more like the one that is
    wanted?"""
    if factor is None:
        name, limit, more = (
            f"likeness of its answer to that of {found.to}, against before",
            found.before,
            True,
        )
    else:
        name, limit, more = "its answer, against before", found.before, factor > 1
    value = found.after
    if factor == 1:
        ok = abs(value - limit) <= _SAME * max(1.0, abs(limit))
    else:
        ok = value > limit if more else value < limit
    return (Condition(name, value, limit, more, ok),)
