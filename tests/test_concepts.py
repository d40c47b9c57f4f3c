"""Laws of concepts: where they are read, how they are written, and what an effect is compared with."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from energylang import Session
from energylang.concepts.captured import separability
from energylang.concepts.controls import controls
from energylang.concepts.methods import aimed, redirected
from energylang.errors import ElError
from energylang.models import likelihoods
from energylang.models.protocol import Change
from energylang.models.states import POSITIONS, decision_states, neutral_states, text_states
from tests.real import fewer_random_edits

POLITE = ("Thank you so much for asking, I am glad to help.", "It is a pleasure to help you, please go on.")
RUDE = ("You are a useless fool, go away.", "Stop wasting my time, you lazy idiot.")
LAST = 3


@pytest.fixture(scope="module")
def captured() -> Session:
    """`tiny` with two concepts at the last layer. Tests that change it go back."""
    session = Session("tiny")
    for text in POLITE:
        session.capture(LAST, "polite", text)
    for text in RUDE:
        session.capture(LAST, "rude", text)
    return session


# ------------------------------------------------------------------------------------------ separability


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), gap=st.floats(0, 6), dim=st.integers(1, 8))
def test_separability_depends_on_distances_alone_and_is_symmetric(seed: int, gap: float, dim: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(12, dim, generator=generator, dtype=torch.float64)
    b = torch.randn(20, dim, generator=generator, dtype=torch.float64)
    b[:, 0] += gap
    rotation = torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=torch.float64))[0]
    found = separability(a, b)
    assert separability(b, a) == pytest.approx(found)
    assert separability(3 * (a @ rotation) + 1, 3 * (b @ rotation) + 1) == pytest.approx(found)
    assert 0 <= found[1] <= 1


def test_separability_does_not_flatter_small_samples() -> None:
    """In many dimensions two small samples of one cloud differ in their means; no state may be judged by a mean
    it is part of, or they would seem far apart."""
    generator = torch.Generator().manual_seed(0)
    found = [separability(*torch.randn(2, 8, 200, generator=generator).unbind()) for _ in range(20)]
    assert abs(sum(d for d, _ in found) / 20) < 1
    assert 0.3 < sum(accuracy for _, accuracy in found) / 20 < 0.7
    far = torch.randn(8, 200, generator=generator)
    assert separability(far + 5, torch.randn(8, 200, generator=generator))[1] == 1.0


# --------------------------------------------------------------------------------------------- capturing


def test_positions_are_the_states_of_one_pass(captured: Session) -> None:
    text = captured.text
    said = "Thank you so much"
    opening, inside = text.prompt_ids(text.choosing_prompts[0]), text.encode(said)
    states = text.forward(torch.tensor([opening + inside])).states[LAST][0, len(opening) :]
    for position, expected in (("last", states[-1]), ("mean", states.mean(0)), ("so", states[2])):
        found = text_states(text, [said], LAST, position)[0]
        assert torch.allclose(found, expected, atol=1e-5), position
    assert torch.equal(text_states(text, [said], LAST, "decision"), decision_states(text, [said], LAST))


@pytest.mark.parametrize("position", ["pleasure", "two words", ""])
def test_a_position_that_is_no_token_of_the_text_is_refused(captured: Session, position: str) -> None:
    before = captured.state
    with pytest.raises(ElError) as caught:
        captured.capture(LAST, "other", "Thank you so much", position=position)
    assert caught.value.code == "EL201"
    assert captured.state is before


def test_what_chooses_never_measures(captured: Session) -> None:
    text = captured.text
    assert not set(text.choosing_prompts) & set(text.measuring_prompts)
    assert set(text.choosing_prompts) | set(text.measuring_prompts) == set(text.neutral_prompts)
    windows, first, second = text.windows(), text.choosing_windows(), text.measuring_windows()
    assert torch.equal(torch.cat((first, second)), windows)
    assert min(len(first), len(second)) > 10


@pytest.mark.slow
def test_the_automatic_layer_carries_most_and_states_that_say_nothing_new_carry_nothing() -> None:
    session = Session("tiny")
    info = session.capture("auto", "polite", POLITE[0])
    assert [fit.layer for fit in info.fits] == [0, 1, 2, 3]
    assert [fit.chosen for fit in info.fits].count(True) == 1
    assert info.layer == max(info.fits, key=lambda fit: fit.carried).layer
    # a single neutral state may lead to a polite reply, as one reply in five is; neutral states on the whole do not
    carried = [
        likelihoods.carried(session.text, LAST, POLITE, state)
        for state in neutral_states(session.text, LAST)[::4]
    ]
    assert abs(sum(carried) / len(carried)) < 0.15 < 0.35 < info.fits[LAST].carried
    again = session.capture("auto", "polite", POLITE[1])
    assert again.samples == 2
    for bad in ((0, None), ("auto", "last")):
        with pytest.raises(ElError) as caught:
            session.capture(bad[0], "polite", POLITE[1], position=bad[1])
        assert caught.value.code == "EL511"
    assert session.inject_concept("auto", "polite", method="redirect", dose=0.2).layer == info.layer


# ----------------------------------------------------------------------------------------------- writing


@pytest.mark.slow
def test_an_aimed_edit_is_a_function_of_the_session_and_does_what_it_is_for(captured: Session) -> None:
    concept, text = captured.state.concepts["polite"], captured.text
    first, second = (aimed(captured, concept, None, 1.0, dose=1.0).draft.proposal for _ in range(2))
    assert first is not None
    assert second is not None
    assert torch.equal(first.factors.left, second.factors.left)
    weight = captured.weight(captured.staged(LAST))
    changed = Change(weights={LAST: first.factors.added_to(weight)})
    gain = likelihoods.concept_log_prob(text, POLITE, change=changed) - likelihoods.concept_log_prob(
        text, POLITE
    )
    assert float(gain.mean()) > 0


@pytest.mark.slow
@pytest.mark.parametrize("make", [redirected, aimed])
def test_controls_have_the_norm_of_the_edit_and_the_random_ones_its_key(captured: Session, make) -> None:  # type: ignore[no-untyped-def]
    concept = captured.state.concepts["polite"]
    candidate = make(captured, concept, 0.3, 1.0)
    factors = candidate.draft.proposal.factors
    found = controls(captured, concept, factors, candidate.imitate)
    kinds = [control.kind for control in found]
    assert [kinds.count(kind) for kind in ("random", "other", "shuffled")] == [10, 1, 3]
    for control in found:
        assert control.factors.norm == pytest.approx(factors.norm, rel=1e-4)
        if control.kind == "random":
            cosine = torch.cosine_similarity(control.factors.right[:, 0], factors.right[:, 0], dim=0)
            assert float(cosine) == pytest.approx(1.0, abs=1e-5)
            assert not torch.allclose(control.factors.dense(), factors.dense(), atol=1e-3)


@pytest.mark.slow
def test_a_dose_over_the_budget_is_refused_with_its_figures(captured: Session) -> None:
    before = captured.state
    edit = captured.inject_concept(LAST, "polite", method="redirect", dose=1.5, damage=0.0)
    assert not edit.applied
    assert "more than the budget" in edit.reason
    assert edit.effect is not None
    assert edit.norm > 0
    assert captured.state is before


@pytest.mark.slow
def test_the_effect_of_what_is_staged_is_the_effect_the_edit_reported(captured: Session) -> None:
    edit = captured.inject_concept(LAST, "polite", method="redirect", dose=0.3, damage=1.0)
    measured = captured.effect(LAST, "polite")
    captured.undo()
    assert edit.effect is not None
    for name in ("share_before", "share_after", "log_prob_after", "loss_change"):
        assert measured[name] == pytest.approx(edit.effect[name], abs=1e-6), name
    assert measured.controls[0].kind == "random"
    with pytest.raises(ElError) as caught:
        captured.effect(LAST, "polite")
    assert caught.value.code == "EL513"


@pytest.mark.slow
def test_removing_a_concept_makes_its_texts_less_likely_and_undo_brings_them_back(
    captured: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer_random_edits(monkeypatch)
    original = captured.live_hash()
    edit = captured.remove_concept(LAST, "rude")
    captured.apply(LAST)
    assert captured.live_hash() != original
    assert edit.effect is not None
    assert edit.effect.share_after is not None
    assert edit.effect.share_before is not None
    assert edit.effect.share_after <= edit.effect.share_before
    assert any("the basin in which the concept settles" in note for note in edit.notes)
    captured.undo()
    captured.undo()
    assert captured.live_hash() == original


# ---------------------------------------------------------------------------------------------- steering


@pytest.mark.slow
def test_steering_leaves_the_model_alone_and_orders_its_strengths(captured: Session) -> None:
    hashes = captured.live_hash(), captured.staged_hash()
    found = captured.steer(LAST, "polite", strengths=[0.2, 0.05], damage=1.0)
    assert (captured.live_hash(), captured.staged_hash()) == hashes
    assert [step.strength for step in found.steps] == [0.05, 0.2]
    assert found.best == 0.2
    assert found.steps[0].log_prob != found.steps[1].log_prob
    for bad in ([], [2e6], [True], ["much"]):
        with pytest.raises(ElError):
            captured.steer(LAST, "polite", strengths=bad)


# ------------------------------------------------------------------------------------- redirecting basins


def test_a_basin_redirected_at_full_dose_arrives() -> None:
    session = Session("planted:64x6")
    found = session.survey(0)
    first = found.basins[0]
    other = next(basin for basin in found.basins[1:] if basin.id != first.mirror)
    edit = session.redirect(first, to=other, dose=1.0, force=True, reason="the law of the full dose")
    assert edit.arrived == 1.0
    assert session.staged_hash() != session.live_hash()
    session.undo()
    assert session.staged_hash() == session.live_hash()


def test_a_basin_is_not_redirected_to_itself_nor_to_nowhere() -> None:
    session = Session("planted:64x6")
    mirror = session.survey(0).basins[0].mirror
    for to, code in (("L0.B0", "EL510"), (f"L0.B{mirror}", "EL510"), (7, "EL201")):
        with pytest.raises(ElError) as caught:
            session.redirect("L0.B0", to=to)
        assert caught.value.code == code


def test_every_position_is_named_where_one_is_wrong(captured: Session) -> None:
    with pytest.raises(ElError) as caught:
        captured.capture(LAST, "other", "Thank you", position="nowhere")
    assert all(position in (caught.value.hint or "") for position in POSITIONS)
