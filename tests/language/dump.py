"""A syntax tree as one line of text, for tests: ``(let x (+ 1 2))``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from energylang.syntax import ast


def dump(node: Any) -> str:
    match node:
        case tuple():
            return " ".join(dump(item) for item in node)
        case ast.Program():
            return dump(node.statements)
        case ast.Bool():
            return "true" if node.value else "false"
        case ast.Int() | ast.Float():
            return repr(node.value)
        case ast.Text():
            parts = [part.replace("\n", "⏎") if isinstance(part, str) else dump(part) for part in node.parts]
            return ("raw" if node.raw else "") + "‹" + "".join(parts) + "›"
        case ast.Hole():
            return "{" + dump(node.value) + (f":{node.format}" if node.format else "") + "}"
        case ast.Word():
            return f"word‹{node.value}›"
        case ast.Name():
            return node.name
        case ast.ConceptName():
            return f"@{node.name}"
        case ast.ComputedConcept():
            return f"@{{{dump(node.name)}}}"
        case ast.Each():
            test = f" if {dump(node.condition)}" if node.condition else ""
            return f"[{dump(node.item)} for {node.name} in {dump(node.items)}{test}]"
        case ast.Entry():
            return f"{node.name}: {dump(node.value)}"
        case ast.Record():
            return "{" + ", ".join(map(dump, node.entries)) + "}"
        case ast.Part():
            return f"{dump(node.value)}#{node.index}/{node.count}"
        case ast.Function():
            given = [*map(dump, node.arguments), *map(dump, node.keywords)]
            return f"{'.' if node.method else ''}{node.name}({', '.join(given)})"
        case ast.Within():
            return f"({dump(node.value)} {'not in' if node.negated else 'in'} {dump(node.items)})"
        case ast.Row():
            return f"(row {node.name + ' ' if node.name else ''}{dump(node.value)})"
        case ast.Sweep():
            axes = " ".join(f"{axis.name} {dump(axis.items)}" for axis in node.axes)
            return f"[sweep {axes} {{{dump(node.body)}}}{'' if node.rows else ' end'}]"
        case ast.Quiet():
            return f"(quiet {{{dump(node.body)}}})"
        case ast.LayerRef():
            return f"L{node.index}"
        case ast.LayersRef():
            return "layers"
        case ast.BasinRef():
            return f"L{node.layer}.B{node.basin}"
        case ast.List():
            return f"[{dump(node.items)}]"
        case ast.Range():
            return f"({dump(node.first)} .. {dump(node.last)})"
        case ast.Unary():
            return f"({node.operator} {dump(node.operand)})"
        case ast.Binary() | ast.Logical():
            return f"({dump(node.left)} {node.operator} {dump(node.right)})"
        case ast.Compare():
            rest = "".join(f" {operator} {dump(operand)}" for operator, operand in node.rest)
            return f"({dump(node.first)}{rest})"
        case ast.Field():
            return f"{dump(node.value)}.{node.name}"
        case ast.Index():
            return f"{dump(node.value)}[{dump(node.index)}]"
        case ast.Keyword():
            return f"{node.name}={dump(node.value)}"
        case ast.Command():
            return "<" + " ".join([node.name, *map(dump, node.arguments), *map(dump, node.keywords)]) + ">"
        case ast.Do():
            return f"(do {dump(node.command)})"
        case ast.Let():
            return f"({'let' if node.new else 'set'} {node.name} {dump(node.value)})"
        case ast.Print():
            return f"(print {dump(node.value)})"
        case ast.Require():
            return f"({node.word} {dump(node.condition)}" + (
                f" else {dump(node.message)})" if node.message else ")"
            )
        case ast.Pass():
            return "(pass)"
        case ast.If():
            branches = "".join(f" {dump(test)} {{{dump(block)}}}" for test, block in node.branches)
            return f"(if{branches}" + (f" else {{{dump(node.otherwise)}}})" if node.otherwise else ")")
        case ast.For():
            return f"(for {node.name} {dump(node.items)} {{{dump(node.body)}}})"
        case ast.Attempt():
            name = f" {dump(node.name)}" if node.name else ""
            otherwise = f" else {{{dump(node.otherwise)}}}" if node.otherwise else ""
            return f"(attempt{name} {{{dump(node.body)}}}{otherwise})"
        case ast.With():
            return f"(with {dump(node.command)} {{{dump(node.body)}}})"
        case ast.Parameter():
            kind = f": {node.type_name}" if node.type_name else ""
            return node.name + kind + (f" = {dump(node.default)}" if node.default else "")
        case ast.Def():
            parameters = ", ".join(map(dump, node.parameters))
            return f"(def {node.name}({parameters}) {{{dump(node.body)}}})"
        case ast.Return():
            return "(return" + (f" {dump(node.value)})" if node.value else ")")
        case ast.Import():
            return f"(import {node.name})"
    raise TypeError(f"no rule for {type(node).__name__}")


def nodes(item: Any) -> Iterator[ast.Node]:
    """Every node of a tree, outermost first."""
    if isinstance(item, ast.Node):
        yield item
        for field in fields(item):
            yield from nodes(getattr(item, field.name))
    elif isinstance(item, tuple):
        for part in item:
            yield from nodes(part)
