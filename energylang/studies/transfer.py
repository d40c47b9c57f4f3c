"""A concept of one model in another: carried by an alignment of states, then redirected to there.

Both models read the same conversations, and the states from which the bot is about to speak are the probes of the
alignment (``landscape.alignment``). What the probes are decides what a rotation can carry. Between two seeds of one
architecture the states of all tokens have little in common: a rotation explained some 40 % of their variance, and of
ten carried concepts six did what they should. States before a turn have much in common (83 to 85 %), and all ten did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from energylang.concepts.methods import redirected
from energylang.landscape.alignment import align
from energylang.models.conversations import shared_conversations
from energylang.models.states import turn_states
from energylang.work.pair import PROBES
from energylang.workspace.named import concept_named

if TYPE_CHECKING:
    from energylang.studies.bench import Bench


@dataclass(frozen=True, eq=False)
class Carried:
    """What the next model needs: the ``conversations`` that the donor read, its ``states`` (k, d) after them, and its
    ``centroids`` (d,) by concept."""

    model: str
    conversations: Sequence[Sequence[str]]
    states: Tensor
    centroids: Mapping[str, Tensor]


def carry(bench: Bench) -> Carried:
    """The study's concepts, ready to be carried into another model."""
    read = shared_conversations(bench.text, limit=PROBES)
    return Carried(
        model=bench.session.model.spec,
        conversations=read,
        states=turn_states(bench.text, read, bench.layer),
        centroids={name: concept_named(bench.session, name).centroid for name in bench.study.texts},
    )


def transfer(bench: Bench, donor: Carried, before: Mapping[str, float], loss: Tensor) -> dict[str, Any]:
    """The donor's concepts redirected to in this model, as a JSON value. ``before`` are the shares of the replies and
    ``loss`` (n,) that of the held-out windows without an edit."""
    alignment = align(donor.states, turn_states(bench.text, donor.conversations, bench.layer))
    found: dict[str, Any] = {
        "from": donor.model,
        "probes": len(donor.states),
        "fit": alignment.fit,
        "concepts": {},
    }
    for name, centroid in donor.centroids.items():
        own = concept_named(bench.session, name)
        carried = replace(own, states=alignment(centroid[None]))
        candidate = redirected(bench.session, carried, None, bench.options.damage)
        assert candidate.draft.proposal is not None  # a redirect never lacks room
        factors = candidate.draft.proposal.factors
        after = bench.shares(bench.changed(factors))
        found["concepts"][name] = {
            "cosine_to_own": float(torch.cosine_similarity(carried.centroid, own.centroid, dim=0)),
            "share_before": before[name],
            "share_after": after[name],
            "factor": after[name] / before[name] if before[name] else None,
            **bench.damage(factors, loss),
        }
    return found
