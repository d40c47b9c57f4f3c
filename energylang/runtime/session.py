"""A session: one model, what was staged and captured, the settings, and the way back.

Every door leads here. A script, a line at a prompt and a Python method all end in ``execute``: the values
are checked against the operation's declaration, the operation's function runs, and if it changed the state
the change becomes a node of the history. If it fails, or is interrupted, the state is what it was before.

Invariants:

* the state (``State``) is immutable; operations replace it and never write into it;
* the live model's weights are those of ``state.layers[i].live``, bit for bit;
* basin ids are never used twice in a session, not even after an undo;
* every random draw comes from a generator seeded by the session's seed, the operation, the layer and the
  operation's own seed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from energylang.errors import ElError
from energylang.landscape.draws import stable_generator
from energylang.landscape.dynamics import Landscape
from energylang.landscape.lineage import Registry
from energylang.models import checkpoint
from energylang.models.protocol import Model
from energylang.ops import TABLE
from energylang.ops.coerce import as_basin, as_statement, coerce, suggestion
from energylang.ops.declaration import Effect, FromSetting, Op
from energylang.ops.settings import AUTO, DEFAULTS
from energylang.results import Edit, Result
from energylang.values import BasinRef, Seed
from energylang.values import Concept as ConceptName

from .history import Concept, History, LayerState, State
from .weights import DenseCache, Version
from .workbench import Workbench

if TYPE_CHECKING:
    from energylang.checker.scope import Procedure
    from energylang.models.text import TextModel


class Session(Workbench):
    """A model under observation.

    ``model`` is a bundled name (``"tiny"``), ``"random:256"``, ``"planted:256x20"`` or a path; without one,
    ``load`` has to come first. Operations run with ``threads`` torch threads, whatever torch is set to:
    one is the fastest on small layers and on a busy machine. Every operation of the language is a method with the same parameters:
    ``session.survey(layer=1)``; ``session.run("survey L1")`` is the same in the language. A session is not
    safe to share between threads.
    """

    def __init__(
        self, model: str | Path | None = None, *, base: Path | None = None, threads: int = 1
    ) -> None:
        self.base = base
        self.threads = threads
        self.state = State(settings=dict(DEFAULTS))
        self.timeline = History(self.state)
        self.variables: dict[str, Any] = {}
        self.procedures: dict[str, Procedure] = {}
        self._model: Model | None = None
        self._weights = DenseCache()
        self._next_basin: dict[int, int] = {}
        self._landscapes: dict[tuple[Any, ...], Landscape] = {}
        self.original_hash = ""
        if model is not None:
            self.execute(TABLE["load"], {"model": str(model)})

    def __repr__(self) -> str:
        return f"Session({self._model.spec!r})" if self._model else "Session()"

    # -- running -------------------------------------------------------------------------------

    def run(self, text: str, *, name: str = "<input>") -> Result | Any:
        """Check and run Energy Language; the value of the last command.

        Variables and procedures stay for the next call. Raises ``ScriptError`` with the diagnostics.
        """
        from .interpreter import run_text

        return run_text(self, text, name=name)

    def execute(self, op: Op, values: Mapping[str, Any], *, statement: str | None = None) -> Any:
        """Carry out an operation with the given parameter values (defaults are filled in).

        Raises ``ElError``; then, as after an interrupt, the state is what it was before.
        """
        given = self._complete(op, values)
        if op.needs_model and self._model is None:
            raise ElError("no model is loaded", code="EL301", hint='begin with `load "tiny"`')
        if Effect.TEXT in op.effects:
            self.text  # noqa: B018 - says what is missing
        statement = statement or as_statement(op, values)
        before = self.state
        try:
            with _threads(self.threads):
                result = op.run(self, **given)
        except ElError as error:
            self._restore(before)
            self._record(op, statement, before, "FAILED", error.message, given.get("layer"))
            raise
        except BaseException:
            self._restore(before)
            raise
        status, detail = _outcome(result)
        self._record(op, statement, before, status, detail, given.get("layer"))
        return result

    def _complete(self, op: Op, values: Mapping[str, Any]) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for param in op.params:
            if param.name in values:
                given[param.name] = coerce(param, values[param.name], layer=given.get("layer"))
            elif param.required:
                raise ElError(f"`{op.name}` needs `{param.name}`: {param.help}", code="EL202", hint=op.usage())
            elif isinstance(param.default, FromSetting):
                given[param.name] = self.setting(param.default.name)
            else:
                given[param.name] = param.default
        layer = given.get("layer")
        if isinstance(layer, int) and self._model is not None and Effect.LOADS not in op.effects:
            self.check_layer(layer)
        return given

    def _record(
        self, op: Op, statement: str, before: State, status: str, detail: str, layer: int | None
    ) -> None:
        if Effect.TRAVELS in op.effects or Effect.LOADS in op.effects:
            return
        changed = self.state is not before
        if changed or Effect.EDITS in op.effects or Effect.CHANGES in op.effects:
            self.timeline.record(statement, before, self.state, status, detail, layer if isinstance(layer, int) else None)

    def _restore(self, state: State) -> None:
        """Make ``state`` the session's state, live weights included."""
        self.state = state
        if self._model is not None:
            for index, layer in enumerate(state.layers):
                self._sync(index, layer.live)

    def travel(self, state: State) -> None:
        """Go to a state of the history (undo, redo)."""
        self._restore(state)

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
        return self.state.layers[layer].staged

    def landscape_of(self, layer: int, version: Version | None = None) -> Landscape:
        """The landscape of a layer's staged weight (or of another version), as the settings read it."""
        version = version or self.staged(layer)
        key = (version, self.setting("beta"), self.setting("degree"), self.setting("dtype"))
        found = self._landscapes.get(key)
        if found is None:
            beta, degree = self.setting("beta"), self.setting("degree")
            weight = self.weight(version).to(getattr(torch, str(self.setting("dtype"))))
            found = Landscape(
                weight,
                self.model.beta(layer) if beta == AUTO else float(beta),
                self.model.degree if degree == AUTO else int(degree),
            )
            if len(self._landscapes) >= 8:
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

    def known_basins(self, layer: int) -> Registry:
        """The registry; a layer that was never surveyed is surveyed first."""
        version = self.staged(layer)
        if not version.surveyed and not version.registry.basins:
            TABLE["survey"].run(self, **self._complete(TABLE["survey"], {"layer": layer}))
        return version.registry

    def basin(self, reference: BasinRef) -> Tensor:
        """The centre (d,) of a living basin."""
        self.check_layer(reference.layer)
        registry = self.registry(reference.layer)
        basin = registry.get(reference.basin)
        if basin is None:
            alive = registry.alive()
            if not registry.basins:
                message, hint = f"L{reference.layer} has not been surveyed", f"`survey L{reference.layer}` first"
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
        try:
            return self.state.concepts[name]
        except KeyError:
            raise ElError(
                f"no concept `{name}` has been captured",
                code="EL511",
                hint=suggestion(name, self.state.concepts) or f'`capture L0 {name} "some text"` first',
            ) from None

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
        concept = self.concept(target.name)
        if concept.layer != layer:
            raise ElError(
                f"`{concept.name}` was captured at L{concept.layer}, not at L{layer}",
                code="EL511",
                hint=f"use L{concept.layer}, or capture it at L{layer} under another name",
            )
        return concept.centroid.to(self.landscape_of(layer).weight)

    # -- settings and draws ----------------------------------------------------------------------------

    def setting(self, name: str) -> Any:
        return self.state.settings[name]

    def generator(self, purpose: str, *key: object) -> torch.Generator:
        """The generator of an operation's draws."""
        return stable_generator(self.setting("seed"), purpose, *key)

    def resolve(self, path: str) -> Path:
        """A path of a script: relative ones are seen from the script's folder."""
        given = Path(path).expanduser()
        return given if given.is_absolute() or self.base is None else self.base / given


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Run torch with ``count`` threads, whatever the caller's setting: same count, same bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _outcome(result: Any) -> tuple[str, str]:
    if isinstance(result, Edit):
        if result.forced:
            return "FORCED", result.reason
        return ("OK", "") if result.applied else ("REFUSED", result.reason)
    return "OK", ""


# -- one method per operation ----------------------------------------------------------------------------


def _method(op: Op) -> Callable[..., Any]:
    positional = [param.name for param in op.positional]

    def method(self: Session, *args: Any, **keywords: Any) -> Any:
        values = bind_python(op, positional, args, keywords)
        return self.execute(op, values)

    method.__name__ = op.method
    method.__qualname__ = f"Session.{op.method}"
    lines = [op.summary, ""] + ([op.details, ""] if op.details else [])
    lines += [f"    {param.name}: {param.help}" for param in op.params]
    method.__doc__ = "\n".join([*lines, "", f"Returns ``energylang.results.{op.result.__name__}``."])
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    for param in op.params:
        kind = inspect.Parameter.KEYWORD_ONLY if param.keyword_only else inspect.Parameter.POSITIONAL_OR_KEYWORD
        default = inspect.Parameter.empty if param.required else param.default
        parameters.append(inspect.Parameter(param.name, kind, default=default))
    parameters.sort(key=lambda p: (p.kind, p.default is not inspect.Parameter.empty and p.name != "self"))
    method.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return method


def bind_python(
    op: Op, positional: Sequence[str], args: Sequence[Any], keywords: Mapping[str, Any]
) -> dict[str, Any]:
    """Arguments of a Python call by parameter name; a basin alone stands for layer and target."""
    values = list(args)
    if op.takes_layer_and_target and values and not isinstance(values[0], int):
        reference = as_basin(values[0], None)
        if reference is not None:
            values = [reference.layer, reference, *values[1:]]
    if len(values) > len(positional):
        raise ElError(f"`{op.name}` takes at most {len(positional)} arguments", code="EL203", hint=op.usage())
    bound = dict(zip(positional, values, strict=False))
    for name, value in keywords.items():
        if op.param(name) is None:
            names = [param.name for param in op.params]
            raise ElError(
                f"`{op.name}` has no parameter `{name}`", code="EL204", hint=suggestion(name, names) or op.usage()
            )
        if name in bound:
            raise ElError(f"`{name}` is given twice", code="EL209", hint=op.usage())
        bound[name] = value
    return bound


for _op in TABLE.values():
    if hasattr(Session, _op.method):
        raise TypeError(f"the operation {_op.name} would hide Session.{_op.method}")
    setattr(Session, _op.method, _method(_op))
