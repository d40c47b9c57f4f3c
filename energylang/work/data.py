"""Data: examples out of files, tables in and out, and pictures of tables."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from energylang import results
from energylang.concepts.captured import capture, describe
from energylang.errors import ElError
from energylang.files.examples import examples
from energylang.files.storage import located, permitted, write_atomic
from energylang.files.tables import encoded, read_table
from energylang.signature.coerce import suggestion
from energylang.workspace.workspace import Workspace

DRAWN = (".svg", ".png", ".pdf", ".html")


def capture_file(
    ws: Workspace,
    layer: int | None,
    concept: str,
    path: str,
    position: str | None,
    column: str | None,
    contrast: str | None,
    direction: str | None,
) -> results.ConceptInfo:
    """Capture every example of a file, in one pass."""
    place = located(path, ws.base)
    if place.suffix.lower() == ".gz":
        raise ElError(
            f"{path} is compressed by gzip",
            code="EL503",
            hint="`gunzip` unpacks it (gunzip -c keeps the file); `read` takes it as it is",
        )
    texts = examples(place, path, column)
    against = examples(place, path, contrast) if contrast is not None else None
    return describe(ws, capture(ws, layer, concept, texts, against, position, direction))


def read(ws: Workspace, path: str) -> results.Table:
    return read_table(located(path, ws.base), path)


def write(ws: Workspace, data: results.Table | str, path: str) -> results.Written:
    target = located(path, ws.base)
    if isinstance(data, str):
        content = (data if data.endswith("\n") or not data else f"{data}\n").encode("utf-8", "replace")
        rows, columns = len(data.splitlines()), 0
    else:
        try:
            content = encoded(data, target)
        except ImportError as error:
            raise ElError(f"{error.name} is not installed", code="EL504",
                          hint=f"pip install {error.name}, or write a .csv") from None  # fmt: skip
        rows, columns = len(data.rows), len(data.columns)
    _put(target, content)
    return results.Written(path, rows, columns, len(content))


def plot(
    ws: Workspace, data: results.Table | str, x: str, y: str, by: str | None, save: str | None
) -> results.Plot:
    """The lines of a plot; drawn into a file if asked."""
    if isinstance(data, str):
        raise ElError("a text cannot be plotted", code="EL201", hint="plot takes a table: plot t x=… y=…")
    target = located(save, ws.base) if save is not None else None
    if target is not None and target.suffix.lower() not in DRAWN:
        raise ElError(f"cannot draw into {save}", code="EL504", hint=f"end the path in {', '.join(DRAWN)}")
    for name in (x, y, by):
        if name is not None and name not in data.columns:
            raise ElError(
                f"the table has no column `{name}`"
                if data.columns
                else "there is nothing to plot: the table is empty",
                code="EL500",
                hint=suggestion(name, data.columns) or f"its columns: {', '.join(data.columns)}",
            )
    found = results.Plot(x, y, by, *results.lines_of(data, x, y, by), save)
    if not found.lines:
        raise ElError(f"there is nothing to plot: `{y}` holds no number", code="EL500")
    if target is not None:
        _draw(found, target)
    return found


def _put(target: Path, content: bytes) -> None:
    """Write a file whole; folders that are not there are made."""
    try:
        permitted(target, write=True).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ElError(f"cannot make the folder of {target}: {error.strerror}", code="EL504") from None
    write_atomic(target, content)


def _draw(found: results.Plot, target: Path) -> None:
    charts = import_module(
        "energylang.render.charts"
    )  # by name: what is worked out knows nothing of what is drawn
    try:
        picture = (
            charts.page(found)
            if target.suffix.lower() == ".html"
            else charts.image(found, target.suffix.lower())
        )
    except ImportError as error:
        raise ElError(
            f"{error.name} is not installed", code="EL504",
            hint="pip install 'energylang[plot]'; without save= the plot is drawn in the terminal",
        ) from None  # fmt: skip
    _put(target, picture)
