"""From a script and ``--set NAME=VALUES`` to the cells of a sweep.

A parameter is a ``let`` at the outermost level of the script. A cell's script is the script with the values of the cell
in place of those that stand there: it is checked, run, hashed and shown like any other.

Values are literals of the language, with commas between them (``0.1,0.2``), or ranges (``0..4``, ``L0..L3``); where the
script has a text, they are texts and need no quotes. Where it has a number with a fraction, whole numbers become such.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from energylang.checker import Checked, check, parser
from energylang.checker.modules import Modules
from energylang.diagnostics import Diagnostic, Diagnostics
from energylang.diagnostics.source import Source
from energylang.errors import ElError
from energylang.signature import types as t
from energylang.signature.coerce import suggestion
from energylang.syntax import ast
from energylang.syntax.rows import gives_rows
from energylang.version import __version__

MAX_CELLS = 100_000
_LITERALS = (
    ast.Int,
    ast.Float,
    ast.Bool,
    ast.Text,
    ast.LayerRef,
    ast.BasinRef,
    ast.PartRef,
    ast.ConceptName,
    ast.List,
)
_UNSAFE = re.compile(r"[^A-Za-z0-9.+=-]+")
_WORDS = re.compile(r'"(?:[^"\\]|\\.)*"|[^,]+')
Plain = bool | int | float | str


@dataclass(frozen=True)
class Value:
    """A value of a parameter: as it stands in the script, and as it stands in a table."""

    written: str
    plain: Plain


@dataclass(frozen=True)
class Cell:
    """One cell. ``name`` is that of its file, ``identity`` tells what it runs: script, modules and version."""

    number: int
    name: str
    values: dict[str, Plain]
    text: str
    identity: str


@dataclass(frozen=True)
class Plan:
    """The cells of a sweep, in the order of its table. ``script`` is the script as it stands in its file."""

    script: Source
    parameters: tuple[str, ...]
    cells: tuple[Cell, ...] = field(repr=False)


class Unchecked(Exception):
    """A script that does not check, or (``setting``) does not with that value."""

    def __init__(self, diagnostics: list[Diagnostic], setting: str = "") -> None:
        super().__init__("\n".join(item.message for item in diagnostics))
        self.diagnostics = diagnostics
        self.setting = setting


def planned(source: Source, settings: Sequence[str]) -> Plan:
    """The cells for these settings (``seed=0..4``). Every value is checked in the script, beside the first ones of the
    other parameters. Raises ``ElError`` for what is wrong with a setting, ``Unchecked`` for a script."""
    checked = _sound(source)
    _gives_something(checked)
    lets = _parameters(checked)
    axes: dict[str, list[Value]] = {}
    for setting in settings:
        name, sign, text = setting.partition("=")
        name = name.strip()
        if not sign or not name:
            raise ElError(
                f"`--set {setting}` names no values", code="EL209", hint="for example --set seed=0..4"
            )
        if name in axes:
            raise ElError(
                f"`{name}` is set twice", code="EL209", hint="--set seed=0,1,5 takes as many as you like"
            )
        if name not in lets:
            raise ElError(
                f"{source.name} has no parameter `{name}`", code="EL207",
                hint=suggestion(name, lets)
                or (f"its parameters are {', '.join(lets)}" if lets else f"begin the script with `let {name} = …`"),
            )  # fmt: skip
        kind = checked.types.get(id(lets[name]), t.ANY)
        axes[name] = _values(name, text, kind)
    count = math.prod(len(values) for values in axes.values())
    if count > MAX_CELLS:
        raise ElError(f"{count:,} cells are too many", code="EL209", hint=f"at most {MAX_CELLS:,}")
    first = {name: values[0] for name, values in axes.items()}
    for name, values in axes.items():
        for value in values:
            _fits(source, lets, {**first, name: value}, name, checked)
    return Plan(source, tuple(axes), tuple(_cells(source, lets, axes, _around(checked))))


def _sound(source: Source) -> Checked:
    checked = check(source)
    if not checked.ok:
        raise Unchecked([item for item in checked.diagnostics if item.is_error])
    return checked


def _gives_something(checked: Checked) -> None:
    statements = checked.program.statements
    if gives_rows(statements):
        return
    if not statements or not isinstance(statements[-1], ast.Do):
        found = Diagnostics()
        place = statements[-1].span if statements else None
        found.append(
            Diagnostic("EL217", "the script gives nothing for the table of a sweep", place,
                       help="end it with a value, or say `row cosine=v.cosine`")
        )  # fmt: skip
        raise Unchecked(found.items)


def _parameters(checked: Checked) -> dict[str, ast.Let]:
    """The script's own variables, by name; of one that is made twice, what is made last would stay."""
    return {item.name: item for item in checked.program.statements if isinstance(item, ast.Let) and item.new}


# ---------------------------------------------------------------------------------------------- values


def _values(name: str, text: str, kind: t.Type) -> list[Value]:
    if kind in (t.TEXT, t.PATH, t.MODEL):
        words = [word.strip() for word in _WORDS.findall(text) if word.strip()]
        found = [_as_text(_unquoted(word)) for word in words]
    elif kind == t.CONCEPT:
        words = [word.strip().removeprefix("@") for word in text.split(",") if word.strip()]
        found = [Value(f"@{word}", word) for word in words]
    else:
        found = _literals(name, text, kind)
    if not found:
        raise ElError(
            f"`--set {name}={text}` names no values", code="EL209", hint=f"for example --set {name}=0..4"
        )
    if len({value.written for value in found}) < len(found):
        raise ElError(
            f"`--set {name}={text}` names a value twice", code="EL209", hint="name every value once"
        )
    return found


def _unquoted(word: str) -> str:
    if len(word) > 1 and word[0] == word[-1] == '"':
        return re.sub(r"\\(.)", r"\1", word[1:-1])
    return word


def _as_text(text: str) -> Value:
    signs = {"\\": "\\\\", '"': '\\"', "{": "\\{", "}": "\\}", "\n": "\\n", "\t": "\\t"}
    return Value('"' + "".join(signs.get(sign, sign) for sign in text) + '"', text)


def _literals(name: str, text: str, kind: t.Type) -> list[Value]:
    program, problems = parser().parse(Source(f"let x = [{text}\n]\n", f"--set {name}"))
    made = program.statements[0] if not problems and len(program.statements) == 1 else None
    if not isinstance(made, ast.Let) or not isinstance(made.value, ast.List):
        raise ElError(
            f"`--set {name}={text}` is no list of values", code="EL209",
            hint=f"values with commas between them, or a range: --set {name}=0..4; in a shell, quotes around blanks",
        )  # fmt: skip
    found: list[Value] = []
    for item in made.value.items:
        found += _expanded(name, item, kind)
    return found


def _expanded(name: str, item: ast.Expr, kind: t.Type) -> Iterator[Value]:
    if isinstance(item, ast.Range):
        first, last = item.first, item.last
        if isinstance(first, ast.Int) and isinstance(last, ast.Int) and last.value - first.value < MAX_CELLS:
            for number in range(first.value, last.value + 1):
                yield _number(number, kind)
            return
        if isinstance(first, ast.LayerRef) and isinstance(last, ast.LayerRef) and last.index < MAX_CELLS:
            for number in range(first.index, last.index + 1):
                yield Value(f"L{number}", f"L{number}")
            return
    if isinstance(item, ast.Int) or (isinstance(item, ast.Float) and kind == t.FLOAT):
        yield _number(item.value, kind)
    elif isinstance(item, ast.Float | ast.Bool):
        yield Value(item.span.text, item.value)
    elif isinstance(item, _LITERALS):
        yield Value(item.span.text, (item.constant if isinstance(item, ast.Text) else None) or item.span.text)
    else:
        raise ElError(
            f"`{item.span.text}` in `--set {name}=…` is no value that is written out", code="EL209",
            hint="numbers, texts in quotes, true and false, layers (L0..L3), lists of these",
        )  # fmt: skip


def _number(value: float, kind: t.Type) -> Value:
    value = float(value) if kind == t.FLOAT else value
    return Value(repr(value), value)


# ----------------------------------------------------------------------------------------------- cells


def _written(source: Source, lets: dict[str, ast.Let], values: dict[str, Value]) -> str:
    """The script with these values in place of its own."""
    text = source.text
    for node in sorted((lets[name] for name in values), key=lambda node: -node.span.start):
        place = node.value.span
        text = text[: place.start] + values[node.name].written + text[place.end :]
    return text


def _fits(
    source: Source, lets: dict[str, ast.Let], values: dict[str, Value], name: str, before: Checked
) -> None:
    """Raise where the script does not check with these values, of which the one of ``name`` is looked at."""
    checked = check(Source(_written(source, lets, values), source.name, source.base))
    made = _parameters(checked).get(name)
    had, has = (item.types.get(id(node), t.ANY) for item, node in ((before, lets[name]), (checked, made)))
    if t.join(had, has) is None:
        raise ElError(
            f"`{name}` is {had} in {source.name}, and {values[name].written} is {has}",
            code="EL201",
            hint="a parameter keeps its type; the script's own value says which",
        )
    if not checked.ok:
        wrong = [item for item in checked.diagnostics if item.is_error]
        raise Unchecked(wrong, f"{name}={values[name].written}")


def _around(checked: Checked) -> str:
    """What else a cell depends on: the version, and the modules that the script imports, those that they import too."""
    digest = hashlib.sha256(__version__.encode())
    modules, source = Modules(parser().parse), checked.program.span.source
    waiting = [
        (node.name, source.base) for node in checked.program.statements if isinstance(node, ast.Import)
    ]
    seen: set[str] = set()
    while waiting:
        name, base = waiting.pop()
        found = modules.find(name, base)
        if name in seen or not isinstance(found, Source):
            continue
        seen.add(name)
        digest.update(f"{name}\0{found.text}\0".encode())
        program, _ = parser().parse(found)
        waiting += [(node.name, found.base) for node in program.statements if isinstance(node, ast.Import)]
    return digest.hexdigest()


def _cells(
    source: Source, lets: dict[str, ast.Let], axes: dict[str, list[Value]], around: str
) -> Iterator[Cell]:
    for number, chosen in enumerate(product(*axes.values())):
        values = dict(zip(axes, chosen, strict=True))
        plain = {name: value.plain for name, value in values.items()}
        text = _written(source, lets, values)
        identity = hashlib.sha256(f"{around}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()
        yield Cell(number, _name(plain), plain, text, identity)


def _name(values: dict[str, Plain]) -> str:
    """``seed=0,strength=0.1-5f2c8a11d0``: for people, and different for different values on every file system."""
    said = ",".join(f"{name}={_UNSAFE.sub('_', str(value))[:30]}" for name, value in values.items())
    data = json.dumps(values, sort_keys=True, ensure_ascii=True)
    return f"{said[:100] or 'whole'}-{hashlib.sha256(data.encode()).hexdigest()[:10]}"
