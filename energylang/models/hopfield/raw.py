"""A model made of bare weight matrices: a landscape without words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from energylang.errors import CheckpointError
from energylang.models.header import sandbox_header
from energylang.models.model import Model

BETA = 7.0


def model_of(weights: Sequence[Tensor], *, beta: float = BETA, spec: str = "W") -> Model:
    """A model of one Hopfield layer per weight (d, d), all read at inverse temperature ``beta``, of degree 3.

    The weights are copied. Raises ``CheckpointError`` for what is no square matrix of finite floating numbers.
    """
    tensors: dict[str, Tensor] = {}
    for block, weight in enumerate(weights):
        where = f"the weight of L{block}"
        if not isinstance(weight, Tensor) or weight.ndim != 2 or weight.shape[0] != weight.shape[1]:
            raise CheckpointError(f"{where} is no square matrix", hint="a tensor of shape (d, d)")
        if not weight.is_floating_point() or not bool(torch.isfinite(weight).all()):
            raise CheckpointError(f"{where} has entries that are not finite floating numbers")
        tensors[f"blocks.{block}.hopfield.W"] = weight.detach().clone()
        tensors[f"blocks.{block}.hopfield.log_beta"] = torch.tensor(math.log(beta))
    if not tensors:
        raise CheckpointError("a model needs at least one weight")
    header = sandbox_header(spec, tuple(int(weight.shape[0]) for weight in weights))
    return Model(header, tensors, metadata={"config": {"degree": 3}})
