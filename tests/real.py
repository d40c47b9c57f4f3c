"""The real model of the tests, where this machine has it."""

from __future__ import annotations

import pytest

from energylang.errors import CheckpointError
from energylang.models.described.places import PUBLISHED, published_file
from energylang.models.text import Sizes

LITTLE = Sizes(questions=1, prompts=2, reply=4, windows=2, own=8, kept=24)


def need_smollm2() -> None:
    """Leave a test out, and say why, where the model is not on this machine."""
    try:
        size = published_file("smollm2").stat().st_size
    except CheckpointError as error:
        pytest.skip(f"{error}: {error.hint}")
    if size != PUBLISHED["smollm2"].size:  # the stand-in of conftest, which holds no weights
        pytest.skip("smollm2 is not on this machine: `el get smollm2` fetches it")


def little_is_read_of_smollm2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of smollm2 as little text is read as gives a number: for tests of whether a thing runs, not of how well it is
    measured. Left out where the model is not."""
    need_smollm2()
    from energylang.models.pretrained import loading

    monkeypatch.setattr(loading, "SIZES", LITTLE)
