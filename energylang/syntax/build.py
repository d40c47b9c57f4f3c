"""From the parser's reductions to the syntax tree.

Lark calls one method of ``TreeBuilder`` per grammar rule, at the moment of the reduction, with the children
already built; no parse tree lies in between. Nothing is decided here that needs to know an operation: see
``energylang.checker`` for that.

Spans are exact: the text under a node's span is what was written for it, without blanks, comments and
brackets around it. Brackets around a part of an expression belong to the expression (``(1 + 2) * 3``), so
where they stand is remembered in ``extents`` until the script is parsed; ``depths`` counts the nesting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from lark import Token

from energylang.diagnostics.source import Source, Span

from . import ast
from .rows import gives_rows
from .texts import TextProblem, multi_line, pieces

# Names for the builtins that the grammar's rules ``list``, ``int`` and ``float`` hide inside of the class.
Children = list[Any]
Tokens = list[Token]
Exprs = list[ast.Expr]
Number = float
Index = int

MAX_DEPTH = 100
MAX_NAME = 200
WHOLE = "_item"
"""The item that ``for a, b in …`` takes apart."""

FUNCTIONS = frozenset("len sum mean std min max abs sqrt log exp round sorted zip table".split())
"""The functions of the language; what they give is in ``signature.functions``."""


N = TypeVar("N", bound=ast.Expr)


class SyntaxProblem(Exception):
    """A syntax error found while building: the code, the message, the place, the way out."""

    def __init__(self, code: str, message: str, span: Span, help: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.span, self.help = code, message, span, help


def _fail(code: str, message: str, span: Span, help: str = "") -> NoReturn:
    raise SyntaxProblem(code, message, span, help)


class TreeBuilder:
    """One method per rule of ``grammar/energy.lark``; the names are the grammar's.

    ``begin`` says which text is parsed next: ``offset`` is where it starts in the source (the inside of a
    text's ``{…}`` is parsed on its own, by ``parse_hole``).
    """

    parse_hole: Callable[[str, int], ast.Expr]

    def __init__(self) -> None:
        self.begin(Source(""), 0)

    def begin(self, source: Source, offset: int) -> None:
        self.source = source
        self.offset = offset
        self.extents: dict[int, tuple[ast.Node, int, int]] = {}  # the node is kept, so that its id is, too
        self.depths: dict[int, tuple[ast.Node, int]] = {}

    # -- places ------------------------------------------------------------

    def token_span(self, token: Token) -> Span:
        offset = self.offset
        return Span((token.start_pos or 0) + offset, (token.end_pos or 0) + offset, self.source)

    def span(self, first: Token | ast.Node, last: Token | ast.Node) -> Span:
        """From the start of one child to the end of another, with the brackets around them."""
        return Span(self._start(first), self._end(last), self.source)

    def _start(self, child: Token | ast.Node) -> int:
        if isinstance(child, Token):
            return (child.start_pos or 0) + self.offset
        extent = self.extents.get(id(child))
        return extent[1] if extent else child.span.start

    def _end(self, child: Token | ast.Node) -> int:
        if isinstance(child, Token):
            return (child.end_pos or 0) + self.offset
        extent = self.extents.get(id(child))
        return extent[2] if extent else child.span.end

    def nested(self, node: N, *children: ast.Expr | Token) -> N:
        """``node``, which has these children; refuses what is nested beyond any use."""
        depths = self.depths
        depth = 1 + max((depths[id(child)][1] for child in children if id(child) in depths), default=0)
        if depth > MAX_DEPTH:
            _fail("EL109", "this expression is nested too deeply", node.span,
                  f"at most {MAX_DEPTH} levels; name a part of it with `let`")  # fmt: skip
        depths[id(node)] = node, depth
        return node

    # -- statements ----------------------------------------------------------

    def program(self, statements: Children) -> tuple[ast.Statement, ...]:
        return tuple(statements)

    def hole(self, children: Exprs) -> ast.Expr:
        return children[0]

    def let(self, children: Children) -> ast.Let:
        keyword, name, value = children
        return ast.Let(self.span(keyword, value), self._name(name), self.token_span(name), value)

    def assign(self, children: Children) -> ast.Let:
        name, value = children
        return ast.Let(self.span(name, value), self._name(name), self.token_span(name), value, new=False)

    def do(self, children: Exprs) -> ast.Statement:
        (value,) = children
        span = self.span(value, value)
        if isinstance(value, ast.Name):
            value = ast.Command(value.span, value.name, value.span, (), ())
        if isinstance(value, ast.Command) and value.name == "row":
            return self._row_of(value)
        return ast.Do(span, value)

    def row(self, children: Children) -> ast.Row:
        keyword, *rest = children
        table = rest.pop(0) if rest[0].type == "NAME" else None
        entries = tuple(self._entry(rest[i], rest[i + 1]) for i in range(0, len(rest), 2))
        values = ast.Record(self.span(rest[0], rest[-1]), entries)
        name = None if table is None else self._name(table)
        return ast.Row(self.span(keyword, rest[-1]), name, self.token_span(table or keyword), values)

    def _row_of(self, node: ast.Command) -> ast.Row:
        """``row t record`` and ``row record``, which read like commands."""
        if len(node.arguments) == 1 and not node.keywords:
            return ast.Row(node.span, None, node.name_span, node.arguments[0])
        if len(node.arguments) != 2 or node.keywords or not isinstance(node.arguments[0], ast.Name):
            _fail("EL102", "`row` takes a table and the values of a row", node.span,
                  "`row t strength=s share=x`, or `row t {strength: s, share: x}`; in a sweep without `t`")  # fmt: skip
        name, value = node.arguments[0], node.arguments[1]
        return ast.Row(node.span, name.name, name.span, value)

    def _entry(self, key: Token, value: ast.Expr) -> ast.Entry:
        name, start = str(key)[:-1], self._start(key)
        return ast.Entry(self.span(key, value), name, Span(start, start + len(name), self.source), value)

    def print_(self, children: Children) -> ast.Print:
        return ast.Print(self.span(children[0], children[1]), children[1])

    def require(self, children: Children) -> ast.Require:
        message = children[2] if len(children) > 2 else None
        return ast.Require(self.span(children[0], children[-1]), children[1], message)

    def assert_(self, children: Children) -> ast.Require:
        message = children[2] if len(children) > 2 else None
        return ast.Require(self.span(children[0], children[-1]), children[1], message, "assert")

    def return_(self, children: Children) -> ast.Return:
        return ast.Return(self.span(children[0], children[-1]), children[1] if len(children) > 1 else None)

    def import_(self, children: Tokens) -> ast.Import:
        keyword, name = children
        return ast.Import(self.span(keyword, name), self._name(name), self.token_span(name))

    def pass_(self, children: Tokens) -> ast.Pass:
        return ast.Pass(self.token_span(children[0]))

    def if_(self, children: Children) -> ast.If:
        keyword, condition, body, *rest = children
        branches = [(condition, body)]
        otherwise: tuple[ast.Statement, ...] = ()
        for part in rest:
            if isinstance(part[0], ast.Expr):
                branches.append(part)
            else:
                otherwise = part
        last = (otherwise or branches[-1][1])[-1]
        return ast.If(self.span(keyword, last), tuple(branches), otherwise)

    def elif_(self, children: Children) -> tuple[ast.Expr, tuple[ast.Statement, ...]]:
        return children[1], children[2]

    def else_(self, children: Children) -> Any:
        return children[1]

    def for_(self, children: Children) -> ast.For:
        keyword, *names, items, body = children
        span = self.span(keyword, body[-1])
        if len(names) == 1:
            return ast.For(span, self._name(names[0]), self.token_span(names[0]), items, body)
        whole = self.span(names[0], names[-1])
        parts = tuple(
            ast.Let(self.token_span(name), self._name(name), self.token_span(name), part)
            for name, part in self._taken_apart(names, whole)
        )
        return ast.For(span, WHOLE, whole, items, (*parts, *body))

    def _taken_apart(self, names: Tokens, whole: Span) -> list[tuple[Token, ast.Expr]]:
        """The names in ``for a, b in …``, each with its part of the item."""
        count = len(names)
        return [(name, ast.Part(self.token_span(name), ast.Name(whole, WHOLE), index, count))
                for index, name in enumerate(names)]  # fmt: skip

    def quiet(self, children: Children) -> ast.Quiet:
        keyword, body = children
        return ast.Quiet(self.span(keyword, body[-1]), body)

    def sweep(self, children: Children) -> ast.Sweep:
        keyword, *axes, body = children
        return ast.Sweep(self.span(keyword, body[-1]), tuple(axes), body, gives_rows(body))

    def axis(self, children: Children) -> ast.Axis:
        name, items = children
        return ast.Axis(self.span(name, items), self._name(name), self.token_span(name), items)

    def swept(self, children: Exprs) -> ast.Do:
        return ast.Do(children[0].span, children[0])

    swept_let = let
    swept_again = assign

    def def_(self, children: Children) -> ast.Def:
        keyword, name, _open, *parameters, _close, body = children
        return ast.Def(
            self.span(keyword, body[-1]), self._name(name), self.token_span(name), tuple(parameters), body
        )

    def attempt(self, children: Children) -> ast.Attempt:
        keyword, *rest = children
        name = self.string([rest.pop(0)]) if isinstance(rest[0], Token) else None
        body, otherwise = rest[0], rest[1] if len(rest) > 1 else ()
        head = self.span(keyword, name or keyword)
        return ast.Attempt(self.span(keyword, (otherwise or body)[-1]), name, body, otherwise, head)

    def with_(self, children: Children) -> ast.With:
        keyword, value, body = children
        if isinstance(value, ast.Name):
            value = ast.Command(value.span, value.name, value.span, (), ())
        if not isinstance(value, ast.Command):
            _fail("EL102", "`with` needs an operation", value.span, "for example `with set beta 4.0:`")
        return ast.With(self.span(keyword, body[-1]), value, body)

    def type(self, children: Children) -> tuple[str, Span]:
        text = "".join(str(child[0] if isinstance(child, tuple) else child) for child in children)
        last = children[-1]
        end = last[1].end if isinstance(last, tuple) else self._end(last)
        return text, Span(self._start(children[0]), end, self.source)

    def parameter(self, children: Children) -> ast.Parameter:
        name, *rest = children
        type_name, type_span = next((item for item in rest if isinstance(item, tuple)), (None, None))
        default = next((item for item in rest if isinstance(item, ast.Expr)), None)
        span = self.span(name, default or name)
        return ast.Parameter(
            span if default or type_span is None else span.to(type_span),
            self._name(name),
            type_name,
            default,
            type_span,
        )

    def default(self, children: Exprs) -> ast.Expr:
        return children[0]

    def block(self, children: Children) -> tuple[ast.Statement, ...]:
        return tuple(children)

    # -- commands --------------------------------------------------------------

    def command(self, children: Children) -> ast.Command:
        name, *items = children
        arguments: list[ast.Expr] = []
        keywords: list[ast.Keyword] = []
        for item in items:
            if isinstance(item, ast.Keyword):
                keywords.append(item)
            else:
                arguments.append(item)
        node = ast.Command(
            self.span(name, children[-1]), " ".join(self._name(name).split()), self.token_span(name),
            tuple(arguments), tuple(keywords),
        )  # fmt: skip
        return self.nested(node, *arguments, *(item.value for item in keywords))

    tail_command = command

    def keyword(self, children: Children) -> ast.Keyword:
        if children[0].type != "KEY":
            return self.flag(children)
        key, value = children
        if isinstance(value, Token):
            value = self.terminal(value)
        name = str(key)[:-1]
        start = self._start(key)
        return ast.Keyword(self.span(key, value), name, value, Span(start, start + len(name), self.source))

    text_keyword = path_keyword = keyword

    def flag(self, children: Tokens) -> ast.Keyword:
        span = self.token_span(children[0])
        if children[0].type == "FORCE":
            return ast.Keyword(span, "force", ast.Bool(span, True), span)
        text = self.text([children[1]])
        plain = text.constant
        if text.raw and plain is not None and len(plain) > 1 and plain[0] == plain[-1] == "'":
            text = ast.Text(text.span, (plain[1:-1],), raw=True)
        return ast.Keyword(span.to(text.span), "reason", text, span)

    def text(self, children: Tokens) -> ast.Text:
        (token,) = children
        if token.type == "STRING":
            return self.string(children)
        value = str(token).rstrip()
        start = self._start(token)
        return ast.Text(Span(start, start + len(value), self.source), (value,), raw=True)

    def path(self, children: Tokens) -> ast.Expr:
        (token,) = children
        return (
            self.string(children) if token.type == "STRING" else ast.Word(self.token_span(token), str(token))
        )

    def terminal(self, token: Token) -> ast.Expr:
        """An argument that the grammar had to leave a bare terminal."""
        build: Callable[[Tokens], ast.Expr] = getattr(self, token.type.lower())
        return build([token])

    def _only(self, children: Children) -> ast.Expr:
        if len(children) == 3:
            return (self.computed if children[0].type == "COMPUTED" else self.group)(children)
        value = children[0]
        return self.terminal(value) if isinstance(value, Token) else value

    text_1_of_1 = text_1_of_2 = text_2_of_2 = path_1_of_1 = path_1_of_2 = path_2_of_2 = _only
    behind = text_value = path_value = _only

    # -- expressions ------------------------------------------------------------

    def either(self, operands: Exprs) -> ast.Expr:
        return self._logical("or", operands)

    def both(self, operands: Exprs) -> ast.Expr:
        return self._logical("and", operands)

    def _logical(self, operator: Any, operands: Exprs) -> ast.Expr:
        left = operands[0]
        for right in operands[1:]:
            left = ast.Logical(self.span(left, right), operator, left, right)
        return self.nested(left, *operands)

    def not_(self, children: Children) -> ast.Unary:
        keyword, operand = children
        return self.nested(ast.Unary(self.span(keyword, operand), "not", operand), operand)

    def negative(self, children: Children) -> ast.Expr:
        sign, operand = children
        span = self.span(sign, operand)
        if isinstance(operand, ast.Int):
            return ast.Int(span, -operand.value)
        if isinstance(operand, ast.Float):
            return ast.Float(span, -operand.value)
        return self.nested(ast.Unary(span, "-", operand), operand)

    def compare(self, children: Children) -> ast.Compare:
        first, *rest = children
        pairs = tuple((str(rest[i]), rest[i + 1]) for i in range(0, len(rest), 2))
        return self.nested(ast.Compare(self.span(first, rest[-1]), first, pairs), *children)

    def within(self, children: Children) -> ast.Within:
        value, *negation, items = children
        return self.nested(ast.Within(self.span(value, items), value, items, bool(negation)), value, items)

    def arithmetic(self, children: Children) -> ast.Expr:
        left: ast.Expr = children[0]
        for i in range(1, len(children), 2):
            right = children[i + 1]
            left = ast.Binary(self.span(left, right), str(children[i]), left, right)
        return self.nested(left, *children)

    def range(self, children: Exprs) -> ast.Range:
        first, last = children
        return self.nested(ast.Range(self.span(first, last), first, last), first, last)

    def int(self, children: Tokens) -> ast.Int:
        span = self.token_span(children[0])
        if len(children[0]) > 18:
            _fail("EL107", "this number is too large", span, "whole numbers have at most 18 digits")
        return ast.Int(span, Index(children[0]))

    def float(self, children: Tokens) -> ast.Float:
        return ast.Float(self.token_span(children[0]), self._finite(children[0], str(children[0])))

    def percent(self, children: Tokens) -> ast.Float:
        return ast.Float(self.token_span(children[0]), self._finite(children[0], children[0][:-1]) / 100)

    def _finite(self, token: Token, digits: str) -> Number:
        value = Number(digits)
        if value == Number("inf"):
            _fail("EL107", "this number is too large", self.token_span(token), "the largest is about 1.8e308")
        return value

    def true(self, children: Tokens) -> ast.Bool:
        return ast.Bool(self.token_span(children[0]), True)

    def false(self, children: Tokens) -> ast.Bool:
        return ast.Bool(self.token_span(children[0]), False)

    def layer(self, children: Tokens) -> ast.LayerRef:
        return ast.LayerRef(self.token_span(children[0]), self._index(children[0], children[0][1:]))

    def layers(self, children: Tokens) -> ast.LayersRef:
        return ast.LayersRef(self.token_span(children[0]))

    def basin(self, children: Tokens) -> ast.BasinRef:
        layer, _, basin = children[0].partition(".")
        return ast.BasinRef(
            self.token_span(children[0]),
            self._index(children[0], layer[1:]),
            self._index(children[0], basin[1:]),
        )

    def part(self, children: Tokens) -> ast.PartRef:
        layer, _, part = children[0].partition(".")
        return ast.PartRef(
            self.token_span(children[0]),
            self._index(children[0], layer[1:]),
            part[0],
            self._index(children[0], part[1:]),
        )

    def _index(self, token: Token, digits: str) -> Index:
        if len(digits) > 9:
            _fail(
                "EL107",
                "this number is too large",
                self.token_span(token),
                "layers, basins, neurons and heads have at most nine digits",
            )
        return Index(digits)

    def concept(self, children: Tokens) -> ast.ConceptName:
        return ast.ConceptName(self.token_span(children[0]), self._name(children[0]).removeprefix("@"))

    def computed(self, children: Children) -> ast.Expr:
        first, name, last = children
        return self.nested(ast.ComputedConcept(self.span(first, last), name), name)

    def name(self, children: Tokens) -> ast.Name:
        return ast.Name(self.token_span(children[0]), self._name(children[0]))

    def _name(self, token: Token) -> str:
        if len(token) > MAX_NAME:
            start = self._start(token)
            _fail("EL102", "this name is too long", Span(start, start + MAX_NAME, self.source),
                  f"a name has at most {MAX_NAME} characters")  # fmt: skip
        return str(token)

    def list(self, children: Children) -> ast.List:
        first, *items, last = children
        return self.nested(ast.List(self.span(first, last), tuple(items)), *items)

    text_list = path_list = list

    def each(self, children: Children) -> ast.Expr:
        first, item, _for, *rest, last = children
        names = [part for part in rest if isinstance(part, Token) and part.type == "NAME"]
        items, *condition = [part for part in rest if isinstance(part, ast.Expr)]
        span, name, place = self.span(first, last), self._name(names[0]), self.token_span(names[0])
        if len(names) > 1:
            _fail("EL102", "a list is made with one name", self.span(names[0], names[-1]),
                  "take the item apart by its fields: `[p.first for p in zip(xs, ys)]`")  # fmt: skip
        node = ast.Each(span, item, name, place, items, condition[0] if condition else None)
        return self.nested(node, item, items, *condition)

    def record(self, children: Children) -> ast.Record:
        first, *entries, last = children
        node = ast.Record(self.span(first, last), tuple(entries))
        names = set()
        for entry in entries:
            if entry.name in names:
                _fail("EL102", f"`{entry.name}` stands twice in this record", entry.name_span)
            names.add(entry.name)
        return self.nested(node, *(entry.value for entry in entries))

    def entry(self, children: Children) -> ast.Entry:
        name, value = children
        span = self.token_span(name)
        text = self._name(name)
        if name.type == "STRING":
            constant = self.string([name]).constant
            if not constant or not constant.strip():
                _fail("EL102", "a name in a record is a text without braces", span)
            text = constant
        return ast.Entry(self.span(name, value), text, span, value)

    def named(self, children: Children) -> ast.Entry:
        return self._entry(*children)

    def call(self, children: Children) -> ast.Expr:
        name, _open, *given, last = children
        return self._called(self.span(name, last), name, given, None)

    def method(self, children: Children) -> ast.Expr:
        value, _dot, name, _open, *given, last = children
        return self._called(self.span(value, last), name, given, value)

    def _called(self, span: Span, name: Token, given: Children, receiver: ast.Expr | None) -> ast.Expr:
        """A function of the language with its arguments; anything else is a command: ``survey(L0, inits=400)``."""
        arguments = tuple(item for item in given if isinstance(item, ast.Expr))
        entries = tuple(item for item in given if isinstance(item, ast.Entry))
        place, called = self.token_span(name), self._name(name)
        inside = *arguments, *(entry.value for entry in entries)
        if receiver is not None:
            whole = (receiver, *arguments)
            return self.nested(
                ast.Function(span, called, place, whole, entries, method=True), receiver, *inside
            )
        if called in FUNCTIONS:
            return self.nested(ast.Function(span, called, place, arguments, entries), *inside)
        keywords = tuple(ast.Keyword(e.span, e.name, e.value, e.name_span) for e in entries)
        return self.nested(ast.Command(span, called, place, arguments, keywords), *inside)

    def group(self, children: Children) -> ast.Expr:
        first, last = children[0], children[2]
        node: ast.Expr = children[1]
        if isinstance(node, ast.Name):
            node = ast.Name(node.span, node.name, bracketed=True)
        self.extents[id(node)] = node, self._start(first), self._end(last)
        return node

    def field(self, children: Children) -> ast.Field:
        value, _dot, name = children
        node = ast.Field(self.span(value, name), value, self._name(name), self.token_span(name))
        return self.nested(node, value)

    def index(self, children: Children) -> ast.Index:
        value, _open, position, close = children
        return self.nested(ast.Index(self.span(value, close), value, position), value, position)

    # -- texts ------------------------------------------------------------------

    def string(self, children: Tokens) -> ast.Text:
        """Escapes and holes of a quoted text."""
        span = self.token_span(children[0])
        token = str(children[0])
        quotes = 3 if token.startswith('"""') else 1
        try:
            found = (multi_line if quotes == 3 else pieces)(token[quotes:-quotes])
        except TextProblem as problem:
            start = span.start + quotes + problem.start
            place = Span(start, start + problem.length, self.source)
            raise SyntaxProblem(problem.code, problem.message, place, problem.help) from None
        parts: Children = []
        for piece in found:
            if isinstance(piece, str):
                parts.append(piece)
                continue
            start = span.start + quotes + piece.start
            value = self.parse_hole(piece.expression, start + 1)
            parts.append(
                ast.Hole(Span(start, span.start + quotes + piece.end, self.source), value, piece.format)
            )
        return ast.Text(span, tuple(parts))
