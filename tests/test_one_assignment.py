"""survey, landscape, explore, status and the picture of probes tell of the same basins, and their numbers add up."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from energylang import Session, results
from energylang.landscape.radius import radii
from energylang.looking import basins as observing
from energylang.looking.probes import probe_map
from energylang.signature.values import BasinRef
from energylang.work.overview import Overview
from energylang.workspace.named import centre_of

MODELS = ["planted:64x6", "random:24x2", "tiny"]


def numbers(points: tuple[results.MapPoint, ...]) -> dict[int, int]:
    return {point.id: point.population for point in points if point.current and point.population}


@pytest.mark.parametrize("model", MODELS)
def test_the_map_shows_the_last_survey_and_adds_up(model: str) -> None:
    session = Session(model)
    for seed, inits in ((0, 60), (1, 25)):
        survey = session.survey(0, inits=inits, seed=seed)
        looked = Overview(session, 0).map()
        assert numbers(looked.points) == {
            basin.id: basin.population for basin in survey.basins if basin.population
        }
        status = session.status().layers[0]
        assert status.met == survey.num_basins
        assert looked.known == len(looked.points) == status.basins - looked.minor
        assert looked.met == sum(point.current for point in looked.points) == survey.num_basins - looked.minor
        assert all(point.population == 0 for point in looked.points if not point.current)
        assert looked.num_starts is not None and looked.origin_population is not None
        counted = sum(point.population for point in looked.points)
        assert counted + looked.origin_population + (looked.unsettled or 0) == looked.num_starts
        for point in looked.points[:2]:
            facts = Overview(session, 0).facts(point.id)
            assert (facts.population, facts.current) == (point.population, point.current)


@pytest.mark.parametrize("model", MODELS)
def test_probes_are_assigned_as_a_survey_assigns_its_starts(model: str) -> None:
    session = Session(model)
    session.survey(0, inits=60)
    before = {basin.id for basin in observing.known_basins(session, 0).alive()}
    last = observing.known_basins(session, 0).last
    found = probe_map(session, 0, n_probes=90)
    assert sum(basin.probes for basin in found.basins) + found.to_zero + found.unsettled == 90
    assert {basin.id for basin in found.basins if basin.is_new} == (
        {basin.id for basin in found.basins} - before
    )
    assert observing.known_basins(session, 0).last == last, "a picture is no survey"
    assert {basin.id for basin in observing.known_basins(session, 0).alive()} == before, (
        "a look leaves no trace"
    )
    again = probe_map(session, 0, n_probes=90)
    assert [basin.probes for basin in again.basins] == [basin.probes for basin in found.basins]


def test_after_an_edit_numbers_are_those_before_it_until_the_next_survey() -> None:
    session = Session("planted:64x4")
    survey = session.survey(0)
    edit = session.inject(0, 42)
    assert edit.applied
    looked = Overview(session, 0).map()
    assert not looked.surveyed and looked.met == 0 and looked.num_starts is None
    assert session.status().layers[0].met is None
    assert not any(point.current for point in looked.points)
    was = {basin.id: basin.population for basin in survey.basins}
    for point in looked.points:
        assert point.population == was.get(point.id, 0), "a basin that an edit made has no starts yet"
    session.survey(0, seed=3)
    assert Overview(session, 0).map().surveyed
    session.undo()
    assert numbers(Overview(session, 0).map().points) == was


def test_what_survey_saw_is_kept_in_the_file_of_a_session(tmp_path: Path) -> None:
    session = Session("planted:64x4", base=tmp_path)
    session.survey(0, inits=30)
    session.survey(0, inits=10, seed=5)
    session.save("all.safetensors", session=True)
    again = Session(base=tmp_path)
    again.load("all.safetensors", session=True)
    one, two = (Overview(each, 0).map() for each in (session, again))
    assert one.points == two.points or [p.to_dict() for p in one.points] == [p.to_dict() for p in two.points]
    assert (one.met, one.known, one.num_starts) == (two.met, two.known, two.num_starts)


def test_radii_are_the_same_wherever_they_are_shown() -> None:
    session = Session("planted:64x6")
    survey = session.survey(0, inits=60, radius=True)
    points = {point.id: point for point in session.landscape(0).points}
    for basin in survey.basins:
        measured = (basin.radius, basin.radius_low, basin.radius_high, basin.radius_reached)
        point = points[basin.id]
        assert measured == (point.radius, point.radius_low, point.radius_high, point.radius_reached)
    facts = Overview(session, 0).facts(survey.basins[0].id)
    assert facts.radius == survey.basins[0].radius
    mirrors = {basin.id: basin for basin in survey.basins}
    pairs = [(basin, mirrors[basin.mirror]) for basin in survey.basins if basin.mirror is not None]
    assert pairs and all(one.radius == other.radius for one, other in pairs)
    again = session.survey(0, inits=60, seed=1, radius=True)
    for basin in again.basins:
        if basin.id in mirrors:
            assert basin.radius == mirrors[basin.id].radius


@pytest.mark.parametrize("model", MODELS)
def test_a_basin_that_verify_finds_has_a_stability_below_one(model: str) -> None:
    session = Session(model)
    survey = session.survey(0, inits=40)
    for basin in survey.basins[:6]:
        verdict = session.verify(0, basin)
        assert verdict.is_basin <= (verdict.stability < 1.0)
        assert verdict.stability == pytest.approx(basin.stability, abs=0.02)


def test_radii_of_tiny_agree_between_mirrors_and_seeds() -> None:
    session = Session("tiny")
    session.survey(0, inits=30)
    first = _measured(session)
    session.run("set seed 11")
    second = _measured(session)
    met = [
        first[id][0] <= second[id][1] and second[id][0] <= first[id][1] for id in first.keys() & second.keys()
    ]
    assert len(met) >= 20 and sum(met) >= 0.9 * len(met)


def _measured(session: Session) -> dict[int, tuple[float, float]]:
    """The intervals of the radii that a survey measures, by basin; the mirror images have the same radii."""
    survey = session.survey(0, inits=30, radius=True)
    measured = [basin for basin in survey.basins if basin.radius_low is not None]
    centres = torch.stack([centre_of(session, BasinRef(0, basin.id)) for basin in measured[:12]])
    mirrored = radii(session.landscape_of(0), -centres, session.generator("radius")).rows()
    assert [row[0] for row in mirrored] == [basin.radius for basin in measured[:12]]
    return {basin.id: (basin.radius_low or 0.0, basin.radius_high or 9.0) for basin in measured}
