"""A hook of mkdocs: equations are typeset when the site is built, as MathML, which browsers show without scripts.

In the pages they are LaTeX between ``$``, as GitHub reads it. ``pymdownx.arithmatex`` finds them, and this replaces
them.
"""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert

_FOUND = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', flags=re.DOTALL)
_DELIMITERS = {r"\lvert": r"\left|", r"\rvert": r"\right|", r"\lVert": r"\left\|", r"\rVert": r"\right\|"}
"""The converter knows which way a bar opens only from ``\\left`` and ``\\right``."""
_PRIME = re.compile(r"<msup>(<mi>\w</mi>)<mi>&#x02032;</mi></msup>")
"""The character is a raised one already."""
_NAME = re.compile(r"<mo>([a-z]{2,})</mo>")
"""``\\operatorname{sign}`` is a name, with no blanks around it."""


def on_page_content(content: str, **_: Any) -> str:
    """Every equation of a page as MathML; what the LaTeX was stays in ``alttext``."""
    return _FOUND.sub(_typeset, content)


def _typeset(found: re.Match[str]) -> str:
    block, latex = found[1] == "div", html.unescape(found[2]).strip()
    said = latex
    for ours, theirs in _DELIMITERS.items():
        said = said.replace(ours, theirs)
    typeset = convert(said, display="block" if block else "inline")
    typeset = _PRIME.sub(r"\1<mi>&#x02032;</mi>", typeset)
    typeset = _NAME.sub(r"<mi>\1</mi>", typeset)
    typeset = typeset.replace("<math ", f'<math alttext="{html.escape(latex)}" ', 1)
    return f'<div class="equation">{typeset}</div>' if block else typeset
