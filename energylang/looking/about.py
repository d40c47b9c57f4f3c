"""What a model says of itself, as a result.  (PURE: no torch.)"""

from __future__ import annotations

from energylang import results
from energylang.models.header import ModelHeader


def about(header: ModelHeader) -> results.Info:
    """The header of a model; what only its weights tell (β, the hash) is empty."""
    return results.Info(
        model=header.spec,
        kind=header.kind,
        num_layers=len(header.dims),
        dims=tuple(header.dims),
        betas=(),
        degree=header.degree,
        parameters=header.parameters,
        vocabulary=header.vocabulary,
        capabilities=tuple(sorted(header.capabilities)),
        hash="",
        neurons=max(header.neurons, default=0),
        heads=max(header.heads, default=0),
        context=header.context,
        blocks=header.blocks,
        kept=header.kept,
    )
