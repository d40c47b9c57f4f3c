"""A concept's state becomes a basin of its own on the bundled model."""

from __future__ import annotations

import pytest
import torch

from energylang import Session
from energylang.concepts.landing import landed
from energylang.landscape.clusters import cosine_rows, gram
from energylang.landscape.dynamics import settle
from energylang.signature.values import ConceptName
from energylang.workspace.named import concept_named

POLITE = ("Thank you for reaching out", "I appreciate your question", "It would be my pleasure to help")


@pytest.mark.slow
@pytest.mark.parametrize("layer", [1, 2])
def test_a_concept_lands_as_a_new_basin(layer: int) -> None:
    session = Session("tiny")
    before = session.survey(layer)
    for text in POLITE:
        session.capture(layer, "polite", text)
    landscape = session.landscape_of(layer)
    edit = session.inject_concept(layer, "polite", method="attractor", damage=0.01)
    assert edit.applied and not edit.forced and not edit.merged, edit.reason
    assert all(condition.ok for condition in edit.conditions)
    assert {condition.name for condition in edit.conditions} >= {
        "cosine to where it would settle without the edit",
        "starts of a fresh survey that end in it",
        "protected basins that stay",
        "share of noisy decisions that change",
        "rise of the loss on held-out text",
    }
    assert edit.effect.loss_change <= 0.01
    # What the conditions say holds when it is measured again.
    verdict = session.verify(layer, ConceptName("polite"))
    assert verdict.is_basin and verdict.basin == edit.basin and verdict.return_10 > 0.9
    centre = session.staged(layer).registry.get(edit.basin).centre
    was = settle(landscape, centre[None]).states
    assert float(cosine_rows(was, centre)[0]) < 0.95
    assert edit.basin not in {basin.id for basin in before.basins}
    assert edit.basin in {basin.id for basin in session.survey(layer, seed=5).basins}
    texts = settle(session.landscape_of(layer), concept_named(session, "polite").states).states
    assert float(gram(texts, centre[None]).max()) > 0.95
    assert edit.basin in session.diff(layer).basins_gained
    session.undo()
    assert torch.equal(session.weight(session.staged(layer)), landscape.weight)


@pytest.mark.slow
def test_what_does_not_land_says_which_condition_fails_and_by_how_much() -> None:
    session = Session("tiny")
    for text in POLITE:
        session.capture(3, "polite", text)
    edit = landed(session, concept_named(session, "polite"), None, 0.01).edit
    assert not edit.applied
    failing = [condition for condition in edit.conditions if not condition.ok]
    assert "share of noisy decisions that change" in {condition.name for condition in failing}
    for condition in failing:
        if condition.at_least:
            assert condition.value < condition.limit
        else:
            assert condition.value > condition.limit
