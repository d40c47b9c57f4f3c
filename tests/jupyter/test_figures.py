"""What figures are made of: nothing from elsewhere, a still picture beside each, one palette, names one can read."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("plotly", reason="figures need plotly: pip install 'energylang[notebook]'")
pytest.importorskip("matplotlib", reason="still pictures need matplotlib: pip install 'energylang[notebook]'")

import plotly.graph_objects as go

from energylang import ElError, Session, results
from energylang import jupyter as nb
from energylang.looking.maps import mapped
from energylang.render import palette
from energylang.render.bundle import PLOTLY, of_result, rounded
from energylang.render.labels import LOW, NARROW, Room, placed
from energylang.render.plots import map_figure
from energylang.render.still import plain, still

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
ELSEWHERE = re.compile(
    r"<(?:script|link|img|iframe)[^>]*(?:src|href)\s*=\s*[\"']?(?:https?:)?//", re.IGNORECASE
)


def map_of(count: int) -> results.LandscapeMap:
    """A map of basins that lie as the digits of roots do."""
    points = tuple(
        results.MapPoint(k, (k * 2**0.5) % 1, (k * 3**0.5) % 1, 0.0, count - k, -float(k % 17), 0.5)
        for k in range(count)
    )
    return results.LandscapeMap(2, "pca", 2, (0.5, 0.3), points, None, known=count, met=count)


@pytest.fixture(scope="module")
def pictures() -> dict[str, nb.Picture]:
    session = Session("planted:64x4")
    before = session.survey(0)
    made = {
        "landscape": nb.visualise_landscape(session, 0, n_probes=30),
        "survey": nb.plot_survey(before),
    }
    session.inject(0, 42)
    edges = (results.CausalEdge(0, 1, 0.4, True, 5.0, True), results.CausalEdge(1, 2, 0.9, False, 9.0, True))
    step = results.SteeringStep(0.2, None, None, None, None, -1.0, -2.0, 0.1, 9.0, 0.01, 0.0)
    return made | {
        "diff": nb.plot_diff(before, session.survey(0)),
        "causal": nb.plot_causal_graph(
            results.CausalGraph(0, 0.15, (0, 1, 2, 5), edges, 2, 0.2, 0, 3, 0.5, 0.01, 0.01, None)
        ),
        "dose": nb.plot_dose_response(results.Steering(2, "polite", None, -2.0, 0.02, 0.2, 10, 8, (step,))),
        "comparison": nb.plot_comparison({"a row": {"real": [1.0, 2.0], "control": [0.5]}}, "Beside"),
    }


# ------------------------------------------------------------------------------------------- nothing from elsewhere


def test_every_figure_has_a_still_picture_and_no_script(pictures: dict[str, nb.Picture]):
    for name, picture in pictures.items():
        found = picture.bundle()
        assert set(found) == {PLOTLY, "image/png", "text/plain"}, name
        assert base64.b64decode(found["image/png"]).startswith(b"\x89PNG\r\n"), name
        text = json.dumps(found, allow_nan=False)
        assert ("frames" in found[PLOTLY]) is (name == "landscape")
        assert "<script" not in text and "http" not in text and len(text) < 200_000, name


def test_a_saved_page_needs_no_network(pictures: dict[str, nb.Picture], tmp_path: Path):
    page = pictures["landscape"].save(tmp_path / "map.html").read_text(encoding="utf-8")
    assert "Plotly.newPlot" in page and ELSEWHERE.search(page) is None
    session = Session("planted:64x4")
    session.landscape(0, save=str(tmp_path / "own.html"))
    assert ELSEWHERE.search((tmp_path / "own.html").read_text(encoding="utf-8")) is None


def test_a_text_does_not_end_the_script_of_its_page(tmp_path: Path):
    picture = nb.Picture(go.Figure(), {"L0.B0": ["</script><b>here</b>"]})
    page = picture.save(tmp_path / "x.html").read_text(encoding="utf-8")
    assert "</script><b>here" not in page and "\\u003c/script>\\u003cb>here" in page


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_as_they_ran(path: Path):
    cells = [
        cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"
    ]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1)), (
        "run from top to bottom"
    )
    assert not [output for output in outputs if output["output_type"] == "error"]
    shown = [output["data"] for output in outputs if "data" in output]
    figures = [data for data in shown if PLOTLY in data]
    assert figures and all("image/png" in data and "text/html" not in data for data in figures)
    pages = ["".join(data["text/html"]) for data in shown if "text/html" in data]
    assert not [page for page in pages if "<script" in page or ELSEWHERE.search(page)]
    assert path.stat().st_size < 900_000


# ------------------------------------------------------------------------------------------- still pictures


def test_stills_have_the_size_that_is_asked_for_and_the_same_bytes(pictures: dict[str, nb.Picture]):
    from PIL import Image

    figure = pictures["dose"].figure
    first = still(figure, width=400, scale=1.0)
    assert first == still(figure, width=400, scale=1.0)
    with Image.open(io.BytesIO(first)) as image:
        assert image.size == (400, figure.layout.height)
    assert still(figure, "svg").startswith(b"<?xml") and still(figure, "pdf").startswith(b"%PDF")


def test_a_rare_colour_survives_in_a_still(pictures: dict[str, nb.Picture]):
    from PIL import Image

    figure = map_figure(map_of(172))
    figure.add_scatter(x=[0.5], y=[0.5], mode="markers", marker={"size": 14, "color": palette.ORANGE})
    with Image.open(io.BytesIO(still(figure))) as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 24)}
    wanted = tuple(bytes.fromhex(palette.ORANGE[1:]))
    assert min(max(abs(a - b) for a, b in zip(colour, wanted, strict=True)) for colour in colours) <= 6


def test_what_a_still_cannot_draw_is_said():
    for figure in (
        go.Figure(go.Heatmap(z=[[1]])),
        go.Figure(go.Scatter(x=[1], y=[1], mode="markers", marker={"symbol": "hourglass", "size": 3})),
        go.Figure(go.Scatter(x=[1], y=[1], fill="tozeroy")),
    ):
        with pytest.raises(ValueError, match="no still picture"):
            still(figure)
    with pytest.raises(ValueError, match="png, svg, pdf"):
        still(go.Figure(), "gif")


def test_tags_are_taken_out_of_texts():
    assert plain('a &lt; b<br><span style="x">c</span>') == ["a < b", "c"]


def test_numbers_are_rounded_to_what_can_be_seen():
    assert rounded({"x": [0.123456789, float("nan")], "n": 123456789, "t": ("a", 1.0)}) == {
        "x": [0.12346, None],
        "n": 123456789,
        "t": ["a", 1.0],
    }


# ------------------------------------------------------------------------------------------- colours


def test_colours_are_named_in_one_place():
    colour = re.compile(
        r"#[0-9A-Fa-f]{6}\b|['\"]#[0-9A-Fa-f]{3}['\"]|rgba?\(\d|[Vv]iridis|[Cc]ividis|[Pp]lasma\b"
    )
    files = [path for path in (ROOT / "energylang").rglob("*.py") if path.name != "palette.py"]
    assert len(files) > 100
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in files
        for match in colour.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not found


def test_quantities_grow_lighter_from_low_to_high():
    def light(colour: str) -> float:
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    steps = [light(colour) for colour in palette.DEPTHS]
    assert steps == sorted(steps) and all(0.15 < step < 0.6 for step in steps), "seen on black and on white"


def test_colours_of_a_terminal_s_map_reach_a_notebook():
    page = Session("planted:64x4").landscape(0)
    from energylang.render.html import to_html

    html = to_html(page).lower()
    assert sum(f"color:{colour.lower()}" in html for colour in palette.DEPTHS) >= 3


# ------------------------------------------------------------------------------------------- names


def boxes(figure: go.Figure, width: float, height: float, size: float = 11.0) -> list[tuple[float, ...]]:
    """Where the names of a map are written, in pixels of a plot so wide and high."""
    xs = [x for trace in figure.data for x in trace.x]
    ys = [y for trace in figure.data for y in trace.y]
    made = []
    for trace in figure.data:
        for x, y, text, side, marker in zip(
            trace.x, trace.y, trace.text, trace.textposition, trace.marker.size, strict=True
        ):
            if not text:
                continue
            across = (x - min(xs)) / (max(xs) - min(xs)) * width
            up = (y - min(ys)) / (max(ys) - min(ys)) * height
            middle = up + (1 if side == "top center" else -1) * (marker / 2 + 2 + size * 0.65)
            half = 0.6 * size * len(text) / 2
            made.append((across - half, middle - size * 0.6, across + half, middle + size * 0.6))
    return made


@pytest.mark.parametrize("count", [2, 40, 172, 600])
def test_names_do_not_lie_over_each_other(count: int):
    figure = map_figure(map_of(count))
    for width in (NARROW, 500.0, 1100.0):
        found = boxes(figure, width, LOW)
        assert len(found) >= min(count, 10)
        for (a, b, c, d), (e, f, g, h) in combinations(found, 2):
            assert not (a < g and e < c and b < h and f < d)


def test_names_go_to_those_that_come_first():
    texts, sides = placed(
        [(0, 0), (0.001, 0), (0.0, 0.001), (1, 1)], ["B0", "B1", "B2", "B3"], [2, 0, 1, 3], most=4
    )
    assert texts == ["B0", "", "B2", "B3"] and sides[2] == "top center" and sides[0] == "bottom center"
    assert placed([(0, 0), (1, 1)], ["B0", "B1"], [1, 0], most=1)[0] == ["", "B1"]
    assert Room([0], [0]).side(0, 0, "B0") is not None and placed([], [], [], most=3) == ([], [])


# ------------------------------------------------------------------------------------------- what one can do with them


@pytest.fixture(scope="module")
def spoken() -> tuple[Session, nb.Picture]:
    session = Session("tiny")
    return session, nb.visualise_landscape(session, 2, n_probes=20)


def test_pointing_at_a_basin_says_what_settles_there(spoken: tuple[Session, nb.Picture]):
    session, picture = spoken
    known = {f"L2.B{basin.id}": basin for basin in session.survey(2).basins}
    rows = [row for trace in picture.figure.data if trace.customdata is not None for row in trace.customdata]
    assert all("%{customdata[5]}" in trace.hovertemplate for trace in picture.figure.data if trace.customdata)
    told = {row[3]: " ".join(plain(row[5])) for row in rows if row[3] in known}
    assert len(told) > 50
    for name in ("L2.B0", "L2.B1", "L2.B2"):
        basin = known[name]
        for each in basin.top_tokens:
            assert f"“{each.token.strip() or '⏎'}” {each.score:.0%}" in told[name]
        assert f"[{basin.context.token}]" in told[name]
        assert f"[{basin.context.token}]" in picture.contexts[name][0]
    found = mapped(session, 2, 2, "pca", radii=False)
    assert [point.top_tokens[0].token for point in found.points[:3]] == [
        known[f"L2.B{point.id}"].top_tokens[0].token for point in found.points[:3]
    ]


def test_a_click_reads_out_contexts(spoken: tuple[Session, nb.Picture]):
    pytest.importorskip("anywidget", reason="clicks need anywidget: pip install 'energylang[widget]'")
    from plotly.callbacks import InputDeviceState, Points

    _, picture = spoken
    box = picture.clickable()
    drawn, below = box.children
    index = next(k for k, trace in enumerate(drawn.data) if trace.name == "basin")
    place = [row[3] for row in drawn.data[index].customdata].index("L2.B0")
    assert picture.contexts["L2.B0"][0] not in below.value
    drawn.data[index]._dispatch_on_click(
        Points(point_inds=[place], trace_name="basin", trace_index=index), InputDeviceState()
    )
    assert "L2.B0" in below.value and below.value.count("<div>") == len(picture.contexts["L2.B0"]) > 1


def test_without_the_widget_the_picture_stays(
    spoken: tuple[Session, nb.Picture], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    assert spoken[1].clickable() is spoken[1]
    assert "energylang[widget]" in capsys.readouterr().out


def test_probes_and_replies_move(spoken: tuple[Session, nb.Picture]):
    session, picture = spoken
    dots = picture.figure.data[-1]
    first, last = picture.figure.frames[0], picture.figure.frames[-1]
    assert list(last.data[0].x) == list(dots.x) != list(first.data[0].x)
    assert last.traces == (len(picture.figure.data) - 1,)
    reply = session.trace_generation("Hello", layer=2, tokens=5)
    figure = nb.visualise_trajectory(reply).figure
    whole = list(figure.data[0].y)
    assert [list(frame.data[0].y) for frame in figure.frames] == [whole[: k + 1] for k in range(len(whole))]
    assert figure.layout.updatemenus[0].buttons[0].method == "animate"


def test_maps_and_plots_are_figures_in_a_notebook():
    session = Session("planted:64x4")
    found = session.landscape(0)
    assert PLOTLY in found._repr_mimebundle_() and found._repr_html_() is None
    survey = session.survey(0)
    assert survey._repr_mimebundle_() == {} and "<table" in (survey._repr_html_() or "")
    assert of_result(SimpleNamespace()) is None


def test_there_is_something_to_compare():
    for nothing in ({}, {"a": {"b": []}}):
        with pytest.raises(ElError, match="nothing"):
            nb.plot_comparison(nothing, "x")
