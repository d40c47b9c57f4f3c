"""What the prompt and the toolbar say about the session and the line being written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.styles import Style

if TYPE_CHECKING:
    from energylang.session import Session

STYLE = Style.from_dict(
    {
        "model": "bold ansicyan",
        "staged": "bold ansiyellow",
        "place": "ansibrightblack",
        "arrow": "bold ansigreen",
        "bottom-toolbar": "noreverse bg:#22272e #9aa4b0",
        "bottom-toolbar.op": "bold #e6edf3",
        "bottom-toolbar.now": "bold #56b4e9",
        "pygments.name.builtin": "bold ansigreen",
        "pygments.keyword": "ansimagenta",
        "pygments.name.constant": "bold ansicyan",
        "pygments.name.class": "ansicyan",
        "pygments.name.attribute": "ansiblue",
        "pygments.name.variable": "ansiyellow",
        "pygments.literal.string": "ansiyellow",
        "pygments.literal.number": "ansiblue",
        "pygments.comment": "ansibrightblack",
    }
)


def message(session: Session | None, waiting: str = "") -> StyleAndTextTuples:
    """``tiny* 2/3 ▸``: the model, a star where something staged is not live, how many of the changes are in force."""
    if session is None:
        return [("class:place", f"{waiting} " if waiting else ""), ("class:arrow", "▸ ")]
    parts: StyleAndTextTuples = []
    if session.has_model:
        parts.append(("class:model", session.model.spec.rsplit("/", 1)[-1]))
        if not all(layer.is_live for layer in session.state.layers):
            parts.append(("class:staged", "*"))
        now, ahead = session.timeline.undoable, session.timeline.redoable
        if now + ahead:
            parts.append(("class:place", f" {now}/{now + ahead}"))
        parts.append(("", " "))
    return [*parts, ("class:arrow", "▸ ")]


def toolbar(text: str, loading: str, *, equipped: bool) -> StyleAndTextTuples:
    """The usage of the operation being written, with the parameter at the cursor and what it means. Before the
    operations are there (``equipped``), what is being loaded."""
    if not equipped:
        return [("class:bottom-toolbar", f" {loading}")]
    from energylang.signature.declaration import default_text

    from .suggest import hint

    found = hint(text)
    if found is None:
        said = loading or "Tab completes   help OP explains   Ctrl-C stops   Ctrl-D leaves"
        return [("class:bottom-toolbar", f" {said}")]
    parts: StyleAndTextTuples = [("class:bottom-toolbar.op", f" {found.op.name}")]
    for param in found.op.params:
        if param.name in ("force", "reason"):
            continue
        now = found.param is not None and param.name == found.param.name
        word = f"<{param.name}>" if param.required else f"[{param.name}={default_text(param)}]"
        parts += [("", " "), ("class:bottom-toolbar.now" if now else "", word)]
    if found.param is not None:
        allowed = found.param.range_text()
        parts.append(("", f"   {found.param.help}" + (f" ({allowed})" if allowed else "")))
    return parts
