"""The real model of the tests, where this machine has it."""

from __future__ import annotations

import pytest

from energylang.errors import CheckpointError
from energylang.models.described.places import PUBLISHED, published_file
from energylang.models.text import Sizes

LITTLE = Sizes(questions=1, prompts=2, reply=4, windows=2, judged=6, own=8, kept=24)


def need_smollm2() -> None:
    """Leave a test out, and say why, where the model is not on this machine."""
    try:
        size = published_file("smollm2").stat().st_size
    except CheckpointError as error:
        pytest.skip(f"{error}: {error.hint}")
    if size != PUBLISHED["smollm2"].size:  # the stand-in of conftest, which holds no weights
        pytest.skip("smollm2 is not on this machine: `el get smollm2` fetches it")


def has_smollm2() -> bool:
    """The model itself is on this machine, and not only the stand-in of conftest, which holds no weights."""
    try:
        return published_file("smollm2").stat().st_size == PUBLISHED["smollm2"].size
    except CheckpointError:
        return False


def little_is_read_of_smollm2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of smollm2 as little text is read, and beside as few random edits, as gives a number: for tests of whether a
    thing runs, not of how well it is measured. Left out where the model is not."""
    need_smollm2()
    from energylang.models.pretrained import loading

    monkeypatch.setattr(loading, "SIZES", LITTLE)
    from energylang.concepts import answers, controls, keyed_effect, stream_effect
    from energylang.work import concept

    for module in (answers, keyed_effect, stream_effect):
        monkeypatch.setattr(module, "RANDOM", 2)
    monkeypatch.setattr(concept, "FEW", 2)
    monkeypatch.setattr(controls, "SHUFFLED", 1)
    from energylang.concepts import faces, memory, stream_ruler, value

    for name, little in {"_JUDGED": 4, "_WINDOWS": 2, "_KEPT": 4, "MEASURED": 4, "SAID": 6}.items():
        monkeypatch.setattr(faces, name, little)
    for name, little in {"MEASURED": 4, "SAID": 6, "_TEXTS": 4}.items():
        monkeypatch.setattr(stream_ruler, name, little)
    monkeypatch.setattr(stream_effect, "_CONTRASTS", 4)
    monkeypatch.setattr(memory, "DOSES", (0.3, 0.65, 1.0, 2.0))
    for name, little in {"STEPS": 3, "_TEXTS": 4, "_CONTRASTS": 3, "_OWN": 3}.items():
        monkeypatch.setattr(value, name, little)


def fewer_random_edits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two controls with random values instead of ten, and one of each other kind: for tests of something else than
    what the controls say."""
    from energylang.concepts import answers, controls, keyed_effect, stream_effect
    from energylang.work import concept

    for module in (answers, controls, keyed_effect, stream_effect, concept):
        monkeypatch.setattr(module, "RANDOM", 2)
    monkeypatch.setattr(concept, "FEW", 2)
    monkeypatch.setattr(controls, "OTHER", 1)
    monkeypatch.setattr(controls, "SHUFFLED", 1)
