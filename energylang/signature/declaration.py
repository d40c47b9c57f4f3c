"""How an operation is declared.

One ``Op`` per operation, in the file of its family under ``energylang.ops``; the function that carries it out has its
name, in the file of the same name under ``energylang.work``. The parser's terminals, the checker, ``el ops``, the
Python method and the tests are derived from the declaration; nothing about an operation is written down twice.

What the checker knows about an operation, it knows from the declaration:

* ``params`` say what fits (types, ranges, choices). A parameter of type ``Concept`` or ``Direction`` is a *use*
  of the concept it names (EL305 when that is not there on every path), one of type ``Basin`` or ``Direction`` a
  use of the basin (EL303 on a layer that was never surveyed, EL304 when it was removed);
* ``effects`` say whether it needs a model, a text model, or changes what undo restores: everything with
  ``EDITS`` or ``CHANGES`` can stand in ``with … :`` and is a step for ``undo``;
* ``flow`` says what becomes of layers, basins and concepts, in one word each. The default is "nothing", so an
  operation without it checks, too:

      flow=Flow(surveys="layer")            the layer in this parameter is surveyed from here on; "*": all layers
      flow=Flow(fits="layer")               the layer in this parameter has a landscape from here on
      flow=Flow(ends="target")              the basin in this parameter is none afterwards (remove)
      flow=Flow(ends="target", said="moved")   the same, said otherwise (move)
      flow=Flow(revives="layer")            the basins of this layer that were removed are back (restore);
                                            "*": those of all layers
      flow=Flow(creates="concept", at="layer")   the concept named here exists afterwards, for this layer
      flow=Flow(creates="new")              the same, for a layer that only the run knows (blend)
      flow=Flow(applies="layer")            what is staged in this layer is live afterwards (apply)
      flow=Flow(live=True)                  it runs the live model, so staged edits are not heard (generate)
      flow=Flow(keeps=True)                 the edits made so far are written down (save, record)
      flow=Flow(reads=True)                 it reads a concept's texts, not its direction: one of any layer (usage)

  A concept that is created need not exist before, and may; ``at`` may be ``auto``. ``travels`` is for the
  history's own operations.

Names of two words (``causal scan``) are written with a blank; the parser knows them from the table. Where the
first positional parameter is a text, a path or a model, or one of the first three is, the rest of the line may
stand without quotes (``Op.tail``); behind a path further arguments may follow (``compare other.pt L0``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Flag, auto
from importlib import import_module
from typing import Any, Literal

from energylang.results import Result
from energylang.signature import types as t
from energylang.signature.values import BasinRef, ConceptName, PartName, Seed
from energylang.syntax.parser import Tail


class Effect(Flag):
    """What an operation does to the world; the checker and the history read this."""

    NONE = 0
    READS = auto()  # looks at a layer of the model
    EDITS = auto()  # proposes an edit of a layer's staged weight
    CHANGES = auto()  # changes other state of the session (undoable)
    TEXT = auto()  # needs a model that reads and writes text
    LANDSCAPE = auto()  # needs layers that are energy landscapes, or were given one
    NATIVE = auto()  # … and the states of the model itself in them: a landscape that was fitted will not do
    MEMORY = auto()  # needs layers with neurons that answer into a stream
    FILES = auto()  # touches files
    LOADS = auto()  # brings a model
    TRAVELS = auto()  # moves through the history (undo, redo)
    ALWAYS = auto()  # works without a model


LACKS = {
    Effect.TEXT: (
        "EL250",
        "text",
        "needs a text model, and {} has weights only",
        'load a text model such as "tiny", or one made by `el train`',
    ),
    Effect.LANDSCAPE: (
        "EL251",
        "landscape",
        "needs a landscape, and the layers of {} are a plain stream",
        "`fit L…` gives a layer one",
    ),
    Effect.MEMORY: (
        "EL254",
        "memory",
        "needs an MLP as a memory, and the layers of {} have none",
        "`redirect`, `inject` and `inject-concept` work on landscapes",
    ),
}
"""What an operation may need of a model: the code and what is said where it is missing, the capability, and what
helps."""


NOT_FITTED = (
    "needs layers that are landscapes by themselves, and those of {} are a plain stream",
    "the landscape that `fit` gives a layer has states of its own, in which concepts and other models have no place",
)
"""What is said, and what helps, of operations that need more than a fitted landscape."""


class _Required:
    def __repr__(self) -> str:
        return "required"


REQUIRED = _Required()


@dataclass(frozen=True)
class FromSetting:
    """A default that is the session's setting of this name (``set inits 400``)."""

    name: str

    def __repr__(self) -> str:
        return f"<setting {self.name}>"


@dataclass(frozen=True)
class Param:
    """A parameter: its name, type, meaning, default and what values it allows.

    ``minimum`` and ``maximum`` are allowed values, ``above`` is not. ``choices`` are the words of a
    parameter of type ``Choice``. ``keyword_only`` parameters are always written with their name.
    ``needs`` says what some of the choices (``*``: any value, ``several``: more layers than one) need of a model beyond
    what the operation does,
    ``instead`` what the operation needs in the place of a landscape for values of some types (``Neuron``, ``Concept``,
    ``Text``).
    What a ``secret`` parameter is given stays out of history and records.
    """

    name: str
    type: t.Type
    help: str
    default: Any = REQUIRED
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()
    keyword_only: bool = False
    secret: bool = False
    needs: Mapping[str, Effect] = field(default_factory=dict)
    instead: Mapping[str, Effect] = field(default_factory=dict)

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    def plain(self, value: Any) -> Any:
        """A value as the operation's function gets it: ``None`` for ``auto`` (where that is no choice among others),
        the names of concepts as texts."""
        if value == "auto" and "auto" in self.choices and self.type != t.CHOICE:
            return None
        if self.type == t.STRENGTH:
            return float(value)
        if self.type == t.CONCEPT:
            return None if value is None else value.name
        if self.type == t.CONCEPTS:
            return tuple(concept.name for concept in value)
        return value

    def asks(self, value: Any) -> Effect:
        """What a value of it needs of a model."""
        found = self.needs.get(value, Effect.NONE) if isinstance(value, str) else Effect.NONE
        several = value == "layers" or (isinstance(value, tuple | list) and len(value) != 1)
        found |= self.needs.get("*", Effect.NONE) if value is not None else Effect.NONE
        return found | (self.needs.get("several", Effect.NONE) if several else Effect.NONE)

    @property
    def subject(self) -> tuple[str, str]:
        """What needs something of a model where it is a value of this that does, and what to do instead."""
        if "several" in self.needs:
            return "an edit of several layers at once", "name one layer, and edit another after it"
        return f"`{self.name}`", f"leave `{self.name}` out"

    def range_text(self) -> str:
        """The allowed values in words, or an empty text."""
        if self.type == t.CHOICE:
            return "one of " + ", ".join(self.choices)
        low, high = self.minimum, self.maximum
        text = ""
        if low is not None:
            text = f"{low:,} to {high:,}" if high is not None and high < 2**62 else f"{low:,} or more"
        elif self.above is not None:
            text = f"more than {self.above:g}" + (f", at most {high:,g}" if high else "")
        elif high is not None:
            text = f"at most {high:,g}"
        return " or ".join([*self.choices, text] if text else self.choices)

    def allows(self, value: float) -> bool:
        """Is the number within the parameter's range? (NaN never is.)"""
        if self.minimum is not None and not value >= self.minimum:
            return False
        if self.maximum is not None and not value <= self.maximum:
            return False
        return (self.above is None or value > self.above) and value == value


@dataclass(frozen=True)
class Clash:
    """Two parameters that do not go together: ``one`` with a value of its own, and ``other``, too, or (``words``) with
    one of these words, be it only as its default. What only a setting says clashes with nothing. EL202."""

    one: str
    other: str
    message: str
    hint: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Example:
    """A script that shows the operation at work, and an expression about its outcome that must be true.

    ``on`` is the model to load first. The last command's result is the variable ``it`` in ``check``. One that takes
    about ten seconds or more says that it is ``slow``.
    """

    script: str
    check: str
    on: str = "planted:64x4"
    slow: bool = False


@dataclass(frozen=True)
class Flow:
    """What an operation does to layers, basins and concepts, as far as the checker can follow it.

    All values are names of parameters (``"*"``: all layers); empty: nothing of the kind. See the module.
    """

    surveys: str = ""
    fits: str = ""
    ends: str = ""
    said: str = "removed"
    revives: str = ""
    creates: str = ""
    at: str = ""
    applies: str = ""
    live: bool = False
    keeps: bool = False
    reads: bool = False
    travels: Literal["", "undo", "redo", "checkpoint", "rollback", "goto", "again"] = ""

    def parameters(self) -> tuple[str, ...]:
        """The parameters that are named, for the test that they exist."""
        named = (self.surveys, self.fits, self.ends, self.revives, self.creates, self.at, self.applies)
        return tuple(name for name in named if name not in ("", "*"))


NO_FLOW = Flow()
UNKNOWN_VALUE = object()
_NOT_GIVEN = (None, "auto", False)


@dataclass(frozen=True)
class Op:
    """An operation. ``family`` is the file that declares it (``energylang.ops``); ``on_streams`` says what is left of
    it, or takes its place, on layers without a landscape, where it needs none for the rest."""

    name: str
    summary: str
    result: type[Result]
    examples: tuple[Example, ...]
    params: tuple[Param, ...] = ()
    effects: Effect = Effect.NONE
    details: str = ""
    flow: Flow = NO_FLOW
    clashes: tuple[Clash, ...] = ()
    on_streams: str = ""
    family: str = ""

    @property
    def run(self) -> Callable[..., Result]:
        """What carries the operation out, given a workspace and one argument per parameter: the function of its name in
        the file of its family under ``energylang.work``."""
        work = import_module(f"energylang.work.{self.family}")
        found: Callable[..., Result] = getattr(work, f"{self.method}_", None) or getattr(work, self.method)
        return found

    @property
    def method(self) -> str:
        """The name of the Python method."""
        return self.name.replace("-", "_").replace(" ", "_")

    @property
    def result_type(self) -> t.Type:
        return t.record(self.result)

    @property
    def needs_model(self) -> bool:
        return not self.effects & (Effect.LOADS | Effect.ALWAYS)

    @property
    def tail(self) -> Tail | None:
        """How the arguments end, for the parser: in unquoted text, in an unquoted path, or neither."""
        for index, param in enumerate(self.positional[:3]):
            if param.type == t.DATA:
                return None  # it is any expression, and these do not stand before unquoted words
            if param.type == t.TEXT:
                return Tail("text", index)
            if param.type in (t.PATH, t.MODEL):
                return Tail("path", index)
        return None

    def clash(self, given: Mapping[str, Any]) -> Clash | None:
        """The first clash among the values that are given (``UNKNOWN_VALUE`` for those that only the run knows)."""
        for clash in self.clashes:
            if given.get(clash.one) in _NOT_GIVEN:
                continue
            param = self.param(clash.other)
            value = given.get(clash.other, param.default if param and clash.words else None)
            if value in clash.words if clash.words else value not in _NOT_GIVEN:
                return clash
        return None

    def needs(self, given: Mapping[str, Any]) -> Effect:
        """What the operation needs of a model with these values (or, of one that is not known, its type)."""
        found = self.effects
        kinds = {param.name: kind_of(given.get(param.name)) for param in self.params if param.instead}
        wanted = [
            param.instead[kinds[param.name]]
            for param in self.params
            if kinds.get(param.name) in param.instead
        ]
        if wanted and not {"Basin", "Seed"} & set(kinds.values()):
            found &= ~Effect.LANDSCAPE
        for need in wanted:
            found |= need
        for param in self.params:
            found |= param.asks(given.get(param.name))
        return found

    def asking(self, given: Mapping[str, Any], need: Effect) -> Param | None:
        """The parameter whose value needs something of a model that the operation does not."""
        if need in self.effects:
            return None
        return next((param for param in self.params if need in param.asks(given.get(param.name))), None)

    def param(self, name: str) -> Param | None:
        return next((param for param in self.params if param.name == name), None)

    @property
    def positional(self) -> tuple[Param, ...]:
        return tuple(param for param in self.params if not param.keyword_only)

    @property
    def takes_layer_and_target(self) -> bool:
        """True for ``L D`` and ``L B``: there, a basin alone stands for both."""
        first = self.positional[:2]
        return (
            len(first) == 2
            and first[0].type == t.LAYER
            and first[1].type
            in (
                *t.AIMED,
                t.SOURCE,
                t.BASIN,
            )
        )

    def usage(self) -> str:
        """The operation with its parameters, as it would be typed."""
        words = [self.name]
        for param in self.params:
            if param.required:
                words.append(f"<{param.name}>")
            elif param.keyword_only or isinstance(param.default, FromSetting) or param.default is not None:
                words.append(f"[{param.name}={default_text(param)}]")
            else:
                words.append(f"[{param.name}]")
        return " ".join(words)


def kind_of(value: Any) -> str:
    """The type of what an operation may be aimed at, by its name; empty for anything else."""
    if isinstance(value, t.Type):
        return value.name
    kinds = (
        (BasinRef, "Basin"),
        (PartName, "Neuron"),
        (ConceptName, "Concept"),
        (Seed | int, "Seed"),
        (str, "Text"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "")


def default_text(param: Param) -> str:
    """A parameter's default as it would be typed."""
    if isinstance(param.default, FromSetting):
        return f"setting {param.default.name}"
    if param.default is None:
        return "none"
    if isinstance(param.default, bool):
        return "true" if param.default else "false"
    return str(param.default)


FORCE = (
    Param(
        "force", t.BOOL, "keep the edit even if the gate refuses it; needs a reason", False, keyword_only=True
    ),
    Param("reason", t.TEXT, "why a refused edit is kept; goes into the history", "", keyword_only=True),
)
"""The two parameters that every gated edit has."""
