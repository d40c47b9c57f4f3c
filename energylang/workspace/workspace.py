"""A workspace: a model, and everything that is known and staged about it.

Every door leads here. A script, a line at a prompt and a Python method all end in ``execute``: the values are checked
against the operation's declaration, the operation's function runs, and if it changed the state the change becomes a
node of the history. If it fails, or is interrupted, the state is what it was before.

Invariants:

* the state (``State``) is immutable; operations replace it and never write into it;
* the live model's weights are those of ``state.layers[i].live``, bit for bit;
* basin ids are never used twice in a workspace, not even after an undo;
* every random draw comes from a generator seeded by the session's seed, the operation, the layer and the
  operation's own seed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from energylang.errors import ElError
from energylang.landscape.draws import stable_generator
from energylang.landscape.fitted import Fitted
from energylang.landscape.layer import Landscape
from energylang.landscape.radius import Row
from energylang.models import checkpoint
from energylang.models.model import Model
from energylang.models.protocol import Change, Readable, Settled
from energylang.models.splice import Spliced
from energylang.signature.coerce import as_statement, coerce, describe
from energylang.signature.declaration import LACKS, NOT_FITTED, Effect, FromSetting, Op
from energylang.signature.settings import AUTO, DEFAULTS, MAX_THREADS
from energylang.signature.values import BasinRef

from .apart import moment
from .execution import NO_SOLUTION, check_numbers, current_task, outcome, with_layer_of, with_threads
from .history import LayerState, MeasuredBy, State, Timeline, TreeNode, without
from .layered import at_their_layers, only_layer
from .ledger import Ledger, shown
from .sketch import changes
from .versions import DenseCache, Version

if TYPE_CHECKING:
    from energylang.models.text import TextModel

RECENT_LANDSCAPES, RECENT_VALUES = 8, 10
T = TypeVar("T")


@dataclass(eq=False)
class Memo:
    """What was worked out before and need not be again. All of it may be thrown away at any time.

    ``landscapes`` by version and settings; ``measured``: radii by landscape; ``by_live``: values for states of the live
    weights (``remembered``).
    """

    landscapes: dict[tuple[Any, ...], Landscape] = field(default_factory=dict)
    measured: WeakKeyDictionary[Landscape, dict[tuple[Any, bytes], Row]] = field(
        default_factory=WeakKeyDictionary
    )
    by_live: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    passed: Any = None


@dataclass(frozen=True, eq=False)
class _Mark:
    """Everything that a transaction has to bring back."""

    model: Model | None
    weights: DenseCache
    original_hash: str
    timeline: Timeline
    node: TreeNode
    state: State


class Workspace:
    """A model under observation. ``Session`` adds a method for every operation of the language.

    ``base`` is the folder from which relative paths are seen (``None``: the working directory). Operations run with
    ``threads`` torch threads, whatever torch is set to. ``table`` holds the operations that records may name.
    ``variables`` and ``procedures`` are those of scripts; ``watcher`` hears how far a long operation is,
    ``listener`` every piece of text as the model says it; ``loader`` is where models come from.

    It may be shared between threads: operations, transactions, scopes and scripts run one after the other, each as a
    whole, and whoever comes second waits (``lock``). A second asyncio task of the same thread cannot wait: within
    another task's transaction it gets an ``ElError`` (EL544).
    """

    table: Mapping[str, Op] = {}

    def __init__(self, base: Path | None = None, threads: int = 1) -> None:
        if not isinstance(threads, int) or isinstance(threads, bool) or not 1 <= threads <= MAX_THREADS:
            raise ElError(
                f"`threads` must be a whole number from 1 to {MAX_THREADS}, not {describe(threads)}",
                code="EL206" if isinstance(threads, int) else "EL201",
            )
        if base is not None and not isinstance(base, str | Path):
            raise ElError(f"`base` must be a folder, not {describe(base)}", code="EL201", hint='Path("here")')
        self.base = None if base is None else Path(base)
        self.threads = threads
        self.lock = threading.RLock()
        self.state = State(settings=dict(DEFAULTS))
        self.timeline = Timeline(self.state)
        self.ledger = Ledger()
        self.cache = Memo()
        self.original_hash = ""
        self.variables: dict[str, Any] = {}
        self.procedures: dict[str, Any] = {}
        self.watcher: Callable[[int, int, str], None] | None = None
        self.listener: Callable[[str], None] | None = None
        self.loader: Callable[..., Model] = checkpoint.load
        self.counting: tuple[int, int, str] | None = (
            None  # what the watcher heard last of the outermost count
        )
        self._model: Model | None = None
        self._weights = DenseCache()
        self._owner: Any = None
        self._blocks = 0

    # -- running -------------------------------------------------------------------------------

    def execute(
        self,
        op: Op,
        values: Mapping[str, Any],
        *,
        statement: str | None = None,
        given: Mapping[str, Any] | None = None,
    ) -> Any:
        """Carry out an operation with the given parameter values (defaults are filled in). ``given`` are the values in
        the form that the operation gets, where whoever calls has made it already.

        Raises ``ElError``; then, as after an interrupt, the state is what it was before.
        """
        with self.lock:
            self._check_task()
            return self._execute(op, values, statement, given)

    def _execute(
        self,
        op: Op,
        values: Mapping[str, Any],
        statement: str | None,
        ready: Mapping[str, Any] | None,
    ) -> Any:
        given = self._complete(op, values, ready)
        if op.needs_model:
            self.model  # noqa: B018 - says that none is loaded
        if Effect.TEXT in op.effects:
            self.text  # noqa: B018 - says what is missing
        if Effect.LANDSCAPE in op.needs(given):
            self._check_landscape(op, given)
        if Effect.MEMORY in op.needs(given) and "memory" not in self.model.header.capabilities:
            code, _, lacking, hint = LACKS[Effect.MEMORY]
            asking, subject = op.asking(given, Effect.MEMORY), f"`{op.name}`"
            if asking is not None:
                subject, hint = asking.subject
            raise ElError(f"{subject} {lacking.format(self.model.spec)}", code=code, hint=hint)
        statement = shown(op, values, statement or as_statement(op, values))
        mark = self._mark()
        before = mark.state
        self.counting = None
        try:
            with with_threads(self.threads):
                result = op.run(self, **{param.name: param.plain(given[param.name]) for param in op.params})
            check_numbers(result, statement)
        except ElError as error:
            self._return_to(mark)
            self._record(op, values, statement, before, "FAILED", error.message, given.get("layer"))
            self.ledger.note(op, values, statement, mark.node.id, error, lambda: changes(self.state))
            raise
        except BaseException as error:
            self._return_to(mark)
            if isinstance(error, NO_SOLUTION):
                reason = (
                    str(error.args[-1] if error.args else error)
                    .removeprefix("torch.linalg.")
                    .split(":", 1)[-1]
                    .strip()
                )
                raise ElError(
                    f"`{statement}` asks for what has no solution in numbers: {reason}",
                    code="EL502",
                    hint="nothing was changed; the layer may be too small, or its weight degenerate",
                ) from None
            if isinstance(error, MemoryError) or (
                isinstance(error, RuntimeError) and "allocate memory" in str(error)
            ):
                raise ElError(
                    "there is not enough memory for this", code="EL502", hint="fewer starts need less"
                ) from None
            raise
        status, detail = outcome(result)
        self._record(op, values, statement, before, status, detail, given.get("layer"))
        self.ledger.note(op, values, statement, mark.node.id, result, lambda: changes(self.state))
        return result

    def _check_landscape(self, op: Op, given: Mapping[str, Any]) -> None:
        """Raise ``ElError`` EL251 where the operation is about a layer that has no landscape."""
        if Effect.NATIVE in op.effects and not self.model.landscape:
            said, hint = NOT_FITTED
            raise ElError(f"`{op.name}` {said.format(self.model.spec)}", code="EL251", hint=hint)
        about = layers_meant(given)
        if self.model.landscape or (
            Effect.LANDSCAPE in op.effects
            and any(state.fit is not None for state in self.state.layers)
            and all(self.has_landscape(layer) for layer in about if 0 <= layer < self.model.num_layers)
        ):
            return
        code, _, lacking, _ = LACKS[Effect.LANDSCAPE]
        if Effect.LANDSCAPE not in op.effects:  # it is the choice that needs one
            named = f"{op.name} method={given['method']}"
            hint = "leave the method out: what such a layer can do is done"
            raise ElError(f"`{named}` {lacking.format(self.model.spec)}", code=code, hint=hint)
        without = [layer for layer in about if not self.has_landscape(layer)]
        raise ElError(
            f"`{op.name}` needs a landscape, and L{without[0]} of {self.model.spec} has none"
            if without
            else f"`{op.name}` {lacking.format(self.model.spec)}",
            code=code,
            hint=fit_hint(without[0] if without else None),
        )

    def _complete(self, op: Op, values: Mapping[str, Any], ready: Mapping[str, Any] | None) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for param in op.params:
            if ready is not None and param.name in ready:
                given[param.name] = ready[param.name]
            elif param.name in values:
                given[param.name] = coerce(param, values[param.name], layer=given.get("layer"))
            elif param.required:
                raise ElError(
                    f"`{op.name}` needs `{param.name}`: {param.help}", code="EL202", hint=op.usage()
                )
            elif isinstance(param.default, FromSetting):
                given[param.name] = self.setting(param.default.name)
            else:
                given[param.name] = param.default
        clash = op.clash({name: given[name] for name in values if name in given})
        if clash is not None:
            raise ElError(clash.message, code="EL202", hint=clash.hint)
        layer = given.get("layer")
        if self.has_model and Effect.LOADS not in op.effects:
            for index in layer if isinstance(layer, tuple) else (layer,):
                if isinstance(index, int):
                    check_layer(self.model, index)
        return at_their_layers(op, given, self.state.concepts)

    def _record(
        self,
        op: Op,
        values: Mapping[str, Any],
        statement: str,
        before: State,
        status: str,
        detail: str,
        layer: Any,
    ) -> None:
        if Effect.TRAVELS in op.effects or Effect.LOADS in op.effects:
            return  # travels write down themselves what is a change of its own
        changed = self.state is not before
        if changed or Effect.EDITS in op.effects or Effect.CHANGES in op.effects:
            where = only_layer(layer)
            self.timeline.record(statement, before, self.state, status, detail, where)
            self.timeline.calls[self.timeline.log[-1].id] = op, dict(values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing: what happens inside is undone when it ends in an error or is interrupted."""
        with self._held():
            mark = self._mark()
            try:
                yield
            except BaseException:
                self._return_to(mark)
                raise

    @contextmanager
    def apart(self) -> Iterator[None]:
        """As if another session began where this one stands: at the end nothing that happened inside is left, the
        numbers of basins, the places in the history and the ledger included."""
        with self._held():
            mark, kept = self._mark(), moment(self.timeline)
            ledger, self.ledger = self.ledger, Ledger(list(self.ledger.entries), self.ledger.script)
            try:
                yield
            finally:
                self.ledger = ledger
                self._return_to(mark)
                kept.put_back()

    @contextmanager
    def scoped(
        self,
        op: Op,
        values: Mapping[str, Any],
        *,
        statement: str | None = None,
        given: Mapping[str, Any] | None = None,
    ) -> Iterator[Any]:
        """Carry out an operation for the time inside: what it changed, and the layer that it is about (also when
        the edit was refused), is at the end as it was before, whatever happens inside; what else was changed inside
        stays. Gives the operation's result.

        The end is a change of its own in the history. Where another model was loaded inside, nothing is left
        to be undone.
        """
        with self._held():
            before, statement = self.state, statement or as_statement(op, values)
            number = len(self.ledger.entries) + 1
            result = self.execute(op, values, statement=statement, given=given)
            after, timeline = self.state, self.timeline
            try:
                yield result
            finally:
                now = self.state
                ended = with_layer_of(before, values.get("layer"), without(before, after, now))
                if self.timeline is timeline:
                    if ended is not now:
                        self.restore_state(ended)
                    timeline.record(f"end of: {statement}", now, ended, "OK", "", None)
                self.ledger.end(number, f"end of: {statement}")

    @contextmanager
    def _held(self) -> Iterator[None]:
        """The lock, for as long as a block of somebody else's code runs: no other thread, and no other asyncio task of
        this thread, may change the session meanwhile. Another thread waits; a task cannot, and is told so."""
        with self.lock:
            self._check_task()
            before, self._owner = self._owner, current_task()
            self._blocks += 1
            try:
                yield
            finally:
                self._blocks -= 1
                self._owner = before

    def _check_task(self) -> None:
        if self._blocks and self._owner is not current_task():
            raise ElError(
                "another task is in the midst of a transaction in this session",
                code="EL544",
                hint="tasks of one thread cannot wait for each other here: await the transaction first (an "
                "asyncio.Lock around both), or give each task a session of its own",
            )

    # -- the state, and travelling ---------------------------------------------------------------

    def restore_state(self, state: State) -> None:
        """Make ``state`` the session's state, live weights included."""
        self.state = state
        if self._model is not None:
            self._read_with(state.reading)
            for index, layer in enumerate(state.layers):
                self._sync(index, layer)

    def _read_with(self, reading: MeasuredBy) -> None:
        """Let the model be measured by these prompts and this text, or by what it came with."""
        text = self._model.text if self._model is not None else None
        if text is not None:
            text.measured_by(reading.prompts, reading.text)

    def _mark(self) -> _Mark:
        """Where the session stands, for ``_return_to``."""
        return _Mark(
            self._model,
            self._weights,
            self.original_hash,
            self.timeline,
            self.timeline.current,
            self.state,
        )

    def _return_to(self, mark: _Mark) -> None:
        """Undo everything since ``mark``, the loading of another model included. What was done stays in the
        history as a branch (of its own model); ids of basins are not used again."""
        if mark.model is not self._model:
            self.cache = Memo()
            self._model, self._weights = mark.model, mark.weights
            self.original_hash, self.timeline = mark.original_hash, mark.timeline
        self.timeline.go_to(mark.node)
        self.restore_state(mark.state)

    # -- the model -----------------------------------------------------------------------------------

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
        versions = [
            Version(model.weight_key(i), None, None, None, model.weight(i).detach())
            for i in range(model.num_layers)
        ]
        self._model = model
        self._weights = DenseCache()
        self.cache = Memo()
        self.state = State(
            layers=tuple(LayerState(version, version) for version in versions), settings=self.state.settings
        )
        self.timeline = Timeline(self.state)
        self.original_hash = checkpoint.fingerprint(model)

    # -- weights ------------------------------------------------------------------------------------

    def weight(self, version: Version) -> Tensor:
        """The dense weight (d, d) of a version. Do not write into it."""
        return self._weights.dense(version)

    def staged(self, layer: int) -> Version:
        """The version that edits of a layer's landscape have led to; of its weight, where it has none."""
        version: Version = self.state.layers[layer].landscape.staged
        return version

    def live(self, layer: int) -> Version:
        """The version of the same that the live model runs with."""
        version: Version = self.state.layers[layer].landscape.live
        return version

    def memory(self, layer: int) -> Version:
        """The version that edits of a layer's own weight have led to, whatever landscape it was given."""
        version: Version = self.state.layers[layer].staged
        return version

    def has_landscape(self, layer: int) -> bool:
        """Whether a layer is a landscape, or was given one."""
        return self.model.landscape or self.state.layers[layer].fit is not None

    def fitted(self, layer: int) -> Fitted | None:
        """The landscape that a layer was given."""
        fit = self.state.layers[layer].fit
        return None if fit is None else fit.fitted

    def read_at(self, layer: int) -> Readable:
        """Under which name a pass keeps the states of a layer's landscape: where it settles, or the layer's own."""
        return layer if self.fitted(layer) is None else Settled(layer)

    def acting(self, layer: int, act: Callable[[Tensor], Tensor]) -> Change:
        """A change that does something to the states of a layer's landscape."""
        return Change(state={layer: act}) if self.fitted(layer) is None else Change(basins={layer: act})

    def weighing(self, layer: int, weight: Tensor) -> Change:
        """A change that uses another weight of a layer's landscape."""
        return (
            Change(weights={layer: weight})
            if self.fitted(layer) is None
            else Change(landscapes={layer: weight})
        )

    def running(self, states: Mapping[int, LayerState], *, staged: bool = True) -> Change:
        """A change that uses what is staged in layers instead of what is live (or what is live in these states)."""
        return Change(
            weights={i: self.weight(at.staged if staged else at.live) for i, at in states.items()},
            landscapes={
                i: self.weight(at.fit.staged if staged else at.fit.live)
                for i, at in states.items()
                if at.fit is not None
            },
        )

    def landscape_of(self, layer: int, version: Version | None = None) -> Landscape:
        """The landscape of a layer's staged weight (or of another version), as the settings read it. Raises ``ElError``
        EL251 where the layers are a stream."""
        fitted = self.fitted(layer)
        if fitted is None and not self.model.landscape:
            code = LACKS[Effect.LANDSCAPE][0]
            raise ElError(f"L{layer} of {self.model.spec} has no landscape", code=code, hint=fit_hint(layer))
        version = version or self.staged(layer)
        place = str(self.setting("device"))
        key = (version, self.setting("beta"), self.setting("degree"), self.setting("dtype"), place)
        found = self.cache.landscapes.get(key)
        if found is None:
            beta, degree = self.setting("beta"), self.setting("degree")
            weight = self.weight(version).to(place, getattr(torch, str(self.setting("dtype"))))
            found = Landscape(
                weight,
                self._beta(layer, fitted) if beta == AUTO else float(beta),
                (self.model.degree if fitted is None else fitted.degree) if degree == AUTO else int(degree),
            )
            if len(self.cache.landscapes) >= RECENT_LANDSCAPES:
                self.cache.landscapes.pop(next(iter(self.cache.landscapes)))
            self.cache.landscapes[key] = found
        return found

    def _beta(self, layer: int, fitted: Fitted | None) -> float:
        return self.model.beta(layer) if fitted is None else fitted.beta

    def _sync(self, layer: int, state: LayerState) -> None:
        """Give the live model a layer's live weight, if it does not have it already, and its landscape."""
        weight = self.weight(state.live)
        if not torch.equal(self.model.weight(layer), weight):
            self.model.put(self.model.weight_key(layer), weight)
        text = self.model.text
        if text is None:
            return
        if state.fit is None:
            text.landscapes.pop(layer, None)
        else:
            text.landscapes[layer] = Spliced(state.fit.fitted, self.weight(state.fit.live))

    def set_layer(self, index: int, layer: LayerState) -> None:
        """Replace a layer's state; the live model follows."""
        layers = list(self.state.layers)
        layers[index] = layer
        self.state = replace(self.state, layers=tuple(layers))
        self._sync(index, layer)

    def live_hash(self) -> str:
        """The hash of the live weights, and of the fitted landscapes that are edited (one that is not changes nothing
        of what the model says)."""
        return self._hash(
            {}, {i: at.fit.live for i, at in enumerate(self.state.layers) if at.fit is not None}
        )

    def staged_hash(self) -> str:
        """The hash the model would have if everything staged were applied."""
        return self.hash_with(
            {self.model.weight_key(i): self.weight(s.staged) for i, s in enumerate(self.state.layers)}
        )

    def hash_with(self, weights: Mapping[str, Tensor]) -> str:
        """The hash of the model with these weights, and everything staged in fitted landscapes."""
        staged = {i: at.fit.staged for i, at in enumerate(self.state.layers) if at.fit is not None}
        return self._hash(weights, staged)

    def _hash(self, weights: Mapping[str, Tensor], landscapes: Mapping[int, Version]) -> str:
        edited = {i: version for i, version in landscapes.items() if version.depth}
        more: dict[str, Tensor] = {}
        for i, version in edited.items():
            fitted = self.fitted(i)
            assert fitted is not None  # its version is one of it
            more |= {
                f"L{i}.landscape": self.weight(version),
                f"L{i}.landscape.readout": fitted.readout,
                f"L{i}.landscape.groups": fitted.groups,
            }
        return checkpoint.fingerprint(self.model, weights, more)

    # -- settings, draws, what is remembered ----------------------------------------------------------

    def setting(self, name: str) -> Any:
        return self.state.settings[name]

    def generator(self, purpose: str, *key: object) -> torch.Generator:
        """The generator of an operation's draws."""
        return stable_generator(self.setting("seed"), purpose, *key)


def layers_meant(given: Mapping[str, Any]) -> tuple[int, ...]:
    """The layers that an operation's values are about."""
    found: list[int] = []
    for value in given.values():
        for item in value if isinstance(value, tuple) else (value,):
            index = getattr(item, "layer", None) if isinstance(item, BasinRef) else None
            if isinstance(index, int):
                found.append(index)
    for name in ("layer", "to"):
        value = given.get(name)
        for item in value if isinstance(value, tuple) else (value,):
            if type(item) is int:
                found.append(item)
    return tuple(dict.fromkeys(found))


def fit_hint(layer: int | None) -> str:
    """What gives a layer of a stream a landscape."""
    return f"`fit {'L…' if layer is None else f'L{layer}'}` gives it one"


def check_layer(model: Model, layer: int) -> None:
    """Raise ``ElError`` (EL302) for a layer that the model does not have."""
    count = model.num_layers
    if not 0 <= layer < count:
        names = "only L0" if count == 1 else f"layers L0 to L{count - 1}"
        raise ElError(f"there is no L{layer}: {model.spec} has {names}", code="EL302")


def remembered(ws: Workspace, make: Callable[[], T], *key: object) -> T:
    """What ``make`` gives, worked out once for every state of the live weights. ``key`` says what it is and what
    else it depends on. Do not write into it."""
    whole = (tuple(layer.versions for layer in ws.state.layers), ws.setting("seed"), ws.state.reading, *key)
    known = ws.cache.by_live
    if whole not in known:
        if len(known) >= RECENT_VALUES:
            known.pop(next(iter(known)))
        known[whole] = make()
    found: T = known[whole]
    return found


def counted(ws: Workspace, items: Iterable[T], what: str | Callable[[T], str]) -> Iterator[T]:
    """The items one after the other; the ``watcher`` hears how many of them are done, and ``what`` they are (or
    what is done with the one that comes). What is counted meanwhile is told as a part of that."""
    found = list(items)
    outer = ws.counting
    try:
        for done, item in enumerate(found):
            said = what if isinstance(what, str) else what(item)
            if outer is None and len(found) > 1:
                ws.counting = done, len(found), said
            if ws.watcher is not None and outer is None:
                ws.watcher(done, len(found), said)
            elif ws.watcher is not None and outer is not None:
                ws.watcher(outer[0], outer[1], f"{outer[2]} ({done} of {len(found)} {said})")
            yield item
    finally:
        if outer is None:
            ws.counting = None
