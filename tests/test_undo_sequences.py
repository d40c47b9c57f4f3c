"""Undoing everything leads back to the identical weights, whatever was done."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from energylang import ElError, ScriptError, Session
from energylang.ops import TABLE
from energylang.signature import types as t
from energylang.signature.declaration import Effect, Op
from energylang.workspace.named import travel_to
from tests.statements import covered, statements

SEQUENCES = st.lists(statements(), min_size=1, max_size=7)
MODELS = st.sampled_from(["planted:24x2", "random:24"])


def test_every_change_that_needs_no_words_is_drawn():
    changing = [op for op in TABLE.values() if op.effects & (Effect.EDITS | Effect.CHANGES | Effect.TRAVELS)]
    left = {op.name for op in changing if not covered(op)}
    assert left == {
        op.name for op in changing if op.effects & (Effect.TEXT | Effect.FILES) or _of_concepts(op)
    }


def _of_concepts(op: Op) -> bool:
    """Concepts are of models with words."""
    return any(param.required and param.type in (t.CONCEPT, t.CONCEPTS) for param in op.params)


@settings(max_examples=40, deadline=None)
@given(SEQUENCES, MODELS)
def test_undo_all_after_some_sequences_is_the_identical_hash(statements: list[str], model: str):
    undo_all(statements, model)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(SEQUENCES, MODELS)
def test_undo_all_after_any_sequence_is_the_identical_hash(statements: list[str], model: str):
    undo_all(statements, model)


def undo_all(statements: list[str], model: str) -> None:
    session = Session(model)
    session.run("survey L0 inits=40")
    beginning, state = session.original_hash, session.state
    for statement in statements:
        try:
            session.run(statement)
        except (ElError, ScriptError):
            continue  # a basin that is gone, nothing to undo: what failed must have left no trace, too
    there = session.staged_hash(), session.live_hash()
    node = session.timeline.current
    if session.timeline.undoable:
        assert session.undo(session.timeline.undoable).is_original
    assert session.staged_hash() == session.live_hash() == session.original_hash == beginning
    assert session.state is state
    travel_to(session, node)
    assert (session.staged_hash(), session.live_hash()) == there


def test_every_place_means_what_it_meant_and_surveys_find_the_same(
    script: Callable[[str], ModuleType],
) -> None:
    figures = script("walks").walks(24, 5, "24")
    assert figures.findings == []
    assert figures.outcomes["surveys compared"] > 60
    assert figures.outcomes["load: done"] > 3


@pytest.mark.slow
def test_the_same_with_a_model_that_reads_text(script: Callable[[str], ModuleType]) -> None:
    figures = script("walks").walks(4, 5, "tiny")
    assert figures.findings == []


@pytest.mark.parametrize(("model", "layer"), [("planted:64x4", 0), ("tiny", 3)])
def test_a_survey_is_a_function_of_the_state(model: str, layer: int) -> None:
    """Bit for bit, the duration apart: twice, with other surveys between, and after a way there and back."""
    session = Session(model)
    session.run("set max_changed 1.0")
    for seed in (
        45,
        7,
    ):  # on tiny, what the second of these leaves has basins near the bound of what is merged
        session.inject(layer, seed, strength=0.3, force=True, reason="test")
    here = session.timeline.current

    def found() -> dict[str, object]:
        return {**session.survey(layer).to_dict(), "elapsed": 0.0}

    first = found()
    assert first["installed_starts"]
    assert found() == first
    session.survey(layer, seed=5)
    session.survey(layer, inits=31, seed=9)
    assert found() == first
    session.undo(2)
    found()
    session.redo(2)
    assert found() == first
    session.goto(0)
    session.survey(layer, seed=3)
    session.goto(here.id)
    assert found() == first
