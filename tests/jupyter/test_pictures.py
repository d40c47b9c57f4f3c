"""The figures: what they draw is what was found; axes are labelled; files are written."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("plotly", reason="the pictures need plotly: pip install 'energylang[notebook]'")

from energylang import BasinSurgeon, ElError, Session, results
from energylang import jupyter as nb
from energylang.looking.basins import known_basins


@pytest.fixture(scope="module")
def planted() -> BasinSurgeon:
    surgeon = BasinSurgeon.from_checkpoint("planted:64x4")
    surgeon.survey(0)
    return surgeon


def labelled(picture: nb.Picture) -> bool:
    layout = picture.figure.layout
    return all(axis.visible is False or axis.title.text for axis in (layout.xaxis, layout.yaxis))


def test_landscape(planted: BasinSurgeon):
    picture = nb.visualise_landscape(planted, layer=0, n_probes=80)
    ways, basins = picture.figure.data[0], picture.figure.data[1]
    count = known_basins(planted.session, 0).alive()
    assert len(basins.x) >= len(count) and list(ways.x).count(None) == 60 and labelled(picture)
    assert "zero" not in picture.figure.layout.title.text and "settle" not in picture.figure.layout.title.text
    assert sum(probes for _, _, probes, *_ in basins.customdata) == 80
    assert sum(share for share, *_ in basins.customdata) == pytest.approx(1.0)
    assert "80 probes" in picture.figure.layout.title.text and "%" in picture.figure.layout.xaxis.title.text


def test_ways_end_in_their_basins(planted: BasinSurgeon):
    from energylang.looking.probes import probe_map

    found = probe_map(planted.session, 0, n_probes=40)
    places = {basin.id: (basin.x, basin.y) for basin in found.basins}
    wide = max(abs(basin.x) for basin in found.basins)
    for way in found.ways:
        if way.basin is not None:
            assert way.x[-1] == pytest.approx(places[way.basin][0], abs=0.05 * wide)
    more = probe_map(planted.session, 0, n_probes=90)
    assert more.ways[:40] == found.ways or len(more.ways) > len(found.ways)


def test_landscape_says_what_is_wrong(planted: BasinSurgeon):
    for wrong in ({"dim_reduction": "tsne"}, {"n_probes": 0}, {"highlight_concept": "nobody"}):
        with pytest.raises(ElError):
            nb.visualise_landscape(planted, layer=0, **wrong)
    with pytest.raises(ElError, match="surgeon"):
        nb.visualise_landscape("tiny", layer=0)


def test_survey_and_diff_by_lineage():
    session = Session("planted:64x4")
    before = session.survey(0)
    session.inject(0, 42)
    after = session.survey(0)
    bars = nb.plot_survey(before)
    assert list(bars.figure.data[0].y) == [basin.population for basin in before.basins][:40] and labelled(
        bars
    )
    old, new = ({basin.id for basin in survey.basins} for survey in (before, after))
    picture = nb.plot_diff(before, after)
    counts = {trace.name.split(" (")[0]: len(trace.x) for trace in picture.figure.data}
    assert (
        counts["in both"] == len(old & new) and counts["only after"] == len(new - old) and labelled(picture)
    )
    with pytest.raises(ElError, match="Survey"):
        nb.plot_diff(before, session.status())


def test_causal_graph():
    edges = (
        results.CausalEdge(0, 1, 0.4, True, 5.0, True),
        results.CausalEdge(1, 2, 0.9, False, 9.0, True),
    )
    graph = results.CausalGraph(0, 0.15, (0, 1, 2, 5), edges, 2, 0.2, 0, 3, 0.5, 0.01, 0.01, None)
    picture = nb.plot_causal_graph(graph)
    arrows = picture.figure.layout.annotations
    assert len(arrows) == 2 and arrows[0].arrowcolor != arrows[1].arrowcolor
    assert list(picture.figure.data[0].text) == ["B0", "B1", "B2", "B5"] and labelled(picture)


@pytest.mark.parametrize("counted", [True, False])
def test_dose_response(counted: bool):
    share = 0.5 if counted else None
    step = results.SteeringStep(
        0.2, share, share and 0.2, share and 0.1, share and 3.0, -1.0, -2.0, 0.1, 9.0, 0.01, 0.0
    )
    steering = results.Steering(2, "polite", 0.2 if counted else None, -2.0, 0.02, 0.2, 10, 8, (step,))
    picture = nb.plot_dose_response(steering)
    line = picture.figure.data[2]
    assert list(line.x) == [0.0, 0.2] and list(line.y) == ([0.2, 0.5] if counted else [-2.0, -1.0])
    assert (
        "share" in picture.figure.layout.yaxis.title.text
        if counted
        else "nats" in str(picture.figure.layout.yaxis)
    )
    assert "%" in picture.figure.layout.yaxis2.title.text and labelled(picture)


def test_trajectories_stand_beside_their_controls():
    surgeon = BasinSurgeon.from_checkpoint("tiny")
    surgeon.survey(2)
    surgeon.batch_capture(2, "polite", ["Thank you so much"])
    number = surgeon.find_basin_neighbours(layer=2, concept="polite", top_k=1)[0]["id"]
    before = surgeon.trace_generation("Hello", layer=2, tokens=6)
    surgeon.intervene(layer=2, basin_id=number)
    after = surgeon.trace_generation("Hello", layer=2, tokens=6)
    picture = nb.visualise_trajectory([before, after], layer=2)
    assert len(picture.figure.data) == 2 + 3 and labelled(picture)  # two replies and three controls
    assert list(picture.figure.data[0].y) == [token.path.energies[-1] for token in before["tokens"]]
    assert sum("control" in trace.name for trace in picture.figure.data) == 3
    with pytest.raises(ElError):
        nb.visualise_trajectory([before], layer=1)
    surgeon.revert()


def test_saving(planted: BasinSurgeon, tmp_path: Path):
    picture = nb.visualise_landscape(planted, layer=0, n_probes=20)
    for kind, begins in (("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("PNG", b"\x89PNG")):
        assert picture.save(tmp_path / f"map.{kind}").read_bytes().startswith(begins)
    with pytest.raises(ElError, match="cannot draw"):
        picture.save(tmp_path / "map.doc")
    with pytest.raises(ElError, match="folder"):
        picture.save(tmp_path / "no" / "map.html")


@pytest.mark.slow
def test_umap_embeds_basins_and_ways_together(planted: BasinSurgeon):
    pytest.importorskip("umap", reason="UMAP needs umap-learn")
    picture = nb.visualise_landscape(planted, layer=0, dim_reduction="umap", n_probes=30)
    again = nb.visualise_landscape(planted, layer=0, dim_reduction="umap", n_probes=30)
    assert list(picture.figure.data[1].x) == list(again.figure.data[1].x)
