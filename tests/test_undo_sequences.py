"""Undoing everything leads back to the identical weights, whatever was done."""

from __future__ import annotations

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
@settings(max_examples=500, deadline=None)
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
