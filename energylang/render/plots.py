"""Figures for slides and notebooks, with plotly: one function per kind of result.

Colours are those of ``palette``. Every axis has a name and a unit. Nothing is computed here. A figure has a height but
no width: it is as wide as there is room for, down to a telephone; what is written is folded for that. ``still`` draws
the same figures without a browser, and knows what is used here and no more.
"""

from __future__ import annotations

import math
import statistics
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from energylang import results
from energylang.diagnostics.visible import in_line

from .labels import Room, placed
from .marks import known_basins, reach_of, starts_of
from .palette import BLUE, GREEN, GREY, GRID, INK, KINDS, OLD, ORANGE, PAPER, SHADOW, SKY, scale
from .terrain import axis_names

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from energylang.looking.probes import PlacedBasin, ProbeMap, Way

_LARGEST_BASINS = 40
_STRONGEST_EDGES = 40
_NAMED = 24
"""Of a map at most so many basins have their names beside them, those that hold most."""
_TITLE, _NOTE, _AXIS, _HOVER, _ROW = 38, 56, 32, 52, 22
"""Letters to a line."""
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x", "star")
NOT_MET = "not met by a survey of the present weight"


def empty(title: str, x: str, y: str, *, note: str = "", height: int = 520) -> go.Figure:
    """An empty figure: the title says what it is, the note in smaller letters what goes with it."""
    import plotly.graph_objects as go

    figure = go.Figure()
    axis = {
        "showgrid": True,
        "gridcolor": GRID,
        "zeroline": False,
        "linecolor": GREY,
        "ticks": "outside",
        "automargin": True,
    }
    lines = textwrap.wrap(title, _TITLE)
    small = textwrap.wrap(note, _NOTE)
    words = "<br>".join(lines) + "".join(f'<br><span style="font-size:12px">{line}</span>' for line in small)
    figure.update_layout(
        template="none",
        height=height,
        autosize=True,
        paper_bgcolor=PAPER,
        plot_bgcolor=PAPER,
        title={
            "text": words,
            "x": 0,
            "xanchor": "left",
            "y": 1,
            "yanchor": "top",
            "pad": {"l": 12, "t": 18 if small else 12},
            "font": {"size": 16},
        },
        font={"family": "Helvetica, Arial, sans-serif", "size": 12, "color": INK},
        margin={"l": 50, "r": 16, "t": 32 + 20 * len(lines) + 17 * len(small), "b": 50},
        legend={
            "orientation": "h",
            "yref": "container",
            "y": 0.01,
            "yanchor": "bottom",
            "x": 0,
            "xanchor": "left",
        },
        hovermode="closest",
        hoverlabel={"align": "left"},
    )
    figure.update_xaxes(title={"text": _folded(x, _AXIS), "standoff": 8}, **axis)
    figure.update_yaxes(title={"text": _folded(y, _AXIS), "standoff": 8}, **axis)
    return figure


def _folded(text: str, letters: int) -> str:
    return "<br>".join(textwrap.wrap(text, letters))


def _bar(title: str) -> dict[str, Any]:
    """A colour bar that leaves a narrow page its room."""
    return {"title": {"text": title, "side": "right"}, "thickness": 10, "nticks": 5, "outlinewidth": 0}


def told(top_tokens: Iterable[results.TokenScore], context: results.Context | None) -> str:
    """What is read in a basin, as the last lines of what is said when one points at it: its tokens with their shares,
    and a context."""
    tokens = ", ".join(f"“{_word(each.token)}” {each.score:.0%}" for each in top_tokens)
    lines = [f"holds {tokens}"] if tokens else []
    if context is not None:
        lines.append(spoken(context))
    return "".join(f"<br>{line}" for text in lines for line in _marked(text).split("<br>"))


def spoken(context: results.Context) -> str:
    """A context in one line, its token in brackets."""
    return " ".join(f"… {context.before.strip()} [{context.token}] {context.after.strip()} …".split())


def _word(token: str) -> str:
    return token.strip() or "⏎"


def _marked(text: str) -> str:
    """A text for plotly, which reads tags: folded, and what would be a tag escaped."""
    return "<br>".join(escape(line, quote=False) for line in textwrap.wrap(in_line(text), _HOVER))


def _size(share: float) -> float:
    """A marker whose area grows with a share."""
    return 7 + 46 * math.sqrt(max(0.0, share))


def landscape_figure(found: ProbeMap) -> go.Figure:
    """Basins on a map, energy as colour and size by how many probes end there, and the probes' ways. ▶ lets the probes
    go their ways."""
    if found.explained is None:
        x, y = "UMAP 1 (no unit)", "UMAP 2 (no unit)"
    else:
        x, y = (f"component {k + 1} ({share:.0%} of variance)" for k, share in enumerate(found.explained))
    new = sum(basin.is_new for basin in found.basins)
    notes = [f"{found.probes} probes"]
    notes += [f"{new} basins met by probes alone"] if new else []
    notes += [f"{found.to_zero} go to zero"] if found.to_zero else []
    notes += [f"{found.unsettled} do not settle"] if found.unsettled else []
    figure = empty(f"L{found.layer}: {len(found.basins)} basins", x, y, note=", ".join(notes))
    line: dict[str, list[float | None]] = {"x": [], "y": []}
    for way in found.ways:
        line["x"] += [*way.x, None]
        line["y"] += [*way.y, None]
    figure.add_scatter(
        **line,
        mode="lines",
        line={"color": GREY, "width": 1},
        opacity=0.45,
        hoverinfo="skip",
        name=f"paths of {len(found.ways)} probes",
    )
    plain = [b for b in found.basins if not b.installed and not b.is_concept]
    old = "met neither by the last survey nor by a probe"
    groups: list[tuple[str, list[PlacedBasin], str]] = [
        ("basin", [b for b in plain if b.current], "circle"),
        (old, [b for b in plain if not b.current], "circle"),
        ("installed by an edit", [b for b in found.basins if b.installed and not b.is_concept], "diamond"),
        (f"where {found.concept} settles", [b for b in found.basins if b.is_concept], "star"),
    ]
    heights = [basin.energy for basin in found.basins]
    order = sorted(
        (k for k, basin in enumerate(found.basins) if not basin.is_new),
        key=lambda k: (not found.basins[k].is_concept, -found.basins[k].share, found.basins[k].id),
    )
    texts, sides = placed(
        [(basin.x, basin.y) for basin in found.basins],
        [f"B{basin.id}" for basin in found.basins],
        order,
        most=_NAMED,
        radii=[_size(basin.share) / 2 for basin in found.basins],
    )
    names = {basin.id: (text, side) for basin, text, side in zip(found.basins, texts, sides, strict=True)}
    for name, basins, symbol in groups:
        if not basins:
            continue
        figure.add_scatter(
            x=[basin.x for basin in basins],
            y=[basin.y for basin in basins],
            mode="markers+text",
            name=name,
            marker={
                "symbol": symbol,
                "opacity": 0.85,
                "size": [_size(basin.share) + (9 if symbol == "star" else 0) for basin in basins],
                "color": OLD if name == old else [basin.energy for basin in basins],
                "cmin": min(heights),
                "cmax": max(heights),
                "colorscale": scale(),
                "line": {
                    "color": ORANGE if symbol == "star" else PAPER,
                    "width": 2 if symbol == "star" else 0.7,
                },
                "showscale": name == groups[0][0],
                "colorbar": _bar("energy (no unit)"),
            },
            text=[names[basin.id][0] for basin in basins],
            textposition=[names[basin.id][1] for basin in basins],
            textfont={"size": 11},
            customdata=[
                [
                    basin.share,
                    basin.energy,
                    basin.probes,
                    "met by a probe alone" if basin.is_new else f"L{found.layer}.B{basin.id}",
                    _met(basin),
                    told(basin.top_tokens, basin.contexts[0] if basin.contexts else None),
                ]
                for basin in basins
            ],
            hovertemplate="%{customdata[3]}%{customdata[4]}<br>%{customdata[2]} probes (%{customdata[0]:.1%})"
            "<br>energy %{customdata[1]:.3f}%{customdata[5]}<extra></extra>",
        )
    if found.concept_at is not None:
        figure.add_scatter(
            x=[found.concept_at[0]],
            y=[found.concept_at[1]],
            mode="markers",
            name=f"state of {found.concept}",
            marker={"symbol": "x", "size": 11, "color": ORANGE},
            hovertemplate=f"the state captured for {found.concept}<extra></extra>",
        )
    _let_go(figure, found.ways)
    return figure


def _met(basin: PlacedBasin) -> str:
    """What there is to say about whether a survey met a basin."""
    if basin.is_new:
        return ", new: no survey met it"
    return "" if basin.current else ", not met by the last survey of the present weight"


_STEPS = 12  # of a probe's way, in an animation


def _let_go(figure: go.Figure, ways: Sequence[Way]) -> None:
    """Dots that go the probes' ways, step by step, when ▶ is pressed; at first they are where the ways end."""
    ways = [way for way in ways if way.x]
    if not ways:
        return
    figure.add_scatter(
        x=[way.x[-1] for way in ways],
        y=[way.y[-1] for way in ways],
        mode="markers",
        marker={"size": 4, "color": INK},
        opacity=0.7,
        hoverinfo="skip",
        showlegend=False,
        name="probes",
    )
    longest = max(len(way.x) for way in ways)
    steps = sorted({round(k * (longest - 1) / _STEPS) for k in range(_STEPS + 1)})
    at = [[min(step, len(way.x) - 1) for way in ways] for step in steps]
    frames = [
        [
            {
                "x": [way.x[k] for way, k in zip(ways, places, strict=True)],
                "y": [way.y[k] for way, k in zip(ways, places, strict=True)],
            }
        ]
        for places in at
    ]
    _animated(figure, frames, [len(figure.data) - 1], [str(step) for step in steps])


def _animated(
    figure: go.Figure, frames: Sequence[list[dict[str, Any]]], traces: list[int], names: list[str]
) -> None:
    """Let a figure play ``frames`` (what changes of the ``traces``), one after the other, at the press of a button."""
    figure.frames = [
        {"name": name, "data": data, "traces": traces} for name, data in zip(names, frames, strict=True)
    ]
    how = {"frame": {"duration": 350, "redraw": False}, "transition": {"duration": 0}}
    top = figure.layout.margin.t
    figure.update_layout(
        updatemenus=[
            {
                "type": "buttons",
                "direction": "left",
                "showactive": False,
                "x": 1.0,
                "xanchor": "right",
                "y": 1.0,
                "yanchor": "bottom",
                "pad": {"b": 4, "t": 0},
                "buttons": [
                    {"label": "▶ play", "method": "animate", "args": [None, {**how, "fromcurrent": False}]},
                    {
                        "label": "■ stop",
                        "method": "animate",
                        "args": [[None], {"mode": "immediate", "frame": {"duration": 0, "redraw": False}}],
                    },
                ],
            }
        ],
        margin={"t": top + 30},
    )


def map_figure(found: results.LandscapeMap) -> go.Figure:
    """The known basins of a layer on two (or three) coordinates: energy as colour, size by starts or tokens."""
    x, y = axis_names(found)
    figure = empty(f"L{found.layer}: {known_basins(found)}", x, y, note=f"map: {found.method}")
    points = found.points
    order = sorted(
        range(len(points)),
        key=lambda k: (not points[k].current, -points[k].tokens, -points[k].population, points[k].id),
    )
    most = max((max(point.population, point.tokens) for point in points), default=0) or 1
    sizes = [_size(max(point.population, point.tokens) / most / 2) for point in points]
    texts, sides = placed(
        [(point.x, point.y) for point in points],
        [f"B{point.id}" for point in points],
        order,
        most=_NAMED,
        radii=[size / 2 for size in sizes],
    )
    for current in (False, True):
        which = [k for k in order if points[k].current is current]
        if not which:
            continue
        shown = [points[k] for k in which]
        colour = {
            "color": [point.energy for point in shown],
            "colorscale": scale(),
            "showscale": True,
            "colorbar": _bar("energy (no unit)"),
        }
        shared = {
            "x": [point.x for point in shown],
            "y": [point.y for point in shown],
            "mode": "markers+text",
            "name": "basins" if current else NOT_MET,
            "showlegend": not all(point.current for point in points),
            "text": [texts[k] for k in which],
            "textposition": [sides[k] for k in which],
            "textfont": {"size": 11},
            "marker": {
                "size": [sizes[k] for k in which],
                "opacity": 0.85,
                "line": {"color": PAPER, "width": 0.7},
                **(colour if current else {"color": OLD}),
            },
            "customdata": [
                [
                    starts_of(point, found.surveyed),
                    point.energy,
                    reach_of(point),
                    f"L{found.layer}.B{point.id}",
                    f", {point.tokens} tokens" if point.tokens else "",
                    told(point.top_tokens, point.context),
                ]
                for point in shown
            ],
            "hovertemplate": "%{customdata[3]}<br>%{customdata[0]}%{customdata[4]}<br>energy %{customdata[1]:.3f}"
            "<br>radius %{customdata[2]}%{customdata[5]}<extra></extra>",
        }
        if found.dims == 3:
            figure.add_scatter3d(z=[point.z for point in shown], **shared)
        else:
            figure.add_scatter(**shared)
    if found.dims == 3:
        figure.update_layout(scene={"xaxis_title": x, "yaxis_title": y})
    return figure


def trajectory_figure(
    traces: Sequence[results.Trajectory], controls: Sequence[results.Trajectory]
) -> go.Figure:
    """Replies token by token: the energy at which each token comes to rest, and the basin it rests in. ▶ lets the
    replies come token by token."""
    layer = traces[0].layer
    entries = len(traces) + len(controls)
    figure = empty(
        f"L{layer}: the way of a reply, token by token",
        "token of the reply (number)",
        "energy at rest (no unit)",
        height=470 + 20 * entries,
    )
    styles = [(BLUE, "circle"), (ORANGE, "square"), (GREEN, "diamond"), (SKY, "triangle-up")]
    room = _room(traces)
    for number, trace in enumerate(traces):
        colour, symbol = styles[number % len(styles)]
        label = " and ".join(trace.interventions) or "as it is"
        _way(figure, trace, f"{label}: “{_short(trace.text)}”", colour, symbol, dash="solid", room=room)
    for number, trace in enumerate(controls):
        label = " and ".join(trace.interventions)
        _way(
            figure,
            trace,
            f"control, {label}: “{_short(trace.text)}”",
            GREY,
            "circle-open",
            dash=("dot", "dash", "dashdot")[number % 3],
            room=None,
        )
    figure.update_layout(legend={"orientation": "v"})
    rows = [[token.path.rest for token in trace.tokens] for trace in (*traces, *controls)]
    longest = max((len(row) for row in rows), default=0)
    if longest > 1:
        frames = [[{"y": row[:k]} for row in rows] for k in range(1, longest + 1)]
        names = [str(k) for k in range(1, longest + 1)]
        _animated(figure, frames, [*range(len(rows))], names)
    return figure


def _room(traces: Sequence[results.Trajectory]) -> Room | None:
    """The ground on which the tokens of replies are written, none over another."""
    every = [token.path.rest for trace in traces for token in trace.tokens]
    heights = [height for height in every if math.isfinite(height)]
    longest = max((len(trace.tokens) for trace in traces), default=0)
    return Room([1.0, float(longest)], heights) if heights else None


def _way(
    figure: go.Figure,
    trace: results.Trajectory,
    name: str,
    colour: str,
    symbol: str,
    *,
    dash: str,
    room: Room | None,
) -> None:
    heights = [token.path.rest for token in trace.tokens]
    said = [_word(token.token) for token in trace.tokens]
    sides = [
        None if room is None else room.side(k + 1.0, heights[k], said[k], radius=5, size=10)
        for k in range(len(said))
    ]
    figure.add_scatter(
        x=[k + 1 for k in range(len(trace.tokens))],
        y=heights,
        mode="lines+markers" if room is None else "lines+markers+text",
        text=[word if side else "" for word, side in zip(said, sides, strict=True)],
        textposition=[side or "top center" for side in sides],
        textfont={"size": 10, "color": colour},
        name=name,
        line={"color": colour, "dash": dash, "width": 1.2 if room is None else 2},
        marker={"symbol": symbol, "size": 6 if room is None else 8, "color": colour},
        customdata=[
            [
                token.token,
                "no known basin" if token.basin is None else f"L{trace.layer}.B{token.basin}",
                token.iterations,
            ]
            for token in trace.tokens
        ],
        hovertemplate="“%{customdata[0]}” in %{customdata[1]}<br>energy %{y:.3f}, %{customdata[2]} iterations"
        "<extra></extra>",
    )


def _short(text: str, most: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"


def survey_figure(survey: results.Survey) -> go.Figure:
    """The basins of a survey by tokens (in a model without text by starts), with the energy as colour."""
    shown = survey.basins[:_LARGEST_BASINS]
    rest = survey.num_basins - len(shown)
    more = f"; the {len(shown)} largest are shown" if rest > 0 else ""
    figure = empty(
        f"L{survey.layer}: {survey.num_basins} basins found",
        "basin",
        f"tokens that settle there (of {survey.token_states:,})"
        if survey.token_states
        else f"starts that settle there (of {survey.num_starts})",
        note=f"usage {survey.usage_entropy_nats:.2f} nats{more}",
        height=440,
    )
    what = "tokens" if survey.token_states else "starts"
    figure.add_bar(
        x=[f"B{basin.id}" for basin in shown],
        y=[basin.tokens if survey.token_states else basin.population for basin in shown],
        marker={
            "color": [basin.energy for basin in shown],
            "colorscale": scale(),
            "showscale": True,
            "colorbar": _bar("energy (no unit)"),
            "pattern": {"shape": ["" if basin.is_fixed_point else "/" for basin in shown]},
        },
        customdata=[
            [basin.energy, basin.stability, basin.residual, told(basin.top_tokens, basin.context)]
            for basin in shown
        ],
        hovertemplate=f"%{{x}}: %{{y}} {what}"
        + "<br>energy %{customdata[0]:.3f}<br>stability %{customdata[1]:.2f}"
        "<br>residual %{customdata[2]:.0e}%{customdata[3]}<extra></extra>",
        showlegend=False,
    )
    figure.update_xaxes(showgrid=False)
    return figure


def diff_figure(before: results.Survey, after: results.Survey) -> go.Figure:
    """Two surveys of a layer: basins that are the same by lineage, lost ones and new ones."""
    old = {basin.id: basin for basin in before.basins}
    new = {basin.id: basin for basin in after.basins}
    both = sorted(old.keys() & new.keys())
    figure = empty(
        f"L{before.layer}: {len(both)} basins met by both surveys",
        "energy before (no unit)",
        "energy after (no unit)",
        note=f"{len(old.keys() - new.keys())} met only by the first, {len(new.keys() - old.keys())} only by the second",
        height=560,
    )
    heights = [basin.energy for basin in (*before.basins, *after.basins)] or [0.0, 1.0]
    low, high = min(heights), max(heights)
    edge = low - 0.06 * ((high - low) or 1.0)
    figure.add_scatter(
        x=[low, high],
        y=[low, high],
        mode="lines",
        line={"color": GREY, "dash": "dot", "width": 1},
        name="unchanged",
        hoverinfo="skip",
    )
    kinds = [
        ("in both", both, BLUE, "circle"),
        ("only before", sorted(old.keys() - new.keys()), ORANGE, "x"),
        ("only after", sorted(new.keys() - old.keys()), GREEN, "diamond"),
    ]
    for name, ids, colour, symbol in kinds:
        figure.add_scatter(
            x=[old[i].energy if i in old else edge for i in ids],
            y=[new[i].energy if i in new else edge for i in ids],
            mode="markers",
            name=f"{name} ({len(ids)})",
            marker={
                "symbol": symbol,
                "color": colour,
                "opacity": 0.75,
                "size": [_size((new.get(i) or old[i]).fraction) for i in ids],
            },
            customdata=[
                [
                    i,
                    old[i].population if i in old else 0,
                    new[i].population if i in new else 0,
                    told((new.get(i) or old[i]).top_tokens, (new.get(i) or old[i]).context),
                ]
                for i in ids
            ],
            hovertemplate=f"L{before.layer}.B%{{customdata[0]}}<br>%{{customdata[1]}} → %{{customdata[2]}} starts"
            "%{customdata[3]}<extra></extra>",
        )
    return figure


_NODE = 22  # pixels


def causal_figure(graph: results.CausalGraph) -> go.Figure:
    """Basins on a circle; for the strongest edges an arrow from the basin that is knocked out to the one that moves."""
    drawn = sorted(graph.edges, key=lambda edge: -edge.drift)[:_STRONGEST_EDGES]
    more = f"; the {len(drawn)} strongest are drawn" if len(drawn) < graph.num_edges else ""
    names = [*graph.basins]
    at = {
        basin: (math.cos(2 * math.pi * k / len(names)), math.sin(2 * math.pi * k / len(names)))
        for k, basin in enumerate(names)
    }
    figure = empty(
        f"L{graph.layer}: {graph.num_edges} edges above {graph.threshold:g}",
        "",
        "",
        note=f"random edits move {graph.placebo_edges:.1f} pairs{more}",
        height=640,
    )
    for edge in drawn:
        (x0, y0), (x1, y1) = at[edge.source], at[edge.target]
        figure.add_annotation(
            x=x1,
            y=y1,
            ax=x0,
            ay=y0,
            standoff=_NODE / 2 + 1,  # pixels: from rim to rim
            startstandoff=_NODE / 2 + 1,
            xref="x",
            yref="y",
            axref="x",
            ayref="y",
            showarrow=True,
            arrowhead=2,
            arrowwidth=0.8 + 1.6 * min(1.0, edge.drift),
            arrowcolor=BLUE if edge.survived else ORANGE,
            opacity=0.7,
        )
    degree = {basin: sum(basin in (edge.source, edge.target) for edge in graph.edges) for basin in names}
    figure.add_scatter(
        x=[at[basin][0] for basin in names],
        y=[at[basin][1] for basin in names],
        mode="markers+text" if len(names) <= 60 else "markers",
        text=[f"B{basin}" for basin in names],
        textposition="middle center",
        textfont={"size": 9, "color": PAPER},
        marker={"size": _NODE, "color": [BLUE if degree[basin] else GREY for basin in names]},
        customdata=[[degree[basin]] for basin in names],
        hovertemplate="%{text}: %{customdata[0]} edges<extra></extra>",
        showlegend=False,
    )
    for label, colour in (("moves", BLUE), ("is no basin any more", ORANGE)):
        figure.add_scatter(x=[None], y=[None], mode="lines", line={"color": colour, "width": 3}, name=label)
    figure.update_xaxes(visible=False, range=[-1.15, 1.15])
    figure.update_yaxes(visible=False, range=[-1.15, 1.15], scaleanchor="x")
    return figure


def dose_figure(steering: results.Steering) -> go.Figure:
    """Dose and response beside random fields of equal norm, and what each dose costs."""
    steps = steering.steps
    counted = all(step.share is not None and step.share_placebo is not None for step in steps)
    y = "share of replies" if counted else "log-probability of its texts (nats per token)"
    figure = empty(
        f"L{steering.layer}: pushing towards {in_line(steering.concept)}",
        "strength (multiples of the distance from neutral to the concept)",
        y,
        note=f"beside {steering.placebos} random fields of equal norm",
    )
    doses = [0.0, *(step.strength for step in steps)]
    if counted:
        start = float(steering.share_before or 0.0)
        values = [start, *(float(step.share or 0.0) for step in steps)]
        middle = [start, *(float(step.share_placebo or 0.0) for step in steps)]
        spread = [0.0, *(float(step.share_placebo_std or 0.0) for step in steps)]
    else:
        start = steering.log_prob_before
        values = [start, *(step.log_prob for step in steps)]
        middle = [start, *(step.log_prob_placebo for step in steps)]
        spread = [0.0, *(step.log_prob_placebo_std or 0.0 for step in steps)]
    high = [m + s for m, s in zip(middle, spread, strict=True)]
    low = [m - s for m, s in zip(middle, spread, strict=True)]
    figure.add_scatter(
        x=[*doses, *doses[::-1]],
        y=[*high, *low[::-1]],
        fill="toself",
        fillcolor=SHADOW,
        mode="lines",
        line={"width": 0, "color": GREY},
        hoverinfo="skip",
        name="random fields, mean ± std",
    )
    figure.add_scatter(
        x=doses, y=middle, mode="lines", line={"color": GREY, "dash": "dash"}, showlegend=False, name="random"
    )
    figure.add_scatter(
        x=doses,
        y=values,
        mode="lines+markers",
        line={"color": BLUE, "width": 2.5},
        marker={"size": 9},
        name=steering.concept,
        customdata=[[0.0], *([step.loss_change] for step in steps)],
        hovertemplate="strength %{x:g}: %{y:.3f}<br>loss %{customdata[0]:+.2%}<extra></extra>",
    )
    figure.add_scatter(
        x=doses,
        y=[0.0, *(100 * step.loss_change for step in steps)],
        yaxis="y2",
        mode="lines+markers",
        line={"color": ORANGE, "dash": "dot"},
        marker={"symbol": "square", "size": 7},
        name="rise of the loss",
        hovertemplate="strength %{x:g}: loss %{y:+.2f} %<extra></extra>",
    )
    figure.update_layout(
        yaxis2={
            "title": {"text": "rise of the loss on held-out text (%)", "font": {"color": ORANGE}},
            "overlaying": "y",
            "side": "right",
            "showgrid": False,
            "zeroline": False,
            "tickmode": "auto",
            "automargin": True,
        },
    )
    if steering.best is not None:
        figure.add_vline(
            x=steering.best,
            line={"color": GREEN, "dash": "dash", "width": 1},
            annotation_text=f"largest within {steering.damage:.0%} damage",
            annotation_position="bottom right",
        )
    return figure


def comparison_figure(
    rows: Mapping[str, Mapping[str, Sequence[float]]], title: str, x: str, *, log: bool = False
) -> go.Figure:
    """What was measured beside its controls: for each row the mean of every column's values, with their standard
    deviation (one value: none)."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    several = any(len(values) > 1 for row in rows.values() for values in row.values())
    figure = empty(
        title,
        x,
        "",
        note="mean ± standard deviation" if several else "",
        height=170 + 50 * len(rows) + 14 * len(columns),
    )
    for number, column in enumerate(columns):
        colour = KINDS[number % len(KINDS)]
        here = [(place, row[column]) for place, row in enumerate(rows.values()) if column in row]
        shift = 0.5 * ((number + 1) / (len(columns) + 1) - 0.5)
        figure.add_scatter(
            x=[statistics.fmean(values) for _, values in here],
            y=[place + shift for place, _ in here],
            mode="markers",
            name=column,
            marker={"color": colour, "symbol": SYMBOLS[number % len(SYMBOLS)], "size": 9},
            error_x={
                "type": "data",
                "array": [statistics.stdev(values) if len(values) > 1 else 0.0 for _, values in here],
                "color": colour,
                "thickness": 1.4,
                "width": 3,
            },
            hovertemplate=f"{escape(column)}: %{{x:.3f}} ± %{{error_x.array:.3f}}<extra></extra>",
        )
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=[_folded(what, _ROW) for what in rows],
        range=[len(rows) - 0.5, -0.5],
        showgrid=False,
    )
    figure.update_layout(showlegend=True)
    if log:
        figure.update_xaxes(type="log")
    return figure
