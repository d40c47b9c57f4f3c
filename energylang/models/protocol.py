"""What is a model?  Live tensors under canonical names, some of them Hopfield layers.

A ``Model`` is a dictionary of tensors plus the numbers that say how they are read. There is no
second copy of a weight anywhere: the forward pass of a text model reads the same dictionary, so
``set_weight`` is felt by everything downstream and putting the old tensor back gives the old bits.

Names: ``blocks.{i}.hopfield.W`` and ``blocks.{i}.hopfield.log_beta`` as in the published layout, with
``i`` the block's number in the checkpoint. *Layers* are numbered 0, 1, … over the blocks that have a
Hopfield weight, in natural order (block 2 before block 10).

Invariants: weights have the dtype, shape and device they were loaded with; ``tensors()`` is in
natural order; nothing here draws from a random generator.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.models.header import ModelHeader, hopfield_blocks

if TYPE_CHECKING:
    from energylang.models.text import TextModel


@dataclass(frozen=True, slots=True)
class Forward:
    """One pass: ``logits`` (b, t, v) and, per Hopfield layer, the settled state x_K (b, t, d)."""

    logits: Tensor
    states: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Generation:
    """Text that was sampled. ``states`` holds, per layer, (t, d): the settled state from which each
    of the ``t`` generated tokens was chosen, or at least read."""

    text: str
    token_ids: tuple[int, ...]
    states: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Intervention:
    """A change of one forward pass that leaves the model alone. Keys are layer numbers.

    ``weights``: a (d, d) matrix used instead of the live one (gradients flow through it).
    ``drive``: a (d,) field added to the drive u.
    ``state``: a function of the settled state (b, t, d) whose result is read instead of it.
    """

    weights: Mapping[int, Tensor] = field(default_factory=dict)
    drive: Mapping[int, Tensor] = field(default_factory=dict)
    state: Mapping[int, Callable[[Tensor], Tensor]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scaffold:
    """What training lends to a network and takes away by and by. A finished model stands without it.

    ``held``: what is left of the drive in the free steps of a release. ``around``: how much of the stream is added
    to what the bottleneck reads. ``truncate``: gradients flow through so many last steps only (0: through all).
    """

    held: float = 0.0
    around: float = 0.0
    truncate: int = 0


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorting key under which ``blocks.2`` comes before ``blocks.10``."""
    parts = re.split(r"(\d+)", name)
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts if p)


class Model:
    """A loaded model: live weights, and text when it can read it.

    ``extra`` holds tensors that belong to the model and are not weights (held-out tokens, planted
    patterns, what ``save`` was asked to add); ``metadata`` its description (config, tokenizer,
    report). ``text`` is None for a model without text.
    """

    def __init__(
        self,
        header: ModelHeader,
        tensors: Mapping[str, Tensor],
        *,
        extra: Mapping[str, Tensor] | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> None:
        self.spec: str = header.spec
        self.header: ModelHeader = header
        self.degree: int = header.degree
        self.extra: dict[str, Tensor] = dict(extra or {})
        self.metadata: dict[str, object] = dict(metadata or {})
        self.text: TextModel | None = None
        # Live. The forward pass of a text model holds this very dictionary.
        self.live: dict[str, Tensor] = {n: tensors[n] for n in sorted(tensors, key=natural_key)}
        self._blocks: tuple[int, ...] = tuple(hopfield_blocks(self.live))
        # The dtype in its file of each tensor that is held in another: see checkpoint.save.
        self.stored: dict[str, torch.dtype] = {}

    def __repr__(self) -> str:
        return f"Model({self.spec!r}, {self.header.kind}, layers={self.num_layers}, dims={self.dims})"

    @property
    def num_layers(self) -> int:
        """How many Hopfield layers there are."""
        return len(self._blocks)

    @property
    def dims(self) -> tuple[int, ...]:
        """The dimension d of every layer."""
        return self.header.dims

    @property
    def device(self) -> torch.device:
        return next(iter(self.live.values())).device

    @property
    def patterns(self) -> Tensor | None:
        """(k, d) planted patterns of ±1, for a planted sandbox."""
        return self.extra.get("patterns")

    def block(self, layer: int) -> int:
        """The number in the checkpoint of the block that holds ``layer``."""
        if not 0 <= layer < self.num_layers:
            last = self.num_layers - 1
            raise LandscapeError(
                f"there is no layer {layer} in {self.spec}",
                hint=f"its layers are 0 to {last}" if last >= 0 else "this model has no Hopfield layer",
            )
        return self._blocks[layer]

    def weight_key(self, layer: int) -> str:
        """Canonical name of the layer's weight."""
        return f"blocks.{self.block(layer)}.hopfield.W"

    def beta_key(self, layer: int) -> str:
        """Canonical name of the layer's log β."""
        return f"blocks.{self.block(layer)}.hopfield.log_beta"

    def weight(self, layer: int) -> Tensor:
        """(d, d), live: the tensor the forward pass reads. Change it through ``set_weight``."""
        return self.live[self.weight_key(layer)]

    def set_weight(self, layer: int, weight: Tensor) -> None:
        """Replace the live weight by a copy of ``weight``.

        Raises ``LandscapeError`` for another shape or dtype, or for values that are not finite. The
        old tensor is not written to: whoever holds it can put it back, bit for bit.
        """
        self._replace(self.weight_key(layer), weight)

    def log_beta(self, layer: int) -> Tensor:
        """log β as stored (one number)."""
        return self.live[self.beta_key(layer)]

    def set_log_beta(self, layer: int, value: Tensor) -> None:
        """Replace log β; same checks as ``set_weight``."""
        self._replace(self.beta_key(layer), value)

    def beta(self, layer: int) -> float:
        """Inverse temperature β > 0."""
        return float(self.log_beta(layer).reshape(()).exp())

    def tensors(self) -> dict[str, Tensor]:
        """All weights by canonical name, in natural order (live tensors in a new dictionary)."""
        return dict(self.live)

    def _replace(self, name: str, value: Tensor) -> None:
        old = self.live[name]
        if value.shape != old.shape or value.dtype != old.dtype:
            raise LandscapeError(
                f"'{name}' is {list(old.shape)} {old.dtype}, not {list(value.shape)} {value.dtype}",
                hint="an edit keeps the shape and the dtype of the weight",
            )
        if not bool(torch.isfinite(value).all()):
            raise LandscapeError(f"the new value of '{name}' has entries that are not finite numbers")
        self.live[name] = value.detach().to(old.device).clone(memory_format=torch.contiguous_format)
