"""The full-screen view, without a terminal: what is chosen, what keys propose, how it is drawn, what runs beside it."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from energylang import ElError, Session, results
from energylang.render.gallery import render
from energylang.render.terrain import MARGIN, Frame, depth, draw, glyph, legend, steps
from energylang.repl import journal
from energylang.repl.engine import Engine
from energylang.repl.explore import explore, view
from energylang.repl.explore.state import Exploration
from energylang.repl.explore.worker import Job, Worker
from energylang.work.overview import Overview


def point(id: int, x: float, y: float, population: int, energy: float) -> results.MapPoint:
    return results.MapPoint(id, x, y, 0.0, population, energy, 0.5)


def a_map(*points: results.MapPoint) -> results.LandscapeMap:
    return results.LandscapeMap(1, "pca", 2, (0.5, 0.25), points, None)


SQUARE = a_map(
    point(0, 0, 0, 9, -3.0), point(1, 4, 0, 1, -9.0), point(2, 0, 4, 4, -1.0), point(3, 4, 4, 2, -5.0)
)


def text_of(rows: list[list[tuple[str, str]]]) -> list[str]:
    return ["".join(letter for letter, _ in row) for row in rows]


# ----------------------------------------------------------------------------------------- the map


def test_a_map_puts_every_basin_at_its_place():
    width, height = 49, 13
    rows = draw(SQUARE.points, width, height, axes=("first", "second"))
    assert len(rows) == height and all(len(row) <= width for row in rows)
    top, bottom = rows[1], rows[height - 3]
    assert top[MARGIN][0] in "·•●" and top[width - 1][0] in "·•●", "the ends of the axes are basins"
    assert bottom[MARGIN] == ("●", "e3") and bottom[width - 1] == ("·", "e0")
    assert "second" in text_of(rows)[0] and "first" in text_of(rows)[-1]
    assert "4 ┤" in text_of(rows)[1] and "0 ┤" in text_of(rows)[height - 3]
    assert {"B0", "B2"} <= set(" ".join(text_of(rows)).replace("●", " ").replace("•", " ").split())


def test_the_chosen_basin_is_marked_and_named_even_where_others_stand():
    crowd = a_map(*(point(k, k % 3, k // 3, 5, -1.0) for k in range(9)))
    rows = draw(crowd.points, MARGIN + 3, 6, axes=("", ""), chosen=8)
    assert any(kind == "chosen" for row in rows for _, kind in row)


def test_of_basins_in_one_place_the_most_populated_is_drawn():
    rows = draw([point(0, 0, 0, 1, -1.0), point(1, 0, 0, 50, -2.0)], 40, 8, axes=("", ""))
    assert "●" in "".join(text_of(rows)) and "·" not in "".join(text_of(rows))


def test_frames_of_a_single_basin_and_scales():
    frame = Frame.around([point(0, 2.0, 3.0, 1, 0.0)], 11, 5)
    assert (frame.column(2.0), frame.row(3.0)) == (5, 2)
    assert [depth(e, [-2.0, 0.0]) for e in (-2.0, -1.0, 0.0)] == [0, 2, 4] and depth(1.0, [1.0]) == 2
    for most in (1, 2, 3, 9, 1000):
        limits = steps([1, most])
        assert glyph(1, limits) == "·" and (glyph(most, limits) == "●" or most <= 2)
        assert "starts" in "".join(letter for letter, _ in legend([point(0, 0, 0, most, 0.0)]))


def printed(value: object, *, color: bool) -> str:
    out = io.StringIO()
    Console(file=out, force_terminal=color, width=90, color_system="truecolor" if color else None).print(
        render(value)
    )
    return out.getvalue()


def test_landscape_prints_the_map_plain_in_a_pipe_and_in_colour_on_a_terminal():
    found = Session("planted:64x4").landscape(0)
    plain = printed(found, color=False)
    assert "\x1b" not in plain and max(map(len, plain.splitlines())) <= 90
    for words in ("20 basins, pca", "component 1 (", "of variance)", "starts", "energy", "radius", "B0"):
        assert words in plain
    assert "38;2;61;143;209" in printed(found, color=True), "the deepest basins are blue"
    for layer in (results.LandscapeMap(0, "pca", 2, (0.0, 0.0), (), None), a_map(point(0, 0, 0, 1, -1.0))):
        assert printed(layer, color=False)


# --------------------------------------------------------------------------------------- the state


def test_orders_and_moves():
    seen = Exploration(1, SQUARE)
    assert [p.id for p in seen.rows()] == [0, 2, 3, 1] and seen.chosen == 0
    seen.move(2)
    assert seen.chosen == 3
    seen.move(100)
    assert seen.chosen == 1
    seen.resort()
    assert seen.order == "energy" and [p.id for p in seen.rows()] == [1, 3, 0, 2] and seen.chosen == 1
    seen.beside(-1)
    assert seen.chosen == 0
    seen.beside(-1)
    assert seen.chosen == 0, "there is nothing further to the left"
    seen.beside(1)
    assert seen.chosen == 1
    for _ in seen.orders:
        seen.resort()
    assert seen.order == "energy"


def test_after_an_edit_the_chosen_basin_or_its_neighbour_is_chosen():
    seen = Exploration(1, SQUARE)
    seen.move(1)
    seen.take(a_map(*SQUARE.points[:3]))
    assert seen.chosen == 2
    seen.take(a_map(SQUARE.points[0], SQUARE.points[1]))
    assert seen.chosen == 1, "B2 was second in the list"
    seen.take(a_map())
    assert seen.chosen is None and seen.proposal("remove") is None and seen.rows() == []
    seen.move(1)
    seen.beside(1)


def test_every_proposal_is_a_statement_that_checks():
    session = Session("planted:64x4")
    session.survey(0)
    seen = Exploration(0, Overview(session, 0).map())
    for operation in ("strengthen", "weaken", "remove", "inject", "apply"):
        text = seen.proposal(operation)
        assert text is not None
        session.run(text)
    assert seen.proposal("inject", ("warm", "polite")) == "inject L0 @polite"


# ---------------------------------------------------------------------------------------- the view


@pytest.mark.parametrize("width", [80, 120])
def test_keys_and_help_fit_on_a_screen_of_80_columns(width: int):
    assert len(flat(view.keys(width))) <= width
    assert all(len(line) <= 80 for line in view.HELP.splitlines()) and len(view.HELP.splitlines()) <= 16


def flat(parts: object) -> str:
    return "".join(part[1] for part in parts)  # type: ignore[attr-defined]


def test_what_is_said_about_a_basin():
    session = Session("planted:64x4")
    session.survey(0)
    look = Overview(session, 0)
    seen = Exploration(0, look.map())
    assert "…" in flat(view.details(seen, 100, 8))
    seen.facts = look.facts(0)
    said = flat(view.details(seen, 100, 8))
    assert "radius" in said and "(attracts)" in said and "weights only" in said
    listed = flat(view.basins(seen, 10)).splitlines()
    assert len(listed) == 11 and listed[1].startswith("▸B0")
    assert "20 basins; by starts" in flat(view.header(seen, [("", "x"), ("", "▸ ")]))
    assert max(map(len, flat(view.terrain(seen, 60, 14)).splitlines())) <= 60
    with pytest.raises(ElError):
        look.facts(999)


def test_texts_that_settle_in_a_basin_are_shown_and_read_once():
    session = Session("tiny")
    session.survey(3)
    before = len(session.ledger.entries), session.state
    look = Overview(session, 3)
    seen = Exploration(3, look.map())
    facts = [look.facts(p.id) for p in seen.rows()[:4]]
    assert (len(session.ledger.entries), session.state) == before, "looking leaves no trace"
    assert any(f.meaning is not None and f.meaning.visits for f in facts)
    wanted = session.probe(3, f"L3.B{facts[0].id}", top=12)
    assert facts[0].meaning is not None and facts[0].meaning.to_dict() == wanted.to_dict()
    seen.facts = facts[0]
    said = flat(view.details(seen, 100, 8))
    assert "says" in said and "holds" in said and len(said.splitlines()) <= 8


# -------------------------------------------------------------------------------------- the worker


def test_the_worker_stops_what_runs_and_goes_on():
    worker, seen, begun = Worker(), [], threading.Event()

    def forever() -> None:
        begun.set()
        try:
            while True:
                time.sleep(0.001)
        except KeyboardInterrupt:
            seen.append("stopped")
            raise

    def wait(count: int) -> None:
        end = time.monotonic() + 300
        while len(seen) < count and time.monotonic() < end:
            time.sleep(0.005)

    worker.submit(Job(forever, yields=False))
    assert begun.wait(300)
    worker.submit(Job(lambda: seen.append("next"), yields=True))
    time.sleep(0.05)
    assert seen == [], "a statement does not give way"
    worker.stop()
    wait(1)
    assert seen == ["stopped"], "and what waited is forgotten"
    begun.clear()
    worker.submit(Job(forever, yields=True))
    assert begun.wait(300)
    worker.submit(Job(lambda: seen.append("after"), yields=False))
    wait(3)
    assert seen == ["stopped", "stopped", "after"]
    worker.close()
    assert not worker.busy


def test_exploring_needs_a_terminal_a_model_and_a_layer(tmp_path: Path):
    engine = Engine(journal.Journal(tmp_path, tmp_path), tmp_path)
    with pytest.raises(ElError, match="no model"):
        explore("explore L0", engine)
    engine.session().load("planted:64x4")
    for text, why in {"explore L9": "L9", "explore x y": "which", "explore polite": "no layer"}.items():
        with pytest.raises(ElError, match=why):
            explore(text, engine)
    with pytest.raises(ElError, match="terminal"):
        explore("explore", engine)


def test_a_layer_with_tokens_is_listed_by_them_first():
    points = tuple(
        results.MapPoint(k, float(k), 0.0, 0.0, population, -1.0, 0.5, tokens=tokens)
        for k, (population, tokens) in enumerate([(5, 0), (0, 7), (1, 9), (2, 0)])
    )
    seen = Exploration(3, results.LandscapeMap(3, "pca", 2, (0.5, 0.2), points, None))
    assert seen.by == "tokens" and [point.id for point in seen.rows()] == [2, 1, 0, 3]
    seen.resort()
    assert seen.by == "starts" and [point.id for point in seen.rows()] == [0, 3, 2, 1]
