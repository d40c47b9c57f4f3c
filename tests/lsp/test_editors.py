"""What lies in ``editors/``: generated files are up to date, settings can be read, hooks call what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from energylang.lsp.grammars import TEXTMATE, grammar_files
from energylang.ops import TABLE
from energylang.repl.suggest import KEYWORDS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", grammar_files())
def test_generated_grammars_are_up_to_date(name: str):
    assert (ROOT / name).read_text(encoding="utf-8") == grammar_files()[name], "python3 dev.py docs"


def rules() -> list[tuple[str, str]]:
    code = json.loads((ROOT / TEXTMATE).read_text(encoding="utf-8"))["repository"]["code"]["patterns"]
    return [(rule.get("name", "keyword.declaration.energy"), rule["match"]) for rule in code]


def test_every_word_has_its_colour():
    def colour(word: str) -> str:
        return next(name for name, pattern in rules() if re.fullmatch(pattern, word))

    assert {colour(name) for name in TABLE} == {"support.function.energy"}
    assert {colour(word).partition(".")[0] for word in KEYWORDS} <= {"keyword", "constant"}
    assert colour("L3.B4") == "constant.other.basin.energy" and colour("L3") == "constant.other.layer.energy"


def test_the_extension_names_what_it_needs():
    folder = ROOT / "editors" / "vscode"
    package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    assert "vscode-languageclient" in package["dependencies"]
    assert (folder / package["main"]).is_file()
    contributed = package["contributes"]
    (language,), (grammar,) = contributed["languages"], contributed["grammars"]
    assert language["extensions"] == [".el", ".hlm"]
    configuration = json.loads((folder / language["configuration"]).read_text(encoding="utf-8"))
    assert configuration["comments"]["lineComment"] == "#"
    assert (folder / grammar["path"]) == ROOT / TEXTMATE
    assert grammar["scopeName"] == json.loads((ROOT / TEXTMATE).read_text(encoding="utf-8"))["scopeName"]


def test_hooks_call_what_there_is():
    text = (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
    assert re.findall(r"entry: (.+)", text) == ["el fmt", "el check"]
    assert re.findall(r"files: (.+)", text) == [r"\.el$"] * 2
