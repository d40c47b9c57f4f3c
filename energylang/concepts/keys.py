"""What a layer's memory is asked with: the keys of neurons, concepts, phrases and basins, and where in text they occur.

An MLP's neurons a (m,) address its down-projection W (d, m), which answers Wa into the stream. A key k (m,) is

* of a **neuron** that neuron alone, as loud as it is where it is loudest (on its louder side). Its query is the neuron
  itself, so that what is written at it is the neuron's own column of W, and nothing else;
* of a **concept** the mean activation at the places from which its texts are said (``memory.key_of``);
* of a **phrase** that at its last token, on average behind nothing and behind a few beginnings of held-out text (as in
  ``rewriting``);
* of a **basin** of a landscape that was fitted, the mean over the tokens of held-out text that settle in it.

The query of the last three is whitened by what is to stay as it is (``landscape.memory``): qᵀk = 1, and other text
answers it least. Every key comes with places of text by which it was not made: there it is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from energylang.errors import ElError, LandscapeError
from energylang.landscape.assign import assign
from energylang.landscape.draws import stable_generator
from energylang.landscape.memory import query_of
from energylang.looking.parts import check_part
from energylang.models.neurons import mean_along
from energylang.models.text import TextModel
from energylang.signature.values import BasinRef, ConceptName, PartName
from energylang.workspace.history import Concept
from energylang.workspace.named import centre_of, concept_at
from energylang.workspace.workspace import Workspace

from .halves import halves
from .memory import key_of, moment_of
from .replies import as_replies
from .rewriting import behind_beginnings

_LOUDEST = 0.01  # of all places, where a neuron is heard
_READ = 48
"""Windows whose tokens a basin's key is made of. Of a sixth of them it is half as loud at other tokens of the basin."""
_FEWEST, _ROWS, _PLACES = 8, 8, 64  # places of a neuron; rows and places by which a key is measured
_BEGINNINGS = (6, 9, 13, 17)  # tokens of other held-out text before a phrase


@dataclass(frozen=True)
class Phrase:
    """A text whose last token is meant."""

    text: str

    def __str__(self) -> str:
        return f'"{self.text}"'


Source = PartName | ConceptName | Phrase | BasinRef


@dataclass(frozen=True, eq=False)
class Key:
    """A key (m,) with its query (m,), both float64, and where it occurs in text by which it was not made: rows of token
    ids, and of each row the places. ``kind`` is neuron, concept, phrase or basin."""

    kind: str
    key: Tensor
    query: Tensor
    rows: list[list[int]]
    places: list[list[int]]

    @property
    def count(self) -> int:
        """Of the places."""
        return sum(map(len, self.places))


def meant(ws: Workspace, layer: int, target: object) -> object:
    """A text as what it means at a layer: a concept that is called so, on a stream otherwise a phrase."""
    if not isinstance(target, str):
        return target
    name = target.removeprefix("@")
    known = ws.state.concepts
    first = known.get(name)
    if first is not None and first.layer != layer and f"{name}@L{layer}" in known:
        return ConceptName(f"{name}@L{layer}")
    return ConceptName(name) if first is not None or ws.model.landscape else Phrase(target)


def key_at(ws: Workspace, layer: int, source: Source) -> Key:
    """The key that is meant. Raises ``ElError``: EL254 without a memory, EL308 for a neuron that is not there, EL510
    for a key that nothing answers, EL511 for a concept without texts."""
    check_memory(ws, str(source))
    if isinstance(source, PartName):
        return _of_neuron(ws, layer, source)
    if isinstance(source, ConceptName):
        return _of_concept(ws, layer, concept_at(ws, layer, source.name))
    if isinstance(source, BasinRef):
        return _of_basin(ws, layer, source)
    return _of_phrase(ws, layer, source)


def check_memory(ws: Workspace, what: str) -> None:
    """Raise ``ElError`` EL254 where the model's layers have no memory."""
    if ws.model.landscape or "memory" not in ws.model.header.capabilities:
        raise ElError(
            f"{what} is a key of an MLP's memory, and the layers of {ws.model.spec} have none",
            code="EL254",
            hint="on landscapes name a basin, a concept or a seed",
        )


def _whitened(
    ws: Workspace, layer: int, kind: str, key: Tensor, rows: list[list[int]], places: list[list[int]]
) -> Key:
    try:
        query = query_of(key, moment_of(ws, layer))
    except LandscapeError as error:
        raise ElError(error.message, code="EL502", hint=error.hint) from None
    return Key(kind, key.double(), query, rows, places)


def _of_neuron(ws: Workspace, layer: int, part: PartName) -> Key:
    if part.kind != "N":
        raise ElError(
            f"{part} is a head: only neurons are keys of a memory",
            code="EL201",
            hint="`scale` makes a head louder or softer in what the model says",
        )
    if part.layer != layer:
        raise ElError(f"{part} is not a neuron of L{layer}", code="EL510", hint=f"`{part}` alone is enough")
    check_part(ws.model.header, part)
    text = ws.text
    windows = text.choosing_windows(text.sizes.windows)[:, :-1]
    values = torch.cat([row[:, part.index] for row in _activations(ws, layer, windows)[0]])
    loudest = values[values.abs().topk(_count(len(values))).indices]
    sign = 1.0 if float(loudest.sum()) >= 0 else -1.0  # some neurons are heard on both sides
    size = float((sign * values).topk(_count(len(values))).values.mean()) * sign
    key = torch.zeros(ws.model.header.neurons[layer], dtype=torch.float64, device=text.device)
    key[part.index] = size or 1.0
    query = torch.zeros_like(key)
    query[part.index] = 1 / key[part.index]
    seen = text.measuring_windows(text.sizes.windows)[:, :-1]
    heard = [sign * row[:, part.index] for row in _activations(ws, layer, seen)[0]]
    least = float(torch.cat(heard).topk(_count(sum(map(len, heard)))).values[-1])
    rows, places = _chosen(seen, [row >= max(least, 1e-12) for row in heard])
    return Key("neuron", key, query, rows, places)


def _count(places: int) -> int:
    return min(places, max(_FEWEST, round(_LOUDEST * places)))


def _of_concept(ws: Workspace, layer: int, concept: Concept) -> Key:
    if not concept.texts:
        raise ElError(
            f"`{concept.name}` has no texts: there is no key of it",
            code="EL511",
            hint="`capture` it from texts; `push` works with the direction alone",
        )
    made, measured = halves(concept)
    text = ws.text
    rows, places = [], []
    for opening, inside in as_replies(text, measured.texts):
        row = [*opening, *inside][-text.max_length :]
        rows.append(row)
        places.append(list(range(max(0, len(row) - len(inside) - 1), max(1, len(row) - 1))))
    rows, places = _few(rows, places)
    return _whitened(ws, layer, "concept", key_of(text, made), rows, places)


def _of_phrase(ws: Workspace, layer: int, phrase: Phrase) -> Key:
    text = ws.text
    ids = text.encode(phrase.text.rstrip())
    if not ids:
        raise ElError("an empty phrase has no key", code="EL201", hint="name some words")
    rows = behind_beginnings(text, ids)
    if len(ids) == 1 and len(rows) > 1 and len(rows[0]) == 1:
        rows = rows[1:]  # alone it stands for the beginning
    key = mean_along(text, layer, rows, 1)[0]
    other = behind(text, ids)
    return _whitened(ws, layer, "phrase", key, other, [[len(row) - 1] for row in other])


def behind(text: TextModel, ids: Sequence[int]) -> list[list[int]]:
    """Token ids of a phrase behind beginnings of held-out text, of the half for measuring."""
    windows = text.measuring_windows(len(_BEGINNINGS))
    found = []
    for length, window in zip(_BEGINNINGS, windows, strict=False):
        found.append(text.opened([*window[len(text.opening) :][:length].tolist(), *ids]))
    return found


def _of_basin(ws: Workspace, layer: int, basin: BasinRef) -> Key:
    if ws.fitted(layer) is None:
        raise ElError(
            f"L{layer} of {ws.model.spec} has no landscape, so {basin} is no basin",
            code="EL251",
            hint=f"`fit L{layer}` gives it one",
        )
    centre = centre_of(ws, basin)
    text = ws.text
    activations, inside = _activations(ws, layer, text.choosing_windows(_READ)[:, :-1], centre)
    held = [row[here] for row, here in zip(activations, inside, strict=True)]
    if not any(len(row) for row in held):
        raise ElError(
            f"no token of the held-out text settles in {basin}: there is nothing to make a key of",
            code="EL510",
            hint=f"`usage L{layer}` shows which basins are visited",
        )
    seen = text.measuring_windows(text.sizes.windows)[:, :-1]
    rows, places = _chosen(seen, _activations(ws, layer, seen, centre)[1])
    return _whitened(ws, layer, "basin", torch.cat(held).mean(dim=0), rows, places)


@torch.no_grad()
def _activations(
    ws: Workspace, layer: int, windows: Tensor, centre: Tensor | None = None
) -> tuple[list[Tensor], list[Tensor]]:
    """Of each of the windows (w, t) what the neurons answer at its places (t, m), and at which of them (t,) a state
    settles at the ``centre`` (nowhere, without one); never at the first."""
    text = ws.text
    kept: list[Tensor] = []

    def keep(activations: Tensor) -> Tensor:
        kept.append(activations.float())
        return activations

    staged = ws.running({i: at for i, at in enumerate(ws.state.layers) if not at.is_live})
    change = replace(staged, neurons={layer: keep})
    read = ws.read_at(layer)
    landscape = ws.landscape_of(layer) if centre is not None else None
    inside: list[Tensor] = []
    for part in text.chunks(windows):
        nowhere = torch.zeros_like(part, dtype=torch.bool)
        found = text.run(part, change, wanted=nowhere, read=(read if landscape is not None else layer,))
        here = torch.zeros(part.shape, dtype=torch.bool, device=text.device)
        if landscape is not None and centre is not None:
            states = found.states[read].to(landscape.weight)
            generator = stable_generator("keys", landscape.dim)
            index, _, _ = assign(
                landscape,
                centre[None].to(landscape.weight),
                states.flatten(0, 1),
                generator,
                eps=float(ws.setting("eps")),
            )
            here = (index == 0).reshape(here.shape).to(here.device)
        here[:, 0] = False
        inside += list(here)
    activations = [row for each in kept for row in each]
    for row in activations:
        row[0] = 0.0
    return activations, inside


def _chosen(windows: Tensor, inside: Sequence[Tensor]) -> tuple[list[list[int]], list[list[int]]]:
    """Windows and the places in them that are meant: those with most, and no more than are needed."""
    places = [here.nonzero()[:, 0].tolist() for here in inside]
    order = sorted(range(len(places)), key=lambda k: (-len(places[k]), k))
    kept = sorted(k for k in order[:_ROWS] if places[k])
    return _few([windows[k].tolist() for k in kept], [places[k] for k in kept])


def _few(rows: list[list[int]], places: list[list[int]]) -> tuple[list[list[int]], list[list[int]]]:
    """The first rows, and of each as many of its places, spread over it, as make up the most that are read."""
    rows, places = rows[:_ROWS], places[:_ROWS]
    each = max(1, _PLACES // max(1, len(rows)))
    thinned = [here[:: -(-len(here) // each) or 1] if here else here for here in places]
    return [
        row[: here[-1] + 1] if here else row[:1] for row, here in zip(rows, thinned, strict=True)
    ], thinned
