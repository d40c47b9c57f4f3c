"""What to tell the user when the parser stops: what is wrong, where, and what to write instead.

The parser knows the token it could not use, the tokens it could have used, and the bracket that is open.
That is turned into one sentence about the script, never about the grammar: first the mistakes that have a
face of their own (a quote that is not closed, a colon that is missing, a habit from another language), then
what is left.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from energylang.diagnostics import Diagnostic
from energylang.diagnostics.source import Source, Span

from .build import SyntaxProblem

INVISIBLE = ("_NL", "_INDENT", "_DEDENT", "$END")

_HEADS = ("if", "elif", "else", "for", "sweep", "def", "attempt", "with")
_FORMS = {
    "let": "`let` needs a name and a value: `let s = survey L0`",
    "for": "`for` needs a name and what to go through: `for l in layers:`",
    "sweep": "`sweep` needs names and what each goes through: `sweep seed in 0..4, l in layers:`",
    "def": "a procedure is written `def check(l: Layer, ratio: Float = 2%):`",
    "import": "`import` needs the name of a module: `import audit`",
    "print": "`print` needs something to print",
    "require": "`require` needs a condition: `require s.num_basins > 3`",
    "assert": "`assert` needs a condition: `assert total == 6`",
    "attempt": '`attempt` takes a name in quotes or none: `attempt "polite persona":`',
    "with": "`with` needs an operation to undo at the block's end: `with set beta 4.0:`",
}
_WORDS = frozenset(
    "let print require assert attempt with return import pass if elif else for in def and or not true false "
    "layers".split()
)
_NO_WHILE = "there is no `while`: every script terminates; use `for NAME in …:`"
_HABITS = {
    "'": 'texts stand in double quotes: "…"',
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not`, or `!=` for unequal",
    "{": "a block is a `:` with indented lines under it",
    "}": "a block ends where its indentation ends",
    "/": "a comment begins with `#`; a path that is no last word stands in quotes",
    "$": "a variable is its name alone",
    "`": 'texts stand in double quotes: "…"',
    "\\": "a line continues after a `\\` that is the very last character of the line",
    ",": "arguments are separated by blanks: `survey L0 400`",
    "@": "a concept is `@` and its name: `@polite`",
}
_MINUS = "binary minus needs a blank on both sides: `a - b`"


@dataclass(frozen=True)
class Stop:
    """Where the parser stopped, in a text that starts at ``offset`` of the source.

    ``kind`` and ``word`` are the token that did not fit (``kind`` is ``None`` for a character that starts
    no token), ``expected`` the kinds that would have, ``opening`` is where the innermost open bracket is.
    """

    text: str
    source: Source
    offset: int
    kind: str | None
    word: str
    start: int
    end: int
    expected: frozenset[str]
    opening: int | None

    def span(self, start: int, end: int) -> Span:
        last = len(self.source.text) - self.offset
        start = min(start, last)
        return Span(start + self.offset, min(max(start, end), last + 1) + self.offset, self.source)

    @property
    def before(self) -> str:
        """The line up to where the parser stopped."""
        return self.text[self.text.rfind("\n", 0, self.start) + 1 : self.start]

    @property
    def keyword(self) -> str:
        """The first word of the line; that of the sweep where one is kept (``let t = sweep …``)."""
        first = re.match(r"\s*(?:(?:let\s+)?[\w-]+\s*=\s*(?=sweep\b))?([\w-]+)", self.before)
        return first[1] if first else ""


def explain(stop: Stop) -> Diagnostic:
    """The diagnostic for a parser that stopped."""
    if stop.kind == "_INDENT":
        line_start = stop.text.rfind("\n", 0, stop.end) + 1
        return Diagnostic("EL104", "this line is indented, but no block begins above it",
                          stop.span(line_start, max(stop.end, line_start + 1)),
                          help="a block begins after a line that ends in `:`")  # fmt: skip
    if "_INDENT" in stop.expected and (stop.kind in INVISIBLE or not stop.before.strip()):
        return Diagnostic("EL108", "a block is missing here", _last_word(stop),
                          help="indent the statements of the block by four spaces, or write `pass`")  # fmt: skip
    if stop.opening is not None and (stop.kind in INVISIBLE or "\n" in stop.text[stop.opening : stop.start]):
        bracket = stop.text[stop.opening]
        return Diagnostic("EL102", f"this `{bracket}` is never closed", stop.span(stop.opening, stop.opening + 1),
                          help=_raw_text_help(stop))  # fmt: skip
    if stop.kind in INVISIBLE:
        return _ended_too_early(stop)
    if stop.kind is None or (stop.kind in ("RAW", "WORD") and not stop.before.rstrip().endswith('"')):
        return _unexpected_character(stop)
    return _unexpected_token(stop)


def explain_hole(stop: Stop) -> SyntaxProblem:
    """The problem with the expression inside ``{…}``."""
    help = "between braces stands one value, as in `{s.num_basins}`"
    if stop.start >= len(stop.text.rstrip()):
        end = len(stop.text.rstrip())
        message = f"`{stop.text.strip()[:40]}` is not finished"
        return SyntaxProblem("EL103", message, stop.span(end - 1, end), help)
    return SyntaxProblem(
        "EL103",
        f"`{stop.word[:40]}` does not belong into these braces",
        stop.span(stop.start, stop.end),
        help,
    )


def _last_word(stop: Stop) -> Span:
    """The last character of the statement before the place, comments aside."""
    end = len(stop.text[: stop.start].rstrip())
    while True:
        line_start = stop.text.rfind("\n", 0, end) + 1
        line = re.match(r'(?:"(?:[^"\\\n]|\\.)*"|[^#"\n])*', stop.text[line_start:end])
        length = len((line[0] if line else "").rstrip())
        if length or line_start == 0:
            break
        end = line_start - 1
    end = line_start + length
    return stop.span(max(end - 1, 0), max(end, 1))


def _raw_text_help(stop: Stop) -> str:
    line_end = stop.text.find("\n", stop.opening)
    if stop.text[stop.opening or 0] == "(" and stop.text[stop.opening : line_end].rstrip().endswith(")"):
        return 'unquoted text runs to the end of the line: write it as "…" to end it earlier'
    return ""


def _ended_too_early(stop: Stop) -> Diagnostic:
    """The line (or the script) ended where something had to follow."""
    line_start = stop.text.rfind("\n", 0, stop.start) + 1
    line = stop.text[line_start : stop.start].rstrip()
    end = line_start + len(line)
    place = stop.span(end, end + 1)
    keyword = stop.keyword
    if "COLON" in stop.expected and keyword in _HEADS:
        return Diagnostic("EL106", f"`{keyword}` needs a `:` at the end of its line", place, help="add `:`")
    if line.endswith("--reason"):
        return Diagnostic(
            "EL102", "`--reason` needs a text", place, help='write it in quotes: --reason "too strong before"'
        )
    if line.endswith("="):
        return Diagnostic("EL102", "a value is missing after `=`", place)
    if operator := re.search(r"(?:[-+*/%<>]|[=!<>]=|\.\.|\b(?:and|or|not|in))$", line):
        return Diagnostic("EL102", f"something is missing after `{operator[0]}`", place,
                          help="to go on in the next line, end this one with `\\`")  # fmt: skip
    return Diagnostic("EL102", "the line ends too early", place, help=_FORMS.get(keyword, ""))


def _unexpected_character(stop: Stop) -> Diagnostic:
    text, start = stop.text, stop.start
    char = text[start : start + 1]
    span = stop.span(start, start + 1)
    if char == '"':
        line_end = text.find("\n", start)
        return Diagnostic("EL103", "this text is never closed", stop.span(start, max(start + 1, line_end)),
                          help='end it with `"` on the same line; write `\\"` for a quote inside it')  # fmt: skip
    if char == "\t":
        return Diagnostic("EL105", "a tab", span, help="use spaces")
    if char == "=" and text[start - 1 : start] == " ":
        return Diagnostic(
            "EL102", "unexpected `=`", span, help="write keyword arguments without blanks: `inits=400`"
        )
    if flag := re.compile(r"--([^\W\d][\w-]*)").match(text, start):
        return _unknown_flag(stop, flag)
    if char == "-":
        return Diagnostic("EL102", "unexpected `-`", span, help=_MINUS)
    if char == "." and (digits := re.search(r"\d[\d.]*$", stop.before)):
        number = re.compile(r"[\d.]*").match(text, start)
        shown = digits[0] + (number[0] if number else "")
        return Diagnostic(
            "EL107", f"`{_clip(shown)}` is not a number", stop.span(start - len(digits[0]), start + 1)
        )
    if char == ".":
        return Diagnostic("EL102", "the name of a field is missing after this `.`", span)
    if number := re.compile(r"\d[\w.]*").match(text, start):
        return Diagnostic("EL107", f"`{_clip(number[0])}` is not a number", stop.span(start, number.end()),
                          help="names start with a letter" if "." not in number[0] else "")  # fmt: skip
    if word := re.compile(r"[^\W\d][\w-]*").match(text, start):
        return _unexpected_word(stop, word[0], stop.span(start, word.end()))
    if not char.isprintable():
        name = f"a character that is not visible (U+{ord(char):04X})" if char else "the end"
        return Diagnostic(
            "EL102", f"{name} stands here", span, help="delete it, or write it in a text as `\\u{…}`"
        )
    return Diagnostic("EL102", f"unexpected `{char}`", span, help=_HABITS.get(char, ""))


def _unknown_flag(stop: Stop, flag: re.Match[str]) -> Diagnostic:
    span = stop.span(flag.start(), flag.end())
    if flag[1] in ("force", "reason"):
        return Diagnostic("EL102", f"`{flag[0]}` cannot stand here", span,
                          help='an edit takes it at its end: `inject L0 42 --force --reason "…"`')  # fmt: skip
    help = "keyword arguments are written `name=value`; the only flags are --force and --reason"
    return Diagnostic("EL102", f"there is no `{_clip(flag[0])}`", span, help=help)


def _unexpected_token(stop: Stop) -> Diagnostic:
    before, keyword, word = stop.before, stop.keyword, stop.word
    span = stop.span(stop.start, stop.end)

    def unexpected(help: str) -> Diagnostic:
        return Diagnostic("EL102", f"unexpected `{_clip(word)}`", span, help=help)

    if stop.kind in ("RPAR", "RSQB") and stop.opening is None:
        return Diagnostic("EL102", f"this `{word}` closes nothing", span)
    if stop.kind in ("RPAR", "RSQB") and stop.opening is not None and before.rstrip().endswith(("(", "[")):
        return unexpected("something has to stand between the brackets")
    if stop.kind in ("FORCE", "REASON"):
        found = re.compile(r"--([^\W\d][\w-]*)").match(stop.text, stop.start)
        if found:
            return _unknown_flag(stop, found)
    if before.rstrip().endswith("--reason"):
        return unexpected('the reason is a text in quotes: --reason "too strong before"')
    if word in _WORDS and before.split()[-1:] in (["let"], ["for"], ["def"], ["import"]):
        return Diagnostic("EL102", f"`{word}` is a word of the language and cannot be a name", span,
                          help="choose another name")  # fmt: skip
    if keyword in _FORMS and before.strip() == keyword:
        return unexpected(_FORMS[keyword])
    if stop.kind == "EQUAL":
        return unexpected(_equal_help(before, stop))
    if stop.kind == "NEGATIVE":
        if found := re.compile(r"--([^\W\d][\w-]*)").match(stop.text, stop.start):
            return _unknown_flag(stop, found)
        return unexpected(_MINUS)
    if stop.kind == "MINUS":
        return unexpected("a negative number is written without a blank: `-3`")
    if word in ("elif", "else"):
        return Diagnostic("EL102", f"this `{word}` belongs to no `if`" + (" or `attempt`" if word == "else" else ""),
                          span, help="align it with the line it belongs to")  # fmt: skip
    if stop.kind == "COMMA" and keyword == "sweep" and stop.opening is None:
        return unexpected(_FORMS["sweep"])
    if "COLON" in stop.expected and keyword in _HEADS and stop.opening is None:
        name = re.search(r"(?<![\w.@])[^\W\d][\w-]*$", before.rstrip())
        command = f"{name[0]} {word}" if name and name[0] not in _WORDS else ""
        help = (
            f"a command that is used as a value stands in parentheses: `({_clip(command)} …)`"
            if command
            else ""
        )
        return Diagnostic("EL106", f"`{keyword}` needs a `:` before `{_clip(word)}`", span, help=help)
    if stop.kind == "COLON":
        if keyword == "while":
            return unexpected(_NO_WHILE)
        if keyword in ("try", "except", "finally", "catch"):
            return unexpected("`attempt:` tries, and undoes what failed; `else:` is for then")
        if keyword in ("if", "elif"):
            return unexpected(f"`{keyword}` needs a condition before its `:`")
        if keyword in ("for", "sweep", "def", "with"):
            return unexpected(_FORMS[keyword])
        return unexpected(
            "blocks begin after `if`, `elif`, `else`, `for`, `sweep`, `def`, `attempt` and `with`"
        )
    if stop.kind == "COMMA" and before.rstrip().endswith((",", "[", "(")):
        return Diagnostic("EL102", "a value is missing before this `,`", span)
    if _open_hole(before):
        return Diagnostic("EL103", "a text cannot stand inside of another text's braces", span,
                          help="give it a name with `let` and use the name here")  # fmt: skip
    if stop.kind == "STRING" or before.rstrip().endswith('"'):
        shown = _clip(word) if stop.kind == "STRING" else f"`{_clip(word)}`"
        complete = before.rstrip().endswith('"')
        help = "the text before it is already complete" if complete else _FORMS.get(keyword, "")
        return Diagnostic("EL102", f"unexpected {shown}", span, help=help)
    return _unexpected_word(stop, word, span)


def _equal_help(before: str, stop: Stop) -> str:
    target = before.strip()
    if changed := re.fullmatch(r"([^\W\d][\w-]*?)\s*([-+*/%])", target):
        return f"write `{changed[1]} = {changed[1]} {changed[2]} …`"
    if named := re.fullmatch(r"(?:var|const|set|def|local|my)\s+([^\W\d][\w-]*)", target):
        first = target.split()[0]
        return (
            f"an operation takes its arguments without `=`: `set {named[1]} …`"
            if first == "set"
            else f"a variable is defined with `let {named[1]} = …`"
        )
    if re.fullmatch(r"L\d+(\.B\d+)?", target) or target in _WORDS:
        return f"`{target}` is not a name that could be given a value"
    if stop.keyword in ("if", "elif", "require"):
        return "`==` compares"
    if stop.keyword in _FORMS:
        return _FORMS[stop.keyword]
    return "`==` compares; keyword arguments are written without blanks: `inits=400`"


def _open_hole(before: str) -> bool:
    """Does the text that has just ended hold a brace that is not closed?"""
    text = re.search(r'"((?:[^"\\\n]|\\.)*)"\s*$', before)
    if text is None:
        return False
    plain = re.sub(r"\\.", "", text[1])
    return plain.count("{") > plain.count("}")


def _unexpected_word(stop: Stop, word: str, span: Span) -> Diagnostic:
    if word == "for" and stop.opening is not None:
        help = "a list is made with one `for`; with more, a loop does it: `for a in xs:` and `found = found + [x]`"
        return Diagnostic("EL102", "unexpected `for`", span, help=help)
    help = _NO_WHILE if word == "while" else _HABITS.get(word[:1], "")
    if not help and stop.keyword == "print":
        help = 'one value is printed; put several into one text: print "{a} and {b}"'
    elif not help and "=" not in stop.before:
        help = _FORMS.get(stop.keyword, "")
    return Diagnostic("EL102", f"unexpected `{_clip(word)}`", span, help=help)


def _clip(word: str) -> str:
    return word if len(word) <= 40 else f"{word[:39]}…"
