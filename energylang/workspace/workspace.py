"""The part of a session that is not about running: the model, its weights, basins, concepts and settings.

Invariants:

* the state (``State``) is immutable; operations replace it and never write into it;
* the live model's weights are those of ``state.layers[i].live``, bit for bit;
* basin ids are never used twice in a session, not even after an undo;
* every random draw comes from a generator seeded by the session's seed, the operation, the layer and the
  operation's own seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from energylang.errors import ElError
from energylang.files.storage import located
from energylang.landscape.draws import stable_generator
from energylang.landscape.dynamics import Landscape
from energylang.landscape.lineage import Registry
from energylang.landscape.radius import Row
from energylang.models import checkpoint
from energylang.models.protocol import Generation, Model
from energylang.run.recording import Ledger
from energylang.signature.coerce import suggestion
from energylang.signature.settings import AUTO, DEFAULTS
from energylang.signature.values import BasinRef, Seed
from energylang.signature.values import Concept as ConceptName

from .history import Concept, History, LayerState, Node, State, without_edit
from .versions import DenseCache, Version

if TYPE_CHECKING:
    from energylang.models.text import TextModel
    from energylang.work.tokens import Passed

RECENT_LANDSCAPES, RECENT_TENSORS = 8, 8
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Mark:
    """Everything that a transaction has to bring back."""

    model: Model | None
    weights: DenseCache
    next_basin: dict[int, int]
    original_hash: str
    timeline: History
    node: Node
    state: State


class Core:
    """A model and everything that is known and staged about it. See ``Session`` for the way to use it."""

    def __init__(self, base: Path | None) -> None:
        self.base = base
        self.state = State(settings=dict(DEFAULTS))
        self.timeline = History(self.state)
        self.original_hash = ""
        self._model: Model | None = None
        self._weights = DenseCache()
        self._next_basin: dict[int, int] = {}
        self._landscapes: dict[tuple[Any, ...], Landscape] = {}
        self._replies: dict[tuple[Any, ...], list[tuple[str, Generation]]] = {}
        self.measured: WeakKeyDictionary[Landscape, dict[tuple[Any, bytes], Row]] = WeakKeyDictionary()
        self.passed: Passed | None = None
        self._remembered: dict[tuple[Any, ...], Tensor] = {}
        self.ledger = Ledger()
        self.watcher: Callable[[int, int, str], None] | None = None

    def counted(self, items: Iterable[T], what: str | Callable[[T], str]) -> Iterator[T]:
        """The items one after the other; the ``watcher`` hears how many of them are done, and ``what`` they are (or
        what is done with the one that comes)."""
        found = list(items)
        for done, item in enumerate(found):
            if self.watcher is not None:
                self.watcher(done, len(found), what if isinstance(what, str) else what(item))
            yield item

    def restore_state(self, state: State) -> None:
        """Make ``state`` the session's state, live weights included."""
        self.state = state
        if self._model is not None:
            for index, layer in enumerate(state.layers):
                self._sync(index, layer.live)

    def mark(self) -> Mark:
        """Where the session stands, for ``return_to``."""
        return Mark(
            self._model,
            self._weights,
            self._next_basin,
            self.original_hash,
            self.timeline,
            self.timeline.current,
            self.state,
        )

    def return_to(self, mark: Mark) -> None:
        """Undo everything since ``mark``, the loading of another model included. What was done stays in the
        history as a branch (of its own model); ids of basins are not used again."""
        if mark.model is not self._model:
            self._landscapes, self._replies, self._remembered, self.passed = {}, {}, {}, None
            self._model, self._weights, self._next_basin = mark.model, mark.weights, mark.next_basin
            self.original_hash, self.timeline = mark.original_hash, mark.timeline
        self.timeline.go_to(mark.node)
        self.restore_state(mark.state)

    def take_back(self, layer: int, statement: str) -> Node | None:
        """Undo the last edit of a layer that is in force, and nothing else; the edit, or ``None``."""
        node = self.timeline.last_edit(layer)
        if node is not None:
            before = self.state
            if not node.refused:
                self.restore_state(without_edit(node, layer, before))
            self.timeline.record(statement, before, self.state, "OK", "", layer, takes_back=node)
        return node

    def node_at(self, id: int) -> Node:
        """The place in the history with this id."""
        node = self.timeline.nodes.get(id)
        if node is None:
            changed = any(entry.id == id for entry in self.timeline.log)
            raise ElError(
                f"operation {id} failed: there is no place to go to"
                if changed
                else f"there is no operation {id}",
                code="EL514",
                hint="`history tree` shows the places",
            )
        return node

    @contextmanager
    def seen_from(self, id: int | None) -> Iterator[None]:
        """Look at the landscapes as they are at another place in the history, without going there: the live model
        stays as it is. What is learnt about the basins belongs to the weights of that place."""
        here = self.state
        if id is not None:
            self.state = self.node_at(id).after
        try:
            yield
        finally:
            self.state = here

    def travel_to(self, node: Node) -> tuple[list[Node], list[Node]]:
        """Make the state at a node of the history the session's; what was undone, and what done again."""
        passed = self.timeline.go_to(node)
        self.restore_state(node.after)
        return passed

    # -- model -----------------------------------------------------------------------------------

    @property
    def model(self) -> Model:
        if self._model is None:
            raise ElError("no model is loaded", code="EL301", hint='begin with `load "tiny"`')
        return self._model

    @property
    def has_model(self) -> bool:
        return self._model is not None

    @property
    def text(self) -> TextModel:
        """The model's text side; an error says so when it has none."""
        if self.model.text is None:
            raise ElError(
                f"{self.model.spec} has a landscape but no words: it holds weights only",
                code="EL250",
                hint='load a text model such as "tiny", or one made by `el train`',
            )
        return self.model.text

    def adopt(self, model: Model) -> None:
        """Begin anew with a model: concepts and history belong to the one before and are left behind."""
        versions = [Version(i, None, None, None, model.weight(i).detach()) for i in range(model.num_layers)]
        self._model = model
        self._weights = DenseCache()
        self._landscapes = {}
        self._replies = {}
        self.passed = None
        self._remembered = {}
        self._next_basin = {}
        self.state = State(
            layers=tuple(LayerState(version, version) for version in versions), settings=self.state.settings
        )
        self.timeline = History(self.state)
        self.original_hash = checkpoint.fingerprint(model)

    def check_layer(self, layer: int) -> None:
        count = self.model.num_layers
        if not 0 <= layer < count:
            names = "only L0" if count == 1 else f"layers L0 to L{count - 1}"
            raise ElError(f"there is no L{layer}: {self.model.spec} has {names}", code="EL302")

    # -- weights ------------------------------------------------------------------------------------

    def weight(self, version: Version) -> Tensor:
        """The dense weight (d, d) of a version. Do not write into it."""
        return self._weights.dense(version)

    def staged(self, layer: int) -> Version:
        """The version of a layer that edits have led to."""
        version: Version = self.state.layers[layer].staged
        return version

    def landscape_of(self, layer: int, version: Version | None = None) -> Landscape:
        """The landscape of a layer's staged weight (or of another version), as the settings read it."""
        version = version or self.staged(layer)
        place = str(self.setting("device"))
        key = (version, self.setting("beta"), self.setting("degree"), self.setting("dtype"), place)
        found = self._landscapes.get(key)
        if found is None:
            beta, degree = self.setting("beta"), self.setting("degree")
            weight = self.weight(version).to(place, getattr(torch, str(self.setting("dtype"))))
            found = Landscape(
                weight,
                self.model.beta(layer) if beta == AUTO else float(beta),
                self.model.degree if degree == AUTO else int(degree),
            )
            if len(self._landscapes) >= RECENT_LANDSCAPES:
                self._landscapes.pop(next(iter(self._landscapes)))
            self._landscapes[key] = found
        return found

    def _sync(self, layer: int, version: Version) -> None:
        """Give the live model a version's weight, if it does not have it already."""
        weight = self.weight(version)
        if not torch.equal(self.model.weight(layer), weight):
            self.model.set_weight(layer, weight)

    def set_layer(self, index: int, layer: LayerState) -> None:
        """Replace a layer's state; the live model follows."""
        layers = list(self.state.layers)
        layers[index] = layer
        self.state = replace(self.state, layers=tuple(layers))
        self._sync(index, layer.live)

    def live_hash(self) -> str:
        return checkpoint.fingerprint(self.model)

    def staged_hash(self) -> str:
        """The hash the model would have if everything staged were applied."""
        return checkpoint.fingerprint(
            self.model,
            {self.model.weight_key(i): self.weight(s.staged) for i, s in enumerate(self.state.layers)},
        )

    @contextmanager
    def model_with_staged_weights(self) -> Iterator[Model]:
        """The model with everything staged in place, for writing it down; the live weights come back."""
        try:
            for index, layer in enumerate(self.state.layers):
                self._sync(index, layer.staged)
            yield self.model
        finally:
            for index, layer in enumerate(self.state.layers):
                self._sync(index, layer.live)

    # -- basins ---------------------------------------------------------------------------------------

    def registry(self, layer: int) -> Registry:
        """The basins known in the layer's staged landscape."""
        return self.staged(layer).registry

    def fresh_registry(self, version: Version) -> Registry:
        """A version's registry, ready to hand out ids that were never used in this session."""
        registry = version.registry
        return replace(registry, next_id=max(registry.next_id, self._next_basin.get(version.layer, 0)))

    def keep_registry(self, version: Version, registry: Registry, *, surveyed: bool) -> None:
        version.registry = registry
        version.surveyed = version.surveyed or surveyed
        self._next_basin[version.layer] = max(self._next_basin.get(version.layer, 0), registry.next_id)

    def basin(self, reference: BasinRef) -> Tensor:
        """The centre (d,) of a living basin."""
        self.check_layer(reference.layer)
        registry = self.registry(reference.layer)
        basin = registry.get(reference.basin)
        if basin is None:
            alive = registry.alive()
            if not registry.basins:
                message, hint = (
                    f"L{reference.layer} has not been surveyed",
                    f"`survey L{reference.layer}` first",
                )
            else:
                message = f"no basin {reference} is known"
                hint = (
                    f"L{reference.layer} has {len(alive)} known basins, B{alive[0].id} to B{alive[-1].id}"
                    if alive
                    else f"L{reference.layer} has no living basin"
                )
            raise ElError(message, code="EL510", hint=hint)
        if basin.status == "lost":
            raise ElError(
                f"{reference} was lost in edit {basin.lost_by}",
                code="EL510",
                hint="`history` shows the edits; `undo` brings it back",
            )
        return basin.centre

    def concept(self, name: str) -> Concept:
        found = self.state.concepts.get(name)
        if found is None:
            raise ElError(
                f"no concept `{name}` has been captured",
                code="EL511",
                hint=suggestion(name, self.state.concepts) or f'`capture L0 {name} "some text"` first',
            )
        return found

    def concept_at(self, layer: int | None, name: str) -> Concept:
        """A concept that was captured at this layer (at any, without one)."""
        concept = self.concept(name)
        if layer is not None and concept.layer != layer:
            raise ElError(
                f"`{concept.name}` was captured at L{concept.layer}, not at L{layer}",
                code="EL511",
                hint=f"use L{concept.layer}, or capture it at L{layer} under another name",
            )
        return concept

    def direction(self, layer: int, target: BasinRef | ConceptName | Seed) -> Tensor:
        """The state (d,) that a direction names, at a layer."""
        dim = self.model.dims[layer]
        if isinstance(target, Seed):
            draw = torch.randn(dim, generator=stable_generator("direction", dim, target.seed))
            return draw.to(self.landscape_of(layer).weight)
        if isinstance(target, BasinRef):
            if target.layer != layer:
                raise ElError(f"{target} is not a basin of L{layer}", code="EL510")
            return self.basin(target).to(self.landscape_of(layer).weight)
        return self.concept_at(layer, target.name).centroid.to(self.landscape_of(layer).weight)

    # -- text -----------------------------------------------------------------------------------------

    def remembered(self, make: Callable[[], Tensor], *key: object) -> Tensor:
        """What ``make`` gives, worked out once for every state of the live weights. ``key`` says what it is and what
        else it depends on. Do not write into it."""
        whole = (tuple(layer.live for layer in self.state.layers), self.setting("seed"), *key)
        if whole not in self._remembered:
            if len(self._remembered) >= RECENT_TENSORS:
                self._remembered.pop(next(iter(self._remembered)))
            self._remembered[whole] = make()
        return self._remembered[whole]

    def own_replies(self, count: int, tokens: int) -> list[tuple[str, Generation]]:
        """(question, reply) pairs: what the live model says by itself to the neutral questions by which things
        are chosen. The last ones drawn are kept, because placebos ask for the same."""
        key = (tuple(layer.live for layer in self.state.layers), self.setting("seed"), count, tokens)
        if key not in self._replies:
            asked = self.text.choosing_prompts
            questions = [asked[k % len(asked)] for k in range(count)]
            made = self.text.replies(
                [(question,) for question in questions],
                tokens=tokens,
                generator=self.generator("own replies"),
            )
            self._replies = {key: list(zip(questions, made, strict=True))}
        return self._replies[key]

    # -- settings and draws ----------------------------------------------------------------------------

    def setting(self, name: str) -> Any:
        return self.state.settings[name]

    def generator(self, purpose: str, *key: object) -> torch.Generator:
        """The generator of an operation's draws."""
        return stable_generator(self.setting("seed"), purpose, *key)

    def resolve(self, path: str) -> Path:
        """A path of a script: relative ones are seen from the script's folder."""
        return located(path, self.base)
