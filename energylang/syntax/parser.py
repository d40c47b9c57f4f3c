"""The parser: from the text of a script to its syntax tree, or to a list of what is wrong with it.

``grammar/energy.lark`` says what is accepted. This module adds the two things a grammar cannot say:

* the terminals of the operations that end in unquoted text or in a path (the caller knows which);
* what to tell the user when the parser stops. After an error the offending line is set aside and the
  rest is parsed again, so that one run reports several errors; lines that only fail because of an
  earlier one are not reported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lark import Lark, Token, UnexpectedCharacters, UnexpectedInput, UnexpectedToken
from lark.exceptions import VisitError
from lark.indenter import DedentError, Indenter

from energylang.diagnostics import Diagnostic

from . import ast
from .build import SyntaxProblem, TreeBuilder
from .grammar import grammar_text
from .source import Source, Span

MAX_ERRORS = 20
MAX_DEPTH = 100
MAX_CHARACTERS = 5_000_000
_NEVER = r"/(?!.)./"  # a terminal that matches nothing


@dataclass(frozen=True)
class Tail:
    """How an operation's arguments end: in unquoted text or in an unquoted path, after ``leading`` others."""

    kind: Literal["text", "path"]
    leading: int


class Blocks(Indenter):
    """Indentation to block tokens. Tabs are refused: their width is anybody's guess."""

    NL_type = "_NL"
    OPEN_PAREN_types = ["LPAR", "LSQB", "INDEX"]  # noqa: RUF012 - the base class asks for class attributes
    CLOSE_PAREN_types = ["RPAR", "RSQB"]  # noqa: RUF012
    INDENT_type = "_INDENT"
    DEDENT_type = "_DEDENT"
    tab_len = 8

    def handle_NL(self, token: Token) -> Any:
        if self.paren_level == 0:
            indentation = token.rsplit("\n", 1)[1]
            end = token.end_pos or 0
            if "\t" in indentation:
                raise _Indentation("EL105", "a tab in the indentation", end - len(indentation), end,
                                   "indent with spaces: four for each block")  # fmt: skip
            if len(self.indent_level) > MAX_DEPTH:
                raise _Indentation("EL109", "blocks are nested too deeply", end - len(indentation), end,
                                   f"at most {MAX_DEPTH} levels")  # fmt: skip
            if len(indentation) < self.indent_level[-1] and len(indentation) not in self.indent_level:
                raise _Indentation("EL104", "this line is indented like no block around it",
                                   end - len(indentation), end,
                                   "align it with the block it belongs to")  # fmt: skip
        yield from super().handle_NL(token)


class _Indentation(Exception):
    def __init__(self, code: str, message: str, start: int, end: int, help: str) -> None:
        super().__init__(message)
        self.code, self.message, self.start, self.end, self.help = code, message, start, end, help


class Parser:
    """A parser for scripts in which the operations named in ``tails`` end in text or a path."""

    def __init__(self, tails: Mapping[str, Tail]) -> None:
        self.tails = tails
        classes: dict[str, list[str]] = {
            "TEXT_AFTER_0": [], "TEXT_AFTER_1": [], "TEXT_AFTER_2": [], "PATH_AFTER_0": [], "PATH_AFTER_1": [],
        }  # fmt: skip
        for name, tail in tails.items():
            classes[f"{tail.kind.upper()}_AFTER_{tail.leading}"].append(name)
        terminals = "\n".join(f"{name}.4: {_alternatives(names)}" for name, names in classes.items())
        self._lark = Lark(
            grammar_text() + "\n" + terminals + "\n",
            parser="lalr",
            lexer="contextual",
            postlex=Blocks(),
            start=["program", "hole"],
            propagate_positions=True,
            maybe_placeholders=False,
        )

    def parse(self, source: Source) -> tuple[ast.Program, list[Diagnostic]]:
        """The tree of all that could be parsed, and the errors (empty when all could)."""
        if len(source.text) > MAX_CHARACTERS:
            span = Span(0, 0, source)
            message = f"the script is too large: {len(source.text):,} characters"
            problem = Diagnostic("EL109", message, span, help=f"at most {MAX_CHARACTERS:,}")
            return ast.Program(span, ()), [problem]
        text = source.text if source.text.endswith("\n") else source.text + "\n"
        problems: list[Diagnostic] = []
        while len(problems) < MAX_ERRORS:
            result = self._attempt(text, source)
            if isinstance(result, ast.Program):
                return result, problems
            if result in problems or result.span is None:
                break
            problems.append(result)
            remaining = _set_aside(text, result.span.start, result.code)
            if remaining == text:
                break
            text = remaining
        return ast.Program(Span(0, 0, source), ()), problems

    def _attempt(self, text: str, source: Source) -> ast.Program | Diagnostic:
        problem = _leading_blank(text, source) or _too_deep(text, source)
        if problem:
            return problem
        try:
            tree = self._lark.parse(text, start="program")
            builder = TreeBuilder(source, self._parse_hole)
            return builder.transform(tree)  # type: ignore[arg-type,no-any-return]
        except VisitError as error:
            if isinstance(error.orig_exc, SyntaxProblem):
                return _diagnostic(error.orig_exc)
            if isinstance(error.orig_exc, RecursionError):
                return Diagnostic("EL109", "this is nested too deeply", Span(0, 0, source))
            raise
        except SyntaxProblem as error:
            return _diagnostic(error)
        except _Indentation as error:
            return Diagnostic(error.code, error.message, Span(error.start, error.end, source), help=error.help)
        except DedentError as error:
            return Diagnostic("EL104", str(error), Span(0, 0, source))
        except RecursionError:
            return Diagnostic("EL109", "this is nested too deeply", Span(0, 0, source))
        except UnexpectedInput as error:
            return self._explain(error, text, source)

    def _parse_hole(self, text: str, source: Source, offset: int) -> ast.Expr:
        try:
            tree = self._lark.parse(text, start="hole")
        except UnexpectedInput as error:
            raise self._hole_problem(error, text, source, offset) from None
        except _Indentation:
            raise SyntaxProblem("EL103", "a line break inside `{…}`", Span(offset, offset + len(text), source)) from None
        builder = TreeBuilder(source, self._parse_hole, offset)
        return builder.transform(tree)  # type: ignore[arg-type,no-any-return]

    def _hole_problem(self, error: UnexpectedInput, text: str, source: Source, offset: int) -> SyntaxProblem:
        start = getattr(error, "pos_in_stream", None)
        start = len(text) if start is None or start < 0 else min(start, len(text))
        span = Span(offset + start, offset + max(start + 1, len(text)), source)
        return SyntaxProblem(
            "EL103", f"`{text}` is not an expression", span, "between braces stands one value, as in `{s.num_basins}`"
        )

    # -- messages ----------------------------------------------------------------

    def _explain(self, error: UnexpectedInput, text: str, source: Source) -> Diagnostic:
        """Say what is wrong where the parser stopped."""
        if isinstance(error, UnexpectedCharacters):
            start = error.pos_in_stream
            return _unexpected_character(text, source, start)
        if not isinstance(error, UnexpectedToken):
            return Diagnostic("EL102", "the script ends too early", Span(len(text) - 1, len(text), source))
        token: Token = error.token
        expected = set(error.state.parse_conf.parse_table.states[error.state.position])
        start = len(source.text) if token.type == "$END" else (token.start_pos or 0)
        span = Span(start, start + max(1, 0 if token.type in _INVISIBLE else len(str(token))), source)
        if token.type == "_INDENT":
            line_start = text.rfind("\n", 0, token.end_pos or 0) + 1
            content = len(text[line_start:]) - len(text[line_start:].lstrip(" ")) + line_start
            return Diagnostic("EL104", "this line is indented, but no block begins above it",
                              Span(line_start, max(content, line_start + 1), source),
                              help="a block begins after a line that ends in `:`")  # fmt: skip
        if "_INDENT" in expected:
            return Diagnostic("EL108", "a block is missing here", _last_line_end(text, start, source),
                              help="indent the statements of the block by four spaces, or write `pass`")  # fmt: skip
        opening = _unclosed(text[:start])
        if opening is not None and (token.type in _INVISIBLE or "\n" in text[opening:start]):
            place = Span(opening, opening + 1, source)
            return Diagnostic("EL102", f"this `{text[opening]}` is never closed", place)
        if token.type in _INVISIBLE:
            return _ended_too_early(text, start, expected, source)
        return _unexpected_token(token, span, expected, text, source)


_INVISIBLE = ("_NL", "_INDENT", "_DEDENT", "$END")

_FORMS = {
    "let": "`let` needs a name and a value: `let s = survey L0`",
    "for": "`for` needs a name and what to go through: `for l in layers:`",
    "def": "a procedure is written `def check(l: Layer, ratio: Float = 2%):`",
    "import": "`import` needs the name of a module: `import audit`",
    "print": "`print` needs something to print",
    "require": "`require` needs a condition: `require s.num_basins > 3`",
}

_RESERVED = {
    "while": "there is no `while`: every script terminates; use `for NAME in …:`",
}


def _diagnostic(problem: SyntaxProblem) -> Diagnostic:
    return Diagnostic(problem.code, problem.message, problem.span, help=problem.help)


def _alternatives(names: list[str]) -> str:
    if not names:
        return _NEVER
    longest_first = sorted(names, key=len, reverse=True)
    patterns = [re.escape(name).replace(r"\-", "[-_]").replace("\\ ", r"[ \t]+") for name in longest_first]
    return "/(?:" + "|".join(patterns) + r")(?![\w=-])/"


def _leading_blank(text: str, source: Source) -> Diagnostic | None:
    """The first line of a script is not seen by the block tokens: check its indentation here."""
    match = re.match(r"[ \t]+(?=[^\s#])", text)
    if match:
        return Diagnostic("EL104", "the first statement is indented", Span(0, match.end(), source),
                          help="start it in the first column")  # fmt: skip
    return None


def _too_deep(text: str, source: Source) -> Diagnostic | None:
    """Refuse brackets nested beyond any use before recursion does."""
    depth = 0
    for match in re.finditer(r'"([^"\\\n]|\\.)*"|#[^\n]*|[()\[\]]', text):
        char = match[0]
        if char in "([":
            depth += 1
            if depth > MAX_DEPTH:
                span = Span(match.start(), match.end(), source)
                return Diagnostic("EL109", "brackets are nested too deeply", span, help=f"at most {MAX_DEPTH} levels")
        elif char in ")]":
            depth = max(0, depth - 1)
    return None


def _unexpected_character(text: str, source: Source, start: int) -> Diagnostic:
    char = text[start]
    span = Span(start, start + 1, source)
    line_end = text.find("\n", start)
    if char == '"':
        return Diagnostic("EL103", "this text is never closed", Span(start, max(start + 1, line_end), source),
                          help='end it with `"` on the same line; write `\\"` for a quote inside it')  # fmt: skip
    if char == "'":
        return Diagnostic("EL102", "a quote of this kind starts nothing here", span, help='write texts in double quotes: "…"')
    if char == "\t":
        return Diagnostic("EL105", "a tab", span, help="use spaces")
    if char == "=" and text[start - 1 : start] == " ":
        return Diagnostic("EL102", "unexpected `=`", span, help="write keyword arguments without blanks: `inits=400`")
    if char == "-":
        return Diagnostic("EL102", "unexpected `-`", span, help="binary minus needs a blank on both sides: `a - b`")
    number = re.compile(r"\d[\w.]*").match(text, start)
    if number:
        return Diagnostic("EL107", f"`{number[0]}` is not a number", Span(start, number.end(), source))
    word = re.compile(r"[^\W\d][\w-]*").match(text, start)
    if word:
        return _unexpected_text(word[0], Span(start, word.end(), source))
    name = "a character that is not visible" if not char.isprintable() else f"`{char}`"
    return Diagnostic("EL102", f"unexpected {name}", span)


def _unexpected_text(text: str, span: Span) -> Diagnostic:
    help = _RESERVED.get(text, "")
    return Diagnostic("EL102", f"unexpected `{text}`", span, help=help)


def _ended_too_early(text: str, start: int, expected: set[str], source: Source) -> Diagnostic:
    """The line (or the script) ended where something had to follow."""
    line_start = text.rfind("\n", 0, start) + 1
    line = text[line_start:start]
    stripped = re.sub(r"\s*$", "", line)
    end = line_start + len(stripped)
    place = Span(end, end + 1, source)
    first = re.match(r"\s*([\w-]+)", line)
    keyword = first[1] if first else ""
    if "COLON" in expected and keyword in ("if", "elif", "else", "for", "def"):
        return Diagnostic("EL106", f"`{keyword}` needs a `:` at the end of its line", place, help="add `:`")
    if "RPAR" in expected and "(" in text[:start]:
        opening = text.rfind("(", 0, start)
        return Diagnostic("EL102", "this `(` is never closed", Span(opening, opening + 1, source),
                          help='unquoted text runs to the end of the line: write it as "…" to end it earlier')  # fmt: skip
    if stripped.endswith("="):
        return Diagnostic("EL102", "a value is missing after `=`", place)
    what = _FORMS.get(keyword, "")
    return Diagnostic("EL102", "the line ends too early", place, help=what)


def _unexpected_token(token: Token, span: Span, expected: set[str], text: str, source: Source) -> Diagnostic:
    word = str(token)
    line_start = text.rfind("\n", 0, span.start) + 1
    before = text[line_start : span.start]
    first = re.match(r"\s*([\w-]+)", before)
    keyword = first[1] if first else ""
    if token.type in ("RPAR", "RSQB"):
        opening = _unclosed(text[: span.start])
        if opening is None:
            return Diagnostic("EL102", f"this `{word}` closes nothing", span)
    if keyword in _FORMS and before.strip() == keyword:
        return Diagnostic("EL102", f"unexpected `{word}`", span, help=_FORMS[keyword])
    if token.type == "EQUAL" and before.strip():
        return Diagnostic("EL102", "unexpected `=`", span,
                          help="`==` compares; keyword arguments are written without blanks: `inits=400`")  # fmt: skip
    if token.type == "NEGATIVE":
        return Diagnostic("EL102", "unexpected `-`", span, help="binary minus needs a blank on both sides: `a - b`")
    if token.type == "MINUS":
        return Diagnostic("EL102", "unexpected `-`", span, help="a negative number is written without a blank: `-3`")
    if word in ("elif", "else"):
        return Diagnostic("EL102", f"this `{word}` belongs to no `if`", span,
                          help="align it with the `if` it belongs to")  # fmt: skip
    if "COLON" in expected and keyword in ("if", "elif", "else", "for", "def"):
        return Diagnostic("EL106", f"`{keyword}` needs a `:` before `{word}`", span)
    if token.type in ("RAW", "WORD") and not before.rstrip().endswith('"'):
        return _unexpected_character(text, source, span.start)
    if token.type == "COLON":
        return Diagnostic("EL102", "unexpected `:`", span,
                          help=_RESERVED.get(keyword, "blocks begin after `if`, `elif`, `else`, `for` and `def`"))  # fmt: skip
    if token.type == "STRING" or before.rstrip().endswith('"'):
        return Diagnostic("EL102", f"unexpected {word if token.type == 'STRING' else f'`{word}`'}", span,
                          help="the text before it is already complete")  # fmt: skip
    return _unexpected_text(word, span)


def _last_line_end(text: str, start: int, source: Source) -> Span:
    """The end of the last line with something on it before ``start``."""
    end = len(text[:start].rstrip())
    line_start = text.rfind("\n", 0, end) + 1
    line = text[line_start:end]
    comment = re.match(r'(?:"([^"\\\n]|\\.)*"|[^#"\n])*', line)
    end = line_start + len((comment[0] if comment else line).rstrip())
    return Span(max(end - 1, 0), max(end, 1), source)


def _unclosed(text: str) -> int | None:
    """Offset of the innermost bracket that is open at the end of ``text``."""
    stack: list[int] = []
    for match in re.finditer(r'"([^"\\\n]|\\.)*"|#[^\n]*|[()\[\]]', text):
        if match[0] in "([":
            stack.append(match.start())
        elif match[0] in ")]" and stack:
            stack.pop()
    return stack[-1] if stack else None


_BLOCK_HEAD = re.compile(r"(if|elif|else|for|def|while)(?![\w-])|.*:[ ]*(#.*)?$")
_NEXT_LINE = re.compile(r"\n(?:[ \t]*(?:#[^\n]*)?\n)*([ ]*)[^\s#]")


def _set_aside(text: str, offset: int, code: str) -> str:
    """``text`` with the statement around ``offset`` replaced by one that does nothing, of equal length.

    Equal length keeps every later span right. The head of a block becomes the head of an empty
    condition, so that the lines under it are still looked at; lines that are indented without a block
    become comments.
    """
    offset = min(offset, len(text) - 1)
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    if not text[start:end].strip():  # an empty line: the culprit stands before it
        end = len(text[:start].rstrip())
        start = text.rfind("\n", 0, end) + 1
    opening = _unclosed(text[:start])
    if opening is not None:  # the statement began on an earlier line
        start = text.rfind("\n", 0, opening) + 1
    line = text[start:end]
    indentation = len(line) - len(line.lstrip(" \t"))
    if code == "EL105":
        return re.sub(r"(?m)^[ \t]+", lambda match: match[0].replace("\t", " "), text)
    if code == "EL104":
        following = _NEXT_LINE.match(text, end)
        while following and len(following[1]) >= indentation > 0:
            end = text.find("\n", following.end())
            following = _NEXT_LINE.match(text, end)
        return text[:start] + re.sub(r"[^\n]", "#", text[start:end]) + text[end:]
    body = re.sub(r"[^\n]", "#", line[indentation:])
    following = _NEXT_LINE.match(text, end)
    heads_block = following is not None and len(following[1]) > indentation
    head = _BLOCK_HEAD.match(line, indentation)
    if heads_block and head and "\n" not in body:
        if head[1] in ("elif", "else"):
            body = "else:" + body[5:] if len(body) >= 5 else body
        elif len(body) >= 8:
            body = "if true:" + body[8:]
    elif len(body) >= 4 and "\n" not in body[:4] and code != "EL108":
        body = "pass" + body[4:]
    return text[:start] + line[:indentation] + body + text[end:]
