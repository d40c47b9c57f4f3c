"""The pages: their programs run, their links lead somewhere, and the site builds without a warning."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from energylang import Session
from energylang.cli import main
from energylang.ops import TABLE
from energylang.render.markdown import reference_pages
from energylang.results.schema import kinds
from tests import documents
from tests.real import has_smollm2, little_is_read_of_smollm2

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("*.md"))]
WRITTEN = {
    "docs/operations.md": "tests/test_operations.py runs the examples of the table that it is written from",
    "docs/codes.md": "tests/language/test_codes.py runs the scripts of the table that it is written from",
    "docs/grammar.md": "it is the grammar",
}
"""Pages that are written by ``dev.py docs``, and what runs what they show."""
RUN = ("el", "python", "sh")
SLOW = (
    "README.md",
    "docs/howto/checkpoint.md",
    "docs/howto/concept.md",
    "docs/howto/fit.md",
    "docs/howto/tables.md",
    "docs/howto/your-own-model.md",
    "docs/index.md",
    "docs/notebook.md",
    "docs/reliability.md",
    "docs/tutorial.md",
)
NOT_RUN = 18
"""How many blocks say that they are not run. A block more must say why, and be counted here."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file that it shows (or nothing), its content, and what the comment before it
    says: the exit code with which it ends, or why it is not run."""

    language: str
    file: str
    text: str
    code: int
    reason: str


def blocks(page: Path) -> list[Block]:
    found = re.findall(
        r"^(?:<!-- (?:exit code (\d)|not run: (.+?)) -->\n)?```(\w*)(?: title=\"([\w.-]+)\")?\n(.*?)^```$",
        page.read_text(encoding="utf-8"),
        flags=re.DOTALL | re.MULTILINE,
    )
    return [
        Block(language, file, text, int(code or 0), reason) for code, reason, language, file, text in found
    ]


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


PROGRAMS = [
    page
    for page in PAGES
    if named(page) not in WRITTEN and any(b.language in RUN and not b.reason for b in blocks(page))
]


class Reader:
    """Who types in what a page shows, from top to bottom: one session, one Python, one folder, one shell."""

    def __init__(self, page: Path, folder: Path) -> None:
        self.page = named(page)
        self.folder = folder
        self.session = Session()
        self.names: dict[str, object] = {"__name__": "page"}

    def el(self, block: Block) -> None:
        documents.is_a_document(documents.run(self.session, block.text, self.page))

    def python(self, block: Block) -> None:
        if not block.text.startswith("%"):
            exec(compile(block.text, self.page, "exec"), self.names)
            return
        pytest.importorskip("IPython", reason="notebooks need IPython: pip install 'energylang[notebook]'")
        from IPython.testing.globalipapp import start_ipython

        start_ipython().run_cell(block.text).raise_error()

    def sh(self, block: Block) -> None:
        """``el`` in this process, where it needs no shell and sets this process no limits; else a shell."""
        lines = [shlex.split(line, comments=True) for line in block.text.splitlines()]
        if all(words[0] == "el" and words[1] != "run" and ">" not in words for words in lines if words):
            assert max(main(words[1:]) for words in lines if words) == block.code
            return
        tools = self.folder / ".bin"
        tools.mkdir(exist_ok=True)
        for name, command in (("el", "-m energylang"), ("python", "")):
            (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n')
            (tools / name).chmod(0o755)
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", block.text],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env={
                **os.environ,
                "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
                "HOME": str(self.folder),
                "PYTHONPATH": str(ROOT),
            },
        )
        assert done.returncode == block.code, done.stderr + done.stdout


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=pytest.mark.slow) if named(p) in SLOW else p for p in PROGRAMS],
    ids=named,
)
def test_the_programs_of_a_page_run_from_top_to_bottom(
    page: Path, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
):
    """And what they display is as ``el schema`` says. A page about smollm2 is read on where another model is loaded."""
    shown = blocks(page)
    if any("el completion" in block.text for block in shown):
        pytest.importorskip("shtab", reason="completion needs shtab: pip install 'energylang[completion]'")
    if has_smollm2():
        little_is_read_of_smollm2(monkeypatch)
    reader, left_out = Reader(page, in_tmp), False
    for block in shown:
        if not has_smollm2() and (loaded := re.search(r"^load (\S+)", block.text, flags=re.MULTILINE)):
            left_out = loaded[1] == "smollm2"
        if block.file:
            Path(block.file).write_text(block.text, encoding="utf-8")
        elif block.language in RUN and not block.reason and not left_out:
            getattr(reader, block.language)(block)
    if left_out:
        pytest.skip("smollm2 is not on this machine: `el get smollm2` fetches it")


def test_what_is_not_run_says_why_and_is_counted():
    silent = [
        (named(page), b) for page in PAGES if named(page) not in WRITTEN for b in blocks(page) if b.reason
    ]
    assert all(block.language in RUN and len(block.reason) > 10 for _, block in silent)
    assert len(silent) == NOT_RUN, [f"{page}: {block.reason}" for page, block in silent]
    assert set(WRITTEN) <= {f"docs/{name}" for name in reference_pages()}
    fences = sum(page.read_text(encoding="utf-8").count("\n```") for page in PAGES)
    assert fences == 2 * sum(len(blocks(page)) for page in PAGES), "a block that is not seen"


def anchors(page: Path) -> set[str]:
    """The names by which the headings of a page can be linked to."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", head.lower().replace("`", "")).strip().replace(" ", "-") for head in heads
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name}: {target}"
        if DOCS in page.parents:
            assert DOCS in there.parents, f"{page.name}: {target} is not part of the site"
        if anchor:
            assert anchor in anchors(there), f"{page.name}: {target}"


def test_figures_are_small_and_used():
    used = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for figure in (DOCS / "figures").iterdir():
        assert figure.stat().st_size < 200_000, figure.name
        assert f"figures/{figure.name}" in used, f"no page shows {figure.name}"


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in DOCS.rglob("*.md"):
        assert f": {page.relative_to(DOCS)}\n" in navigation, page.name


@pytest.mark.slow
@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("material", "mkdocstrings", "latex2mathml")),
    reason="the site needs pip install 'energylang[docs]'",
)
def test_the_site_builds_without_a_warning(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    site = {page.name: page.read_text(encoding="utf-8") for page in (tmp_path / "site").rglob("*.html")}
    assert site["theory.html"].count("<math ") > 100 and "arithmatex" not in "".join(site.values())
    for name, page in site.items():
        assert not re.search(r'(?:src|<link[^>]* href)="(?:https?:)?//', page), f"{name} needs a network"
    for op in TABLE.values():
        assert f'id="energylang.session.Session.{op.method}"' in site["python.html"]
    for kind in kinds().values():
        assert f'id="{kind.__module__}.{kind.__name__}"' in site["results.html"]
