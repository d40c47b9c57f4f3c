"""Counts are estimates: what a survey says of its own count, until when it draws, and what two surveys share."""

from __future__ import annotations

import pytest
import torch

from energylang.landscape.lineage import survivors
from energylang.looking import basins as observing
from energylang.session import Session
from energylang.workspace.named import keep_registry


@pytest.fixture
def session() -> Session:
    return Session("planted:128x10")


def naive(session: Session, seed: int) -> int:
    """How many basins a survey with this seed meets that were not known."""
    before = {basin.id for basin in session.staged(0).registry.alive()}
    session.survey(0, seed=seed)
    return len({basin.id for basin in session.staged(0).registry.alive()} - before)


def test_a_survey_says_what_its_count_is_worth(session: Session):
    found = session.survey(0)
    assert found.found_random == found.num_basins  # no other starts here
    counts = [basin.population for basin in found.basins]
    assert (found.singletons, found.doubletons) == (counts.count(1), counts.count(2))
    assert 0 < found.coverage_low <= found.coverage <= found.coverage_high <= 1
    assert found.num_basins <= found.estimate_low
    again = Session("planted:128x10").survey(0)
    assert again.to_dict(volatile=False) == found.to_dict(volatile=False)


def test_more_starts_find_more_and_cover_more(session: Session):
    some, more = session.survey(0, inits=50), session.survey(0, inits=3200)
    assert more.num_basins > some.num_basins and more.coverage > some.coverage
    if some.estimate_high is not None:
        assert some.estimate_low <= more.num_basins <= some.estimate_high


def test_the_coverage_is_the_share_of_other_starts_that_end_in_what_was_met(session: Session):
    """Another seed's starts are a sample that the estimate has not seen."""
    found = session.survey(0)
    known = observing.find_basins(session, 0, 200, 0, radius=False).centres
    other = observing.find_basins(session, 0, 4000, 99, radius=False)
    near = torch.nn.functional.normalize(other.centres, dim=1) @ torch.nn.functional.normalize(known, dim=1).T
    places = other.assignment[other.assignment >= 0]
    truth = float((near.amax(dim=1) > 0.95)[places].double().mean())
    assert found.coverage_low - 0.02 <= truth <= found.coverage_high + 0.02


def test_only_random_starts_are_the_sample(session: Session):
    before = session.survey(0)
    session.run("set max_changed 100%")
    assert session.inject(0, 42).applied
    found = observing.find_basins(session, 0, 200, 0, radius=False)
    counts = observing.random_population(found, 200)
    after = session.survey(0)
    assert after.installed_starts == 1
    assert int(counts.sum()) == int(found.population.sum()) - 1
    assert after.found_random == int((counts > 0).sum())
    assert after.singletons == int((counts == 1).sum())
    assert before.installed_starts == 0


def test_token_starts_are_another_sample():
    session = Session("tiny")
    found = session.survey(3, inits=60)
    assert found.token_starts > 0 and found.found_random < found.num_basins
    assert found.singletons <= found.found_random <= 60
    assert found.estimate_low >= found.num_basins


# ---------------------------------------------------------------------------------------------- until


def test_the_first_batch_is_the_plain_surveys(session: Session):
    plain = observing.survey_starts(session, 0, 37, 5)
    grown = observing.survey_starts(session, 0, 37, 5, doublings=2)
    assert len(grown) == 4 * 37
    assert torch.equal(grown[:37], plain)
    assert torch.equal(grown[:74], observing.survey_starts(session, 0, 37, 5, doublings=1))
    assert len(torch.unique(grown, dim=0)) == len(grown)


def test_until_reaches_the_coverage_or_says_so(session: Session):
    enough = session.survey(0, until=0.9, inits=50)
    assert enough.until_reached and enough.coverage >= 0.9 and enough.until == 0.9
    doubled = enough.inits // 50
    assert enough.inits == 50 * doubled and doubled & (doubled - 1) == 0
    if doubled > 1:  # it did not go on where it could have stopped
        half = observing.find_basins(session, 0, 50, 0, radius=False, doublings=doubled.bit_length() - 2)
        assert observing.counted(half, enough.inits // 2).coverage < 0.9
    never = session.survey(0, until=1.0, inits=1)
    assert never.inits <= 64
    assert never.until_reached == (never.coverage >= 1.0)


def test_until_that_holds_at_once_is_the_plain_survey(session: Session):
    plain = session.survey(0).to_dict(volatile=False)
    until = session.survey(0, until=0.01).to_dict(volatile=False)
    assert until.pop("until_reached") is True and plain.pop("until_reached") is None
    assert until.pop("until") == 0.01 and plain.pop("until") is None
    assert until == plain


def test_until_is_a_share(session: Session):
    from energylang.errors import ElError

    with pytest.raises(ElError) as raised:
        session.survey(0, until=95)
    assert raised.value.code == "EL206"


# ---------------------------------------------------------------------------------------------- seeds


def test_one_seed_has_no_spread(session: Session):
    one = session.survey(0, inits=50)
    assert one.count_std is None and one.over_seeds is None


def test_seeds_are_compared_and_pooled(session: Session):
    found = session.survey(0, inits=100, seeds=4)
    seen = found.over_seeds
    assert found.count_std is not None and len(found.counts) == 4
    assert max(found.counts) <= seen.found <= sum(found.counts)
    assert seen.starts <= 400
    assert 0 < seen.overlap < 1
    assert seen.overlap == pytest.approx(seen.overlap_expected, abs=0.12)
    assert found.coverage_low - 0.1 <= seen.recaught <= found.coverage_high + 0.1
    assert seen.coverage > found.coverage  # four times the starts
    assert seen.estimate_low >= seen.found


def test_seeds_that_meet_everything_share_everything():
    session = Session("planted:64x1")
    found = session.survey(0, inits=100, seeds=3)
    seen = found.over_seeds
    assert (seen.overlap, seen.overlap_expected, seen.recaught) == (1.0, pytest.approx(1.0, abs=1e-6), 1.0)
    assert seen.found == found.num_basins == seen.estimate == seen.estimate_high


# ----------------------------------------------------------------------------------------------- diff


def test_a_tiny_edit_gains_and_loses_nothing(session: Session):
    session.survey(0)
    assert session.strengthen(0, "L0.B0", 1.0005).applied
    assert naive(session, seed=7) > 3  # what the lists alone would call gained
    found = session.diff(0)
    assert found.changed
    assert found.basins_gained == () and found.basins_lost == ()
    assert len(found.basins_met) > 3
    assert (found.null_gained, found.null_lost) == (0, 0)
    assert found.null_met > 3  # another survey of the unchanged weight would do the same


def test_what_an_edit_made_is_gained_and_what_it_ended_is_lost(session: Session):
    session.survey(0)
    session.run("set max_changed 100%")
    made = session.inject(0, 42)
    assert made.applied
    assert made.basin in session.diff(0).basins_gained
    removed = session.remove(0, "L0.B0")
    assert removed.applied and 0 in session.diff(0).basins_lost
    back = session.diff(0)
    known = {*back.basins_kept, *back.basins_lost}
    assert known == set(range(len(known)))  # every basin known before has one fate


def test_a_layer_that_was_first_surveyed_after_its_edit_has_gained_what_is_new(session: Session):
    session.run("set max_changed 100%")
    made = session.inject(0, 42)
    base = session.staged(0).root
    keep_registry(session, base, type(base.registry)(), surveyed=False)  # as if it had never been looked at
    session.survey(0)
    found = session.diff(0)
    old = session.landscape_of(0, base)
    for basin in session.staged(0).registry.alive():
        rests = survivors(old, basin.centre[None])[0]
        assert (basin.id in found.basins_met) == rests
        assert (basin.id in found.basins_gained) == (not rests)
    assert made.basin in found.basins_gained and len(found.basins_met) > 5
    assert found.null_met is None


def test_a_weight_beside_itself_has_everything_at_rest(session: Session):
    session.survey(0, seed=3)
    same = session.compare("planted:128x10", 0)
    assert same.rest_there == same.basins_here and same.rest_here == same.basins_there
    assert same.matched < same.basins_here  # two samples of one landscape
