"""One quantity, one name: the strength of an edit is ‖ΔW‖/‖W‖, and given back it makes the same edit."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from energylang import ElError, Session
from energylang.checker import check
from energylang.concepts.doses import dose_of
from energylang.concepts.methods import attractor, redirected
from energylang.landscape.layer import Landscape
from energylang.landscape.lowrank import LowRank, symmetric_pair
from energylang.landscape.solve import field_edit, norm_line
from energylang.results import Edit

LOOSE = "survey L0\nset max_changed 100%\n"
POLITE = 'capture L3 polite "Thank you so much"\ncapture L3 polite "I appreciate it"\n'


def weight(session: Session, layer: int) -> Tensor:
    return session.weight(session.staged(layer)).double()


def twice(session: Session, line: str, layer: int = 0) -> tuple[Edit, Edit, float]:
    """The edit a line makes, the edit its strength makes, and how far apart the two changes are, relatively."""
    force = ' force=true reason="for the law"'
    original = weight(session, layer)
    first = session.run(line + force)
    change = weight(session, layer) - original
    session.undo()
    assert torch.equal(weight(session, layer), original)
    second = session.run(f"{line} strength={first.strength!r}{force}")
    again = weight(session, layer) - original
    assert first.norm > 0 and first.strength == pytest.approx(
        float(change.norm() / original.norm()), rel=1e-4
    )
    return first, second, float((again - change).norm() / change.norm())


@pytest.mark.parametrize("model", ["planted:64x4", "planted:128x10", "random:48"])
@pytest.mark.parametrize(
    "line", ["inject L0 42", "inject L0 7", "remove L0.B1", "remove L0.B0", "move L0.B0 to=77"]
)
def test_the_strength_given_back_makes_the_same_edit(model: str, line: str) -> None:
    session = Session(model)
    session.run(LOOSE)
    first, second, apart = twice(session, line)
    assert apart < 1e-3 and second.strength == pytest.approx(first.strength, rel=1e-5)
    assert first.margin is not None and second.rank == first.rank


@pytest.mark.parametrize("line", ["inject L0 5", "remove L0.B1"])
@pytest.mark.parametrize("strength", [0.003, 0.04, 0.2, 0.7])
def test_any_strength_is_the_size_of_the_change(line: str, strength: float) -> None:
    session = Session("planted:64x4")
    session.run("survey L0")
    edit = session.run(f'{line} strength={strength} force=true reason="to see"')
    assert edit.strength == edit.relative_norm == pytest.approx(strength, rel=1e-5)
    assert edit.rank == session.diff(0).rank


def test_a_move_has_the_strength_asked_for_or_says_what_it_takes() -> None:
    session = Session("planted:64x4")
    session.run(LOOSE)
    edit = session.run('move L0.B0 to=77 strength=0.8 force=true reason="to see"')
    assert edit.strength == pytest.approx(0.8, rel=1e-5)
    session.undo()
    refused = session.run("move L0.B0 to=77 strength=0.001")
    assert not refused.applied and "of the weight" in refused.reason and refused.norm == 0.0


@pytest.mark.parametrize("word", ["strengthen", "weaken"])
def test_a_factor_is_a_factor(word: str) -> None:
    session = Session("planted:64x4")
    session.run(LOOSE)
    factor = 1.5 if word == "strengthen" else 0.8
    edit = session.run(f'{word} L0.B0 {factor} force=true reason="to see"')
    assert (edit.factor, edit.margin, edit.dose) == (factor, None, None)
    assert edit.strength == edit.relative_norm != factor


def test_what_one_line_moves_the_next_does_not_call_something_else() -> None:
    """``remove`` prints its own strength, consolidation the factor beside it."""
    session = Session("planted:64x4")
    session.run("survey L0\nset max_changed 50%")
    gone = session.run("remove L0.B0")
    assert gone.strength == gone.relative_norm > 0
    deeper = session.run("consolidate L0 1.02 0")
    assert deeper.factor == 1.02 and deeper.strength == deeper.relative_norm


@pytest.mark.parametrize(
    "line",
    [
        "inject L0 42",
        "remove L0.B1",
        "move L0.B0 to=77",
        "weaken L0.B0 0.9",
        "redirect L0.B0 to=L0.B2",
        "inject L0 42 strength=0.01",
    ],
)
@pytest.mark.parametrize("model", ["planted:64x4", "random:48"])
def test_an_edit_and_diff_count_the_same_rank(model: str, line: str) -> None:
    session = Session(model)
    session.run(LOOSE)
    if line.startswith("redirect") and model == "random:48":
        line = line.replace("L0.B2", "L0.B4")  # B2 is B0's mirror there
    edit = session.run(f'{line} force=true reason="to count"')
    assert edit.rank == session.diff(0).rank >= 1


def test_zero_weight_has_the_norm_of_the_identity() -> None:
    from energylang import BasinSurgeon

    surgeon = BasinSurgeon.from_W(torch.zeros(16, 16))
    edit = surgeon.inject(layer=0, seed=3, strength=0.5, force=True, reason="from nothing")
    assert edit.result.strength == pytest.approx(0.5, rel=1e-5)
    assert edit["W_after"].norm() == pytest.approx(0.5 * 4.0, rel=1e-4)


# --------------------------------------------------------------------------------------- doses


def test_a_redirect_s_dose_and_strength_are_two_names_of_one_change() -> None:
    session = Session("planted:64x4")
    session.run(LOOSE)
    for line in (
        "redirect L0.B0 to=L0.B2",
        "redirect L0.B0 to=L0.B2 dose=0.4",
        "redirect L0.B0 to=L0.B2 dose=1.4",
    ):
        edit = session.run(f'{line} force=true reason="to see"')
        change = weight(session, 0)
        session.undo()
        by_dose = session.run(f'redirect L0.B0 to=L0.B2 dose={edit.dose!r} force=true reason="to see"')
        assert torch.equal(weight(session, 0), change) and by_dose.dose == edit.dose
        session.undo()
        by_size = session.run(
            f'redirect L0.B0 to=L0.B2 strength={edit.strength!r} force=true reason="to see"'
        )
        assert by_size.dose == pytest.approx(edit.dose, rel=1e-4)
        assert torch.allclose(weight(session, 0), change, rtol=0, atol=1e-5)
        session.undo()


@pytest.fixture(scope="module")
def spoken() -> Session:
    session = Session("tiny")
    session.run(POLITE + "set max_changed 100%\nsurvey L3 inits=60")
    return session


@pytest.mark.slow
def test_a_concept_s_redirect_has_a_dose_and_a_strength(spoken: Session) -> None:
    concept = spoken.state.concepts["polite"]
    first = redirected(spoken, concept, None, 1.0, dose=0.3).draft.edit
    assert first.dose == 0.3 and first.strength == first.relative_norm
    second = redirected(spoken, concept, first.strength, 1.0).draft.edit
    assert second.dose == pytest.approx(0.3, rel=1e-4) and second.norm == pytest.approx(first.norm, rel=1e-4)


def test_a_concept_s_attractor_has_a_strength_that_can_be_given_back(spoken: Session) -> None:
    concept = spoken.state.concepts["polite"]
    first = attractor(spoken, concept, None, 1.0).draft
    assert first.proposal is not None and first.edit.dose is None
    second = attractor(spoken, concept, first.edit.strength, 1.0).draft
    assert second.proposal is not None and second.edit.rank == first.edit.rank
    change, again = first.proposal.factors.dense(), second.proposal.factors.dense()
    assert float((again - change).norm() / change.norm()) < 1e-3


def test_a_concept_s_basin_is_removed_by_a_strength_that_can_be_given_back(spoken: Session) -> None:
    first, _, apart = twice(spoken, "remove-concept L3 polite method=basin", 3)
    assert apart < 1e-3 and first.dose is None
    spoken.undo()


@given(st.integers(0, 10**6), st.floats(0.05, 6.0), st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_dose_of_a_norm_has_that_norm(seed: int, norm: float, longer: bool) -> None:
    """For a redirect (a value that gets longer above 1) and for a change that is only scaled."""
    left, value, query = torch.randn(
        3, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    whole = LowRank(left[:, None], query[:, None])
    dose = dose_of(whole, norm * whole.norm, value if longer else None)
    if dose <= 1 or not longer:
        made = whole.scaled(dose)
    else:
        made = LowRank((left + (dose - 1) * value)[:, None], query[:, None])
    assert made.norm == pytest.approx(norm * whole.norm, rel=1e-6)


@given(st.integers(0, 10**6), st.booleans(), st.floats(1.001, 5.0), st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_margin_of_a_norm_has_that_norm(seed: int, symmetric: bool, over: float, rising: bool) -> None:
    draw = torch.Generator().manual_seed(seed)
    raw = torch.randn(14, 14, generator=draw, dtype=torch.float64)
    landscape = Landscape((raw + raw.T) / 2 if symmetric else raw, 2.0, 3)
    state, along, safe = (torch.randn(n, 14, generator=draw, dtype=torch.float64) for n in (1, 1, 3))
    line = norm_line(landscape, state, torch.zeros_like(along), along, safe)
    least = line.norm(line.lowest)
    margin = line.at_norm(over * least, rising=rising)
    assert margin is not None and (margin >= line.lowest) == rising
    made = field_edit(landscape, state, margin * along, safe)
    assert made.norm == pytest.approx(over * least, rel=1e-6)
    assert line.at_norm(0.9 * least) is None


@given(st.integers(0, 10**6), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_the_true_rank_is_that_of_the_matrix(seed: int, columns: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, 10, columns, generator=draw, dtype=torch.float64)
    for factors in (
        LowRank(a, b),
        LowRank(a, b).joined(LowRank(-a, b)),
        symmetric_pair(a, a),
        symmetric_pair(a, b),
    ):
        expected = int(torch.linalg.matrix_rank(factors.dense(), rtol=1e-5, atol=1e-10))
        assert factors.true_rank == expected
        assert factors.true_rank <= factors.rank
    assert LowRank.zero(torch.zeros(5, 5)).true_rank == 0


@pytest.mark.parametrize(
    "line",
    [
        "inject-concept L3 polite 0.1 dose=0.5",
        "inject-concept L3 polite dose=0.5",
        "inject-concept L3 polite method=attractor dose=0.5",
        "remove-concept L3 polite method=basin dose=0.5",
        "redirect L3.B0 to=L3.B1 dose=1 strength=0.1",
        "inject L3 42 strength=0.1 noise=30%",
        "intervene L3.B0 clamp swap=L3.B1",
        "intervene L3.B0 amount=2",
    ],
)
def test_what_does_not_go_together_is_said_before_the_run_and_in_python(line: str) -> None:
    script = "load tiny\nsurvey L3\n" + POLITE + line + "\nundo\n"
    assert [item.code for item in check(script).diagnostics if item.is_error] == ["EL202"]
    session = Session("tiny")
    session.run(POLITE)
    with pytest.raises(ElError) as caught:
        session.inject_concept(3, "polite", strength=0.1, dose=0.5)
    assert caught.value.code == "EL202"


def test_a_setting_clashes_with_nothing() -> None:
    """``set strength`` is for edits that name no size of their own."""
    session = Session("planted:64x4")
    session.run("set strength 0.05\nsurvey L0\nset max_changed 100%")
    assert session.run("inject L0 42 noise=30%").margin is not None
    session.undo()
    edit = session.run('redirect L0.B0 to=L0.B2 dose=0.5 force=true reason="to see"')
    assert edit.dose == 0.5 and not math.isclose(edit.strength, 0.05)
