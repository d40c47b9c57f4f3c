"""What the prompt and the toolbar say about the session and the line being written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.styles import Style

from energylang.render import palette

if TYPE_CHECKING:
    from energylang.session import Session
    from energylang.signature.declaration import Param

STYLE = Style.from_dict(
    {
        "model": "bold ansicyan",
        "staged": "bold ansiyellow",
        "place": "ansibrightblack",
        "arrow": "bold ansigreen",
        "bottom-toolbar": f"noreverse bg:{palette.BAR} {palette.BAR_TEXT}",
        "bottom-toolbar.op": f"bold {palette.BAR_NAME}",
        "bottom-toolbar.now": f"bold {palette.SKY}",
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


def toolbar(text: str, loading: str, *, equipped: bool, columns: int = 10_000) -> StyleAndTextTuples:
    """The usage of the operation being written, with the parameter at the cursor and what it means, in a line of
    ``columns``. Before the operations are there (``equipped``), what is being loaded."""
    if not equipped:
        return [("class:bottom-toolbar", f" {loading}")]
    from .suggest import hint

    found = hint(text)
    if found is None:
        said = loading or "Tab completes   help OP explains   Ctrl-C stops   Ctrl-D leaves"
        return [("class:bottom-toolbar", f" {said}")]
    params = [param for param in found.op.params if param.name not in ("force", "reason")]
    about = ""
    if found.param is not None:
        allowed = found.param.range_text()
        about = f"   {found.param.help}" + (f" ({allowed})" if allowed else "")
    room = columns - len(found.op.name) - 1 - min(len(about), columns // 2)
    parts: StyleAndTextTuples = [("class:bottom-toolbar.op", f" {found.op.name}")]
    for param in _fitting(params, found.param, room):
        now = param is not None and param is found.param
        parts += [
            ("", " "),
            ("class:bottom-toolbar.now" if now else "", "…" if param is None else _word(param)),
        ]
    left = columns - sum(len(part[1]) for part in parts)
    if about:
        parts.append(("", about if len(about) <= left else about[: max(left - 1, 0)] + "…"))
    return parts


def _word(param: Param) -> str:
    from energylang.signature.declaration import default_text

    return f"<{param.name}>" if param.required else f"[{param.name}={default_text(param)}]"


def _fitting(params: list[Param], now: Param | None, room: int) -> list[Param | None]:
    """The parameters that fit into ``room`` columns, the one at the cursor among them; ``None`` for those left out."""
    middle = params.index(now) if now is not None and now in params else len(params) - 1 if now is None else 0
    first = last = max(middle, 0)
    if not params:
        return []
    size = len(_word(params[first])) + 1 + 4  # and the two ellipses

    def fits(index: int) -> bool:
        return 0 <= index < len(params) and size + len(_word(params[index])) + 1 <= room

    while True:
        if fits(last + 1):
            last += 1
            size += len(_word(params[last])) + 1
        elif fits(first - 1):
            first -= 1
            size += len(_word(params[first])) + 1
        else:
            break
    found: list[Param | None] = list(params[first : last + 1])
    return [*([None] if first else []), *found, *([None] if last < len(params) - 1 else [])]
