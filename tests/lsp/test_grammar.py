"""The colours that an editor gives to twenty snippets by the TextMate grammar of the VS Code extension."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from energylang.lsp.grammars import TEXTMATE
from tests.lsp.textmate import pieces

ROOT = Path(__file__).resolve().parents[2]
GRAMMAR = json.loads((ROOT / TEXTMATE).read_text(encoding="utf-8"))

COLOURS = {
    "op": "support.function", "fn": "support.function", "control": "keyword.control", "declare": "keyword.declaration",
    "logic": "keyword.operator.logical", "sign": "keyword.operator", "layer": "constant.other.layer",
    "basin": "constant.other.basin", "concept": "variable.other.concept", "name": "variable.other",
    "key": "variable.parameter", "number": "constant.numeric", "text": "string.quoted.double",
    "long": "string.quoted.triple", "escape": "constant.character.escape", "constant": "constant.language",
    "comment": "comment.line.number-sign", "flag": "keyword.other.flag", "def": "entity.name.function",
    "open": "punctuation.section.interpolation.begin", "close": "punctuation.section.interpolation.end",
}  # fmt: skip

SNIPPETS = {
    'load "tiny"':
        'op load|text "|text tiny|text "',
    "survey L3 inits=500 # why":
        "op survey|layer L3|key inits|sign =|number 500|comment # why",
    "let s = survey L0":
        "declare let|name s|sign =|op survey|layer L0",
    'remove L0.B3 --force --reason "a test"':
        "op remove|basin L0.B3|flag --force|flag --reason|text a test",
    "ablate [L14.N345, L14.H3]":
        "op ablate|basin L14.N345|basin L14.H3",
    "steer @polite 2.5 layer=L3":
        "op steer|concept @polite|number 2.5|key layer|layer L3",
    "similarity polite@L2 @rude@L3":
        "op similarity|concept polite@L2|concept @rude@L3",
    'print "{s.num_basins} found\\n"':
        "declare print|open {|name s|name num_basins|close }|text found|escape \\n",
    'print "{x:.2f}" # {not this}':
        "open {|name x|close }|comment # {not this}",
    "for l in layers:":
        "control for|name l|control in|constant layers",
    "if a >= 3 and not b:\n    pass\nelse:":
        "control if|sign >=|number 3|logic and|logic not|name b|control pass|control else",
    "def look-at(l: Layer, n: Int = 3):\n    return 1e-3":
        "declare def|def look-at|name Layer|control return|number 1e-3",
    'causal scan "a b" layer=L1':
        "op causal scan|key layer",
    'attempt "name":\n    require x > 3, "why # not"':
        "control attempt|control require|sign >|text why # not",
    "row t strength=s share=0.5":
        "declare row|name t|key strength|name s|key share|number 0.5",
    "let row-width = row * 2 ** 3":
        "name row-width|name row|sign *|number 2|sign **",
    "[len(x) for x in xs if x != none]":
        "fn len|control for|control in|control if|sign !=",
    'let p = """one\ntwo {x} "quoted"\n"""\nsurvey L1':
        'long one|long two|open {|name x|close }|long "quoted"|op survey|layer L1',
    'let a = "open\nsurvey L0':
        "text open|op survey|layer L0",
    "set max_changed 10%":
        "op set|name max_changed|number 10%",
    "survey-all; survey_all; my-survey; surveyed":
        "op survey-all|op survey_all|name my-survey|name surveyed",
    "quiet:\n    with set beta 4.0:\n        true == false":
        "control quiet|control with|op set|number 4.0|constant true|sign ==|constant false",
    "ask 3..7 L3x XL3 L3.B2b":
        "number 3|sign ..|number 7|name L3x|name XL3",
}  # fmt: skip
"""Snippets, and of each what is to be found in this order: a colour, a blank, a piece."""


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet_has_its_colours(snippet: str):
    found = [
        (piece, scopes[-1].removesuffix(".energy") if scopes else "")
        for piece, scopes in pieces(GRAMMAR, snippet)
    ]
    rest = iter(found)
    for wanted in SNIPPETS[snippet].split("|"):
        colour, _, piece = wanted.partition(" ")
        assert (piece, COLOURS[colour]) in rest, (piece, colour, found)


def test_every_example_of_the_repository_is_coloured_to_its_end():
    for path in sorted((ROOT / "examples").glob("*.el")):
        text = path.read_text(encoding="utf-8") + "\nsurvey L0\n"
        assert pieces(GRAMMAR, text)[-2:] == [
            ("survey", ("support.function.energy",)),
            ("L0", ("constant.other.layer.energy",)),
        ], path
