"""The reference of the operations as a Markdown page, from their declarations."""

from __future__ import annotations

from collections.abc import Mapping

from energylang.ops.declaration import Op, default_text

HEAD = """# The operations

Generated from the declarations by `python3 dev.py docs`; do not edit. `el ops NAME` shows the same at the prompt.
Every operation is also a method of `energylang.Session`, with `-` written as `_`. The examples are tests: the model
in the first line is loaded, the rest is run, and the comment says what is then true of the result, `it`.
"""


def operations_page(table: Mapping[str, Op]) -> str:
    """All operations, by category."""
    categories: dict[str, list[Op]] = {}
    for op in table.values():
        categories.setdefault(op.category, []).append(op)
    parts = [HEAD]
    for category, ops in categories.items():
        parts.append(f"## {category}\n")
        parts += [_operation(op) for op in ops]
    return "\n".join(parts).rstrip() + "\n"


def _operation(op: Op) -> str:
    lines = [f"### {op.name}\n", op.summary + "\n", f"```el\n{op.usage()}\n```\n"]
    if op.details:
        lines.append("\n".join(f"{line}  " for line in op.details.splitlines()).rstrip() + "\n")
    if op.params:
        lines += ["| parameter | type | default | allowed | |", "|---|---|---|---|---|"]
        for param in op.params:
            default = "required" if param.required else f"`{default_text(param)}`".replace("``", "empty")
            cells = [f"`{param.name}`", str(param.type), default, param.range_text(), param.help]
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    fields = ", ".join(f"`{name}`" for name in op.result.__dataclass_fields__)
    lines.append(f"Result: `{op.result.__name__}` with {fields}.\n")
    for example in op.examples:
        lines.append(f"```el\nload {example.on}\n{example.script}    # {example.check}\n```\n")
    return "\n".join(lines)
