"""A model in memory: live weights under canonical names, and text when it can read it.

There is no second copy of a weight anywhere: the forward pass of a text model reads the same dictionary, so ``put`` is
felt by everything downstream and putting the old tensor back gives the old bits.

Names: ``blocks.{i}.hopfield.W`` and ``blocks.{i}.hopfield.log_beta`` as in the published layout, with ``i`` the block's
number in the checkpoint. *Layers* are numbered 0, 1, … over the model's sites, in natural order (block 2 before 10).

Invariants: weights have the dtype, shape and device they were loaded with; ``tensors()`` is in natural order; nothing
here draws from a random generator.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from energylang.errors import LandscapeError
from energylang.models.header import ModelHeader
from energylang.models.layout import beta_name
from energylang.models.protocol import Site, natural_key
from energylang.models.text import TextModel


class Model:
    """A loaded model: live weights, and text when it can read it.

    ``sites`` are its layers by name, in order. ``extra`` holds tensors that belong to the model and are not weights
    (held-out tokens, planted patterns, what ``save`` was asked to add); ``metadata`` its description (config,
    tokenizer, report). ``text`` is None for a model without text.
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
        self.sites: dict[str, Site] = {
            f"L{i}": Site(f"L{i}", dim, weight)
            for i, (dim, weight) in enumerate(zip(header.dims, header.weights, strict=True))
        }
        # The dtype in its file of each tensor that is held in another: see checkpoint.save.
        self.stored: dict[str, torch.dtype] = {}

    def __repr__(self) -> str:
        return f"Model({self.spec!r}, {self.header.kind}, layers={self.num_layers}, dims={self.dims})"

    @property
    def num_layers(self) -> int:
        """How many layers there are."""
        return len(self.sites)

    @property
    def landscape(self) -> bool:
        """Whether the layers are landscapes."""
        return "landscape" in self.header.capabilities

    @property
    def dims(self) -> tuple[int, ...]:
        """The dimension d of every layer's states."""
        return self.header.dims

    @property
    def device(self) -> torch.device:
        return next(iter(self.live.values())).device

    @property
    def patterns(self) -> Tensor | None:
        """(k, d) planted patterns of ±1, for a planted sandbox."""
        return self.extra.get("patterns")

    def weight_key(self, layer: int) -> str:
        """The name of the parameter that edits of a layer change."""
        if not 0 <= layer < self.num_layers:
            last = self.num_layers - 1
            raise LandscapeError(
                f"there is no layer {layer} in {self.spec}",
                hint=f"its layers are 0 to {last}" if last > 0 else "its only layer is 0",
            )
        return self.sites[f"L{layer}"].weight

    def weight(self, layer: int) -> Tensor:
        """The parameter that edits of a layer change, live: what the forward pass reads. Change it through ``put``."""
        return self.get(self.weight_key(layer))

    def get(self, name: str) -> Tensor:
        """A live weight by its canonical name. Do not write into it."""
        return self.live[name]

    def put(self, name: str, value: Tensor) -> None:
        """Replace a live weight by a copy of ``value``: the only door to weights.

        Raises ``LandscapeError`` for another shape or dtype, or for values that are not finite. The
        old tensor is not written to: whoever holds it can put it back, bit for bit.
        """
        old = self.live[name]
        if value.shape != old.shape or value.dtype != old.dtype:
            raise LandscapeError(
                f"'{name}' is {list(old.shape)} {old.dtype}, not {list(value.shape)} {value.dtype}",
                hint="an edit keeps the shape and the dtype of the weight",
            )
        if not bool(torch.isfinite(value).all()):
            raise LandscapeError(f"the new value of '{name}' has entries that are not finite numbers")
        self.live[name] = value.detach().to(old.device).clone(memory_format=torch.contiguous_format)

    def beta(self, layer: int) -> float:
        """Inverse temperature β > 0 of a layer that is a landscape."""
        return float(self.live[beta_name(self.weight_key(layer))].reshape(()).exp())

    def tensors(self) -> dict[str, Tensor]:
        """All weights by canonical name, in natural order (live tensors in a new dictionary)."""
        return dict(self.live)
