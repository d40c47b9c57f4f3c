"""From the parser's reductions to the syntax tree.

Lark calls one method of ``TreeBuilder`` per grammar rule, with the children already built. Nothing is
decided here that needs to know an operation: see ``energylang.checker`` for that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from lark import Token, Transformer, v_args

from . import ast
from .source import Source, Span

ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "{": "{", "}": "}"}


class SyntaxProblem(Exception):
    """A syntax error found while building: the code, the message, the place, the way out."""

    def __init__(self, code: str, message: str, span: Span, help: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.span, self.help = code, message, span, help


def _fail(code: str, message: str, span: Span, help: str = "") -> NoReturn:
    raise SyntaxProblem(code, message, span, help)


class TreeBuilder(Transformer[Token, Any]):
    """One method per rule of ``grammar/energy.lark``.

    ``offset`` is where the parsed text starts in the source (the inside of a text's ``{…}`` is parsed
    on its own), ``parse_hole`` parses such an inside.
    """

    def __init__(
        self, source: Source, parse_hole: Callable[[str, Source, int], ast.Expr], offset: int = 0
    ) -> None:
        super().__init__()
        self.source = source
        self.offset = offset
        self.parse_hole = parse_hole

    # -- places ------------------------------------------------------------

    def token_span(self, token: Token) -> Span:
        start, end = token.start_pos or 0, token.end_pos or 0
        return Span(start + self.offset, end + self.offset, self.source)

    def meta_span(self, meta: Any) -> Span:
        start, end = getattr(meta, "start_pos", 0), getattr(meta, "end_pos", 0)
        return Span(start + self.offset, end + self.offset, self.source)

    # -- statements ----------------------------------------------------------

    @v_args(meta=True)
    def program(self, meta: Any, statements: list[ast.Statement]) -> ast.Program:
        return ast.Program(Span(0, len(self.source.text), self.source), tuple(statements))

    def hole(self, children: list[ast.Expr]) -> ast.Expr:
        return children[0]

    @v_args(meta=True)
    def let(self, meta: Any, children: list[Any]) -> ast.Let:
        name, value = children
        span = self.meta_span(meta)
        return ast.Let(span, str(name), self.token_span(name), value)

    @v_args(meta=True)
    def assign(self, meta: Any, children: list[Any]) -> ast.Let:
        name, value = children
        return ast.Let(self.meta_span(meta), str(name), self.token_span(name), value, new=False)

    @v_args(meta=True)
    def do(self, meta: Any, children: list[ast.Expr]) -> ast.Do:
        (value,) = children
        if isinstance(value, ast.Name):
            value = ast.Command(value.span, value.name, value.span, (), ())
        return ast.Do(self.meta_span(meta), value)

    @v_args(meta=True)
    def print_(self, meta: Any, children: list[Any]) -> ast.Print:
        return ast.Print(self.meta_span(meta), children[1])

    @v_args(meta=True)
    def require(self, meta: Any, children: list[Any]) -> ast.Require:
        return ast.Require(self.meta_span(meta), children[1], children[2] if len(children) > 2 else None)

    @v_args(meta=True)
    def return_(self, meta: Any, children: list[Any]) -> ast.Return:
        return ast.Return(self.meta_span(meta), children[1] if len(children) > 1 else None)

    @v_args(meta=True)
    def import_(self, meta: Any, children: list[Any]) -> ast.Import:
        return ast.Import(self.meta_span(meta), str(children[1]), self.token_span(children[1]))

    def pass_(self, children: list[Token]) -> ast.Pass:
        return ast.Pass(self.token_span(children[0]))

    @v_args(meta=True)
    def if_(self, meta: Any, children: list[Any]) -> ast.If:
        _keyword, condition, body, *rest = children
        branches = [(condition, body)]
        otherwise: tuple[ast.Statement, ...] = ()
        for part in rest:
            if isinstance(part[0], ast.Expr):
                branches.append(part)
            else:
                otherwise = part
        return ast.If(self.meta_span(meta), tuple(branches), otherwise)

    def elif_(self, children: list[Any]) -> tuple[ast.Expr, tuple[ast.Statement, ...]]:
        return children[1], children[2]

    def else_(self, children: list[Any]) -> Any:
        return children[1]

    @v_args(meta=True)
    def for_(self, meta: Any, children: list[Any]) -> ast.For:
        name, items, body = children
        return ast.For(self.meta_span(meta), str(name), self.token_span(name), items, body)

    @v_args(meta=True)
    def def_(self, meta: Any, children: list[Any]) -> ast.Def:
        name, *parameters, body = children
        return ast.Def(self.meta_span(meta), str(name), self.token_span(name), tuple(parameters), body)

    @v_args(meta=True)
    def parameter(self, meta: Any, children: list[Any]) -> ast.Parameter:
        name, *rest = children
        type_name = next((str(item) for item in rest if isinstance(item, Token)), None)
        default = next((item for item in rest if isinstance(item, ast.Expr)), None)
        return ast.Parameter(self.meta_span(meta), str(name), type_name, default)

    def default(self, children: list[ast.Expr]) -> ast.Expr:
        return children[0]

    def block(self, children: list[ast.Statement]) -> tuple[ast.Statement, ...]:
        return tuple(children)

    # -- commands --------------------------------------------------------------

    @v_args(meta=True)
    def command(self, meta: Any, children: list[Any]) -> ast.Command:
        name, *items = children
        return self._command(self.meta_span(meta), name, items)

    tail_command = command

    def _command(self, span: Span, name: Token, items: Iterable[Any]) -> ast.Command:
        arguments: list[ast.Expr] = []
        keywords: list[ast.Keyword] = []
        for item in items:
            if isinstance(item, ast.Keyword):
                keywords.append(item)
            else:
                arguments.append(item)
        name_span = self.token_span(name)
        return ast.Command(name_span.to(span), str(name), name_span, tuple(arguments), tuple(keywords))

    @v_args(meta=True)
    def keyword(self, meta: Any, children: list[Any]) -> ast.Keyword:
        if str(children[0]) == "--force":
            return self.flag(children)
        if str(children[0]) == "--reason":
            return self.flag(children)
        key, value = children
        if isinstance(value, Token):
            value = self.terminal(value)
        span = self.token_span(key)
        name_span = Span(span.start, span.end - 1, self.source)
        return ast.Keyword(span.to(value.span), str(key)[:-1], value, name_span)

    text_keyword = keyword
    path_keyword = keyword

    def flag(self, children: list[Token]) -> ast.Keyword:
        span = self.token_span(children[0])
        if children[0] == "--force":
            return ast.Keyword(span, "force", ast.Bool(span, True), span)
        text = self.string([children[1]])
        return ast.Keyword(span.to(text.span), "reason", text, span)

    def text(self, children: list[Token]) -> ast.Text:
        (token,) = children
        if token.type == "STRING":
            return self.string(children)
        span = self.token_span(token)
        value = str(token).rstrip()
        return ast.Text(Span(span.start, span.start + len(value), self.source), (value,), raw=True)

    def path(self, children: list[Token]) -> ast.Expr:
        (token,) = children
        return self.string(children) if token.type == "STRING" else ast.Word(self.token_span(token), str(token))

    def terminal(self, token: Token) -> ast.Expr:
        """An argument that the grammar had to leave a bare terminal."""
        build = getattr(self, token.type.lower())
        return build([token])  # type: ignore[no-any-return]

    def _only(self, children: list[Any]) -> ast.Expr:
        value = children[0] if len(children) == 1 else children[1]
        return self.terminal(value) if isinstance(value, Token) else value

    text_1_of_1 = text_1_of_2 = text_2_of_2 = path_1_of_1 = text_value = path_value = _only

    # -- expressions ------------------------------------------------------------

    def either(self, operands: list[ast.Expr]) -> ast.Expr:
        return self._logical("or", operands)

    def both(self, operands: list[ast.Expr]) -> ast.Expr:
        return self._logical("and", operands)

    def _logical(self, operator: Any, operands: list[ast.Expr]) -> ast.Expr:
        left = operands[0]
        for right in operands[1:]:
            left = ast.Logical(left.span.to(right.span), operator, left, right)
        return left

    def not_(self, children: list[Any]) -> ast.Unary:
        return ast.Unary(self.token_span(children[0]).to(children[1].span), "not", children[1])

    def negative(self, children: list[Any]) -> ast.Expr:
        span, operand = self.token_span(children[0]).to(children[1].span), children[1]
        if isinstance(operand, ast.Int):
            return ast.Int(span, -operand.value)
        if isinstance(operand, ast.Float):
            return ast.Float(span, -operand.value)
        return ast.Unary(span, "-", operand)

    def compare(self, children: list[Any]) -> ast.Compare:
        first, *rest = children
        pairs = tuple((str(rest[i]), rest[i + 1]) for i in range(0, len(rest), 2))
        return ast.Compare(first.span.to(rest[-1].span), first, pairs)

    def arithmetic(self, children: list[Any]) -> ast.Expr:
        left: ast.Expr = children[0]
        for i in range(1, len(children), 2):
            right = children[i + 1]
            left = ast.Binary(left.span.to(right.span), str(children[i]), left, right)
        return left

    def range(self, children: list[ast.Expr]) -> ast.Range:
        first, last = children
        return ast.Range(first.span.to(last.span), first, last)

    def int(self, children: list[Token]) -> ast.Int:
        span = self.token_span(children[0])
        if len(children[0]) > 18:
            _fail("EL107", "this number is too large", span, "whole numbers have at most 18 digits")
        return ast.Int(span, int(children[0]))

    def float(self, children: list[Token]) -> ast.Float:
        value = float(children[0])
        span = self.token_span(children[0])
        if value == float("inf"):
            _fail("EL107", "this number is too large", span)
        return ast.Float(span, value)

    def percent(self, children: list[Token]) -> ast.Float:
        return ast.Float(self.token_span(children[0]), float(children[0][:-1]) / 100)

    def true(self, children: list[Token]) -> ast.Bool:
        return ast.Bool(self.token_span(children[0]), True)

    def false(self, children: list[Token]) -> ast.Bool:
        return ast.Bool(self.token_span(children[0]), False)

    def layer(self, children: list[Token]) -> ast.LayerRef:
        return ast.LayerRef(self.token_span(children[0]), self._index(children[0], children[0][1:]))

    def layers(self, children: list[Token]) -> ast.LayersRef:
        return ast.LayersRef(self.token_span(children[0]))

    def basin(self, children: list[Token]) -> ast.BasinRef:
        layer, _, basin = children[0].partition(".")
        return ast.BasinRef(
            self.token_span(children[0]), self._index(children[0], layer[1:]), self._index(children[0], basin[1:])
        )

    def _index(self, token: Token, digits: str) -> int:
        if len(digits) > 9:
            _fail("EL107", "this number is too large", self.token_span(token))
        return int(digits)

    def concept(self, children: list[Token]) -> ast.ConceptName:
        return ast.ConceptName(self.token_span(children[0]), str(children[0])[1:])

    def name(self, children: list[Token]) -> ast.Name:
        return ast.Name(self.token_span(children[0]), str(children[0]))

    @v_args(meta=True)
    def list(self, meta: Any, children: list[ast.Expr]) -> ast.List:
        return ast.List(self.meta_span(meta), tuple(children))

    def group(self, children: list[ast.Expr]) -> ast.Expr:
        return children[0]

    def field(self, children: list[Any]) -> ast.Field:
        value, _dot, name = children
        span = self.token_span(name)
        return ast.Field(value.span.to(span), value, str(name), span)

    @v_args(meta=True)
    def index(self, meta: Any, children: list[Any]) -> ast.Index:
        return ast.Index(self.meta_span(meta), children[0], children[2])

    # -- texts ------------------------------------------------------------------

    def string(self, children: list[Token]) -> ast.Text:
        """Escapes and holes of a quoted text."""
        token = children[0]
        span = self.token_span(token)
        inner = str(token)[1:-1]
        parts: list[str | ast.Hole] = []
        plain: list[str] = []
        position = 0
        while position < len(inner):
            char = inner[position]
            if char == "\\":
                value, position = self._escape(inner, position, span)
                plain.append(value)
            elif char == "{":
                end = _hole_end(inner, position)
                here = Span(span.start + 1 + position, span.start + 2 + position, self.source)
                if end is None:
                    _fail("EL103", "this `{` is never closed", here, "write `\\{` for a brace that is just a brace")
                if plain:
                    parts.append("".join(plain))
                    plain = []
                parts.append(self._hole(inner, position, end, span))
                position = end + 1
            elif char == "}":
                here = Span(span.start + 1 + position, span.start + 2 + position, self.source)
                _fail("EL103", "this `}` closes nothing", here, "write `\\}` for a brace that is just a brace")
            else:
                plain.append(char)
                position += 1
        if plain or not parts:
            parts.append("".join(plain))
        return ast.Text(span, tuple(parts))

    def _escape(self, inner: str, position: int, span: Span) -> tuple[str, int]:
        char = inner[position + 1]
        if char in ESCAPES:
            return ESCAPES[char], position + 2
        start = span.start + 1 + position
        if char == "u":
            match = re.compile(r"\{([0-9A-Fa-f]{1,6})\}").match(inner, position + 2)
            if match and int(match[1], 16) <= 0x10FFFF and not 0xD800 <= int(match[1], 16) <= 0xDFFF:
                return chr(int(match[1], 16)), match.end()
            _fail("EL107", "not a character: `\\u{…}` holds a hexadecimal code point",
                  Span(start, start + 2, self.source), "for example `\\u{3b2}` for β")  # fmt: skip
        _fail("EL107", f"unknown escape `\\{char}`", Span(start, start + 2, self.source),
              'the escapes are \\n \\t \\" \\\\ \\{ \\} and \\u{…}')  # fmt: skip

    def _hole(self, inner: str, start: int, end: int, span: Span) -> ast.Hole:
        content = inner[start + 1 : end]
        expression, colon, format = _split_format(content)
        place = Span(span.start + 1 + start, span.start + 2 + end, self.source)
        if not expression.strip():
            _fail("EL103", "nothing stands between these braces", place, "write `\\{` for a brace that is just a brace")
        value = self.parse_hole(expression, self.source, place.start + 1)
        return ast.Hole(place, value, format if colon else "")


def _hole_end(text: str, start: int) -> int | None:
    """Where the brace opened at ``start`` closes, passing over brackets and braces inside."""
    depth = 0
    for position in range(start, len(text)):
        if text[position] == "{":
            depth += 1
        elif text[position] == "}":
            depth -= 1
            if depth == 0:
                return position
    return None


def _split_format(content: str) -> tuple[str, str, str]:
    """Split ``expression:format`` at the first colon outside of brackets."""
    depth = 0
    for position, char in enumerate(content):
        if char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif char == ":" and depth == 0:
            return content[:position], ":", content[position + 1 :]
    return content, "", ""
