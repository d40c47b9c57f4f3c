"""What may stand at the cursor: what the prompt offers without a session (``repl.suggest``), and what the checker knows
here: variables, procedures, layers, concepts, checkpoints, fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from energylang.checker.scope import ModelState
from energylang.ops import TABLE
from energylang.repl.suggest import KEYWORDS, Hint, hint, suggest
from energylang.signature import types as t
from energylang.signature.declaration import Op
from energylang.syntax import ast
from energylang.syntax.build import WHOLE
from energylang.syntax.grammar import folder

from .hover import layer_facts, line_of
from .script import Script, sweep_in

What = Literal[
    "operation",
    "keyword",
    "procedure",
    "variable",
    "field",
    "parameter",
    "layer",
    "concept",
    "value",
    "module",
]

_PARTS = re.compile(r"(?<![\w.-])([^\W\d][\w-]*(?:\.\w+)*)\.(\w*)\Z")
_HOLE = re.compile(r'"[^"]*\{([^"{}]*)\Z')
_IMPORT = re.compile(r"\s*import\s+([\w-]*)\Z")
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_UNREAD = re.compile(r'(?:^|\s)#|(?<!")"(?!")')  # a comment has begun, or a text
_WORD = re.compile(r"[^\s=\[(,]*\Z")


@dataclass(frozen=True)
class Offer:
    """A word that fits, in place of the ``length`` characters before the cursor."""

    text: str
    length: int
    what: What
    note: str = ""
    op: Op | None = None


def complete(script: Script, offset: int) -> list[Offer]:
    """What may stand at a place, best first."""
    before = script.source.text[:offset]
    line = before.rpartition("\n")[2]
    module = _IMPORT.match(line)
    if module:
        return list(_beginning(((name, "a module") for name in modules(script)), module[1], "module"))
    known = variables(script, offset)
    hole = _HOLE.search(line)
    parts = _PARTS.search(hole[1] if hole else line)
    if parts and (fields := _fields(parts[1], parts[2], known)):
        return fields
    if hole:
        word = _WORD.search(hole[1])
        return list(_beginning(_noted(known), word[0] if word else "", "variable"))
    writing = hint(line)
    offers = [*_known_here(script, offset, line, writing, known)]
    for found in suggest(line, base=script.source.base):
        offers.append(Offer(found.text, found.length, _what(found.text), found.note, TABLE.get(found.text)))
    return list({(offer.text, offer.what): offer for offer in offers}.values())


def _what(text: str) -> What:
    if text in TABLE:
        return "operation"
    if text in KEYWORDS:
        return "keyword"
    return "parameter" if text.endswith("=") else "value"


def _beginning(words: Iterable[tuple[str, str]], typed: str, what: What) -> Iterator[Offer]:
    return (Offer(word, len(typed), what, note) for word, note in words if word.startswith(typed))


def _noted(known: dict[str, t.Type]) -> Iterator[tuple[str, str]]:
    return ((name, str(kind)) for name, kind in known.items())


def variables(script: Script, offset: int) -> dict[str, t.Type]:
    """The variables that can be seen from a place, with their types, the innermost first."""
    types, found = script.checked.types, dict[str, t.Type]()
    for level in reversed(script.around(offset)):
        here: dict[str, t.Type] = {}
        if isinstance(level.head, ast.For) and level.head.name != WHOLE:
            here[level.head.name] = types.get(id(level.head), t.ANY)
        if (sweep := sweep_in(level.head)) is not None:
            here |= {axis.name: types.get(id(axis), t.ANY) for axis in sweep.axes}
        if isinstance(level.head, ast.Def):
            procedure = script.checked.procedures.get(level.head.name)
            here |= {name: kind for name, kind, _ in procedure.parameters} if procedure is not None else {}
        for node in _with_quiet(level.statements):
            if isinstance(node, ast.Let) and node.new and node.span.end < offset:
                here[node.name] = types.get(id(node), t.ANY)
            elif isinstance(node, ast.Import):
                for constant in script.checked.constants.get(id(node), ()):
                    if isinstance(constant, ast.Let):
                        here[constant.name] = types.get(id(constant), t.ANY)
        for name, kind in reversed(here.items()):
            found.setdefault(name, kind)
    return found


def _with_quiet(statements: Iterable[ast.Statement]) -> Iterator[ast.Statement]:
    """The statements, and those in `quiet:` blocks, whose variables stay."""
    for node in statements:
        yield node
        if isinstance(node, ast.Quiet):
            yield from _with_quiet(node.body)


def _known_here(
    script: Script, offset: int, line: str, writing: Hint | None, known: dict[str, t.Type]
) -> Iterator[Offer]:
    word = _WORD.search(line)
    typed = word[0] if word else ""
    if _UNREAD.search(_TEXT.sub('""', line)):
        return
    if writing is None:
        for name, procedure in script.checked.procedures.items():
            if name.startswith(typed):
                yield Offer(name, len(typed), "procedure", procedure.usage())
        yield from _beginning(_noted(known), typed, "variable")
        return
    if writing.param is None:
        return
    kind, state = writing.param.type, script.state(offset)
    if kind in (t.LAYER, t.LAYERS, t.STEPS, t.DIRECTION, t.KEY, t.SOURCE, t.BASIN, t.BASINS):
        yield from _beginning(_layers(script, state, offset), typed, "layer")
    if kind in (t.CONCEPT, t.CONCEPTS, t.DIRECTION, t.KEY, t.SOURCE, t.PARTS):
        sign = "@" if typed.startswith("@") else ""
        made = (
            (sign + name, f"a concept of {line_of(script, item.span)}")
            for name, item in state.facts.now.concepts.items()
        )
        yield from _beginning(made, typed, "concept")
    if kind == t.LABEL:
        yield from _beginning(((name, "a checkpoint") for name in state.facts.checkpoints), typed, "value")
    if kind in (t.TEXT, t.PATH, t.MODEL, t.CHOICE, t.LABEL):
        return
    fitting = {name: have for name, have in known.items() if have != t.ANY and t.fits(have, kind)}
    yield from _beginning(_noted(fitting), typed, "variable")


def _layers(script: Script, state: ModelState, offset: int) -> Iterator[tuple[str, str]]:
    for index in range(len(state.header.dims) if state.header is not None else 0):
        yield f"L{index}", "; ".join(layer_facts(script, state, index, offset))


def _fields(chain: str, typed: str, known: dict[str, t.Type]) -> list[Offer]:
    """The fields of what a chain of names stands for."""
    first, *rest = chain.split(".")
    kind = known.get(first, t.ANY)
    for name in rest:
        kind = (t.fields_of(kind) or {}).get(name, t.ANY)
    return [
        Offer(name, len(typed), "field", str(of))
        for name, of in (t.fields_of(kind) or {}).items()
        if name.startswith(typed)
    ]


def modules(script: Script) -> list[str]:
    """The modules that could be imported: those beside the script, then those of the standard library."""
    own = script.path.name if script.path is not None else ""
    found: list[str] = []
    try:
        beside = sorted(script.source.base.glob("*.el")) if script.source.base is not None else []
        found += [item.stem for item in beside[:1000] if item.name != own]
    except OSError:
        pass
    shipped = [item.name for item in folder("stdlib").iterdir()]
    return found + [name[:-3] for name in sorted(shipped) if name.endswith(".el") and name[:-3] not in found]
