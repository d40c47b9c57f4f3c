"""The language server as an editor sees it: a real process, spoken to over its standard input and output."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("pygls")

from energylang.cli import main

from .client import Client, applied

SCRIPT = """\
import audit
load "random:16"
# 😀 and 𝔼
let s = survey L0
def measure(layer: Layer, rounds: Int = 3):
    let found = survey layer inits=rounds
    print "😀 {found.num_basins} {s.num_basins}"
    return found
let x = measure layer=L0 rounds=4
print "😀😀 {x.num_basins}"; print s.num_basins
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scripts")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Client]:
    """One server for the tests of this file. At the end it says good-bye, has said nothing beside the protocol, and has
    imported nothing heavy."""
    found = Client(folder, "-X", "importtime")
    try:
        found.capabilities = found.start(folder)  # type: ignore[attr-defined]
        yield found
        assert found.stop() == 0
        lines = found.errors.decode().splitlines()
        assert [line for line in lines if not line.startswith("import time:")] == []
        imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
        assert "energylang" in imported and "pygls" in imported
        assert not imported & {"torch", "transformers", "numpy", "safetensors", "tokenizers"}
    finally:
        found.kill()


_count = iter(range(1000))


@pytest.fixture
def opened(client: Client, folder: Path) -> Callable[[str], tuple[str, list[dict[str, Any]]]]:
    """Opens a script in a file of its own; its address and what was found in it."""

    def opening(text: str) -> tuple[str, list[dict[str, Any]]]:
        path = folder / f"script{next(_count)}.el"
        path.write_bytes(text.encode())
        client.open(path.as_uri(), text)
        return path.as_uri(), client.diagnostics(path.as_uri())

    return opening


def place(text: str, word: str, inside: int = 0, nth: int = 0) -> tuple[int, int]:
    """Line and UTF-16 column of a word in a text."""
    start = -1
    for _ in range(nth + 1):
        start = text.index(word, start + 1)
    before = text[: start + inside]
    line = before.count("\n")
    return line, len(before.rpartition("\n")[2].encode("utf-16-le")) // 2


def labels(found: dict[str, Any]) -> list[str]:
    return [item["label"] for item in found["items"]]


def test_what_it_can_do(client: Client):
    able = client.capabilities["capabilities"]  # type: ignore[attr-defined]
    assert able["positionEncoding"] == "utf-16"
    assert {
        "completionProvider", "hoverProvider", "definitionProvider", "renameProvider", "documentSymbolProvider",
        "documentFormattingProvider", "codeActionProvider", "semanticTokensProvider", "signatureHelpProvider",
        "referencesProvider",
    } <= set(able)  # fmt: skip


def test_findings_follow_the_text(client: Client, opened: Callable[..., Any]):
    text = 'load "random:16"\nprint "😀"; survay L0\n'
    uri, found = opened(text)
    assert len(found) == 1
    assert (found[0]["code"], found[0]["severity"], found[0]["source"]) == ("EL101", 1, "el")
    line, column = place(text, "survay")
    assert found[0]["range"] == {
        "start": {"line": line, "character": column}, "end": {"line": line, "character": column + 6},
    }  # fmt: skip
    assert "codes" in found[0]["codeDescription"]["href"]
    assert found[0]["codeDescription"]["href"].endswith("#el101-unknown-operation")
    assert [note["message"] for note in found[0]["relatedInformation"]] == ["help: did you mean `survey`?"]

    actions = client.about("codeAction", uri, range=found[0]["range"], context={"diagnostics": found})
    assert [action["title"] for action in actions] == ["Write `survey`"]
    repaired = applied(text, actions[0]["edit"]["changes"][uri])
    assert repaired == text.replace("survay", "survey")
    client.change(uri, 2, repaired)
    assert client.diagnostics(uri, 2) == []
    client.change(uri, 3, "let y = 1\n")
    warned = client.diagnostics(uri, 3)
    assert [(item["code"], item["severity"], item["tags"]) for item in warned] == [("EL403", 2, [1])]
    client.tell("textDocument/didClose", textDocument={"uri": uri})
    assert client.diagnostics(uri) == []


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ('load "random:16"\nset bta 3\n', 'load "random:16"\nset beta 3\n'),
        ('load "random:16"\nsurvey L0 init=100\n', 'load "random:16"\nsurvey L0 inits=100\n'),
        (
            'load "random:16"\nlet s = survey L0\nprint s.num_basin\n',
            'load "random:16"\nlet s = survey L0\nprint s.num_basins\n',
        ),
        ("let counter = 1\nprint countre\n", "let counter = 1\nprint counter\n"),
        ("import audti\n", "import audit\n"),
    ],
)  # fmt: skip
def test_what_was_meant_is_written(client: Client, opened: Callable[..., Any], wrong: str, right: str):
    uri, _ = opened(wrong)
    everything = {"start": {"line": 0, "character": 0}, "end": {"line": 99, "character": 0}}
    actions = client.about("codeAction", uri, range=everything, context={"diagnostics": []})
    assert applied(wrong, actions[0]["edit"]["changes"][uri]) == right


def test_completion(client: Client, opened: Callable[..., Any]):
    text = SCRIPT + 'sur\nsurvey \nprint s.num\ncapture L0 polite Hello\nprint "{x\nimport au\nmea\n'
    uri, _ = opened(text)

    def offered(word: str, nth: int = 0) -> list[str]:
        line, column = place(text, word, len(word), nth)
        return labels(client.at("completion", uri, line, column))

    assert "survey" in offered("\nsur\n"[:4])
    assert offered("\nsurvey ")[0] == "L0" and "inits=" in offered("\nsurvey ")
    assert "num_basins" in offered("print s.num", 1)
    assert offered("import au", 1) == ["audit"]
    assert offered('print "{x') == ["x"]
    assert offered("\nmea") == ["measure"]
    line, column = place(text, "\nsurvey ", 8)
    help = client.at("signatureHelp", uri, line, column)
    assert help["signatures"][0]["label"].startswith("survey") and help["activeParameter"] == 0
    found = client.at("completion", uri, line, column)["items"][0]
    assert "d = 16" in found["detail"] and "surveyed in line 4" in found["detail"]


def test_inside_of_comments_nothing_is_offered(client: Client, opened: Callable[..., Any]):
    uri, _ = opened('let a = 1 # a\nprint "a\nprint a\n')
    assert labels(client.at("completion", uri, 0, 13)) == []
    assert labels(client.at("completion", uri, 1, 8)) == []


def test_hover(client: Client, opened: Callable[..., Any]):
    text = SCRIPT + "capture L0 polite Hello\nremove L0.B1\nverify L0.B1\nuse-nothing\ninject L0 1 force=\n"
    uri, _ = opened(text)

    def said(word: str, nth: int = 0, inside: int = 0) -> str:
        line, column = place(text, word, inside, nth)
        return client.at("hover", uri, line, column)["contents"]["value"]

    assert "survey <layer>" in said("survey")
    assert "starts" in said("inits=")
    assert "s: Survey" in said("s.num_basins", 1) and "line 4" in said("s.num_basins", 1)
    assert "found: Survey" in said("found.num")
    assert "rounds: Int" in said("rounds=4")
    assert "def measure(layer: Layer, rounds: Int = …)" in said("measure layer")
    assert "d = 16" in said("L0.B1") and "surveyed in line 4" in said("L0.B1")
    assert "removed in line 12" in said("L0.B1", 1)
    assert "inject <layer>" in said("inject L0 1 force")
    assert client.at("hover", uri, 2, 1) is None


def test_definition_and_references(client: Client, opened: Callable[..., Any]):
    uri, _ = opened(SCRIPT)

    def made(word: str, nth: int = 0) -> tuple[int, int]:
        found = client.at("definition", uri, *place(SCRIPT, word, nth=nth))
        return found[0]["range"]["start"]["line"], found[0]["range"]["start"]["character"]

    assert made("s.num_basins") == (3, 4) == made("s.num_basins", 1)
    assert made("measure", 1) == place(SCRIPT, "measure")
    assert made("layer=") == place(SCRIPT, "layer:")
    assert made("x.num") == place(SCRIPT, "x = ")
    used = client.at("references", uri, 3, 4, context={"includeDeclaration": False})
    assert [item["range"]["start"]["line"] for item in used] == [9, 6]


def test_a_name_of_a_module_leads_to_its_file(client: Client, opened: Callable[..., Any], folder: Path):
    (folder / "helpers.el").write_text("def helping():\n    print 1\n")
    uri, found = opened("import helpers\nhelping\n")
    assert found == []
    place = client.at("definition", uri, 1, 2)[0]
    assert place["uri"] == (folder / "helpers.el").resolve().as_uri()
    answer = client.ask(
        "textDocument/rename",
        {"textDocument": {"uri": uri}, "position": {"line": 1, "character": 2}, "newName": "helped"},
    )
    assert "rename it there" in answer["error"]["message"]

    (folder / "helpers.el").write_text("def helping():\n    print nothing\n")
    client.tell("workspace/didChangeWatchedFiles", changes=[{"uri": place["uri"], "type": 2}])
    wrong = client.diagnostics(uri)
    assert [(item["code"], item["range"]["start"]) for item in wrong] == [
        ("EL207", {"line": 0, "character": 7})
    ]
    assert wrong[0]["relatedInformation"][0]["location"]["uri"] == place["uri"]
    (folder / "helpers.el").unlink()
    client.tell("workspace/didChangeWatchedFiles", changes=[{"uri": place["uri"], "type": 3}])
    assert "EL213" in {item["code"] for item in client.diagnostics(uri)}


def test_rename(client: Client, opened: Callable[..., Any]):
    uri, _ = opened(SCRIPT)

    def renamed(word: str, new: str) -> str:
        answer = client.at("rename", uri, *place(SCRIPT, word), newName=new)
        return applied(SCRIPT, answer["changes"][uri])

    assert renamed("measure", "gauge") == SCRIPT.replace("measure", "gauge")
    assert renamed("rounds", "turns") == SCRIPT.replace("rounds", "turns")
    assert renamed("x = ", "y") == SCRIPT.replace("let x", "let y").replace("{x.", "{y.")
    found = client.at("prepareRename", uri, *place(SCRIPT, "found"))
    assert found["placeholder"] == "found"
    assert client.at("prepareRename", uri, *place(SCRIPT, "load")) is None
    for new in ("survey", "let", "L3", "1x", "x", "a b"):
        params = {"textDocument": {"uri": uri}, "position": {"line": 3, "character": 4}, "newName": new}
        assert "error" in client.ask("textDocument/rename", params), new


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_formatting(client: Client, opened: Callable[..., Any], end: str):
    text = end.join(
        ["let  x=1", "print   x", "if true:", '  print "😀"   # x', "", "", "", "", "pass", "", ""]
    )
    uri, _ = opened(text)
    edits = client.about("formatting", uri, options={"tabSize": 4, "insertSpaces": True})
    wanted = end.join(["let x = 1", "print x", "if true:", '    print "😀"  # x', "", "", "pass", ""])
    assert applied(text, edits) == wanted
    client.change(uri, 2, wanted)
    assert client.about("formatting", uri, options={"tabSize": 4, "insertSpaces": True}) == []
    client.change(uri, 3, "let = 3\n")
    assert client.about("formatting", uri, options={"tabSize": 4, "insertSpaces": True}) == []


def test_line_ends_of_windows(client: Client, opened: Callable[..., Any]):
    text = 'load "random:16"\r\nlet s = survey L0\r\nprint "😀"; print s.num_basin\r\n'
    uri, found = opened(text)
    assert [(item["code"], item["range"]["start"]) for item in found] == [
        ("EL205", {"line": 2, "character": 20})
    ]
    assert client.at("definition", uri, 2, 18)[0]["range"]["start"] == {"line": 1, "character": 4}


def test_symbols(client: Client, opened: Callable[..., Any]):
    uri, _ = opened(SCRIPT)
    found = client.about("documentSymbol", uri)
    assert [item["name"] for item in found] == ["audit", "s", "measure", "x"]
    assert [item["name"] for item in found[2]["children"]] == ["found"]
    assert found[1]["detail"] == "Survey"


def test_semantic_tokens(client: Client, opened: Callable[..., Any]):
    text = SCRIPT + "generate Hello L0 let # all text\n"
    uri, _ = opened(text)
    legend = client.capabilities["capabilities"]["semanticTokensProvider"]["legend"]  # type: ignore[attr-defined]
    data = client.about("semanticTokens/full", uri)["data"]
    lines = [line.encode("utf-16-le") for line in text.split("\n")]
    seen, line, column = [], 0, 0
    for ahead, right, length, kind, _ in (data[i : i + 5] for i in range(0, len(data), 5)):
        line, column = line + ahead, (column if not ahead else 0) + right
        word = lines[line][2 * column : 2 * (column + length)].decode("utf-16-le")
        seen.append((word, legend["tokenTypes"][kind]))
    assert ("# 😀 and 𝔼", "comment") in seen and ("survey", "function") in seen
    assert ("measure", "function") in seen and ("inits", "parameter") in seen and ("L0", "class") in seen
    assert ("print", "keyword") in seen and ("found", "variable") in seen
    assert seen[-1][0].startswith("Hello L0 let") and seen[-1][1] == "string"


def test_buffers_without_a_file_and_files_that_are_gone(client: Client, folder: Path):
    client.open("untitled:Untitled-1", "survay L0\n")
    assert [item["code"] for item in client.diagnostics("untitled:Untitled-1")] == ["EL101"]
    gone = folder / "gone" / "script.el"
    gone.parent.mkdir()
    gone.write_text("let x = 1\nprint x\n")
    client.open(gone.as_uri(), gone.read_text())
    assert client.diagnostics(gone.as_uri()) == []
    gone.unlink()
    gone.parent.rmdir()
    client.change(gone.as_uri(), 2, "import audit\nload there.pt\nprint nothing\n")
    assert {item["code"] for item in client.diagnostics(gone.as_uri(), 2)} >= {"EL207", "EL501"}
    assert labels(client.at("completion", gone.as_uri(), 2, 5)) == ["print"]
    never = (folder / "never.el").as_uri()
    assert client.about("documentSymbol", never) == []
    assert client.at("hover", never, 7, 7) is None


def test_an_editor_that_counts_bytes_and_leaves_without_a_word(folder: Path):
    found = Client(folder)
    try:
        able = found.start(folder, capabilities={"general": {"positionEncodings": ["utf-8", "utf-16"]}})
        assert able["capabilities"]["positionEncoding"] == "utf-8"
        uri = (folder / "bytes.el").as_uri()
        found.open(uri, 'print "😀"; survay L0\n')
        assert found.diagnostics(uri)[0]["range"]["start"]["character"] == len('print "😀"; '.encode())
        assert found.process.stdin is not None
        found.process.stdin.close()
        found.process.wait(timeout=60)
    finally:
        found.kill()
    assert found.errors == b""


def test_only_the_last_of_many_changes_counts(client: Client, opened: Callable[..., Any]):
    uri, _ = opened("print 1\n")
    for version in range(2, 40):
        client.change(uri, version, "print nothing\n" * (39 - version))
    assert client.diagnostics(uri, 39) == []


def test_five_hundred_lines_are_checked_in_time(
    client: Client, opened: Callable[..., Any], script: Callable[[str], ModuleType]
):
    """On a processor of its own it takes less than 200 ms; this one may be busy."""
    text = script("checking").lines(500)
    uri, _ = opened(text)
    spent = []
    for version in range(2, 7):
        began = time.perf_counter()
        client.change(uri, version, text + f"print {version}\n")
        client.diagnostics(uri, version)
        spent.append(time.perf_counter() - began)
    print(f"after a change: {min(spent) * 1000:.0f} ms at best, {max(spent) * 1000:.0f} ms at worst")
    assert min(spent) < 1.0


def test_without_the_library_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for name in [name for name in sys.modules if name.partition(".")[0] == "pygls"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "energylang.lsp.server", raising=False)
    monkeypatch.setitem(sys.modules, "pygls", None)
    assert main(["lsp"]) == 1
    said = capsys.readouterr()
    assert said.out == "" and "Traceback" not in said.err
    assert 'pip install "energylang[lsp]"' in said.err
