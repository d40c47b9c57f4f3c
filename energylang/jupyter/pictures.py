"""Pictures for notebooks: each is shown at once and returned, so that it can be kept and written to a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energylang import results
from energylang.compat import BasinSurgeon
from energylang.errors import ElError
from energylang.files.storage import write_atomic
from energylang.looking.probes import probe_map
from energylang.results.answer import Answer
from energylang.session import Session

if TYPE_CHECKING:
    import plotly.graph_objects as go


class Picture:
    """A plotly figure (``figure``) that a notebook has shown already.

    ``save("x.html")`` writes a page that needs no network; ``.png``, ``.svg`` and ``.pdf`` need kaleido and a browser.
    """

    def __init__(self, figure: go.Figure) -> None:
        self.figure = figure

    def __repr__(self) -> str:
        return f"<Picture: {self.figure.layout.title.text}>"

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the picture; the kind is told by the path's ending."""
        target = Path(fspath(path)).expanduser()
        kind = target.suffix.removeprefix(".")
        if kind == "html":
            data = self.figure.to_html(include_plotlyjs=True, full_html=True).encode("utf-8", "replace")
        elif kind in ("png", "svg", "pdf"):
            try:
                data = self.figure.to_image(format=kind, scale=2 if kind == "png" else 1)
            except (ImportError, ValueError, RuntimeError) as error:
                raise ElError(
                    f"cannot draw {target.name}: {str(error).splitlines()[0]}",
                    code="EL504",
                    hint="pip install kaleido, which needs a browser; .html needs neither",
                ) from None
        else:
            raise ElError(f"cannot draw into {target}", code="EL504", hint="end the path in .html or .png")
        write_atomic(target, data)
        return target

    def bundle(self) -> dict[str, Any]:
        """The picture in the forms among which a notebook chooses."""
        return {
            "application/vnd.plotly.v1+json": self.figure.to_plotly_json(),
            "text/html": self.figure.to_html(include_plotlyjs="cdn", full_html=False),
            "text/plain": repr(self),
        }

    def _ipython_display_(self) -> None:
        """It has been shown when it was made."""


def _shown(make: Callable[[], go.Figure]) -> Picture:
    try:
        picture = Picture(make())
    except ImportError as error:
        raise ElError(
            f"{error.name} is not installed", code="EL502", hint="pip install 'energylang[notebook]'"
        ) from None
    if _in_notebook():
        import json

        from IPython.display import display
        from plotly.utils import PlotlyJSONEncoder

        display(json.loads(json.dumps(picture.bundle(), cls=PlotlyJSONEncoder)), raw=True)
    return picture


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    if shell is None:
        return False
    running = shell.get_ipython()
    return running is not None and type(running).__name__ != "TerminalInteractiveShell"


def _session(source: BasinSurgeon | Session) -> Session:
    if isinstance(source, BasinSurgeon):
        return source.session
    if isinstance(source, Session):
        return source
    raise ElError(f"a surgeon or a session is needed, not {type(source).__name__}", code="EL201")


def _record(value: Any, kind: type[results.Result]) -> Any:
    """The result behind an answer, or the result itself."""
    found = value.result if isinstance(value, Answer) else value
    if not isinstance(found, kind):
        raise ElError(f"a {kind.__name__} is needed, not {type(found).__name__}", code="EL201")
    return found


def visualise_landscape(
    surgeon: BasinSurgeon | Session,
    layer: int,
    dim_reduction: str = "pca",
    n_probes: int = 200,
    highlight_concept: str | None = None,
) -> Picture:
    """A layer's basins in two dimensions (``pca`` or ``umap``) with the paths of random probes into them."""
    session = _session(surgeon)
    found = probe_map(session, layer, method=dim_reduction, n_probes=n_probes, concept=highlight_concept)

    def make() -> go.Figure:
        from energylang.render.plots import landscape_figure

        return landscape_figure(found)

    return _shown(make)


def visualise_trajectory(trajectories: Sequence[Any] | Any, layer: int | None = None) -> Picture:
    """Replies token by token through a layer's landscape, with the controls that they carry."""
    given = [trajectories] if isinstance(trajectories, Answer | results.Result) else list(trajectories)
    traces = [_record(trace, results.Trajectory) for trace in given]
    layers = {trace.layer for trace in traces}
    if len(layers) != 1 or (layer is not None and layer not in layers):
        wanted = "one layer" if layer is None else f"L{layer}"
        raise ElError(f"these are not trajectories of {wanted}", code="EL201")
    controls = [c for trace in given if isinstance(trace, Answer) for c in trace.get("controls", ())]

    def make() -> go.Figure:
        from energylang.render.plots import trajectory_figure

        return trajectory_figure(traces, controls)

    return _shown(make)


def plot_survey(survey: Any) -> Picture:
    """A survey's basins by population, with their energies."""
    found = _record(survey, results.Survey)

    def make() -> go.Figure:
        from energylang.render.plots import survey_figure

        return survey_figure(found)

    return _shown(make)


def plot_diff(before: Any, after: Any) -> Picture:
    """Two surveys of one layer, basins matched by lineage: what stayed, what went, what came."""
    first, second = _record(before, results.Survey), _record(after, results.Survey)
    if first.layer != second.layer:
        raise ElError(f"L{first.layer} and L{second.layer} are two layers", code="EL201")

    def make() -> go.Figure:
        from energylang.render.plots import diff_figure

        return diff_figure(first, second)

    return _shown(make)


def plot_causal_graph(graph: Any) -> Picture:
    """A causal scan as a graph."""
    found = _record(graph, results.CausalGraph)

    def make() -> go.Figure:
        from energylang.render.plots import causal_figure

        return causal_figure(found)

    return _shown(make)


def plot_dose_response(steering: Any) -> Picture:
    """What ``steer`` found: response, placebos and damage by strength."""
    found = _record(steering, results.Steering)

    def make() -> go.Figure:
        from energylang.render.plots import dose_figure

        return dose_figure(found)

    return _shown(make)
