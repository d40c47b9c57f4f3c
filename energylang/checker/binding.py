"""Which argument belongs to which parameter, and may it stand there?

One rule for all operations:

* positional arguments fill the parameters in order; a basin alone fills layer and target at once;
* ``seed 42`` fills a direction, and so does ``seed=42`` in an operation that has no ``seed`` of its own;
* in a Concept parameter a name is a concept, or a variable that holds one; in a Direction parameter it is a
  variable if there is one, else a concept; in a parameter with choices it is one of them;
* in brackets a name is an expression like any other: ``verify L0 (pick)`` asks the procedure ``pick``.

What cannot be decided from the text (the value of a variable) is checked when the script runs, by the same
``coerce``.
"""

from __future__ import annotations

import re
from typing import Any

from energylang.errors import ElError
from energylang.signature import types as t
from energylang.signature.coerce import article, at_layer, coerce, is_name, suggestion
from energylang.signature.declaration import UNKNOWN_VALUE, Op, Param
from energylang.signature.settings import SETTINGS, of_setting
from energylang.signature.values import BasinRef, ConceptName, Layer, PartName, parse_reference
from energylang.syntax import ast

from .expressions import expect, may_be_none, meant_layer, once, path_of
from .flow import check_layer, find, layer_known
from .scope import Argument, Call, Given, LayerOf, Procedure, SeedOf
from .walk import Walk

NO_CONSTANT = object()
_PATH = re.compile(r"[^\W\d]\w*(?:-\w+)*(?:\.[^\W\d]\w*)*")
REFERENCES = (t.LAYER, t.LAYERS, t.BASIN, t.DIRECTION, t.STEPS)
KEYS = (t.KEY, t.SOURCE)
NAMED = (t.DIRECTION, *KEYS)


def constant(expr: ast.Expr) -> Any:
    """The value of an expression that is written out, or ``NO_CONSTANT``."""
    if isinstance(expr, ast.Int | ast.Float | ast.Bool):
        return expr.value
    if isinstance(expr, ast.Text):
        return expr.constant if expr.constant is not None else NO_CONSTANT
    if isinstance(expr, ast.LayerRef):
        return Layer(expr.index)
    if isinstance(expr, ast.BasinRef):
        return BasinRef(expr.layer, expr.basin)
    if isinstance(expr, ast.PartRef):
        return PartName(expr.layer, expr.kind, expr.index)
    return NO_CONSTANT


def bind(walk: Walk, command: ast.Command, op: Op) -> Call:
    """Bind a command's arguments to an operation's parameters, reporting what does not fit."""
    outer, walk.judged = walk.judged, {}
    try:
        return _bind(walk, command, op)
    finally:
        walk.judged = outer


def _bind(walk: Walk, command: ast.Command, op: Op) -> Call:
    bound: dict[str, Argument] = {}
    spans: dict[str, ast.Expr] = {}
    problems = len(walk.problems.items)
    arguments, seeds = _seeds_in_keywords(walk, command)
    params = list(op.positional)
    if op.takes_layer_and_target and arguments and _stands_alone(walk, op, arguments):
        basin = arguments.pop(0)
        bound[params[0].name] = LayerOf(basin)
        bound[params[1].name] = spans[params[1].name] = basin
        walk.kinds[id(basin)] = once(walk, basin)
        params = params[2:]
    for param in params:
        if not arguments:
            break
        expr = arguments.pop(0)
        if param.type in t.AIMED and arguments and _is_seed_word(walk, expr, arguments[0]):
            number = arguments.pop(0)
            expect(walk, number, t.INT, "the number of a seed")
            bound[param.name] = SeedOf(number)
            continue
        spans[param.name] = expr
        bound[param.name] = argument(walk, op, param, expr, bound)
    if arguments:
        surplus = arguments[0]
        most = len(op.positional)
        walk.problems.add(
            "EL203",
            f"`{op.name}` takes {_count(most)}, this is one too many",
            surplus.span,
            help=f"usage: {op.usage()}",
        )
    for keyword in command.keywords:
        _bind_keyword(walk, op, keyword, bound, seeds)
        spans.setdefault(keyword.name.replace("-", "_"), keyword.value)
    _check_missing(walk, command, op, bound, fits=len(walk.problems.items) == problems)
    if "layer" in bound:
        check_layer(walk, bound["layer"], spans.get("layer"))
    return Call(op, bound, spans)


def _count(number: int) -> str:
    return {0: "no arguments", 1: "one argument"}.get(number, f"at most {number} arguments")


def _stands_alone(walk: Walk, op: Op, arguments: list[ast.Expr]) -> bool:
    """Is the first argument a basin, or a neuron, that stands for both layer and target?"""
    first = arguments[0]
    keyed = op.positional[1].type in KEYS
    if isinstance(first, ast.BasinRef) or (keyed and isinstance(first, ast.PartRef) and first.kind == "N"):
        return True
    if isinstance(first, ast.LayerRef | ast.Int):
        return False
    if _word(walk, first) is not None:
        return False
    kind = once(walk, first)
    if keyed and kind == t.NEURON:
        return True
    return kind in (t.BASIN, t.SURVEYED) or (t.unknown(kind) and len(arguments) == 1)


def _is_seed_word(walk: Walk, expr: ast.Expr, following: ast.Expr | None = None) -> bool:
    """Is this the word in ``seed 42``? Where a variable is called so, too, it is in ``seed seed`` only."""
    if _bare(expr) != "seed":
        return False
    return walk.scope.find("seed") is None or (following is not None and _bare(following) == "seed")


def _bare(expr: ast.Expr) -> str | None:
    """A name without brackets: it may be a word of the parameter it is given to."""
    return expr.name if isinstance(expr, ast.Name) and not expr.bracketed else None


def _word(walk: Walk, expr: ast.Expr) -> str | None:
    """A name without brackets that is no variable."""
    name = _bare(expr)
    return name if name is not None and walk.scope.find(name) is None else None


def _concept(walk: Walk, expr: ast.Expr) -> str | None:
    """The concept that an argument of type Concept names: a name is one, but for a variable that holds one."""
    name = expr.name if isinstance(expr, ast.ConceptName) else _bare(expr)
    return name if name is not None and walk.scope.find(name) != t.CONCEPT else None


def _seeds_in_keywords(walk: Walk, command: ast.Command) -> tuple[list[ast.Expr], dict[int, ast.Expr]]:
    """The arguments without the numbers of ``to=seed 3``, and these numbers by the keywords they belong to."""
    arguments, seeds = list(command.arguments), {}
    for keyword in command.keywords:
        if not _is_seed_word(walk, keyword.value):
            continue
        behind = [item for item in (*arguments, *command.keywords) if item.span.start >= keyword.span.end]
        following = min(behind, key=lambda item: item.span.start, default=None)
        if isinstance(following, ast.Expr):
            arguments = [item for item in arguments if item is not following]
            seeds[id(keyword)] = following
    return arguments, seeds


def _seed_of(
    walk: Walk, keyword: ast.Keyword, kind: t.Type | None, seeds: dict[int, ast.Expr]
) -> SeedOf | None:
    """``to=seed 3``, or ``None`` for another value. Reports a number behind what is no direction."""
    number = seeds.get(id(keyword))
    if number is None:
        return None
    if kind is not None and kind not in t.AIMED:
        walk.problems.add(
            "EL201",
            f"`{keyword.name}` must be {article(kind)}, not a seed",
            keyword.value.span.to(number.span),
        )
    expect(walk, number, t.INT, "the number of a seed")
    return SeedOf(number)


def _bind_keyword(
    walk: Walk, op: Op, keyword: ast.Keyword, bound: dict[str, Argument], seeds: dict[int, ast.Expr]
) -> None:
    name = keyword.name.replace("-", "_")
    param = op.param(name)
    if param is None and name == "seed":
        param = next((p for p in op.params if p.type in t.AIMED and p.name not in bound), None)
        if param is not None:
            expect(walk, keyword.value, t.INT, "the number of a seed")
            bound[param.name] = SeedOf(keyword.value)
            return
    if param is None:
        names = [p.name for p in op.params]
        listed = ", ".join(names) or "none"
        walk.problems.add(
            "EL204",
            f"`{op.name}` has no parameter `{keyword.name}`",
            keyword.name_span,
            help=suggestion(name, names) or f"its parameters: {listed}",
        )
        return
    if name in bound:
        walk.problems.add("EL209", f"`{name}` is given twice", keyword.span)
        return
    seed = _seed_of(walk, keyword, param.type, seeds)
    bound[name] = seed if seed is not None else argument(walk, op, param, keyword.value, bound)


def _check_missing(
    walk: Walk, command: ast.Command, op: Op, bound: dict[str, Argument], *, fits: bool
) -> None:
    missing = [param for param in op.params if param.required and param.name not in bound]
    if missing:
        first = missing[0]
        end = command.span
        walk.problems.add(
            "EL202",
            f"`{op.name}` needs `{first.name}`: {first.help}",
            end,
            help=f"usage: {op.usage()}" + (f"   for example: {_example(op)}" if op.examples else ""),
        )
    if op.clashes and fits:
        clash = op.clash({name: known(value) for name, value in bound.items()})
        if clash is not None:
            walk.problems.add("EL202", clash.message, command.span, help=clash.hint)
    force, reason = bound.get("force"), bound.get("reason")
    blank = reason is None or not str(known(reason)).strip()
    if op.param("force") and isinstance(force, ast.Bool) and force.value and blank:
        walk.problems.add("EL202", "a forced edit needs a reason", command.span,
                             help='add reason="…"; it goes into the history')  # fmt: skip


def known(value: Argument) -> Any:
    """The value of an argument that is written out, or ``UNKNOWN_VALUE``."""
    if isinstance(value, Given):
        return value.value
    found = constant(value) if isinstance(value, ast.Expr) else NO_CONSTANT
    return UNKNOWN_VALUE if found is NO_CONSTANT else found


def _example(op: Op) -> str:
    lines = [line for line in op.examples[0].script.splitlines() if line.startswith(op.name)]
    return lines[0] if lines else op.examples[0].script.splitlines()[-1]


def argument(walk: Walk, op: Op, param: Param, expr: ast.Expr, bound: dict[str, Argument]) -> Argument:
    """One argument for one parameter."""
    if param.type == t.VALUE:
        setting = bound.get("setting")
        known = SETTINGS.get(setting.value) if isinstance(setting, Given) else None
        if known is None:
            word = _word(walk, expr)
            if word is not None:
                return Given(word)
            expect(walk, expr, t.VALUE, f"`{param.name}`")
            return expr
        param = of_setting(param, known.name)
    if param.type in (t.CONCEPT, t.CONCEPTS, t.PARTS) and (concept := _concept(walk, expr)):
        if isinstance(expr, ast.Name) and walk.scope.find(concept) == t.TEXT:
            find(walk, "EL408", f"this is the concept `{concept}`, not the one whose name the variable holds", expr,
                 help=f"`@{{{concept}}}` is the concept that it names")  # fmt: skip
        return Given(ConceptName(concept))
    if param.type == t.LABEL and (label := _bare(expr)):
        return Given(label)
    path = path_of(expr) if param.type == t.PATH and isinstance(expr, ast.Field) else None
    if path is not None and walk.scope.find(path[0]) is None:  # `save=map.svg`
        return Given(expr.span.text)
    word = _word(walk, expr)
    if param.type == t.CHOICE or (param.choices and word is not None):
        return _choice(walk, param, expr, word)
    if param.type == t.CONCEPT and isinstance(expr, ast.Text) and expr.constant is not None:
        return Given(ConceptName(expr.constant))
    if param.type in NAMED and word is not None:
        return Given(ConceptName(word))
    if (
        param.type in KEYS
        and isinstance(expr, ast.Text)
        and (named := _key_named(walk, param, expr)) is not None
    ):
        return named
    if param.type == t.AT and word is not None:
        return Given(word)
    if isinstance(expr, ast.Word):
        if walk.scope.find(expr.value) is None:
            return Given(expr.value)
        expr = ast.Name(expr.span, expr.value)
    if param.type == t.LAYERS and isinstance(expr, ast.LayersRef):
        return Given("layers")
    if param.type == t.LAYERS and isinstance(expr, ast.List) and not expr.items:
        walk.problems.add("EL206", "this list holds no layer", expr.span,
                          help="name one, or write `layers` for all of them")  # fmt: skip
        return expr
    value = constant(expr)
    if isinstance(value, str) and param.type == t.DIRECTION and parse_reference(value) is None:
        return Given(ConceptName(value))
    if isinstance(value, str) and param.type in REFERENCES:
        walk.problems.add("EL201", f"`{param.name}` must be {article(param.type)}, not a text", expr.span,
                             help=f"without quotes: `{value}`" if parse_reference(value) else param.help)  # fmt: skip
        return expr
    if word == "none" and param.default is None and not param.required:
        return Given(None)
    if param.type == t.TEXT and isinstance(expr, ast.Text) and expr.raw:
        _a_variable(walk, expr)
    if param.type == t.DATA:
        walk.kinds[id(expr)] = once(walk, expr)
    if value is not NO_CONSTANT:
        once(walk, expr)
        return _check_constant(walk, param, expr, value, bound)
    if (
        (word := _word(walk, expr)) is not None
        and param.type in (t.LAYER, t.LAYERS)
        and (meant := meant_layer(word))
    ):
        walk.problems.add("EL207", f"there is no layer `{word}`", expr.span, help=meant)
        return expr
    found = once(walk, expr)
    if param.default is None and not param.required:  # none is what it is without an argument
        found = param.type if found == t.NONE else t.present(found)
    walk.kinds[id(expr)] = found
    if not t.fits(found, param.type) and not (param.type == t.BASIN and found == t.INT):
        walk.problems.add(
            "EL201",
            f"`{param.name}` must be {article(param.type)}, not {found}",
            expr.span,
            help=may_be_none(expr, found) or _named_by(expr, found, param) or param.help,
        )
    return expr


def _key_named(walk: Walk, param: Param, expr: ast.Text) -> Argument | None:
    """A text as a key: a concept's name where there is such a concept, or where layers are landscapes; otherwise a
    phrase, as is a text that only the run knows."""
    header, words = walk.model.header, expr.constant
    if words is None:
        return None
    if parse_reference(words) is not None:
        walk.problems.add("EL201", f"`{param.name}` must be {article(param.type)}, not a text", expr.span,
                          help=f"without quotes: `{words}`")  # fmt: skip
        return expr
    name = words.removeprefix("@")
    landscape = header is not None and "landscape" in header.capabilities
    if is_name(name) and (landscape or at_layer(name)[0] in walk.facts.now.concepts):
        return Given(ConceptName(name))
    return None


def _named_by(expr: ast.Expr, found: t.Type, param: Param) -> str:
    """What to write where a text is to name a concept."""
    if found != t.TEXT or param.type not in (*NAMED, t.CONCEPT, t.CONCEPTS, t.PARTS):
        return ""
    return f"`@{{{' '.join(expr.span.text.split())}}}` is the concept that it names"


def _a_variable(walk: Walk, expr: ast.Text) -> None:
    """EL408 for unquoted text that is the name of a variable: it is taken as a word."""
    words = expr.constant or ""
    if _PATH.fullmatch(words) and walk.scope.place(words.partition(".")[0]) is not None:
        find(walk, "EL408", f"this is the text `{words}`, not the value of the variable", expr,
             help=f'for its value write "{{{words}}}"')  # fmt: skip


def _choice(walk: Walk, param: Param, expr: ast.Expr, word: str | None) -> Argument:
    text = constant(expr)
    written = word
    if param.type == t.CHOICE and (bare := _bare(expr)) is not None:
        # One of the words is that word, even where a variable is called so; any other name may be a variable.
        spelled = (bare, bare.replace("-", "_"), bare.replace("_", "-"))
        written = bare if word is not None or any(item in param.choices for item in spelled) else None
    if written is None and isinstance(text, str):
        written = text
    if written is None:
        expect(walk, expr, t.TEXT, f"`{param.name}`")
        return expr
    for candidate in (written, written.replace("-", "_"), written.replace("_", "-")):
        if candidate in param.choices:
            return Given(candidate)
    walk.problems.add(
        "EL208",
        f"`{param.name}` cannot be `{written}`",
        expr.span,
        help=suggestion(written, param.choices) or f"it is {param.range_text()}",
    )
    return Given(param.choices[0])


def _check_constant(
    walk: Walk, param: Param, expr: ast.Expr, value: Any, bound: dict[str, Argument]
) -> Argument:
    layer = bound.get("layer")
    index = (
        layer.index if isinstance(layer, ast.LayerRef) else layer.value if isinstance(layer, ast.Int) else 0
    )
    try:
        coerce(param, value, layer=index)
    except ElError as error:
        walk.problems.add(error.code, error.message, expr.span, help=error.hint)
    return expr


def bind_procedure(walk: Walk, command: ast.Command, procedure: Procedure) -> tuple[Call, tuple[t.Type, ...]]:
    """Bind a command's arguments to a procedure's parameters; the types that these have in this call, too: a parameter
    without a type has that of its argument."""
    outer, walk.judged = walk.judged, {}
    try:
        call = _bind_procedure(walk, command, procedure)
        types = []
        for name, kind, _ in procedure.parameters:
            given = call.arguments.get(name)
            if t.generic(kind) and isinstance(given, ast.Expr):
                kind = once(walk, given)
            elif t.generic(kind) and given is None:
                kind = procedure.defaults.get(name, t.ANY)
            types.append(kind)
        return call, tuple(types)
    finally:
        walk.judged = outer


def _bind_procedure(walk: Walk, command: ast.Command, procedure: Procedure) -> Call:
    bound: dict[str, Argument] = {}
    places: dict[str, ast.Expr] = {}
    arguments, seeds = _seeds_in_keywords(walk, command)
    for name, kind, _required in procedure.parameters:
        if arguments:
            places[name] = expr = arguments.pop(0)
            if kind == t.DIRECTION and arguments and _is_seed_word(walk, expr, arguments[0]):
                expr = arguments.pop(0)
                expect(walk, expr, t.INT, "the number of a seed")
                bound[name] = SeedOf(expr)
            else:
                bound[name] = _procedure_argument(walk, name, kind, expr)
    if arguments:
        walk.problems.add(
            "EL203", f"`{procedure.name}` takes {_count(len(procedure.parameters))}, this is one too many",
            arguments[0].span, help=f"usage: {procedure.usage()}",
        )  # fmt: skip
    kinds = {name: kind for name, kind, _ in procedure.parameters}
    for keyword in command.keywords:
        direction = next((n for n, kind in kinds.items() if kind == t.DIRECTION and n not in bound), None)
        if keyword.name == "seed" and "seed" not in kinds and direction is not None:
            expect(walk, keyword.value, t.INT, "the number of a seed")
            bound[direction] = SeedOf(keyword.value)
        elif keyword.name not in kinds:
            walk.problems.add(
                "EL204", f"`{procedure.name}` has no parameter `{keyword.name}`", keyword.name_span,
                help=suggestion(keyword.name, kinds) or f"usage: {procedure.usage()}",
            )  # fmt: skip
        elif keyword.name in bound:
            walk.problems.add("EL209", f"`{keyword.name}` is given twice", keyword.span)
        else:
            kind = kinds[keyword.name]
            if (seed := _seed_of(walk, keyword, kind, seeds)) is not None:
                bound[keyword.name] = seed
                continue
            places[keyword.name] = keyword.value
            bound[keyword.name] = _procedure_argument(walk, keyword.name, kind, keyword.value)
    for name, kind, required in procedure.parameters:
        if required and name not in bound:
            walk.problems.add(
                "EL202", f"`{procedure.name}` needs `{name}`, {article(kind)}", command.span,
                help=f"usage: {procedure.usage()}",
            )  # fmt: skip
    for parameter in procedure.definition.parameters:
        if (
            parameter.default is not None
            and parameter.name not in bound
            and kinds.get(parameter.name) == t.LAYER
        ):
            check_layer(walk, parameter.default, command)
    return Call(procedure, bound, places)


def _procedure_argument(walk: Walk, name: str, kind: t.Type, expr: ast.Expr) -> Argument:
    if kind == t.CONCEPT and (concept := _concept(walk, expr)):
        return Given(ConceptName(concept))
    if kind == t.DIRECTION and (word := _word(walk, expr)):
        return Given(ConceptName(word))
    if kind == t.STRENGTH and _bare(expr) == "auto":
        return Given("auto")
    found = once(walk, expr)
    if not t.fits(found, kind):
        walk.problems.add(
            "EL201",
            f"`{name}` must be {article(kind)}, not {found}",
            expr.span,
            help=may_be_none(expr, found),
        )
    if kind == t.LAYER:
        check_layer(walk, expr, expr)
        layer_known(walk, expr)
    return expr
