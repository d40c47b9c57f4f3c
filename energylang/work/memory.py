"""Edits of a memory: each is a rank-one answer to a key, drafted, measured, and staged or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from energylang.concepts.answers import rewritten
from energylang.concepts.rewriting import asked, rewriting
from energylang.results import Condition, Edit, Rewritten
from energylang.trial.staging import check_force, commit
from energylang.workspace.workspace import Workspace


def rewrite(
    ws: Workspace,
    layer: int,
    phrase: str,
    to: str,
    subject: str | None,
    same: Sequence[str] | None,
    near: Sequence[str] | None,
    strength: float | None,
    damage: float,
    dose: float | None,
    placebos: int | None,
    force: bool,
    reason: str,
) -> Edit:
    """Write another answer for a phrase."""
    check_force(force, reason)
    given = asked(ws.text, phrase, to, subject)
    target = f"{phrase} → {to}"
    made, place = rewriting(ws, layer, given, target, damage, dose=dose, strength=strength)
    assert made.proposal is not None  # a memory edit always has room
    found = rewritten(
        ws,
        layer,
        made.proposal.factors,
        phrase,
        to,
        given,
        place,
        tuple(same or ()),
        tuple(near or ()),
        placebos,
    )
    conditions = _done(found, ws.text.token(given.answer[0]))
    drafted = replace(made.edit, conditions=(*made.edit.conditions, *conditions), rewritten=found)
    failed = [condition for condition in conditions if not condition.ok]
    if drafted.applied and failed:
        told = f"{failed[0].name}: {failed[0].value:.3f}, at least {failed[0].limit:.3f}"
        drafted = replace(drafted, applied=False, reason=f"the answer is not said ({told})")
    return commit(ws, replace(made, edit=drafted), force=force, reason=reason)


def _done(found: Rewritten, first: str) -> tuple[Condition, ...]:
    """Was what was asked for done?"""
    after = found.asked.after
    said = float(found.asked.first_after == first)
    return (
        Condition("the answer is what is said first (1: yes)", said, 1.0, True, said == 1.0),
        Condition(
            "probability of the answer, against before",
            after,
            found.asked.before,
            True,
            after > found.asked.before,
        ),
        Condition(
            "probability of the answer, against random values",
            after,
            found.random_max,
            True,
            after > found.random_max,
        ),
    )
