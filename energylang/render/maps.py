"""A map of a layer's basins as a file: an interactive page (plotly), or a picture (matplotlib)."""

from __future__ import annotations

import io
import math

from energylang import results

from .marks import known_basins, reach_of, starts_of
from .terrain import axis_names

OLD, NOT_MET = "#c4c4c4", "not met by a survey of the present weight"
"""How a basin is drawn and called that the last survey of the present weight did not meet."""

NAMED = 24  # basins whose names are written beside them


def page(found: results.LandscapeMap) -> bytes:
    """An interactive map that needs no network, as HTML; needs plotly."""
    import plotly.graph_objects as go

    figure, named = go.Figure(), _named(found)
    old, current = ([point for point in found.points if point.current is now] for now in (False, True))
    for points, name in ((old, NOT_MET), (current, "basins")):
        look = (
            {"color": OLD}
            if points is old
            else {
                "color": [point.energy for point in points],
                "colorscale": "Viridis",
                "showscale": True,
                "colorbar": {"title": "energy"},
            }
        )
        shared = {
            "x": [point.x for point in points],
            "y": [point.y for point in points],
            "mode": "markers+text",
            "name": name,
            "showlegend": bool(old),
            "text": [f"B{point.id}" if point.id in named else "" for point in points],
            "textposition": "top center",
            "marker": {"size": [8 + 3 * math.sqrt(point.population) for point in points], **look},
            "customdata": [
                [starts_of(point, found.surveyed), point.energy, reach_of(point), point.id]
                for point in points
            ],
            "hovertemplate": "B%{customdata[3]}<br>%{customdata[0]}<br>energy %{customdata[1]:.3f}"
            "<br>radius %{customdata[2]}<extra></extra>",
        }
        if points and found.dims == 3:
            figure.add_trace(go.Scatter3d(z=[point.z for point in points], **shared))
        elif points:
            figure.add_trace(go.Scatter(**shared))
    if old:
        figure.update_layout(legend={"orientation": "h"})
    titles = {f"{axis}axis_title": name for axis, name in zip("xy", axis_names(found), strict=True)}
    figure.update_layout({"scene": titles} if found.dims == 3 else titles)
    figure.update_layout(
        title=f"L{found.layer}: {known_basins(found)} ({found.method})", template="plotly_white"
    )
    text: str = figure.to_html(include_plotlyjs=True, full_html=True, div_id=f"landscape-L{found.layer}")
    return text.encode("utf-8", "replace")


def image(found: results.LandscapeMap) -> bytes:
    """The first two coordinates of a map, as PNG; needs matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5.5), dpi=130, layout="constrained")
    axes = figure.subplots()
    points = found.points
    old, current = ([point for point in points if point.current is now] for now in (False, True))
    for part in (old, current):
        drawn = axes.scatter(
            [point.x for point in part],
            [point.y for point in part],
            s=[20 + 12 * point.population for point in part],
            c=OLD if part is old else [point.energy for point in part],
            cmap=None if part is old else "viridis",
            alpha=0.8,
            label=NOT_MET if part is old else None,
        )
    named = _named(found)
    for point in (point for point in points if point.id in named):
        axes.annotate(f"B{point.id}", (point.x, point.y), fontsize=7, ha="center", va="bottom")
    if old:
        axes.legend(fontsize=7)
    axes.set_xlabel(axis_names(found)[0])
    axes.set_ylabel(axis_names(found)[1])
    axes.set_title(f"L{found.layer}: {known_basins(found)} ({found.method})")
    if current:
        figure.colorbar(drawn, label="energy")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _named(found: results.LandscapeMap) -> set[int]:
    """The basins whose names are written beside them: those of most starts, of this survey first."""
    order = sorted(found.points, key=lambda point: (not point.current, -point.population, point.id))
    return {point.id for point in order[:NAMED]}
