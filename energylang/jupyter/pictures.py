"""Pictures for notebooks: each is shown at once and returned, so that it can be kept and written to a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
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

    ``save("x.html")`` writes a page that needs no network, ``.png``, ``.svg`` and ``.pdf`` a still picture, drawn by
    matplotlib. ``clickable()`` is the figure as a widget: a click on a basin reads out its contexts.
    """

    def __init__(
        self,
        figure: go.Figure,
        contexts: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.figure = figure
        self.contexts = dict(contexts or {})

    def __repr__(self) -> str:
        from energylang.render.still import plain

        return f"<Picture: {' '.join(plain((self.figure.layout.title.text or '').split('<br>')[0]))}>"

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the picture; the kind is told by the path's ending."""
        from energylang.render import page, still

        target = Path(fspath(path)).expanduser()
        kind = target.suffix.removeprefix(".").lower()
        try:
            if kind == "html":
                data = page.page(self.figure, contexts=self.contexts)
            elif kind in still.KINDS:
                data = still.still(self.figure, kind)
            else:
                raise ElError(
                    f"cannot draw into {target}",
                    code="EL504",
                    hint="end the path in .html, .png, .svg or .pdf",
                )
        except ImportError as error:
            raise missing(error) from None
        write_atomic(target, data)
        return target

    def clickable(self) -> Any:
        """The figure as a widget, in which a click on a basin reads out its contexts; needs anywidget. Without it the
        picture stays what it is, and that is said."""
        try:
            from .clicks import widget

            return widget(self.figure, self.contexts)
        except ImportError as error:
            print(f"{error.name} is not installed, so a click does nothing: pip install 'energylang[widget]'")
            return self

    def bundle(self) -> dict[str, Any]:
        """The picture in the forms among which a notebook chooses."""
        from energylang.render.bundle import of_figure

        return of_figure(self.figure)

    def _ipython_display_(self) -> None:
        """It has been shown when it was made."""


def missing(error: ImportError) -> ElError:
    return ElError(f"{error.name} is not installed", code="EL502", hint="pip install 'energylang[notebook]'")


def _shown(make: Callable[[], go.Figure], contexts: Mapping[str, Sequence[str]] | None = None) -> Picture:
    try:
        picture = Picture(make(), contexts)
        if _in_notebook():
            from IPython.display import display

            from energylang.render.bundle import metadata

            display(picture.bundle(), raw=True, metadata=metadata())
    except ImportError as error:
        raise missing(error) from None
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

    from energylang.render.plots import spoken

    contexts = {
        f"L{layer}.B{basin.id}": [spoken(context) for context in basin.contexts]
        for basin in found.basins
        if basin.contexts
    }
    return _shown(make, contexts)


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


def plot_comparison(
    rows: Mapping[str, Mapping[str, Sequence[float]]], title: str, x: str = "value", *, log: bool = False
) -> Picture:
    """What was measured beside its controls: ``{row: {column: values}}``, drawn as mean ± standard deviation over the
    values of each; ``x`` says what they are, ``log`` gives the axis a logarithmic scale."""
    if not rows or not all(len(values) for row in rows.values() for values in row.values()):
        raise ElError("there is nothing to compare", code="EL201", hint="rows are {row: {column: [values]}}")

    def make() -> go.Figure:
        from energylang.render.plots import comparison_figure

        return comparison_figure(rows, title, x, log=log)

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
