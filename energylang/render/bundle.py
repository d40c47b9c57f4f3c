"""A figure, or a result, in the forms among which a notebook chooses.

A figure is plotly's own data, which JupyterLab, Notebook 7 and VS Code draw themselves (their plotly extension comes
with plotly: no script is in the notebook, and no network is needed), and beside it the same figure as a still picture,
which is what everything else shows: a repository's page, an exported page, print. There is no HTML form, because it
would be shown in place of the picture where scripts are taken out. Numbers are rounded to what can be seen.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from energylang import results

from .page import CONFIG
from .still import WIDTH, plain, still

if TYPE_CHECKING:
    import plotly.graph_objects as go

PLOTLY = "application/vnd.plotly.v1+json"
_DIGITS = 5
_SCALE = 1.5


def of_figure(figure: go.Figure) -> dict[str, Any]:
    """A figure's forms; needs plotly and matplotlib."""
    name = " ".join(plain((figure.layout.title.text or "").split("<br>")[0]))
    return {
        PLOTLY: rounded({**figure.to_plotly_json(), "config": CONFIG}),
        "image/png": base64.b64encode(still(figure, scale=_SCALE)).decode("ascii"),
        "text/plain": f"<Picture: {name}>",
    }


def metadata() -> dict[str, Any]:
    """How large the picture is, in pixels of the page."""
    return {"image/png": {"width": WIDTH}}


def rounded(value: Any) -> Any:
    """Plain data with its fractions to a few digits; what is no number at all is ``None``, which JSON has."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    if hasattr(value, "to_plotly_json"):
        return rounded(value.to_plotly_json())
    return value


def of_result(value: Any) -> dict[str, Any] | None:
    """The forms of a result that is a picture (a map, a plot); ``None`` for others, and where what draws is missing."""
    try:
        if isinstance(value, results.LandscapeMap) and value.points:
            from .plots import map_figure

            return of_figure(map_figure(value)) if value.dims == 2 else None
        if isinstance(value, results.Plot):
            from .charts import figure

            return of_figure(figure(value))
    except ImportError:
        return None
    return None
