"""The operations of the language: one declaration with its body each, one file per category.

``TABLE`` maps every name to its declaration, in the order of the modules listed here. To add an operation,
write it in the file of its category; a new category is one more module in ``MODULES``.
"""

from __future__ import annotations

from collections.abc import Mapping

from energylang.signature.declaration import Op

from . import (
    algebra,
    causal,
    concept,
    control,
    history,
    interpret,
    keeping,
    modify,
    observe,
    records,
    safety,
    text,
    two_models,
)

MODULES = (
    observe,
    modify,
    concept,
    algebra,
    control,
    causal,
    safety,
    history,
    text,
    interpret,
    keeping,
    two_models,
    records,
)

TABLE: Mapping[str, Op] = {
    value.name: value for module in MODULES for value in vars(module).values() if isinstance(value, Op)
}
