"""Pictures: the way back."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from energylang import results

from .dispatch import render
from .marks import short, table


@render.register
def undo(undone: results.Undone) -> RenderableType:
    lines = [Text.assemble(("↶ ", "cyan"), f"undone: {statement}") for statement in undone.statements]
    lines += [Text.assemble(("↷ ", "cyan"), f"done again: {statement}") for statement in undone.again]
    if not lines:
        lines = [Text("the session stands there already", style="dim")]
    if undone.missing:
        there = len(undone.statements) + len(undone.again)
        lines.append(
            Text(f"there were no more than {there} of the {there + undone.missing} steps", style="yellow")
        )
    if undone.refused:
        one = undone.refused == 1
        words = "one of these was an edit" if one else f"{undone.refused} of these were edits"
        lines.append(Text(f"{words} that had been refused and had changed nothing", style="dim"))
    end = "identical to the original" if undone.is_original else "differs from the original"
    style = "bold green" if undone.is_original else "yellow"
    return Group(*lines, Text.assemble(("weights ", "dim"), short(undone.hash), "  ", (end, style)))


@render.register
def history(history: results.History) -> RenderableType:
    if history.tree:
        return _tree(history)
    if not history.entries:
        return Text("nothing has been changed", style="dim")
    rows = table("", "state", "statement", "", right=(0,), wrap=(2, 3))
    for entry in history.entries:
        rows.add_row(
            str(entry.id),
            Text(entry.state, style=STATES.get(entry.state, "")),
            Text(entry.statement),
            Text("   ".join(filter(None, (_names(entry.checkpoints), entry.detail))), style="dim"),
        )
    return rows


STATES = {
    "OK": "green",
    "REFUSED": "red",
    "BLOCKED": "red",
    "FORCED": "yellow",
    "FAILED": "red",
    "UNDONE": "dim",
}


def _names(checkpoints: tuple[str, ...]) -> str:
    return f"⚑ {', '.join(checkpoints)}" if checkpoints else ""


def _tree(history: results.History) -> RenderableType:
    """What follows on each other stands under each other; where ways part, each has a branch."""
    children: dict[int, list[results.HistoryEntry]] = {}
    for entry in history.entries:
        children.setdefault(entry.parent, []).append(entry)
    lines = [
        _place("●" if history.at == 0 else "○", 0, "the beginning", "", history.beginning, history.at == 0)
    ]
    pending: list[tuple[results.HistoryEntry, str, str]] = []  # entry, stem, indentation of what follows it

    def grow(parent: int, indent: str) -> None:
        grown = children.get(parent, [])
        if len(grown) == 1:
            pending.append((grown[0], indent, indent))
            return
        for position, entry in enumerate(reversed(grown)):
            last = position == 0
            pending.append((entry, indent + ("└─" if last else "├─"), indent + ("  " if last else "│ ")))

    grow(0, "")
    while pending:
        entry, stem, indent = pending.pop()
        sign = "●" if entry.here else "○" if entry.state in ("OK", "FORCED", "UNDONE") else "×"
        said = _place(sign, entry.id, entry.statement, entry.state, entry.checkpoints, entry.here)
        lines.append(Text.assemble((stem, "dim"), said))
        grow(entry.id, indent)
    return Group(*lines)


def _place(sign: str, id: int, statement: str, state: str, checkpoints: tuple[str, ...], here: bool) -> Text:
    said = Text.assemble(
        (f"{sign} ", "bold cyan" if here else "dim"), (f"{id} ", "dim"), (statement, "bold" if here else "")
    )
    if state not in ("", "OK"):
        said.append(f"  {state}", style=STATES.get(state, ""))
    if checkpoints:
        said.append(f"  {_names(checkpoints)}", style="magenta")
    if here:
        said.append("  ← here", style="bold cyan")
    return said


@render.register
def attempt(attempt: results.Attempted) -> RenderableType:
    count = {0: "nothing had been changed", 1: "one change was undone"}.get(
        attempt.undone, f"{attempt.undone} changes were undone"
    )
    return Group(
        Text.assemble(
            ("↶ ", "cyan"), f"failed in line {attempt.line}: {attempt.error} ", (f"[{attempt.code}]", "dim")
        ),
        Text(count, style="dim"),
    )


@render.register
def checkpoint(checkpoint: results.Checkpoint) -> RenderableType:
    moved = f", no longer at {checkpoint.moved_from}" if checkpoint.moved_from is not None else ""
    return Text.assemble(("⚑ ", "magenta"), (checkpoint.name, "bold"), f"  at {checkpoint.at}{moved}")
