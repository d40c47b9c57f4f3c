"""The outline of a script: its imports, procedures and variables."""

from __future__ import annotations

from lsprotocol import types as lsp

from energylang.diagnostics.source import Span
from energylang.syntax import ast

from .findings import range_of
from .positions import UTF16
from .script import Script


def outline(script: Script, encoding: str = UTF16) -> list[lsp.DocumentSymbol]:
    """The symbols, in the order of the script."""
    return _symbols(script, script.program.statements, encoding)


def _symbols(
    script: Script, statements: tuple[ast.Statement, ...], encoding: str
) -> list[lsp.DocumentSymbol]:
    found = []
    for node in statements:
        if isinstance(node, ast.Def):
            inside = _symbols(script, node.body, encoding)
            words = ", ".join(parameter.span.text for parameter in node.parameters)
            symbol = _symbol(node, node.name_span, lsp.SymbolKind.Function, f"({words})", encoding)
            symbol.children = inside
            found.append(symbol)
        elif isinstance(node, ast.Let) and node.new:
            detail = str(script.checked.types.get(id(node), ""))
            found.append(_symbol(node, node.name_span, lsp.SymbolKind.Variable, detail, encoding))
        elif isinstance(node, ast.Import):
            found.append(_symbol(node, node.name_span, lsp.SymbolKind.Module, "", encoding))
    return found


def _symbol(
    node: ast.Statement, name: Span, kind: lsp.SymbolKind, detail: str, encoding: str
) -> lsp.DocumentSymbol:
    whole = range_of(node.span.to(name), encoding)
    return lsp.DocumentSymbol(name.text, kind, whole, range_of(name, encoding), detail=detail or None)
