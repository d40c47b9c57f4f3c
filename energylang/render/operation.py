"""The page of an operation as plain text."""

from __future__ import annotations

import textwrap

from energylang.signature.declaration import Op, default_text

_WIDTH = 100


def operation_text(op: Op) -> str:
    """Usage, meaning, parameters, result and examples."""
    parts = [f"{op.usage()}\n", textwrap.fill(op.summary, _WIDTH) + "\n"]
    if op.details:
        parts.append("\n".join(textwrap.fill(line, _WIDTH) for line in op.details.splitlines()) + "\n")
    if op.params:
        width = max(len(param.name) for param in op.params)
        lines = ["parameters"]
        for param in op.params:
            default = "required" if param.required else f"default: {default_text(param)}"
            notes = "; ".join(note for note in (str(param.type), param.range_text(), default) if note)
            lines.append(f"  {param.name:<{width}}  {param.help}  ({notes})")
        parts.append("\n".join(lines) + "\n")
    parts.append(f"result\n  {op.result.__name__}: {', '.join(op.result.__dataclass_fields__)}\n")
    shown = [textwrap.indent(f"load {example.on}\n{example.script}", "  ") for example in op.examples]
    parts.append("examples\n" + "\n\n".join(shown) + "\n")
    return "\n".join(parts)
