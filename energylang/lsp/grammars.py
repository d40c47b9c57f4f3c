"""The syntax files of editors that colour by patterns, written from the table of operations by ``python3 dev.py docs``.

They are for the time before the server is there, and for editors that ask no server; ``colours`` is what it sends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from energylang.ops import TABLE
from energylang.repl.suggest import KEYWORDS
from energylang.syntax.build import FUNCTIONS

TEXTMATE = "editors/vscode/syntaxes/energy.tmLanguage.json"
VIM = "editors/vim/syntax/energy.vim"

_BLOCKS = "if elif else for in sweep attempt with quiet return import pass require assert".split()
_CONSTANTS = ("true", "false")
_LOGIC = ("and", "or", "not")
_OTHERS = [word for word in KEYWORDS if word not in (*_BLOCKS, *_CONSTANTS, *_LOGIC)]


def grammar_files() -> dict[str, str]:
    """The text of every such file, by its path in the repository."""
    return {TEXTMATE: textmate(), VIM: vim()}


def _words(words: Iterable[str]) -> str:
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    listed = "|".join(
        re.escape(word).replace(r"\-", "[-_]").replace(r"\ ", "[ \\t]+") for word in longest_first
    )
    return rf"(?<![\w-])(?:{listed})(?![\w-])"


def textmate() -> str:
    """The TextMate grammar, which VS Code and many others read."""

    def rule(name: str, match: str) -> dict[str, object]:
        return {"name": f"{name}.energy", "match": match}

    hole: dict[str, object] = {
        "name": "meta.interpolation.energy",
        "begin": r"\{",
        "end": r"\}",
        "beginCaptures": {"0": {"name": "punctuation.section.interpolation.begin.energy"}},
        "endCaptures": {"0": {"name": "punctuation.section.interpolation.end.energy"}},
        "patterns": [{"include": "#code"}],
    }
    text: dict[str, object] = {
        "name": "string.quoted.double.energy",
        "begin": '"',
        "end": '"|$',
        "patterns": [rule("constant.character.escape", r"\\(?:u\{[0-9A-Fa-f]{1,6}\}|.)"), hole],
    }
    long_text = {**text, "name": "string.quoted.triple.energy", "begin": '"""', "end": '"""'}
    define: dict[str, object] = {
        "match": r"(?<![\w-])(def)[ \t]+([^\W\d]\w*(?:-\w+)*)",
        "captures": {
            "1": {"name": "keyword.declaration.energy"},
            "2": {"name": "entity.name.function.energy"},
        },
    }
    code = [
        define,
        rule("constant.other.basin", r"(?<![\w-])L\d+\.[BNH]\d+(?![\w-])"),
        rule("constant.other.layer", r"(?<![\w-])L\d+(?![\w-])"),
        rule("variable.other.concept", r"@[^\W\d][\w-]*(?:@L\d+)?|[^\W\d]\w*(?:-\w+)*@L\d+(?![\w-])"),
        rule("keyword.declaration", r"(?<![\w-])row(?=[ \t]+[^\W\d][\w-]*[ \t]+(?:\{|[^\W\d]))"),
        rule("support.function", _words(sorted(FUNCTIONS)) + r"(?=\()"),
        rule("keyword.other.flag", r"--(?:force|reason)(?![\w-])"),
        rule("variable.parameter", r"(?<![\w-])[^\W\d]\w*(?:-\w+)*(?==(?!=))"),
        rule("keyword.control", _words(_BLOCKS)),
        rule("keyword.declaration", _words(_OTHERS)),
        rule("keyword.operator.logical", _words(_LOGIC)),
        rule("constant.language", _words((*_CONSTANTS, "layers"))),
        rule("support.function", _words(TABLE)),
        rule("constant.numeric", r"(?<![\w-])\d+(?:\.\d+)?(?:[eE][+-]?\d+)?%?"),
        rule("variable.other", r"[^\W\d]\w*(?:-\w+)*"),
        rule("keyword.operator", r"\*\*|==|!=|<=|>=|\.\.|[<>=+\-*/%]"),
    ]
    document: Mapping[str, object] = {
        "information_for_contributors": [
            "Written by `python3 dev.py docs` from the table of operations; do not edit."
        ],
        "name": "Energy Language",
        "scopeName": "source.energy",
        "fileTypes": ["el", "hlm"],
        "patterns": [
            rule("comment.line.number-sign", "#.*$"),
            long_text,
            text,
            {"include": "#code"},
        ],
        "repository": {"code": {"patterns": code}},
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def vim() -> str:
    """The syntax file of Vim and Neovim."""

    def match(group: str, pattern: str) -> str:
        return f"syntax match {group} /{pattern}/"

    def words(group: str, listed: Iterable[str]) -> str:
        longest_first = sorted(listed, key=lambda word: (-len(word), word))
        spelled = "|".join(re.sub(" ", r"\\s+", word) for word in longest_first)
        return rf"syntax match {group} /\v[0-9A-Za-z_-]@<!%({spelled})[0-9A-Za-z_-]@!/"

    lines = [
        '" Written by `python3 dev.py docs` from the table of operations; do not edit.',
        'if exists("b:current_syntax")',
        "  finish",
        "endif",
        "",
        match("energyNumber", r"\v[0-9A-Za-z_-]@<!\d+(\.\d+)?([eE][+-]?\d+)?\%?"),
        match("energyKey", r"\v[A-Za-z_][0-9A-Za-z_-]*\=\=@!"),
        words("energyKeyword", [word for word in KEYWORDS if word not in _CONSTANTS]),
        words("energyBoolean", _CONSTANTS),
        words("energyOperation", TABLE),
        match("energyConcept", r"\v\@[A-Za-z_][0-9A-Za-z_-]*"),
        match("energyLayer", r"\v[0-9A-Za-z_-]@<!L\d+(\.[BNH]\d+)?[0-9A-Za-z_-]@!"),
        'syntax region energyText start=/"/ skip=/\\\\./ end=/"/ oneline',
        'syntax region energyText start=/"""/ skip=/\\\\./ end=/"""/',
        match("energyComment", "#.*$"),
        "",
    ]
    links = {
        "Number": "Number", "Key": "Identifier", "Keyword": "Keyword", "Boolean": "Boolean", "Operation": "Function",
        "Concept": "Special", "Layer": "Constant", "Text": "String", "Comment": "Comment",
    }  # fmt: skip
    lines += [f"highlight default link energy{name} {group}" for name, group in links.items()]
    lines += ["", 'let b:current_syntax = "energy"']
    return "\n".join(lines) + "\n"
