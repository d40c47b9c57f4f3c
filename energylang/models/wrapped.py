"""Under which names do other people's training loops keep a model's tensors?  (PURE.)

``torch.compile`` puts ``_orig_mod.`` before every name, ``DataParallel`` ``module.``, a Lightning module the name of
its attribute, and some count blocks with leading zeros. Where all Hopfield layers of a file share one such prefix it is
taken off, and block numbers lose their zeros: ``module._orig_mod.blocks.03.hopfield.W`` is ``blocks.3.hopfield.W``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

from energylang.errors import CheckpointError

T = TypeVar("T")

#: Keys of a .pt file under which the state dictionary is found; without one of them it is the file itself.
STATE_KEYS = ("model_state", "model", "state_dict", "model_state_dict")

_HOPFIELD = re.compile(r"((?:[^.]+\.)*)blocks\.(\d+)\.hopfield\.(?:W|log_beta)")
_BLOCK = re.compile(r"blocks\.(\d+)\.")


def unwrapped(where: str, tensors: Mapping[str, T]) -> dict[str, T]:
    """What is kept in a file, under the names that this package knows. ``where`` names the file in an error.

    Raises ``CheckpointError`` where the Hopfield layers have several prefixes (two models in one file), or where two
    names would become one.
    """
    prefix = _prefix(where, tensors)
    found: dict[str, T] = {}
    for name, value in tensors.items():
        short = name[len(prefix) :] if name.startswith(prefix) else name
        short = _BLOCK.sub(lambda match: f"blocks.{int(match[1])}.", short, count=1)
        if short in found:
            raise CheckpointError(
                f"{where}: two tensors are called {short!r} once '{name}' is read without its prefix and zeros",
                hint="save one of the two models alone",
            )
        found[short] = value
    return found


def _prefix(where: str, names: Iterable[str]) -> str:
    prefixes = sorted({match[1] for name in names if (match := _HOPFIELD.fullmatch(name))})
    if len(prefixes) > 1:
        raise CheckpointError(
            f"{where} holds Hopfield layers of {len(prefixes)} models: "
            + ", ".join(prefix or "(no prefix)" for prefix in prefixes),
            hint="save the one that is meant alone, such as {k.removeprefix(...): v for k, v in state.items()}",
        )
    return prefixes[0] if prefixes else ""
