"""The parser: from the text of a script to its syntax tree, or to a list of what is wrong with it.

``grammar/energy.lark`` says what is accepted. This module adds what a grammar cannot say: the terminals of
the operations that end in unquoted text or in a path (the caller knows which), and the blocks that
indentation makes. The tree is built while the parser reduces (``build``), in one pass over the text.

When the parser stops, ``messages`` says why and ``recovery`` sets the statement at fault aside; parsing
goes on from the outermost statement around it, so that one run reports several errors without reading the
whole script once for each.
"""

from __future__ import annotations

import gc
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, Literal

from lark import Token, UnexpectedCharacters, UnexpectedInput, UnexpectedToken
from lark.lark import PostLex

from energylang.diagnostics import Diagnostic
from energylang.diagnostics.source import Source, Span

from . import ast
from .build import MAX_DEPTH, SyntaxProblem, TreeBuilder
from .grammar import grammar_text
from .legacy import modernised
from .messages import Stop, explain, explain_hole
from .recovery import set_aside
from .tables import Shelf, lark_of

MAX_ERRORS = 20
MAX_CHARACTERS = 5_000_000
_NEVER = r"/(?!.)./"  # a terminal that matches nothing
_OPENING = frozenset(("LPAR", "LSQB", "INDEX", "LBRACE", "COMPUTED"))
_CLOSING = frozenset(("RPAR", "RSQB", "RBRACE"))
_CONTINUES = re.compile(r"(?:elif|else)(?![\w-])")


@dataclass(frozen=True)
class Tail:
    """How an operation's arguments end: in unquoted text or in an unquoted path, after ``leading`` others."""

    kind: Literal["text", "path"]
    leading: int


class _LineEnds(PostLex):
    """Lines may end anywhere, as far as the lexer is concerned; ``_Lines`` decides which ends count."""

    always_accept = ("_NL",)

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        return stream


class _Indentation(Exception):
    def __init__(self, code: str, message: str, start: int, end: int, help: str) -> None:
        super().__init__(message)
        self.code, self.message, self.start, self.end, self.help = code, message, start, end, help


@dataclass
class _Lines:
    """What the pass over the tokens remembers: the brackets that are open, and where statements start.

    ``lines`` are the starts of all lines on which a statement can start, ``tops`` of those in the first
    column.
    """

    open: list[Token] = field(default_factory=list)
    levels: list[int] = field(default_factory=lambda: [0])
    lines: list[int] = field(default_factory=lambda: [0])
    tops: list[int] = field(default_factory=lambda: [0])
    legacy: bool = False  # indentation means nothing

    def end_of_line(self, token: Token) -> Iterator[Token]:
        """The token of a line's end, and those of the blocks that begin or end there."""
        end = token.end_pos or 0
        indentation = token.rpartition("\n")[2]
        width, levels = len(indentation), self.levels
        if self.legacy:
            self.lines.append(end)
            self.tops.append(end)
            yield token
            return
        if "\t" in indentation:
            raise _Indentation("EL105", "a tab in the indentation", end - width, end,
                               "indent with spaces: four for each block")  # fmt: skip
        self.lines.append(end - width)
        yield token
        if width > levels[-1]:
            if len(levels) > MAX_DEPTH:
                raise _Indentation("EL109", "blocks are nested too deeply", end - width, end,
                                   f"at most {MAX_DEPTH} levels")  # fmt: skip
            levels.append(width)
            yield Token.new_borrow_pos("_INDENT", indentation, token)
            return
        if width not in levels:
            raise _Indentation("EL104", "this line is indented like no block around it", end - width, end,
                               "align it with the block it belongs to")  # fmt: skip
        while width < levels[-1]:
            levels.pop()
            yield Token.new_borrow_pos("_DEDENT", indentation, token)
        if width == 0:
            self.tops.append(end)


class Parser:
    """A parser for scripts in which the operations named in ``tails`` end in text or a path. Its tables are kept on a
    ``shelf``."""

    def __init__(self, tails: Mapping[str, Tail], shelf: Shelf | None = None) -> None:
        self.tails = tails
        classes: dict[str, list[str]] = {
            "TEXT_AFTER_0": [], "TEXT_AFTER_1": [], "TEXT_AFTER_2": [], "PATH_AFTER_0": [], "PATH_AFTER_1": [],
            "PATH_AFTER_2": [],
        }  # fmt: skip
        for name, tail in tails.items():
            classes[f"{tail.kind.upper()}_AFTER_{tail.leading}"].append(name)
        terminals = "\n".join(f"{name}.4: {_alternatives(names)}" for name, names in classes.items())
        self._lock = RLock()  # one builder for all: a second thread waits
        self._builder = TreeBuilder()
        self._builder.parse_hole = self._parse_hole
        self._lark = lark_of(
            grammar_text() + "\n" + terminals + "\n",
            shelf,
            parser="lalr",
            lexer="contextual",
            postlex=_LineEnds(),
            start=["program", "hole"],
            transformer=self._builder,  # any object with the rules' names will do
            propagate_positions=False,
            maybe_placeholders=False,
        )

    def parse(self, source: Source) -> tuple[ast.Program, list[Diagnostic]]:
        """The tree of all that could be parsed, and the errors (empty when all could)."""
        whole = Span(0, len(source.text), source)
        if len(source.text) > MAX_CHARACTERS:
            message = f"the script is too large: {len(source.text):,} characters"
            problem = Diagnostic("EL109", message, Span(0, 0, source), help=f"at most {MAX_CHARACTERS:,}")
            return ast.Program(whole, ()), [problem]
        with self._lock, _no_search_for_garbage(len(source.text)):
            statements, problems = self._parse(source)
        return ast.Program(whole, tuple(statements)), problems

    def tokens(self, source: Source) -> tuple[list[ast.Statement], list[Token]] | None:
        """The statements and the tokens of a script without syntax errors, else ``None``. The ends of lines are
        tokens of type ``_NL``, with the comments that follow them."""
        if len(source.text) > MAX_CHARACTERS:
            return None
        found: list[Token] = []
        with self._lock:
            text = self._prepared(source)
            self._builder.begin(source, 0)
            try:
                if _leading_blank(text) and not source.legacy:
                    return None
                statements = self._run(text, "program", _Lines(legacy=source.legacy), found)
            except (SyntaxProblem, _Indentation, UnexpectedInput):
                return None
        return list(statements), found

    @staticmethod
    def _prepared(source: Source) -> str:
        text = source.text if source.text.endswith("\n") else source.text + "\n"
        return modernised(text) if source.legacy else text

    def _parse(self, source: Source) -> tuple[list[ast.Statement], list[Diagnostic]]:
        text = self._prepared(source)
        offset = attempts = 0
        statements: list[ast.Statement] = []
        problems: list[Diagnostic] = []
        while True:
            lines = _Lines(legacy=source.legacy)
            result = self._attempt(text, source, offset, lines)
            if not isinstance(result, Diagnostic):
                return [*statements, *result], problems
            if result.span is None or result in problems:
                break
            attempts += 1
            if result.code != "EL104" or not any(problem.code == "EL105" for problem in problems):
                problems.append(result)  # where tabs stand, nobody can say how far lines are indented
            if attempts >= MAX_ERRORS:
                break
            place = result.span.start - offset
            tops = [start for start in lines.tops[1:] if not _CONTINUES.match(text, start)]
            cut = _last([0, *tops], place)
            if cut:  # all before the statement at fault is right
                before = self._attempt(text[:cut], source, offset, _Lines(legacy=source.legacy))
                if not isinstance(before, Diagnostic):
                    statements += before
            remaining = set_aside(text, place, cut, _last(lines.lines, place), result.code)
            if remaining == text[cut:]:
                break
            text, offset = remaining, offset + cut
        return statements, problems

    def _attempt(
        self, text: str, source: Source, offset: int, lines: _Lines
    ) -> tuple[ast.Statement, ...] | Diagnostic:
        """Parse a part of the source that starts at ``offset``."""
        self._builder.begin(source, offset)
        stop: Stop | None = None
        try:
            if not source.legacy and (blank := _leading_blank(text)):
                raise blank
            return self._run(text, "program", lines)  # type: ignore[no-any-return]
        except SyntaxProblem as error:
            return Diagnostic(error.code, error.message, error.span, help=error.help)
        except _Indentation as error:
            span = Span(error.start + offset, error.end + offset, source)
            return Diagnostic(error.code, error.message, span, help=error.help)
        except UnexpectedInput as error:
            stop = _stop(error, text, source, offset, lines)
        return explain(stop)

    def _run(self, text: str, start: str, lines: _Lines, found: list[Token] | None = None) -> Any:
        """Feed the tokens of ``text`` to the parser; the value of the start rule. ``found`` gets the tokens."""
        interactive = self._lark.parse_interactive(text, start)
        state = interactive.parser_state
        feed, open = state.feed_token, lines.open
        token: Token | None = None
        first: Token | None = None  # of the ends of lines that follow each other
        for token in interactive.lexer_thread.lex(state):  # type: ignore[no-untyped-call]  # as lark has it
            kind = token.type
            if kind == "_NL":
                first = first or token
                if text.startswith(("\n", "\r\n"), token.end_pos):
                    continue
                token, first = _from_to(first, token, text), None
            if found is not None:
                found.append(token)
            if kind == "_NL":
                if not open:
                    for part in lines.end_of_line(token):
                        feed(part)
                continue
            feed(token)
            if kind in _OPENING:
                open.append(token)
                if len(open) > MAX_DEPTH:
                    raise _Indentation("EL109", "brackets are nested too deeply", token.start_pos or 0,
                                       token.end_pos or 0, f"at most {MAX_DEPTH} levels")  # fmt: skip
            elif kind in _CLOSING and open:
                open.pop()
        end = Token.new_borrow_pos("$END", "", token) if token is not None else Token("$END", "", 0, 1, 1)
        for _ in lines.levels[1:]:
            feed(Token.new_borrow_pos("_DEDENT", "", end))
        return feed(end, True)

    def _parse_hole(self, text: str, offset: int) -> ast.Expr:
        """Parse the inside of a text's braces; called while the text around it is being built."""
        builder = self._builder
        outer = builder.source, builder.offset, builder.extents, builder.depths
        builder.begin(builder.source, offset)
        try:
            return self._run(text, "hole", _Lines())  # type: ignore[no-any-return]
        except UnexpectedInput as error:
            raise explain_hole(_stop(error, text, builder.source, offset, _Lines())) from None
        except _Indentation as error:
            span = Span(error.start + offset, error.end + offset, builder.source)
            raise SyntaxProblem(error.code, error.message, span, error.help) from None
        finally:
            builder.source, builder.offset, builder.extents, builder.depths = outer


@contextmanager
def _no_search_for_garbage(characters: int) -> Iterator[None]:
    """While a large tree grows, nothing of it is garbage, and looking for some again and XX."""
    if characters < 100_000 or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _from_to(first: Token, last: Token, text: str) -> Token:
    """One token for several that follow each other."""
    if first is last:
        return last
    value = text[first.start_pos : last.end_pos]
    return Token(first.type, value, first.start_pos, first.line, first.column, last.end_line, last.end_column,
                 last.end_pos)  # fmt: skip


def _stop(error: UnexpectedInput, text: str, source: Source, offset: int, lines: _Lines) -> Stop:
    """Where and in what state the parser stopped."""
    state: Any = getattr(error, "state", None)
    expected = frozenset(state.parse_conf.states[state.position]) if state is not None else frozenset()
    opening = lines.open[-1].start_pos if lines.open else None
    if isinstance(error, UnexpectedToken):
        token: Token = error.token
        # A block's end that comes out of nowhere is found at the line's end before it.
        start = len(text) if token.type == "$END" else token.start_pos or 0
        end = token.end_pos if token.type != "$END" else len(text)
        return Stop(text, source, offset, token.type, str(token), start, end or start, expected, opening)
    start = (error.pos_in_stream or 0) if isinstance(error, UnexpectedCharacters) else len(text) - 1
    return Stop(text, source, offset, None, text[start : start + 1], start, start + 1, expected, opening)


def _last(starts: list[int], place: int) -> int:
    """The last of these places that is not after ``place``."""
    return starts[max(bisect_right(starts, place) - 1, 0)]


def _alternatives(names: list[str]) -> str:
    if not names:
        return _NEVER
    longest_first = sorted(names, key=len, reverse=True)
    patterns = [re.escape(name).replace(r"\-", "[-_]").replace("\\ ", r"[ \t]+") for name in longest_first]
    return "/(?:" + "|".join(patterns) + r")(?![\w=-])/"


def _leading_blank(text: str) -> _Indentation | None:
    """The first line of a script is not seen by the block tokens: check its indentation here."""
    match = re.match(r"[ \t]+(?=[^\s#])", text)
    if match is None:
        return None
    if "\t" in match[0]:
        return _Indentation(
            "EL105", "a tab in the indentation", 0, match.end(), "start it in the first column"
        )
    return _Indentation(
        "EL104", "the first statement is indented", 0, match.end(), "start it in the first column"
    )
