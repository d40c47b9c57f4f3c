"""The page of an operation as plain text, and the list of all: wrapped between words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping

from energylang.signature.declaration import Op, default_text

WIDTH = 100  # columns of a page, where the terminal has as many
_NARROWEST = 30


def operation_text(op: Op, width: int = WIDTH) -> str:
    """Usage, meaning, parameters, result and examples, in lines of at most ``width`` columns (scripts stay as they
    are)."""
    parts = [filled(op.usage(), width, "  ") + "\n", filled(op.summary, width) + "\n"]
    if op.details:
        parts.append("\n".join(filled(line, width) for line in op.details.splitlines()) + "\n")
    if op.params:
        lines = ["parameters"]
        rows = []
        for param in op.params:
            default = "required" if param.required else f"default: {default_text(param)}"
            notes = "; ".join(note for note in (str(param.type), param.range_text(), default) if note)
            rows.append((param.name, f"{param.help}  ({notes})"))
        parts.append("\n".join([*lines, *columns(rows, width)]) + "\n")
    result = f"  {op.result.__name__}: {', '.join(op.result.__dataclass_fields__)}"
    parts.append(f"result\n{filled(result, width, '    ')}\n")
    shown = [textwrap.indent(f"load {example.on}\n{example.script}", "  ") for example in op.examples]
    parts.append("examples\n" + "\n\n".join(shown) + "\n")
    return "\n".join(parts)


def operations_text(table: Mapping[str, Op], width: int = WIDTH) -> str:
    """All operations with their summaries, by family."""
    lines: list[str] = []
    longest = max(map(len, table), default=0)
    for family in dict.fromkeys(op.family for op in table.values()):
        lines.append(family.title())
        rows = [(op.name, op.summary) for op in table.values() if op.family == family]
        lines += columns(rows, width, longest)
    return "\n".join(lines) + "\n"


def columns(rows: Iterable[tuple[str, str]], width: int = WIDTH, first: int | None = None) -> list[str]:
    """Names, and beside them what they are; what is longer than the line goes on under its own beginning."""
    found = list(rows)
    size = first if first is not None else max((len(name) for name, _ in found), default=0)
    lines = []
    for name, about in found:
        lead = f"  {name:<{size}}  "
        lines.append(filled(lead + about, width, " " * len(lead)))
    return lines


def filled(text: str, width: int = WIDTH, after: str = "") -> str:
    """A text in lines of at most ``width`` columns, broken between words; ``after`` stands before all but the first."""
    return textwrap.fill(
        text,
        max(width, len(after) + _NARROWEST),
        subsequent_indent=after,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
        drop_whitespace=True,
    )
