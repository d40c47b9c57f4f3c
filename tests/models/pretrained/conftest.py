"""Models of every architecture, made once for all tests of a worker, and the real SmolLM2 where this machine has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from energylang.models import Model, TextModel, load
from tests.real import need_smollm2

from . import architectures


@dataclass(frozen=True)
class Pair:
    """A folder, its model as this package loads it, and as the library does."""

    name: str
    folder: Path
    model: Model
    library: Any

    @property
    def text(self) -> TextModel:
        assert self.model.text is not None
        return self.model.text

    @property
    def kind(self) -> architectures.Architecture:
        return architectures.ARCHITECTURES[self.name]

    def tokens(self, rows: int = 2, count: int = 12) -> Tensor:
        draw = torch.Generator().manual_seed(rows * 1000 + count)
        return torch.randint(3, 260, (rows, count), generator=draw)


@pytest.fixture(autouse=True)
def _no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(scope="session")
def pair_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Pair]:
    """The pair of an architecture, by its name."""
    made: dict[str, Pair] = {}

    def pair(name: str) -> Pair:
        if name not in made:
            where = architectures.folder(tmp_path_factory.mktemp(name) / name, name)
            made[name] = Pair(name, where, load(str(where)), architectures.library(where))
        return made[name]

    return pair


@pytest.fixture(params=architectures.ARCHITECTURES)
def pair(request: pytest.FixtureRequest, pair_of: Callable[[str], Pair]) -> Pair:
    """Every architecture in turn."""
    return pair_of(request.param)


@pytest.fixture(scope="session")
def llama(pair_of: Callable[[str], Pair]) -> Pair:
    return pair_of("llama")


@pytest.fixture(scope="session")
def smollm2() -> Model:
    """The real model, loaded once for each worker; where this machine does not have it the tests are left out."""
    need_smollm2()
    return load("smollm2")
