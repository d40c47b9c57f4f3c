"""Links into the reference: the page of an operation, the section of a code.

The pages are those that come with the package, so that they are of its version and need no network. Whoever has them as
a site gives its address instead (the option ``docs`` of the server).
"""

from __future__ import annotations

import re
from pathlib import Path

from energylang.diagnostics.codes import CODES
from energylang.syntax.grammar import folder


def code_link(code: str, docs: str = "") -> str | None:
    """The address of what a code means."""
    title = CODES[code].title if code in CODES else ""
    warning = " warning" if title and CODES[code].severity == "warning" else ""
    return _page("codes", f"{code} {title}{warning}", docs)


def operation_link(name: str, docs: str = "") -> str | None:
    """The address of an operation's section."""
    return _page("operations", name, docs)


def _page(name: str, heading: str, docs: str) -> str | None:
    anchor = re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip())
    if docs:
        return f"{docs.rstrip('/')}/{name}.html#{anchor}"
    page = folder("docs").joinpath(f"{name}.md")
    return f"{page.resolve().as_uri()}#{anchor}" if isinstance(page, Path) and page.is_file() else None
