"""The pages: their programs run, their links lead somewhere, and the site builds without a warning."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from energylang import Session
from tests.real import little_is_read_of_smollm2

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PROGRAMS = ["tutorial.md", *sorted(f"howto/{page.name}" for page in (DOCS / "howto").glob("*.md"))]
PAGES = [*sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("*.md"))]


def blocks(text: str) -> list[tuple[str, str, str]]:
    """The fenced blocks of a page: language, the file that it shows (or nothing), and content."""
    return re.findall(r'^```(\w+)(?: title="([\w.-]+)")?\n(.*?)^```', text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("page", PROGRAMS)
def test_the_programs_of_a_page_run_one_after_the_other(
    page: str, in_tmp: Path, monkeypatch: pytest.MonkeyPatch
):
    text = (DOCS / page).read_text(encoding="utf-8")
    if "load smollm2\n" in text:
        little_is_read_of_smollm2(monkeypatch)
    session, known = Session(), {"__name__": "page"}
    for language, file, program in blocks(text):
        if file:
            Path(file).write_text(program, encoding="utf-8")
        elif language == "el":
            session.run(program, name=page)
        elif language == "python":
            exec(compile(program, page, "exec"), known)


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
    importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("material") is None,
    reason="the site needs mkdocs-material: pip install 'energylang[docs]'",
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
    assert (tmp_path / "site" / "operations.html").is_file()
