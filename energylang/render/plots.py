"""Figures for slides and notebooks, with plotly: one function per kind of result.

Colours: cividis for quantities (readable for every kind of colour vision), Okabe and Ito's palette for kinds; what a
colour says, a shape or a label says too. Every axis has a name and a unit. Nothing is computed here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from energylang import results

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from energylang.looking.probes import PlacedBasin, ProbeMap

BLUE, ORANGE, GREEN, SKY, GREY, INK = "#0072B2", "#D55E00", "#009E73", "#56B4E9", "#8A8A8A", "#222222"
SCALE = "Cividis"
_LARGEST_BASINS = 40
_STRONGEST_EDGES = 40


def _figure(title: str, x: str, y: str, *, width: int = 820, height: int = 520) -> go.Figure:
    import plotly.graph_objects as go

    figure = go.Figure()
    axis = {
        "showgrid": True,
        "gridcolor": "#ECECEC",
        "zeroline": False,
        "linecolor": GREY,
        "ticks": "outside",
    }
    figure.update_layout(
        template="plotly_white",
        width=width,
        height=height,
        title={"text": title, "x": 0.02, "font": {"size": 16}},
        font={"family": "Helvetica, Arial, sans-serif", "size": 13, "color": INK},
        margin={"l": 70, "r": 30, "t": 70, "b": 60},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 1.0, "xanchor": "right"},
        hovermode="closest",
    )
    figure.update_xaxes(title=x, **axis)
    figure.update_yaxes(title=y, **axis)
    return figure


def _size(share: float) -> float:
    """A marker whose area grows with a share."""
    return 7 + 46 * math.sqrt(max(0.0, share))


def landscape_figure(found: ProbeMap) -> go.Figure:
    """Basins on a map, energy as colour and size by how many probes end there, and the probes' ways."""
    names = ("first", "second")
    if found.explained is None:
        x, y = ("UMAP 1 (no unit)", "UMAP 2 (no unit)")
    else:
        x, y = (
            f"{name} principal component of the centres ({share:.0%} of variance)"
            for name, share in zip(names, found.explained, strict=True)
        )
    new = sum(basin.is_new for basin in found.basins)
    said = f" ({new} met by probes alone)" if new else ""
    said += f", {found.probes} probes"
    said += f", {found.to_zero} go to zero" if found.to_zero else ""
    said += f", {found.unsettled} do not settle" if found.unsettled else ""
    figure = _figure(f"L{found.layer}: {len(found.basins)} basins{said}", x, y)
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
    groups: list[tuple[str, list[Any], str]] = [
        ("basin", [b for b in plain if b.current], "circle"),
        (old, [b for b in plain if not b.current], "circle"),
        ("installed by an edit", [b for b in found.basins if b.installed and not b.is_concept], "diamond"),
        (f"where {found.concept} settles", [b for b in found.basins if b.is_concept], "star"),
    ]
    heights = [basin.energy for basin in found.basins]
    for name, basins, symbol in groups:
        if not basins:
            continue
        figure.add_scatter(
            x=[basin.x for basin in basins],
            y=[basin.y for basin in basins],
            mode="markers",
            name=name,
            marker={
                "symbol": symbol,
                "size": [_size(basin.share) + (9 if symbol == "star" else 0) for basin in basins],
                "color": GREY if name == old else [basin.energy for basin in basins],
                "cmin": min(heights),
                "cmax": max(heights),
                "colorscale": SCALE,
                "line": {
                    "color": ORANGE if symbol == "star" else "white",
                    "width": 2 if symbol == "star" else 0.7,
                },
                "showscale": name == groups[0][0],
                "colorbar": {"title": {"text": "energy (no unit)"}},
            },
            text=[
                "met by a probe alone" if basin.is_new else f"L{found.layer}.B{basin.id}" for basin in basins
            ],
            customdata=[[basin.share, basin.energy, basin.probes, _met(basin)] for basin in basins],
            hovertemplate="%{text}%{customdata[3]}<br>%{customdata[2]} probes (%{customdata[0]:.1%})"
            "<br>energy %{customdata[1]:.3f}<extra></extra>",
        )
    if found.concept_at is not None:
        figure.add_scatter(
            x=[found.concept_at[0]],
            y=[found.concept_at[1]],
            mode="markers+text",
            text=[str(found.concept)],
            textposition="top center",
            name=f"state of {found.concept}",
            marker={"symbol": "x", "size": 11, "color": ORANGE},
            hovertemplate=f"the state captured for {found.concept}<extra></extra>",
        )
    return figure


def _met(basin: PlacedBasin) -> str:
    """What there is to say about whether a survey met a basin."""
    if basin.is_new:
        return ", new: no survey met it"
    return "" if basin.current else ", not met by the last survey of the present weight"


def trajectory_figure(
    traces: Sequence[results.Trajectory], controls: Sequence[results.Trajectory]
) -> go.Figure:
    """Replies token by token: the energy at which each token comes to rest, and the basin it rests in."""
    layer = traces[0].layer
    figure = _figure(
        f"L{layer}: the way of a reply, token by token",
        "token of the reply (number)",
        "energy at rest (no unit)",
        width=920,
    )
    styles = [(BLUE, "circle"), (ORANGE, "square"), (GREEN, "diamond"), (SKY, "triangle-up")]
    for number, trace in enumerate(traces):
        colour, symbol = styles[number % len(styles)]
        label = " and ".join(trace.interventions) or "as it is"
        _way(figure, trace, f"{label}: “{_short(trace.text)}”", colour, symbol, dash="solid", named=True)
    for number, trace in enumerate(controls):
        label = " and ".join(trace.interventions)
        _way(
            figure,
            trace,
            f"control, {label}: “{_short(trace.text)}”",
            GREY,
            "circle-open",
            dash=("dot", "dash", "dashdot")[number % 3],
            named=False,
        )
    figure.update_layout(legend={"orientation": "v", "y": -0.2, "yanchor": "top", "x": 0, "xanchor": "left"})
    figure.update_layout(height=520 + 22 * (len(traces) + len(controls)))
    return figure


def _way(
    figure: go.Figure,
    trace: results.Trajectory,
    name: str,
    colour: str,
    symbol: str,
    *,
    dash: str,
    named: bool,
) -> None:
    figure.add_scatter(
        x=[k + 1 for k in range(len(trace.tokens))],
        y=[token.path.energies[-1] for token in trace.tokens],
        mode="lines+markers+text" if named else "lines+markers",
        text=[token.token.strip() or "⏎" for token in trace.tokens],
        textposition="top center" if symbol == "circle" else "bottom center",
        textfont={"size": 10, "color": colour},
        name=name,
        line={"color": colour, "dash": dash, "width": 2 if named else 1.2},
        marker={"symbol": symbol, "size": 8 if named else 6, "color": colour},
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


def _basin(layer: int, basin: int | None) -> str:
    return "no known basin" if basin is None else f"L{layer}.B{basin}"


def _short(text: str, most: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"


def survey_figure(survey: results.Survey) -> go.Figure:
    """The basins of a survey by tokens (in a model without text by starts), with the energy as colour."""
    shown = survey.basins[:_LARGEST_BASINS]
    rest = survey.num_basins - len(shown)
    more = f", the {len(shown)} largest are shown" if rest > 0 else ""
    figure = _figure(
        f"L{survey.layer}: {survey.num_basins} basins found, usage {survey.usage_entropy_nats:.2f} nats{more}",
        "basin",
        f"tokens that settle there (of {survey.token_states:,})"
        if survey.token_states
        else f"starts that settle there (of {survey.num_starts})",
    )
    what = "tokens" if survey.token_states else "starts"
    figure.add_bar(
        x=[f"B{basin.id}" for basin in shown],
        y=[basin.tokens if survey.token_states else basin.population for basin in shown],
        marker={
            "color": [basin.energy for basin in shown],
            "colorscale": SCALE,
            "colorbar": {"title": {"text": "energy (no unit)"}},
            "pattern": {"shape": ["" if basin.is_fixed_point else "/" for basin in shown]},
        },
        customdata=[[basin.energy, basin.stability, basin.residual] for basin in shown],
        hovertemplate=f"%{{x}}: %{{y}} {what}"
        + "<br>energy %{customdata[0]:.3f}<br>stability %{customdata[1]:.2f}"
        "<br>residual %{customdata[2]:.0e}<extra></extra>",
        showlegend=False,
    )
    figure.update_xaxes(showgrid=False)
    return figure


def diff_figure(before: results.Survey, after: results.Survey) -> go.Figure:
    """Two surveys of a layer: basins that are the same by lineage, lost ones and new ones."""
    old = {basin.id: basin for basin in before.basins}
    new = {basin.id: basin for basin in after.basins}
    both = sorted(old.keys() & new.keys())
    figure = _figure(
        f"L{before.layer}: {len(both)} basins met by both surveys, {len(old.keys() - new.keys())} only by the first, "
        f"{len(new.keys() - old.keys())} only by the second",
        "energy before (no unit)",
        "energy after (no unit)",
        width=680,
        height=640,
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
                [i, old[i].population if i in old else 0, new[i].population if i in new else 0] for i in ids
            ],
            hovertemplate=f"L{before.layer}.B%{{customdata[0]}}<br>%{{customdata[1]}} → %{{customdata[2]}} starts"
            "<extra></extra>",
        )
    return figure


_NODE = 24  # pixels


def causal_figure(graph: results.CausalGraph) -> go.Figure:
    """Basins on a circle; for the strongest edges an arrow from the basin that is knocked out to the one that moves."""
    drawn = sorted(graph.edges, key=lambda edge: -edge.drift)[:_STRONGEST_EDGES]
    more = f", {len(drawn)} strongest drawn" if len(drawn) < graph.num_edges else ""
    names = [*graph.basins]
    at = {
        basin: (math.cos(2 * math.pi * k / len(names)), math.sin(2 * math.pi * k / len(names)))
        for k, basin in enumerate(names)
    }
    figure = _figure(
        f"L{graph.layer}: {graph.num_edges} edges above {graph.threshold:g}{more} "
        f"(random edits move {graph.placebo_edges:.1f} pairs)",
        "",
        "",
        width=680,
        height=680,
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
        textfont={"size": 10, "color": "white"},
        marker={"size": _NODE, "color": [BLUE if degree[basin] else GREY for basin in names]},
        customdata=[[degree[basin]] for basin in names],
        hovertemplate="%{text}: %{customdata[0]} edges<extra></extra>",
        showlegend=False,
    )
    for label, colour in (("moves", BLUE), ("is no basin any more", ORANGE)):
        figure.add_scatter(x=[None], y=[None], mode="lines", line={"color": colour, "width": 3}, name=label)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    return figure


def dose_figure(steering: results.Steering) -> go.Figure:
    """Dose and response beside random fields of equal norm, and what each dose costs."""
    steps = steering.steps
    counted = all(step.share is not None and step.share_placebo is not None for step in steps)
    y = "share of replies" if counted else "log-probability of its texts (nats per token)"
    figure = _figure(
        f"L{steering.layer}: pushing towards {steering.concept}, beside {steering.placebos} random fields",
        "strength (multiples of the distance from neutral to the concept)",
        y,
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
        fillcolor="rgba(138,138,138,0.25)",
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
            "ticksuffix": " ",
        },
        margin={"l": 70, "r": 80, "t": 70, "b": 60},
    )
    if steering.best is not None:
        figure.add_vline(
            x=steering.best,
            line={"color": GREEN, "dash": "dash", "width": 1},
            annotation_text=f"largest within {steering.damage:.0%} damage",
            annotation_position="bottom right",
        )
    return figure
