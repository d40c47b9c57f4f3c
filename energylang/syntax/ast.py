"""The syntax tree of the Energy Language: one frozen dataclass per construct, each with its span.

The tree says what was written, not what it means: an operation is a name with arguments, ``L3`` is the
number of a layer. What an operation is, and whether the layer exists, is the checker's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from energylang.diagnostics.source import Span


@dataclass(frozen=True)
class Node:
    span: Span


# ------------------------------------------------------------------ expressions


@dataclass(frozen=True)
class Expr(Node):
    pass


@dataclass(frozen=True)
class Int(Expr):
    value: int


@dataclass(frozen=True)
class Float(Expr):
    """A number with a point or an exponent, or a percentage (``2%`` is 0.02)."""

    value: float


@dataclass(frozen=True)
class Bool(Expr):
    value: bool


@dataclass(frozen=True)
class Hole(Node):
    """``{value:format}`` inside a text."""

    value: Expr
    format: str


@dataclass(frozen=True)
class Text(Expr):
    """A text: pieces of plain text and holes to fill. ``raw`` marks unquoted text."""

    parts: tuple[str | Hole, ...]
    raw: bool = False

    @property
    def constant(self) -> str | None:
        """The text itself when nothing has to be filled in."""
        if any(isinstance(part, Hole) for part in self.parts):
            return None
        return "".join(part for part in self.parts if isinstance(part, str))


@dataclass(frozen=True)
class Word(Expr):
    """An unquoted path or model name (``load random:256``). A word that is a variable means the variable."""

    value: str


@dataclass(frozen=True)
class Name(Expr):
    """A bare name: a variable, a concept, an enumeration member or an operation without arguments,
    depending on where it stands. In brackets of its own it stands for a value: a variable or an operation."""

    name: str
    bracketed: bool = False


@dataclass(frozen=True)
class ConceptName(Expr):
    """``@polite``: a concept wherever it stands."""

    name: str


@dataclass(frozen=True)
class ComputedConcept(Expr):
    """``@{name}``: the concept that is called as the text in the braces says."""

    name: Expr


@dataclass(frozen=True)
class LayerRef(Expr):
    """``L3``."""

    index: int


@dataclass(frozen=True)
class LayersRef(Expr):
    """``layers``: all of them."""


@dataclass(frozen=True)
class BasinRef(Expr):
    """``L3.B7``."""

    layer: int
    basin: int


@dataclass(frozen=True)
class PartRef(Expr):
    """``L3.N345``, an MLP neuron, or ``L3.H2``, an attention head."""

    layer: int
    kind: str  # N, H
    index: int


@dataclass(frozen=True)
class List(Expr):
    items: tuple[Expr, ...]


@dataclass(frozen=True)
class Each(Expr):
    """``[item for name in items if condition]``: a list made of another."""

    item: Expr
    name: str
    name_span: Span
    items: Expr
    condition: Expr | None


@dataclass(frozen=True)
class Entry(Node):
    """``name: value`` in a record, ``name=value`` in a row or in a call of a function."""

    name: str
    name_span: Span
    value: Expr


@dataclass(frozen=True)
class Record(Expr):
    """``{name: value, …}``: values under names."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Part(Expr):
    """The value at place ``index`` of ``count`` in a record or a list: what ``for a, b in …`` takes apart."""

    value: Expr
    index: int
    count: int


@dataclass(frozen=True)
class Function(Expr):
    """``sqrt(x)``, ``text.upper()``: a function of the language; the value before the point is its first argument."""

    name: str
    name_span: Span
    arguments: tuple[Expr, ...]
    keywords: tuple[Entry, ...]
    method: bool = False


@dataclass(frozen=True)
class Range(Expr):
    """``first..last``, both included."""

    first: Expr
    last: Expr


@dataclass(frozen=True)
class Unary(Expr):
    operator: Literal["-", "not"]
    operand: Expr


@dataclass(frozen=True)
class Binary(Expr):
    operator: str  # + - * / % **
    left: Expr
    right: Expr


@dataclass(frozen=True)
class Logical(Expr):
    operator: Literal["and", "or"]
    left: Expr
    right: Expr


@dataclass(frozen=True)
class Compare(Expr):
    """``a < b <= c``: operators and operands alternate, as in mathematics."""

    first: Expr
    rest: tuple[tuple[str, Expr], ...]


@dataclass(frozen=True)
class Within(Expr):
    """``x in xs``, ``x not in xs``: an item of a list, a part of a text."""

    value: Expr
    items: Expr
    negated: bool


@dataclass(frozen=True)
class Field(Expr):
    """``value.name``; on a layer, ``value.B3`` is a basin."""

    value: Expr
    name: str
    name_span: Span


@dataclass(frozen=True)
class Index(Expr):
    value: Expr
    index: Expr


@dataclass(frozen=True)
class Keyword(Node):
    """``name=value`` in a command. ``--force`` is ``force=true``, ``--reason "…"`` is ``reason="…"``."""

    name: str
    value: Expr
    name_span: Span


@dataclass(frozen=True)
class Command(Expr):
    """An operation or a procedure with its arguments; as an expression it stands for its result."""

    name: str
    name_span: Span
    arguments: tuple[Expr, ...]
    keywords: tuple[Keyword, ...]


# ------------------------------------------------------------------- statements


@dataclass(frozen=True)
class Statement(Node):
    pass


@dataclass(frozen=True)
class Axis(Node):
    """``seed in 0..4``: a variable of a sweep, and the values that it takes."""

    name: str
    name_span: Span
    items: Expr


@dataclass(frozen=True)
class Sweep(Expr):
    """``sweep seed in 0..4, l in layers:`` with its block, which runs once for every cell, from the state before all of
    them. Its value is the table of what the cells give: their ``row``s, or (``rows`` is false) what each ends with."""

    axes: tuple[Axis, ...]
    body: tuple[Statement, ...]
    rows: bool


@dataclass(frozen=True)
class Do(Statement):
    """A command, or another expression, that stands alone: its result is displayed."""

    command: Expr


@dataclass(frozen=True)
class Let(Statement):
    """``let name = value``; with ``new`` false it is the assignment ``name = value``."""

    name: str
    name_span: Span
    value: Expr
    new: bool = True


@dataclass(frozen=True)
class Print(Statement):
    value: Expr


@dataclass(frozen=True)
class Require(Statement):
    """``require condition, "message"``; ``word`` is ``assert`` for a claim about the script itself."""

    condition: Expr
    message: Expr | None
    word: Literal["require", "assert"] = "require"


@dataclass(frozen=True)
class Pass(Statement):
    pass


@dataclass(frozen=True)
class If(Statement):
    """Conditions with their blocks, in order (``if``, ``elif`` …), and the block for none of them."""

    branches: tuple[tuple[Expr, tuple[Statement, ...]], ...]
    otherwise: tuple[Statement, ...]


@dataclass(frozen=True)
class For(Statement):
    name: str
    name_span: Span
    items: Expr
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Attempt(Statement):
    """``attempt "name":`` with its block, and the block for when that failed and was undone."""

    name: Text | None
    body: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]
    head: Span


@dataclass(frozen=True)
class With(Statement):
    """``with command:``: what the command changed is undone when the block ends."""

    command: Expr
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Quiet(Statement):
    """``quiet:`` with its block, which is no scope: it displays nothing, and what it defines stays."""

    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Row(Statement):
    """``row table name=value …``, ``row table record``: the table is the one before with a row more. Without a ``name``
    it is a row of the sweep around it, or of the script."""

    name: str | None
    name_span: Span
    value: Expr  # a record


@dataclass(frozen=True)
class Cell(Statement):
    """The block of a sweep in one of its cells: what the innermost of its loops does."""

    of: Sweep


@dataclass(frozen=True)
class Parameter(Node):
    """``name: Type = default`` in a ``def``; ``type_name`` is as written, without blanks."""

    name: str
    type_name: str | None
    default: Expr | None
    type_span: Span | None = None


@dataclass(frozen=True)
class Def(Statement):
    name: str
    name_span: Span
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Return(Statement):
    value: Expr | None


@dataclass(frozen=True)
class Import(Statement):
    name: str
    name_span: Span


@dataclass(frozen=True)
class Program(Node):
    statements: tuple[Statement, ...]
