"""What there is to say about the word under the cursor: an operation's page, a variable's type, what is known of a
layer, a basin or a concept before the script runs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from energylang.checker.facts import ALL
from energylang.checker.scope import Given, ModelState
from energylang.diagnostics.source import Span
from energylang.ops.spelling import operation_named
from energylang.signature import types as t
from energylang.signature.coerce import at_layer
from energylang.signature.declaration import Op, Param, default_text
from energylang.signature.settings import SETTINGS
from energylang.signature.values import BasinRef
from energylang.syntax import ast

from .names import Meaning, Names
from .reference import operation_link
from .script import Script, nodes

_WORDS = re.compile(r"[^\W\d][\w-]*(?:[ \t]+[^\W\d][\w-]*)?")


def hover(script: Script, offset: int, docs: str = "") -> tuple[str, Span] | None:
    """Markdown about what stands at a place, and the place it is about."""
    for say in (_named, _bound, _reference):
        found = say(script, offset, docs)
        if found is not None:
            return found
    return _operation_here(script, offset, docs)


def _named(script: Script, offset: int, docs: str) -> tuple[str, Span] | None:
    names = Names(script)
    found = names.at(offset)
    if found is None:
        return None
    meaning, span = found
    return about(script, meaning, span), span


def about(script: Script, meaning: Meaning, span: Span) -> str:
    """A variable with its type, a procedure with its parameters, and where it is made."""
    _, place = meaning.made[0]
    line = place.start_location()[0]
    where = f"line {line}" if place.source is script.source else f"{place.source.name}, line {line}"
    if meaning.kind == "procedure" and meaning.procedure is not None:
        given = meaning.procedure.parameters
        parameters = [f"{name}: {kind}" + ("" if needed else " = …") for name, kind, needed in given]
        return f"```el\ndef {meaning.name}({', '.join(parameters)})\n```\ndefined in {where}"
    kind = kind_of(script, meaning, span.start)
    return f"```el\n{meaning.name}: {kind}\n```\n{meaning.kind} of {where}{_fields(kind)}"


def kind_of(script: Script, meaning: Meaning, offset: int) -> t.Type:
    """The type of a variable at a place: that of the last ``let`` before it."""
    if meaning.kind == "parameter" and meaning.procedure is not None:
        return next((kind for name, kind, _ in meaning.procedure.parameters if name == meaning.name), t.ANY)
    before = [node for node, span in meaning.made if span.source is not script.source or span.start <= offset]
    node = (before or [node for node, _ in meaning.made])[-1]
    return script.checked.types.get(id(node), t.ANY)


def _fields(kind: t.Type) -> str:
    return (
        f"\n\nfields: {', '.join(f'`{name}`' for name in kind.fields)}" if isinstance(kind, t.Record) else ""
    )


# ------------------------------------------------------------------------------------------- operations


def operation_help(op: Op, docs: str = "") -> str:
    """An operation's page, in short."""
    lines = [f"```el\n{op.usage()}\n```", op.summary]
    if op.details:
        lines.append(op.details.replace("\n", "  \n"))
    if op.params:
        lines.append("\n".join(f"* {parameter_help(param)}" for param in op.params))
    lines.append(f"gives `{op.result.__name__}`: {', '.join(op.result.__dataclass_fields__)}")
    link = operation_link(op.name, docs)
    if link:
        lines.append(f"[reference]({link})")
    return "\n\n".join(lines)


def parameter_help(param: Param) -> str:
    """One parameter in a line."""
    default = "required" if param.required else f"default {default_text(param)}"
    notes = "; ".join(note for note in (str(param.type), param.range_text(), default) if note)
    return f"`{param.name}`: {param.help} ({notes})"


def _bound(script: Script, offset: int, docs: str) -> tuple[str, Span] | None:
    """The name of an operation, or one of its keywords or words, in a command that was understood."""
    for node, call in script.calls:
        if node.span.source is not script.source or not node.span.start <= offset <= node.span.end:
            continue
        if not isinstance(call.target, Op):
            continue
        op = call.target
        end = node.span.start + len(_name_written(script, node, op))
        if offset <= end:
            return operation_help(op, docs), Span(node.span.start, end, script.source)
        if isinstance(node, ast.Command):
            for keyword in node.keywords:
                param = op.param(keyword.name.replace("-", "_"))
                if param is not None and keyword.name_span.start <= offset <= keyword.name_span.end:
                    return parameter_help(param), keyword.name_span
        for name, place in call.places.items():
            word = call.arguments.get(name)
            setting = SETTINGS.get(str(word.value)) if isinstance(word, Given) else None
            if op.name == "set" and setting is not None and place.span.start <= offset <= place.span.end:
                return f"`{setting.name}`: {setting.help}", place.span
    return None


def _name_written(script: Script, node: ast.Command | ast.Name, op: Op) -> str:
    """The operation's name as it is written: one word, or two."""
    pattern = re.compile(r"[\w-]+[ \t]+[\w-]+" if " " in op.name else r"[\w-]+")
    found = pattern.match(script.source.text, node.span.start)
    return found[0] if found else ""


def _operation_here(script: Script, offset: int, docs: str) -> tuple[str, Span] | None:
    """The operation whose name stands at a place that could not be read as a command."""
    line, column = script.source.location(offset)
    text = script.source.line(line)
    for found in _WORDS.finditer(text):
        if not found.start() <= column - 1 <= found.end():
            continue
        words = [found[0], *found[0].split()]
        for word in words:
            op = operation_named(" ".join(word.split()))
            start = found.start() + found[0].index(word)
            if op is not None and start <= column - 1 <= start + len(word):
                begin = script.source.line_starts[line - 1] + start
                return operation_help(op, docs), Span(begin, begin + len(word), script.source)
    return None


# ------------------------------------------------------------------------------------------- references


def _reference(script: Script, offset: int, docs: str) -> tuple[str, Span] | None:
    """A layer, a basin or a concept, and what is known of it here."""
    state = script.state(offset)
    words = {
        id(call.places[name]): value.value.name
        for _, call in script.calls
        for name, value in call.arguments.items()
        if isinstance(value, Given) and name in call.places and hasattr(value.value, "name")
    }
    for node in nodes(script.program.statements):
        if not node.span.start <= offset <= node.span.end:
            continue
        if isinstance(node, ast.LayerRef):
            return _said(f"L{node.index}", layer_facts(script, state, node.index, offset)), node.span
        if isinstance(node, ast.BasinRef):
            facts = basin_facts(script, state, BasinRef(node.layer, node.basin), offset)
            return _said(f"L{node.layer}.B{node.basin}", facts), node.span
        if isinstance(node, ast.ConceptName) or id(node) in words:
            name = at_layer(node.name if isinstance(node, ast.ConceptName) else words[id(node)])[0]
            return _said(f"@{name}", concept_facts(script, state, name)), node.span
    return None


def _said(title: str, facts: Iterator[str]) -> str:
    return "  \n".join([f"**{title}**", *facts])


def layer_facts(script: Script, state: ModelState, layer: int, offset: int) -> Iterator[str]:
    """The layer's model and dimension, and whether it is surveyed and edited here."""
    header, facts = state.header, state.facts
    if header is not None and layer < len(header.dims):
        yield f"a layer of {header.spec}, d = {header.dims[layer]}"
    if layer in facts.surveyed or ALL in facts.surveyed:
        line = surveyed_in(script, layer, offset)
        yield f"surveyed in line {line}" if line else "surveyed"
    elif layer in facts.seen or ALL in facts.seen:
        yield "surveyed on some ways to here, not on all"
    elif state.loaded:
        yield "not surveyed here"
    edited = facts.now.edited.get(layer)
    if edited is not None:
        staged = ", not applied yet" if layer in facts.now.staged else ""
        yield f"edited in {line_of(script, edited)}{staged}"


def surveyed_in(script: Script, layer: int, offset: int) -> int | None:
    """The line of the last command before a place that surveys a layer: one that names it or all of them, else one
    that is given a variable."""
    sure = perhaps = None
    for node, call in script.calls:
        target = call.target
        if node.span.source is not script.source or node.span.end > offset or not isinstance(target, Op):
            continue
        line = node.span.start_location()[0]
        argument = call.arguments.get(target.flow.surveys)
        every = target.flow.surveys == "*" or (isinstance(argument, Given) and argument.value == "layers")
        if every or (isinstance(argument, ast.LayerRef) and argument.index == layer):
            sure = line
        elif isinstance(argument, ast.Name):
            perhaps = line
    return sure or perhaps


def basin_facts(script: Script, state: ModelState, basin: BasinRef, offset: int) -> Iterator[str]:
    """What became of a basin, and what is known of its layer."""
    loss = state.facts.now.gone.get(basin)
    if loss is not None:
        perhaps = "" if loss.sure else "on some ways "
        yield f"{perhaps}{loss.said} in {line_of(script, loss.span)}"
    yield from layer_facts(script, state, basin.layer, offset)


def concept_facts(script: Script, state: ModelState, name: str) -> Iterator[str]:
    """Where a concept comes from, and for which layers."""
    made = state.facts.now.concepts.get(name)
    if made is None:
        yield "a concept that is not known here"
        return
    layers = ", ".join(f"L{layer}" for layer in sorted(item for item in made.layers if item is not None))
    yield f"a concept of {line_of(script, made.span)}" + (f", for {layers}" if layers else "")


def line_of(script: Script, span: Span | None) -> str:
    """A place in words."""
    if span is None:
        return "an earlier session"
    line = span.start_location()[0]
    return f"line {line}" if span.source is script.source else f"{span.source.name}, line {line}"
