"""The real model of the tests, where this machine has it."""

from __future__ import annotations

import pytest

from energylang.errors import CheckpointError
from energylang.models.described.places import PUBLISHED, published_file


def need_smollm2() -> None:
    """Leave a test out, and say why, where the model is not on this machine."""
    try:
        size = published_file("smollm2").stat().st_size
    except CheckpointError as error:
        pytest.skip(f"{error}: {error.hint}")
    if size != PUBLISHED["smollm2"].size:  # the stand-in of conftest, which holds no weights
        pytest.skip("smollm2 is not on this machine: `el get smollm2` fetches it")
