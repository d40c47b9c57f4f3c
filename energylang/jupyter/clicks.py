"""A figure as a widget: a click on a basin reads out its contexts. Needs anywidget and ipywidgets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import plotly.graph_objects as go

ASK = "Click a basin to read what settles there."


def widget(figure: go.Figure, contexts: Mapping[str, Sequence[str]]) -> Any:
    """The figure over a line of text. Raises ``ImportError`` where anywidget or ipywidgets are not installed."""
    import anywidget  # noqa: F401  # plotly's widget is one, and says so in its own words where it is missing
    import ipywidgets
    import plotly.graph_objects as go

    still = go.Figure(data=figure.data, layout=figure.layout)  # a widget plays no frames
    still.update_layout(updatemenus=[])
    drawn = go.FigureWidget(still)
    below = ipywidgets.HTML(ASK)
    for trace in drawn.data:
        if trace.customdata is not None:
            trace.on_click(_reader(below, contexts))
    return ipywidgets.VBox([drawn, below])


def _reader(below: Any, contexts: Mapping[str, Sequence[str]]) -> Callable[[Any, Any, Any], None]:
    def read(trace: Any, points: Any, state: Any) -> None:
        for index in points.point_inds[:1]:
            name = str(trace.customdata[index][3])
            below.value = read_out(name, contexts.get(name, ()))

    return read


def read_out(name: str, texts: Sequence[str]) -> str:
    """A basin's contexts as HTML."""
    rows = (
        "".join(f"<div>{escape(text)}</div>" for text in texts)
        or "<div>no token of the text settles here</div>"
    )
    return f"<b>{escape(name)}</b>{rows}"
