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

SNIPPETS = [
    ("load \"tiny\"", [("load", "op"), ('"', "text"), ("tiny", "text"), ('"', "text")]),
    ("survey L3 inits=500 # why", [("survey", "op"), ("L3", "layer"), ("inits", "key"), ("=", "sign"), ("500", "number"), ("# why", "comment")]),
    ("let s = survey L0", [("let", "declare"), ("s", "name"), ("=", "sign"), ("survey", "op"), ("L0", "layer")]),
    ("remove L0.B3 --force --reason \"a test\"", [("remove", "op"), ("L0.B3", "basin"), ("--force", "flag"), ("--reason", "flag"), ("a test", "text")]),
    ("ablate [L14.N345, L14.H3]", [("ablate", "op"), ("L14.N345", "basin"), ("L14.H3", "basin")]),
    ("steer @polite 2.5 layer=L3", [("steer", "op"), ("@polite", "concept"), ("2.5", "number"), ("layer", "key"), ("L3", "layer")]),
    ("similarity polite@L2 @rude@L3", [("similarity", "op"), ("polite@L2", "concept"), ("@rude@L3", "concept")]),
    ("print \"{s.num_basins} found\\n\"", [("print", "declare"), ("{", "open"), ("s", "name"), ("num_basins", "name"), ("}", "close"), ("found", "text"), ("\\n", "escape")]),
    ("print \"{x:.2f}\" # {not this}", [("{", "open"), ("x", "name"), ("}", "close"), ("# {not this}", "comment")]),
    ("for l in layers:", [("for", "control"), ("l", "name"), ("in", "control"), ("layers", "constant")]),
    ("if a >= 3 and not b:\n    pass\nelse:", [("if", "control"), (">=", "sign"), ("3", "number"), ("and", "logic"), ("not", "logic"), ("b", "name"), ("pass", "control"), ("else", "control")]),
    ("def look-at(l: Layer, n: Int = 3):\n    return 1e-3", [("def", "declare"), ("look-at", "def"), ("Layer", "name"), ("return", "control"), ("1e-3", "number")]),
    ("causal scan \"a b\" layer=L1", [("causal scan", "op"), ("layer", "key")]),
    ("attempt \"name\":\n    require x > 3, \"why # not\"", [("attempt", "control"), ("require", "control"), (">", "sign"), ("why # not", "text")]),
    ("row t strength=s share=0.5", [("row", "declare"), ("t", "name"), ("strength", "key"), ("s", "name"), ("share", "key"), ("0.5", "number")]),
    ("let row-width = row * 2 ** 3", [("row-width", "name"), ("row", "name"), ("*", "sign"), ("2", "number"), ("**", "sign")]),
    ("[len(x) for x in xs if x != none]", [("len", "fn"), ("for", "control"), ("in", "control"), ("if", "control"), ("!=", "sign")]),
    ("let p = \"\"\"one\ntwo {x} \"quoted\"\n\"\"\"\nsurvey L1", [("one", "long"), ("two", "long"), ("{", "open"), ("x", "name"), ("}", "close"), ("\"quoted\"", "long"), ("survey", "op"), ("L1", "layer")]),
    ("let a = \"open\nsurvey L0", [("open", "text"), ("survey", "op"), ("L0", "layer")]),  # a text ends with its line
    ("set max_changed 10%", [("set", "op"), ("max_changed", "name"), ("10%", "number")]),
    ("survey-all; survey_all; my-survey; surveyed", [("survey-all", "op"), ("survey_all", "op"), ("my-survey", "name"), ("surveyed", "name")]),
    ("quiet:\n    with set beta 4.0:\n        true == false", [("quiet", "control"), ("with", "control"), ("set", "op"), ("4.0", "number"), ("true", "constant"), ("==", "sign"), ("false", "constant")]),
    ("ask 3..7 L3x XL3 L3.B2b", [("3", "number"), ("..", "sign"), ("7", "number"), ("L3x", "name"), ("XL3", "name")]),
]  # fmt: skip


@pytest.mark.parametrize(("snippet", "wanted"), SNIPPETS, ids=range(len(SNIPPETS)))
def test_a_snippet_has_its_colours(snippet: str, wanted: list[tuple[str, str]]):
    found = [
        (piece, scopes[-1].removesuffix(".energy") if scopes else "")
        for piece, scopes in pieces(GRAMMAR, snippet)
    ]
    rest = iter(found)
    for piece, colour in wanted:
        assert (piece, COLOURS[colour]) in rest, (piece, colour, found)


def test_every_example_of_the_repository_is_coloured_to_its_end():
    for path in sorted((ROOT / "examples").glob("*.el")):
        text = path.read_text(encoding="utf-8") + "\nsurvey L0\n"
        assert pieces(GRAMMAR, text)[-2:] == [
            ("survey", ("support.function.energy",)),
            ("L0", ("constant.other.layer.energy",)),
        ], path
