"""The numbers of an open model, and what training lends to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class HLMConfig:
    """The numbers of an open model; ``problem()`` says what is wrong with them, if anything."""

    vocabulary: int
    context: int = 96  # tokens the model can look back
    layers: int = 4
    width: int = 128  # m, of the stream
    dim: int = 192  # d, of a Hopfield state
    heads: int = 4
    steps: int = 3  # K
    free_steps: int = 1  # R, of a "release"
    tau: float = 0.7
    mode: Literal["release", "drive"] = "release"
    bottleneck: bool = True
    degree: int = 3
    attends: bool = False  # the bottleneck's block has attention before its Hopfield layer
    scale: float = 1.0  # of embeddings where they enter the stream; the head reads them as they are
    hidden: int = 0  # units of the layer that computes the drive; 0: the drive is linear
    smeared: int = 0  # heads whose keys are half the previous token's

    def problem(self) -> str | None:
        """What makes these numbers impossible, in a few words; None when they are sound."""
        limits = {
            "vocabulary": (1, 2**20), "context": (2, 65536), "layers": (1, 256), "width": (1, 8192),
            "dim": (1, 8192), "heads": (1, 256), "steps": (1, 1000),
            "free_steps": (0, 1000), "degree": (2, 64), "hidden": (0, 65536), "smeared": (0, 8192),
        }  # fmt: skip
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                return f"{name} is {value!r}, not a whole number from {low} to {high}"
        if self.width % self.heads:
            return f"width {self.width} is not a multiple of heads {self.heads}"
        if self.smeared > self.heads:
            return f"smeared {self.smeared} exceeds heads {self.heads}"
        if self.free_steps > self.steps:
            return f"free_steps {self.free_steps} exceeds steps {self.steps}"
        if not isinstance(self.tau, (int, float)) or not 0 < self.tau <= 1:
            return f"tau is {self.tau!r}, not in (0, 1]"
        if self.mode not in ("release", "drive"):
            return f"mode is {self.mode!r}, not 'release' or 'drive'"
        if not isinstance(self.scale, (int, float)) or not 0 < self.scale <= 1e3:
            return f"scale is {self.scale!r}, not in (0, 1000]"
        for name in ("bottleneck", "attends"):
            if not isinstance(getattr(self, name), bool):
                return f"{name} is not true or false"
        return None


@dataclass(frozen=True, slots=True)
class Scaffold:
    """What training lends to a network and takes away by and by. A finished model stands without it.

    ``held``: what is left of the drive in the free steps of a release. ``around``: how much of the stream is added
    to what the bottleneck reads. ``truncate``: gradients flow through so many last steps only (0: through all).
    """

    held: float = 0.0
    around: float = 0.0
    truncate: int = 0


NO_SCAFFOLD = Scaffold()
