"""Calling the transformers library: quietly, offline, and with errors that say which file is at fault."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from energylang.errors import CheckpointError, ElError

_SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "TQDM_DISABLE": "1",
}
EXTRA = 'pip install "energylang[hf]"'


def check_library(spec: str) -> None:
    """Raise ``CheckpointError`` where the library that runs pretrained models is not installed."""
    try:
        with quietly():
            pass
    except ImportError:
        raise CheckpointError(f"{spec} needs the transformers library", hint=EXTRA) from None


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Inside, the library fetches nothing and writes no progress and no warnings of its own."""
    before = {name: os.environ.get(name) for name in _SETTINGS}
    os.environ.update({name: value for name, value in _SETTINGS.items() if before[name] is None})
    try:
        from transformers.utils import logging

        logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


@contextlib.contextmanager
def explained(what: str, hint: str) -> Iterator[None]:
    """Whatever the library raises inside becomes a ``CheckpointError`` that begins with ``what``."""
    try:
        yield
    except ElError:
        raise
    except ImportError as error:
        reason = (str(error).strip().splitlines() or ["a part of it is not installed"])[0][:200]
        raise CheckpointError(f"{what}: {reason}", hint=EXTRA) from None
    except Exception as error:  # noqa: BLE001 - the library raises whatever its parts raise
        reason = (str(error).strip().splitlines() or [""])[0][:300]
        raise CheckpointError(f"{what}: {reason or type(error).__name__}", hint=hint) from None
