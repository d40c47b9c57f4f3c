"""Energy Language for Pygments: colours at the prompt, in notebooks, in any tool that asks Pygments for `el`."""

from __future__ import annotations

import re
from typing import ClassVar

from pygments.lexer import RegexLexer, words
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Text

from energylang.ops import TABLE
from energylang.syntax.build import FUNCTIONS

from .suggest import KEYWORDS

_OPERATIONS = sorted(TABLE, key=len, reverse=True)


class EnergyLexer(RegexLexer):  # type: ignore[misc]
    """Operations are known from their table, so a new one is coloured without a line here."""

    name = "Energy Language"
    url = "https://pypi.org/project/energylang"
    aliases: ClassVar[list[str]] = ["el", "energy", "energylang"]
    filenames: ClassVar[list[str]] = ["*.el"]
    flags = re.MULTILINE

    tokens: ClassVar[dict[str, list[tuple[object, object]]]] = {
        "root": [
            (r"\s+", Text),
            (r"#.*$", Comment.Single),
            (r'"""(?:[^"\\]|\\[\s\S]|"(?!""))*(?:"""|\Z)', String),
            (r'"(?:[^"\\\n]|\\.)*"?', String),
            (r"L\d+\.B\d+(?![\w-])", Name.Constant),
            (r"L\d+(?![\w-])", Name.Class),
            (r"@[^\W\d][\w-]*(?:@L\d+)?|[^\W\d]\w*(?:-\w+)*@L\d+(?![\w-])", Name.Variable),
            (r"@(?=\{)", Name.Variable),
            (r"row(?=[ \t]+[^\W\d][\w-]*[ \t]+(?:\{|[^\W\d]))", Keyword),
            (words(sorted(FUNCTIONS), prefix=r"(?<![\w-])", suffix=r"(?=\()"), Name.Builtin),
            (r"--(?:force|reason)(?![\w-])", Keyword.Pseudo),
            (r"[^\W\d]\w*(?:-\w+)*=(?!=)", Name.Attribute),
            (words(KEYWORDS, prefix=r"(?<![\w-])", suffix=r"(?![\w-])"), Keyword),
            (words(_OPERATIONS, prefix=r"(?<![\w-])", suffix=r"(?![\w-])"), Name.Builtin),
            (r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?%?", Number),
            (r"[^\W\d]\w*(?:-\w+)*", Name),
            (r"\*\*|==|!=|<=|>=|\.\.|[<>=+\-*/%]", Operator),
            (r"[()\[\],;:.{}]", Punctuation),
            (r".", Text),
        ]
    }
