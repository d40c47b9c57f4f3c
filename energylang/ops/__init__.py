"""The operations of the language: one declaration each, one file per family.

``TABLE`` maps every name to its declaration, in the order of the modules listed here. To add an operation, declare it
in the file of its family, and write the function that carries it out in the file of the same name under
``energylang.work``. A new family is one more module in ``MODULES``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from energylang.signature.declaration import Op

from . import (
    algebra,
    causal,
    concept,
    consolidate,
    data,
    edit,
    fit,
    history,
    meaning,
    memory,
    model,
    observe,
    pair,
    record,
    safety,
    stream,
    watermark,
)

MODULES = (
    observe,
    fit,
    edit,
    concept,
    algebra,
    data,
    causal,
    meaning,
    stream,
    memory,
    safety,
    consolidate,
    watermark,
    pair,
    history,
    model,
    record,
)

TABLE: Mapping[str, Op] = {
    op.name: replace(op, family=module.__name__.rpartition(".")[2])
    for module in MODULES
    for op in vars(module).values()
    if isinstance(op, Op)
}
