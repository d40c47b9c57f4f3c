"""A session: a workspace with one method for every operation of the language.

``Session.survey(layer=1)`` and ``session.run("survey L1")`` are the same; both end in ``Workspace.execute``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energylang.errors import ElError
from energylang.ops import TABLE
from energylang.results import Result
from energylang.run.doors import run_text
from energylang.signature import types as t
from energylang.signature.coerce import as_basin, describe, neuron_of, suggestion
from energylang.signature.declaration import Op
from energylang.signature.python import python_docstring, python_signature
from energylang.signature.values import Layer, parse_reference
from energylang.workspace.workspace import Workspace


class Session(Workspace):
    """A model under observation.

    ``model`` is a bundled name (``"tiny"``), ``"random:256"``, ``"planted:256x20"`` or a path; without one,
    ``load`` has to come first. Relative paths are seen from ``base`` (``None``: the working directory).
    Operations run with ``threads`` torch threads, whatever torch is set to: one is the fastest on small
    layers and on a busy machine.

    Every operation of the language is a method with the same parameters. A session may be shared between threads (see
    ``Workspace``); two sessions are independent of each other.
    """

    table = TABLE

    def __init__(
        self, model: str | Path | None = None, *, base: Path | None = None, threads: int = 1
    ) -> None:
        super().__init__(base, threads)
        if model is not None:
            self.execute(TABLE["load"], {"model": model})

    def __repr__(self) -> str:
        return f"Session({self.model.spec!r})" if self.has_model else "Session()"

    if TYPE_CHECKING:  # one method per operation is added below

        def __getattr__(self, name: str) -> Callable[..., Any]: ...

    def run(self, text: str, *, name: str = "<input>") -> Result | Any:
        """Check and run Energy Language; the value of the last command.

        Variables and procedures stay for the next call. Raises ``ScriptError`` with the diagnostics.
        """
        if not isinstance(text, str):
            raise ElError(f"a script is a text, not {describe(text)}", code="EL201")
        return run_text(self, text, name=name)


# -- one method per operation ----------------------------------------------------------------------------


def _method(op: Op) -> Callable[..., Any]:
    positional = [param.name for param in op.positional]

    def method(self: Session, *args: Any, **keywords: Any) -> Any:
        values = bind_python(op, positional, args, keywords)
        return self.execute(op, values)

    method.__name__ = op.method
    method.__qualname__ = f"Session.{op.method}"
    method.__doc__ = python_docstring(op)
    method.__signature__ = python_signature(op)  # type: ignore[attr-defined]
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
        reference = as_basin(values[0], None) or (
            neuron_of(values[0]) if op.positional[1].type in (t.KEY, t.SOURCE) else None
        )
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
    # Not `hasattr`: some libraries (nnsight) hang a `save` on every object there is.
    if any(_op.method in vars(cls) for cls in Session.__mro__[:-1]):
        raise TypeError(f"the operation {_op.name} would hide Session.{_op.method}")
    setattr(Session, _op.method, _method(_op))
