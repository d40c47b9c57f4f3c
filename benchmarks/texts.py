"""Windows of text files, by which benchmarks measure losses beside the model's own held-out text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from energylang.models.text import TextModel

_READ = 200_000  # characters of a file


def windows_of(text: TextModel, paths: Sequence[Path], count: int) -> dict[str, Tensor]:
    """By name of each file ``count`` windows (count, t), evenly over its beginning."""
    found = {}
    for path in paths:
        ids = torch.tensor(text.encode(path.read_text(encoding="utf-8")[:_READ]))
        windows = text.windows(tokens=ids)
        found[path.stem] = windows[:: max(1, len(windows) // count)][:count]
    return found
