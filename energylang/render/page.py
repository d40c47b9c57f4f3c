"""A figure as a page of its own, which needs no network: plotly's library is in it.

Where ``contexts`` are given, a click on a basin reads them out below the figure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from .palette import INK
from .still import plain

if TYPE_CHECKING:
    import plotly.graph_objects as go

_HEAD = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
    "<style>body{{font-family:Helvetica,Arial,sans-serif;font-size:14px;margin:0 auto;max-width:1100px;color:{ink}}}"
    "#read{{padding:0 16px 16px;line-height:1.5}}</style></head><body>\n"
)
_READ = """
const contexts = {contexts};
const place = document.createElement('div');
place.id = 'read';
place.textContent = 'Click a basin to read what settles there.';
document.getElementById('{plot_id}').after(place);
document.getElementById('{plot_id}').on('plotly_click', (event) => {
  const name = event.points.map((point) => point.customdata && point.customdata[3]).find((name) => name in contexts);
  if (name === undefined) return;
  const title = document.createElement('b');
  title.textContent = name;
  const rows = contexts[name].map((text) => {
    const row = document.createElement('div');
    row.textContent = text;
    return row;
  });
  place.replaceChildren(title, ...rows);
});
"""


CONFIG = {"responsive": True, "displaylogo": False, "modeBarButtons": [["toImage", "resetScale2d"]]}
"""How plotly shows a figure: as wide as there is room for, and with two small buttons that leave the title its room."""


def page(
    figure: go.Figure, *, name: str = "figure", contexts: Mapping[str, Sequence[str]] | None = None
) -> bytes:
    """A figure as HTML. ``contexts`` are texts by the basin's name, as it stands fourth in a point's ``customdata``."""
    script = None
    if contexts:
        said = json.dumps(contexts).replace("<", "\\u003c")  # nothing in a text ends the script
        script = _READ.replace("{contexts}", said)
    drawn: str = figure.to_html(
        include_plotlyjs=True,
        full_html=False,
        div_id=name,
        post_script=script,
        auto_play=False,
        config=CONFIG,
    )
    title = " ".join(plain((figure.layout.title.text or "Figure").split("<br>")[0]))
    text = _HEAD.format(title=escape(title), ink=INK) + drawn + "\n</body></html>\n"
    return text.encode("utf-8", "replace")
