"""A figure as a still picture, without a browser: what plotly would draw, drawn by matplotlib.

A notebook that is read where no script runs (a repository's page, a printed page, an exported one) shows this. It knows
what ``plots`` and ``charts`` use of plotly: lines, markers, texts, bars and error bars, filled bands, arrows, a second
vertical axis, a colour bar, the legend. Anything else is a ``ValueError``, so that no part of a figure is left out
unnoticed. The same figure gives the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from html import unescape
from typing import TYPE_CHECKING, Any

from .palette import GREY, GRID, INK

if TYPE_CHECKING:
    import plotly.graph_objects as go

WIDTH = 820
"""Pixels across, where nothing else is asked for."""
KINDS = ("png", "svg", "pdf")
_POINT = 0.72  # of a pixel, at 100 pixels to the inch
_COLOURS = 200  # of a PNG: pictures of this kind have few, and the file is a third as large
_MARKS = {
    "circle": "o",
    "circle-open": "o",
    "square": "s",
    "diamond": "D",
    "star": "*",
    "x": "x",
    "triangle-up": "^",
    "triangle-down": "v",
    "cross": "P",
    "hexagon": "h",
}
_DASHES = {"solid": "-", "dot": ":", "dash": "--", "dashdot": "-."}
_SIDES = {
    "top center": (0, 1, "center", "bottom"),
    "bottom center": (0, -1, "center", "top"),
    "middle center": (0, 0, "center", "center"),
}


def still(figure: go.Figure, kind: str = "png", *, width: int = WIDTH, scale: float = 2.0) -> bytes:
    """A plotly figure as the bytes of a file; ``width`` in pixels, a PNG has ``scale`` times as many of its own.

    Raises ``ImportError`` without matplotlib, ``ValueError`` for another kind or a part that it cannot draw.
    """
    if kind not in KINDS:
        raise ValueError(f"a still picture is {', '.join(KINDS)}, not {kind}")
    import matplotlib
    from matplotlib.figure import Figure

    given = figure.to_dict()
    layout = given["layout"]
    height = layout.get("height") or 520
    settings: Any = {
        "svg.hashsalt": "energylang",
        "svg.fonttype": "none",
        "pdf.fonttype": 42,
        "font.family": "sans-serif",
        "font.size": 12 * _POINT,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": GREY,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with matplotlib.rc_context(settings):
        drawn = Figure(figsize=(width / 100, height / 100), dpi=100 * scale, layout="constrained")
        _draw(drawn, given["data"], layout)
        target = io.BytesIO()
        fixed = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}[kind]
        drawn.savefig(target, format=kind, metadata=fixed)
    return _small(target.getvalue()) if kind == "png" else target.getvalue()


def _small(data: bytes) -> bytes:
    """A PNG with a palette."""
    from PIL import Image

    target = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        image.convert("RGB").quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
            target, "PNG", optimize=True
        )
    return target.getvalue()


def plain(text: str) -> list[str]:
    """What plotly is given as text, line by line, without its tags."""
    return [unescape(re.sub(r"<[^>]+>", "", line)) for line in re.split(r"<br\s*/?>", text)]


def _draw(drawn: Any, traces: Sequence[Mapping[str, Any]], layout: Mapping[str, Any]) -> None:
    axes = drawn.subplots()
    other = axes.twinx() if "yaxis2" in layout else None
    entries: list[tuple[Any, str]] = []
    for trace in traces:
        on = other if trace.get("yaxis") == "y2" else axes
        kind = trace.get("type", "scatter")
        if kind == "scatter":
            _scatter(drawn, on, trace)
        elif kind == "bar":
            _bars(drawn, on, trace)
        else:
            raise ValueError(f"no still picture of a trace `{kind}`")
        if trace.get("name") and trace.get("showlegend", True):
            entries.append((_key(trace), "\n".join(plain(trace["name"]))))
    _axes(axes, layout, traces)
    if other is not None:
        title = layout["yaxis2"].get("title", {})
        other.set_ylabel(
            " ".join(plain(title.get("text", ""))), color=title.get("font", {}).get("color", INK)
        )
        other.spines["right"].set_visible(True)
    for note in layout.get("annotations", ()):
        _annotation(axes, note)
    for shape in layout.get("shapes", ()):
        if shape.get("type") != "line" or shape.get("yref") != "y domain":
            raise ValueError(f"no still picture of a shape `{shape.get('type')}`")
        axes.axvline(shape["x0"], **_line(shape.get("line", {})))
    title = plain(layout.get("title", {}).get("text", ""))
    large = sum(
        "<span" not in text for text in re.split(r"<br\s*/?>", layout.get("title", {}).get("text", ""))
    )
    drawn.suptitle(" ".join(title[:large]), x=0.01, ha="left", fontsize=15 * _POINT)
    if title[large:]:
        axes.set_title(" ".join(title[large:]), loc="left", fontsize=12 * _POINT)
    if entries and (len(entries) > 1 or layout.get("showlegend")):
        across = 1 if layout.get("legend", {}).get("orientation") == "v" else 3
        handles, names = zip(*entries, strict=True)
        drawn.legend(
            handles, names, loc="outside lower left", ncols=across, frameon=False, fontsize=10.5 * _POINT
        )  # fmt: skip


def _axes(axes: Any, layout: Mapping[str, Any], traces: Sequence[Mapping[str, Any]]) -> None:
    from matplotlib.ticker import ScalarFormatter

    across, up = layout.get("xaxis", {}), layout.get("yaxis", {})
    axes.set_axisbelow(True)
    if across.get("showgrid", True):
        axes.grid(visible=True, axis="x", color=GRID, linewidth=0.8)
    if up.get("showgrid", True):
        axes.grid(visible=True, axis="y", color=GRID, linewidth=0.8)
    axes.set_xlabel(" ".join(plain(across.get("title", {}).get("text", ""))))
    axes.set_ylabel(" ".join(plain(up.get("title", {}).get("text", ""))))
    if across.get("range"):
        axes.set_xlim(*across["range"])
    if up.get("range"):
        axes.set_ylim(*up["range"])
    if across.get("type") == "log":
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(ScalarFormatter())
    if up.get("tickvals") is not None:
        axes.set_yticks(up["tickvals"], ["\n".join(plain(text)) for text in up["ticktext"]])
    if across.get("visible") is False and up.get("visible") is False:
        axes.set_axis_off()
    if up.get("scaleanchor"):
        axes.set_aspect("equal")
    axes.margins(0.02 if any(trace.get("type") == "bar" for trace in traces) else 0.06)
    names = [label.get_text() for label in axes.get_xticklabels()]
    if len(names) > 16 and any(names):  # as plotly does: written upwards where they are many
        axes.tick_params(axis="x", rotation=90)


def _key(trace: Mapping[str, Any]) -> Any:
    """What stands for a trace in the legend."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    if trace.get("fill"):
        return Patch(facecolor=_colour(trace["fillcolor"]))
    marker, mode = trace.get("marker", {}), trace.get("mode", "lines")
    colour = marker.get("color", trace.get("line", {}).get("color", INK))
    if isinstance(colour, list | tuple):
        colour = GREY
    symbol = marker.get("symbol", "circle") if "markers" in mode else None
    look = _line(trace.get("line", {})) if "lines" in mode else {"linestyle": ""}
    return Line2D(
        [],
        [],
        **{"color": colour, **look},
        marker=_MARKS[symbol] if symbol else None,
        markersize=7 * _POINT,
        markerfacecolor="none" if symbol == "circle-open" else colour,
        markeredgecolor=colour,
    )


def _scatter(drawn: Any, axes: Any, trace: Mapping[str, Any]) -> None:
    mode = trace.get("mode", "lines")
    xs, ys = _gaps(trace.get("x") or ()), _gaps(trace.get("y") or ())
    opacity = trace.get("opacity", 1.0)
    if trace.get("fill") == "toself":
        axes.fill(xs, ys, facecolor=_colour(trace["fillcolor"]), edgecolor="none", zorder=1)
    elif trace.get("fill"):
        raise ValueError(f"no still picture of a filling `{trace['fill']}`")
    elif "lines" in mode:
        axes.plot(xs, ys, alpha=opacity, zorder=2, **_line(trace.get("line", {})))
    if "error_x" in trace or "error_y" in trace:
        spread = {f"{axis}err": trace[f"error_{axis}"]["array"] for axis in "xy" if f"error_{axis}" in trace}
        colour = trace.get("marker", {}).get("color", INK)
        axes.errorbar(xs, ys, fmt="none", ecolor=colour, elinewidth=1.2, capsize=2, **spread)
    if "markers" in mode:
        line = trace.get("line", {}).get("color", INK)
        _markers(drawn, axes, xs, ys, {"color": line, **trace.get("marker", {})}, opacity)
    if "text" in mode:
        _texts(axes, trace, xs, ys)


def _gaps(values: Sequence[Any]) -> list[Any]:
    return [float("nan") if value is None else value for value in values]


def _markers(
    drawn: Any, axes: Any, xs: list[Any], ys: list[Any], marker: Mapping[str, Any], opacity: float
) -> None:
    symbol = marker.get("symbol", "circle")
    if symbol not in _MARKS:
        raise ValueError(f"no still picture of a marker `{symbol}`")
    size = marker.get("size", 6)
    areas = (
        [(each * _POINT) ** 2 for each in size] if isinstance(size, list | tuple) else (size * _POINT) ** 2
    )
    edge = marker.get("line", {})
    look: dict[str, Any] = {"marker": _MARKS[symbol], "s": areas, "zorder": 3}
    look["alpha"] = opacity * marker.get("opacity", 1.0)
    colour = marker.get("color", INK)
    if symbol == "circle-open":
        axes.scatter(xs, ys, facecolors="none", edgecolors=colour, linewidths=1, **look)
        return
    if symbol != "x":
        look |= {"linewidths": edge.get("width", 0), "edgecolors": edge.get("color", "none")}
    if not (isinstance(colour, list | tuple) and "colorscale" in marker):
        axes.scatter(xs, ys, c=colour, **look)
        return
    dots = axes.scatter(
        xs, ys, c=colour, cmap=_map(marker), vmin=marker.get("cmin"), vmax=marker.get("cmax"), **look
    )
    if marker.get("showscale"):
        _scale(drawn, axes, dots, marker)


def _bars(drawn: Any, axes: Any, trace: Mapping[str, Any]) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    marker = trace.get("marker", {})
    colour, mapped = marker.get("color", INK), None
    heights = list(trace["y"])
    if isinstance(colour, list | tuple) and "colorscale" in marker:
        mapped = ScalarMappable(Normalize(min(colour), max(colour)), _map(marker))
        colour = [mapped.to_rgba(value) for value in colour]
    bars = axes.bar([str(x) for x in trace["x"]], heights, color=colour, width=0.8, zorder=2)
    for bar, hatch in zip(bars, marker.get("pattern", {}).get("shape", ()), strict=False):
        if hatch:
            bar.set_hatch("///")
            bar.set_edgecolor("white")
    if mapped is not None and marker.get("showscale"):
        _scale(drawn, axes, mapped, marker)


def _texts(axes: Any, trace: Mapping[str, Any], xs: list[Any], ys: list[Any]) -> None:
    from matplotlib.transforms import offset_copy

    font, marker = trace.get("textfont", {}), trace.get("marker", {})
    texts, sides = trace.get("text") or (), trace.get("textposition", "middle center")
    for k, (x, y, text) in enumerate(zip(xs, ys, texts, strict=True)):
        if not text:
            continue
        side = sides if isinstance(sides, str) else sides[k]
        if side not in _SIDES:
            raise ValueError(f"no still picture of a text at `{side}`")
        _, up, across, high = _SIDES[side]
        size = marker.get("size", 6)
        radius = (size[k] if isinstance(size, list | tuple) else size) / 2
        place = offset_copy(axes.transData, fig=axes.figure, y=up * (radius + 1) * _POINT, units="points")
        axes.text(
            x, y, text, transform=place, ha=across, va=high, zorder=4,
            fontsize=font.get("size", 11) * _POINT, color=font.get("color", INK),
        )  # fmt: skip


def _annotation(axes: Any, note: Mapping[str, Any]) -> None:
    if note.get("showarrow"):
        gap = note.get("standoff", 0) * _POINT
        axes.annotate(
            "", xy=(note["x"], note["y"]), xytext=(note["ax"], note["ay"]),
            arrowprops={
                "arrowstyle": "-|>", "color": note.get("arrowcolor", INK), "alpha": note.get("opacity", 1.0),
                "linewidth": note.get("arrowwidth", 1), "shrinkA": gap, "shrinkB": gap,
            },
        )  # fmt: skip
    else:
        across = note.get("xanchor", "left")
        place = axes.get_xaxis_transform()
        axes.text(
            note["x"], 0.02, f" {' '.join(plain(note['text']))} ", transform=place, ha=across, va="bottom"
        )


def _line(line: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "color": line.get("color", INK),
        "linewidth": line.get("width", 2) * _POINT,
        "linestyle": _DASHES[line.get("dash", "solid")],
    }


def _colour(text: str) -> Any:
    """A colour of CSS, ``rgba(…)`` among them, for matplotlib."""
    found = re.fullmatch(r"rgba\((\d+),\s*(\d+),\s*(\d+),\s*([\d.]+)\)", text)
    if found is None:
        return text
    red, green, blue, alpha = found.groups()
    return (int(red) / 255, int(green) / 255, int(blue) / 255, float(alpha))


def _map(marker: Mapping[str, Any]) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(
        "energies", [(place, colour) for place, colour in marker["colorscale"]]
    )


def _scale(drawn: Any, axes: Any, mapped: Any, marker: Mapping[str, Any]) -> None:
    bar = drawn.colorbar(mapped, ax=axes, fraction=0.03, pad=0.02, aspect=40)
    bar.outline.set_visible(False)
    bar.set_label(" ".join(plain(marker.get("colorbar", {}).get("title", {}).get("text", ""))))
