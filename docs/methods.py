"""An extension of griffe, which reads sources for the Python page: it adds the methods that no source has.

``Session`` gets a method for every operation when it is imported. Here they come from the declarations, as there, and
PyTorch is not needed.
"""

from __future__ import annotations

import inspect
from typing import Any

import griffe

_KINDS = {
    inspect.Parameter.POSITIONAL_OR_KEYWORD: griffe.ParameterKind.positional_or_keyword,
    inspect.Parameter.KEYWORD_ONLY: griffe.ParameterKind.keyword_only,
}


class Operations(griffe.Extension):
    """Every operation as a method of ``Session``."""

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        if cls.path != "energylang.session.Session":
            return
        from energylang.ops import TABLE
        from energylang.signature.python import python_docstring, python_signature

        for op in TABLE.values():
            signature = python_signature(op)
            parameters = [
                griffe.Parameter(
                    p.name,
                    kind=_KINDS[p.kind],
                    default=None if p.default is inspect.Parameter.empty else repr(p.default),
                )
                for p in signature.parameters.values()
            ]
            method = griffe.Function(
                op.method,
                parameters=griffe.Parameters(*parameters),
                returns=op.result.__name__,
                docstring=griffe.Docstring(python_docstring(op)),
            )
            cls.set_member(op.method, method)
