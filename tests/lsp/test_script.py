"""What is worked out about a script, without a server: laws over scripts that are whole, and over one that is being
typed."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pygls")

from energylang.checker import check
from energylang.diagnostics import Diagnostic
from energylang.diagnostics.source import Source
from energylang.lsp import colours, edits, findings
from energylang.lsp.completion import complete, variables
from energylang.lsp.hover import hover
from energylang.lsp.names import Names
from energylang.lsp.outline import outline
from energylang.lsp.positions import to_place
from energylang.lsp.script import Script
from energylang.syntax import ast

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [*sorted((ROOT / "examples").glob("*.el")), *sorted((ROOT / "stdlib").glob("*.el"))]

TYPED = """\
import audit
load "random:16"
let s = survey L0
def pick(layer: Layer = L0):
    for b in s.basins:
        attempt "one":
            remove b
        else:
            print "{b.id} 😀"
    return s
with set beta 4.0:
    let y = pick L0
    checkpoint here
    verify L0.B1
causal scan L0
"""


def opened(path: Path) -> Script:
    return Script(path.as_uri(), path.read_text(encoding="utf-8"), 1)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_what_is_renamed_means_the_same(path: Path):
    """All names of a script at once: where one use were forgotten, or one word too many changed, the checker would
    find something else."""
    script = opened(path)
    text, changes = script.source.text, {}
    for number, meaning in enumerate(Names(script).meanings):
        own = [span for span in meaning.places if span.source is script.source]
        column = any(isinstance(node, ast.Axis) for node, _ in meaning.made)  # of the sweep's table, too
        if len(own) == len(meaning.places) and not column:
            new = "_" * meaning.name.startswith("_") + f"other-{number}"
            found = edits.rename(script, own[0].start, new).changes
            assert found is not None
            assert len(found[script.uri]) == len({span.start for span in own})
            assert all(span.text == meaning.name for span in own)
            changes |= {(span.start, span.end): new for span in own}
    for (start, end), new in sorted(changes.items(), reverse=True):
        text = text[:start] + new + text[end:]
    after = check(Source(text, script.source.name, script.source.base)).diagnostics
    assert codes(after) == codes(script.checked.diagnostics)


def codes(found: list[Diagnostic]) -> list[tuple[str, int]]:
    return [(item.code, item.span.start_location()[0]) for item in found if item.span is not None]


def test_nothing_fails_while_a_script_is_typed():
    for length in range(0, len(TYPED) + 1, 5):
        script = Script("untitled:one", TYPED[:length])
        for offset in (length, length // 2):
            complete(script, offset)
            hover(script, offset)
            Names(script).at(offset)
        findings.diagnostics(script)
        outline(script)
        edits.formatting(script)
        last = 0
        for start, end, _, _ in colours.tokens(script):
            assert last <= start < end
            last = end


def test_variables_are_those_that_can_be_seen():
    script = Script("untitled:one", TYPED)

    def seen(word: str) -> dict[str, str]:
        found = variables(script, TYPED.index(word))
        return {name: str(kind) for name, kind in found.items()}

    assert seen("remove b") == {"b": "Basin", "layer": "Layer", "s": "Survey"}
    assert seen("let y") == {"s": "Survey"}
    assert seen("checkpoint") == {"y": "Survey", "s": "Survey"}
    assert seen("causal") == {"s": "Survey"}


def test_a_line_that_goes_on_with_a_block_sees_its_variables():
    text = "for i in 0..3:\n    let x = i\n    \nprint 1\n"
    script = Script("untitled:one", text)
    assert list(variables(script, text.index("    \n") + 4)) == ["x", "i"]
    assert list(variables(script, text.index("print"))) == []


def test_a_sweep_has_its_variables_and_its_block_ends_with_them():
    text = "load planted:16x2\nlet seed = 1\nlet t = sweep seed in 0..3, l in layers:\n    let x = seed\n"
    text += "    survey l\nprint t\n"
    script = Script("untitled:one", text)
    inside = {name: str(kind) for name, kind in variables(script, text.index("survey")).items()}
    assert inside == {"x": "Int", "l": "Layer", "seed": "Int"}
    assert list(variables(script, text.index("print"))) == ["t", "seed"]
    places = {(m.name, len(m.places)) for m in Names(script).meanings}
    assert places == {("seed", 1), ("seed", 2), ("l", 2), ("x", 1), ("t", 2)}


def test_the_word_seed_is_no_use_of_a_variable():
    text = "load planted:16x2\nlet seed = 1\ninject L0 seed seed\ninject L0 seed 3 strength=0.1\n"
    script = Script("untitled:one", text.replace("seed 3", "(seed)"))
    (seed,) = Names(script).meanings
    assert [to_place(script.source, span.start) for span in seed.places] == [(1, 4), (2, 15), (3, 11)]


def test_words_of_two_parts_and_labels_are_no_variables():
    text = 'load "random:16"\nlet scan = 1\nlet beta = 2\nsurvey L0\ncausal scan L0\nset beta beta\nprint scan + beta\n'
    script = Script("untitled:one", text)
    used = {m.name: [to_place(script.source, s.start) for s in m.used] for m in Names(script).meanings}
    assert used == {"scan": [(6, 6)], "beta": [(5, 9), (6, 13)]}


def test_a_finding_of_a_module_is_shown_at_its_import(tmp_path: Path):
    (tmp_path / "broken.el").write_text("let = 3\n")
    script = Script((tmp_path / "main.el").as_uri(), "import broken\n")
    (found,) = findings.diagnostics(script)
    assert (found.range.start.line, found.range.start.character, found.range.end.character) == (0, 7, 13)
    assert found.related_information
    assert found.related_information[0].location.uri == (tmp_path / "broken.el").resolve().as_uri()


def test_links_lead_to_the_section():
    from energylang.diagnostics.codes import CODES
    from energylang.lsp.reference import code_link, operation_link
    from energylang.ops import TABLE
    from energylang.render.markdown import codes_page, operations_page

    for text, links in (
        (codes_page(CODES), [code_link(code) for code in CODES]),
        (operations_page(TABLE), [operation_link(name) for name in TABLE]),
    ):
        heads = [line[4:].lower() for line in text.splitlines() if line.startswith("### ")]
        slugs = {"-".join("".join(c for c in head if c.isalnum() or c in " -_").split()) for head in heads}
        assert all(link is not None and link.partition("#")[2] in slugs for link in links)
    assert (
        code_link("EL207", "https://docs.example/el/")
        == "https://docs.example/el/codes.html#el207-unknown-name"
    )
