"""A session, and the one way through which every operation runs.

Every door leads here. A script, a line at a prompt and a Python method all end in ``execute``: the values
are checked against the operation's declaration, the operation's function runs, and if it changed the state
the change becomes a node of the history. If it fails, or is interrupted, the state is what it was before.
"""

from __future__ import annotations

import inspect
import math
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from energylang.errors import ElError
from energylang.ops import TABLE
from energylang.results import CausalEffect, Edit, Result
from energylang.run.recording import shown
from energylang.signature import types as t
from energylang.signature.coerce import as_basin, as_statement, coerce, suggestion
from energylang.signature.declaration import Effect, FromSetting, Op
from energylang.signature.values import Layer, parse_reference
from energylang.work.bodies import Bodies
from energylang.workspace.history import State, without

if TYPE_CHECKING:
    from energylang.checker.scope import Procedure

_NO_SOLUTION: type[Exception] = torch.linalg.LinAlgError  # type: ignore[attr-defined]  # it is documented


class Session(Bodies):
    """A model under observation.

    ``model`` is a bundled name (``"tiny"``), ``"random:256"``, ``"planted:256x20"`` or a path; without one,
    ``load`` has to come first. Relative paths are seen from ``base`` (``None``: the working directory).
    Operations run with ``threads`` torch threads, whatever torch is set to: one is the fastest on small
    layers and on a busy machine.

    Every operation of the language is a method with the same parameters: ``session.survey(layer=1)``;
    ``session.run("survey L1")`` is the same in the language.

    A session may be shared between threads: operations, transactions, scopes and scripts run one after the other, each
    as a whole, and whoever comes second waits (``lock``). A second asyncio task of the same thread cannot wait: within
    another task's transaction it gets an ``ElError`` (EL544). Two sessions are independent of each other.
    """

    def __init__(
        self, model: str | Path | None = None, *, base: Path | None = None, threads: int = 1
    ) -> None:
        super().__init__(base)
        self.threads = threads
        self.lock = threading.RLock()
        self._owner: Any = None
        self._blocks = 0
        self.variables: dict[str, Any] = {}
        self.procedures: dict[str, Procedure] = {}
        if model is not None:
            self.execute(TABLE["load"], {"model": str(model)})

    def __repr__(self) -> str:
        return f"Session({self.model.spec!r})" if self.has_model else "Session()"

    if TYPE_CHECKING:  # one method per operation is added below

        def __getattr__(self, name: str) -> Callable[..., Any]: ...

    # -- what a script does with more than one operation --------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing: what happens inside is undone when it ends in an error or is interrupted."""
        with self._held():
            mark = self.mark()
            try:
                yield
            except BaseException:
                self.return_to(mark)
                raise

    @contextmanager
    def _held(self) -> Iterator[None]:
        """The lock, for as long as a block of somebody else's code runs: no other thread, and no other asyncio task of
        this thread, may change the session meanwhile. Another thread waits; a task cannot, and is told so."""
        with self.lock:
            self._check_task()
            before, self._owner = self._owner, _current_task()
            self._blocks += 1
            try:
                yield
            finally:
                self._blocks -= 1
                self._owner = before

    def _check_task(self) -> None:
        if self._blocks and self._owner is not _current_task():
            raise ElError(
                "another task is in the midst of a transaction in this session",
                code="EL544",
                hint="tasks of one thread cannot wait for each other here: await the transaction first (an "
                "asyncio.Lock around both), or give each task a session of its own",
            )

    @contextmanager
    def scoped(self, op: Op, values: Mapping[str, Any], *, statement: str | None = None) -> Iterator[Any]:
        """Carry out an operation for the time inside: what it changed, and the layer that it is about (also when
        the edit was refused), is at the end as it was before, whatever happens inside; what else was changed inside
        stays. Gives the operation's result.

        The end is a change of its own in the history. Where another model was loaded inside, nothing is left
        to be undone.
        """
        with self._held():
            before, statement = self.state, statement or as_statement(op, values)
            number = len(self.ledger.entries) + 1
            result = self.execute(op, values, statement=statement)
            after, timeline = self.state, self.timeline
            try:
                yield result
            finally:
                now = self.state
                ended = _with_layer_of(before, values.get("layer"), without(before, after, now))
                if self.timeline is timeline:
                    if ended is not now:
                        self.restore_state(ended)
                    timeline.record(f"end of: {statement}", now, ended, "OK", "", None)
                self.ledger.end(number, f"end of: {statement}")

    # -- running -------------------------------------------------------------------------------

    def run(self, text: str, *, name: str = "<input>") -> Result | Any:
        """Check and run Energy Language; the value of the last command.

        Variables and procedures stay for the next call. Raises ``ScriptError`` with the diagnostics.
        """
        from energylang.run.doors import run_text

        return run_text(self, text, name=name)

    def execute(self, op: Op, values: Mapping[str, Any], *, statement: str | None = None) -> Any:
        """Carry out an operation with the given parameter values (defaults are filled in).

        Raises ``ElError``; then, as after an interrupt, the state is what it was before.
        """
        with self.lock:
            self._check_task()
            return self._execute(op, values, statement)

    def _execute(self, op: Op, values: Mapping[str, Any], statement: str | None) -> Any:
        given = self._complete(op, values)
        if op.needs_model:
            self.model  # noqa: B018 - says that none is loaded
        if Effect.TEXT in op.effects:
            self.text  # noqa: B018 - says what is missing
        statement = shown(op, values, statement or as_statement(op, values))
        mark = self.mark()
        before = mark.state
        try:
            with with_threads(self.threads):
                result = op.run(self, **given)
            _check_numbers(result, statement)
        except ElError as error:
            self.return_to(mark)
            self._record(op, statement, before, "FAILED", error.message, given.get("layer"))
            self.ledger.note(op, values, statement, mark.node.id, error, self)
            raise
        except BaseException as error:
            self.return_to(mark)
            if isinstance(error, _NO_SOLUTION):
                reason = str(error).removeprefix("torch.linalg.").split(":", 1)[-1].strip()
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
        status, detail = _outcome(result)
        self._record(op, statement, before, status, detail, given.get("layer"))
        self.ledger.note(op, values, statement, mark.node.id, result, self)
        return result

    def _complete(self, op: Op, values: Mapping[str, Any]) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for param in op.params:
            if param.name in values:
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
        if isinstance(layer, int) and self.has_model and Effect.LOADS not in op.effects:
            self.check_layer(layer)
        return given

    def _record(
        self, op: Op, statement: str, before: State, status: str, detail: str, layer: int | None
    ) -> None:
        if Effect.TRAVELS in op.effects or Effect.LOADS in op.effects:
            return  # travels write down themselves what is a change of its own
        changed = self.state is not before
        if changed or Effect.EDITS in op.effects or Effect.CHANGES in op.effects:
            where = layer if isinstance(layer, int) else None
            self.timeline.record(statement, before, self.state, status, detail, where)


def _current_task() -> Any:
    """The asyncio task that runs, if one does; asyncio is not imported for it."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop runs in this thread
        return None


def _with_layer_of(before: State, layer: Any, now: State) -> State:
    """``now`` with a layer (one, or none) as it was before."""
    index = layer.index if isinstance(layer, Layer) else layer
    if not isinstance(index, int) or not 0 <= index < len(now.layers) or now.layers == before.layers:
        return now
    if now.layers[index] == before.layers[index]:
        return now
    layers = tuple(before.layers[i] if i == index else state for i, state in enumerate(now.layers))
    return replace(now, layers=layers)


@contextmanager
def with_threads(count: int) -> Iterator[None]:
    """Run torch with ``count`` threads, whatever the caller's setting: same count, same bits. (The setting belongs to
    the process, so sessions of several threads that want different counts get one of them.)"""
    before = torch.get_num_threads()
    if before == count:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _check_numbers(result: Any, statement: str) -> None:
    """Raise ``ElError`` for a result that holds NaN."""
    wrong = _no_number(result.to_dict()) if isinstance(result, Result) else None
    if wrong is not None:
        raise ElError(
            f"`{statement}` calculated something that is no number: {wrong}",
            code="EL502",
            hint="nothing was changed; a weight, or a parameter, is too extreme to calculate with",
        )


def _no_number(value: Any, where: str = "") -> str | None:
    """The first place in plain data that holds NaN, if there is one."""
    if isinstance(value, float):
        return where if math.isnan(value) else None
    if isinstance(value, Mapping):
        parts: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, list | tuple):
        parts = enumerate(value)
    else:
        return None
    for name, item in parts:
        found = _no_number(item, f"{where}.{name}" if where else str(name))
        if found is not None:
            return found
    return None


def _outcome(result: Any) -> tuple[str, str]:
    """What the history says of an operation: the status, and for everything that can be refused the reason."""
    if isinstance(result, Edit | CausalEffect):
        if result.forced:
            return "FORCED", result.reason
        if result.blocked:
            return "BLOCKED", result.reason
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
        kind = (
            inspect.Parameter.KEYWORD_ONLY if param.keyword_only else inspect.Parameter.POSITIONAL_OR_KEYWORD
        )
        default = inspect.Parameter.empty if param.required else param.default
        parameters.append(inspect.Parameter(param.name, kind, default=default))
    parameters.sort(key=lambda p: (p.kind, p.default is not inspect.Parameter.empty and p.name != "self"))
    method.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return method


def _no_layer(word: str) -> bool:
    return not isinstance(parse_reference(word), Layer)


def bind_python(
    op: Op, positional: Sequence[str], args: Sequence[Any], keywords: Mapping[str, Any]
) -> dict[str, Any]:
    """Arguments of a Python call by parameter name; a basin alone stands for layer and target."""
    values = list(args)
    kinds = [param.type for param in op.positional[:2]]
    if kinds == [t.LAYER, t.TEXT] and values and isinstance(values[0], str) and _no_layer(values[0]):
        # The text first, as in BasinSurgeon: trace_generation("Hi", layer=3), trace_generation("Hi", 3)
        if "layer" in keywords:
            positional = [name for name in positional if name != "layer"]
        elif len(values) > 1:
            values[:2] = values[1::-1]
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
                f"`{op.name}` has no parameter `{name}`",
                code="EL204",
                hint=suggestion(name, names) or op.usage(),
            )
        if name in bound:
            raise ElError(f"`{name}` is given twice", code="EL209", hint=op.usage())
        bound[name] = value
    return bound


for _op in TABLE.values():
    if hasattr(Session, _op.method):
        raise TypeError(f"the operation {_op.name} would hide Session.{_op.method}")
    setattr(Session, _op.method, _method(_op))
