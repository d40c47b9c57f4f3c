"""An operation as a method of Python: its signature and its docstring, from the declaration."""

from __future__ import annotations

import inspect

from .declaration import Op


def python_signature(op: Op) -> inspect.Signature:
    """What the method takes, ``self`` first, and the class of what it gives back."""
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    for param in op.params:
        kind = (
            inspect.Parameter.KEYWORD_ONLY if param.keyword_only else inspect.Parameter.POSITIONAL_OR_KEYWORD
        )
        default = inspect.Parameter.empty if param.required else param.default
        parameters.append(inspect.Parameter(param.name, kind, default=default))
    parameters.sort(key=lambda p: (p.kind, p.default is not inspect.Parameter.empty and p.name != "self"))
    return inspect.Signature(parameters, return_annotation=op.result)


def python_docstring(op: Op) -> str:
    """What the method does, in Google's style."""
    lines = [op.summary] + (["", op.details] if op.details else [])
    if op.params:
        lines += ["", "Args:"]
    for param in op.params:
        allowed = f" ({param.range_text()})" if param.range_text() else ""
        lines.append(f"    {param.name} ({param.type}): {param.help}{allowed}")
    return "\n".join([*lines, "", "Returns:", f"    ``energylang.results.{op.result.__name__}``"])
