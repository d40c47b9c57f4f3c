"""Identity over time: ids persist, are never reused, and say what an edit did."""

from __future__ import annotations

import torch

from energylang.landscape.dynamics import Landscape, LowRank, settle, stable_generator, starts
from energylang.landscape.edits import inject, remove
from energylang.landscape.lineage import Registry
from energylang.landscape.survey import BasinSet, survey

from .conftest import Planted


def look(layer: Landscape, key: object, n: int = 300) -> BasinSet:
    return survey(layer, starts(n, layer.dim, stable_generator("lineage", key), layer.weight))


def test_fresh_ids_count_up_in_order_of_population(planted: Planted) -> None:
    found = look(planted(64, 4)[0], 0)
    registry, ids = Registry().observe(found)
    assert ids == tuple(range(len(found)))
    assert [basin.population for basin in registry.basins] == found.population.tolist()
    assert torch.equal(registry.centres(), found.centres)
    assert Registry().centres().shape == (0, 0)
    assert registry.get(10**6) is None


def test_pitfall_6_ids_persist_over_surveys_with_other_starts(planted: Planted) -> None:
    layer, _ = planted(64, 4)
    first = look(layer, 0)
    registry, ids = Registry().observe(first)
    for key in range(1, 4):
        again = look(layer, key)
        registry, new_ids = registry.observe(again)
        for row, basin_id in zip(again.centres, new_ids, strict=True):
            known = (first.centres @ row) / (first.centres.norm(dim=1) * row.norm()) > 0.95
            if bool(known.any()):
                assert basin_id == ids[int(known.nonzero()[0])]
            else:
                assert basin_id >= len(first)
    everything = [basin.id for basin in registry.basins]
    assert everything == list(range(registry.next_id))


def test_observing_is_pure(planted: Planted) -> None:
    layer, _ = planted(64, 4)
    empty = Registry()
    one, _ = empty.observe(look(layer, 0))
    two, _ = one.observe(look(layer, 1))
    assert empty.basins == ()
    assert one.next_id == len(one.basins)
    assert two is not one


def test_removed_basins_are_lost_and_found_again(planted: Planted) -> None:
    layer, patterns = planted(64, 4)
    centres = settle(layer, 0.9 * patterns).states
    found = survey(layer, torch.cat((centres, -centres)))
    registry, ids = Registry().observe(found)
    victim = ids[0]
    mirror = ids[int(found.mirror[0])]
    proposal = remove(layer, found.centres[0], centres, generator=stable_generator(0))
    after, lineage = registry.after_edit(layer.edited(proposal.factors), edit_id=7)
    assert set(lineage.lost) == {victim, mirror}
    assert set(lineage.kept) | {i for i, _ in lineage.moved} == set(ids) - {victim, mirror}
    gone = after.get(victim)
    assert gone is not None
    assert (gone.status, gone.lost_by) == ("lost", 7)
    assert registry.get(victim).status == "alive"  # type: ignore[union-attr]
    assert victim not in {basin.id for basin in after.alive()}

    # A new basin gets a new id, although two ids are free; a lost one that comes back keeps its own.
    direction = torch.randn(64, generator=stable_generator("new")).double()
    edited = layer.edited(proposal.factors)
    fresh = inject(edited, direction, after.centres(), generator=stable_generator(1))
    _, new_ids = after.observe(survey(edited.edited(fresh.factors), fresh.target[None]))
    assert new_ids == (registry.next_id,)
    back, back_ids = after.observe(found)
    assert back_ids == ids
    revived = back.get(victim)
    assert revived is not None
    assert (revived.status, revived.lost_by) == ("alive", None)
    assert back.next_id == registry.next_id


def test_an_empty_edit_keeps_everything(planted: Planted) -> None:
    layer, _ = planted(64, 4)
    registry, ids = Registry().observe(look(layer, 0))
    same, lineage = registry.after_edit(layer.edited(LowRank.zero(layer.weight)), 1)
    assert lineage.kept == ids
    assert lineage.moved == ()
    assert lineage.lost == ()
    assert all(basin.drift < 1e-6 for basin in same.basins)
    assert Registry().after_edit(layer, 1)[1].kept == ()


def test_drift_is_measured_from_where_it_was_found(planted: Planted) -> None:
    layer, patterns = planted(64, 4)
    found = survey(layer, settle(layer, 0.9 * patterns).states)
    registry, ids = Registry().observe(found)
    nudge = torch.randn(64, 1, generator=stable_generator("nudge")).double()
    factors = LowRank(nudge, nudge).scaled(1.2 / float(nudge.norm()) ** 2)
    moved, lineage = registry.after_edit(layer.edited(factors), 1)
    assert set(lineage.kept) | {i for i, _ in lineage.moved} | set(lineage.lost) == set(ids)
    for basin in moved.alive():
        cosine = torch.cosine_similarity(basin.centre, basin.found_at, dim=0)
        assert abs(basin.drift - (1 - float(cosine))) < 1e-9


def test_two_basins_that_merge_leave_one(planted: Planted) -> None:
    layer, patterns = planted(64, 1)
    centre = settle(layer, 0.9 * patterns).states[0]
    kicked = centre.clone()
    kicked[0] = -kicked[0]  # cosine 0.97 to the centre: settles back onto it
    registry, _ = Registry().observe(survey(layer, centre[None]))
    (basin,) = registry.basins
    twin = type(basin)(**{**basin.__dict__, "id": 1, "centre": kicked, "found_at": kicked})
    _, lineage = Registry((basin, twin), 2).after_edit(layer, 3)
    assert lineage.kept == (0,)
    assert lineage.lost == (1,)
